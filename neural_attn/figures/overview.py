"""Every head of a network on one sheet: layers are rows, heads are columns.

All heads are one image, not an axes each, so that a sheet of 144 heads takes a
fraction of a second. Letters are text, in SVG too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neural_attn.figures import palette
from neural_attn.figures.choices import Scale
from neural_attn.figures.colorbar import draw_bar
from neural_attn.figures.filters import Filtered, Filters, axes_of
from neural_attn.figures.fonts import choose_fonts
from neural_attn.figures.layout import wrap
from neural_attn.figures.look import PLAIN, Look
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.figures.scales import (
    UNTRAINED,
    UP_TO_1,
    WORDS,
    WeightNorm,
    even_share,
    top_of,
)
from neural_attn.figures.token_labels import readable, shortened, told_apart
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import NONNEGATIVE

__all__ = ["draw_overview"]

DOTS = 100  # per inch, at which one weight of a small map is a whole number of dots
_GAP = 0.06  # between heads, as a part of a head's side
_SMALLEST_SIDE, _LARGEST_SIDE = 0.55, 1.28  # of one head, in inches
_EDGE, _BAR, _LINE, _NUMBERS = 0.15, 1.2, 0.22, 0.15  # in inches
_LONGEST_NAME = 40  # letters of a layer's name
_LETTER = 0.075  # width of a letter of the layers' names, in inches


def draw_overview(
    maps: AttentionMaps,
    batch_index: int = 0,
    *,
    title: str = "Every head",
    cmap: str | None = None,
    look: Look = PLAIN,
) -> Figure:
    """Draw every head of one example.

    All heads have one scale (signed ones another), unless `look.scale` is "layer" or
    "head". Longer texts are reduced by taking the greatest weight of each block.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there is no map, or no such example.
    ValueError
        If there is no such colour map.
    """
    if not len(maps):
        raise SelectionError("there are no attention maps to draw")
    theme = palette.theme_of(look.theme)
    seen = _filtered([maps.item(name, batch_index) for name in maps], look.filters)
    shown = {item.name: item for one in seen for item in one.items}
    items = [shown[name] for name in maps]
    evens = {name: even for one in seen for name, even in _even_shares(one).items()}
    columns = sorted({head for item in items for head in item.head_indices})
    side = min(_LARGEST_SIDE, max(_SMALLEST_SIDE, 15.0 / len(columns)))
    dots = round(side * DOTS)
    paint = _Paint(items, maps.trained, look.scale, cmap, theme)
    image = _image(items, columns, dots, paint)
    full = [readable(item.name, 120) for item in items]
    names = told_apart(full, lambda name: shortened(name, _LONGEST_NAME))
    left = max(len(name) for name in names) * _LETTER + 2 * _EDGE
    height, width = image.shape[0] / DOTS, image.shape[1] / DOTS
    scales = [some for some in _by_scale(items) if some]
    total = left + width + _BAR * len(scales) + _EDGE
    notes = [WORDS[look.scale], *dict.fromkeys(n for one in seen for n in one.notes)]
    if paint.relative:
        notes.append("uniform attention has no single place on the bar")
    grown = palette.type_growth(width)
    lines = _heading(maps, items, title, total, notes, theme, grown)
    top = 2 * _EDGE + _NUMBERS + _LINE * grown * len(lines)
    size = (total, top + height + _EDGE)
    figure = NotebookFigure(*size, dpi=DOTS)
    figure.set_facecolor(theme.ground)
    box = (left / size[0], _EDGE / size[1], width / size[0], height / size[1])
    axes = figure.add_axes(box)
    axes.imshow(image, interpolation="nearest", aspect="auto")
    _label(figure, items, names, columns, dots, theme)
    _write(figure, lines, _LINE * grown)
    for number, some in enumerate(scales):
        at = left + width + 0.12 + _BAR * number
        even = {evens[item.name] for item in some}
        place = (at, size[1] - top, min(1.6, height))
        _scale(figure, some[0], paint, place, even.pop() if len(even) == 1 else None)
    return figure


def _filtered(items: Sequence[AttentionItem], filters: Filters) -> list[Filtered]:
    """The same is hidden in all layers over the same tokens, which stay comparable."""
    groups: dict[object, list[AttentionItem]] = {}
    for item in items:
        groups.setdefault(axes_of(item), []).append(item)
    return [filters.apply(group) for group in groups.values()]


def _even_shares(seen: Filtered) -> dict[str, float | None]:
    """Of each layer, by name: masks differ where one looks through a window."""
    heads = np.cumsum([len(item.head_indices) for item in seen.items])
    parts = np.split(seen.basis, heads[:-1])
    return {
        item.name: even_share(part, item.rows)
        for item, part in zip(seen.items, parts, strict=True)
    }


def _by_scale(
    items: Sequence[AttentionItem],
) -> tuple[list[AttentionItem], list[AttentionItem]]:
    """The items whose weights are 0 or more, and those that are signed."""
    signed = [item for item in items if _is_signed(item)]
    return [item for item in items if not _is_signed(item)], signed


def _is_signed(item: AttentionItem) -> bool:
    return item.rows not in NONNEGATIVE


class _Paint:
    """The colours of the heads of every item."""

    def __init__(
        self,
        items: Sequence[AttentionItem],
        trained: bool | None,
        scale: Scale,
        cmap: str | None,
        theme: palette.Theme,
    ) -> None:
        self.scale, self.trained, self.theme = scale, trained, theme
        self.relative = scale in ("layer", "head")
        self.maps = [
            palette.colormap(cmap, signed=signed, theme=theme)
            for signed in (False, True)
        ]
        # 256 colours once, looked up: faster than mapping every weight.
        self.tables = [
            (one(np.arange(256)) * 255).round().astype(np.uint8) for one in self.maps
        ]
        self.tops = [
            top_of(max((_greatest(item.weights) for item in some), default=0), trained)
            for some in _by_scale(items)
        ]

    def norm(self, item: AttentionItem, head: int | None = None) -> WeightNorm:
        """The scale of one head of an item, or of the bar."""
        signed = _is_signed(item)
        top = self.tops[signed]
        if self.relative:
            weights = item.weights if self.scale == "layer" else item.weights[head]
            top = 1.0 if head is None else top_of(_greatest(weights), self.trained)
        return WeightNorm(self.scale, top, signed=signed)


def _greatest(weights: NDArray[np.float32]) -> float:
    return float(np.abs(weights).max())


def _image(
    items: Sequence[AttentionItem], columns: Sequence[int], dots: int, paint: _Paint
) -> NDArray[np.uint8]:
    """All heads side by side, uint8 [dots, dots, 4]; `columns` are their numbers."""
    step = dots + round(dots * _GAP)
    shape = (step * len(items) - (step - dots), step * len(columns) - (step - dots), 4)
    ground, masked = (
        np.round(np.array(to_rgba(color)) * 255).astype(np.uint8)
        for color in (paint.theme.ground, paint.theme.masked)
    )
    image = np.full(shape, ground, dtype=np.uint8)
    for row, item in enumerate(items):
        small, shown = _reduced(item, dots)
        for head, (number, weights) in enumerate(
            zip(item.head_indices, small, strict=True)
        ):
            share = paint.norm(item, head).places(weights)
            cells = paint.tables[_is_signed(item)][(share * 255).astype(np.uint8)]
            cells[~shown[head]] = masked
            rows = np.arange(dots) * cells.shape[0] // dots
            keys = np.arange(dots) * cells.shape[1] // dots
            y, x = row * step, columns.index(number) * step
            image[y : y + dots, x : x + dots] = cells[rows][:, keys]
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
    columns: Sequence[int],
    dots: int,
    theme: palette.Theme,
) -> None:
    step = dots + round(dots * _GAP)
    families = list(choose_fonts(names).families)
    plain: dict[str, Any] = {
        "parse_math": False,
        "family": families,
        "color": theme.ink,
    }
    ax = figure.axes[0]
    ax.set_facecolor(theme.ground)  # seen at the edge of the image
    ax.set_xticks([c * step + dots / 2 for c in range(len(columns))])
    heads = [f"head {columns[0]}", *map(str, columns[1:])]
    ax.set_xticklabels(heads, fontsize=8, **plain)
    ax.set_yticks([r * step + dots / 2 for r in range(len(items))])
    ax.set_yticklabels(names, fontsize=8, **plain)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False, pad=3)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _heading(
    maps: AttentionMaps,
    items: Sequence[AttentionItem],
    title: str,
    width: float,
    notes: Sequence[str],
    theme: palette.Theme,
    grown: float,
) -> list[tuple[str, float, str, str]]:
    """The lines above the heads: text, size in points, colour, weight."""
    tokens = len(items[0].key_tokens)
    about = f"layers by heads; rows attend to columns; {tokens} tokens, not labelled"
    if any(not item.allowed.all() for item in items):
        about += "; grey: masked"
    if any(map(_is_signed, items)):
        about += "; signed weights: orange below 0, blue above"
    if any(max(item.weights.shape[1:]) > _LARGEST_SIDE * DOTS for item in items):
        about += "; each dot is the greatest of a block"
    about = "; ".join([about, *notes])
    lines = [
        (title, palette.SIZE_TITLE, theme.ink, choose_fonts([title]).title_weight),
        (about, palette.SIZE_NOTE, theme.muted, "normal"),
    ]
    if maps.trained is False:
        lines.append(
            (f"{UNTRAINED}; {UP_TO_1}", palette.SIZE_NOTE, theme.warn, "normal")
        )
    fonts = choose_fonts([text for text, *_ in lines])
    room = (width - 2 * _EDGE) / grown
    return [
        (shown, points * grown, color, weight)
        for text, points, color, weight in lines
        for shown in wrap(readable_line(text), points, room, fonts, weight)
    ]


def _write(
    figure: Figure, lines: Sequence[tuple[str, float, str, str]], line: float
) -> None:
    y = float(figure.get_figheight()) - _EDGE
    for text, points, color, weight in lines:
        families = list(choose_fonts([text]).families)
        figure.text(
            _EDGE, y, text, size=points, color=color, weight=weight, va="top",
            parse_math=False, family=families, transform=figure.dpi_scale_trans,
        )  # fmt: skip
        y -= line


def readable_line(text: str) -> str:
    """A title from anywhere as one safe line; its spaces stay spaces."""
    return " ".join(readable(word, 60) for word in text.split(" ") if word)


def _scale(
    figure: Figure,
    item: AttentionItem,
    paint: _Paint,
    place: tuple[float, float, float],
    even: float | None,
) -> None:
    """A bar that says which colour is which weight; `place`: left, top, height."""
    left, upper, tall = place
    width, height = figure.get_size_inches()
    box = (left / width, (upper - tall) / height, 0.12 / width, tall / height)
    title = "part of the greatest weight" if paint.relative else ""
    draw_bar(
        figure.add_axes(box),
        paint.norm(item),
        paint.maps[_is_signed(item)],
        paint.theme,
        even=None if paint.relative else even,
        title=title,
    )
