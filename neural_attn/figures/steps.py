"""How focused the steps of writing were: entropy and greatest weight as histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_attn.analysis.steps import StepRow, Steps
from neural_attn.figures import palette
from neural_attn.figures.scales import UNTRAINED

__all__ = ["PICTURE", "draw_steps"]

PICTURE = "attention_entropy_analysis.png"

_BINS = 40
_COLOURS = {"cross": "#0b6e99", "decoder_self": "#c2570c"}
_KINDS = {"cross": "cross-attention", "decoder_self": "self-attention"}


def draw_steps(steps: Steps, *, trained: bool | None = None) -> Figure:
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
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _histogram(left, steps.rows, "entropy")
    left.set(xlabel="entropy of a row, nats (lower: more focused)")
    _histogram(right, steps.rows, "max_weight")
    right.set(xlabel="greatest weight of a row (higher: more focused)", xlim=(0, 1.01))
    left.set(ylabel="steps, over all heads")
    texts = f"{steps.texts:,} text{'s' * (steps.texts != 1)}"
    title = f"Attention at each step that was written: {texts}"
    figure.suptitle(title, color=palette.INK, fontsize=12)
    if trained is False:
        figure.supxlabel(UNTRAINED, color=palette.WARNING, fontsize=10)
    return figure


def _histogram(axes: Axes, rows: Sequence[StepRow], name: str) -> None:
    most = max(getattr(row, name) for row in rows)
    edges = np.linspace(0, max(1.0, most) * 1.001, _BINS + 1)
    for kind in dict.fromkeys(row.kind for row in rows):
        values = np.array([getattr(row, name) for row in rows if row.kind == kind])
        colour, mean = _COLOURS[kind], values.mean()
        label = f"{_KINDS[kind]}: mean {mean:.2f}"
        axes.hist(values, edges.tolist(), color=colour, alpha=0.55, label=label)
        axes.axvline(mean, color=colour, linestyle="--", linewidth=1.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # above the bars, which it would hide anywhere else
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
