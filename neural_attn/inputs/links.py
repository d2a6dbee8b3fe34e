"""Links between tokens that are known to be there: one set for each text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from neural_attn.diagnostics.errors import did_you_mean, fail, reason

__all__ = [
    "LINK_ROWS",
    "GivenLinks",
    "LinkRow",
    "LinkedText",
    "bring_texts",
    "read_links",
    "take_links",
]

# of a decoder: a token's own row, or the one before it, which predicts it
LinkRow = Literal["token", "predicting"]
LINK_ROWS: tuple[LinkRow, ...] = get_args(LinkRow)

_FIELDS = ("text", "links", "candidates")


@dataclass(frozen=True)
class GivenLinks:
    """The links of one text, positions counted in tokens from 0.

    `pairs` holds a query's position and those of its keys, any of which is right;
    `candidates` the keys that come into question, None for all.
    """

    pairs: tuple[tuple[int, tuple[int, ...]], ...]
    candidates: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LinkedText:
    """A line of a file of links; `text` is None where the texts come from elsewhere."""

    text: str | None
    links: GivenLinks
    line: int


def take_links(given: Any) -> GivenLinks:
    """The links of one text: [[from, to], …], or {"links": …, "candidates": …}.

    `to` is a position, or a list of positions that are all right.

    Raises
    ------
    ValueError
        If it has another form; the message says in which place.
    """
    if isinstance(given, GivenLinks):
        return given
    fields = dict(given) if isinstance(given, Mapping) else {"links": given}
    for name in fields:
        if name not in _FIELDS:
            near = did_you_mean(str(name), _FIELDS) or f"there are {', '.join(_FIELDS)}"
            raise ValueError(f"{str(name)[:40]!r} is not a field of links: {near}")
    pairs: Any = fields.get("links")
    among = fields.get("candidates")
    if not _is_list(pairs):
        raise ValueError('there is no list "links": [[from, to], …]')
    candidates = None if among is None else _positions(among, "candidates")
    return GivenLinks(tuple(map(_pair, pairs)), candidates)


def _pair(given: Any) -> tuple[int, tuple[int, ...]]:
    if not _is_list(given) or len(given) != 2:
        raise ValueError(f"{str(given)[:40]} is not a link: two positions, [from, to]")
    query, key = given
    (start,) = _positions([query], "a link")
    return start, _positions(key if _is_list(key) else [key], "a link")


def _positions(given: Any, what: str) -> tuple[int, ...]:
    """Whole numbers from 0, at least one; numbers of NumPy are such, true is not."""
    found = []
    for one in given if _is_list(given) else [given]:
        if isinstance(one, bool) or not hasattr(one, "__index__") or int(one) < 0:
            raise ValueError(f"{what} has {str(one)[:40]!r} for a position")
        found.append(int(one))
    if not found:
        raise ValueError(f"{what} has no position")
    return tuple(dict.fromkeys(found))


def _is_list(given: Any) -> bool:
    if isinstance(given, str | bytes | Mapping):
        return False
    return isinstance(given, Sequence) or hasattr(given, "__array__")


# --- files --------------------------------------------------------------------------


def read_links(path: Path) -> Iterator[LinkedText]:
    """Lines of JSON: {"text": "…", "links": [[from, to], …], "candidates": [key, …]}.

    Either all lines have a text or none has; lines of spaces alone are left out.
    Raises NeuralError for a line that is anything else, with its number and why.
    """
    first = None
    for number, line in _lines(path):
        try:
            found = _linked(line, number)
        except ValueError as error:
            fail("E0422.line", path=path, number=number, reason=error)
        first = first or found
        if (found.text is None) != (first.text is None):
            mixed = 'either every line has a "text" or none has'
            fail("E0422.line", path=path, number=number, reason=mixed)
        yield found


def bring_texts(path: Path) -> bool:
    """Whether a file of links brings its texts, by its first line.

    Raises NeuralError (E0408) for a file without a single link, and as `read_links`.
    """
    lines = read_links(path)
    first = next(lines, None)
    if first is None or not any(one.links.pairs for one in chain([first], lines)):
        fail("E0408.links", path=path)
    return first.text is not None


def _linked(line: str, number: int) -> LinkedText:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(row, dict):
        raise ValueError("it is not a JSON object")
    text = row.get("text")
    if "text" in row and not isinstance(text, str):
        raise ValueError('its "text" is not a text')
    return LinkedText(text, take_links(row), number)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except UnicodeDecodeError:
        fail("E0103.text", path=path)
