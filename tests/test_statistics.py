"""Statistics of heads as pictures and tables: what is drawn is what was measured."""

import csv
import re
import shlex
import sys
from base64 import b64decode
from functools import partial
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from neural_attn import plot_distributions, plot_head_distances, plot_metrics
from neural_attn.analysis import analyze
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.figures import palette
from neural_attn.figures.statistics import light_and_dark, write_statistics
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.redundancy import js_divergence
from neural_attn.reports.html import to_html

pytest.importorskip("seaborn")
ROOT = Path(__file__).resolve().parent.parent
HOSTILE = '<img src=x onerror="alert(1)">'


def maps_of(layers=3, heads=4, size=8, tokens=None, **more):
    draw = np.random.default_rng(0)
    tokens = tokens or [f"t{n}" for n in range(size)]
    scores = draw.standard_normal((layers, heads, size, size)) * 3
    powers = np.exp(scores)
    shares = powers / powers.sum(-1, keepdims=True)
    arrays = {f"layer_{n}": shares[n] for n in range(layers)}
    return AttentionMaps.from_arrays(arrays, tokens, **more)


MAPS = maps_of()


@pytest.fixture(scope="module")
def analysis():
    return analyze(MAPS)


def entropies(maps):
    """Mean entropy of the rows of every head, in nats."""
    return [
        -(w * np.log(w)).sum(-1).mean(-1)
        for w in (maps[name][0].astype(float) for name in maps)
    ]


def test_a_table_has_a_row_for_each_head(analysis):
    table = analysis.to_frame()
    assert list(table["label"]) == [h.label for h in analysis.heads]
    np.testing.assert_allclose(table["entropy"], np.concatenate(entropies(MAPS)), 1e-5)
    assert np.isnan(table["effective_rank"]).all()  # was not asked for


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_are_written_and_read_back(kind, analysis, tmp_path):
    pandas = pytest.importorskip("pandas")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    broken = maps_of(1, 1, 2, ["half a sign", "\ud800"])
    for table in (analysis.to_frame(), broken.to_frame()):
        path = tmp_path / f"table.{kind}"
        getattr(table, f"to_{kind}")(path, index=False)
        read = getattr(pandas, f"read_{kind}")(path)
        # a text file does not say what a column of nothing would hold
        pandas.testing.assert_frame_equal(read, table, check_dtype=kind == "parquet")


def test_the_points_of_a_violin_are_the_heads(analysis):
    axes = plot_distributions(analysis).axes[0]
    points = [c.get_offsets() for c in axes.collections if len(c.get_offsets()) == 4]
    assert len(points) == 3
    for drawn, own in zip(points, entropies(MAPS), strict=True):
        np.testing.assert_allclose(sorted(drawn[:, 1]), sorted(own), rtol=1e-5)


def test_columns_of_rows_sum_to_1(analysis):
    axes = plot_distributions(analysis, "max_weight", over="rows").axes[0]
    shares = np.asarray(axes.collections[0].get_array()).reshape(20, 3)
    np.testing.assert_allclose(shares.sum(0), 1)
    greatest = MAPS["layer_1"].max(-1).ravel()
    np.testing.assert_allclose(
        shares[:, 1], np.histogram(greatest, 20, (0, 1))[0] / greatest.size
    )


def test_distances_are_those_of_the_heads_that_are_named(analysis):
    every = np.concatenate([MAPS[name][0] for name in MAPS])
    apart = np.sqrt(js_divergence(every))
    np.testing.assert_allclose(analysis.distances, apart, atol=1e-6)
    axes = plot_head_distances(analysis).axes[0]
    order = [t.get_text() for t in axes.get_yticklabels()]
    at = [[h.label for h in analysis.heads].index(label) for label in order]
    assert sorted(at) == list(range(12))
    drawn = np.asarray(axes.collections[0].get_array()).reshape(12, 12)
    np.testing.assert_allclose(drawn, apart[np.ix_(at, at)], atol=1e-6)


