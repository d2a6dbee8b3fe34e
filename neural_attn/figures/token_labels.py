"""Tokens as people can read them: literal, visible, on one line, not too long.

Tokens come from strangers. What is invisible or would steer the output (control
characters, marks that turn the writing direction, half surrogates) is shown as its
escape, as Python writes it; the escape for markup (HTML, SVG, mathtext) is left to
whoever writes the markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import takewhile

__all__ = ["differing", "quoted", "readable", "shortened", "told_apart"]

_VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}

# Zero-width joiner and the variation selectors choose between looks of the character
# before them, and are drawn as an empty box where the font does not know them.
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")

# Marks that are hardly seen by themselves, and at the end of a sentence not at all.
_SMALL = frozenset(".,·:;'`´‘’‚،؛。、，．・-‐‑")

# What is not cut in two: an escape, or a character.
_UNIT = re.compile(r"\\U[0-9a-f]{8}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|.", re.DOTALL)


def readable(token: str, max_length: int = 24) -> str:
    """Give the token as text that is safe to draw or print; never empty.

    Spaces, line ends and tabs become visible symbols, an empty token becomes ∅. A
    token longer than `max_length` characters keeps both ends.
    """
    # Cut before each character is looked at: tokens of a megabyte do occur.
    if len(token) > max_length:
        head = (max_length - 1) // 2
        token = f"{token[:head]}…{token[len(token) - (max_length - 1 - head) :]}"
    shown = "".join(_visible(character) for character in token)
    return shown or "∅"


def shortened(text: str, max_length: int = 24) -> str:
    """Give a text that is safe already, or both ends of it; escapes stay whole.

    What `readable` gave is not given to it again: spaces in it are spaces.
    """
    if len(text) <= max_length:
        return text
    units = _UNIT.findall(text)
    ends: tuple[list[str], list[str]] = ([], [])
    room = max_length - 1
    while len(units[at := -1 if len(ends[0]) > len(ends[1]) else 0]) <= room:
        ends[at].append(units.pop(at))
        room -= len(ends[at][-1])
    return "".join([*ends[0], "…", *reversed(ends[1])])


def quoted(text: str) -> str:
    """Give “.” for a full stop alone, and so for all that is as easily overlooked."""
    return f"“{text}”" if text and set(text) <= _SMALL else text


def differing(names: Sequence[str]) -> list[str]:
    """Give names without the parts that all begin and end with, but one.

    For where they are to be shortened: `model.layers.0.attention.self` and the same of
    layer 1 are told apart in the middle, which is what would be left out.
    """
    parts = [re.split(r"(?<=[./ ])", name) for name in names]
    start = _common(parts)
    end = _common([one[start:][::-1] for one in parts])
    start = max(0, start - 1)
    middles = ["".join(one[start : len(one) - end]).rstrip("./ ") for one in parts]
    return [f"{'…' * (start > 0)}{middle}{'…' * (end > 0)}" for middle in middles]


def told_apart(texts: Sequence[str], cut: Callable[[str], str]) -> list[str]:
    """Give texts as `cut` shortens them; what differs of them, where that is lost."""
    short = [cut(text) for text in texts]
    if len(set(short)) == len(set(texts)):
        return short
    return [cut(text) for text in differing(texts)]


def _common(lists: Sequence[Sequence[str]]) -> int:
    """With how many equal entries all lists begin."""
    same = (len(set(entries)) == 1 for entries in zip(*lists, strict=False))
    return sum(takewhile(bool, same))


def _visible(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    if character in _JOINERS:
        return ""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
