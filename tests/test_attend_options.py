"""The options of attend: window, bias, scale, cap and sink."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import load_file

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.corpus import assert_backends_agree

HEADS, SIZE = 4, 3

DEFINE = """
define Own(groups) {{
  layers:
    q = Dense(12)
    k = Dense(groups * 3)
    v = Dense(groups * 2)
    table = Dense(4)

  forward(x, memory, memory_mask = none):
    query = split_heads(q(x), 4)
    key = split_heads(k(memory), groups)
    value = split_heads(v(memory), groups)
    one = reshape(arange(1, x) + 1, (1, 1))
    logit = reshape(table(one), (4,))
    heads = reshape(arange(4, x) + 1, (4, 1))
    distances = heads * sin(relative_positions(query, key))
{pairs}    return merge_heads(attend(query, key, value, memory_mask{options}))
}}
network Options {{
  input: {{ ids: ({keys},) x: ({queries}, 8) }}
  layers:
    ids: {{ Embedding(9, 8, mask_zero=true) }}
    x: {{ Own({groups}, memory=ids) }}
}}
"""
PAIRS = """\
    pairs = reshape(x @ transpose(memory), (-1, 1, length(x), length(memory)))
"""
BIASES = {
    "distances": lambda x, m, step: np.arange(1, 5)[:, None, None] * np.sin(step),
    "pairs": lambda x, m, step: (x @ m.swapaxes(1, 2))[:, None],
}


def source(options, queries="none", keys="none", groups=4):
    written = "".join(
        f", {name}={str(value).lower()}"
        for name, value in options.items()
        if value is not None
    )
    return DEFINE.format(
        options=written, queries=queries, keys=keys, groups=groups, pairs=PAIRS
    )


def equation(w, ids, x, groups, options):
    """Output and weights from the definition, in float64."""
    memory = w["embedding_0.weight"][ids]
    projected = {
        n: v @ w[f"own_0.{n}.weight"].T + w[f"own_0.{n}.bias"]
        for n, v in {"q": x, "k": memory, "v": memory}.items()
    }

    def heads(name, count):
        batch, time, width = projected[name].shape
        split = projected[name].reshape(batch, time, count, width // count)
        return np.repeat(split.swapaxes(1, 2), HEADS // count, axis=1)

    q, k, v = heads("q", HEADS), heads("k", groups), heads("v", groups)
    queries, keys = q.shape[2], k.shape[2]
    step = np.arange(keys) - (np.arange(queries)[:, None] + keys - queries)
    logits = q @ k.swapaxes(2, 3) * (options.get("scale") or SIZE**-0.5)
    if cap := options.get("cap"):
        logits = cap * np.tanh(logits / cap)
    if bias := options.get("bias"):
        logits = logits + BIASES[bias](x, memory, step)
    seen = np.broadcast_to((ids != 0)[:, None, None], logits.shape)
    if options.get("causal"):
        seen = seen & (step <= 0)
    if window := options.get("window"):
        seen = seen & (np.abs(step) < window)
    share = np.where(seen, np.exp(logits), 0)
    total = share.sum(axis=-1, keepdims=True)
    if options.get("sink"):
        table = w["own_0.table.weight"].sum(axis=1) + w["own_0.table.bias"]
        total = total + np.exp(table)[:, None, None]
    weights = share / np.where(total == 0, 1, total)
    context = (weights @ v).swapaxes(1, 2)
    return context.reshape(*context.shape[:2], -1), weights, seen


def inputs(queries, keys, seed=0):
    """Ids with padding at both ends, and one example of nothing else."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(1, 9, (3, keys))
    ids[0, keys - keys // 3 :] = ids[0, : keys // 4] = 0
    ids[1] = 0
    return {"ids": ids, "x": draw.normal(size=(3, queries, 8))}


def prepared(text, backend, dtype, path=None):
    (checked,), warnings = check_text(text)
    # each case leaves what only others read
    assert {w.code for w in warnings} <= {"W0120"}
    return load_model(checked, backend, path, dtype=dtype)


SETTINGS = [
    {"window": 3},
    {"window": 1, "sink": "logit"},
    {"scale": 0.7},
    {"bias": "distances"},
    {"bias": "pairs"},
    {"cap": 0.8},
    {"sink": "logit"},
    {"scale": 1, "window": 4, "bias": "distances", "cap": 2.5, "sink": "logit"},
    {"scale": 0.1, "window": 100, "bias": "pairs", "sink": "logit"},
    {"window": 2, "bias": "distances"},
]
SIZES = [(7, 7, 2), (3, 8, 4), (8, 3, 1), (1, 1, 4), (1, 6, 2), (300, 300, 4)]
CASES = [
    ({**options, "causal": causal}, SIZES[(2 * number + causal) % len(SIZES)])
    for number, options in enumerate(SETTINGS)
    for causal in (False, True)
]


def drawn(seed):
    """Options and sizes at random."""
    draw = np.random.default_rng(seed)
    options = {
        "causal": draw.random() < 0.5,
        "window": draw.choice([None, 1, 2, 5, 140]),
        "bias": draw.choice([None, "distances", "pairs"]),
        "scale": draw.choice([None, 0.4, 1]),
        "cap": draw.choice([None, 0.5, 3]),
        "sink": draw.choice([None, "logit"]),
    }
    queries, keys = (int(n) for n in draw.choice([1, 2, 5, 9, 150, 1100], 2))
    return options, (queries, min(keys, 150) if queries > 1000 else keys, 2)


def weights_of(loaded, folder):
    path = folder / "weights.safetensors"
    loaded.model.save_weights(path)
    return load_file(path)


def assert_is_equation(options, sizes, backend, folder):
    queries, keys, groups = sizes
    loaded = prepared(source(options, groups=groups), backend, "float64")
    given = inputs(queries, keys)
    w = weights_of(loaded, folder)
    expected, exact, seen = equation(w, **given, groups=groups, options=options)
    output, maps = run(loaded.model, loaded.backend, given)
    ((found, mask),) = maps.values()
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-9)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(np.broadcast_to(mask, seen.shape), seen)
    np.testing.assert_allclose(run_alone(loaded, given), expected, rtol=0, atol=1e-9)


