"""Statistics of heads as the field draws them, by seaborn, on Matplotlib axes.

Each takes a finished analysis and returns the figure. What is not set here (fonts,
size, colours of axes) comes from the user's own `matplotlib.rcParams`. Nothing goes
through pyplot, so no figure stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.choices import check_choice, no_such
from neural_attn.diagnostics.errors import fail
from neural_attn.figures import palette
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.heatmap import save_figure
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.files import atomic_write
from neural_attn.metrics.measure import BINS
from neural_attn.metrics.registry import HISTOGRAMS, REGISTRY

__all__ = [
    "PAIRED", "light_and_dark", "plot_distributions", "plot_head_distances",
    "plot_metrics", "write_statistics",
]  # fmt: skip

# What is looked at together: how focused a head is, and where it looks.
PAIRED = ("normalized_entropy", "max_weight", "distance", "first_token")
_MOST_NAMED = 48  # heads along a side of the heatmap; of more, some are named
_MOST_LAYERS = 24  # that are named along an axis, or have a line between them
_MOST_COLORS = 9  # of an order, in a legend
_UNTRAINED = "untrained weights: this says nothing about any task"


def plot_distributions(
    analysis: Analysis,
    metric: str = "entropy",
    *,
    over: Literal["heads", "rows"] = "heads",
    ax: Axes | None = None,
) -> Figure:
    """Draw the distribution of a metric in each layer.

    Parameters
    ----------
    analysis : as `neural_attn.analyze` returns it
    metric : a column of `analysis.to_frame()`; entropy is in nats
    over : what is counted
        "heads": a violin for each layer with a point for each head, its mean over
        rows and texts. "rows": the share of rows (queries) in each of 20 equal bins
        from 0 to 1, for `normalized_entropy` and `max_weight`.
    ax : where to draw; None: a figure of its own

    Returns
    -------
    The figure of the axes.

    Raises
    ------
    NeuralError
        If seaborn or pandas is not installed (E0502).
    ValueError
        If there is no such metric, or it is known of no head.
    """
    seaborn = _seaborn()
    check_choice("over", over, ("heads", "rows"))
    if over == "rows":
        check_choice("metric of rows", metric, HISTOGRAMS)
    table = _known(analysis, [metric])
    axes = _axes(ax)
    if over == "heads":
        look = {"data": table, "x": "map", "y": metric, "ax": axes}
        color = palette.LINES[4]
        seaborn.violinplot(
            **look, inner=None, cut=0, density_norm="width", color=color, alpha=0.5,
            linewidth=0,
        )  # fmt: skip
        ink = rcParams["text.color"]  # seen on the violin, whatever the ground is
        seaborn.stripplot(**look, size=3.5, color=ink, jitter=False)
    else:
        counts = [analysis.histograms[name][metric] for name in table["map"].unique()]
        _rows(seaborn, np.array(counts, dtype=float), axes)
    names = _layer_names(table)
    shift = 0.5 if over == "rows" else 0.0  # cells begin at whole numbers
    step = -(-len(names) // _MOST_LAYERS)
    places = np.arange(len(names))[::step] + shift
    axes.set_xticks(places, names[::step], rotation="horizontal")
    axes.set(xlabel="layer", ylabel=_axis_name(metric))
    _title(axes, analysis, f"{_words(metric)} by layer: {_count(table, over)}")
    return _root(axes)


def plot_head_distances(
    analysis: Analysis, *, ax: Axes | None = None, cmap: str | None = None
) -> Figure:
    """Draw the distances between heads, with similar heads side by side.

    The distance is the square root of the mean Jensen-Shannon divergence of their rows,
    from 0 (the same) to 1; the tree is average linkage (UPGMA), as in the clusters of
    the report. Blank: heads that have no tokens in common.

    Parameters
    ----------
    analysis : as `neural_attn.analyze` returns it
    ax : where to draw, the tree above it; None: a figure of its own
    cmap : name of a Matplotlib colour map

    Raises
    ------
    NeuralError
        If seaborn is not installed (E0502).
    ValueError
        If there are not two heads to compare, or no such colour map.
    """
    seaborn = _seaborn()
    tree, distance = _tree(analysis)
    order = tree["leaves"]
    axes = _axes(ax, square=True)
    labels = [analysis.heads[index].label for index in order]
    step = -(-len(labels) // _MOST_NAMED)
    names = [label if not i % step else "" for i, label in enumerate(labels)]
    seaborn.heatmap(
        distance[np.ix_(order, order)], vmin=0, vmax=1, square=True, ax=axes,
        cmap=palette.colormap(cmap), mask=np.isnan(distance[np.ix_(order, order)]),
        xticklabels=False, yticklabels=False,
        cbar_kws={"label": "distance (0: the same)", "shrink": 0.7},
    )  # fmt: skip
    shown = [place for place, name in enumerate(names) if name]
    size = min(palette.SIZE_LABEL, 300 / max(len(shown), 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([p + 0.5 for p in shown], [names[p] for p in shown])
        axis.set_tick_params(labelsize=size, length=0)
    axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(axis="y", labelrotation=0)
    above = axes.inset_axes((0, 1.01, 1, 0.14))
    above.add_collection(_lines(tree))
    top = 1.05 * np.max(tree["dcoord"]) or 1  # of heads that are all the same, 0
    above.set(xlim=(0, 10 * len(order)), ylim=(0, top))
    above.set_axis_off()
    heads = f"{len(order)} heads"
    if step > 1:
        heads += f", of which {len(shown)} are named"
    _title(above, analysis, f"Distances between {heads}")
    return _root(axes)


def plot_metrics(
    analysis: Analysis,
    metrics: Sequence[str] = PAIRED,
    *,
    hue: str = "layer",
    corner: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draw metrics in pairs, a point for each head, with histograms on the diagonal.

    Parameters
    ----------
    analysis : as `neural_attn.analyze` returns it
    metrics : two or more columns of `analysis.to_frame()`
    hue : what colours stand for: "layer", "type" or "kind"
    corner : draw each pair once, below the diagonal
    ax : where to draw, with axes for each pair inside; None: a figure of its own

    Raises
    ------
    NeuralError
        If seaborn or pandas is not installed (E0502).
    ValueError
        If there is no such metric or hue, or no head for which all are known.
    """
    seaborn = _seaborn()
    names = list(metrics)
    if len(names) < 2:
        raise ValueError("a pair plot needs two metrics or more")
    check_choice("hue", hue, ("layer", "type", "kind"))
    table = _known(analysis, names)
    grid = _grid(ax, len(names), corner)
    colors = _colors(table, hue)
    look = {"data": table, "hue": hue, "palette": colors, "legend": False}
    ground, line = rcParams["axes.facecolor"], 0.5 * (len(colors) <= _MOST_LAYERS)
    for row, below in enumerate(names):
        for column, name in enumerate(names):
            axes = grid[row, column]
            if axes is None:
                continue
            if row == column:
                seaborn.histplot(
                    **look, x=name, multiple="stack", bins=12, ax=axes,
                    edgecolor=ground, linewidth=line,
                )  # fmt: skip
                axes.set_ylabel("heads")
                axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
            else:
                seaborn.scatterplot(
                    **look, x=name, y=below, ax=axes, s=22, edgecolor=ground
                )
                first = column == (row == 0)  # beside the histogram, or at the left
                axes.set_ylabel(_axis_name(below) if first else "")
            axes.set_xlabel(_axis_name(name) if row == len(names) - 1 else "")
            axes.tick_params(labelbottom=row == len(names) - 1)
    told = f"{len(table)} heads" + (f"; {_UNTRAINED}" * (analysis.trained is False))
    figure = _root(grid[0, 0])
    if ax is None:
        figure.suptitle(f"Metrics in pairs: {told}")
        _legend(figure, colors, hue, inside=corner)
    else:
        ax.set_title(f"Metrics in pairs: {told}")
        _legend(ax, colors, hue)
    return figure


