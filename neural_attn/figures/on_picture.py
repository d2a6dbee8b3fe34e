"""Attention over the image that it is of: which patches a network looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from neural_attn.figures import palette
from neural_attn.figures.cells import Panel
from neural_attn.figures.heatmap import GRID_WIDTH
from neural_attn.figures.layout import grid_shape
from neural_attn.figures.look import PLAIN, Look
from neural_attn.figures.sheet import Sheet, Style
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.picture import CLASS_TOKEN, Picture
from neural_attn.metrics.rollout import attention_rollout, stack_of
from neural_attn.promises import NONNEGATIVE, PARTS, SHARES, Rows

__all__ = ["draw_item", "draw_rollout", "plot_on_picture"]

LONGEST_SIDE = 2.6  # of a panel, in inches
DARKEST = 0.4  # of the image, so that colours stand out
AXES = ("Column of patches", "Row of patches")


def plot_on_picture(
    picture: Picture,
    weights: ArrayLike,
    panel_titles: Sequence[str],
    title: str = "Attention to patches",
    *,
    subtitle: str | None = None,
    trained: bool | None = None,
    cmap: str | None = None,
    rows: Rows = SHARES,
    measure: str = "attention weight",
    look: Look = PLAIN,
    vmax: float | None = None,
) -> Figure:
    """Lay weights over an image in grey, a panel for each row of them.

    Parameters
    ----------
    picture : Picture
    weights : float [panels, keys], as many keys as the picture has tokens
        Those of tokens in front of the patches are not drawn, but their sum is said in
        the panel's title.
    panel_titles : one text per panel
    cmap : name of a Matplotlib colour map; None is one from yellow to red
    measure : what the weights are
    look : whose scale and theme are taken; what it hides is not part of an image, which
        the subtitle says

    The rest is as in `neural_attn.figures.heatmap.plot_heatmap`.

    Raises
    ------
    ValueError
        If the numbers of panels or keys do not fit.
    """
    array = np.asarray(weights, np.float32)
    if array.shape != (len(panel_titles), len(picture.tokens)):
        raise ValueError(
            f"weights have shape {array.shape}, not [panels, keys] = "
            f"[{len(panel_titles)}, {len(picture.tokens)}]"
        )
    elsewhere = array[:, : len(picture.before)].sum(axis=1)
    beside = f" ({{:.2f}} on {' + '.join(picture.before)})" if picture.before else ""
    if look.filters:
        said = "nothing hidden or renormalized: only patches are drawn"
        subtitle = f"{subtitle}; {said}" if subtitle else said
    ground = _grey(picture.pixels)
    panels = [
        Panel(cells, None, name + beside.format(share), ground)
        for name, cells, share in zip(
            panel_titles, picture.laid(array), elsewhere, strict=True
        )
    ]
    height, width = picture.pixels.shape[:2]
    inch = LONGEST_SIDE / max(height, width)
    lines, columns = grid_shape(len(panels), width / height)
    inch *= min(1.0, GRID_WIDTH / (columns * width * inch))
    return Sheet(
        panels,
        lines,
        columns,
        [f"r{row + 1}" for row in range(picture.grid[0])],
        [f"c{column + 1}" for column in range(picture.grid[1])],
        title,
        Style(width * inch, height * inch, largest_label=8.5, label_length=16),
        subtitle,
        trained,
        cmap or (palette.OVER_PICTURE if rows in NONNEGATIVE else None),
        vmax,
        rows,
        AXES,
        measure,
        look.scale,
        own_scales=look.scale == "head",
        even=1 / len(picture.tokens) if rows in (SHARES, PARTS) else None,
        theme=look.theme,
    ).draw()


def draw_item(
    picture: Picture,
    item: AttentionItem,
    trained: bool | None = None,
    cmap: str | None = None,
    look: Look = PLAIN,
    vmax: float | None = None,
) -> Figure:
    """Draw what each head of a layer looks at, and their mean."""
    query, weights = _query(picture, item.weights)
    names = [f"Head {number}" for number in item.head_indices]
    if len(names) > 1:
        weights = np.concatenate([weights.mean(axis=0, keepdims=True), weights])
        names = ["Average", *names]
    return plot_on_picture(
        picture,
        weights,
        names,
        f"{item.name}: what {query} attends to",
        trained=trained,
        cmap=cmap,
        rows=item.rows,
        look=look,
        vmax=vmax,
    )


def draw_rollout(
    picture: Picture,
    maps: AttentionMaps,
    batch_index: int = 0,
    cmap: str | None = None,
    look: Look = PLAIN,
) -> Figure | None:
    """Draw how much of each patch is in the query after every layer.

    That is rollout (Abnar and Zuidema, 2020). None where the layers make no stack.
    """
    stack = stack_of(maps, batch_index=batch_index)
    if stack is None or stack.shape[-1] != len(picture.tokens):
        return None
    query, shares = _query(picture, attention_rollout(stack))
    numbers = [n for n, layer in zip(maps.layer_numbers, maps.layers, strict=True)
               if any(one.kind == "encoder_self" for one in layer)]  # fmt: skip
    return plot_on_picture(
        picture,
        shares,
        [f"To layer {number}" for number in numbers],
        f"Rollout: how much of each patch is in {query}",
        subtitle="mean over heads, residual share 0.5 (Abnar and Zuidema, 2020)",
        trained=maps.trained,
        cmap=cmap,
        measure="share of the class token"
        if CLASS_TOKEN in picture.before
        else "share",
        look=look if look.scale != "shared" else replace(look, scale="layer"),
    )


def _query(picture: Picture, weights: NDArray[np.floating]) -> tuple[str, NDArray[Any]]:
    """The class token's row of [..., queries, keys], or the mean of all rows."""
    if CLASS_TOKEN in picture.before:
        return CLASS_TOKEN, weights[..., list(picture.before).index(CLASS_TOKEN), :]
    return "a patch, on average,", weights.mean(axis=-2)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The image in light grey: its colours would mix with those of the weights.

    Its shares are those that the eye has of each colour (ITU-R BT.709).
    """
    light = pixels.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.repeat(DARKEST + (1 - DARKEST) * light[..., None] / 255, 3, axis=-1)
