"""Every head of a network on one sheet: layers are rows, heads are columns.

All heads are one image, not an axes each, so that a sheet of 144 heads takes a
fraction of a second. Letters are text, in SVG too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neural_attn.figures import palette
from neural_attn.figures.fonts import choose_fonts
from neural_attn.figures.layout import wrap
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.figures.token_labels import readable
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import NONNEGATIVE

__all__ = ["draw_overview"]

DOTS = 100  # per inch, at which one weight of a small map is a whole number of dots
_GAP = 0.06  # between heads, as a part of a head's side
_SMALLEST_SIDE, _LARGEST_SIDE = 0.55, 1.28  # of one head, in inches
_EDGE, _BAR, _LINE, _NUMBERS = 0.15, 0.75, 0.22, 0.15  # in inches
_MASKED = (236, 238, 241, 255)
_LETTER = 0.075  # width of a letter of the layers' names, in inches


def draw_overview(
    maps: AttentionMaps,
    batch_index: int = 0,
    *,
    title: str = "Every head",
    cmap: str | None = None,
) -> Figure:
    """Draw every head of one example.

    Colour grows with the square root of the weight, on one scale for all heads (signed
    ones have another): so faint patterns stay visible beside strong ones, and heads
    compare. Longer texts are reduced by taking the greatest weight of each block.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there is no map, or no such example.
    ValueError
        If there is no such colour map.
    """
    if not len(maps):
        raise SelectionError("there are no attention maps to draw")
    items = [maps.item(name, batch_index) for name in maps]
    columns = max(len(item.head_indices) for item in items)
    side = min(_LARGEST_SIDE, max(_SMALLEST_SIDE, 15.0 / columns))
    dots = round(side * DOTS)
    image = _image(items, columns, dots, cmap)
    names = [readable(item.name, 28) for item in items]
    left = max(len(name) for name in names) * _LETTER + 2 * _EDGE
    height, width = image.shape[0] / DOTS, image.shape[1] / DOTS
    scales = [some for some in _by_scale(items) if some]
    total = left + width + _BAR * len(scales) + _EDGE
    lines = _heading(maps, items, title, total)
    top = 2 * _EDGE + _NUMBERS + _LINE * len(lines)
    size = (total, top + height + _EDGE)
    figure = NotebookFigure(*size, dpi=DOTS)
    box = (left / size[0], _EDGE / size[1], width / size[0], height / size[1])
    axes = figure.add_axes(box)
    axes.imshow(image, interpolation="nearest", aspect="auto")
    _label(figure, items, names, columns, dots)
    _write(figure, lines)
    for number, some in enumerate(scales):
        at = left + width + 0.12 + _BAR * number
        _scale(figure, some, cmap, (at, size[1] - top, min(1.6, height)))
    return figure


def _by_scale(
    items: Sequence[AttentionItem],
) -> tuple[list[AttentionItem], list[AttentionItem]]:
    """The items whose weights are 0 or more, and those that are signed."""
    signed = [item for item in items if _is_signed(item)]
    return [item for item in items if not _is_signed(item)], signed


def _is_signed(item: AttentionItem) -> bool:
    return item.rows not in NONNEGATIVE


def _greatest(items: Sequence[AttentionItem]) -> float:
    return max((float(np.abs(item.weights).max()) for item in items), default=0) or 1.0


def _image(
    items: Sequence[AttentionItem], columns: int, dots: int, cmap: str | None
) -> NDArray[np.uint8]:
    """All heads side by side, uint8 [dots, dots, 4]."""
    # 256 colours once, looked up: faster than mapping every weight.
    tables = [palette.colormap(cmap, signed=signed) for signed in (False, True)]
    colors = [
        (table(np.arange(256)) * 255).round().astype(np.uint8) for table in tables
    ]
    tops = [_greatest(some) for some in _by_scale(items)]
    step = dots + round(dots * _GAP)
    shape = (step * len(items) - (step - dots), step * columns - (step - dots), 4)
    image = np.full(shape, 255, dtype=np.uint8)
    for row, item in enumerate(items):
        small, shown = _reduced(item, dots)
        signed = _is_signed(item)
        share = np.sqrt(np.abs(small) / tops[signed])
        share = (1 + np.sign(small) * share) / 2 if signed else share
        cells = colors[signed][(share * 255).astype(np.uint8)]
        cells[~shown] = _MASKED
        rows = np.arange(dots) * cells.shape[1] // dots
        keys = np.arange(dots) * cells.shape[2] // dots
        for column, head in enumerate(cells):
            y, x = row * step, column * step
            image[y : y + dots, x : x + dots] = head[rows][:, keys]
    return image


def _reduced(
    item: AttentionItem, dots: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Weights and allowed cells with at most `dots` rows and columns per head."""
    weights, allowed = item.weights, item.allowed
    for axis in (1, 2):
        length = weights.shape[axis]
        if length > dots:
            starts = np.arange(dots) * length // dots
            greatest = np.maximum.reduceat(weights, starts, axis=axis)
            if _is_signed(item):
                least = np.minimum.reduceat(weights, starts, axis=axis)
                greatest = np.where(-least > greatest, least, greatest)
            weights = greatest
            allowed = np.logical_or.reduceat(allowed, starts, axis=axis)
    return weights, np.asarray(allowed)


