"""One alignment: what each token that was written took from the source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neural_attn.figures.heatmap import plot_heatmap, save_figure

__all__ = ["plot_attention"]


def plot_attention(
    attention: Any,
    src_tokens: Sequence[str],
    trg_tokens: Sequence[str],
    title: str = "Attention Heatmap",
    save_path: str | os.PathLike[str] | None = None,
    max_src: int | None = 30,
    max_trg: int | None = 30,
    *,
    figsize: tuple[float, float] | None = None,
    annotate: bool | None = None,
    cmap: str | None = None,
    dpi: float = 150,
) -> Figure:
    """Draw which source tokens each target token attended to.

    Parameters
    ----------
    attention : float [target, source], an array or a tensor of any framework
        A row for each token that was written: the row that predicts it.
    src_tokens, trg_tokens : texts of the columns and of the rows
        Where there are more tokens than weights or fewer, the first of both are drawn.
    save_path : where to write the picture too; the ending says the format
    max_src, max_trg : at most so many are drawn; the picture says what is left out

    The rest is as in `plot_heatmap`.

    Raises
    ------
    ValueError
        If it is not a matrix of numbers, or nothing is left of it.
    """
    if hasattr(attention, "detach"):
        attention = attention.detach().cpu()
    weights = np.asarray(attention)
    if weights.ndim != 2:
        raise ValueError(f"attention has shape {weights.shape}, not [target, source]")
    sizes = [
        min(len(tokens), size)
        for tokens, size in zip((trg_tokens, src_tokens), weights.shape, strict=True)
    ]
    rows = min(sizes[0], max_trg or sizes[0])
    columns = min(sizes[1], max_src or sizes[1])
    cut = [
        f"the first {shown} of {size} {side} tokens"
        for shown, size, side in (
            (rows, sizes[0], "target"),
            (columns, sizes[1], "source"),
        )
        if shown < size
    ]
    figure = plot_heatmap(
        weights[:rows, :columns],
        list(trg_tokens[:rows]),
        list(src_tokens[:columns]),
        title,
        subtitle="; ".join(cut) or None,
        cmap=cmap,
        figsize=figsize,
        annotate=annotate,
        query_title="Target (written)",
        key_title="Source (attended to)",
    )
    if save_path is not None:
        save_figure(figure, save_path, dpi)
    return figure
