"""Pooling: every option, on every backend, against Keras' and PyTorch's own."""

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
    ruff_complaints,
    sample,
)

TIME, PICTURE, VOLUME = (9, 4), (9, 8, 4), (5, 6, 7, 4)
WINDOWS = [
    (f"{kind}{case}", shape, sizes)
    for kind in ("Max", "Average")
    for case, shape, sizes in [
        ("Pooling1D()", TIME, (4, 4)),
        ("Pooling1D(3, strides=2)", TIME, (4, 4)),
        ('Pooling1D(2, padding="same")', (None, 4), (4, 4)),
        ("Pooling2D(2)", PICTURE, (4, 4, 4)),
        ("Pooling2D((3, 2), strides=(1, 2))", PICTURE, (7, 4, 4)),
        ('Pooling2D(pool_size=4, strides=3, padding="same")', PICTURE, (3, 3, 4)),
        ("Pooling2D([2, 3], strides=none)", PICTURE, (4, 2, 4)),
        ("Pooling3D(2)", VOLUME, (2, 3, 3, 4)),
        ('Pooling3D((1, 2, 3), strides=2, padding="same")', VOLUME, (3, 3, 4, 4)),
    ]
]
GLOBAL = [
    (f"Global{kind}Pooling{axes}D()", shape, (4,))
    for kind in ("Max", "Average")
    for axes, shape in [(1, TIME), (2, PICTURE), (3, VOLUME)]
]
ADAPTIVE = [
    (f"Adaptive{kind}{case}", shape, sizes)
    for kind in ("Max", "Average")
    for case, shape, sizes in [
        ("Pooling1D(4)", TIME, (4, 4)),
        ("Pooling1D(output_size=12)", TIME, (12, 4)),
        ("Pooling2D(3)", PICTURE, (3, 3, 4)),
        ("Pooling2D((1, 5))", PICTURE, (1, 5, 4)),
        ("Pooling3D((2, 3, 1))", VOLUME, (2, 3, 1, 4)),
    ]
]
CASES = WINDOWS + GLOBAL + ADAPTIVE


@pytest.mark.thorough("tensorflow", every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_every_backend_gives_what_numpy_gives(
    tmp_path, backend, dtype, layer, shape, sizes
):
    if backend == "tensorflow" and dtype == "float64" and "Pooling3D(" in layer:
        if not layer.startswith("Global"):
            pytest.skip("TensorFlow pools volumes in float32 only")
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
@pytest.mark.parametrize(("layer", "shape"), [c[:2] for c in WINDOWS + GLOBAL])
def test_numpy_gives_what_the_layer_of_keras_gives(tmp_path, layer, shape):
    import keras

    x = sample(shape)
    name, values, options = arguments_of(layer)
    if not (values or layer.startswith("Global")):
        options.setdefault("pool_size", 2)
    reference = getattr(keras.layers, name)(*values, **options)(x.astype("float32"))
    found = output(one_layer(layer, shape), "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.numpy(), rtol=0, atol=1e-6)


@pytest.mark.requires_torch
@pytest.mark.parametrize(("layer", "shape", "sizes"), ADAPTIVE)
def test_numpy_gives_what_the_function_of_torch_gives(tmp_path, layer, shape, sizes):
    import torch
    from torch.nn import functional

    x = sample(shape)
    kind = "max" if "Max" in layer else "avg"
    pool = getattr(functional, f"adaptive_{kind}_pool{len(shape) - 1}d")
    reference = pool(torch.from_numpy(x).movedim(-1, 1), sizes[:-1]).movedim(1, -1)
    found = output(one_layer(layer, shape), "numpy", "float64", tmp_path, x)
    np.testing.assert_allclose(found, reference.numpy(), rtol=0, atol=1e-12)


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize(("layer", "shape", "sizes"), CASES)
def test_generated_code_is_formatted(tmp_path, backend, layer, shape, sizes):
    source = emit(one_layer(layer, shape), get(backend))
    assert ruff_complaints(source, tmp_path) == ""


def test_a_size_may_come_from_the_parameter_of_a_define(tmp_path, backend):
    text = """
    define Shrink(size, window = 2) {
      layers:
        narrow = MaxPooling2D(window)
        shrink = AdaptiveAveragePooling2D(size)
      forward(x):
        return shrink(narrow(x) + narrow(x)) + shrink(x)
    }
    network N { input: (12, 12, 3) layers: Shrink(size=2) Shrink(size=1, window=1) }
    """
    checked = check_text(text)[0][0]
    x = sample((12, 12, 3))
    reference = output(checked, "numpy", "float64", tmp_path, x)
    assert reference.shape == (2, 1, 1, 3)
    found = output(checked, backend, "float32", tmp_path, x)
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        ("MaxPooling2D(5)", "4, 4, 3", "the window of MaxPooling2D is 5 x 5"),
        ("MaxPooling2D(2)", "8, 8", "needs (batch, height, width, channels)"),
        ("GlobalAveragePooling2D()", "8, 8", "needs (batch, height, width, channels)"),
        ("AdaptiveMaxPooling1D()", "8, 8", "needs `output_size`"),
        ("AveragePooling1D((2, 2))", "8, 8", "must be a whole number from 1"),
    ],
)
def test_what_cannot_be_is_explained(layer, shape, said):
    with pytest.raises(NeuralError) as caught:
        check_text(f"network N {{ input: ({shape}) layers: {layer} }}")
    assert said in str(caught.value)