def _grid(ax: Axes | None, count: int, corner: bool) -> NDArray[Any]:
    """Axes in a square: of a figure of their own, or inside those that are given.

    In a corner, None stands above the diagonal, and the legend needs no room beside it.
    """
    grid = np.full((count, count), None)
    places = [
        (row, column)
        for row in range(count)
        for column in range(row + 1 if corner else count)
    ]
    if ax is None:
        side = 1.0 + 1.9 * count
        width = side if corner else side + 1.2
        own = NotebookFigure(width, side, layout="constrained", ground=None)
        cells = own.add_gridspec(count, count)
        for row, column in places:
            above = grid[column if corner else 0, column]
            grid[row, column] = own.add_subplot(cells[row, column], sharex=above)
        return grid
    ax.set_axis_off()
    step, side = 1 / count, 0.64 / count
    for row, column in places:
        lower = 1 - row * step - side
        grid[row, column] = ax.inset_axes((column * step, lower, side, side))
    return grid


def write_statistics(
    analysis: Analysis, folder: Path, theme: ThemeName = "light"
) -> list[Path]:
    """Write every picture that can be drawn, and the table, into a folder.

    Raises NeuralError (E0502) if seaborn or pandas is not installed.
    """
    heads = analysis.to_frame().to_csv(index=False)
    paths = [atomic_write(folder / "heads.csv", heads)]
    with palette.chart_style(palette.theme_of(theme)):
        for name, draw in _pictures(analysis).items():
            paths.append(save_figure(draw(), folder / f"{name}.png"))
    return paths