def run_alone(loaded, given):
    """The output, no map asked for."""
    with loaded.backend.inference():
        tensors = {n: loaded.backend.tensor(v) for n, v in given.items()}
        return loaded.backend.array(loaded.model(tensors))


# Keras warns of a softmax over one key.
one_key = pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")


@pytest.mark.thorough("tensorflow", every=3)
@one_key
@pytest.mark.parametrize(("options", "sizes"), CASES, ids=str)
def test_attend_is_its_equation(options, sizes, backend, tmp_path):
    assert_is_equation(options, sizes, backend, tmp_path)


@one_key
@pytest.mark.parametrize("seed", range(12))
def test_any_options_are_their_equation(seed, backend, tmp_path):
    assert_is_equation(*drawn(seed), backend, tmp_path)


@one_key
@pytest.mark.parametrize("queries", [0, 1])
def test_nothing_and_one_step(queries, backend):
    text = source(SETTINGS[7]).replace(PAIRS, "")
    loaded = prepared(text, backend, "float32")
    given = inputs(queries, queries)
    given["x"] = given["x"].astype("float32")
    output, maps = run(loaded.model, loaded.backend, given)
    ((weights, _),) = maps.values()
    assert output.shape == (3, queries, 8)
    assert weights.shape == (3, 4, queries, queries)
    assert np.isfinite(output).all()
    np.testing.assert_allclose(run_alone(loaded, given), output, atol=1e-6)
    assert (weights[1] == 0).all()  # its only key is padding


