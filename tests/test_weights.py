"""Weight files: read without running anything, and held against a network."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models import weights
from neural_attn.models.generated import load_model

TEXT = """
network N {
  input: (5,)
  layers:
    Embedding(20, 8)
    TransformerEncoder(2, 12) * 2
    Output(3)
}
"""


@pytest.fixture(scope="module")
def checked():
    return check_text(TEXT)[0][0]


def test_initial_weights_depend_on_the_seed_alone(checked):
    first, again, other = (weights.initial(checked, seed) for seed in (0, 0, 1))
    assert first.keys() == weights.expected(checked).keys()
    for name, shape in weights.expected(checked).items():
        assert (first[name].dtype, first[name].shape) == (np.float32, shape)
        np.testing.assert_array_equal(first[name], again[name])
        if name.endswith("bias"):
            assert (first[name] == 0).all()
        elif "norm" in name:
            assert (first[name] == 1).all()
        else:
            assert (first[name] != other[name]).any()
    assert 0.8 < first["embedding_0.weight"].std() < 1.2
    limit = np.sqrt(6 / (8 + 3))
    assert 0.8 * limit < abs(first["output_0.weight"]).max() <= limit


def test_random_weights_are_the_same_on_every_backend(checked, backend, tmp_path):
    path = tmp_path / "w.safetensors"
    loaded = load_model(checked, backend, seed=3)
    assert not loaded.trained
    loaded.model.save_weights(str(path))
    for name, array in weights.read_checkpoint(checked, path).items():
        np.testing.assert_array_equal(array, weights.initial(checked, 3)[name])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_float_type_is_read(checked, backend, tmp_path, dtype):
    path = tmp_path / "w.safetensors"
    tensors = {n: a.astype(dtype) for n, a in weights.initial(checked, 1).items()}
    save_file(tensors, path)
    loaded = load_model(checked, backend, path)
    assert loaded.trained
    saved = tmp_path / "saved.safetensors"
    loaded.model.save_weights(str(saved))
    for name, array in weights.read_checkpoint(checked, saved).items():
        np.testing.assert_array_equal(array, tensors[name].astype(np.float32))


def test_a_header_is_read_without_the_data(tmp_path):
    header = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps({"__metadata__": {"by": "x"}, **header}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    assert weights.read_header(path) == header


def test_the_first_tensor_that_differs_is_named(checked):
    shapes = weights.expected(checked)
    wrong = {**shapes, "output_0.weight": (3, 9), "embedding_0.weight": (20, 9)}
    with pytest.raises(NeuralError) as problem:
        weights.check_shapes(checked, wrong, "w.safetensors")
    assert str(problem.value) == (
        "error[E0602]: w.safetensors does not fit network N: tensor "
        "`embedding_0.weight` is [20, 9], but the network needs [20, 8]"
    )
    weights.check_shapes(checked, shapes, "w.safetensors")


@pytest.mark.parametrize("name", ["\x1b[2J", "\u202e", "a\nb"])
def test_names_from_a_file_do_not_steer_the_terminal(checked, name):
    shapes = {**weights.expected(checked), name: (1,)}
    with pytest.raises(NeuralError) as problem:
        weights.check_shapes(checked, shapes, "w.safetensors")
    assert name not in str(problem.value) or name == "a\nb"
    assert "\x1b" not in str(problem.value)