def light_and_dark(
    analysis: Analysis, names: Collection[str]
) -> Iterator[tuple[str, ThemeName, Figure]]:
    """Draw those pictures of `write_statistics` that can be drawn, once for each theme.

    The dark one is the light one in other colours, which takes a third of the time: a
    figure must be saved before the next one is asked for.

    Raises NeuralError (E0502) if seaborn or pandas is not installed.
    """
    pictures = {one: draw for one, draw in _pictures(analysis).items() if one in names}
    changes = palette.light_to_dark()
    if "metrics_in_pairs" in pictures:
        count = _known(analysis, PAIRED)["layer"].nunique()
        shades = [_shades(count, dark=dark) for dark in (False, True)]
        changes |= dict(zip(*shades, strict=True))
    for name, draw in pictures.items():
        # Saved inside, too: Matplotlib makes some ticks as late as that.
        with palette.chart_style(palette.LIGHT):
            figure = draw()
            yield name, "light", figure
        with palette.chart_style(palette.DARK):
            figure.set_layout_engine("none")  # all stays where it is
            palette.recolor(figure, changes)
            yield name, "dark", figure


def _pictures(analysis: Analysis) -> dict[str, Callable[[], Figure]]:
    """Every picture that can be drawn."""
    known = {name for head in analysis.heads for name in head.statistics}
    found: dict[str, Callable[[], Figure]] = {
        f"{metric}_by_layer": partial(plot_distributions, analysis, metric)
        for metric in HISTOGRAMS
        if metric in known
    }
    if _comparable(analysis):
        found["head_distances"] = partial(plot_head_distances, analysis)
    if any(head.statistics.keys() >= set(PAIRED) for head in analysis.heads):
        found["metrics_in_pairs"] = partial(plot_metrics, analysis, corner=True)
    return found


def _comparable(analysis: Analysis) -> bool:
    """Whether any two heads were compared."""
    distance = analysis.distances
    return distance is not None and bool(np.isfinite(distance).sum() > len(distance))


def _seaborn() -> Any:
    try:
        import seaborn
    except ImportError:
        fail("E0502.seaborn")
    return seaborn


def _known(analysis: Analysis, metrics: Sequence[str]) -> Any:
    """The table of the heads of which these metrics are known."""
    for metric in metrics:
        if metric not in REGISTRY:
            raise ValueError(no_such("metric", metric, REGISTRY))
    table = analysis.to_frame().dropna(subset=list(metrics))
    if table.empty:
        raise ValueError(f"no head has {' and '.join(metrics)}")
    return table


def _root(axes: Axes) -> Figure:
    """The whole figure, also of axes in a part of one."""
    figure: Any = axes.figure
    return figure if isinstance(figure, Figure) else figure.figure


def _axes(ax: Axes | None, *, square: bool = False) -> Axes:
    if ax is not None:
        return ax
    width, height = rcParams["figure.figsize"]
    size = (max(width, 1.1 * height),) * 2 if square else (width, height)
    return NotebookFigure(*size, layout="constrained", ground=None).add_subplot()


