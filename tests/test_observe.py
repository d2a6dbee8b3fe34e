"""`observe`: maps that are no softmax, against equations written out in float64."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from neural_attn.backends import get, names
from neural_attn.backends.emit.emitter import emit
from scipy import special

from neural_attn import analyze, explore
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.comparison import compare_maps
from neural_attn.explorer.extract import read_page
from neural_attn.explorer.measures import HeadMeasurer
from neural_attn.explorer.pyramid import reduce_head
from neural_attn.explorer.quantize import PRECISIONS
from neural_attn.figures.dashboard import build_dashboard
from neural_attn.figures.heatmap import plot_heatmap
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import admit, examine
from neural_attn.metrics.guide import guide_patterns
from neural_attn.metrics.registry import REGISTRY, STATISTICS
from neural_attn.models.capture import capture, run
from neural_attn.models.generated import BareModel, load_model
from neural_attn.models.opening import open_model
from neural_attn.promises import ROWS
from neural_attn.reports.console import build_report
from neural_attn.reports.elements import number
from neural_attn.reports.html import to_html
from neural_attn.reports.json import to_json
from neural_attn.reports.markdown import to_markdown
from neural_attn.reports.terminal import print_analysis
from tests.corpus import assert_backends_agree
from tests.layer_cases import ruff_complaints

HEADS = """
define Own(num_heads, d_model = width(x)) {
  layers:
    q = Dense(d_model)
    k = Dense(d_model)
    v = Dense(d_model)
    drop = Dropout(0.5)
  forward(x, attention_mask = none):
    queries = split_heads(q(x), num_heads)
    keys = split_heads(k(x), num_heads)
    values = split_heads(v(x), num_heads)
    %s
}
network N {
  input: (7,)
  layers: Embedding(9, 8, mask_zero=true) Own(2)
}
"""
LOGITS = "logits = queries @ transpose(keys) / sqrt(d_model / num_heads)"
SIGMOID = f"""
    {LOGITS}
    weights = sigmoid(logits - log(sum(0 * logits + 1)))
    if attention_mask != none {{ weights = where(attention_mask, weights, 0) }}
    weights = drop(observe(weights, attention_mask, rows="gates"))
    return merge_heads(weights @ values)
"""
DIFFERENTIAL = """
    half = d_model / num_heads / 2
    queries = queries / sqrt(half)
    one = slice(queries, 0, half) @ transpose(slice(keys, 0, half))
    two = slice(queries, half) @ transpose(slice(keys, half))
    one = attention_softmax(one, attention_mask, causal=true)
    two = attention_softmax(two, attention_mask, causal=true)
    weights = observe(one - 0.8 * two, attention_mask, causal=true, rows="signed")
    return merge_heads(weights @ values)
"""
SINK = f"""
    {LOGITS}
    top = maximum(max(logits), 0.5)
    shares = where(attention_mask, exp(logits - top), 0)
    shares = shares / (sum(shares) + exp(0.5 - top))
    shares = observe(shares, attention_mask, rows="parts")
    return merge_heads(shares @ values)
"""
LINEAR = """
    products = softplus(queries) @ transpose(softplus(keys))
    shares = where(attention_mask, products, 0)
    shares = shares / sum(shares)
    shares = observe(shares, mask=attention_mask)
    return merge_heads(shares @ values)