def test_heads_never_compared_stay_blank():
    cross = AttentionMap("b", np.full((1, 2, 3, 5), 0.2, np.float32), "cross")
    own = AttentionMap("a", maps_of(1, 2, 3)["layer_0"])
    found = analyze(AttentionMaps([own, cross]))
    mesh = plot_head_distances(found).axes[0].collections[0].get_array()
    assert np.ma.getmaskarray(mesh).sum() == 2 * 2 * 2


def test_pairs_of_metrics(analysis):
    figure = plot_metrics(analysis, ["entropy", "max_weight"], hue="type")
    points = figure.axes[2].collections[0].get_offsets()
    table = analysis.to_frame()
    np.testing.assert_allclose(points, table[["entropy", "max_weight"]])


def test_pairs_inside_axes_that_are_given(analysis):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_metrics(analysis, ["entropy", "max_weight"], ax=left) is figure
    inside = [axes for axes in left.child_axes if axes.collections]
    table = analysis.to_frame()
    expected = table[["max_weight", "entropy"]]
    np.testing.assert_allclose(inside[0].collections[0].get_offsets(), expected)
    assert inside[0].get_ylabel()  # which its row has nowhere else
    assert not right.has_data()


def test_a_figure_of_one_s_own_and_its_rcparams(analysis):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_distributions(analysis, ax=left) is figure
    assert plot_head_distances(analysis, ax=right) is figure
    with matplotlib.rc_context({"figure.figsize": (3, 2), "figure.facecolor": "k"}):
        drawn = plot_distributions(analysis)
    assert tuple(drawn.get_size_inches()) == (3, 2)
    assert drawn.get_facecolor() == (0, 0, 0, 1)


def test_no_figure_stays_open(analysis):
    plot_metrics(analysis)
    assert matplotlib._pylab_helpers.Gcf.get_all_fig_managers() == []


def test_untrained_weights_are_said():
    axes = plot_distributions(analyze(maps_of(trained=False))).axes[0]
    assert "untrained" in axes.get_title()


def test_of_many_layers_some_are_named():
    found = analyze(maps_of(30, 1))
    (axes,) = plot_distributions(found, "max_weight").axes
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        str(n) for n in range(0, 30, 2)
    ]
    figure = plot_metrics(found, ["entropy", "max_weight"], corner=True)
    named = [int(text.get_text()) for text in figure.legends[0].get_texts()]
    assert (len(named), named[0], named[-1]) == (9, 0, 29)


def test_heads_that_are_all_the_same_are_drawn():
    same = np.repeat(MAPS["layer_0"][:, :1], 3, axis=1)
    axes = plot_head_distances(analyze(AttentionMaps.from_arrays({"a": same}))).axes[0]
    assert not np.any(axes.collections[0].get_array())


def test_no_pairs_are_drawn_where_no_head_has_all_metrics(tmp_path):
    # a head that has no choice has no normalized entropy
    found = analyze(maps_of(1, 2, 1))
    written = write_statistics(found, tmp_path)
    assert "metrics_in_pairs.png" not in {path.name for path in written}
    assert "metrics_in_pairs" not in {n for n, _, _ in light_and_dark(found, [])}


def test_what_cannot_be_drawn_is_said(analysis, monkeypatch):
    meant = r"^there is no metric 'entropi'; did you mean 'entropy'\?$"
    with pytest.raises(ValueError, match=meant):
        plot_distributions(analysis, "entropi")
    with pytest.raises(
        ValueError, match="hue is 'types', not one of layer, type, kind; d"
    ):
        plot_metrics(analysis, hue="types")
    with pytest.raises(KeyError, match="there is no head 'L9H9': there are L0H0, "):
        analysis.head("L9H9")
    with pytest.raises(ValueError, match="no head has effective_rank"):
        plot_distributions(analysis, "effective_rank")
    with pytest.raises(ValueError, match="metric of rows is 'distance', not one of"):
        plot_distributions(analysis, "distance", over="rows")
    with pytest.raises(ValueError, match="two heads"):
        plot_head_distances(analyze(maps_of(1, 1)))
    monkeypatch.setitem(sys.modules, "seaborn", None)
    with pytest.raises(NeuralError, match=r"E0502.*seaborn"):
        plot_metrics(analysis)
    assert "not drawn: " in to_html(analysis)


