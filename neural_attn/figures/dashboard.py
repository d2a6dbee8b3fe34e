"""The interactive page: one HTML file for Plotly, which needs no network.

Layers and heads are also chosen by a slider each, which presses the menus' buttons.

There is one trace per head, and one for the average. The layer menu swaps the data of
all traces, the head menu says which trace is seen, so that both work in any order
without a copy of the data for each combination. Arrays are embedded as base64 of
float32, as Plotly itself does it; not as decimal text.
"""

from __future__ import annotations

import base64
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from neural_attn.figures import palette
from neural_attn.figures.blocks import Blocks, blocks_of
from neural_attn.figures.choices import Scale
from neural_attn.figures.colorbar import weight_text
from neural_attn.figures.look import PLAIN, Look
from neural_attn.figures.of_maps import shared_tops
from neural_attn.figures.plotly_page import (
    CHOOSE,
    LEFT_OUT,
    TITLE_PLACE,
    controls,
    escaped,
    page_of,
    plain,
    plot_of,
)
from neural_attn.figures.scales import (
    DECADES,
    UNTRAINED,
    UP_TO_1,
    WORDS,
    WeightNorm,
    even_share,
    top_of,
)
from neural_attn.figures.token_labels import readable
from neural_attn.files import atomic_write
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import NONNEGATIVE, PROMISES, SHARES, Rows

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
BAR_PIXELS = 200  # beside the tokens it has no more room on a telephone
NAME_PIXELS = 44  # of a weight at the bar
# On a page the bar lies above the matrix, which then has the width of a telephone to
# itself. Plotly moves all its titles where a bar lies: HTML says what they would. It
# leaves half the bar's height free above one that lies at 1: this lies just below.
LYING = {"orientation": "h", "x": 0, "xanchor": "left", "y": 0.9999,
         "yanchor": "bottom", "lenmode": "pixels", "len": BAR_PIXELS,
         "thickness": 12, "tickangle": 0, "title_side": "top",
         "xpad": 0, "ypad": 4}  # fmt: skip
AXES = "Rows: queries, which attend. Columns: keys, which are attended to."
LINE_LENGTH = 46  # characters
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
    scale: Scale
    signed: bool = False
    even: float | None = None

    @cached_property
    def ticks(self) -> dict[str, list[Any]]:
        """What each bar names: its ends, round weights, and an even share."""
        values, texts = [], []
        for top in self.zmax:
            # Plotly's bar goes by the weight, whatever the colours go by
            norm = WeightNorm("layer", top, signed=self.signed)
            marked = [one for one in [self.even] if one is not None and one <= top]
            ticks = norm.ticks(BAR_PIXELS, marked, NAME_PIXELS)
            values.append([float(f"{one:.4g}") for one in ticks])
            texts.append([weight_text(one) + "<br>even" * (one in marked)
                          for one in ticks])  # fmt: skip
        return {"tickvals": values, "ticktext": texts}

    @property
    def zmin(self) -> list[float]:
        """The lower end of each scale."""
        return [-top if self.signed else 0 for top in self.zmax]

    @cached_property
    def colorscale(self) -> Any:
        """The colours of all its traces, as steep as the scale has them."""
        colors = palette.colormap(signed=self.signed)
        sides = (-1, 1) if self.signed else (1,)
        places = sorted({side * at for side in sides for at in self._stops})
        low = min(places)
        return [
            [(at - low) / (1 - low), to_hex(colors(float(self._norm(at))))]
            for at in places
        ]

    @property
    def _norm(self) -> WeightNorm:
        return WeightNorm(self.scale, 1.0, signed=self.signed)

    @property
    def _stops(self) -> list[float]:
        """Weights, as shares of the greatest, between which colours are mixed."""
        steps = [float(step) for step in np.linspace(0, 1, 11)]
        if self.scale == "sqrt":
            return [step**2 for step in steps]
        if self.scale == "log":
            return [0.0, *(10 ** (DECADES * (step - 1)) for step in steps)]
        return steps


