"""Arrays that a block learns, and a layer's matrix that is used twice."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from scipy import special

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected, initial
from tests.corpus import assert_backends_agree
from tests.layer_cases import ruff_complaints

RMS_NORM = """
define RMSNorm(epsilon = 1e-6, d_model = width(x)) {
  layers:
    scale = Weight(d_model, "ones")
  forward(x):
    return x / sqrt(mean(x * x) + epsilon) * scale
}
"""
TIED = (
    RMS_NORM
    + """
define LanguageModel(vocab, d_model) {
  layers:
    token = Embedding(vocab, d_model)
    query = Dense(d_model, use_bias=false)
    norm = RMSNorm()
    bias = Weight(vocab, 0.5)
    mix = Weight((2, d_model / 2), "normal")
    none_yet = Weight((1, 1), "zeros")
  forward(ids):
    x = query(token(ids))
    first, second = split(x, 2)
    top, bottom = split(mix, 2, axis=0)
    x = concatenate([first * top, second * bottom]) @ weight(query) + none_yet
    return norm(x) @ transpose(weight(token)) + bias()
}
network Tied {
  input: (none,)
  layers: LanguageModel(11, 6) Activation("softmax")
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.05)
}
"""
)
IDS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 10]])


def checked_of(text):
    (checked,), warnings = check_text(text)
    assert warnings == []
    return checked


def equation(weights, ids):
    """The forward of `TIED`, written with NumPy alone."""
    named = {name.rpartition("language_model_0.")[2]: w for name, w in weights.items()}
    x = named["token.weight"][ids] @ named["query.weight"].T
    x = x * named["mix"].reshape(-1) @ named["query.weight"] + named["none_yet"]
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * named["norm.scale"]
    return special.softmax(x @ named["token.weight"].T + named["bias"], axis=-1)


def disturbed(checked, dtype):
    """Weights none of which is still as it starts."""
    random = np.random.default_rng(1)
    return {
        name: (weight + 0.3 * random.normal(size=weight.shape)).astype(dtype)
        for name, weight in initial(checked).items()
    }


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 1e-6)])
def test_the_output_is_the_equations(backend, dtype, error, tmp_path):
    from safetensors.numpy import load_file, save_file

    checked = checked_of(TIED)
    weights = disturbed(checked, dtype)
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    loaded = load_model(checked, backend, dtype=dtype)
    loaded.model.load_weights(path)
    output, _ = run(loaded.model, loaded.backend, IDS)
    np.testing.assert_allclose(output, equation(weights, IDS), rtol=0, atol=error)

    loaded.model.save_weights(tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert again.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(again[name], weight)


def test_a_shared_matrix_is_in_the_weights_once():
    checked = checked_of(TIED)
    shapes = {n.rpartition("model_0.")[2]: s for n, s in expected(checked).items()}
    assert shapes == {
        "token.weight": (11, 6), "query.weight": (6, 6), "norm.scale": (6,),
        "bias": (11,), "mix": (2, 3), "none_yet": (1, 1),
    }  # fmt: skip
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    assert checked.root.parameter_count == count


def test_arrays_start_as_the_author_says(backend):
    checked = checked_of(TIED)
    started = {n.rpartition(".")[2]: w for n, w in initial(checked).items()}
    assert (started["scale"] == 1).all()
    assert (started["bias"] == 0.5).all()
    assert (started["none_yet"] == 0).all()
    assert 0 < abs(started["mix"]).max() < 0.1

    namespace = {}
    exec(emit(checked, get(backend)), namespace)  # its own start, before any file
    model = namespace["create_model"]()
    inner = model.language_model_0
    for name, value in {"bias": 0.5, "none_yet": 0.0}.items():
        array = getattr(inner, name)
        array = array.detach().numpy() if hasattr(array, "detach") else array
        np.testing.assert_array_equal(np.asarray(array), np.float32(value))
    mix = inner.mix
    mix = np.asarray(mix.detach().numpy() if hasattr(mix, "detach") else mix)
    assert 0 < abs(mix).max() < 0.1


def test_the_code_is_what_one_would_write(backend, tmp_path):
    code = emit(checked_of(TIED), get(backend))
    assert ruff_complaints(code, tmp_path) == ""
    lines = {
        "numpy": "self.scale = np.ones((d_model,), np.float32)",
        "pytorch": "self.scale = nn.Parameter(torch.ones(d_model))",
        "tensorflow": 'self.scale = self.add_weight((d_model,), "ones", name="scale")',
    }
    assert lines.get(backend, "") in code


@pytest.mark.requires_torch
def test_both_uses_of_a_matrix_are_trained_in_pytorch():
    import torch

    namespace = {}
    exec(emit(checked_of(TIED), get("pytorch")), namespace)
    torch.manual_seed(0)
    model = namespace["create_model"]()
    ids = torch.tensor(IDS)
    (model(ids) ** 2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    # rows of ids that do not occur learn by the output alone
    assert model.language_model_0.token.weight.grad[7].abs().max() > 0


@pytest.mark.requires_tensorflow
def test_keras_trains_and_saves_arrays(tmp_path):
    import keras

    namespace = {}
    exec(emit(checked_of(TIED), get("tensorflow")), namespace)
    keras.utils.set_random_seed(0)
    model = namespace["create_model"]()
    assert len(model.trainable_variables) == 6
    before = [np.array(v) for v in map(keras.ops.convert_to_numpy, model.variables)]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(IDS, (IDS + 1) % 11, epochs=2, verbose=0)
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    assert all(abs(a - b).max() > 0 for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(IDS), model(IDS), atol=1e-6)


REFUSED = {
    'layers: w = Weight(8, "ones") * 2\n forward(x): return x + w': (
        "`Weight` takes no input, so none of its repeats is the next one's"
    ),
    'layers: w = Weight((4, -1), "ones")\n forward(x): return x + w': (
        "a Weight has a shape of whole numbers from 1"
    ),
    'layers: w = Weight(8, "one")\n forward(x): return x + w': (
        'a Weight starts from a number or from "zeros", "ones", "normal"'
    ),
    'layers: w = Weight(8, true)\n forward(x): return x + w': "a Weight starts from",
    'layers: w = Weight(8, "ones")\n forward(x): return w': (
        "the output does not depend on the input"
    ),
    "layers: w = Dense(8)\n forward(x): return x @ weight(w)": (
        "`w` has no weights before it is called"
    ),
    "layers: w = Flatten()\n forward(x):\n y = w(x)\n return x * weight(w)": (
        "`w` has no matrix to share, as it is a Flatten"
    ),
    "layers: w = Dense(8)\n forward(x):\n y = w(x)\n return x * weight(x)": (
        "weight takes one layer of this define, by its name"
    ),
    "forward(x):\n a, b, c = split(x, 2)\n return a": (
        "`split(x, 2)` gives 2, but 3 names stand before the `=`"
    ),
    "forward(x):\n a, a = split(x, 2)\n return a": "one name appears twice before this",
    "forward(x):\n a, b = split(x, 2)\n return a, b": "`Own()` gives 2 values",
    'layers: w = Weight((1, 1, 8), "ones")\n forward(x): '
    "return concatenate([w, x], axis=1)": "cannot be joined",
    "forward(x): return concatenate([slice(x, 0, 1, axis=1), x])": (
        "(batch, 1, 8) and (batch, 5, 8) cannot be joined"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_is_said(body, message):
    text = f"define Own() {{ {body} }}\nnetwork N {{ input: (5, 8) layers: Own() }}"
    with pytest.raises(NeuralError) as caught:
        check_text(text)
    assert message in caught.value.diagnostics[0].message


def test_a_weight_is_no_layer_of_a_chain():
    with pytest.raises(NeuralError) as caught:
        check_text('network N { input: (5, 8) layers: Weight(8, "ones") Dense(2) }')
    (found,) = caught.value.diagnostics
    assert found.message == "`Weight` takes no input, so it cannot stand in a chain"
    assert "declare it in a define" in found.hint


def test_a_word_from_a_parameter_is_asked_for_itself():
    text = """define Own(start = "ones") {
      layers: w = Weight(8, start)
      forward(x): return x + w
    }
    network N { input: (5, 8) layers: Own() Own("zeros") }"""
    with pytest.raises(NeuralError) as caught:
        check_text(text)
    assert caught.value.diagnostics[0].hint == 'write `"ones"` itself, or give a number'


def test_a_number_may_come_from_a_parameter(backend):
    text = """define Own(start) {
      layers: w = Weight(8, start)
      forward(x): return 0 * x + w
    }
    network N { input: (5, 8) layers: Own(3) Own(0.25) }"""
    namespace = {}
    exec(emit(checked_of(text), get(backend)), namespace)
    model = namespace["create_model"]()
    arrays = [model.own_0.w, model.own_1.w]
    arrays = [a.detach().numpy() if hasattr(a, "detach") else a for a in arrays]
    assert [float(np.asarray(a)[0]) for a in arrays] == [3.0, 0.25]


def test_several_values_of_a_block(backend):
    text = """
    define Halves() {
      layers: first = Dense(4) second = Dense(2)
      forward(x):
        return first(x), second(x)
    }
    define Own() {
      layers: halves = Halves()
      forward(x):
        a, b = halves(x)
        return concatenate([b, a])
    }
    network N { input: (5, 8) layers: Own() }"""
    checked = checked_of(text)
    assert str(checked.root.output) == "(batch, 5, 6)"
    x = np.random.default_rng(0).normal(size=(2, 5, 8))
    loaded = load_model(checked, backend, dtype="float64")
    output, _ = run(loaded.model, loaded.backend, x)
    w = initial(checked)
    kernels = [w["own_0.halves.second.weight"], w["own_0.halves.first.weight"]]
    expected = np.concatenate([x @ kernel.T for kernel in kernels], axis=-1)
    np.testing.assert_allclose(output, expected, atol=1e-12)


def test_arrays_stand_beside_layers_that_the_runtime_derives_from_others(
    available_backends, tmp_path
):
    """A depthwise convolution is a class of the runtime, whose matrix is its own."""
    checked = checked_of(
        RMS_NORM + "network N { input: (5, 2) layers: DepthwiseConv1D(3) RMSNorm() }"
    )
    assert_backends_agree(checked, available_backends, tmp_path)
