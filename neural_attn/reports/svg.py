"""Pictures of the analysis as SVG whose text stays text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from neural_attn.figures.choices import DEFAULT_SCALE
from neural_attn.figures.svg import escaped, text_width

if TYPE_CHECKING:
    from neural_attn.figures.scales import WeightNorm
    from neural_attn.reports.elements import Bars, Grid, Matrix, Squares

__all__ = ["bars_svg", "grid_svg", "squares_svg"]

_STYLE = (
    'font-family="system-ui, Noto Sans, DejaVu Sans, sans-serif" fill="currentColor"'
)
_CELL = 34
_BAR, _BAR_HEIGHT = 22, 90
_SCALE, _SCALE_HEIGHT = 280, 66  # of a colour bar, and all that is written at it
_NAME = 44  # pixels that a weight takes at a colour bar


@cache
def _color(step: int) -> str:
    """Colour `step` of 0 to 255 of the colour map that all pictures use."""
    from matplotlib.colors import to_hex

    from neural_attn.figures.palette import colormap

    return str(to_hex(colormap()(step)))


def _shade(value: float) -> tuple[str, str]:
    """Colours of a cell, whose value is from 0 to 1, and of the text on it."""
    step = round(255 * min(max(value, 0.0), 1.0))
    # Viridis is light from here on: dark text has a contrast of 4.5 or more.
    return _color(step), "#000000" if step > 128 else "#ffffff"


def _text(x: float, y: float, text: str, size: float, more: str = "") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" {more}>{escaped(text)}</text>'
    )


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}" {_STYLE}>'
        f"<title>{escaped(title)}</title>{''.join(body)}</svg>"
    )


def grid_svg(grid: Grid) -> str:
    """A metric by layer and head, each cell with its number."""
    left = max(text_width(name, 12) for name in grid.rows) + 16
    columns = max(map(len, grid.values))
    body = [_text(left, 14, grid.title, 13, 'font-weight="600"')]
    for column in range(columns):
        x = left + (column + 0.5) * _CELL
        body.append(_text(x, 34, str(column), 11, 'text-anchor="middle"'))
    for row, (name, values) in enumerate(zip(grid.rows, grid.values, strict=True)):
        y = 42 + row * 24
        body.append(_text(left - 8, y + 16, name, 12, 'text-anchor="end"'))
        for column, value in enumerate(values):
            if value is None:
                continue
            back, ink = _shade(value)
            x = left + column * _CELL
            body.append(
                f'<rect x="{x:g}" y="{y}" width="{_CELL - 1}" height="23" '
                f'fill="{back}">'
                f"<title>{escaped(name)} head {column}: {value:.3f}</title></rect>"
            )
            middle = f'text-anchor="middle" style="fill:{ink}"'
            shown = f"{value:.2f}"
            body.append(_text(x + _CELL / 2 - 0.5, y + 16, shown, 11, middle))
    height = 48 + 24 * len(grid.rows)
    return _svg(left + columns * _CELL + 8, height, grid.caption, body)


def bars_svg(bars: Bars) -> str:
    """A histogram from 0 to 1."""
    top = max(max(bars.counts), 1)
    width = _BAR * len(bars.counts)
    body = [_text(0, 14, bars.title, 13, 'font-weight="600"')]
    for index, count in enumerate(bars.counts):
        high = _BAR_HEIGHT * count / top
        low, up = index / len(bars.counts), (index + 1) / len(bars.counts)
        body.append(
            f'<rect x="{index * _BAR}" y="{24 + _BAR_HEIGHT - high:.4g}" '
            f'width="{_BAR - 2}" height="{high:.4g}" fill="#2f7f93">'
            f"<title>{low:.2f} to {up:.2f}: {count:,}</title></rect>"
        )
    for place, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        more = f'text-anchor="{anchor}"'
        y = 24 + _BAR_HEIGHT + 16
        body.append(_text(place * width, y, f"{place:g}", 11, more))
    body.append(_text(width, 14, f"highest bar: {top:,}", 11, 'text-anchor="end"'))
    return _svg(width, _BAR_HEIGHT + 46, bars.caption, body)


def squares_svg(squares: Squares) -> str:
    """Matrices side by side, and below them the bar of their one scale."""
    from neural_attn.figures.scales import WeightNorm

    norm = WeightNorm(DEFAULT_SCALE, squares.top)
    side, count = squares.side, len(squares.tokens)
    cell = side / max(count, 1)
    labels = cell >= 8  # narrower rows have no room for a letter
    size = min(11.0, cell)
    margin = max(text_width(t, size) for t in squares.tokens) + 8 if labels else 0
    body = []
    for line, row in enumerate(squares.rows):
        y = line * (side + 34) + 24
        for column, (title, matrix) in enumerate(row):
            x = margin + column * (side + 20)
            body += [
                _text(x, y - 10, title, 12, 'font-weight="600"'),
                _cells(x, y, side, matrix, norm),
            ]
        for index, token in enumerate(squares.tokens if labels else ()):
            middle = y + (index + 0.5) * cell + size / 3
            body.append(_text(margin - 6, middle, token, size, 'text-anchor="end"'))
    height = len(squares.rows) * (side + 34)
    body.append(_scale(margin, height, norm, squares.even))
    width = margin + max(max(map(len, squares.rows)) * (side + 20), _SCALE + _NAME)
    return _svg(width, height + _SCALE_HEIGHT, squares.caption, body)


def _scale(x: float, y: float, norm: WeightNorm, even: float | None) -> str:
    """The colour bar: round weights, its ends, and a mark at an even share."""
    from neural_attn.figures.colorbar import weight_text
    from neural_attn.figures.scales import WORDS

    steps = 70
    body = [_text(x, y + 12, WORDS[DEFAULT_SCALE], 11)]
    for step in range(steps):
        # half a pixel more, so that no ground shines through between two
        width = _SCALE / steps + 0.5 * (step < steps - 1)
        body.append(
            f'<rect x="{x + step * _SCALE / steps:g}" y="{y + 20}" width="{width:g}" '
            f'height="12" fill="{_shade(step / (steps - 1))[0]}"/>'
        )
    marked = [] if even is None or even > norm.top else [even]
    for weight in norm.ticks(_SCALE, marked, _NAME):
        at = x + float(norm(weight)) * _SCALE
        if weight in marked:
            body.append(f'<path d="M{at:g} {y + 17}v18" stroke="#ffffff" '
                        'stroke-width="4"/>')  # fmt: skip
            body.append(f'<path d="M{at:g} {y + 17}v18" stroke="#000000"/>')
            body.append(_text(at, y + 58, "even", 11, 'text-anchor="middle"'))
        anchor = f'text-anchor="{"middle" if weight else "start"}"'
        body.append(_text(at, y + 46, weight_text(weight), 11, anchor))
    return "".join(body)


def _cells(x: float, y: float, side: float, matrix: Matrix, norm: WeightNorm) -> str:
    """The cells of a matrix: one path per colour, a stroke per run of equal cells."""
    runs: dict[str, list[str]] = {}
    for row, values in enumerate(norm.places(np.array(matrix)).tolist()):
        start = 0
        for color, group in groupby(_shade(value)[0] for value in values):
            length = sum(1 for _ in group)
            runs.setdefault(color, []).append(f"M{start} {row}.5h{length}")
            start += length
    paths = "".join(
        f'<path stroke="{color}" d="{"".join(found)}"/>'
        for color, found in runs.items()
    )
    scale = side / len(matrix)
    return (
        f'<g transform="translate({x:g} {y:g}) scale({scale:.5g})" '
        f'shape-rendering="crispEdges">{paths}</g>'
    )
