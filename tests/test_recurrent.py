"""Recurrent layers: every option, on every backend, against PyTorch's and Keras'."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.catalogue.recurrent import RECURRENT
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected
from tests.layer_cases import (
    TOLERANCE,
    arguments_of,
    one_layer,
    output,
    random_weights,
    ruff_complaints,
    sample,
)

SHAPE, ANY_LENGTH = (5, 4), (None, 4)
# layer, its input without the batch, the length of each axis that comes out
CASES = [
    ("LSTM(3)", SHAPE, (3,)),
    ("LSTM(units=3, return_sequences=true)", ANY_LENGTH, (7, 3)),
    ("LSTM(3, return_sequences=true, use_bias=false)", SHAPE, (5, 3)),
    ("LSTM(3, dropout=0.2, recurrent_dropout=0.0)", SHAPE, (3,)),
    ("LSTM(3, dropout=0.2, recurrent_dropout=0.3)", SHAPE, (3,)),
    ("LSTM(3, go_backwards=true)", SHAPE, (3,)),
    ("LSTM(3, go_backwards=true, return_sequences=true)", SHAPE, (5, 3)),
    ('LSTM(3, "relu", "softmax", return_sequences=true)', SHAPE, (5, 3)),
    ('LSTM(3, activation="linear", use_bias=false)', SHAPE, (3,)),
    ("GRU(3)", SHAPE, (3,)),
    ("GRU(3, return_sequences=true)", ANY_LENGTH, (7, 3)),
    ("GRU(3, reset_after=false)", SHAPE, (3,)),
    ("GRU(3, reset_after=false, use_bias=false)", SHAPE, (3,)),
    ('GRU(3, "softsign", "gelu_tanh", return_sequences=true)', SHAPE, (5, 3)),
    ("GRU(3, recurrent_dropout=0.1, use_bias=false)", SHAPE, (3,)),
    ("SimpleRNN(3)", SHAPE, (3,)),
    ('SimpleRNN(3, activation="relu", return_sequences=true)', SHAPE, (5, 3)),
    ("SimpleRNN(3, dropout=0.5, go_backwards=true)", SHAPE, (3,)),
    ("Bidirectional(LSTM(3))", SHAPE, (6,)),
    ("Bidirectional(LSTM(3, return_sequences=true))", ANY_LENGTH, (7, 6)),
    ('Bidirectional(LSTM(3), merge_mode="sum")', SHAPE, (3,)),
    ('Bidirectional(LSTM(3, dropout=0.2), "ave")', SHAPE, (3,)),
    ('Bidirectional(GRU(3, return_sequences=true), merge_mode="mul")', SHAPE, (5, 3)),
    ("Bidirectional(GRU(3, reset_after=false, return_sequences=true))", SHAPE, (5, 6)),
    (
        'Bidirectional(SimpleRNN(3, activation="gelu"), merge_mode="concat")',
        SHAPE,
        (6,),
    ),
]


@pytest.mark.thorough("tensorflow", every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_every_backend_gives_what_numpy_gives(
    tmp_path, backend, dtype, layer, shape, sizes
):
    checked = one_layer(layer, shape)
    x = sample(shape)
    reference = output(checked, "numpy", "float64", tmp_path, x)
    found = output(checked, backend, dtype, tmp_path, x)
    assert found.shape == (2, *sizes)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, reference, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_shapes_are_inferred(layer, shape, sizes):
    inferred = [dim.value for dim in one_layer(layer, shape).root.output.dims[1:]]
    known = [None if size == 7 else size for size in sizes]
    assert inferred == known


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_generated_code_is_formatted(tmp_path, backend, layer, shape, sizes):
    source = emit(one_layer(layer, shape), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


def weights_of(checked):
    """The random weights under the names that the layer itself gives them."""
    return {n.split(".", 1)[1]: w for n, w in random_weights(checked).items()}


@pytest.mark.requires_torch
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("name", "module"), [("LSTM", "LSTM"), ("GRU", "GRU"), ("SimpleRNN", "RNN")]
)
def test_numpy_gives_what_the_module_of_pytorch_gives(
    tmp_path, name, module, bidirectional
):
    import torch

    layer = f"{name}(3, return_sequences=true)"
    layer = f"Bidirectional({layer})" if bidirectional else layer
    checked = one_layer(layer, SHAPE)
    x = sample(SHAPE)
    options = {"batch_first": True, "bidirectional": bidirectional}
    reference = getattr(torch.nn, module)(4, 3, dtype=torch.float64, **options)
    tensors = {n: torch.from_numpy(w) for n, w in weights_of(checked).items()}
    reference.load_state_dict(tensors)  # strict: the names are PyTorch's
    wanted = reference(torch.from_numpy(x))[0].detach().numpy()
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def as_in_keras(name, tensors, way="", reset_after=True):
    """The weights of one direction in the order and the layout of Keras."""

    def by_gate(array):
        gates = np.split(array, {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name])
        order = (1, 0, 2) if name == "GRU" else range(len(gates))
        return np.concatenate([gates[i] for i in order])

    values = [by_gate(tensors[f"weight_{side}_l0{way}"]).T for side in ("ih", "hh")]
    if f"bias_ih_l0{way}" in tensors:
        ours = [by_gate(tensors[f"bias_{side}_l0{way}"]) for side in ("ih", "hh")]
        two = name == "GRU" and reset_after
        values.append(np.stack(ours) if two else ours[0] + ours[1])
    return values


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(
    ("layer", "shape"),
    [case[:2] for case in CASES if "gelu" not in case[0]],
)
def test_numpy_gives_what_the_layer_of_keras_gives(tmp_path, layer, shape):
    import keras

    checked, x = one_layer(layer, shape), sample(shape)
    wraps = layer.startswith("Bidirectional(")
    inner, rest = layer.removeprefix("Bidirectional(").rsplit(")", 1)[0], ""
    if wraps:
        inner, _, rest = inner.partition("), ")
        inner = inner.removesuffix(")") + ")"
    name, values, options = arguments_of(inner if wraps else layer)
    reset_after = options.get("reset_after", True)
    reference = getattr(keras.layers, name)(*values, **options, dtype="float64")
    tensors = weights_of(checked)
    weights = as_in_keras(name, tensors, "", reset_after)
    if wraps:
        mode = rest.removeprefix("merge_mode=").strip('"') or "concat"
        reference = keras.layers.Bidirectional(reference, mode, dtype="float64")
        weights += as_in_keras(name, tensors, "_reverse", reset_after)
    reference.build(x.shape)
    reference.set_weights(weights)
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference(x).numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", ["LSTM(3)", "GRU(3)", "Bidirectional(GRU(3))"])
def test_saved_weights_are_loaded_again(tmp_path, backend, layer):
    checked, x = one_layer(layer, SHAPE), sample(SHAPE)
    reference = output(checked, "numpy", "float64", tmp_path, x)
    path, again = tmp_path / "weights.safetensors", tmp_path / "again.safetensors"
    load_model(checked, backend, path, dtype="float64").model.save_weights(again)
    from safetensors.numpy import load_file

    saved = load_file(again)
    assert {n: w.shape for n, w in saved.items()} == expected(checked)
    loaded = load_model(checked, "numpy", again, dtype="float64")
    found, _ = run(loaded.model, loaded.backend, x)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "made", "called"),
    [
        ("LSTM(3)", "nn.LSTM(4, 3, batch_first=True)", "self.lstm_0(inputs)[0][:, -1]"),
        (
            "GRU(3, return_sequences=true, use_bias=false)",
            "nn.GRU(4, 3, bias=False, batch_first=True)",
            "self.gru_0(inputs)[0]",
        ),
        (
            "Bidirectional(SimpleRNN(3, return_sequences=true))",
            "nn.RNN(4, 3, batch_first=True, bidirectional=True)",
            "self.bidirectional_0(inputs)[0]",
        ),
    ],
)
def test_pytorch_code_uses_pytorchs_own_modules(layer, made, called):
    source = emit(one_layer(layer, SHAPE), get("pytorch"))
    assert made in source
    assert called in source
    assert "class LSTM" not in source


OTHER_VALUES = {
    "units": "5",
    "activation": '"relu"',
    "recurrent_activation": '"tanh"',
    "use_bias": "false",
    "return_sequences": "true",
    "return_state": "true",
    "dropout": "0.5",
    "recurrent_dropout": "0.5",
    "stateful": "true",
    "unroll": "true",
    "go_backwards": "true",
    "reset_after": "false",
    "merge_mode": '"sum"',
    "kernel_initializer": '"he_normal"',
    "recurrent_initializer": '"identity"',
    "bias_initializer": '"ones"',
}


@pytest.mark.parametrize(
    ("layer", "parameter"),
    [(layer.name, p.name) for layer in RECURRENT for p in layer.parameters],
)
def test_no_parameter_is_dropped_in_silence(backend, layer, parameter):
    value = OTHER_VALUES[parameter]
    given = f"units={value}" if parameter == "units" else f"3, {parameter}={value}"
    text = f"network N {{ input: (5, 4) layers: {layer}({given}) }}"
    plain = check_text(f"network N {{ input: (5, 4) layers: {layer}(3) }}")[0][0]
    if parameter == "return_state":  # nothing takes the states
        with pytest.raises(NeuralError, match=parameter):
            check_text(text)
        return
    networks, warnings = check_text(text)
    said = [w.message for w in warnings if f"`{parameter}`" in w.message]
    code = emit(networks[0], get(backend))
    assert said or code != emit(plain, get(backend))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("LSTM(3) LSTM(4)", "return_sequences=true"),
        ("Bidirectional(GRU(3)) GRU(4)", "GRU needs (batch, time, width)"),
        ("Reshape((5, 2, 2)) LSTM(4)", "TimeDistributed(Flatten())"),
        ("LSTM(3, return_state=true)", "no layer starts from them"),
        ("LSTM(3, dropout=1.5)", "must be at most 1"),
        ("LSTM(3, actvation='tanh')", "did you mean `activation`"),
        ("LSTM(0)", "at least 1"),
        ("SimpleRNN(3, recurrent_activation='tanh')", "no parameter"),
        ("Bidirectional(GRU(3), merge_mode='max')", "concat, sum, mul, ave"),
    ],
)
def test_what_cannot_be_is_explained(layer, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: (5, 4) layers: {layer} }}")
    assert said in str(caught.value)


def test_token_ids_need_an_embedding():
    text = "network N { input: { ids: (5,) } layers: LSTM(3) }"
    with pytest.raises(NeuralError, match="LSTM needs"):
        check_text(text)


# --- dropout -----------------------------------------------------------------------


DROPPING = ["LSTM(3, dropout=0.5)", "GRU(3, recurrent_dropout=0.5, dropout=0)"]


@pytest.mark.requires_torch
@pytest.mark.parametrize("layer", DROPPING)
def test_pytorch_drops_in_training_only(tmp_path, layer):
    import torch

    checked = one_layer(layer, SHAPE)
    x = sample(SHAPE)
    still = output(checked, "pytorch", "float64", tmp_path, x)
    path = tmp_path / "weights.safetensors"
    model = load_model(checked, "pytorch", path, dtype="float64").model.train()
    torch.manual_seed(0)
    runs = [model(torch.from_numpy(x)).detach().numpy() for _ in range(2)]
    assert not np.allclose(runs[0], runs[1])
    model.eval()
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach().numpy(), still)


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("layer", DROPPING)
def test_keras_drops_in_training_only(tmp_path, layer):
    checked = one_layer(layer, SHAPE)
    x = sample(SHAPE)
    still = output(checked, "tensorflow", "float64", tmp_path, x)
    path = tmp_path / "weights.safetensors"
    model = load_model(checked, "tensorflow", path, dtype="float64").model
    runs = [model(x, training=True).numpy() for _ in range(2)]
    assert not np.allclose(runs[0], runs[1])
    np.testing.assert_allclose(model(x).numpy(), still)


@pytest.mark.requires_torch
def test_the_same_features_are_dropped_at_every_step(monkeypatch):
    import torch

    checked = one_layer("LSTM(3, dropout=0.5)", SHAPE)
    model = load_model(checked, "pytorch", dtype="float64").model.train()
    seen, forward = [], torch.nn.LSTM.forward

    def spy(module, x, start):
        seen.append(x)
        return forward(module, x, start)

    monkeypatch.setattr(torch.nn.LSTM, "forward", spy)
    torch.manual_seed(0)
    model(torch.ones(2, *SHAPE, dtype=torch.float64))
    (x,) = seen
    assert set(x.unique().tolist()) == {0.0, 2.0}
    assert (x == x[:, :1]).all()
