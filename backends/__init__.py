"""The backends by name: the folders here, and those that other packages add.

These are found through the entry-point group `neural_attn.backends`; none is imported
before it is asked for, and none imports its framework to emit code.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from neural_attn.backends.emit.base import Backend

from neural_attn import extensions
from neural_attn.diagnostics.errors import did_you_mean, fail

GROUP = "neural_attn.backends"
_SHARED = "emit"  # the folder that is no backend

# The one that is done first with a single run, as it has no framework to load: a net
# of BERT-base's size and 512 tokens took 3.6 to 4.5 s, and 4.9 to 5.4 s with PyTorch.
QUICKEST = "numpy"


@cache
def _own() -> tuple[str, ...]:
    return tuple(m.name for m in iter_modules(__path__) if m.name != _SHARED)


def names() -> list[str]:
    """Every backend's name; those that come with the project first."""
    return [*_own(), *(n for n in extensions.names(GROUP) if n not in _own())]


def known() -> dict[str, Backend]:
    """Every backend by its name; each is imported, but not its framework."""
    return {name: one for name in names() if (one := _load(name)) is not None}


def get(name: str) -> Backend:
    """The backend of this name or alias. Raises NeuralError for an unknown one."""
    if (found := _load(name)) is not None:
        return found
    others = known()
    for backend in others.values():
        if name in backend.aliases:
            return backend
    words = [*others, *(alias for one in others.values() for alias in one.aliases)]
    hint = did_you_mean(name, words) or "there are " + ", ".join(others)
    fail("E0501", hint=hint, name=name)


def _load(name: str) -> Backend | None:
    if name in _own():
        backend: Backend = import_module(f"{__name__}.{name}").BACKEND
        return backend
    return next((one for _, one in extensions.load(GROUP, Backend, name)), None)


def is_installed(backend: Backend) -> bool:
    """Whether the framework of a backend can be imported (nothing is imported)."""
    return all(find_spec(module) is not None for module in backend.requires)


def choose(name: str) -> Backend:
    """The backend asked for; with "auto" the first of `rank` that is installed.

    Raises NeuralError, with the remedy, where the framework is not installed.
    """
    if name == "auto":
        ranked = [b for b in known().values() if b.rank and is_installed(b)]
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
