"""The backends by name: the folders here, and those that other packages add.

These are found through the entry-point group `neural_attn.backends`; none is imported
before it is asked for, and none imports its framework to emit code.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules

from neural_attn.backends.emit.base import Backend

from neural_attn.diagnostics.errors import did_you_mean, fail

GROUP = "neural_attn.backends"
_SHARED = "emit"  # the folder that is no backend


@cache
def _own() -> tuple[str, ...]:
    return tuple(m.name for m in iter_modules(__path__) if m.name != _SHARED)


def names() -> list[str]:
    """Every backend's name; those that come with the project first."""
    others = {e.name for e in entry_points(group=GROUP)} - set(_own())
    return [*_own(), *sorted(others)]


def get(name: str) -> Backend:
    """The backend of this name or alias. Raises NeuralError for an unknown one."""
    if name in names():
        return _load(name)
    for backend in map(_load, names()):
        if name in backend.aliases:
            return backend
    known = [*names(), *(alias for one in map(_load, names()) for alias in one.aliases)]
    hint = did_you_mean(name, known) or "there are " + ", ".join(names())
    fail("E0501", hint=hint, name=name)


def _load(name: str) -> Backend:
    if name in _own():
        backend: Backend = import_module(f"{__name__}.{name}").BACKEND
        return backend
    (entry, *_) = entry_points(group=GROUP, name=name)
    loaded: Backend = entry.load()
    return loaded


def is_installed(backend: Backend) -> bool:
    """Whether the framework of a backend can be imported (nothing is imported)."""
    return all(find_spec(module) is not None for module in backend.requires)


def choose(name: str) -> Backend:
    """The backend asked for; with "auto" the first of `rank` that is installed.

    Raises NeuralError, with the remedy, where the framework is not installed.
    """
    if name == "auto":
        ranked = [b for b in map(_load, names()) if b.rank and is_installed(b)]
        return min(ranked, key=lambda backend: backend.rank)
    backend = get(name)
    if not is_installed(backend):
        fail(
            "E0502",
            backend=backend.name,
            packages=" and ".join(backend.requires),
            command=backend.install,
        )
    return backend