def build_dashboard(
    maps: AttentionMaps, batch_index: int = 0, look: Look = PLAIN
) -> go.Figure:
    """Make a Plotly figure with a menu of layers and a menu of heads.

    Every position is a row or column of its own, labelled "position token", also
    where tokens repeat. Masked cells are left empty. `look` says what is hidden, and
    what colours stand for; all heads of a layer share one scale, if it says no other,
    and the average has its own.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there are no maps, or no such example.
    """
    if not len(maps):
        raise SelectionError("there are no attention maps to draw")
    seen = [look.filters.apply([maps.item(name, batch_index)]) for name in maps]
    items = [item for one in seen for item in one.items]
    numbers = sorted({number for item in items for number in item.head_indices})
    notes = [f"{UNTRAINED}; {UP_TO_1}"] if maps.trained is False else []
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
    tops = shared_tops(items, PLAIN) if look.scale == "shared" else {}
    scale = _Scale(look.scale, maps.trained, tops)
    layers = [
        _layer(one, numbers, average, scale, even_share(of.basis, one.item.rows))
        for one, of in zip(drawn, seen, strict=True)
    ]
    figure = go.Figure([_trace(layers[0], i, name) for i, name in enumerate(names)])
    titles = [
        _title(one.item, [*notes, *_block_note(one)], [WORDS[look.scale], *of.notes])
        for one, of in zip(drawn, seen, strict=True)
    ]
    figure.update_layout(
        title={"text": titles[0], "font": {"size": 17}} | TITLE_PLACE,
        xaxis=_axis("Key (attended to)"),
        # square cells: a query is as high as a key is wide
        yaxis=_axis("Query (attends from)")
        | {"autorange": "reversed", "scaleanchor": "x", "scaleratio": 1}
        | {"constraintoward": "top"},
        margin={"t": _room_above(titles), "l": 60, "r": 20, "b": 60},
        template="none",
        plot_bgcolor=palette.LIGHT.masked,
        font={"family": palette.SANS, "size": 12, "color": palette.LIGHT.ink},
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
    maps: AttentionMaps,
    path: str | os.PathLike[str],
    batch_index: int = 0,
    look: Look = PLAIN,
) -> Path:
    """Write `build_dashboard` as one HTML file that loads nothing from anywhere.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there are no maps, or no such example.
    OSError
        If the file cannot be written.
    """
    figure = build_dashboard(maps, batch_index, look)
    title = "Attention" + (f" in {readable(maps.source, 80)}" if maps.source else "")
    above = controls(figure, title, ["Layer", "Head"], AXES)
    figure.update_traces(colorbar=LYING)
    figure.update_xaxes(title_text="", constraintoward="left")
    figure.update_yaxes(title_text="")
    figure.update_layout(title_text="", margin={"t": 60, "l": 10, "r": 14, "b": 36})
    for menu in figure.layout.updatemenus:
        menu.visible = False
    plot = plot_of(figure, "attention", "100%", script=CHOOSE + LEFT_OUT)
    page = page_of(title, above + plot, theme=look.theme)
    return atomic_write(path, page)


@dataclass(frozen=True)
class _Scale:
    """Where the scales of traces end; `tops` of each promise, where they share one."""

    name: Scale
    trained: bool | None
    tops: dict[Rows, float]

    def top(self, item: AttentionItem, head: NDArray[np.float32]) -> float:
        """The end of the scale of one head of a layer."""
        whole = head if self.name == "head" else item.weights
        shared = self.tops.get(item.rows)
        greatest = float(np.abs(whole).max()) if shared is None else shared
        return top_of(greatest, self.trained)


def _layer(
    one: Blocks,
    numbers: Sequence[int],
    average: bool,
    scale: _Scale,
    even: float | None,
) -> _Layer:
    item = one.item
    x, y = (_positions(one.labels(t)) for t in (item.key_tokens, item.query_tokens))
    z, zmax = [], []
    if average:
        mean = one.greatest(item.weights.mean(axis=0))
        allowed = np.asarray(item.allowed.any(axis=0))
        z.append(_with_gaps(mean, one.any_allowed(allowed)))
        own = top_of(float(np.abs(mean).max()), scale.trained)
        zmax.append(scale.top(item, mean) if scale.tops else own)
    for number in numbers:
        if number in item.head_indices:
            at = item.head_indices.index(number)
            weights = one.greatest(item.weights[at])
            z.append(_with_gaps(weights, one.any_allowed(item.allowed[at])))
        else:  # other layers have more heads than this one: nothing to see here
            z.append(np.full((len(y), len(x)), np.nan, dtype=np.float32))
        has = number in item.head_indices
        zmax.append(scale.top(item, item.weights[at] if has else item.weights))
    gap = 1 if max(len(x), len(y)) <= 32 else 0
    signed = item.rows not in NONNEGATIVE
    return _Layer(x, y, z, zmax, gap, scale.name, signed, even)


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


def _title(item: AttentionItem, warnings: Sequence[str], notes: Sequence[str]) -> str:
    name = plain(item.name, 60)
    kind = item.kind.replace("_self", " self-attention").replace(
        "cross", "cross-attention"
    )
    causal = "causal " if item.causal else ""
    heads = len(item.head_indices)
    count = f"head {item.head_indices[0]}" if heads == 1 else f"{heads} heads"
    promise = "" if item.rows == SHARES else f"; {PROMISES[item.rows]}"
    if item.rows not in NONNEGATIVE:
        promise += "; orange is below 0, blue above"
    about = f'<span style="font-size:13px">{causal}{kind}, {count}{promise}</span>'
    told = [f'<span style="font-size:12px">{line}</span>'
            for note in notes for line in _lines(note)]  # fmt: skip
    lines = [f"<b>{name}</b>", about, *told]
    return "<br>".join([*lines, *(_warning(line) for one in warnings
                                  for line in _lines(f"\u26a0 {one}"))])  # fmt: skip


def _lines(text: str) -> list[str]:
    """A note in lines that a telephone has room for."""
    return [escaped(line) for line in textwrap.wrap(text, LINE_LENGTH)]


def _warning(line: str) -> str:
    """In bold, and in the colour of the text, which is read on light and dark."""
    return f'<b style="font-size:12px">{line}</b>'


def _room_above(titles: Sequence[str]) -> float:
    """Pixels for the longest title, and for two menus below it."""
    return 40 + 22 * max(title.count("<br>") + 1 for title in titles) + 80


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
        colorbar={
            "title": {"text": "attention weight", "side": "right"},
            "thickness": 14,
            **{name: of[index] for name, of in layer.ticks.items()},
        },
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
        "bgcolor": palette.LIGHT.raised,
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
        **{f"colorbar.{name}": of for name, of in layer.ticks.items()},
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
