"""States of recurrent layers, handed from one to another: against the frameworks'."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import save_file

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from tests.layer_cases import random_weights, ruff_complaints
from tests.test_generation import Runner
from tests.test_recurrent import as_in_keras

UNITS = 3
NAMES = {1: "h", 2: "h, c", 4: "h, c, h2, c2"}
# as it is written with LAYER's options, and how many states it has
LAYERS = {
    "LSTM": ("LSTM(3OPTIONS)", 2),
    "GRU": ("GRU(3OPTIONS)", 1),
    "SimpleRNN": ("SimpleRNN(3OPTIONS)", 1),
    "LSTM in training": ("LSTM(3, dropout=0.2OPTIONS)", 2),
    "GRU of its own": ("GRU(3, reset_after=falseOPTIONS)", 1),
    "LSTM back": ("LSTM(3, go_backwards=trueOPTIONS)", 2),
    "LSTM both": ("Bidirectional(LSTM(3OPTIONS))", 4),
    "GRU both": ("Bidirectional(GRU(3OPTIONS))", 2),
    "LSTM both of its own": ('Bidirectional(LSTM(3, "relu"OPTIONS))', 4),
}
RANDOM = np.random.default_rng(5)
X, OTHER = RANDOM.normal(size=(2, 5, 4)), RANDOM.normal(size=(2, 6, 4))
IDS = np.array([[3, 4, 7, 0, 0], [0, 0, 5, 2, 6], [1, 0, 0, 8, 0], [0] * 5])


def handed_on(layer, count, sequences="true"):
    """An encoder whose states start a decoder; its output and states come out."""
    states = NAMES.get(count, "h")
    start = f"({states})" if count > 1 else states
    written = layer.replace("OPTIONS", ", return_state=true")
    again = written.replace("_state=true", f"_state=true, return_sequences={sequences}")
    shown = "".join(f", {s} + 0 * slice(y, 0, 3)" for s in states.split(", "))
    width = 6 if layer.startswith("Bi") else 3
    y = "y" if sequences == "true" else f"reshape(y, (-1, 1, {width}))"
    return f"""
    define Run() {{
      layers: first = {written} second = {again}
      forward(x, other):
        _, {states} = first(x)
        y, {states} = second(other, initial_state={start})
        Y
        return concatenate([y{shown}])
    }}
    network N {{ input: {{ x: (none, 4) other: (none, 4) }} layers: Run() }}
    """.replace("Y\n", "" if y == "y" else f"y = {y}\n")


def checked_of(text):
    (checked,), warnings = check_text(text)
    assert {w.code for w in warnings} <= {"W0108"}
    return checked


def outputs(checked, backend, folder, inputs):
    path = folder / "weights.safetensors"
    save_file(random_weights(checked), path)
    loaded = load_model(checked, backend, path, dtype="float64")
    return run(loaded.model, loaded.backend, inputs)[0]


def text_of(name, sequences="true"):
    layer, count = LAYERS[name]
    return handed_on(layer, count, sequences)


CASES = [*((name, "true") for name in LAYERS), ("GRU", "false"), ("LSTM both", "false")]


@pytest.mark.thorough("tensorflow", every=3)
@pytest.mark.parametrize(("name", "sequences"), CASES)
def test_every_backend_gives_what_numpy_gives(name, sequences, backend, tmp_path):
    checked = checked_of(text_of(name, sequences))
    inputs = {"x": X, "other": OTHER}
    reference = outputs(checked, "numpy", tmp_path, inputs)
    found = outputs(checked, backend, tmp_path, inputs)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-10)


def weights_of(checked, layer):
    found = {n: w for n, w in random_weights(checked).items() if f".{layer}." in n}
    return {n.rpartition(".")[2]: w for n, w in found.items()}


@pytest.mark.requires_torch
@pytest.mark.parametrize("module", ["LSTM", "GRU", "LSTM both", "GRU both"])
def test_states_are_those_of_pytorchs_modules(module, tmp_path):
    import torch

    checked = checked_of(text_of(module))
    found = outputs(checked, "numpy", tmp_path, {"x": X, "other": OTHER})
    state, y = None, None
    for layer, x in (("first", X), ("second", OTHER)):
        name, _, both = module.partition(" ")
        theirs = getattr(torch.nn, name)(
            4, UNITS, batch_first=True, bidirectional=bool(both), dtype=torch.float64
        )
        tensors = {
            n: torch.from_numpy(w) for n, w in weights_of(checked, layer).items()
        }
        theirs.load_state_dict(tensors)
        y, state = theirs(torch.from_numpy(x), state)
    kinds = state if isinstance(state, tuple) else (state,)
    states = [
        s[:, None] + 0 * y[..., :UNITS] for way in zip(*kinds, strict=True) for s in way
    ]
    expected = torch.cat([y, *states], dim=-1).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("module", ["LSTM", "GRU", "LSTM both", "GRU both"])
@pytest.mark.parametrize("padded", [False, True])
def test_states_are_those_of_kerass_layers(module, padded, tmp_path):
    """Also behind padding: the mask is what the layer's own `mask` hides."""
    import keras

    text = text_of(module).replace("first(x)", "first(x, real)")
    text = text.replace("_, h", "real = padding_mask(ids) _, h")
    text = text.replace("forward(x, other", "forward(x, other, ids")
    text = text.replace("{ x: (none, 4)", "{ x: (none, 4) ids: (none,)")
    checked = checked_of(text)
    ids = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]]) if padded else np.ones((2, 5))
    inputs = {"x": X, "other": OTHER, "ids": ids.astype(int)}
    found = outputs(checked, "numpy", tmp_path, inputs)
    y, states = None, None
    for layer, x, mask in (("first", X, ids != 0), ("second", OTHER, None)):
        name, _, both = module.partition(" ")
        options = {"return_sequences": True, "return_state": True, "dtype": "float64"}
        theirs = getattr(keras.layers, name)(UNITS, **options)
        tensors = weights_of(checked, layer)
        weights = as_in_keras(name, tensors)
        if both:
            theirs = keras.layers.Bidirectional(theirs, dtype="float64")
            weights += as_in_keras(name, tensors, "_reverse")
        theirs.build(x.shape)
        theirs.set_weights(weights)
        y, *states = theirs(x, mask=mask, initial_state=states)
    shown = [s[:, None] + 0 * y[..., :UNITS] for s in states]
    expected = np.concatenate([y, *shown], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


PADDED = """
define Run() {
  layers: table = Embedding(9, 4, mask_zero=true) first = LAYER
  forward(ids, start):
    real = padding_mask(ids)
    y, h = first(table(ids), real, start)
    return concatenate([h, reshape(y, (-1, 1, 3))])
}
network N { input: { ids: (none,) start: (1, 3) } layers: Run() }
"""


@pytest.mark.parametrize("options", ["", 'recurrent_activation="tanh", '])
def test_padded_steps_leave_the_state_as_it_is(options, backend, tmp_path):
    """The state behind padding is that of the text alone; of none, the one given."""
    text = PADDED.replace("LAYER", f"GRU(3, {options}return_state=true)")
    checked = checked_of(text)
    start = RANDOM.normal(size=(4, 1, 3))
    found = outputs(checked, backend, tmp_path, {"ids": IDS, "start": start})
    for i, ids in enumerate(IDS[:3]):
        inputs = {"ids": ids[None, ids != 0], "start": start[i : i + 1]}
        alone = outputs(checked, "numpy", tmp_path, inputs)
        np.testing.assert_allclose(found[i : i + 1], alone, rtol=0, atol=1e-10)
    nothing = np.concatenate([start[3], start[3]], axis=-1)
    np.testing.assert_allclose(found[3], nothing, rtol=0, atol=1e-12)


def test_one_state_serves_the_whole_batch(backend, tmp_path):
    text = """
    define Run() {
      layers: start = Weight((1, 1, 3), "normal") rnn = GRU(3)
      forward(x): return rnn(x, initial_state=start)
    }
    network N { input: (none, 4) layers: Run() }"""
    checked = checked_of(text)
    both = outputs(checked, backend, tmp_path, X)
    for x, found in zip(X, both, strict=True):
        alone = outputs(checked, "numpy", tmp_path, x[None])[0]
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-10)


