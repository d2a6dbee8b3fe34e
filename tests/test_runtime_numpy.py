"""The activations and native layers of the NumPy runtime, against the frameworks'."""

import importlib
import math

import numpy as np
import pytest
from neural_attn.backends.numpy.runtime import core as numpy_runtime

requires_torch = pytest.mark.requires_torch
requires_tensorflow = pytest.mark.requires_tensorflow

ACTIVATIONS = {  # name: its name in torch.nn.functional, options there
    "relu": ("relu", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}),
    "elu": ("elu", {}),
    "selu": ("selu", {}),
    "sigmoid": ("sigmoid", {}),
    "hard_sigmoid": ("hardsigmoid", {}),
    "tanh": ("tanh", {}),
    "softplus": ("softplus", {"threshold": 1000}),  # exact, not x above 20
    "softsign": ("softsign", {}),
    "softmax": ("softmax", {"dim": -1}),
    "silu": ("silu", {}),
    "swish": ("silu", {}),
    "mish": ("mish", {}),
    "gelu": ("gelu", {}),
    "gelu_tanh": ("gelu", {"approximate": "tanh"}),
}


@requires_torch
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numpy_activations_are_those_of_pytorch(name):
    torch = importlib.import_module("torch")
    function, options = ACTIVATIONS[name]
    x = np.concatenate([np.linspace(-12, 12, 2001), [-700.0, 0.0, 700.0]])
    expected = getattr(torch.nn.functional, function)(torch.from_numpy(x), **options)
    actual = getattr(numpy_runtime, name)(x)
    np.testing.assert_allclose(actual, expected, 1e-13, 1e-12)


@requires_tensorflow
@pytest.mark.parametrize("name", sorted({*ACTIVATIONS, "exponential", "linear"}))
def test_numpy_activations_are_those_of_keras(name):
    keras = importlib.import_module("keras")
    # TensorFlow rounds the constants of these to float32.
    tolerance = 1e-6 if name in {"gelu", "gelu_tanh", "leaky_relu"} else 1e-12
    options = {"approximate": True} if name == "gelu_tanh" else {}
    theirs = getattr(keras.activations, name.removesuffix("_tanh"))
    x = np.linspace(-12, 12, 201).reshape(3, 67)
    actual = getattr(numpy_runtime, name)(x)
    np.testing.assert_allclose(actual, theirs(x, **options), tolerance, tolerance)


ALL = sorted({*ACTIVATIONS, "exponential", "linear", "gelu_sigmoid"})


@pytest.mark.parametrize("name", ALL)
def test_numpy_activations_keep_float32(name):
    x = np.linspace(-300, 80, 99, dtype="float32")
    result = getattr(numpy_runtime, name)(x)
    assert result.dtype == "float32"
    assert np.all(np.isfinite(result))


def test_numpy_erf_is_exact_to_rounding():
    x = np.concatenate([np.linspace(-7, 7, 4001), [1e-300, -1e-8, np.inf, -np.inf]])
    erf = numpy_runtime.erf
    np.testing.assert_allclose(erf(x), [math.erf(value) for value in x], 0, 1e-15)
    assert np.isnan(erf(np.array([np.nan])))


@requires_torch
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-14), ("float32", 5e-6)]
)
def test_numpy_layer_normalization_is_that_of_pytorch(dtype, tolerance):
    torch = importlib.import_module("torch")
    rng = np.random.default_rng(0)
    layer = numpy_runtime.LayerNormalization(6, 1e-6)
    layer.weight, layer.bias = rng.normal(size=(2, 6)).astype(dtype)
    x = (5 + 3 * rng.normal(size=(2, 4, 6))).astype(dtype)
    weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
    norm = torch.nn.functional.layer_norm
    expected = norm(torch.from_numpy(x), (6,), weight, bias, eps=1e-6)
    assert layer(x).dtype == dtype
    np.testing.assert_allclose(layer(x), expected, 0, tolerance)


@pytest.mark.parametrize("ids", [[0, 4], [-1, 0]])
def test_numpy_embedding_refuses_ids_without_a_row(ids):
    layer = numpy_runtime.Embedding(4, 2)
    with pytest.raises(ValueError, match=rf"0\.\.3; got {min(ids)}\.\.{max(ids)}"):
        layer(np.array([ids]))


def test_numpy_initialize_draws_matrices_alone_and_repeats():
    first, again, other = (
        numpy_runtime.Dense(3, 5).initialize(seed).weight for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    norm = numpy_runtime.LayerNormalization(3, 1e-6).initialize(1)
    np.testing.assert_array_equal([norm.weight, norm.bias], [[1] * 3, [0] * 3])


def test_numpy_shapes_keep_the_batch():
    x = np.arange(24).reshape(2, 3, 4)
    assert numpy_runtime.flatten(x).shape == (2, 12)
    assert numpy_runtime.reshape(x, (4, -1)).shape == (2, 4, 3)
    assert numpy_runtime.Dropout(0.5)(x) is x