@one_key
def test_options_that_are_none_change_nothing(backend):
    """One define, with options in one layer and none in the other."""
    text = """
    define Own(window = none, cap = none, scale = none) {
      forward(x):
        h = split_heads(x, 2)
        return merge_heads(attend(h, h, h, window=window, cap=cap, scale=scale))
    }
    network N { input: (none, 8) layers: Own() Own(3, 2.0, 0.4) }"""
    loaded = prepared(text, backend, "float64")
    x = np.random.default_rng(0).normal(size=(2, 6, 8))
    _, maps = run(loaded.model, loaded.backend, x)
    plain = prepared(
        "network N { input: (none, 8) layers: Attention(2) }", backend, "float64"
    )
    _, expected = run(plain.model, plain.backend, x)
    ((found, _), (near, _)), ((weights, _),) = maps.values(), expected.values()
    np.testing.assert_allclose(found, weights, atol=1e-12)
    i, j = np.indices((6, 6))
    np.testing.assert_array_equal(near[0, 0] > 0, abs(i - j) < 3)


WEIGHTS_OF = """define Own() {{
  layers: table = Dense(2)
  forward(x, attention_mask = none):
    h = split_heads(x, 2)
    one = reshape(arange(1, x) + 1, (1, 1))
    sink = reshape(table(one), (2,))
    weights = attention_softmax(h @ transpose(h), attention_mask{options})
    return merge_heads(weights @ h)
}}
network N {{ input: (none, 8) layers: Own() }}"""


@pytest.mark.parametrize("causal", ["false", "true"])
def test_attention_softmax_has_a_window_and_a_sink(causal, backend, tmp_path):
    written = f", causal={causal}, window=3, sink=sink"
    loaded = prepared(WEIGHTS_OF.format(options=written), backend, "float64")
    x = np.random.default_rng(0).normal(size=(2, 6, 8))
    _, maps = run(loaded.model, loaded.backend, x)
    w = weights_of(loaded, tmp_path)
    h = x.reshape(2, 6, 2, 4).swapaxes(1, 2)
    i, j = np.indices((6, 6))
    seen = (abs(i - j) < 3) & ((j <= i) | (causal == "false"))
    share = np.where(seen, np.exp(h @ h.swapaxes(2, 3)), 0)
    sink = w["own_0.table.weight"][:, 0] + w["own_0.table.bias"]
    total = share.sum(axis=-1, keepdims=True) + np.exp(sink)[:, None, None]
    ((found, _),) = maps.values()
    np.testing.assert_allclose(found, share / total, atol=1e-12)


REFUSED = {
    "window=0": "a window of 0 steps shows nothing",
    "window=-2": "a window of -2 steps shows nothing",
    "window=1.5": "`1.5` must be a whole number",
    "scale=0": "`scale` must be a number above 0, not 0",
    "scale=-1": "`scale` must be a number above 0, not -1",
    "scale=h": "`scale` must be a number above 0, not a tensor",
    "cap=0": "`cap` must be a number above 0, not 0",
    "cap=true": "`cap` must be a number above 0, not true",
    "bias=x": "a bias of shape (batch, 5, 8) does not fit weights (batch, 2, 5, 5)",
    "bias=h": "a bias of shape (batch, 2, 5, 4) does not fit weights (batch, 2, 5, 5)",
    "bias=1": "a bias of shape 1 does not fit",
    "bias=h @ transpose(h) > 0": "does not fit weights (batch, 2, 5, 5)",
    "bias=reshape(arange(18, x), (2, 9)) > 0": "does not fit",
    "bias=reshape(arange(27, x), (3, 9))": "a bias of shape (3, 9) does not fit",
    "bias=reshape(arange(20, x), (2, 10))": "a bias of shape (2, 10) does not fit",
    "bias=reshape(arange(9, x), (9,))": "a bias of shape (9) does not fit",
    "bias=max(max(x, axis=1))": "a bias of shape (batch, 1, 1) does not fit",
    "sink=arange(3, x)": "a sink is one logit for each head, (2), not (3)",
    "sink=0.5": "a sink is one logit for each head, (2), not 0.5",
    "sink=x": "a sink is one logit for each head, (2), not (batch, 5, 8)",
    "sink=arange(1, x)": "a sink is one logit for each head, (2), not (1)",
}
FITS = [
    "bias=reshape(arange(18, x), (2, 9))",
    "bias=reshape(arange(9, x), (1, 9))",
    "bias=h @ transpose(h)",
    "bias=reshape(arange(5, x), (1, 1, 1, 5))",
    "sink=arange(2, x)",
    "scale=1 / d_model",
    "window=d_model / 4",
]
CHECKED = """define A(d_model = width(x)) {{
  forward(x):
    h = split_heads(x, 2)
    return merge_heads(attend(h, h, h, {option}))
}}
network N {{ input: (5, 8) layers: A() }}"""


