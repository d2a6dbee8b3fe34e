"""The bar that says which colour is which weight, with an even share marked on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from neural_attn.figures.palette import SIZE_LABEL, SIZE_NOTE, Theme
from neural_attn.figures.scales import WeightNorm

__all__ = ["BAR", "draw_bar", "weight_text"]

BAR = "<colorbar>"  # the label of its axes, as Matplotlib names them

_HALO = 2.2  # points of ground round the mark, which is seen on any colour then


def draw_bar(
    axes: Axes,
    norm: WeightNorm,
    colors: Colormap,
    theme: Theme,
    *,
    even: float | None = None,
    title: str = "",
    size: float = SIZE_LABEL,
    title_size: float = SIZE_NOTE,
    named: bool = True,
) -> None:
    """Fill `axes`, which stand upright, with a colour bar.

    `even` is the weight of a row that is spread evenly: a line across the bar, and
    beside it that weight; `named` says in words what it is.
    """
    shades = np.linspace(0, 1, 256)[:, np.newaxis]
    axes.imshow(
        shades, cmap=colors, origin="lower", aspect="auto",
        extent=(0.0, 1.0, 0.0, 1.0), vmin=0, vmax=1,
    )  # fmt: skip
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that are drawn on stand on one
    length = float(axes.get_position().height * figure.get_figheight())
    marked = () if even is None or even > norm.top else (even,)
    weights = norm.ticks(length * SIZE_LABEL / size, marked)
    texts = [weight_text(one) for one in weights]
    for one in marked:
        at = float(norm(one))
        place: dict[str, Any] = {"xmin": 0, "xmax": 1, "zorder": 3}
        axes.axhline(at, color=theme.ground, linewidth=_HALO, **place)
        axes.axhline(at, color=theme.ink, linewidth=0.9, **place)
        index = weights.index(one)
        texts[index] += " even" if named else ""
    axes.set(xticks=[], xlim=(0, 1), ylim=(0, 1), label=BAR)
    axes.set_yticks([float(norm(one)) for one in weights])
    axes.set_yticklabels(texts, fontsize=size, color=theme.ink)
    axes.tick_params(
        length=2, color=theme.muted, pad=2,
        left=False, right=True, labelleft=False, labelright=True,
    )  # fmt: skip
    axes.spines[:].set_visible(False)
    if title:
        axes.yaxis.set_label_position("right")
        axes.set_ylabel(title, size=title_size, color=theme.muted)


def weight_text(weight: float) -> str:
    """A weight in two places, or as many as tell it from 0."""
    size = abs(weight)
    if size >= 100:
        return f"{weight:.0f}"
    if size == 0 or size >= 0.0995:
        return f"{weight:.2f}".rstrip("0").rstrip(".") if size != 0 else "0"
    return f"{weight:.2g}"