def test_the_page_has_every_picture_for_light_and_for_dark(analysis):
    page = to_html(analysis)
    titles = re.findall(r'<picture>.*?alt="([^"]+)"></picture>', page)
    assert titles == [
        "Normalized entropy by layer", "Distances between heads", "Metrics in pairs",
    ]  # fmt: skip
    pairs = re.findall(
        r'<source media="screen and \(prefers-color-scheme: dark\)" '
        r'srcset="data:image/png;base64,([^"]+)"><img src="data:image/png;base64,'
        r'([^"]+)" width="(\d+)"',
        page,
    )
    assert len(pairs) == page.count("<img ") == 3
    for dark, light, width in pairs:
        seen = [imread(BytesIO(b64decode(one))) for one in (dark, light)]
        assert seen[0].shape == seen[1].shape
        assert seen[0].shape[1] > 1.5 * int(width)
        grounds = [to_hex(pixels[2, 2]) for pixels in seen]
        assert grounds == [palette.DARK.ground, palette.LIGHT.ground]


def test_a_picture_in_other_colours_is_the_one_that_is_drawn_for_dark_readers(analysis):
    draw = {
        "head_distances": plot_head_distances,
        "metrics_in_pairs": partial(plot_metrics, corner=True),
    }
    for name, theme, figure in light_and_dark(analysis, draw):
        figure.canvas.draw()
        wanted = draw[name](analysis)  # by the style of the theme, inside the loop
        wanted.canvas.draw()
        seen, own = (np.asarray(one.canvas.buffer_rgba()) for one in (figure, wanted))
        assert np.array_equal(seen, own), (name, theme)


def test_pairs_are_drawn_once_in_a_corner(analysis):
    figure = plot_metrics(analysis, ["entropy", "max_weight", "distance"], corner=True)
    assert len(figure.axes) == 6
    points = figure.axes[1].collections[0].get_offsets()
    np.testing.assert_allclose(points, analysis.to_frame()[["entropy", "max_weight"]])
    assert len(figure.legends) == 1


def test_repr_is_one_short_line(analysis):
    assert repr(analysis) == "Analysis(source=None, 12 heads, 1 text)"


def test_a_notebook_shows_an_analysis_in_short(analysis):
    shown = analysis._repr_html_()
    assert all(one.label for one in analysis.heads)
    assert "what stands out" in shown
    assert "<svg" in shown
    assert "<script" not in shown
    assert len(shown) < 40_000


def test_a_notebook_shows_maps_as_thumbnails():
    shown = MAPS._repr_html_()
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    assert len(sources) == 12
    pixels = imread(BytesIO(b64decode(sources[5])))[..., :3]
    place = np.sqrt(MAPS["layer_1"][0, 1] / max(MAPS[n].max() for n in MAPS))
    wanted = matplotlib.colormaps["viridis"](place)[..., :3]
    np.testing.assert_allclose(pixels, wanted, atol=0.01)


def test_thumbnails_are_few_and_small_and_safe():
    large = AttentionMaps(
        [AttentionMap(f"{HOSTILE}{n}", np.full((1, 20, 200, 200), 0.005, np.float32))
         for n in range(30)]
    )  # fmt: skip
    shown = large._repr_html_()
    assert HOSTILE not in shown
    assert "and 4 more" in shown
    assert "6 more maps are not shown" in shown
    assert len(shown) < 500_000


def test_the_command_of_the_page_runs(tmp_path):
    text = (ROOT / "docs" / "analysis" / "statistics.md").read_text("utf-8")
    (line,) = re.findall(r"```bash\nneural (.*)\n```", text)
    line = line.replace("--pictures pictures", f"--pictures {tmp_path}")
    line = line.replace(" examples/", f" {ROOT}/examples/") + " -b numpy"
    done = CliRunner().invoke(cli, shlex.split(line))
    assert done.exit_code == 0, done.output
    named = set(re.findall(r"`(\w+\.(?:png|csv))`", text))
    assert {path.name for path in tmp_path.iterdir()} == named
    with (tmp_path / "heads.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["label"] == "L0H0"
