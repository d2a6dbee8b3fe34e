"""How focused the steps of writing were: entropy and greatest weight as histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_attn.analysis.steps import StepRow, Steps
from neural_attn.figures import palette
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.figures.palette import EDGE, SIZE_NOTE, Theme
from neural_attn.figures.scales import UNTRAINED

__all__ = ["PICTURE", "draw_steps"]

PICTURE = "attention_entropy_analysis.png"

_SIZE = 10.5, 4.2  # inches
_BINS = 40
_KINDS = {"cross": "cross-attention", "decoder_self": "self-attention"}


def draw_steps(
    steps: Steps, *, trained: bool | None = None, theme: ThemeName = "light"
) -> Figure:
    """Draw two histograms over the steps of all heads, one colour for each kind.

    The mean of each kind is a dashed line. `trained` False: the picture says that the
    weights are random.

    Raises
    ------
    ValueError
        If there are no steps.
    """
    if not steps.rows:
        raise ValueError("there are no steps to draw")
    colors = palette.theme_of(theme)
    with palette.chart_style(colors):
        return _draw(steps, trained, colors)


def _draw(steps: Steps, trained: bool | None, theme: Theme) -> Figure:
    figure = NotebookFigure(*_SIZE, layout="constrained", ground=theme.ground)
    left, right = figure.subplots(1, 2)
    _histogram(left, steps.rows, "entropy", theme)
    left.set(xlabel="entropy of a row, nats (lower: more focused)")
    _histogram(right, steps.rows, "max_weight", theme)
    right.set(xlabel="greatest weight of a row (higher: more focused)", xlim=(0, 1.01))
    left.set(ylabel="steps, over all heads")
    texts = f"{steps.texts:,} text{'s' * (steps.texts != 1)}"
    title = f"Attention at each step that was written: {texts}"
    figure.suptitle(title, x=EDGE / _SIZE[0], ha="left")
    if trained is False:
        figure.supxlabel(UNTRAINED, color=theme.warn, fontsize=SIZE_NOTE)
    for axes in (left, right):
        axes.tick_params(color=theme.muted, labelcolor=theme.ink)
    return figure


def _histogram(axes: Axes, rows: Sequence[StepRow], name: str, theme: Theme) -> None:
    most = max(getattr(row, name) for row in rows)
    edges = np.linspace(0, max(1.0, most) * 1.001, _BINS + 1)
    colours = dict(zip(_KINDS, palette.lines_of(theme), strict=False))
    for kind in dict.fromkeys(row.kind for row in rows):
        values = np.array([getattr(row, name) for row in rows if row.kind == kind])
        colour, mean = colours[kind], values.mean()
        label = f"{_KINDS[kind]}: mean {mean:.2f}"
        axes.hist(values, edges.tolist(), color=colour, alpha=0.55, label=label)
        axes.axvline(mean, color=colour, linestyle="--", linewidth=1.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # above the bars, which it would hide anywhere else
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1))
