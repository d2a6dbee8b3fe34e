"""Convolutions: every option, on every backend, against Keras' own layers."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.layer_cases import (
    TOLERANCE,
    arguments_of,
    known_sizes,
    one_layer,
    output,
    random_weights,
    ruff_complaints,
    sample,
)

TIME, PICTURE, VOLUME = (9, 4), (9, 8, 4), (5, 6, 7, 4)
# layer, its input without the batch, the length of each axis that comes out
CASES = [
    ("Conv1D(6, 3)", TIME, (7, 6)),
    ('Conv1D(filters=6, kernel_size=2, padding="causal")', TIME, (9, 6)),
    ('Conv1D(6, 3, padding="causal", dilation_rate=2)', TIME, (9, 6)),
    ('Conv1D(6, 3, strides=2, padding="causal")', TIME, (5, 6)),
    ('Conv1D(6, 4, padding="same", groups=2)', TIME, (9, 6)),
    ("Conv1D(6, 3, strides=2)", (None, 4), (3, 6)),
    ('Conv1D(6, 1, activation="softmax")', (None, 4), (7, 6)),
    ("Conv2D(6, 3)", PICTURE, (7, 6, 6)),
    ('Conv2D(6, (3, 2), activation="relu")', PICTURE, (7, 7, 6)),
    ('Conv2D(6, [2, 4], padding="same")', PICTURE, (9, 8, 6)),
    ('Conv2D(6, 3, strides=2, padding="same")', PICTURE, (5, 4, 6)),
    (
        'Conv2D(6, 2, strides=(3, 1), padding="same", use_bias=false)',
        PICTURE,
        (3, 8, 6),
    ),
    ('Conv2D(6, 3, padding="same", dilation_rate=2)', PICTURE, (9, 8, 6)),
    ("Conv2D(6, 3, dilation_rate=(2, 1), groups=2)", PICTURE, (5, 6, 6)),
    ('Conv2D(6, 3, 2, data_format="channels_last")', PICTURE, (4, 3, 6)),
    ('Conv2D(6, 3, strides=12, padding="same")', PICTURE, (1, 1, 6)),
    ("Conv3D(6, 2)", VOLUME, (4, 5, 6, 6)),
    ('Conv3D(6, (1, 2, 3), strides=2, padding="same")', VOLUME, (3, 3, 4, 6)),
    (
        'Conv3D(6, 2, dilation_rate=2, groups=2, activation="gelu")',
        VOLUME,
        (3, 4, 5, 6),
    ),
    ("Conv1DTranspose(6, 3)", TIME, (11, 6)),
    ('Conv1DTranspose(6, 3, strides=2, padding="same")', (None, 4), (14, 6)),
    ("Conv1DTranspose(6, 2, strides=3)", TIME, (27, 6)),
    ('Conv2DTranspose(6, 2, strides=3, padding="same")', PICTURE, (27, 24, 6)),
    ("Conv2DTranspose(6, 3, strides=2)", PICTURE, (19, 17, 6)),
    ('Conv2DTranspose(6, (4, 5), strides=(2, 1), padding="same")', PICTURE, (18, 8, 6)),
    ('Conv2DTranspose(6, 3, use_bias=false, activation="tanh")', PICTURE, (11, 10, 6)),
    (
        'Conv3DTranspose(6, 2, strides=(1, 2, 3), padding="same")',
        VOLUME,
        (5, 12, 21, 6),
    ),
    ("DepthwiseConv1D(3, depth_multiplier=2)", TIME, (7, 8)),
    ('DepthwiseConv1D(3, padding="same", dilation_rate=2)', TIME, (9, 4)),
    ("DepthwiseConv2D(3)", PICTURE, (7, 6, 4)),
    ('DepthwiseConv2D(3, strides=2, padding="same")', PICTURE, (5, 4, 4)),
    (
        'DepthwiseConv2D((2, 3), depth_multiplier=3, activation="relu")',
        PICTURE,
        (8, 6, 12),
    ),
    ("DepthwiseConv2D(3, strides=(2, 1), use_bias=false)", PICTURE, (4, 6, 4)),
    ('SeparableConv1D(6, 3, strides=2, padding="same")', TIME, (5, 6)),
    ("SeparableConv2D(6, 3)", PICTURE, (7, 6, 6)),
    (
        'SeparableConv2D(6, 3, depth_multiplier=2, activation="relu", padding="same")',
        PICTURE,
        (9, 8, 6),
    ),
    ("SeparableConv2D(6, (3, 2), dilation_rate=2, use_bias=false)", PICTURE, (5, 6, 6)),
]
# Unequal strides of a depthwise convolution: Keras' own layer refuses them.
NOT_IN_KERAS = ("strides=(2, 1), use_bias=false",)


@pytest.mark.thorough("tensorflow", every=8)
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
    inferred = one_layer(layer, shape).root.output.dims[1:]
    assert [dim.value for dim in inferred] == known_sizes(shape, sizes)


@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(
    ("layer", "shape"),
    [case[:2] for case in CASES if not case[0].endswith(f"{NOT_IN_KERAS[0]})")],
)
def test_numpy_gives_what_the_layer_of_keras_gives(tmp_path, layer, shape):
    import keras

    checked = one_layer(layer, shape)
    x = sample(shape)
    name, values, options = arguments_of(layer)
    reference = getattr(keras.layers, name)(*values, **options, dtype="float64")
    reference.build((2, *x.shape[1:]))
    reference.set_weights(as_in_keras(random_weights(checked), name, x.shape[-1]))
    # Keras' exact GELU rounds a constant to float32
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference(x).numpy(), rtol=0, atol=1e-7)


@pytest.mark.requires_torch
def test_numpy_gives_what_the_functions_of_torch_give(tmp_path):
    import torch
    from torch.nn import functional

    checked = one_layer("Conv2D(6, 3, strides=2, groups=2)", PICTURE)
    x, tensors = sample(PICTURE), random_weights(checked)
    weight, bias = (torch.from_numpy(value) for value in tensors.values())
    first = torch.from_numpy(x).movedim(-1, 1)
    reference = functional.conv2d(first, weight, bias, stride=2, groups=2)
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.movedim(1, -1), rtol=0, atol=1e-12)

    checked = one_layer("Conv1DTranspose(6, 3, strides=2)", TIME)
    x, tensors = sample(TIME), random_weights(checked)
    weight, bias = (torch.from_numpy(value) for value in tensors.values())
    first = torch.from_numpy(x).movedim(-1, 1)
    reference = functional.conv_transpose1d(first, weight, bias, stride=2)
    found = output(checked, "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.movedim(1, -1), rtol=0, atol=1e-12)


def as_in_keras(tensors, name, channels):
    """Weights in the order and the layout of Keras."""
    values = []
    for key, value in tensors.items():
        if value.ndim == 1:
            values.append(value)
        elif name.startswith("Depthwise") or ".depthwise." in key:
            value = value.reshape(channels, -1, *value.shape[2:])
            values.append(np.moveaxis(value, (0, 1), (-2, -1)))
        else:
            values.append(np.moveaxis(value, (0, 1), (-1, -2)))
    return values


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_generated_code_is_formatted(tmp_path, backend, layer, shape, sizes):
    source = emit(one_layer(layer, shape), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        ("Conv2D(8, 5)", "4, 4, 3", "the window of Conv2D is 5 x 5, its input 4 x 4"),
        ("Conv2D(8, 3)", "1, 28, 28", "channels come last"),
        ("Conv2D(8, 3)", "28, 28", "with one channel the input is (28, 28, 1)"),
        ("Conv2D(8, 3, groups=3)", "9, 9, 4", "split 8 filters into 3 groups"),
        ("Conv2D(8, 3, groups=4)", "9, 9, 6", "split 6 channels into 4 groups"),
        ("Conv1D(8, 3, 2, dilation_rate=2)", "9, 4", "above 1, not both"),
        ("Conv1D(8, (3, 3))", "9, 4", "must be a whole number from 1"),
        ("Conv2D(8, (3, 3, 3))", "9, 9, 4", "or 2 of them in parentheses"),
        ("Conv2D(8, 0)", "9, 9, 4", "must be a whole number from 1"),
        ('Conv2D(8, 3, padding="full")', "9, 9, 4", "valid, same"),
        ('Conv2D(8, 3, padding="causal")', "9, 9, 4", "valid, same"),
        ('Conv2D(8, 3, data_format="channels_first")', "9, 9, 4", "channels_last"),
        ("Conv2D(3)", "9, 9, 4", "needs `kernel_size`"),
        ("Conv1D(8, 3)", "9, none", "known number of channels"),
    ],
)
def test_what_cannot_be_is_explained(layer, shape, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: ({shape}) layers: {layer} }}")
    assert said in str(caught.value)


def test_a_list_of_picture_layers_that_ends_in_attention(tmp_path, backend):
    text = """
    network VisionTransformer {
      input: (224, 224, 3)
      layers:
        Conv2D(filters=64, kernel_size=16, strides=16)
        Reshape((196, 64))
        PositionalEncoding(encoding_type="learned", max_len=196)
        TransformerEncoder(num_heads=4, ff_dim=32) * 2
        GlobalAveragePooling1D()
        Output(units=10)
    }
    """
    checked = check_text(text)[0][0]
    from neural_attn.models.capture import capture
    from neural_attn.models.generated import load_model

    x = np.random.default_rng(5).normal(size=(1, 224, 224, 3)).astype("float32")
    reference = capture(load_model(checked, "numpy", dtype="float64"), x)
    found = capture(load_model(checked, backend), x)
    assert list(found.maps) == ["transformer_encoder_0", "transformer_encoder_1"]
    for name, weights in found.maps.items():
        assert weights.shape == (1, 4, 196, 196)
        np.testing.assert_allclose(weights, reference.maps[name], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.output, reference.output, rtol=0, atol=1e-5)
