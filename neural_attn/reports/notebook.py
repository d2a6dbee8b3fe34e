"""What a notebook shows of maps and of an analysis: small, and without any script."""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import printable
from neural_attn.figures.scales import top_of
from neural_attn.figures.token_labels import readable
from neural_attn.maps.attention_map import AttentionItem
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.promises import NONNEGATIVE
from neural_attn.reports.document import document
from neural_attn.reports.elements import UNTRAINED, Grid
from neural_attn.reports.svg import grid_svg
from neural_attn.reports.thumbnails import thumbnail

__all__ = ["MOST_HEADS", "MOST_LAYERS", "Shown", "shown"]

MOST_LAYERS, MOST_HEADS = 24, 16  # of more, the first are shown, and how many are not
_PIXELS = 56  # a thumbnail's longer side
# Pictures stand on white, whatever the notebook's theme is.
_STYLE = (
    "background:#fff;color:#1b1f24;padding:8px;overflow-x:auto;"
    "font:13px system-ui,sans-serif"
)


class Shown(str):
    """HTML that a notebook shows."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def shown(given: AttentionMaps | Analysis) -> Shown:
    """The first example of maps as thumbnails, or an analysis as sentences and a grid.

    Everything in it that a stranger may have written is escaped.
    """
    parts = _analysis(given) if isinstance(given, Analysis) else _maps(given)
    return Shown(f'<div style="{_STYLE}">{"".join(parts)}</div>')


def _analysis(analysis: Analysis) -> Iterator[str]:
    texts, heads = analysis.texts, len(analysis.heads)
    yield f"<p><b>{heads:,} heads over {texts:,} text{'s'[: texts != 1]}</b></p>"
    yield _warning(analysis.trained)
    rows = "".join(
        f'<tr><td style="text-align:left">{_safe(one.sentence)}</td>'
        f'<td style="text-align:left">{_safe(_some(one.heads))}</td></tr>'
        for one in analysis.highlights
    )
    names = "".join(f'<th style="text-align:left">{n}</th>' for n in _HEADER)
    yield f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"
    for part in document(analysis):
        if isinstance(part, Grid):
            yield grid_svg(part)
            break
    yield (
        "<p><code>to_frame()</code> gives every head as a table, "
        "<code>to_dict()</code> everything.</p>"
    )


_HEADER = ("what stands out", "heads")


def _some(labels: tuple[str, ...], most: int = 6) -> str:
    left = f" and {len(labels) - most} more" * (len(labels) > most)
    return ", ".join(labels[:most]) + left


def _maps(maps: AttentionMaps) -> Iterator[str]:
    items = [maps.item(one.name) for one in maps.maps[:MOST_LAYERS]]
    more = len(maps.maps[0].weights) - 1
    others = f"; {more} more example{'s'[: more != 1]}" if more else ""
    yield f"<p><b>{len(maps)} maps, the first example</b>{others}</p>"
    yield _warning(maps.trained)
    yield from (f"<p>{_safe(note)}</p>" for note in maps.notes)
    greatest = max(float(np.abs(i.weights).max(initial=0)) for i in items)
    top = top_of(greatest, maps.trained)
    rows = "".join(_row(item, top) for item in items)
    yield f'<table style="border-spacing:3px">{rows}</table>'
    left = len(maps) - len(items)
    yield (
        f"<p>{f'{left} more maps are not shown. ' if left else ''}Queries down, keys "
        f"across; colours: the square root of the weight, up to {top:.2g}. "
        "<code>explore(maps)</code> is the page to look closer, "
        "<code>plot(maps, layers=0)</code> a picture with tokens.</p>"
    )


def _row(item: AttentionItem, top: float) -> str:
    name = _safe(readable(item.name, 28))
    heads = item.head_indices[:MOST_HEADS]
    cells = "".join(
        f'<td style="padding:1px"><img alt="{name}, head {head}" '
        f'title="{name}, head {head}" src="{source}" style="{_size(item)}"></td>'
        for head, source in zip(heads, _sources(item, top), strict=True)
    )
    left = len(item.head_indices) - len(heads)
    end = f"<td>and {left} more</td>" if left else ""
    return f'<tr><th scope="row" style="text-align:left">{name}</th>{cells}{end}</tr>'


def _sources(item: AttentionItem, top: float) -> Iterator[str]:
    signed = item.rows not in NONNEGATIVE
    for weights in item.weights[:MOST_HEADS]:
        yield thumbnail(weights, top, signed=signed)


def _size(item: AttentionItem) -> str:
    """The size of a thumbnail, its sides as queries to keys, none below 8 pixels."""
    height, width = item.weights.shape[1:]
    scale = _PIXELS / max(height, width)
    sides = (max(8, round(side * scale)) for side in (width, height))
    wide, high = sides
    return f"width:{wide}px;height:{high}px;max-width:none;image-rendering:pixelated"


def _warning(trained: bool | None) -> str:
    return f"<p><b>warning: {_safe(UNTRAINED)}</b></p>" if trained is False else ""


def _safe(text: str) -> str:
    return html.escape(printable(text).replace("\n", " "))