def _label(
    figure: Figure,
    items: Sequence[AttentionItem],
    names: Sequence[str],
    columns: int,
    dots: int,
) -> None:
    step = dots + round(dots * _GAP)
    families = list(choose_fonts(names).families)
    plain: dict[str, Any] = {
        "parse_math": False,
        "family": families,
        "color": palette.INK,
    }
    ax = figure.axes[0]
    ax.set_xticks([c * step + dots / 2 for c in range(columns)])
    ax.set_xticklabels([str(c) for c in range(columns)], fontsize=8, **plain)
    ax.set_yticks([r * step + dots / 2 for r in range(len(items))])
    ax.set_yticklabels(names, fontsize=8, **plain)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False, pad=3)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _heading(
    maps: AttentionMaps, items: Sequence[AttentionItem], title: str, width: float
) -> list[tuple[str, float, str, str]]:
    """The lines above the heads: text, size in points, colour, weight."""
    about = (
        f"layers by heads; rows attend to columns; {len(items[0].key_tokens)} tokens"
    )
    if any(not item.allowed.all() for item in items):
        about += "; grey: masked"
    if any(map(_is_signed, items)):
        about += "; signed weights: orange below 0, blue above"
    if any(max(item.weights.shape[1:]) > _LARGEST_SIDE * DOTS for item in items):
        about += "; each dot is the greatest of a block"
    lines = [(title, 12.0, palette.INK, "bold"), (about, 9.0, palette.MUTED, "normal")]
    if maps.trained is False:
        warning = "untrained (random) weights"
        lines.append((warning, 9.0, palette.WARNING, "normal"))
    fonts = choose_fonts([text for text, *_ in lines])
    return [
        (shown, points, color, weight)
        for text, points, color, weight in lines
        for shown in wrap(readable_line(text), points, width - 2 * _EDGE, fonts)
    ]


def _write(figure: Figure, lines: Sequence[tuple[str, float, str, str]]) -> None:
    y = float(figure.get_figheight()) - _EDGE
    families = list(choose_fonts([text for text, *_ in lines]).families)
    for text, points, color, weight in lines:
        figure.text(
            _EDGE, y, text, size=points, color=color, weight=weight, va="top",
            parse_math=False, family=families, transform=figure.dpi_scale_trans,
        )  # fmt: skip
        y -= _LINE


def readable_line(text: str) -> str:
    """A title from anywhere as one safe line; its spaces stay spaces."""
    return " ".join(readable(word, 60) for word in text.split(" ") if word)


def _scale(
    figure: Figure,
    items: Sequence[AttentionItem],
    cmap: str | None,
    place: tuple[float, float, float],
) -> None:
    """A bar that says which colour is which weight; `place`: left, top, height."""
    left, upper, tall = place
    width, height = figure.get_size_inches()
    top, signed = _greatest(items), _is_signed(items[0])
    box = (left / width, (upper - tall) / height, 0.12 / width, tall / height)
    axes = figure.add_axes(box)
    shades = np.linspace(0, 1, 256)[:, np.newaxis]
    axes.imshow(
        shades, cmap=palette.colormap(cmap, signed=signed), origin="lower",
        aspect="auto", extent=(0.0, 1.0, 0.0, 1.0),
    )  # fmt: skip
    axes.set_xticks([])
    weights = np.array([-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0][0 if signed else 3 :])
    places = np.sign(weights) * np.sqrt(np.abs(weights))
    axes.set_yticks((places + 1) / 2 if signed else places)
    axes.set_yticklabels([f"{part * top:.2f}" for part in weights], fontsize=8)
    axes.tick_params(length=2, left=False, right=True, labelleft=False, labelright=True)
