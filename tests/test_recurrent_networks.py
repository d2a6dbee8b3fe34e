"""Recurrent layers in networks: padding, wrappers, defines, attention behind them."""

from functools import cache

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import save_file

from neural_attn import language_help
from neural_attn.catalogue.refused import _REFUSED
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import capture, run
from neural_attn.models.generated import load_model
from tests.layer_cases import (
    TOLERANCE,
    one_layer,
    output,
    random_weights,
    ruff_complaints,
    sample,
)

# padded behind, before, in between, not at all, and nothing but padding
IDS = np.array(
    [[3, 4, 7, 0, 0], [0, 0, 5, 2, 6], [1, 0, 0, 8, 0], [1, 2, 3, 4, 5], [0] * 5]
)
MASKED = [
    "LSTM(3)",
    "LSTM(3, return_sequences=true)",
    "LSTM(3, return_sequences=true, dropout=0.2)",
    'LSTM(3, activation="relu", return_sequences=true)',
    "LSTM(3, go_backwards=true)",
    "GRU(3, return_sequences=true)",
    "GRU(3, reset_after=false)",
    'SimpleRNN(3, activation="elu")',
    "Bidirectional(LSTM(3))",
    "Bidirectional(GRU(3, return_sequences=true))",
    'Bidirectional(GRU(3, recurrent_activation="tanh"), merge_mode="mul")',
    "Bidirectional(LSTM(3, return_sequences=true)) LSTM(2)",
    "LSTM(3, return_sequences=true) GlobalMaxPooling1D()",
    "LSTM(3, return_sequences=true) TimeDistributed(Dense(2)) GlobalAveragePooling1D()",
]


@cache
def network(layers, length="5"):
    text = f"""network Reader {{
      input: ({length},)
      layers: Embedding(9, 4, mask_zero=true) {layers}
    }}"""
    return check_text(text, "reader.neural")[0][0]


def read(checked, backend, dtype, folder, ids):
    path = folder / "weights.safetensors"
    save_file(random_weights(checked), path)
    loaded = load_model(checked, backend, path, dtype=dtype)
    return run(loaded.model, loaded.backend, ids)[0]


@pytest.mark.thorough("tensorflow", every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", MASKED)
def test_padding_anywhere_means_the_same_on_every_backend(
    tmp_path, backend, dtype, layers
):
    checked = network(layers)
    reference = read(checked, "numpy", "float64", tmp_path, IDS)
    found = read(checked, backend, dtype, tmp_path, IDS)
    np.testing.assert_allclose(found, reference, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("layers", MASKED)
def test_a_padded_sequence_gives_what_it_gives_alone(tmp_path, layers):
    checked = network(layers, "none")
    padded = read(checked, "numpy", "float64", tmp_path, IDS)
    for ids, found in zip(IDS[:-1], padded[:-1], strict=True):
        real = ids != 0
        alone = read(checked, "numpy", "float64", tmp_path, ids[None, real])[0]
        if found.ndim == 2:
            assert not found[~real].any()  # padded steps give 0
            found = found[real]
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", MASKED)
def test_code_for_padding_is_formatted(tmp_path, backend, layers):
    source = emit(network(layers), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


def test_only_padding_gives_zeros(tmp_path, backend):
    found = read(network("LSTM(3)"), backend, "float64", tmp_path, IDS)
    assert not found[-1].any()
    assert found[:-1].all()


def test_reversed_steps_lose_the_padding_mask_with_a_warning():
    text = """network N {
      input: (5,)
      layers:
        Embedding(9, 4, mask_zero=true)
        LSTM(3, go_backwards=true, return_sequences=true)
        LSTM(3)
    }"""
    warnings = check_text(text)[1]
    assert [w.code for w in warnings] == ["W0107"]
    assert "Bidirectional" in warnings[0].hint


# --- wrappers ----------------------------------------------------------------------


def step_by_step(tmp_path, layer, x):
    """The layer alone, given one step at a time."""
    alone = one_layer(layer, x.shape[2:])
    weights = random_weights(alone)
    steps = [output(alone, "numpy", "float64", tmp_path, step) for step in x[:2]]
    return weights, np.stack(steps)


@pytest.mark.thorough("tensorflow", every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("Conv2D(3, 2)", (4, 5, 6, 2)),
        ("Flatten()", (4, 5, 6)),
        ("LSTM(3)", (4, 5, 2)),
        ("GlobalMaxPooling1D()", (4, 5, 2)),
        ("Bidirectional(GRU(3))", (4, 5, 2)),
        ("Dense(3)", (4, 5)),
        ('Dense(3, activation="softmax")', (4, 5)),
    ],
)
def test_time_distributed_treats_each_step_alone(
    tmp_path, backend, dtype, layer, shape
):
    x = sample(shape)
    wrapped = one_layer(f"TimeDistributed({layer})", shape)
    weights, wanted = step_by_step(tmp_path, layer, x)
    assert random_weights(wrapped).keys() == weights.keys()
    found = output(wrapped, backend, dtype, tmp_path, x)
    assert [d.value for d in wrapped.root.output.dims[1:]] == list(wanted.shape[1:])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[dtype])
    assert ruff_complaints(emit(wrapped, get(backend)), tmp_path) == ""


def test_time_distributed_of_a_block_of_the_author(tmp_path, backend):
    text = """
    define Frame(width) { Conv1D($width, 3, activation="relu") Flatten() Dense($width) }
    network Film {
      input: (none, none, 8, 3)
      layers: TimeDistributed(Frame(4)) TimeDistributed(TimeDistributed(Dropout(0.1)))
              GRU(5) Output(2)
    }
    """
    checked = check_text(text)[0][0]
    x = sample((6, 8, 3))
    reference = output(checked, "numpy", "float64", tmp_path, x)
    found = output(checked, backend, "float64", tmp_path, x)
    assert reference.shape == (2, 2)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-8)