"""
IDS = np.array([[3, 1, 4, 1, 5, 0, 0], [2, 7, 1, 8, 2, 8, 1]])
SEEN = (IDS != 0)[:, None, None, :]


def heads_of(weights):
    """Queries, keys and values [batch, heads, time, size] by NumPy alone."""
    x = weights["embedding_0.weight"][IDS]
    for name in "qkv":
        y = x @ weights[f"own_0.{name}.weight"].T + weights[f"own_0.{name}.bias"]
        yield y.reshape(2, 7, 2, 4).transpose(0, 2, 1, 3)


def softmax(logits, seen):
    return special.softmax(np.where(seen, logits, -np.inf), axis=-1)


def sigmoid_weights(q, k):
    logits = q @ k.swapaxes(2, 3) / 2
    return np.where(SEEN, special.expit(logits - np.log(7)), 0)


def differential_weights(q, k):
    """Ye et al. (2024), equation 1, with a mask and a lambda of 0.8."""
    seen = SEEN & np.tril(np.ones((7, 7), bool))
    (q1, q2), (k1, k2) = (np.split(x, 2, axis=-1) for x in (q, k))
    one, two = (a @ b.swapaxes(2, 3) / np.sqrt(2) for a, b in ((q1, k1), (q2, k2)))
    return softmax(one, seen) - 0.8 * softmax(two, seen)


def sink_weights(q, k):
    logits = np.where(SEEN, q @ k.swapaxes(2, 3) / 2, -np.inf)
    sink = np.full((*logits.shape[:3], 1), 0.5)
    return special.softmax(np.concatenate([logits, sink], axis=-1), axis=-1)[..., :-1]


def linear_weights(q, k):
    products = np.logaddexp(q, 0) @ np.logaddexp(k, 0).swapaxes(2, 3)
    products = np.where(SEEN, products, 0)
    return products / products.sum(axis=-1, keepdims=True)


CASES = {
    "sigmoid": (SIGMOID, sigmoid_weights, "gates", False),
    "differential": (DIFFERENTIAL, differential_weights, "signed", True),
    "sink": (SINK, sink_weights, "parts", False),
    "linear": (LINEAR, linear_weights, "shares", False),
}

each_case = pytest.mark.parametrize(
    ("body", "equation", "rows", "causal"), CASES.values(), ids=CASES
)


def checked_of(body):
    (checked,), warnings = check_text(HEADS % body)
    assert {w.code for w in warnings} <= {"W0108"}  # not each body has a dropout
    return checked


@each_case
def test_the_map_is_the_equation(body, equation, rows, causal, backend):
    checked = checked_of(body)
    loaded = load_model(checked, backend, dtype="float64")
    output, found = run(loaded.model, loaded.backend, IDS)
    reference = load_model(checked, "numpy", dtype="float64").model.named_weights()
    q, k, v = heads_of(reference)
    expected = equation(q, k)
    ((weights, mask),) = found.values()
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(mask, SEEN)
    context = (expected @ v).transpose(0, 2, 1, 3).reshape(2, 7, 8)
    np.testing.assert_allclose(output, context, rtol=0, atol=1e-12)


@each_case
def test_backends_agree_and_the_promise_travels(
    body, equation, rows, causal, available_backends, tmp_path
):
    checked = checked_of(body)
    assert_backends_agree(checked, available_backends, tmp_path)
    (attention,) = checked.attentions.values()
    assert (attention.rows, attention.causal) == (rows, causal)
    assert attention.kind == ("decoder_self" if causal else "encoder_self")
    captured = capture(load_model(checked, "numpy"), IDS)
    assert [f for f in captured.findings if f.stops] == []
    (one,) = captured.maps.maps
    assert (one.rows, one.causal) == (rows, causal)
    captured.maps.save(tmp_path / "maps.npz")
    assert AttentionMaps.load(tmp_path / "maps.npz") == captured.maps
    assert captured.maps.item(one.name).rows == rows
    assert captured.maps.select(head=1).maps[0].rows == rows
    code = emit(checked, get("pytorch"))
    assert ruff_complaints(code, tmp_path) == ""


@pytest.mark.parametrize("backend_name", ["numpy", "pytorch", "tensorflow"])
def test_a_model_without_its_file_says_it_too(backend_name, available_backends):
    if backend_name not in ("numpy", *available_backends):
        pytest.skip("not installed")
    loaded = load_model(checked_of(DIFFERENTIAL), backend_name)
    model = open_model(loaded.model)
    assert isinstance(model, BareModel)
    assert [one.rows for one in model.outline.maps] == ["signed"]
    captured = model.run(model.prepare(IDS))
    assert [one.rows for one in captured.maps.maps] == ["signed"]


def test_of_many_attentions_only_what_is_observed_is_the_map(backend):
    """`attend` beside it is fused, and its weights are not the map."""
    body = f"""
    {LOGITS}
    context = attend(queries, keys, values, attention_mask, dropout=drop)
    weights = observe(softmax(logits) * 0.5, rows="parts")
    return merge_heads(context + 0 * (weights @ values))
    """
    loaded = load_model(checked_of(body), backend, dtype="float64")
    output, found = run(loaded.model, loaded.backend, IDS)
    q, k, v = heads_of(
        load_model(loaded.checked, "numpy", dtype="float64").model.named_weights()
    )
    logits = q @ k.swapaxes(2, 3) / 2
    ((weights, mask),) = found.values()
    assert mask is None
    np.testing.assert_allclose(weights, special.softmax(logits, -1) / 2, atol=1e-12)
    context = (softmax(logits, SEEN) @ v).transpose(0, 2, 1, 3).reshape(2, 7, 8)
    np.testing.assert_allclose(output, context, rtol=0, atol=1e-12)


@pytest.mark.thorough(but=("linear",))
@pytest.mark.requires_torch
@pytest.mark.parametrize("body", [case[0] for case in CASES.values()], ids=CASES)
def test_observing_costs_nothing_unless_it_is_asked_for(body):
    import torch

    loaded = load_model(checked_of(body), "pytorch")
    model, ids = loaded.model, torch.from_numpy(IDS)
    plain = model(ids)
    assert all(x.attention_weights is None for x in model.attention_layers().values())
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(ids), plain)
    program = torch.export.export(model, (ids,))
    torch.testing.assert_close(program.module()(ids), plain)
    assert not any("detach" in str(node.target) for node in program.graph.nodes)
    model.train()
    out, maps = model(ids, return_attention=True)
    out.square().sum().backward()
    assert all(p.grad is not None for n, p in model.named_parameters())
    assert not any(weights.requires_grad for weights in maps.values())


@pytest.mark.thorough(but=("linear",))
@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("body", [case[0] for case in CASES.values()], ids=CASES)
def test_keras_fits_what_observes(body):
    loaded = load_model(checked_of(body), "tensorflow")
    model = loaded.model
    model.compile("sgd", "mse")
    target = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
    before = [w.numpy() for w in model.trainable_weights]
    model.fit(IDS, target, epochs=1, verbose=0)
    after = [w.numpy() for w in model.trainable_weights]
    moved = [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]
    assert min(moved[:3]) > 0  # the table, the queries and their bias
    _, found = run(model, loaded.backend, IDS)
    assert len(found) == 1


WRONG = {
    'observe(logits, rows="any")': 'is written out as one of "shares", "parts"',
    "observe(logits, rows=num_heads)": "is written out as one of",
    "observe(x)": "a map is numbers (batch, heads, queries, keys), not (batch, 7, 8)",
    "observe(logits > 0)": "not a mask",
    "observe(logits, logits)": "an attention mask is true where a key may be attended",
    "observe(logits, slice(attention_mask, 0, 3))": "does not fit weights",
    "observe(reshape(arange(length(x), x), (1, 1, 1, length(x))) + 0)": "has no batch",
}


@pytest.mark.parametrize(("call", "message"), WRONG.items(), ids=WRONG)
def test_what_cannot_be_observed_is_said(call, message):
    with pytest.raises(NeuralError) as caught:
        check_text(HEADS % f"{LOGITS} return merge_heads({call} @ values)")
    assert message in caught.value.diagnostics[0].message


def test_two_maps_in_one_define_are_refused():
    with pytest.raises(NeuralError) as caught:
        check_text(HEADS % f"{LOGITS} return observe(logits) @ observe(logits)")
    assert [d.code for d in caught.value.diagnostics if d.code[0] == "E"] == ["E0222"]
    assert "observes twice" in caught.value.diagnostics[0].message


def test_names_of_the_author_stay_apart():
    text = HEADS.replace("drop = Dropout(0.5)", "observed = Dense(d_model)")
    last = "return observed(x) + merge_heads(observe(softmax(logits)) @ values)"
    text = text % f"{LOGITS} {last}"
    (checked,), _ = check_text(text)
    for name in names():
        loaded = load_model(checked, name)
        _, found = run(loaded.model, loaded.backend, IDS)
        assert len(found) == 1


@pytest.mark.requires_torch
def test_differential_attention_is_that_of_transformers(backend):
    """DiffLlama's module with random weights; its map is worked out of its softmax."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers.models.diffllama")
    from transformers import DiffLlamaConfig
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention

    text = """define Differential(num_heads, share = 0.8, d_model = width(x)) {
      layers:
        q_proj = Dense(d_model, use_bias=false)  k_proj = Dense(d_model, use_bias=false)
        v_proj = Dense(d_model, use_bias=false)  o_proj = Dense(d_model, use_bias=false)
      forward(x):
        half = num_heads / 2
        q = split_heads(q_proj(x), num_heads) / sqrt(d_model / num_heads)
        k = split_heads(k_proj(x), num_heads)
        v = split_heads(v_proj(x), num_heads)
        maps = attention_softmax(q @ transpose(k), causal=true)
        one = slice(maps, 0, half, axis=1)
        weights = one - share * slice(maps, half, axis=1)
        weights = observe(weights, causal=true, rows="signed")
        values = concatenate([slice(v, 0, half, axis=1), slice(v, half, axis=1)])
        context = weights @ values
        context = context / sqrt(mean(context * context) + 1e-6)
        return o_proj(merge_heads((1 - share) * context))
    }
    network N { input: (6, 16) layers: Differential(4, SHARE) }"""
    config = DiffLlamaConfig(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4,
        rms_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    module = DiffLlamaAttention(config, layer_idx=1).double().eval()
    for name in ("q1", "k1", "q2", "k2"):  # their exponentials cancel out then
        getattr(module, f"lambda_{name}").data.zero_()
    (checked,), _ = check_text(text.replace("SHARE", repr(module.lambda_init)))
    loaded = load_model(checked, backend, dtype="float64")
    reference = load_model(checked, "numpy", dtype="float64").model.named_weights()
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        weight = reference[f"differential_0.{name}.weight"]
        getattr(module, name).weight.data = torch.from_numpy(weight)
    x = np.random.default_rng(1).normal(size=(2, 6, 16))
    ones = torch.ones(2, 6, 4, dtype=torch.float64)  # turned by nothing
    hidden = torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(1)[None, None]
    with torch.no_grad():
        given = torch.from_numpy(x), (ones, 0 * ones), hidden
        expected, maps = module(*given)
    output, found = run(loaded.model, loaded.backend, x)
    ((weights, _),) = found.values()
    difference = maps[:, :2] - module.lambda_init * maps[:, 2:]
    # Its softmax is that of float32, whatever the module is.
    np.testing.assert_allclose(weights, difference.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(output, expected.numpy(), rtol=0, atol=1e-5)


# --- what the doctor holds them to ---------------------------------------------------

DRAWN = np.random.default_rng(0).normal(size=(1, 2, 5, 5)).astype("float32")
ROWS_OF = {
    "shares": special.softmax(DRAWN, -1),
    "parts": special.softmax(DRAWN, -1) / 2,
    "gates": special.expit(DRAWN) + 0.5,
    "signed": DRAWN,
}


@pytest.mark.parametrize("claimed", ROWS)
@pytest.mark.parametrize("real", ROWS)
def test_the_doctor_checks_exactly_what_is_promised(claimed, real):
    """Each promise includes those before it."""
    maps, findings = admit({"a": ROWS_OF[real]}, rows=claimed)
    stops = [finding for finding in findings if finding.stops]
    if ROWS.index(real) <= ROWS.index(claimed):
        assert stops == []
        assert maps.maps[0].rows == claimed
    else:
        (stop,) = stops
        assert stop.code == ("W0802" if real == "signed" else "W0803")
        assert f'rows="{real}"' in stop.hint
        assert len(maps) == 0


def test_hidden_keys_and_the_future_count_with_either_sign():
    weights = np.where(np.tri(5, dtype=bool), DRAWN, 0)
    weights[..., 0, 4] = -0.5
    (finding,) = examine(
        AttentionMaps(
            [AttentionMap("a", weights, "decoder_self", causal=True, rows="signed")]
        )
    )
    assert finding.code == "W0804"


def test_a_map_of_softmax_is_written_as_before(tmp_path):
    maps = AttentionMaps([AttentionMap("a", ROWS_OF["shares"])])
    maps.save(tmp_path / "a.npz")
    assert b'"rows"' not in (tmp_path / "a.npz").read_bytes()


# --- numbers, pictures and pages -----------------------------------------------------


def maps_of(rows, tokens="abcde"):
    """One map that promises `rows`, as it is promised."""
    tokens = list(tokens)
    one = AttentionMap(
        "a", ROWS_OF[rows], query_tokens=tokens, key_tokens=tokens, rows=rows
    )
    return AttentionMaps([one], trained=True)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", STATISTICS)
def test_every_metric_of_every_promise_is_defined_or_told(name, rows):
    """Null just where the row of the registry says that it is for other rows."""
    data = json.loads(to_json(analyze(maps_of(rows), rank=True)))
    told = any("not defined" in note or "defined" in note for note in data["notes"])
    of_shares = analyze(maps_of("shares"), rank=True).heads[0].statistics
    for head in data["heads"]:
        assert head["rows"] == rows
        if rows not in REGISTRY[name].rows:
            assert head["statistics"][name] is None
            assert told
        else:
            assert (name in head["statistics"]) == (name in of_shares)


@pytest.mark.parametrize("rows", ["parts", "gates"])
def test_shares_are_measured_of_rows_divided_by_their_sum(rows):
    weights = ROWS_OF[rows]
    shares = weights / weights.sum(axis=-1, keepdims=True)
    found = analyze(maps_of(rows), rank=True)
    expected = analyze(AttentionMaps.from_arrays({"a": shares}, list("abcde")))
    for head, other in zip(found.heads, expected.heads, strict=True):
        for name, statistic in other.statistics.items():
            if REGISTRY[name].divided:
                mean = head.statistics[name].mean
                assert mean == pytest.approx(statistic.mean, abs=1e-6), name
        assert head.pattern.name == other.pattern.name
    own = weights[0].astype(float)
    for at, head in enumerate(found.heads):
        assert head.statistics["weight_mean"].mean == pytest.approx(own[at].mean())
        assert head.statistics["weight_std"].mean == pytest.approx(own[at].std())
        assert head.statistics["weight_max"].mean == pytest.approx(own[at].max())
        values = np.linalg.svd(own[at], compute_uv=False)
        p = values / values.sum()
        rank = np.exp(-(p * np.log(p)).sum())
        assert head.statistics["effective_rank"].mean == pytest.approx(rank, rel=1e-6)
    assert found.example.rollout == pytest.approx(np.array(expected.example.rollout))


def test_rollout_flow_and_clusters_stay_away_from_signed_weights():
    mixed = AttentionMaps(
        [*maps_of("shares").maps, AttentionMap("b", ROWS_OF["signed"], rows="signed")]
    )
    found = analyze(mixed, flow=True)
    assert found.example.rollout == []
    assert found.example.flow == []
    assert any("no rollout" in note for note in found.notes)
    assert any("no attention flow" in note for note in found.notes)
    assert not any("L1" in label for group in found.clusters for label in group)
    signed = [one for one in found.example.connections["b"] if one.weight < 0]
    average = ROWS_OF["signed"][0].mean(axis=0)
    np.fill_diagonal(average, 0)
    assert len(signed) == (average < -0.1).sum()


@pytest.mark.usefixtures("undrawn")
def test_signed_numbers_are_the_same_everywhere(capsys):
    analysis = analyze(maps_of("signed"))
    least = number(float(DRAWN[0, 0].min()))
    print_analysis(analysis, heads=True)
    texts = {
        "terminal": capsys.readouterr().out,
        "markdown": to_markdown(analysis),
        "html": to_html(analysis),
    }
    for name, text in texts.items():
        assert least in text, name
        assert "not shares of attention" in text, name
        assert "–" in text, name
        assert "nan" not in text.lower().replace("<svg", ""), name
    (item,) = (maps_of("signed").item("a"),)
    for head, values in zip(analysis.heads, HeadMeasurer().measure(item), strict=True):
        known = {key: value for key, value in values.items() if value is not None}
        assert known == {n: s.mean for n, s in head.statistics.items() if n in known}
        assert known.keys() == {"weight_mean", "weight_std", "weight_min", "weight_max"}
    assert guide_patterns(maps_of("signed"))["a"]["avg_entropy"] is None
    report = build_report(maps_of("signed"))
    assert "not defined" in report.to_text()
    assert report.to_dict()["layers"][0]["attention_entropy"] == [None, None]


@pytest.mark.parametrize("rows", ROWS)
def test_a_part_of_an_analysis_keeps_the_promise(rows, tmp_path):
    part = PartialAnalysis()
    part.take(maps_of(rows), [])
    text = part.save(tmp_path / "part.json").read_text("utf-8")
    assert ('"rows": "' in text) == (rows != "shares")
    again = finish(PartialAnalysis.load(tmp_path / "part.json"))
    assert [head.rows for head in again.heads] == [rows, rows]
    assert again.to_dict()["heads"] == finish(part).to_dict()["heads"]


def test_the_scale_of_a_signed_picture_has_0_in_its_middle():
    signed = plot_heatmap(DRAWN[0, 0], rows="signed")
    low, high = signed.axes[0].images[0].get_clim()
    assert (low, high) == (-high, pytest.approx(np.abs(DRAWN[0, 0]).max()))
    red, green, blue, _ = signed.axes[0].images[0].cmap(0.5)
    assert min(red, green, blue) > 0.9
    assert plot_heatmap(DRAWN[0, 0]).axes[0].images[0].get_clim() == (low, high)
    gates = plot_heatmap(ROWS_OF["gates"][0, 0], rows="gates")
    assert gates.axes[0].images[0].get_clim() == (0, ROWS_OF["gates"][0, 0].max())
    trace = build_dashboard(maps_of("signed")).data[0]
    assert trace.zmin == -trace.zmax
    assert build_dashboard(maps_of("gates")).data[0].zmin == 0


def test_a_long_signed_head_keeps_what_is_strongest_in_size():
    weights = np.zeros((8, 8), np.float32)
    weights[5, 2], weights[5, 3] = -0.9, 0.4
    reduced = reduce_head(weights, 4, signed=True)
    assert reduced.greatest[1, 0] == np.float32(-0.9)
    assert reduced.keys[5, :2].tolist() == [2, 3]
    assert reduced.weights[5, :2].tolist() == [np.float32(-0.9), np.float32(0.4)]


@pytest.mark.parametrize("precision", ["compact", "fine", "full"])
@pytest.mark.parametrize("rows", ROWS)
def test_a_page_keeps_weights_and_promise(rows, precision, tmp_path):
    maps = maps_of(rows)
    page = explore(maps, precision=precision).save(tmp_path / "page.html")
    (one,) = read_page(page).maps
    assert one.rows == rows
    bound = 0 if rows == "signed" else PRECISIONS[precision].bound
    error = np.abs(one.weights - maps["a"]).max()
    assert error <= bound * maps["a"].max() + 1e-7
    said = b'"rows":"' in page.read_bytes()
    assert said == (rows != "shares")


def test_two_models_of_signed_maps_have_no_divergence():
    (entry,) = compare_maps(maps_of("signed"), maps_of("signed"))
    assert entry["examples"][0] == {"largest": [0, 0], "divergence": [None, None]}


def test_arrays_on_the_command_line(tmp_path):
    arrays, saved = tmp_path / "arrays.npz", tmp_path / "maps.npz"
    np.savez(arrays, a=DRAWN)
    maps_of("signed").save(saved)

    def said(*arguments):
        found = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        return found.exit_code, f"{found.output}{found.exception}"

    code, text = said("analyze", arrays)
    assert code
    assert 'rows="signed"' in text
    code, text = said("analyze", arrays, "--rows", "signed", "--json")
    assert code == 0
    assert '"rows": "signed"' in text
    code, text = said("visualize", arrays, "--rows", "signed", "-o", tmp_path / "out")
    assert code == 0
    assert "any sign" in text
    code, text = said("analyze", saved, "--rows", "signed")
    assert code
    assert "saved maps already say what their rows sum to" in text


def test_maps_of_parts_of_the_heads_know_whose_steps_they_are():
    text = "network N { input: (none, 16) layers: DifferentialAttention(2) }"
    (checked,), _ = check_text(text)
    (found,) = checked.attentions.values()
    assert (found.queries, found.keys) == ("inputs", "inputs")
