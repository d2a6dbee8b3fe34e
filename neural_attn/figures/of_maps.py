"""Figures of maps: one matrix, several side by side, or every head on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neural_attn.figures.heatmap import plot_heads, plot_heatmap, plot_panels
from neural_attn.figures.overview import draw_overview
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import PROMISES, SHARES

__all__ = ["draw_averages", "draw_heads", "have_same_axes", "plot_maps"]

KIND_WORDS = {
    "encoder_self": "self-attention",
    "decoder_self": "decoder self-attention",
    "cross": "cross-attention",
}


def plot_maps(
    maps: AttentionMaps,
    *,
    mean: bool = False,
    example: int = 0,
    cmap: str | None = None,
) -> Figure:
    """Draw maps of one example in the way that their number asks for.

    - one head: one matrix, with its values where there is room;
    - several heads of one map: a grid of them;
    - one head of each of several maps over the same tokens: one beside the other;
    - several heads of several maps: a sheet of all (`draw_overview`);
    - with `mean`, the average over heads of each map, one beside the other.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If there is no map or no such example, or averages of maps over other tokens
        or of another kind are to stand side by side.
    ValueError
        If there is no such colour map.
    """
    if not len(maps):
        raise SelectionError("there are no attention maps to draw")
    items = [maps.item(name, example) for name in maps]
    how = {"trained": maps.trained, "cmap": cmap}
    heads = {len(item.head_indices) for item in items}
    if len(items) == 1 and not mean and heads != {1}:
        return draw_heads(items[0], **how)
    if have_same_axes(items) and (mean or heads == {1}):
        return draw_averages(items, **how)
    if mean:
        names = ", ".join(item.name for item in items)
        raise SelectionError(
            f"{names} are over other tokens or of another kind: draw one at a time"
        )
    return draw_overview(maps, example, cmap=cmap)


def have_same_axes(items: Sequence[AttentionItem]) -> bool:
    """Whether matrices may share their labels and their scale."""
    return len({axes_of(item) for item in items}) == 1


def axes_of(item: AttentionItem) -> tuple[object, ...]:
    """What items must have in common to stand side by side."""
    return item.kind, tuple(item.query_tokens), tuple(item.key_tokens), item.rows


def draw_averages(items: Sequence[AttentionItem], **how: Any) -> Figure:
    """Draw the average over heads of one map, or a panel for each of several.

    They share their axes (`have_same_axes`); `how` is as in `plot_heatmap`, and `cut`
    says what is left out.
    """
    first = items[0]
    tokens = (first.query_tokens, first.key_tokens)
    how |= {"subtitle": _subtitle(first, how.pop("cut", "")), "rows": first.rows}
    if len(items) == 1:
        title = f"{first.name}: {_what(first)}"
        allowed = first.allowed.any(axis=0)
        return plot_heatmap(_average(first), *tokens, title, mask=allowed, **how)
    told = {_what(item) for item in items}
    several = len(told) > 1
    titles = [f"{one.name}, {_what(one)}" if several else one.name for one in items]
    return plot_panels(
        np.stack([_average(item) for item in items]),
        titles,
        *tokens,
        f"{len(items)} layers" + ("" if several else f": {told.pop()}"),
        mask=np.stack([item.allowed.any(axis=0) for item in items]),
        **how,
    )


def draw_heads(item: AttentionItem, **how: Any) -> Figure:
    """Draw every head of one map in a grid; `how` is as in `plot_heads`."""
    count = len(item.head_indices)
    subtitle = _subtitle(item, how.pop("cut", ""))
    return plot_heads(
        item.weights,
        item.query_tokens,
        item.key_tokens,
        f"{item.name}: {count} head{'s' if count > 1 else ''}",
        mask=item.allowed,
        head_indices=item.head_indices,
        subtitle=subtitle,
        rows=item.rows,
        **how,
    )


def _what(item: AttentionItem) -> str:
    count = len(item.head_indices)
    return (
        f"average over {count} heads" if count > 1 else f"head {item.head_indices[0]}"
    )


def _average(item: AttentionItem) -> NDArray[np.float32]:
    average: NDArray[np.float32] = item.weights.mean(axis=0)
    return average


def _subtitle(item: AttentionItem, cut: str = "") -> str:
    words = KIND_WORDS[item.kind]
    words = f"causal {words}" if item.causal else words
    words = f"{words}; {cut}" if cut else words
    if item.rows == SHARES:
        return words
    return f"{words}; rows are {item.rows}: {PROMISES[item.rows]}"
