"""Upsampling, permuting, noise, merges: on every backend, against Keras' own."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_model
from tests.every_backend import TRAINING, call_in_training, parameters
from tests.layer_cases import (
    TOLERANCE,
    arguments_of,
    known_sizes,
    one_layer,
    output,
    ruff_complaints,
    sample,
)

TIME, PICTURE, VOLUME = (9, 4), (5, 3, 4), (2, 3, 5, 4)
CASES = [
    ("UpSampling1D()", (None, 4), (14, 4)),
    ("UpSampling1D(size=3)", TIME, (27, 4)),
    ("UpSampling2D(2)", PICTURE, (10, 6, 4)),
    ("UpSampling2D((1, 4))", PICTURE, (5, 12, 4)),
    ('UpSampling2D((3, 2), interpolation="bilinear")', PICTURE, (15, 6, 4)),
    ("UpSampling3D((1, 2, 3))", VOLUME, (2, 6, 15, 4)),
    ("Permute((2, 1))", TIME, (4, 9)),
    ("Permute((3, 1, 2))", PICTURE, (4, 5, 3)),
    ("Permute((1,))", (6,), (6,)),
    ("Permute(1)", (6,), (6,)),
    ("Reshape((6, 10))", PICTURE, (6, 10)),
    ("Reshape(60)", PICTURE, (60,)),
    ("Reshape((-1, 2))", PICTURE, (30, 2)),
    ("Flatten()", PICTURE, (60,)),
    ("SpatialDropout1D(0.3)", TIME, TIME),
    ("SpatialDropout2D(rate=0.3)", PICTURE, PICTURE),
    ("SpatialDropout3D(0.3)", VOLUME, VOLUME),
    ("GaussianNoise(stddev=0.5)", TIME, TIME),
]


@pytest.mark.thorough("tensorflow", every=4)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_every_backend_gives_what_numpy_gives(
    tmp_path, backend, dtype, layer, shape, sizes
):
    checked, x = one_layer(layer, shape), sample(shape)
    reference = output(checked, "numpy", "float64", tmp_path, x)
    found = output(checked, backend, dtype, tmp_path, x)
    assert found.shape == (2, *sizes)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, reference, rtol=0, atol=TOLERANCE[dtype])
    inferred = [dim.value for dim in checked.root.output.dims[1:]]
    assert inferred == known_sizes(shape, sizes)


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(("layer", "shape"), [case[:2] for case in CASES])
def test_numpy_gives_what_the_layer_of_keras_gives(tmp_path, layer, shape):
    import keras

    x = sample(shape)
    name, values, options = arguments_of(layer)
    if name in ("Permute", "Reshape") and isinstance(values[0], int):
        values = ((values[0],),)
    reference = getattr(keras.layers, name)(*values, **options)(x.astype("float32"))
    found = output(one_layer(layer, shape), "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.numpy(), rtol=0, atol=1e-5)


def in_training(layer, shape, backend, x):
    loaded = load_model(one_layer(layer, shape), backend, dtype="float64")
    return call_in_training(loaded, x)


@pytest.mark.parametrize("name", parameters(TRAINING))
def test_training_drops_whole_channels_and_adds_noise(name):
    x = np.ones((2, 5, 3, 400))
    for layer in ("SpatialDropout2D(0.25)", "SpatialDropout3D(0.25)"):
        shape = x.shape[1:] if "2D" in layer else (1, *x.shape[1:])
        given = x.reshape(2, *shape)
        dropped = in_training(layer, shape, name, given).reshape(2, 15, 400)
        assert (dropped == dropped[:, :1]).all(), "a channel goes as a whole"
        np.testing.assert_allclose(np.unique(dropped), [0, 4 / 3], rtol=1e-6)
        assert 0.1 < (dropped == 0).mean() < 0.4
    noise = in_training("GaussianNoise(0.5)", x.shape[1:], name, x) - x
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 0.5) < 0.05


# --- merges --------------------------------------------------------------------------

MERGES = [
    ("Subtract()", TIME, TIME, TIME),
    ("Multiply()", TIME, (1, 4), TIME),
    ("Average()", PICTURE, PICTURE, PICTURE),
    ("Maximum()", TIME, TIME, TIME),
    ("Minimum()", TIME, TIME, TIME),
    ("Concatenate()", TIME, (9, 3), (9, 7)),
    ("Concatenate(axis=1)", TIME, (3, 4), (12, 4)),
    ("Concatenate(axis=-2)", PICTURE, (5, 6, 4), (5, 9, 4)),
    ("Dot(axes=1)", (6,), (6,), (1,)),
    ("Dot(axes=-1)", TIME, (5, 4), (9, 5)),
    ("Dot(axes=(2, 1), normalize=true)", TIME, (4, 3), (9, 3)),
    ("Dot(1)", (9,), TIME, (4,)),
]


def merged(layer, left, right, then="return merge(a, b)"):
    """A network with two inputs, `a` and `b`, that a define merges."""
    text = f"""
    define Merged() {{
      layers:
        merge = {layer}
      forward(a, b):
        {then}
    }}
    network N {{ input: {{ a: {left} b: {right} }} layers: Merged() }}
    """
    return check_text(text.replace(",)", ")"))[0][0]


def merge_output(checked, backend, dtype, a, b):
    loaded = load_model(checked, backend, dtype=dtype)
    given = {
        name: loaded.backend.tensor(value.astype(dtype))
        for name, value in {"a": a, "b": b}.items()
    }
    with loaded.backend.inference():
        return loaded.backend.array(loaded.model(given))


@pytest.mark.thorough("tensorflow", every=4)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "left", "right", "sizes"), MERGES)
def test_merges_give_what_numpy_gives(backend, dtype, layer, left, right, sizes):
    checked = merged(layer, left, right)
    a, b = sample(left), np.cos(sample(right))
    reference = merge_output(checked, "numpy", "float64", a, b)
    found = merge_output(checked, backend, dtype, a, b)
    assert found.shape == (2, *sizes)
    assert [dim.value for dim in checked.root.output.dims[1:]] == list(sizes)
    np.testing.assert_allclose(found, reference, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(("layer", "left", "right"), [case[:3] for case in MERGES])
def test_merges_give_what_the_layer_of_keras_gives(layer, left, right):
    import keras

    a, b = sample(left), np.cos(sample(right))
    name, values, options = arguments_of(layer)
    merge = getattr(keras.layers, name)(*values, **options)
    reference = merge([a.astype("float32"), b.astype("float32")]).numpy()
    found = merge_output(merged(layer, left, right), "numpy", "float64", a, b)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", ["Add()", "Subtract()", "Average()", "Multiply()"])
def test_a_merge_inside_a_sum_keeps_its_parentheses(backend, layer):
    checked = merged(layer, TIME, TIME, "return 2 * merge(a, b - a) / 3 - merge(b, a)")
    a, b = sample(TIME), np.cos(sample(TIME))
    function = {
        "Add()": lambda x, y: x + y,
        "Subtract()": lambda x, y: x - y,
        "Average()": lambda x, y: (x + y) / 2,
        "Multiply()": lambda x, y: x * y,
    }[layer]
    found = merge_output(checked, backend, "float64", a, b)
    expected = 2 * function(a, b - a) / 3 - function(b, a)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        ("Add()", lambda x, y, z: x + y + z),
        ("Multiply()", lambda x, y, z: x * y * z),
        ("Average()", lambda x, y, z: (x + y + z) / 3),
        ("Maximum()", lambda x, y, z: np.maximum(np.maximum(x, y), z)),
        ("Minimum()", lambda x, y, z: np.minimum(np.minimum(x, y), z)),
        ("Concatenate()", lambda x, y, z: np.concatenate([x, y, z], axis=-1)),
        ("Concatenate(axis=1)", lambda x, y, z: np.concatenate([x, y, z], axis=1)),
    ],
)
def test_three_tensors_merge_as_well(tmp_path, backend, layer, function):
    checked = merged(layer, TIME, TIME, "return -merge(a, b - a, b * b)")
    a, b = sample(TIME), np.cos(sample(TIME))
    found = merge_output(checked, backend, "float64", a, b)
    np.testing.assert_allclose(found, -function(a, b - a, b * b), rtol=0, atol=1e-12)
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""


@pytest.mark.thorough(every=4)
@pytest.mark.parametrize(("layer", "left", "right", "sizes"), MERGES)
def test_generated_merges_are_formatted(tmp_path, backend, layer, left, right, sizes):
    source = emit(merged(layer, left, right), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


@pytest.mark.thorough(every=4)
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_generated_code_is_formatted(tmp_path, backend, layer, shape, sizes):
    source = emit(one_layer(layer, shape), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


@pytest.mark.parametrize(
    ("layer", "left", "right", "said"),
    [
        ("Concatenate()", TIME, (8, 4), "shapes that are equal elsewhere"),
        ("Concatenate(axis=0)", TIME, TIME, "there is no such axis"),
        ("Concatenate(axis=3)", TIME, TIME, "there is no such axis"),
        ("Multiply()", TIME, (8, 4), "do not fit together"),
        ("Dot(axes=1)", TIME, (8, 4), "they differ in length"),
        ("Dot(axes=0)", TIME, TIME, "there are no such axes"),
        ('Dot(axes="time")', TIME, TIME, "`axes` of Dot is an axis"),
        ("Dot()", TIME, TIME, "needs `axes`"),
        ("Concatenate()", TIME, (4,), "shapes that are equal elsewhere"),
    ],
)
def test_what_cannot_be_merged_is_explained(layer, left, right, said):
    with pytest.raises(NeuralError) as caught:
        merged(layer, left, right)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        ("Permute((1, 3))", "8, 8", "takes each of 1, 2 once, but gets 1, 3"),
        ("UpSampling2D(2)", "8, 8", "needs (batch, height, width, channels)"),
        ('UpSampling2D(2, "cubic")', "8, 8, 1", "nearest, bilinear"),
        ("SpatialDropout1D(0.5)", "8", "needs (batch, time, channels)"),
        ("GaussianNoise(-1)", "8", "must be at least 0"),
        ("Subtract()", "8", "needs a tensor for `y`"),
    ],
)
def test_what_cannot_be_is_explained(layer, shape, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: ({shape}) layers: {layer} }}")
    assert said in str(caught.value)


def test_what_follows_an_upsampling_runs(backend, tmp_path):
    """Keras takes symbols of products with plain tensors for sparse."""
    layers = 'UpSampling2D(2, interpolation="bilinear") Dense(3)'
    x = sample((4, 5, 6))
    found, expected = (
        output(one_layer(layers, (4, 5, 6)), name, "float64", tmp_path, x)
        for name in (backend, "numpy")
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