def _rows(seaborn: Any, counts: NDArray[np.float64], axes: Axes) -> None:
    """The share of the rows of each map in each bin, as a column of colours."""
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.full_like(counts, np.nan), where=sums > 0)
    seaborn.heatmap(
        shares.T, ax=axes, cmap=palette.colormap(), vmin=0,
        cbar_kws={"label": "share of rows"},
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set_yticks(np.linspace(0, BINS, 5), [f"{x:g}" for x in np.linspace(0, 1, 5)])


def _tree(analysis: Analysis) -> tuple[dict[str, Any], Any]:
    """The tree of heads by SciPy, which seaborn needs for it, and their distances."""
    distance = analysis.distances
    if distance is None or not _comparable(analysis):
        raise ValueError("there are no two heads to compare")
    try:
        from scipy.cluster.hierarchy import dendrogram, linkage
        from scipy.spatial.distance import squareform
    except ImportError:
        fail("E0502.seaborn")
    # Those never compared join last: nothing is farther apart than 1.
    apart = np.where(np.isnan(distance), 1.0, distance)
    np.fill_diagonal(apart, 0.0)
    joined = linkage(squareform(apart, checks=False), "average")
    return dendrogram(joined, no_plot=True), distance


def _lines(tree: dict[str, Any]) -> LineCollection:
    paths = [
        list(zip(x, y, strict=True))
        for x, y in zip(tree["icoord"], tree["dcoord"], strict=True)
    ]
    return LineCollection(paths, colors=rcParams["text.color"], linewidths=0.8)


def _layer_names(table: Any) -> list[str]:
    """Layers by their numbers; where several maps share one, also their kind."""
    maps = table.drop_duplicates("map")
    several = maps["layer"].duplicated(keep=False)
    return [
        f"{layer}\n{kind.rpartition('_')[2]}" if more else str(layer)
        for layer, kind, more in zip(maps["layer"], maps["kind"], several, strict=True)
    ]


def _count(table: Any, over: str) -> str:
    if over == "rows":
        return f"{table['queries'].sum():,} rows"
    return f"{len(table)} heads"


def _words(metric: str) -> str:
    return metric.replace("_", " ").capitalize()


def _axis_name(metric: str) -> str:
    return f"{_words(metric).lower()}{', nats' * (metric == 'entropy')}"


def _title(axes: Axes, analysis: Analysis, title: str) -> None:
    axes.set_title(title + f"\n{_UNTRAINED}" * (analysis.trained is False))


def _colors(table: Any, hue: str) -> dict[Any, Any]:
    values = sorted(table[hue].unique())
    if hue == "layer":  # an order: along the scale of weights
        dark = sum(to_rgb(rcParams["axes.facecolor"])) < 1.5
        return dict(zip(values, _shades(len(values), dark=dark), strict=True))
    most = len(palette.LINES)
    return {value: palette.LINES[i % most] for i, value in enumerate(values)}


def _shades(count: int, *, dark: bool) -> list[str]:
    """Colours of light to dark, without what is not seen on the reader's ground."""
    places = np.linspace(0.3 if dark else 0, 1 if dark else 0.9, count)
    return [to_hex(color) for color in palette.colormap()(places)]


def _legend(
    around: Figure | Axes, colors: dict[Any, Any], hue: str, *, inside: bool = False
) -> None:
    """At the right, outside of a figure or of axes; `inside`, in a figure's corner.

    Of many layers, whose colours are an order, it names some.
    """
    from matplotlib.lines import Line2D

    if hue == "layer" and len(colors) > _MOST_COLORS:
        chosen = np.linspace(0, len(colors) - 1, _MOST_COLORS).round().astype(int)
        colors = {layer: colors[layer] for layer in np.array(list(colors))[chosen]}
    marks = [
        Line2D([], [], marker="o", linestyle="", color=color, label=str(value))
        for value, color in colors.items()
    ]
    place: dict[str, Any]
    if isinstance(around, Axes):
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    elif inside:
        place = {"loc": "upper right", "bbox_to_anchor": (0.9, 0.9)}
    else:
        place = {"loc": "outside right center"}
    around.legend(handles=marks, title=hue, **place)