@pytest.mark.parametrize(("option", "message"), REFUSED.items(), ids=REFUSED)
def test_what_does_not_fit_is_said(option, message):
    with pytest.raises(NeuralError) as caught:
        check_text(CHECKED.format(option=option))
    (problem,) = caught.value.diagnostics
    assert message in problem.message
    assert problem.code == "E0301"


@pytest.mark.parametrize("option", FITS)
def test_what_fits_runs_everywhere(option, available_backends, tmp_path):
    (checked,), _ = check_text(CHECKED.format(option=option))
    assert_backends_agree(checked, available_backends, tmp_path)


def test_a_window_is_known_when_compiling():
    text = CHECKED.format(option="window=length(x)").replace("(5, 8)", "(none, 8)")
    with pytest.raises(NeuralError, match="`window` must be known when compiling"):
        check_text(text)


def test_a_bias_of_wrong_length_is_an_error_when_it_runs(backend):
    """Where lengths are not known before."""
    text = CHECKED.format(option="bias=reshape(arange(18, x), (2, 9))")
    text = text.replace("(5, 8)", "(none, 8)").replace("A(d_model = width(x))", "A()")
    loaded = prepared(text, backend, "float32")
    for length in (4, 6):
        x = np.zeros((1, length, 8), "float32")
        with pytest.raises(Exception, match=r"\d"):
            run(loaded.model, loaded.backend, x)
        with pytest.raises(Exception, match=r"\d"), loaded.backend.inference():
            loaded.model(loaded.backend.tensor(x))


def test_networks_copy_only_what_they_use():
    for name in ("pytorch", "numpy", "tensorflow"):
        code = {
            option: emit(check_text(CHECKED.format(option=option))[0][0], get(name))
            for option in ("window=3", "cap=2.0", "sink=arange(2, x)", "scale=0.5")
        }
        assert "BlockwiseAttentionLayer" not in code["scale=0.5"]
        for option, text in code.items():
            others = {"window", "cap", "sink", "bias"} - {option.partition("=")[0]}
            for other in others:
                assert f"{other}=" not in text, (name, option, other)
        assert "class CausalAttentionLayer" not in code["window=3"]


MIXED = """
define A() { forward(x):
  h = split_heads(x, 2)
  return merge_heads(attend(h, h, h, causal=true)) }
define B() { forward(x):
  h = split_heads(x, 2)
  bias = -abs(reshape(relative_positions(h, h), (1, -1)))
  return merge_heads(attend(h, h, h, bias=bias)) }
define C() { forward(x):
  h = split_heads(x, 2)
  return merge_heads(attend(h, h, h, window=3)) }
define D() { forward(x):
  h = split_heads(x, 2)
  return merge_heads(attend(h, h, h, cap=2.0)) }
define E() { forward(x):
  h = split_heads(x, 2)
  return merge_heads(attend(h, h, h, sink=arange(2, x))) }
define G() { forward(x):
  h = split_heads(x, 2)
  return merge_heads(attention_softmax(h @ transpose(h), sink=arange(2, x)) @ h) }
network N { input: (7, 8) layers: A() B() C() D() E() G() }
"""


def test_classes_with_different_options_share_a_file(available_backends, tmp_path):
    (checked,), _ = check_text(MIXED)
    assert_backends_agree(checked, available_backends, tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 7, 8))
    for name in ("numpy", *available_backends):
        loaded = load_model(checked, name, dtype="float64")
        output, maps = run(loaded.model, loaded.backend, x)
        assert len(maps) == 6
        with loaded.backend.inference():
            found = loaded.backend.array(loaded.model(loaded.backend.tensor(x)))
        np.testing.assert_allclose(found, output, atol=1e-9)
