"""What a teaching picture shows, as numbers: curves, or cells of a matrix.

`draw` and `page` make pictures of them; nothing here knows a plotting library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Chart", "Curves", "Lesson"]

Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Curves:
    """Lines over one axis.

    `lines` holds y [points] by label; those of an `ordered` chart follow each other, as
    dimensions do, and are coloured so. `marks` names places on the x axis.
    """

    title: str
    about: str
    x: Numbers
    x_title: str
    y_title: str
    lines: Mapping[str, Numbers]
    marks: Mapping[float, str] = field(default_factory=dict)
    ordered: bool = False
    steps: bool = False  # y holds from one x up to the next

    def has_room_right(self, place: float) -> bool:
        """Whether the name of a place on the x axis is written to its right."""
        return bool(place < self.x[0] + 0.6 * (self.x[-1] - self.x[0]))


@dataclass(frozen=True)
class Cells:
    """A matrix [rows, columns] of numbers, or of places in `levels`.

    Cells with NaN have no number.
    """

    title: str
    about: str
    values: Numbers
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str
    levels: Sequence[str] = ()
    signed: bool = False
    value_title: str = ""


Chart = Curves | Cells


@dataclass(frozen=True)
class Lesson:
    """One picture: its name, what it is of, its charts, and what else to say."""

    name: str
    title: str
    charts: Sequence[Chart]
    notes: Sequence[str] = ()
