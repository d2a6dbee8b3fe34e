"""The parts that a report is made of; each format renders each kind in its way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "UNTRAINED",
    "Bars",
    "Grid",
    "Heading",
    "Image",
    "Matrix",
    "Part",
    "Sentences",
    "Squares",
    "Table",
    "TypeCell",
    "TypeKey",
    "TypeMap",
    "columns_of_words",
    "legend_lines",
    "number",
    "spark",
]

UNTRAINED = (
    "the weights are untrained (random): this attention says nothing about any task"
)
_NUMERIC = re.compile(r"[-+–]?\d|–|p ")  # how a cell begins that is no word
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the report's.

    What comes first is `lead`: it stands open, and the terminal shows it. It also shows
    what was `asked` for by an option. All else is folded, or left to other formats.
    """

    level: int
    text: str
    lead: bool = False
    asked: bool = False


@dataclass(frozen=True)
class Sentences:
    """Sentences, each with the labels of the heads that it is about."""

    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Table:
    """Rows of texts under a header; `anchor` says that rows begin with head labels."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    anchor: bool = False


@dataclass(frozen=True)
class Grid:
    """A metric by layer (rows) and head (columns); None where there is no head."""

    title: str
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    caption: str


@dataclass(frozen=True)
class TypeKey:
    """A letter of a map of types: `whole` heads of the type `kind`, or mixed ones.

    Types of one `family` have one colour; `words` say what the letter stands for.
    """

    letter: str
    kind: str
    whole: bool
    family: str
    words: str


@dataclass(frozen=True)
class TypeCell:
    """One head of a map of types."""

    key: TypeKey
    label: str
    head: int
    sentence: str


@dataclass(frozen=True)
class TypeMap:
    """Types by layer (rows) and head (columns).

    `legend` has for each family that is there its words, and its letters, each with the
    number of its heads. `reach` has for each row the least and greatest normalized
    entropy, and those of the greatest weight, as texts.
    """

    rows: tuple[str, ...]
    cells: tuple[tuple[TypeCell, ...], ...]
    legend: tuple[tuple[str, tuple[tuple[TypeKey, int], ...]], ...]
    reach: tuple[tuple[str, str], ...]
    caption: str


@dataclass(frozen=True)
class Bars:
    """A histogram of counts in equal bins from 0 to 1."""

    title: str
    counts: tuple[int, ...]
    caption: str


@dataclass(frozen=True)
class Image:
    """A picture as two PNGs, on light and on dark ground; `width` is in CSS pixels.

    `title` says what it shows, `caption` how to read it.
    """

    title: str
    light: bytes
    dark: bytes
    width: int
    caption: str


Matrix = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Squares:
    """Square matrices over the same tokens, on one scale: rows of (title, matrix).

    `side` is the width of one, in pixels; `top` the end of the scale; `even` the weight
    of a row that is spread evenly.
    """

    rows: tuple[tuple[tuple[str, Matrix], ...], ...]
    tokens: tuple[str, ...]
    caption: str
    top: float
    even: float | None = None
    side: int = 260


Part = Heading | Sentences | Table | Grid | TypeMap | Bars | Squares | Image


def number(value: float | None) -> str:
    """A number as every report shows it; "–" where it is not defined."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def columns_of_words(part: Table) -> list[bool]:
    """Which columns of a table hold words, as the first does, and begin at the left."""
    return [
        not index or not any(_NUMERIC.match(row[index]) for row in part.rows)
        for index in range(len(part.header))
    ]


def legend_lines(part: TypeMap) -> list[str]:
    """The letters of a map of types, a line for each family."""
    return [
        f"{words}: "
        + ", ".join(f"{key.letter} {key.words} {count}" for key, count in keys)
        for words, keys in part.legend
    ]


def spark(counts: Sequence[int]) -> str:
    """Counts as a row of blocks, the greatest at full height."""
    top = max(max(counts, default=0), 1)
    return "".join(_BLOCKS[-(-8 * count // top)] for count in counts)
