"""Charts as one interactive page: every cell and every point says what it is."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from neural_attn.figures import palette
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.plotly_page import (
    TITLE_PLACE,
    escaped,
    page_of,
    plain,
    plot_of,
)
from neural_attn.teaching.charts import Cells, Curves, Lesson
from neural_attn.teaching.draw import line_colors, shown_levels

__all__ = ["build_page", "plotly_figures"]

HEIGHT = "30rem"
DASHES = ("solid", "dash", "dashdot", "dot")


def build_page(
    lessons: Sequence[Lesson], source: str, theme: ThemeName = "light"
) -> str:
    """The text of a page with a plot for each chart; it loads nothing from anywhere.

    `theme` "dark" is dark for every reader; else the page follows their system.
    """
    title = f"What {source} declares"
    parts = [f"<h1>{html.escape(title)}</h1>"]
    figures = [one for lesson in lessons for one in plotly_figures(lesson, theme)]
    for number, figure in enumerate(figures):
        # A figure's title is escaped markup; HTML can wrap it.
        parts.append(f'<div class="title">{figure.layout.title.text}</div>')
        figure.update_layout(title_text="", margin={"t": 30})
        parts.append(plot_of(figure, f"chart_{number}", HEIGHT, first=number == 0))
    return page_of(title, "".join(parts), theme)


def plotly_figures(lesson: Lesson, theme: ThemeName = "light") -> list[go.Figure]:
    """A Plotly figure for each chart of a lesson."""
    colors = palette.theme_of(theme)
    made = []
    for chart in lesson.charts:
        is_curves = isinstance(chart, Curves)
        figure = (_curves if is_curves else _cells)(chart, colors)  # type: ignore[arg-type]
        said = [escaped(line) for line in (chart.about, *lesson.notes)]
        small = f'<span style="font-size:13px">{"<br>".join(said)}</span>'
        title = f"<b>{escaped(lesson.title)}</b> · {escaped(chart.title)}<br>"
        figure.update_layout(
            title={
                "text": title + small,
                "font": {"size": 17},
            }
            | TITLE_PLACE,
            margin={"t": 80 + 18 * len(said), "l": 70, "r": 20, "b": 60},
            template="none",
            plot_bgcolor=colors.masked,
            font={"family": palette.SANS, "size": 12, "color": colors.ink},
        )
        made.append(figure)
    return made


def _curves(chart: Curves, theme: palette.Theme) -> go.Figure:
    # A page that is not told to be dark is so for readers whose system is.
    colors, dashes = line_colors(chart, theme, palette.DARK), cycle(DASHES)
    traces = [
        go.Scatter(
            x=chart.x,
            y=y,
            name=escaped(label),
            mode="lines",
            line={
                "color": color,
                "dash": "solid" if chart.ordered else next(dashes),
                "shape": "hv" if chart.steps else "linear",
            },
            hovertemplate="%{x:,}: <b>%{y:.5g}</b><extra>%{fullData.name}</extra>",
        )
        for (label, y), color in zip(chart.lines.items(), colors, strict=True)
    ]
    figure = go.Figure(traces)
    for place, text in chart.marks.items():
        figure.add_vline(
            place,
            line={"dash": "dot", "color": theme.muted, "width": 1.5},
            annotation_text=escaped(text),
            annotation_position="top right"
            if chart.has_room_right(place)
            else "top left",
        )
    figure.update_layout(
        xaxis={
            "title": {"text": chart.x_title},
            "automargin": True,
            "range": [float(chart.x[0]), float(chart.x[-1])],
        },
        yaxis={
            "title": {"text": chart.y_title},
            "automargin": True,
            "exponentformat": "e",
        },
        hovermode="closest",
        showlegend=len(traces) > 1,
    )
    return figure


def _cells(chart: Cells, theme: palette.Theme) -> go.Figure:
    rows, columns = (_places(names) for names in (chart.rows, chart.columns))
    trace = go.Heatmap(
        z=chart.values.astype(np.float32),
        x=columns,
        y=rows,
        xgap=1 if len(columns) <= 32 else 0,
        ygap=1 if len(rows) <= 32 else 0,
        hoverongaps=False,
        **(_of_levels if chart.levels else _of_numbers)(chart),
    )
    scales = {name: _colorscale(chart, one) for name, one in palette.THEMES.items()}
    trace.colorscale = _colorscale(chart, theme)
    figure = go.Figure(trace)
    figure.update_layout(meta={"colorscales": scales})  # the page takes its own
    axis = {"type": "category", "automargin": True, "showgrid": False}
    figure.update_layout(
        xaxis={"title": {"text": chart.column_title}, **axis},
        yaxis={"title": {"text": chart.row_title}, "autorange": "reversed", **axis},
    )
    return figure


def _places(names: Sequence[str]) -> list[str]:
    """A label of its own for each place: names alone may repeat."""
    return [
        plain(name) if name == str(at) or len(set(names)) == len(names)
        else f"{at} {plain(name)}"
        for at, name in enumerate(names)
    ]  # fmt: skip


def _hover(chart: Cells, value: str) -> str:
    row, column = chart.row_title, chart.column_title
    return f"{row} <b>%{{y}}</b><br>{column} <b>%{{x}}</b><br>{value}<extra></extra>"


def _colorscale(chart: Cells, theme: palette.Theme) -> list[list[Any]]:
    """Plotly's list of places from 0 to 1, and the colour at each."""
    if chart.levels:
        colors = palette.levels_of(theme)[: shown_levels(chart)[-1] + 1]
        return [
            [at / len(colors), color]
            for number, color in enumerate(colors)
            for at in (number, number + 1)
        ]
    shades = palette.colormap(signed=chart.signed, theme=theme)
    places = np.linspace(0, 1, 65)
    return [[float(at), to_hex(shades(at))] for at in places]


def _of_levels(chart: Cells) -> dict[str, Any]:
    count = shown_levels(chart)[-1] + 1
    said = np.array(chart.levels, object)[chart.values.astype(int)]
    return {
        "zmin": -0.5,
        "zmax": count - 0.5,
        "colorbar": {
            "tickvals": list(range(count)),
            "ticktext": list(chart.levels[:count]),
        },
        "text": said,
        "hovertemplate": _hover(chart, "<b>%{text}</b>"),
    }


def _of_numbers(chart: Cells) -> dict[str, Any]:
    greatest = float(np.nanmax(np.abs(chart.values))) or 1.0
    return {
        "zmin": -greatest if chart.signed else 0,
        "zmax": greatest,
        "colorbar": {"title": {"text": chart.value_title, "side": "right"}},
        "hovertemplate": _hover(chart, f"{chart.value_title} <b>%{{z:.5g}}</b>"),
    }
