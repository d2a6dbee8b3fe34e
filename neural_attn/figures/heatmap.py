"""Static pictures of attention: one matrix, every head of a layer, a summary."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from neural_attn.diagnostics.choices import check_choice, check_options, keywords
from neural_attn.figures.cells import Panel
from neural_attn.figures.choices import DEFAULT_SCALE, Scale, ThemeName
from neural_attn.figures.layout import cell_size, grid_shape
from neural_attn.figures.sheet import KEY_TITLE, QUERY_TITLE, Sheet, Style
from neural_attn.files import atomic_writer
from neural_attn.promises import SHARES, Rows

__all__ = [
    "FORMATS",
    "plot_attention_summary",
    "plot_heads",
    "plot_heatmap",
    "plot_panels",
    "save_figure",
]

FORMATS = ("png", "svg", "pdf")

# Inches. A cell of a small matrix is large enough for its value; a large matrix is at
# most a page wide, and what does not fit is not labelled.
LARGEST_CELL, LONGEST_AXIS, SHORTEST_AXIS = 0.62, 9.0, 1.6
SMALLEST_PANEL, LARGEST_PANEL, GRID_WIDTH = 1.6, 2.9, 15.0
MOST_CELLS_WITH_VALUES = 12


def plot_heatmap(
    weights: ArrayLike,
    query_tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention",
    *,
    mask: ArrayLike | None = None,
    subtitle: str | None = None,
    trained: bool | None = None,
    cmap: str | None = None,
    vmax: float | None = None,
    rows: Rows = SHARES,
    annotate: bool | None = None,
    figsize: tuple[float, float] | None = None,
    query_title: str | None = None,
    key_title: str | None = None,
    scale: Scale = DEFAULT_SCALE,
    even: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Draw one attention matrix.

    Parameters
    ----------
    weights : float [queries, keys]
    query_tokens, key_tokens : one text per row and per column, or None for numbers
    mask : bool, broadcastable to weights, or None
        True where attending is allowed; other cells are hatched, which is not the
        colour of weight 0.
    trained : bool or None
        False: the picture itself says that the weights are random.
    cmap : name of a Matplotlib colour map; None is viridis, or for signed weights one
        from orange to blue
    vmax : weight at the top of the colour scale, which starts at 0, or for signed
        weights at -vmax; None is the greatest weight drawn, and of random weights
        (`trained` False) at least 1
    rows : what the rows promise; a matrix with a negative weight is signed in any case
    annotate : whether values are written into cells, where these have room for them;
        None: into those of small matrices
    figsize : width and height of the figure in inches, about, 2 to 60 each; None is
        what fits
    query_title, key_title : under which name the rows and the columns stand
    scale : "sqrt", "log", or a linear one: "shared", "layer" or "head"
        Which of the linear ones it is says what else is on this scale: of "shared"
        `vmax` is the greatest weight of all that is.
    even : the weight that the colour bar marks as an even share; None: what the mask
        and `rows` give
    theme : "light" or "dark"

    Raises
    ------
    ValueError
        If shapes or token counts do not fit, there is no such colour map or theme, or
        the figure is too small or too large.
    """
    array = _checked(weights, 2)
    queries, keys = array.shape
    cell = cell_size(queries, keys, LARGEST_CELL, LONGEST_AXIS)
    style = Style(
        panel_width=max(SHORTEST_AXIS, cell * keys),
        panel_height=max(SHORTEST_AXIS, cell * queries),
        show_values=annotate is None and max(queries, keys) <= MOST_CELLS_WITH_VALUES,
        annotate=bool(annotate),
        figsize=figsize,
    )
    return Sheet(
        [Panel(array, _masked(mask, array.shape))],
        1,
        1,
        _tokens(query_tokens, queries, "query"),
        _tokens(key_tokens, keys, "key"),
        title,
        style,
        subtitle,
        trained,
        cmap,
        vmax,
        rows,
        (key_title or KEY_TITLE, query_title or QUERY_TITLE),
        scale=scale,
        even=even,
        theme=theme,
    ).draw()