def test_equations_fold_time_themselves(tmp_path, backend):
    text = """
    define Frames(filters) {
      convolution = Conv1D(filters, 3)
      forward(x):
        return unfold_time(convolution(fold_time(x)), x)
    }
    network Film { input: (4, 8, 3) layers: Frames(2) }
    """
    checked = check_text(text)[0][0]
    x = sample((4, 8, 3))
    found = output(checked, backend, "float64", tmp_path, x)
    assert found.shape == (2, 4, 6, 2)
    reference = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("layers", "code", "said"),
    [
        ("Bidirectional(Dense(3))", "E0232", "it takes LSTM, GRU or SimpleRNN"),
        ("Bidirectional()", "E0232", "write `Bidirectional(LSTM(units))`"),
        ("Bidirectional(3)", "E0232", "takes a layer"),
        ("Bidirectional(LSTM(3), 'sum', 4)", "E0205", "at most 2"),
        ("Bidirectional(LSTM(3), merge='sum')", "E0203", "did you mean `merge_mode`"),
        ("Bidirectional(LSTM(3, go_backwards=true))", "E0203", "`go_backwards`"),
        ("Bidirectional(LSTM(unit=3))", "E0203", "did you mean `units`"),
        ("TimeDistributed(Foo(3))", "E0204", "no layer `Foo`"),
        ("TimeDistributed(Dense(3), 4)", "E0217", "name in quotes"),
        ("TimeDistributed(Flatten())", "E0301", "(batch, time, …)"),
        ("TimeDistibuted(Dense(3))", "E0204", "did you mean `TimeDistributed`"),
    ],
)
def test_wrappers_say_what_they_take(layers, code, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: (5) layers: Dense(3) {layers} }}")
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert said in str(caught.value)


def test_attention_for_each_step_is_refused():
    layer = "TimeDistributed(MultiHeadAttention(2, 2))"
    with pytest.raises(NeuralError, match="E0235"):
        check_text(f"network N {{ input: (5, 6, 4) layers: {layer} }}")


def test_time_distributed_in_equations_names_what_to_write():
    text = """
    define Frames() {
      convolution = TimeDistributed(Conv1D(2, 3))
      forward(x): return convolution(x)
    }
    network Film { input: (4, 8, 3) layers: Frames() }
    """
    with pytest.raises(NeuralError, match="E0233") as caught:
        check_text(text)
    assert "unfold_time(convolution(fold_time(x)), x)" in str(caught.value)


@pytest.mark.parametrize("name", _REFUSED)
@pytest.mark.parametrize("spell", [str, str.lower])
def test_layers_without_a_meaning_are_refused_with_the_reason(name, spell):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: (5, 4) layers: {spell(name)}(3) }}")
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0234"
    assert problem.message == f"there is no `{name}` here: {_REFUSED[name][0]}"
    assert problem.hint == _REFUSED[name][1]


def test_code_in_a_lambda_is_never_run(tmp_path):
    written = tmp_path / "written"
    code = f"open({str(written)!r}, 'w')"
    with pytest.raises(NeuralError, match="code from a file is not run"):
        check_text(f'network N {{ input: (5, 4) layers: Lambda("{code}") }}')
    assert not written.exists()


