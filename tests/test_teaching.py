"""Teaching pictures: they show what the network computes, and no more."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from PIL import Image

import neural_attn
from neural_attn.check import check_text
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.figures.palette import THEMES, levels_of
from neural_attn.models.generated import load_model, load_source
from neural_attn.teaching.charts import Cells, Curves
from neural_attn.teaching.draw import draw
from neural_attn.teaching.loss import crossentropy, targets
from neural_attn.teaching.masks import LEVELS, why_hidden
from neural_attn.teaching.page import build_page, plotly_figures
from neural_attn.teaching.source import Source
from neural_attn.training.catalogue import SCHEDULES
from neural_attn.training.rates import milestones, rate_at
from tests.every_backend import TRAINING, parameters
from tests.test_looks import contrast

REVERSE = Path(__file__).parent.parent / "examples/annotated_transformer/reverse.neural"
SEEN, LATER, PADDING, BEYOND = range(4)
GROUND = tuple(bytes.fromhex(THEMES["dark"].ground[1:]))


def network(layers, settings="", length="none", name="Tiny"):
    return (
        f"network {name} {{ input: ({length},) layers:\n"
        "Embedding(input_dim=20, output_dim=16, mask_zero=true)\n"
        f"{layers}\nOutput(units=5)\n{settings} }}\n"
    )


@pytest.fixture
def file(tmp_path):
    """Write a network into a file."""

    def write(*arguments, **options):
        path = tmp_path / "tiny.neural"
        path.write_text(network(*arguments, **options), "utf-8")
        return path

    return write


def source(path, **options):
    return Source(path, **options)


# --- masks --------------------------------------------------------------------------


def test_masks_are_those_of_the_softmax():
    """What is drawn as seen has weight, and what is drawn as hidden has none."""
    ids = {"source": np.array([[5, 6, 7, 0, 0]]), "target": np.array([[1, 8, 9, 0]])}
    panels = source(REVERSE, data=ids).masks().charts
    drawn = {chart.title: chart.values for chart in panels}
    model = load_model(REVERSE, "numpy", dtype="float64").model
    _, weights = model(ids, return_attention=True)
    assert drawn.keys() == weights.keys()
    for name, cells in drawn.items():
        for head in weights[name][0]:
            np.testing.assert_array_equal(cells == SEEN, head > 0)
    assert (drawn["transformer_encoder_0"][:, 3:] == PADDING).all()
    own = drawn["transformer_decoder_0.self_attention"]
    np.testing.assert_array_equal(own[:3, :3] == LATER, ~np.tri(3, dtype=bool))


def test_a_window_hides_what_is_out_of_reach(file):
    path = file("GroupedQueryAttention(num_heads=2, window=3)")
    (chart,) = source(path, data=np.arange(1, 9)[None]).masks().charts
    steps = np.arange(8) - np.arange(8)[:, None]
    np.testing.assert_array_equal(chart.values == LATER, steps > 0)
    np.testing.assert_array_equal(chart.values == BEYOND, steps <= -3)


def test_layers_with_one_mask_share_a_panel_and_the_padded_sample_says_so(file):
    path = file("TransformerEncoder(num_heads=2, ff_dim=8) * 3")
    lesson = source(path).masks()
    (chart,) = lesson.charts
    assert chart.title == "transformer_encoder_0 … transformer_encoder_2"
    assert "3 layers" in chart.about
    assert set(np.unique(chart.values)) == {SEEN, PADDING}
    assert any("are padding in the sample" in note for note in lesson.notes)
    labelled = source(path, tokens=["a", "b"]).masks()  # words are no padding
    assert labelled.charts[0].columns == ("a", "b")
    assert "every key is seen" in labelled.charts[0].about


def test_of_several_examples_the_one_with_most_padding_is_drawn(file):
    path = file("MultiHeadAttention(num_heads=2)")
    lesson = source(path, data=np.array([[1, 2, 3], [1, 0, 0]])).masks()
    assert "masks are of example 2 of 2" in lesson.notes
    assert (lesson.charts[0].values[:, 1:] == PADDING).all()


def test_heads_with_other_masks_have_panels_of_their_own():
    from neural_attn.maps.attention_map import AttentionMap
    from neural_attn.maps.attention_maps import AttentionMaps
    from neural_attn.teaching import masks

    mask = np.stack([np.tri(3, dtype=bool), np.ones((3, 3), bool)])[None]
    weights = mask / mask.sum(-1, keepdims=True)
    one = AttentionMap("layer", weights, "encoder_self", mask)
    charts = masks.lesson(AttentionMaps([one])).charts
    assert [c.about.split(", ")[1] for c in charts] == ["head 0", "head 1"]
    assert (
        why_hidden(one, 0) == BEYOND
    ).sum() == 3  # it does not say that it is causal


# --- positions ----------------------------------------------------------------------


def test_sinusoids_are_those_of_the_paper():
    """Vaswani et al. (2017), section 3.5, by hand."""
    curves, cells = source(REVERSE).positions(50).charts
    for dimension in (0, 9, 18):
        angle = np.arange(50) / 10000 ** (2 * (dimension // 2) / 64)
        expected = np.cos(angle) if dimension % 2 else np.sin(angle)
        drawn = curves.lines[f"dimension {dimension}"]
        np.testing.assert_allclose(drawn, expected, atol=1e-5)
        np.testing.assert_allclose(cells.values[dimension], expected, atol=1e-5)
    assert "random" not in curves.about


def test_learned_positions_are_the_rows_of_the_table(file, tmp_path):
    path = file('PositionalEncoding(max_len=12, encoding_type="learned")')
    loaded = load_model(path, "numpy", seed=3)
    table = loaded.model.named_weights()["positional_encoding_0.table.weight"]
    assert "untrained (random)" in source(path).positions().charts[0].about
    weights = tmp_path / "trained.safetensors"
    loaded.model.save_weights(weights)
    curves, cells = source(path, checkpoint=weights).positions().charts
    np.testing.assert_array_equal(cells.values, table.T)
    assert curves.about == "learned, 16 dimensions"


def test_rotary_pairs_turn_at_their_rates(file):
    """Su et al. (2021), section 3.2.2: theta ** (-2 i / size), by hand."""
    path = file("GroupedQueryAttention(num_heads=2, theta=100, rotary_dim=6) * 2")
    curves, angles = source(path).positions(20).charts
    rates = 100.0 ** (-2 * np.arange(3) / 6)
    for pair, rate in enumerate(rates):
        drawn = curves.lines[f"numbers {pair} and {pair + 3}"]
        np.testing.assert_allclose(drawn, np.cos(rate * np.arange(20)), atol=1e-5)
    expected = np.mod(np.outer(rates, np.arange(20)), 2 * np.pi)
    np.testing.assert_allclose(angles.values, expected, atol=1e-4)
    assert "2 stay" in curves.about
    assert " … " in curves.title  # both layers, once


def test_slopes_of_alibi(file):
    """Press et al. (2022), section 3: 1/2, 1/4, …, 1/256 for eight heads."""
    path = file("LinearBiasAttention(num_heads=8)")
    (chart,) = source(path).positions(10).charts
    steps = np.arange(-9, 10)
    for head, row in enumerate(chart.lines.values()):
        np.testing.assert_allclose(row, -abs(steps) / 2 ** (head + 1), atol=1e-6)


def test_learned_biases_are_those_of_their_buckets(tmp_path):
    """Raffel et al. (2020), 2.1: near distances have a bucket each, far ones share."""
    block = (
        "define Biased() { layers: bias = RelativePositionBias(num_heads=2, "
        "num_buckets=8, max_distance=16)\nlayer = T5Encoder(2, 8)\n"
        "forward(x): return layer(x, bias(x)) }\n"
    )
    path = tmp_path / "biased.neural"
    path.write_text(block + network("Biased()"), "utf-8")
    (chart,) = source(path).positions(6).charts
    loaded = load_model(path, "numpy")
    (table,) = (w for n, w in loaded.model.named_weights().items() if "table" in n)
    first = chart.lines["head 0"]
    assert first[5] == table[0, 0]  # the query itself
    assert first[4] == table[1, 0]  # the key before
    assert first[6] == table[5, 0]  # the key behind: the second half
    assert "learned, 2 heads; untrained" in chart.about


def test_a_define_of_ones_own_is_known_by_what_it_does(tmp_path):
    path = tmp_path / "own.neural"
    define = (
        "define Ramp() { forward(x): return x + 0.5 * stack([cast(positions(x), x)]) }"
    )
    path.write_text(define + "\n" + network("Ramp()"), "utf-8")
    curves, _ = source(path).positions(8).charts
    np.testing.assert_allclose(curves.lines["dimension 0"], np.arange(8) / 2)


# --- schedule -----------------------------------------------------------------------

GIVEN = {
    "ExponentialDecay": "ExponentialDecay(0.01, 7, 0.5)",
    "StepDecay": "StepDecay(0.01, 7, 0.5)",
    "InverseTimeDecay": "InverseTimeDecay(0.01, 7, 0.5, staircase=true)",
    "PolynomialDecay": "PolynomialDecay(0.01, 20, power=2.0)",
    "CosineDecay": "CosineDecay(0.01, 20, alpha=0.1, warmup_steps=5)",
    "Noam": "Noam(d_model=512, warmup_steps=10, scale=2.0)",
    "PiecewiseConstantDecay": "PiecewiseConstantDecay([5, 9], [0.1, 0.01, 0.001])",
}


def scheduled(schedule):
    settings = f'loss: "mse" optimizer: SGD(learning_rate={schedule})'
    text = f"network Tiny {{ input: (4,) layers: Output(3)\n{settings} }}"
    return check_text(text)[0][0]


@pytest.mark.parametrize("name", [entry.name for entry in SCHEDULES])
@pytest.mark.parametrize("backend", parameters(TRAINING))
@pytest.mark.thorough("tensorflow")
def test_rates_are_those_of_the_frameworks_own_schedules(name, backend):
    checked = scheduled(GIVEN[name])
    module = load_source(emit(checked, get(backend)), "tiny")
    schedule = checked.network.optimizer.arguments["learning_rate"]
    drawn = [rate_at(schedule, step) for step in range(30)]
    if backend == "pytorch":
        optimizer = module.create_optimizer(module.create_model())
        steps = module.create_schedule(optimizer)
        real = []
        for _ in range(30):
            real.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            steps.step()
    else:
        rates = module.create_optimizer()._learning_rate
        real = [float(rates(step)) for step in range(30)]
    np.testing.assert_allclose(drawn, real, rtol=1e-5, atol=1e-9)
    for step in milestones(schedule):
        assert 0 <= step <= 30


def test_a_file_of_several_networks_gives_a_curve_for_each(tmp_path):
    path = tmp_path / "noam.neural"
    text = ""
    for name, width, warmup in (("A", 512, 40), ("B", 512, 80), ("C", 256, 40)):
        rate = f"Noam(d_model={width}, warmup_steps={warmup})"
        settings = f'loss: "mse" optimizer: Adam(learning_rate={rate})'
        text += network("", settings, name=name)
    path.write_text(text, "utf-8")
    (chart,) = source(path).schedule().charts
    tops = {label[0]: y.max() for label, y in chart.lines.items()}
    # at the end of warm-up: (d_model * warmup_steps) ** -0.5
    for name, product in (("A", 512 * 40), ("B", 512 * 80), ("C", 256 * 40)):
        assert tops[name] == pytest.approx(product**-0.5)
    (one,) = source(path, network="B").schedule(100).charts
    assert one.x[-1] == 99
    assert one.marks == {79.0: "end of warm-up: 79"}


# --- loss ---------------------------------------------------------------------------


@pytest.mark.requires_torch
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_that_of_pytorch(smoothing):
    import torch

    right = np.array([0.05, 0.3, 0.68, 0.95])
    shares = np.repeat((1 - right)[:, None] / 4, 5, axis=1)
    shares[:, 2] = right
    real = torch.nn.functional.cross_entropy(
        torch.tensor(shares).log(),
        torch.full((4,), 2),
        reduction="none",
        label_smoothing=smoothing,
    )
    np.testing.assert_allclose(crossentropy(right, 5, smoothing), real, rtol=1e-9)


def test_the_target_is_what_the_loss_is_least_at(file):
    settings = "loss: SparseCategoricalCrossentropy(label_smoothing=0.4)"
    cells, curves = source(file("", settings)).loss().charts
    np.testing.assert_allclose(targets(5, 0.4).sum(axis=1), 1)
    np.testing.assert_allclose(cells.values[1], [0.08, 0.68, 0.08, 0.08, 0.08])
    assert np.isnan(cells.values[0]).all()  # padding is not counted
    y = curves.lines["label_smoothing=0.4"]
    assert curves.x[y.argmin()] == pytest.approx(0.68)
    assert list(curves.marks) == [pytest.approx(0.68)]


@pytest.mark.parametrize(
    ("loss", "at", "value"),
    [
        ("mean_squared_error", -3.0, 9.0),
        ("mean_absolute_error", -3.0, 3.0),
        ("huber(delta=2.0)", -3.0, 4.0),  # 2 * (3 - 2 / 2)
    ],
)
def test_losses_of_numbers(file, loss, at, value):
    (chart,) = source(file("", f"loss: {loss}")).loss().charts
    (line,) = chart.lines.values()
    assert line[chart.x == at] == pytest.approx(value)


# --- files, pages, errors -----------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(cli, ["visualize", *map(str, arguments)])


def test_one_call_writes_a_picture_of_each_and_one_page(tmp_path):
    done = run(REVERSE, "--masks", "--positions", "--schedule", "--loss", "--json",
               "--dpi", 40, "-o", tmp_path / "out")  # fmt: skip
    assert done.exit_code == 0, done.exception
    names = {"masks.png", "positions.png", "schedule.png", "loss.png", "teaching.html"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    report = json.loads(done.stdout)
    assert report["missing"] == []
    assert len(report["pictures"]["masks"]) == 3
    page = (tmp_path / "out/teaching.html").read_text("utf-8")
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=", page)
    assert page.count("Plotly.newPlot(") >= 8


def test_what_is_not_declared_is_a_note_or_else_an_error(file, tmp_path):
    path, out = file("", 'loss: "mse" optimizer: "adam"'), tmp_path / "out"
    done = run(path, "--schedule", "--loss", "-o", out, "--dpi", 20)
    assert done.exit_code == 0
    assert "note: not drawn: the learning rate of network Tiny is 0.001" in done.stderr
    assert {p.name for p in out.iterdir()} == {"loss.png", "teaching.html"}
    done = run(path, "--schedule", "--positions", "--masks", "-o", tmp_path / "none")
    assert [d.code for d in done.exception.diagnostics] == ["E0401", "E0481", "E0481"]
    assert all(d.hint for d in done.exception.diagnostics)
    assert not (tmp_path / "none").exists()


def test_pictures_and_page_are_dark_where_that_is_asked_for(tmp_path):
    done = run(REVERSE, "--masks", "--positions", "--loss", "--dpi", 40,
               "--theme", "dark", "-o", tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.exception
    for name in ("masks", "positions", "loss"):
        assert Image.open(tmp_path / f"{name}.png").getpixel((2, 2))[:3] == GROUND
    page = (tmp_path / "teaching.html").read_text("utf-8")
    assert ":root { color-scheme: dark; --ground: #14171a;" in page
    assert "prefers-color-scheme: dark) {" not in page


@pytest.mark.parametrize("name", THEMES)
def test_a_page_that_follows_its_reader_has_colours_for_both(name):
    for figure in plotly_figures(source(REVERSE).masks(), name):
        scales = figure.layout.meta["colorscales"]
        assert set(scales) == set(THEMES)
        own = [list(edge) for edge in figure.data[0].colorscale]
        assert own == [list(edge) for edge in scales[name]]
        colors = dict.fromkeys(color for _, color in own)
        assert list(colors) == list(levels_of(THEMES[name])[: len(colors)])


@pytest.mark.parametrize("name", THEMES)
def test_everything_drawn_is_seen_on_its_ground(name):
    theme = THEMES[name]
    ground = theme.ground
    found = source(REVERSE)
    lessons = (found.masks(), found.positions(), found.schedule(), found.loss())
    for figure in (draw(lesson, name) for lesson in lessons):
        figure.canvas.draw()
        for text in figure.findobj(Text):
            if text.get_text():
                assert contrast(to_hex(text.get_color()), ground) >= 4.5
        for axes in figure.axes:
            for line in axes.get_lines():
                assert contrast(to_hex(line.get_color()), ground) >= 1.5
    seen, later, padding, beyond = (contrast(one, ground) for one in levels_of(theme))
    assert seen > max(later, beyond)
    assert padding < min(later, beyond)
    assert seen > 7


def test_options_without_effect_are_refused(file):
    done = run(file(""), "--loss", "--text", "a")
    assert done.exit_code == 2
    assert "--text has no effect on --loss without --attention" in done.output


def test_more_positions_than_the_network_takes(file):
    with pytest.raises(NeuralError, match="takes 12 positions, not 13"):
        neural_attn.plot_positions(file("PositionalEncoding(max_len=12)"), 13)


def test_tokens_of_strangers_are_escaped(file):
    path = file("MultiHeadAttention(num_heads=2)")
    lesson = source(path, tokens=["<script>alert(1)</script>", "$x$"]).masks()
    page = build_page([lesson], "<b>name</b>")
    assert "<script>alert" not in page
    assert "<title>What &lt;b&gt;name" in page
    assert "<main>\n<h1>What &lt;b&gt;name" in page
    (figure,) = plotly_figures(lesson)
    assert figure.data[0].y[1] == "&#36;x&#36;"
    assert figure.data[0].text[0][0] == LEVELS[SEEN]


def test_python_calls_give_figures():
    for plot in (neural_attn.plot_masks, neural_attn.plot_loss):
        figure = plot(REVERSE)
        assert isinstance(figure, Figure)
        assert len(figure.axes) >= 2


def test_charts_have_a_number_for_every_label():
    for lesson in (source(REVERSE).masks(), source(REVERSE).loss()):
        for chart in lesson.charts:
            if isinstance(chart, Cells):
                assert chart.values.shape == (len(chart.rows), len(chart.columns))
            if isinstance(chart, Curves):
                assert all(y.shape == chart.x.shape for y in chart.lines.values())
