"""The interactive page: one HTML file for Plotly, which needs no network.

There is one trace per head, and one for the average. The layer menu swaps the data of
all traces, the head menu says which trace is seen, so that both work in any order
without a copy of the data for each combination. Arrays are embedded as base64 of
float32, as Plotly itself does it; not as decimal text.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from neural_attn.figures import palette
from neural_attn.figures.blocks import Blocks, blocks_of
from neural_attn.figures.plotly_page import TITLE_PLACE, page_of, plain, plot_of
from neural_attn.figures.token_labels import readable
from neural_attn.files import atomic_write
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import NONNEGATIVE, PROMISES, SHARES

__all__ = ["build_dashboard", "write_dashboard"]

# A page above this takes browsers seconds to open: heads are then left out of it, and
# the page says so. 12 layers of 12 heads over 200 tokens fit.
MOST_MEGABYTES = 48.0
# Longer texts are drawn in so many blocks of positions at most, as a screen has no more
# pixels for them, and in half as many where the page would be above this.
MOST_CELLS = 512
MOST_MEGABYTES_IN_BLOCKS = 24.0
BYTES_PER_WEIGHT = 4 * 4 / 3  # float32 as base64

HOVER = (
    "query <b>%{y}</b><br>key <b>%{x}</b><br>weight <b>%{z:.4f}</b>"
    "<extra>%{fullData.name}</extra>"
)
UNTRAINED = "untrained (random) weights"
AVERAGE = "Average over heads"


@dataclass(frozen=True)
class _Layer:
    """What the traces hold for one layer; z and zmax have one entry per trace.

    Of signed weights, the colour scale goes from -zmax to zmax.
    """

    x: list[str]
    y: list[str]
    z: list[NDArray[np.float32]]
    zmax: list[float]
    gap: int
    signed: bool = False

    @property
    def zmin(self) -> list[float]:
        """The lower end of each scale."""
        return [-top if self.signed else 0 for top in self.zmax]

    @property
    def colorscale(self) -> Any:
        """The colours of all its traces."""
        if not self.signed:
            return "Viridis"
        last = len(palette.DIVERGING) - 1
        return [[at / last, color] for at, color in enumerate(palette.DIVERGING)]


def build_dashboard(maps: AttentionMaps, batch_index: int = 0) -> go.Figure:
    """Make a Plotly figure with a menu of layers and a menu of heads.

    Every position is a row or column of its own, labelled "position token", also
    where tokens repeat. Masked cells are left empty. All heads of a layer share one
    colour scale; the average has its own.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there are no maps, or no such example.
    """
    if not len(maps):
        raise SelectionError("there are no attention maps to draw")
    items = [maps.item(name, batch_index) for name in maps]
    numbers = sorted({number for item in items for number in item.head_indices})
    notes = [UNTRAINED] if maps.trained is False else []
    traces = len(numbers) + (len(numbers) > 1)
    drawn = _in_blocks(items, traces)
    size = _megabytes(drawn, traces)
    if size > MOST_MEGABYTES and len(numbers) > 1:
        notes.append(
            f"averages only: all heads would make a page of {size:.0f} MB; "
            "choose a layer or a head to see single heads"
        )
        numbers = []
        drawn = _fitting(items)
    average = len(numbers) != 1
    names = [AVERAGE] * average + [f"Head {number}" for number in numbers]
    layers = [_layer(one, numbers, average) for one in drawn]
    figure = go.Figure([_trace(layers[0], i, name) for i, name in enumerate(names)])
    titles = [_title(one.item, [*notes, *_block_note(one)]) for one in drawn]
    figure.update_layout(
        title={"text": titles[0], "font": {"size": 17}} | TITLE_PLACE,
        xaxis=_axis("Key (attended to)"),
        yaxis=_axis("Query (attends from)") | {"autorange": "reversed"},
        margin={"t": 170, "l": 60, "r": 20, "b": 60},
        template="none",
        plot_bgcolor="#eceef1",
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#1b1f24"},
        updatemenus=[
            _menu(
                40,
                [
                    _layer_button(*of, scales=any(layer.signed for layer in layers))
                    for of in zip(items, layers, titles, strict=True)
                ],
            ),
            _menu(0, [_head_button(i, names) for i in range(len(names))]),
        ],
    )
    return figure


def _megabytes(drawn: Sequence[Blocks], traces: int) -> float:
    """How large a page of so many traces is; the first layer is in it twice."""
    cells = [one.cells for one in drawn]
    return (sum(cells) + cells[0]) * traces * BYTES_PER_WEIGHT / 1e6


def _in_blocks(items: Sequence[AttentionItem], traces: int) -> list[Blocks]:
    """Every map as it is, or in blocks where it is too long."""
    drawn = [blocks_of(item, MOST_CELLS) for item in items]
    if all(one.size == 1 for one in drawn):
        return drawn
    fewer = _megabytes(drawn, traces) > MOST_MEGABYTES_IN_BLOCKS
    return [blocks_of(item, MOST_CELLS // 2) for item in items] if fewer else drawn


def _fitting(items: Sequence[AttentionItem]) -> list[Blocks]:
    """Blocks that are few enough for the averages of all layers to fit."""
    most = MOST_CELLS
    while _megabytes([blocks_of(item, most) for item in items], 1) > MOST_MEGABYTES:
        most //= 2
    return [blocks_of(item, most) for item in items]


def _block_note(one: Blocks) -> list[str]:
    if one.size == 1:
        return []
    return [f"each cell is the greatest weight of {one.size} × {one.size} positions"]


def write_dashboard(
    maps: AttentionMaps, path: str | os.PathLike[str], batch_index: int = 0
) -> Path:
    """Write `build_dashboard` as one HTML file that loads nothing from anywhere.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there are no maps, or no such example.
    OSError
        If the file cannot be written.
    """
    figure = build_dashboard(maps, batch_index)
    source = f" in {readable(maps.source, 80)}" if maps.source else ""
    plot = plot_of(figure, "attention", "100%")
    return atomic_write(path, page_of(f"Attention{source}", plot))


def _layer(one: Blocks, numbers: Sequence[int], average: bool) -> _Layer:
    item = one.item
    x, y = (_positions(one.labels(t)) for t in (item.key_tokens, item.query_tokens))
    z, zmax = [], []
    if average:
        mean = one.greatest(item.weights.mean(axis=0))
        allowed = np.asarray(item.allowed.any(axis=0))
        z.append(_with_gaps(mean, one.any_allowed(allowed)))
        zmax.append(float(np.abs(mean).max()) or 1.0)
    greatest = float(np.abs(item.weights).max()) or 1.0
    for number in numbers:
        if number in item.head_indices:
            at = item.head_indices.index(number)
            weights = one.greatest(item.weights[at])
            z.append(_with_gaps(weights, one.any_allowed(item.allowed[at])))
        else:  # other layers have more heads than this one: nothing to see here
            z.append(np.full((len(y), len(x)), np.nan, dtype=np.float32))
        zmax.append(greatest)
    gap = 1 if max(len(x), len(y)) <= 32 else 0
    return _Layer(x, y, z, zmax, gap, signed=item.rows not in NONNEGATIVE)


def _with_gaps(
    weights: NDArray[np.float32], allowed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    # A weight that a mask should have made 0 is shown, never hidden.
    return np.where(allowed | (weights != 0), weights, np.float32(np.nan))


def _positions(labels: Sequence[tuple[str, str]]) -> list[str]:
    """Give each position a label of its own; tokens alone may repeat."""
    return [
        position if token == position else f"{position} {plain(token)}"
        for position, token in labels
    ]


def _title(item: AttentionItem, notes: Sequence[str]) -> str:
    name = plain(item.name, 60)
    kind = item.kind.replace("_self", " self-attention").replace(
        "cross", "cross-attention"
    )
    causal = "causal " if item.causal else ""
    heads = len(item.head_indices)
    count = "1 head" if heads == 1 else f"{heads} heads"
    promise = "" if item.rows == SHARES else f"; {PROMISES[item.rows]}"
    if item.rows not in NONNEGATIVE:
        promise += "; orange is below 0, blue above"
    about = f'<span style="font-size:13px">{causal}{kind}, {count}{promise}</span>'
    lines = [f"<b>{name}</b>", about, *map(_note, notes)]
    return "<br>".join(lines)


def _note(note: str) -> str:
    return f'<span style="color:#c2410c;font-size:13px">{html.escape(note)}</span>'


def _trace(layer: _Layer, index: int, name: str) -> go.Heatmap:
    return go.Heatmap(
        z=layer.z[index],
        x=layer.x,
        y=layer.y,
        zmin=layer.zmin[index],
        zmax=layer.zmax[index],
        xgap=layer.gap,
        ygap=layer.gap,
        name=name,
        visible=index == 0,
        colorscale=layer.colorscale,
        colorbar={"title": {"text": "attention weight", "side": "right"}},
        hoverongaps=False,
        hovertemplate=HOVER,
    )


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 14},
        # Labels are names of positions: never numbers or dates, whatever they say.
        "type": "category",
        "automargin": True,
        "showgrid": False,
        "ticks": "outside",
        "ticklen": 3,
        "constrain": "domain",
    }


def _menu(lift: float, buttons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "buttons": buttons,
        "x": 0,
        "y": 1,
        # Two rows, so that both fit on a telephone.
        "pad": {"b": 10 + lift},
        "xanchor": "left",
        "yanchor": "bottom",
        "showactive": True,
        "visible": len(buttons) > 1,
        "bgcolor": "#f4f5f7",
    }


def _layer_button(
    item: AttentionItem, layer: _Layer, title: str, *, scales: bool
) -> dict[str, Any]:
    """Put another layer's data into all traces, and show all of it.

    `scales` says that layers differ in their scales of colours.
    """
    data = {
        "z": [_embedded(z) for z in layer.z],
        "zmax": layer.zmax,
        "x": [layer.x],
        "y": [layer.y],
        "xgap": layer.gap,
        "ygap": layer.gap,
    }
    if scales:
        data |= {"zmin": layer.zmin, "colorscale": [layer.colorscale]}
    view = {
        "title.text": title,
        "xaxis.autorange": True,
        "yaxis.autorange": "reversed",
    }
    return {"label": plain(item.name, 48), "method": "update", "args": [data, view]}


def _head_button(index: int, traces: Sequence[str]) -> dict[str, Any]:
    visible = [other == index for other in range(len(traces))]
    return {"label": traces[index], "method": "restyle", "args": [{"visible": visible}]}


def _embedded(array: NDArray[np.float32]) -> dict[str, str]:
    """Write an array as Plotly's typed array; plotly.py does so in traces alone."""
    content = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {
        "dtype": "f4",
        "bdata": base64.b64encode(content).decode("ascii"),
        "shape": ", ".join(map(str, array.shape)),
    }
