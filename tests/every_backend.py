"""The backends that are installed, with their facts: no test lists them by hand."""

import importlib

import pytest

from neural_attn import backends

EVERY = {name: backends.get(name) for name in backends.names()}
TRAINING = [name for name, backend in EVERY.items() if backend.training is not None]


def parameters(names=tuple(EVERY)):
    """Parameters for pytest; those whose framework is missing are skipped."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not backends.is_installed(EVERY[name]),
                reason=f"needs {' and '.join(EVERY[name].requires)}",
            ),
        )
        for name in names
    ]


def runtime(name):
    """The module of a backend's runtime that generated files copy from first."""
    return importlib.import_module(f"{EVERY[name].runtime}.core")


def tensor(name, array):
    """An array as what the functions of a backend's runtime compute with."""
    found = array if array is None else EVERY[name].tensor(array)
    # Keras' models take arrays, but its functions are given tensors within them.
    ops = getattr(runtime(name), "ops", None)
    return found if ops is None or array is None else ops.convert_to_tensor(found)


def call_in_training(loaded, x):
    """What a loaded model gives for an array in training, as an array."""
    model, backend = loaded.model, loaded.backend
    if backend.passes_training:
        return backend.array(model(x, training=True))
    return backend.array(model.train()(backend.tensor(x)))
