"""Figures of maps: one matrix, several side by side, or every head on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neural_attn.figures.filters import Filtered, Filters, axes_of
from neural_attn.figures.heatmap import plot_heads, plot_heatmap, plot_panels
from neural_attn.figures.look import PLAIN, Look
from neural_attn.figures.overview import draw_overview
from neural_attn.figures.scales import even_share
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps, SelectionError
from neural_attn.promises import PROMISES, SHARES, Rows

__all__ = ["draw_averages", "draw_heads", "have_same_axes", "plot_maps", "shared_tops"]

EVERYTHING = Filters()

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
    look: Look = PLAIN,
) -> Figure:
    """Draw maps of one example in the way that their number asks for.

    - one head: one matrix, with its values where there is room;
    - several heads of one map: a grid of them;
    - one head of each of several maps over the same tokens: one beside the other;
    - several heads of several maps: a sheet of all (`draw_overview`);
    - with `mean`, the average over heads of each map, one beside the other.

    `look` says what is hidden, what colours stand for, and the rest of the look.

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
    shown = [look.show(item) for item in items]
    items = [one.item for one in shown]
    how = {"trained": maps.trained, "cmap": cmap, **shown[0].how}
    if look.scale == "shared":
        how["vmax"] = shared_tops(items, look)[items[0].rows]
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
    return draw_overview(maps, example, cmap=cmap, look=look)


def have_same_axes(items: Sequence[AttentionItem]) -> bool:
    """Whether matrices may share their labels and their scale."""
    return len({axes_of(item) for item in items}) == 1


def shared_tops(items: Sequence[AttentionItem], look: Look) -> dict[Rows, float]:
    """The end of the scale that items of one promise share, as `look` shows them."""
    tops: dict[Rows, float] = {}
    for item in items:
        (shown,) = look.filters.apply([item]).items
        top = float(np.abs(shown.weights).max())
        tops[item.rows] = max(top, tops.get(item.rows, 0.0))
    return tops


def draw_averages(
    items: Sequence[AttentionItem], *, filters: Filters = EVERYTHING, **how: Any
) -> Figure:
    """Draw the average over heads of one map, or a panel for each of several.

    They share their axes (`have_same_axes`); `how` is as in `plot_heatmap`, and `cut`
    says what is left out.
    """
    told = {_what(item) for item in items}
    titles = [one.name if len(told) == 1 else f"{one.name}, {_what(one)}"
              for one in items]  # fmt: skip
    seen = filters.apply([_average(item) for item in items])
    first = seen.items[0]
    how |= _said(first, seen, how.pop("cut", ""))
    tokens = (first.query_tokens, first.key_tokens)
    if len(items) == 1:
        title = f"{first.name}: {told.pop()}"
        return plot_heatmap(
            first.weights[0], *tokens, title, mask=first.allowed[0], **how
        )
    return plot_panels(
        np.concatenate([item.weights for item in seen.items]),
        titles,
        *tokens,
        f"{len(items)} layers" + ("" if len(told) > 1 else f": {told.pop()}"),
        mask=np.concatenate([item.allowed for item in seen.items]),
        panel="layer",
        **how,
    )


def draw_heads(
    item: AttentionItem, *, filters: Filters = EVERYTHING, **how: Any
) -> Figure:
    """Draw every head of one map in a grid; `how` is as in `plot_heads`."""
    count = len(item.head_indices)
    seen = filters.apply([item])
    (item,) = seen.items
    how |= _said(item, seen, how.pop("cut", ""))
    return plot_heads(
        item.weights,
        item.query_tokens,
        item.key_tokens,
        f"{item.name}: {count} head{'s' if count > 1 else ''}",
        mask=item.allowed,
        head_indices=item.head_indices,
        **how,
    )


def _said(item: AttentionItem, seen: Filtered, cut: str) -> dict[str, Any]:
    """What the picture says of an item: options of the functions that draw."""
    subtitle = "; ".join([_subtitle(item, cut), *seen.notes])
    even = even_share(seen.basis, item.rows)
    return {"subtitle": subtitle, "rows": item.rows, "even": even}


def _what(item: AttentionItem) -> str:
    count = len(item.head_indices)
    return (
        f"average over {count} heads" if count > 1 else f"head {item.head_indices[0]}"
    )


def _average(item: AttentionItem) -> AttentionItem:
    """The mean over heads, as an item with one."""
    weights = item.weights.mean(axis=0, keepdims=True)
    allowed = np.asarray(item.allowed.any(axis=0, keepdims=True))
    return replace(item, weights=weights, allowed=allowed, head_indices=(0,))


def _subtitle(item: AttentionItem, cut: str = "") -> str:
    words = KIND_WORDS[item.kind]
    words = f"causal {words}" if item.causal else words
    words = f"{words}; {cut}" if cut else words
    if item.rows == SHARES:
        return words
    return f"{words}; rows are {item.rows}: {PROMISES[item.rows]}"
