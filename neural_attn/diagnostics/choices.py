"""What is said where a word is given that is not among those that there are.

These are the ends of messages of Python's own errors; files and commands have theirs in
the pages of `diagnostics`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

__all__ = [
    "check_choice", "check_options", "keywords", "nearest", "no_such", "not_one_of",
]  # fmt: skip

_FEW = 12  # words that are listed though the one that was meant is known


def not_one_of(name: str, given: object, known: Iterable[str | None]) -> str:
    """That an argument has not one of its values: all of them, and the nearest.

    None among `known` is a value too, which nobody has to be told of.
    """
    words = [one for one in known if one is not None]
    said = f"{name} is {given!r}, not one of {', '.join(words)}"
    return f"{said}{_meant(given, words)}"


def no_such(what: str, given: object, known: Iterable[str]) -> str:
    """That there is no `what` of this name: the nearest one, else, or if few, all."""
    words = list(known)
    said = f"there is no {what} {given!r}"
    meant = _meant(given, words)
    verb = "is" if len(words) == 1 else "are"
    listed = f": there {verb} {', '.join(words) or 'none'}"
    return f"{said}{listed * (not meant or len(words) <= _FEW)}{meant}"


def check_choice(name: str, given: object, known: Iterable[str | None]) -> None:
    """Raise ValueError where an argument has not one of its values."""
    words = tuple(known)
    if given not in words:
        raise ValueError(not_one_of(name, given, words))


def keywords(function: Callable[..., Any]) -> list[str]:
    """The parameters of a function that are given by name alone."""
    known = signature(function).parameters.values()
    return [one.name for one in known if one.kind is one.KEYWORD_ONLY]


def check_options(
    function: Callable[..., Any], given: Iterable[str], more: Iterable[str]
) -> None:
    """Raise TypeError where a function was given an option that it does not have.

    It has its own parameters, and `more` that it hands on.
    """
    own = signature(function).parameters.values()
    named = [one.name for one in own if one.kind is not one.VAR_KEYWORD]
    words = [one for one in dict.fromkeys([*named, *more]) if one != "self"]
    for option in given:
        if option not in words:
            said = f"{function.__qualname__} has no option {option!r}"
            listed = f": it has {', '.join(words)}"
            raise TypeError(f"{said}{_meant(option, words) or listed}")


def _meant(given: object, known: Iterable[str]) -> str:
    near = nearest(given, known) if isinstance(given, str) else ""
    return f"; did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The nearest known word, whatever its case, or "" where none is near."""
    return _nearest(word.lower(), tuple(known), cutoff)


@functools.lru_cache(maxsize=256)  # a repeat can ask for one word a thousand times
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word, by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else ""