def test_a_state_that_is_none_is_zeros(backend, tmp_path):
    text = """
    define Maybe() {
      layers: rnn = LSTM(3, return_sequences=true)
      forward(x, state = none): return rnn(x, initial_state=state)
    }
    define Run() {
      layers: a = Maybe() b = Maybe() start = Weight((1, 1, 3), "zeros")
      forward(x): return a(x) + b(x, (start, start))
    }
    network N { input: (none, 4) layers: Run() }"""
    checked = checked_of(text)
    weights = random_weights(checked)
    start = {n: 0 * w for n, w in weights.items() if "start" in n}
    copied = {n.replace(".b.", ".a."): w for n, w in weights.items() if ".b." in n}
    save_file({**weights, **start, **copied}, tmp_path / "w.safetensors")
    plain = "network N { input: (none, 4) layers: LSTM(3, return_sequences=true) }"
    lone = {n.replace("run_0.b.rnn", "lstm_0"): w for n, w in weights.items()}
    lone = {n: w for n, w in lone.items() if n.startswith("lstm")}
    save_file(lone, tmp_path / "lone.safetensors")
    found = []
    for one, path in ((checked, "w"), (checked_of(plain), "lone")):
        path = tmp_path / f"{path}.safetensors"
        loaded = load_model(one, backend, path, dtype="float64")
        found.append(run(loaded.model, loaded.backend, X)[0])
    np.testing.assert_allclose(found[0], 2 * found[1], rtol=0, atol=1e-10)


