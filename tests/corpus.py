"""The corpus in tests/fixtures, and how one network of it runs on every backend."""

import re
from pathlib import Path

import numpy as np
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from safetensors.numpy import save_file

from neural_attn.models.capture import run
from neural_attn.models.generated import load_source
from neural_attn.models.weights import expected

FIXTURES = Path(__file__).resolve().parent / "fixtures"
VALID = sorted((FIXTURES / "valid").glob("*.neural"))
INVALID = sorted((FIXTURES / "invalid").glob("*.neural"))
WARNED = sorted((FIXTURES / "warned").glob("*.neural"))
_EXPECTED = re.compile(r"# ([EW]\d{4}) at (\d+):(\d+)")


def announced(text):
    """The problems that a file says it has: code, line, column."""
    return [(code, int(line), int(col)) for code, line, col in _EXPECTED.findall(text)]


def random_weights(checked, seed=2):
    """Random values for every weight, also biases; variances are positive."""
    random = np.random.default_rng(seed)
    found = {}
    for name, shape in expected(checked).items():
        values = random.normal(0.0, 0.4, shape)
        norm = "norm" in name and name.endswith("weight")
        positive = name.endswith("running_var")
        found[name] = np.abs(values) + 0.5 if positive else values + norm
    return found


def samples(checked, dtype, batch=2, length=5):
    """Random values for every input; ids are 0 to 6, masks hide one position."""
    random = np.random.default_rng(3)
    found = {}
    for given in checked.network.inputs:
        shape = [batch, *(length if n is None else n for n in given.shape)]
        if given.name.endswith("_mask"):
            found[given.name] = np.ones(shape, int)
            found[given.name][0, -1] = 0
        elif given.name == "token_type_ids":
            found[given.name] = random.integers(0, 2, shape)
        elif given.dtype == "int":
            found[given.name] = random.integers(0, 7, shape)
        elif given.name == "adjacency":
            found[given.name] = np.maximum(
                random.integers(0, 2, shape), np.eye(shape[-1], dtype=int)
            ).astype(dtype)
        else:
            found[given.name] = random.normal(size=shape).astype(dtype)
    return found if len(found) > 1 else next(iter(found.values()))


def as_its_file_makes_it(checked, backend, dtype):
    """The model of the generated file, built as its users build it.

    `load_model` may take a shorter way, which would hide what that one cannot do.
    """
    return module_of(checked, backend).create_model(dtype=dtype)


def module_of(checked, backend):
    """The generated file, imported."""
    one = get(backend)
    one.start()
    return load_source(emit(checked, one), f"generated_{backend}")


def assert_backends_agree(checked, backends, folder, tolerance=1e-5):
    """Every backend in float32 gives what NumPy gives in float64, maps included."""
    path, weights = None, random_weights(checked)
    if weights:
        path = folder / f"{checked.network.name}.safetensors"
        save_file(weights, path)
    runs = [("numpy", "float64"), *((backend, "float32") for backend in backends)]
    results = []
    for backend, dtype in runs:
        model = as_its_file_makes_it(checked, backend, dtype)
        if path is not None:
            model.load_weights(str(path))
        output, maps = run(model, get(backend), samples(checked, dtype))
        assert output.dtype == dtype, backend
        results.append((output, {name: weights for name, (weights, _) in maps.items()}))
    reference, exact_maps = results[0]
    assert np.isfinite(reference).all()
    assert exact_maps.keys() == checked.attentions.keys()
    scale = max(1.0, float(np.abs(reference).max()))
    for (backend, _), (output, maps) in zip(runs[1:], results[1:], strict=True):
        np.testing.assert_allclose(
            output, reference, rtol=0, atol=tolerance * scale, err_msg=backend
        )
        assert list(maps) == list(exact_maps)
        for name, weights in maps.items():
            np.testing.assert_allclose(
                weights, exact_maps[name], rtol=0, atol=tolerance, err_msg=backend
            )
