"""Normalization: every option, on every backend, against Keras' and PyTorch's own."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import load_file

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_model
from tests.every_backend import TRAINING, call_in_training, parameters
from tests.layer_cases import (
    TOLERANCE,
    arguments_of,
    one_layer,
    output,
    random_weights,
    ruff_complaints,
    sample,
)

FLAT, TIME, PICTURE, VOLUME = (6,), (None, 6), (9, 8, 6), (2, 3, 4, 6)
CASES = [
    ("LayerNormalization()", TIME),
    ("LayerNormalization(epsilon=0.01, axis=-1)", PICTURE),
    ("LayerNormalization(axis=3)", PICTURE),
    ("BatchNormalization()", FLAT),
    ("BatchNormalization(epsilon=1e-5, momentum=0.9)", TIME),
    ("BatchNormalization(axis=-1)", PICTURE),
    ("BatchNormalization(axis=4)", VOLUME),
    ("GroupNormalization(groups=3)", TIME),
    ("GroupNormalization(2, epsilon=1e-5)", PICTURE),
    ("GroupNormalization(6)", VOLUME),
    ("GroupNormalization(1)", FLAT),
    ("InstanceNormalization()", TIME),
    ("InstanceNormalization(epsilon=1e-5)", PICTURE),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape"), CASES)
def test_every_backend_gives_what_numpy_gives(tmp_path, backend, dtype, layer, shape):
    checked = one_layer(layer, shape)
    x = sample(shape)
    reference = output(checked, "numpy", "float64", tmp_path, x)
    found = output(checked, backend, dtype, tmp_path, x)
    assert found.shape == x.shape
    assert [d.value for d in checked.root.output.dims[1:]] == list(shape)
    np.testing.assert_allclose(found, reference, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(("layer", "shape"), CASES)
def test_numpy_gives_what_the_layer_of_keras_gives(tmp_path, layer, shape):
    import keras

    checked, x = one_layer(layer, shape), sample(shape)
    name, values, options = arguments_of(layer)
    if name == "LayerNormalization":
        options.setdefault("epsilon", 1e-6)  # Keras has 1e-3
    if name == "InstanceNormalization":
        name, values = "GroupNormalization", (-1,)
    reference = getattr(keras.layers, name)(*values, **options, dtype="float64")
    reference.build(x.shape)
    reference.set_weights(list(random_weights(checked).values()))
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference(x).numpy(), rtol=0, atol=1e-7)


@pytest.mark.requires_torch
def test_numpy_gives_what_the_functions_of_torch_give(tmp_path):
    import torch
    from torch.nn import functional

    checked, x = one_layer("GroupNormalization(3)", PICTURE), sample(PICTURE)
    first = torch.from_numpy(x).movedim(-1, 1)
    weights = [torch.from_numpy(value) for value in random_weights(checked).values()]
    reference = functional.group_norm(first, 3, *weights, eps=1e-3).movedim(1, -1)
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-12)

    checked = one_layer("BatchNormalization()", PICTURE)
    scale, shift, mean, variance = (
        torch.from_numpy(value) for value in random_weights(checked).values()
    )
    reference = functional.batch_norm(first, mean, variance, scale, shift, eps=1e-3)
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.movedim(1, -1), rtol=0, atol=1e-12)


def test_statistics_are_in_the_file_and_are_no_parameters():
    root = one_layer("BatchNormalization()", PICTURE).root
    assert [name.rpartition(".")[2] for name, _ in root.named_weights()] == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
    ]
    assert root.parameter_count == 2 * 6


def trained_statistics(layer, backend, x, folder):
    """The output of one step of training, and the running mean and variance after."""
    checked = one_layer(layer, x.shape[1:])
    loaded = load_model(checked, backend, dtype="float64")
    result = call_in_training(loaded, x)
    loaded.model.save_weights(folder / "trained.safetensors")
    state = load_file(folder / "trained.safetensors")
    found = {name.rpartition(".")[2]: value for name, value in state.items()}
    return result, found["running_mean"], found["running_var"]


@pytest.mark.parametrize("name", parameters(TRAINING))
@pytest.mark.parametrize("shape", [FLAT, PICTURE])
@pytest.mark.parametrize("momentum", [0.99, 0.5])
def test_training_moves_the_statistics_alike(tmp_path, name, shape, momentum):
    x = 2 + 3 * sample(shape)
    layer = f"BatchNormalization(momentum={momentum})"
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    result, found_mean, found_variance = trained_statistics(layer, name, x, tmp_path)
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-8)
    kept = (1 - momentum) * mean
    np.testing.assert_allclose(found_mean, kept, rtol=0, atol=1e-8)
    kept = momentum + (1 - momentum) * variance
    np.testing.assert_allclose(found_variance, kept, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("layer", "shape"), CASES)
def test_generated_code_is_formatted(tmp_path, backend, layer, shape):
    source = emit(one_layer(layer, shape), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        ("BatchNormalization(axis=1)", "8, 8, 3", "leave `axis` out"),
        ("LayerNormalization(axis=1)", "8, 3", "works on the last axis"),
        ("GroupNormalization(axis=1)", "8, 32", "works on the last axis"),
        ("GroupNormalization()", "8, 6", "split 6 channels into 32 groups"),
        ("GroupNormalization(0)", "8, 6", "must be at least 1"),
        ("InstanceNormalization()", "6", "an axis between batch and channels"),
        ("BatchNormalization(momentum=1.5)", "6", "must be at most 1"),
        ("BatchNormalization()", "6, none", "needs a known last axis"),
    ],
)
def test_what_cannot_be_is_explained(layer, shape, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: ({shape}) layers: {layer} }}")
    assert said in str(caught.value)