def plot_heads(
    weights: ArrayLike,
    query_tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention heads",
    *,
    mask: ArrayLike | None = None,
    head_indices: Sequence[int] | None = None,
    subtitle: str | None = None,
    trained: bool | None = None,
    cmap: str | None = None,
    rows: Rows = SHARES,
    **look: Any,
) -> Figure:
    """Draw every head of one layer in a grid, on one colour scale if not said else.

    Parameters
    ----------
    weights : float [heads, queries, keys]
    mask : bool, broadcastable to weights, or None
    head_indices : the number of each head; None counts from 0

    The rest is as in `plot_heatmap`.
    """
    check_options(plot_heads, look, keywords(plot_panels))
    array = _checked(weights, 3)
    numbers = range(len(array)) if head_indices is None else head_indices
    return plot_panels(
        array,
        [f"Head {number}" for number in numbers],
        query_tokens,
        key_tokens,
        title,
        mask=mask,
        subtitle=subtitle,
        trained=trained,
        cmap=cmap,
        rows=rows,
        **look,
    )


def plot_panels(
    weights: ArrayLike,
    panel_titles: Sequence[str],
    query_tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention",
    *,
    mask: ArrayLike | None = None,
    subtitle: str | None = None,
    trained: bool | None = None,
    cmap: str | None = None,
    rows: Rows = SHARES,
    annotate: bool | None = None,
    figsize: tuple[float, float] | None = None,
    query_title: str | None = None,
    vmax: float | None = None,
    scale: Scale = DEFAULT_SCALE,
    panel: Literal["head", "layer"] = "head",
    even: float | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Draw several matrices over the same tokens, each under its own title.

    Parameters
    ----------
    weights : float [panels, queries, keys]
    panel_titles : one text per panel
    scale : as in `plot_heatmap`; with "head" each panel has a scale of its own
    panel : what a panel is of; where it is a layer, "layer" is as "head"

    The rest is as in `plot_heatmap`.
    """
    array = _checked(weights, 3)
    count, queries, keys = array.shape
    if len(panel_titles) != count:
        raise ValueError(f"{len(panel_titles)} panel titles for {count} matrices")
    width, height = _panel_size(queries, keys)
    lines, columns = grid_shape(count, width / height)
    shrink = min(1.0, GRID_WIDTH / (columns * width))
    masked = _masked(mask, array.shape)
    panels = [
        Panel(matrix, None if masked is None else masked[index], panel_titles[index])
        for index, matrix in enumerate(array)
    ]
    return Sheet(
        panels,
        lines,
        columns,
        _tokens(query_tokens, queries, "query"),
        _tokens(key_tokens, keys, "key"),
        title,
        Style(
            width * shrink,
            height * shrink,
            largest_label=8.5,
            label_length=16,
            annotate=bool(annotate),
            figsize=figsize,
        ),
        subtitle,
        trained,
        cmap,
        vmax,
        rows,
        (KEY_TITLE, query_title or QUERY_TITLE),
        scale=scale,
        own_scales=scale in ("head", panel),
        even=even,
        theme=theme,
    ).draw()


def plot_attention_summary(
    cross_attn: ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike],
    src_tokens: Sequence[str],
    tgt_tokens: Sequence[str],
    layer_idx: int = -1,
    save_path: str | os.PathLike[str] | None = None,
    *,
    trained: bool | None = None,
    cmap: str | None = None,
    rows: Rows = SHARES,
) -> Figure:
    """Draw what each target token takes from the source: the average and every head.

    Parameters
    ----------
    cross_attn : float [batch, heads, target, source] or [heads, target, source]
        Of one layer, or a list or mapping of such arrays, one per layer. Of a batch,
        the first example is drawn.
    src_tokens, tgt_tokens : one text per source and per target position
    layer_idx : which layer of several; -1 is the last. Of a single layer it is only
        the name.
    save_path : where to write the picture too; the ending says the format

    Raises
    ------
    ValueError
        If shapes or token counts do not fit.
    IndexError
        If there is no such layer.
    """
    if isinstance(cross_attn, Mapping):
        cross_attn = list(cross_attn.values())
    name = "last layer" if layer_idx == -1 else f"layer {layer_idx}"
    if isinstance(cross_attn, (list, tuple)) and np.ndim(cross_attn[0]) >= 3:
        layers = cross_attn
        if not -len(layers) <= layer_idx < len(layers):
            raise IndexError(
                f"there is no layer {layer_idx}: there are {len(layers)}, "
                "numbered from 0"
            )
        cross_attn = layers[layer_idx]
        name = f"layer {layer_idx % len(layers)}"
    array = np.asarray(cross_attn)
    heads = _checked(array[0] if array.ndim == 4 else array, 3)
    both = np.concatenate([heads.mean(axis=0, keepdims=True), heads])
    titles = ["Average", *(f"Head {number}" for number in range(len(heads)))]
    figure = plot_panels(
        both,
        titles,
        tgt_tokens,
        src_tokens,
        f"Cross-attention, {name}",
        subtitle=f"target attends to source; average and {len(heads)} heads",
        trained=trained,
        cmap=cmap,
        rows=rows,
    )
    if save_path is not None:
        save_figure(figure, save_path)
    return figure


def save_figure(
    figure: Figure,
    path: str | os.PathLike[str],
    dpi: float = 150,
    format: str | None = None,  # noqa: A002  # Matplotlib's own name for it
) -> Path:
    """Write a figure as png, svg or pdf, whole or not at all; the same bytes each time.

    Text in svg stays text, which can be searched and read aloud.

    Raises
    ------
    ValueError
        If neither `format` nor the ending of `path` is one of the three.
    OSError
        If the file cannot be written.
    """
    target = Path(path)
    kind = (format or target.suffix.lstrip(".")).lower()
    check_choice("format", kind, FORMATS)
    settings: Any = {  # the stub lists every key there is by its own name
        "svg.fonttype": "none",
        "svg.hashsalt": "neural-attn",
        "pdf.fonttype": 42,
    }
    undated: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with matplotlib.rc_context(settings), atomic_writer(target) as stream:
        # Level 1 takes a tenth of the time of the default, for a few percent of size.
        fast: Any = {"pil_kwargs": {"compress_level": 1}} if kind == "png" else {}
        figure.savefig(stream, format=kind, dpi=dpi, metadata=undated[kind], **fast)
    return target


def _checked(weights: ArrayLike, dimensions: int) -> NDArray[np.floating]:
    array = np.asarray(weights)
    axes = "[heads, queries, keys]" if dimensions == 3 else "[queries, keys]"
    if array.ndim != dimensions or 0 in array.shape:
        raise ValueError(f"weights have shape {array.shape}, not {axes}")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise ValueError("weights are not all finite numbers")
    return array.astype(np.float32, copy=False)


def _masked(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    allowed = np.asarray(mask)
    if allowed.dtype != np.bool_:
        raise ValueError(f"the mask is {allowed.dtype}, not bool (True = allowed)")
    try:
        return ~np.broadcast_to(allowed, shape)
    except ValueError:
        raise ValueError(
            f"the mask has shape {allowed.shape}, which does not broadcast to {shape}"
        ) from None


def _tokens(tokens: Sequence[str] | None, length: int, side: str) -> list[str]:
    if tokens is None:
        return [str(position) for position in range(length)]
    if len(tokens) != length:
        raise ValueError(f"{len(tokens)} {side} tokens, but the weights have {length}")
    return list(tokens)


def _panel_size(queries: int, keys: int) -> tuple[float, float]:
    cell = cell_size(queries, keys, 0.34, LARGEST_PANEL)
    scale = max(1.0, SMALLEST_PANEL / (cell * max(queries, keys)))
    cell *= scale
    return max(SMALLEST_PANEL / 2, cell * keys), max(SMALLEST_PANEL / 2, cell * queries)
