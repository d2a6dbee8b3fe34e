"""What other packages add by entry points: one way to load it, for every group.

A plugin that fails is left out with a warning, as it must not stop commands that have
nothing to do with it. Everything else imports this: it imports the standard library.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

__all__ = ["load", "names"]


def names(group: str) -> list[str]:
    """What the entry points of a group are called, sorted; none is imported."""
    return sorted({entry.name for entry in _entries(group, tuple(sys.path))})


def load(
    group: str, kind: type = object, name: str | None = None
) -> list[tuple[str, Any]]:
    """Import the entry points of a group, or those of one name in it.

    An entry point is a thing of this kind, or several; what comes back is each with
    the name of its entry point. UserWarning, and nothing of it, where one raises or is
    anything else.
    """
    entries = _entries(group, tuple(sys.path))
    found = [e for e in entries if name is None or e.name == name]
    return [(entry.name, one) for entry in found for one in _things(entry, kind)]


@cache  # it reads a file of every package that is installed
def _entries(group: str, path: tuple[str, ...]) -> EntryPoints:
    return entry_points(group=group)


@cache  # what fails is tried, and told of, once
def _things(entry: EntryPoint, kind: type) -> tuple[Any, ...]:
    try:
        return _of_kind(entry.load(), kind)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        package = f" of {entry.dist.name}" if entry.dist else ""
        warnings.warn(
            f"the plugin `{entry.name}`{package} ({entry.group}) is left out: "
            f"{type(error).__name__}: {error}",
            stacklevel=3,
        )
        return ()


def _of_kind(value: Any, kind: type) -> tuple[Any, ...]:
    things = (value,) if isinstance(value, kind) else tuple(value)
    for one in things:
        if not isinstance(one, kind):
            raise TypeError(f"a {type(one).__name__} is no {kind.__name__}")
    return things
