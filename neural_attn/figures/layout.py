"""Where things go on a figure, in inches: labels that fit, panels, margins.

Matplotlib's own layout engines draw every label twice to learn its size. Here the
sizes are measured once and the figure is made to fit, so that nothing is cut off,
nothing overlaps, and a large grid is quick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from neural_attn.figures.fonts import Fonts, line_height, numbered, text_width
from neural_attn.figures.palette import GAP
from neural_attn.figures.token_labels import shortened

__all__ = [
    "MOST_LABELLED", "AxisLabels", "cell_size", "fit_labels", "grid_shape",
    "least_length", "shorten", "wrap",
]  # fmt: skip

POINTS = 72.0  # per inch
LINE = 1.3  # room for one line of text, as a multiple of its size
LABEL_PAD = 6.0  # points between two labels on one line, and from label to axis
# Up to so many cells on a side each has its label: panels are made as large as that
# takes. Beyond it some are left out, and the picture says how many.
MOST_LABELLED = 60
SHRUNK = 0.85  # of their size, before labels are turned to stand upright
SMALLEST_LABEL = 6.0  # points; smaller is not read on paper
BETWEEN = 1.06  # of a line's own height, so that two lines do not touch


@dataclass(frozen=True)
class AxisLabels:
    """The labels that are drawn along one axis.

    `positions` and `texts` belong together, and where cells have no label the texts
    begin with their positions; `depth` is the room in inches that they
    take away from the axis, `vertical` says that they are turned to read upwards, and
    `left_out` counts the cells without one.
    """

    positions: list[int]
    texts: list[str]
    size: float
    depth: float
    vertical: bool = False
    left_out: int = 0


def fit_labels(
    texts: Sequence[str],
    length: float,
    fonts: Fonts,
    *,
    horizontal_axis: bool,
    largest: float = 10.0,
    smallest: float = SMALLEST_LABEL,
) -> AxisLabels:
    """Choose size, direction and how many labels to leave out, so that none overlap.

    Parameters
    ----------
    texts : one label per cell
    length : inches that all the cells have together
    horizontal_axis : bool
        Labels of the x axis stand upright if they do not fit side by side.
    largest, smallest : font size in points
    """
    cell = length * POINTS / len(texts)
    for size in (largest, SHRUNK * largest) if horizontal_axis else ():
        if _stand_apart(texts, size, cell, fonts):
            depth = (size * LINE + LABEL_PAD) / POINTS
            return AxisLabels(list(range(len(texts))), list(texts), size, depth)
    line = line_height(texts, fonts.families) * BETWEEN
    size = min(largest, max(smallest, cell / max(line, LINE)))
    if size * line > cell:
        size = smallest
    step = _round_step(math.ceil(size * line / cell - 1e-9))
    positions = list(range(0, len(texts), step))
    shown = [texts[position] for position in positions]
    if step > 1:
        # equal tokens far apart look the same, and nobody counts the cells between
        shown = [
            text if text == str(position) else numbered(position, text)
            for position, text in zip(positions, shown, strict=True)
        ]
    width = max(text_width(text, size, fonts.families) for text in shown)
    return AxisLabels(
        positions,
        shown,
        size,
        (width + LABEL_PAD) / POINTS,
        vertical=horizontal_axis,
        left_out=len(texts) - len(shown),
    )


def _stand_apart(texts: Sequence[str], size: float, cell: float, fonts: Fonts) -> bool:
    """Whether labels fit side by side, each in the middle of its cell.

    One may be wider than its cell where those beside it are narrow; the first and the
    last stay clear of the next panel's.
    """
    if cell <= LABEL_PAD:
        return False  # and thousands of labels need not be measured
    widths = [text_width(text, size, fonts.families) for text in texts]
    apart = all((a + b) / 2 + LABEL_PAD <= cell for a, b in pairwise(widths))
    return apart and max(widths[0], widths[-1]) + LABEL_PAD <= cell + GAP * POINTS


def least_length(texts: Sequence[str], fonts: Fonts) -> float:
    """Give the inches that an axis needs for all its labels; 0 of too many."""
    if len(texts) > MOST_LABELLED:
        return 0.0
    line = line_height(texts, fonts.families) * BETWEEN
    return len(texts) * SMALLEST_LABEL * line / POINTS


def _round_step(step: int) -> int:
    """Round up to a step that people count in: every 10th label, not every 9th."""
    if step <= 5:
        return max(1, step)
    power = int(10 ** (len(str(step)) - 1))
    return min(n for n in (power, 2 * power, 5 * power, 10 * power) if n >= step)


def shorten(
    text: str, size: float, width: float, fonts: Fonts, weight: str = "normal"
) -> str:
    """Leave out the middle of `text` until it is at most `width` inches wide."""
    shorter, kept = text, len(text)
    room = width * POINTS
    while kept > 3 and text_width(shorter, size, fonts.families, weight) > room:
        kept -= 1
        shorter = shortened(text, kept)
    return shorter


def cell_size(queries: int, keys: int, largest: float, longest: float) -> float:
    """Give the side of a square cell in inches, for an axis of at most `longest`."""
    return min(largest, longest / max(queries, keys))


def grid_shape(panels: int, aspect: float = 1.0) -> tuple[int, int]:
    """Give rows and columns for a grid that is a little wider than high.

    `aspect` is the width of one panel divided by its height.
    """

    def cost(columns: int) -> float:
        rows = math.ceil(panels / columns)
        empty = rows * columns - panels
        return empty / panels + abs(math.log(columns * aspect / rows / 1.4))

    columns = min(range(1, panels + 1), key=cost)
    return math.ceil(panels / columns), columns


def wrap(
    text: str, size: float, width: float, fonts: Fonts, weight: str = "normal"
) -> list[str]:
    """Break `text` between words into lines of at most `width` inches.

    A word that is longer than a line is shortened.
    """
    lines: list[str] = []
    words = [shorten(one, size, width, fonts, weight) for one in text.split(" ")]
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        wide = text_width(longer, size, fonts.families, weight)
        fits = wide <= width * POINTS
        if lines and fits:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