def test_an_author_may_define_a_refused_name(tmp_path, backend):
    text = """
    define SqueezeExcitation(ratio) { Dense(4) Dense($ratio) }
    define Bidirectional(units) { Dense($units) }
    network N { input: (5, 4) layers: SqueezeExcitation(2) Bidirectional(3) }
    """
    checked = check_text(text)[0][0]
    assert output(checked, backend, "float32", tmp_path, sample((5, 4))).shape[2] == 3


# --- in defines, behind and before attention -----------------------------------------


BLOCKS = """
define Reader(units, rate = 0.1, whole = true) {
  Bidirectional(LSTM(units=$units, dropout=$rate, return_sequences=$whole))
  Dense($units)
}
network Classifier {
  input: (6,)
  layers:
    Embedding(9, 4, mask_zero=true)
    Reader(8)
    Reader(6, rate=0.3)
    Bidirectional(GRU(5, return_sequences=true), merge_mode="sum") * 1
    Reader(4, whole=false)
    Output(3)
}
"""


def test_parameters_of_a_define_reach_the_layer_inside(tmp_path, backend):
    checked = check_text(BLOCKS)[0][0]
    ids = np.array([[1, 2, 3, 4, 0, 0], [5, 6, 0, 0, 0, 0]])
    reference = read(checked, "numpy", "float64", tmp_path, ids)
    found = read(checked, backend, "float64", tmp_path, ids)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-8)
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""


ATTENTION = """
network Sentiment {
  input: ({length},)
  layers:
    Embedding(input_dim=9, output_dim=8, mask_zero=true)
    Bidirectional(LSTM(units=4, return_sequences=true, dropout=0.1))
    MultiHeadAttention(num_heads=2, key_dim=4)
    LayerNormalization()
    GRU(8, return_sequences=true)
    TransformerEncoder(num_heads=4, ff_dim=16)
    GlobalAveragePooling1D()
    Output(units=2, activation="softmax")
}
"""


@pytest.mark.parametrize("length", ["5", "none"])
def test_attention_between_recurrent_layers_gives_its_maps(tmp_path, backend, length):
    checked = check_text(ATTENTION.replace("{length}", length))[0][0]
    ids = np.array([[3, 4, 7, 0, 0], [1, 2, 3, 4, 5]])
    path = tmp_path / "weights.safetensors"
    save_file(random_weights(checked), path)
    reference = capture(load_model(checked, "numpy", path, dtype="float64"), ids)
    found = capture(load_model(checked, backend, path, dtype="float64"), ids)
    assert list(found.maps) == ["multi_head_attention_0", "transformer_encoder_0"]
    for name, weights in found.maps.items():
        assert weights.shape[2:] == (5, 5)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-8)
        assert not weights[0, :, :, 3:].any()  # padding is never attended
        np.testing.assert_allclose(weights, reference.maps[name], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.output, reference.output, rtol=0, atol=1e-8)


def test_the_catalogue_tells_of_wrappers_and_refused_names():
    assert "TimeDistributed(Conv2D(8, 3))" in language_help.listing()
    assert "merge_mode" in language_help.describe("bidirectional")
    with pytest.raises(NeuralError, match="code from a file is not run"):
        language_help.describe("lambda")


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_that_may_be_left_out(tmp_path, backend, masked):
    text = """network N {
      input: { x: (5, 4) attention_mask: (5,) }
      layers: LSTM(3, return_sequences=true) Bidirectional(GRU(2), merge_mode="ave")
    }"""
    checked = check_text(text)[0][0]
    given = {"x": sample((5, 4))}
    if masked:
        given["attention_mask"] = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 1, 1]])
    reference = read(checked, "numpy", "float64", tmp_path, given)
    found = read(checked, backend, "float64", tmp_path, given)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-8)


@pytest.mark.thorough
@pytest.mark.requires_tensorflow
def test_keras_trains_them_in_graph_mode():
    import keras

    keras.utils.set_random_seed(0)
    text = """network Film {
      input: (6, 8, 1)
      layers:
        TimeDistributed(Conv1D(4, 3)) TimeDistributed(Flatten())
        Bidirectional(LSTM(4, dropout=0.1, recurrent_dropout=0.1)) Output(2)
    }"""
    model = load_model(check_text(text)[0][0], "tensorflow").model
    x = np.random.default_rng(0).normal(size=(64, 6, 8, 1)).astype("float32")
    y = (x.mean(axis=(1, 2, 3)) > 0).astype("int64")
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    losses = model.fit(x, y, epochs=16, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
