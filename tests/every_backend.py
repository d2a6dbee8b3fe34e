"""The backends that are installed, with their facts: no test lists them by hand."""

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