# --- chains ------------------------------------------------------------------------

CHAIN = """
network N {
  input: { source: (none,) target: (none,) }
  layers:
    source: { Embedding(9, 4, mask_zero=true) encoder = LAYER }
    target: { Embedding(30, 4) DECODER Output(30) }
}
"""
CHAINS = {
    "LSTM": ("LSTM(3, return_state=true)", "LSTM(3, return_sequences=true, START)"),
    "both": (
        "Bidirectional(GRU(3, return_state=true))",
        "Bidirectional(GRU(3, return_sequences=true), START) GRU(3, return_sequences="
        "true)",
    ),
}


def chain(name, start):
    encoder, decoder = CHAINS[name]
    decoder = decoder.replace("START", f"initial_state={start}")
    return CHAIN.replace("LAYER", encoder).replace("DECODER", decoder)


@pytest.mark.parametrize("start", ["source", "encoder"])
def test_a_chain_names_a_branch_or_a_layer(start, backend, tmp_path):
    found = checked_of(chain("LSTM", start))
    wanted = checked_of("""
    define Both() {
      layers:
        a = Embedding(9, 4) b = Embedding(30, 4) out = Dense(30)
        encoder = LSTM(3, return_state=true)
        decoder = LSTM(3, return_sequences=true)
      forward(source, target):
        _, h, c = encoder(a(source), padding_mask(source))
        return softmax(out(decoder(b(target), initial_state=[h, c])))
    }
    network N { input: { source: (none,) target: (none,) } layers: Both() }""")
    target = 1 + np.arange(8).reshape(4, 2)
    inputs = {"source": IDS, "target": target}
    values = list(random_weights(found).values())
    names = {"embedding_0": "a", "embedding_1": "b", "lstm_0": "decoder"}
    names |= {"output_0": "out"}
    weights = {}
    for name, value in zip(random_weights(found), values, strict=True):
        layer, _, rest = name.partition(".")
        weights[f"both_0.{names.get(layer, layer)}.{rest}"] = value
    save_file(weights, tmp_path / "wanted.safetensors")
    loaded = load_model(
        wanted, "numpy", tmp_path / "wanted.safetensors", dtype="float64"
    )
    expected = run(loaded.model, loaded.backend, inputs)[0]
    output = outputs(found, backend, tmp_path, inputs)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-10)


def test_a_translator_that_hands_on_its_state_writes(backend, tmp_path):
    """What the encoder left is read once; tokens are those of the whole forward."""
    source = np.where(IDS[:3] == 0, 2, IDS[:3])
    model = Runner(chain("LSTM", "source"), backend, tmp_path)
    start = np.array([[7], [2], [9]])
    expected = start
    for _ in range(4):
        token = model.output(expected, source)[:, -1].argmax(axis=-1)
        expected = np.concatenate([expected, token[:, None]], axis=1)
    np.testing.assert_array_equal(model.generate(start, 4, source=source), expected)
    beams = model.generate(start, 3, source=source, beams=2)
    assert beams.shape == (3, 4)


