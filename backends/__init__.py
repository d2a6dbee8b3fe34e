"""The backends by name: numpy, pytorch, tensorflow, and those that others add.

A backend is found through the entry-point group `neural_attn.backends`; none is
imported before it is asked for, and none imports its framework to emit code.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

from neural_attn.backends.base import Backend

from neural_attn.diagnostics.errors import did_you_mean, fail

GROUP = "neural_attn.backends"
BUILT_IN = ("numpy", "pytorch", "tensorflow")
ALIASES = {"torch": "pytorch", "tf": "tensorflow", "keras": "tensorflow", "np": "numpy"}
AUTO_ORDER = ("tensorflow", "pytorch", "numpy")


def names() -> list[str]:
    """Every backend's name; the built-in ones first."""
    others = {e.name for e in entry_points(group=GROUP)} - set(BUILT_IN)
    return [*BUILT_IN, *sorted(others)]


def get(name: str) -> Backend:
    """The backend of this name or alias. Raises NeuralError for an unknown one."""
    name = ALIASES.get(name, name)
    if name in BUILT_IN:
        backend: Backend = import_module(f"neural_attn.backends.{name}").BACKEND
        return backend
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            loaded: Backend = entry.load()
            return loaded
    known = [*names(), *ALIASES]
    hint = did_you_mean(name, known) or "there are " + ", ".join(names())
    fail("E0501", f"there is no backend `{name}`", hint=hint)


def is_installed(backend: Backend) -> bool:
    """Whether the framework of a backend can be imported (nothing is imported)."""
    return all(find_spec(module) is not None for module in backend.requires)


def choose(name: str) -> Backend:
    """The backend asked for; with "auto" the first whose framework is installed.

    Raises NeuralError, with the remedy, where the framework is not installed.
    """
    if name != "auto":
        backend = get(name)
        if not is_installed(backend):
            fail(
                "E0502",
                f"the backend {backend.name} needs {' and '.join(backend.requires)}, "
                "which is not installed",
                hint=f"{backend.install}, or choose --backend numpy",
            )
        return backend
    return next(b for b in map(get, AUTO_ORDER) if is_installed(b))
