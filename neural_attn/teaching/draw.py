"""Charts as a Matplotlib figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from neural_attn.figures import palette
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.fonts import Fonts, choose_fonts
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.figures.palette import EDGE, SIZE_LABEL, Theme
from neural_attn.figures.token_labels import readable
from neural_attn.teaching.charts import Cells, Chart, Curves, Lesson

__all__ = ["draw", "line_colors", "shown_levels"]

PANEL, WIDE = (3.9, 3.9), (7.6, 3.9)  # inches: of cells, of curves
MOST_LABELS = 24  # along an axis; of more, some are left out
DASHES = ("-", "--", "-.", ":")
LONGEST_ABOUT = 58, 92  # characters in a line below a title: of cells, of curves


def draw(lesson: Lesson, theme: ThemeName = "light") -> Figure:
    """All charts of a lesson in one figure, under its title."""
    colors = palette.theme_of(theme)
    with palette.chart_style(colors):
        return _draw(lesson, colors)


def _draw(lesson: Lesson, theme: Theme) -> Figure:
    charts = list(lesson.charts)
    fonts = choose_fonts(_texts(charts))
    across = min(len(charts), 3 if _all_cells(charts) else 2)
    down = math.ceil(len(charts) / across)
    width, height = PANEL if _all_cells(charts) else WIDE
    size = (max(width * across, 5.5), height * down + 0.9)
    figure = NotebookFigure(*size, layout="constrained", ground=theme.ground)
    figure.suptitle(lesson.title, x=EDGE / size[0], ha="left")
    for number, chart in enumerate(charts, start=1):
        axes = figure.add_subplot(down, across, number)
        axes.set_title(chart.title, pad=_room(chart), parse_math=False)
        _say_below(axes, chart, theme)
        if isinstance(chart, Curves):
            _draw_curves(axes, chart, theme)
        else:
            _draw_cells(axes, chart, fonts, theme)
        # Matplotlib makes ticks later, by the settings of then.
        axes.tick_params(color=theme.muted, labelcolor=theme.ink)
    _explain(figure, lesson, theme)
    return figure


def shown_levels(chart: Cells) -> list[int]:
    """The places in `levels` that some cell has."""
    return [int(level) for level in np.unique(chart.values)]


def line_colors(chart: Curves, *themes: Theme) -> list[str]:
    """A colour for each line that is seen on the ground of each of `themes`.

    Those of lines that follow each other are along one scale.
    """
    if not chart.ordered:
        colors = cycle(palette.lines_of(themes[0]))
        return [next(colors) for _ in chart.lines]
    first = 0.35 if palette.DARK in themes else 0.0
    last = 0.88 if palette.LIGHT in themes else 1.0
    places = np.linspace(first, last, len(chart.lines))
    return [to_hex(color) for color in palette.colormap()(places)]


def _texts(charts: Sequence[Chart]) -> list[str]:
    cells = [chart for chart in charts if isinstance(chart, Cells)]
    return [label for chart in cells for label in (*chart.rows, *chart.columns)]


def _all_cells(charts: Sequence[Chart]) -> bool:
    return all(isinstance(chart, Cells) for chart in charts)


def _lines_of(chart: Chart) -> list[str]:
    """What is said below the title, in lines that fit."""
    return textwrap.wrap(chart.about, LONGEST_ABOUT[isinstance(chart, Curves)])


def _room(chart: Chart) -> float:
    return 8 + 10.5 * len(_lines_of(chart))


def _say_below(axes: Axes, chart: Chart, theme: Theme) -> None:
    axes.annotate(
        "\n".join(_lines_of(chart)),
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=SIZE_LABEL,
        color=theme.muted,
    )


# --- curves -------------------------------------------------------------------------


def _draw_curves(axes: Axes, chart: Curves, theme: Theme) -> None:
    dashes = ["-"] if chart.ordered or len(chart.lines) == 1 else DASHES
    style = "steps-post" if chart.steps else "default"
    for (label, y), color, dash in zip(
        chart.lines.items(), line_colors(chart, theme), cycle(dashes), strict=False
    ):
        axes.plot(
            chart.x, y, dash, color=color, label=label, linewidth=1.6, drawstyle=style
        )
    for place, text in chart.marks.items():
        axes.axvline(place, color=theme.muted, linewidth=0.9, linestyle=":")
        right = chart.has_room_right(place)
        axes.annotate(
            text,
            (place, 0.97),
            (4 if right else -4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top",
            fontsize=SIZE_LABEL,
            color=theme.muted,
        )
    axes.set(xlabel=chart.x_title, ylabel=chart.y_title)
    axes.margins(x=0.01, y=0.12 if chart.marks else 0.05)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    if len(chart.lines) > 1:
        beside = len(chart.lines) > 3
        axes.legend(
            loc="center left" if beside else "best",
            bbox_to_anchor=(1.0, 0.5) if beside else None,
        )


# --- cells --------------------------------------------------------------------------


def _draw_cells(axes: Axes, chart: Cells, fonts: Fonts, theme: Theme) -> None:
    rows, columns = chart.values.shape
    colors = palette.colormap(signed=chart.signed, theme=theme)
    limits: dict[str, Any] = {"cmap": colors}
    if chart.levels:
        levels = palette.levels_of(theme)[: len(chart.levels)]
        limits = {"cmap": ListedColormap(levels), "vmin": -0.5}
        limits["vmax"] = len(levels) - 0.5
    elif chart.signed:
        greatest = float(np.nanmax(np.abs(chart.values))) or 1.0
        limits |= {"vmin": -greatest, "vmax": greatest}
    else:
        limits["vmin"] = 0
    image = axes.imshow(chart.values, interpolation="none", aspect="auto", **limits)
    axes.set_facecolor(theme.masked)
    _label(axes, chart, fonts)
    if max(rows, columns) <= MOST_LABELS:
        line: dict[str, Any] = {"color": theme.ground, "linewidth": 0.6}
        axes.hlines(np.arange(rows - 1) + 0.5, -0.5, columns - 0.5, **line)
        axes.vlines(np.arange(columns - 1) + 0.5, -0.5, rows - 0.5, **line)
    if not chart.levels and axes.figure is not None:
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
        bar.set_label(chart.value_title)
        bar.ax.tick_params(color=theme.muted, labelcolor=theme.ink)


def _label(axes: Axes, chart: Cells, fonts: Fonts) -> None:
    upright = max(map(len, chart.columns), default=0) > 2
    for side, labels in (("x", chart.columns), ("y", chart.rows)):
        step = math.ceil(len(labels) / MOST_LABELS)
        step = step if step < 3 else 5 * math.ceil(step / 5)
        places = range(0, len(labels), step)
        shown = [fonts.drawable(readable(labels[at], 14)) for at in places]
        axis = axes.xaxis if side == "x" else axes.yaxis
        axis.set_ticks(
            list(places),
            shown,
            family=list(fonts.families),
            parse_math=False,
        )
    if upright:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=2)
    axes.set_xlabel(chart.column_title)
    axes.set_ylabel(chart.row_title)


def _explain(figure: Figure, lesson: Lesson, theme: Theme) -> None:
    """Below all panels: the kinds of cells that there are, and the notes."""
    told: dict[int, str] = {}
    for chart in lesson.charts:
        if isinstance(chart, Cells) and chart.levels:
            told |= {level: chart.levels[level] for level in shown_levels(chart)}
    notes = "\n".join(lesson.notes)
    if told or notes:
        patches = [
            Patch(facecolor=palette.levels_of(theme)[level], label=text)
            for level, text in sorted(told.items())
        ]
        figure.legend(
            handles=patches,
            loc="outside lower left",
            ncols=max(1, len(patches)),
            title=notes or None,
            title_fontsize=SIZE_LABEL,
            alignment="left",
        ).get_title().set_color(theme.muted)