@pytest.mark.requires_torch
@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_gets_a_gradient_in_pytorch(name):
    import torch

    namespace = {}
    exec(emit(checked_of(text_of(name)), get("pytorch")), namespace)
    torch.manual_seed(0)
    model = namespace["create_model"]().eval()
    inputs = {"x": torch.tensor(X).float(), "other": torch.tensor(OTHER).float()}
    (model(inputs) ** 2).sum().backward()
    for weight, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, weight


@pytest.mark.thorough
@pytest.mark.requires_tensorflow
def test_every_weight_gets_a_gradient_in_keras_and_is_saved(tmp_path):
    import keras
    import tensorflow as tf

    namespace = {}
    exec(emit(checked_of(chain("both", "encoder")), get("tensorflow")), namespace)
    model = namespace["create_model"]()
    inputs = {"source": IDS, "target": 1 + IDS}
    with tf.GradientTape() as tape:
        loss = keras.ops.sum(model(inputs) ** 2)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-6)


@pytest.mark.parametrize("name", ["LSTM both", "GRU of its own"])
def test_code_is_formatted(name, backend, tmp_path):
    source = emit(checked_of(text_of(name)), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


REFUSED = {
    "y, h = lstm(x) return y": "gives 3, but 2 names stand before",
    "y = lstm(x) return y": "gives 3 values",
    "y, h, c = lstm(x, initial_state=x) return y": "`lstm` starts from 2 states",
    "y, h, c = lstm(x, initial_state=(x, x)) return y": (
        "the hidden state of `lstm` is (batch, 1, 3), not (batch, 5, 4)"
    ),
    "y, h = gru(x) return gru(x, initial_state=(h, h))": "`gru` starts from one state",
    "y, h = gru(x) y, h = gru(x, initial_state=y) return y": (
        "the hidden state of `gru` is (batch, 1, 3), not (batch, 3)"
    ),
    "y, h = gru(x) y, h = gru(x, initial_state=2) return y": "a value of another kind",
    "y, _, _, h, c = both(x) y, h, _ = lstm(x, initial_state=(h, c, c)) return y": (
        "`lstm` starts from 2 states"
    ),
    "return several(x)": "but its next repeat takes one",
    "return dense(x, initial_state=x)": "`dense` has no parameter `initial_state`",
}


@pytest.mark.parametrize(("body", "said"), REFUSED.items(), ids=REFUSED)
def test_what_is_no_state_is_refused(body, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"""define Own() {{
          layers:
            lstm = LSTM(3, return_state=true) gru = GRU(3, return_state=true)
            both = Bidirectional(LSTM(3, return_state=true)) dense = Dense(3)
            several = GRU(4, return_state=true, return_sequences=true) * 2
          forward(x): {body}
        }}
        network N {{ input: (5, 4) layers: Own() }}""")
    found = caught.value.diagnostics
    assert any(said in one.message for one in found), [o.message for o in found]
    assert all(one.span.line == 6 for one in found if said in one.message)


CHAINS_REFUSED = {
    "GRU(3, initial_state=sources)": "E0245 there is no state `sources`",
    "GRU(3, initial_state=2)": "E0245 there is no state `2`",
    "GRU(3, return_state=true)": "E0245 `gru_0` returns its states",
    "GRU(4, initial_state=source)": "E0301 the hidden state of `gru_0` is",
    "LSTM(3, initial_state=source)": "E0301 `lstm_0` starts from 2 states",
    "TimeDistributed(GRU(3, initial_state=source))": "E0301",
}


@pytest.mark.parametrize(("layer", "said"), CHAINS_REFUSED.items(), ids=CHAINS_REFUSED)
def test_chains_refuse_what_is_no_state(layer, said):
    text = f"""network N {{
      input: {{ source: (5, 4) target: (5, 4) }}
      layers:
        source: {{ encoder = GRU(3, return_state=true) }}
        target: {{ {layer} }}
    }}"""
    with pytest.raises(NeuralError) as caught:
        check_text(text)
    found = [f"{one.code} {one.message}" for one in caught.value.diagnostics]
    assert any(one.startswith(said) for one in found), found
