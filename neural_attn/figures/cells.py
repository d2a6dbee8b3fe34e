"""The cells of one matrix: colours, lines between them, values, what is masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from neural_attn.figures import palette

__all__ = ["Panel", "draw_cells", "masked_patch"]

# Lines between cells help the eye as long as they do not hide the cells.
SMALLEST_LINED = 12.0  # points
# How much of an image below it the cell of the greatest weight covers; others less.
OVER_GROUND = 0.9


@dataclass(frozen=True)
class Panel:
    """One matrix: weights [queries, keys], and where it is masked (or None).

    `ground` is an image [height, width, 3], 0 to 1, that shines through the cells.
    """

    weights: NDArray[Any]
    masked: NDArray[np.bool_] | None = None
    title: str | None = None
    ground: NDArray[Any] | None = None

    @property
    def empty(self) -> NDArray[np.bool_] | None:
        """Where nothing is drawn, or None where everything is.

        A weight that a mask should have made 0 is drawn, never hidden.
        """
        if self.masked is None:
            return None
        empty = self.masked & (self.weights == 0)
        return empty if empty.any() else None


def draw_cells(
    axes: Axes,
    panel: Panel,
    block: tuple[int, int],
    colors: dict[str, Any],
    theme: palette.Theme,
    *,
    values: float | None,
) -> AxesImage:
    """Draw a panel, one dot for each block of weights.

    `colors` are Matplotlib's norm and cmap; `values`, a size in points, writes each
    weight into its cell.
    """
    queries, keys = panel.weights.shape
    weights = np.asarray(panel.weights, dtype=np.float32)
    empty = panel.empty
    if empty is not None:
        weights = np.where(empty, np.nan, weights)
        axes.add_patch(masked_patch((-0.5, -0.5), keys, queries, theme))
    blocks = _block_maximum(weights, block)
    # The last blocks may reach beyond the cells; the limits of the axes cut them.
    if panel.ground is not None:
        place = (-0.5, keys - 0.5, queries - 0.5, -0.5)
        axes.imshow(panel.ground, extent=place, aspect="auto", zorder=0.5)
        share = np.abs(weights) / colors["norm"].vmax
        colors = {**colors, "alpha": OVER_GROUND * np.sqrt(share.clip(0, 1))}
    right, bottom = blocks.shape[1] * block[1] - 0.5, blocks.shape[0] * block[0] - 0.5
    image = axes.imshow(
        blocks,
        extent=(-0.5, right, bottom, -0.5),
        aspect="auto",
        interpolation="none",
        zorder=1,
        **colors,
    )
    line: dict[str, Any] = {
        "color": theme.ground,
        "linewidth": 0.5,
        "alpha": 0.5,
        "zorder": 2,
    }
    if panel.ground is None and _smallest_side(axes, queries, keys) >= SMALLEST_LINED:
        axes.hlines(np.arange(queries - 1) + 0.5, -0.5, keys - 0.5, **line)
        axes.vlines(np.arange(keys - 1) + 0.5, -0.5, queries - 0.5, **line)
    axes.set(xlim=(-0.5, keys - 0.5), ylim=(queries - 0.5, -0.5))
    axes.spines[:].set_color(theme.masked_line)
    axes.spines[:].set_linewidth(0.6)
    if values is not None:
        _write_values(axes, image, weights, values)
    return image


def _smallest_side(axes: Axes, rows: int, columns: int) -> float:
    """The shorter side of a cell, in points."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that are drawn on stand on one
    shorter = min(axes.bbox.width / columns, axes.bbox.height / rows)
    return float(shorter / figure.dpi * 72)


def masked_patch(
    corner: tuple[float, float], width: float, height: float, theme: palette.Theme
) -> Rectangle:
    """Make the hatched ground of masked cells; `corner` is its lower left."""
    return Rectangle(
        corner,
        width,
        height,
        facecolor=theme.masked,
        edgecolor=theme.masked_line,
        hatch="/////",
        linewidth=0,
        zorder=0,
    )


def _block_maximum(
    weights: NDArray[np.float32], block: tuple[int, int]
) -> NDArray[np.float32]:
    """Value of each block that is greatest in size; NaN where it is masked whole."""
    if block == (1, 1):
        return weights
    rows = np.arange(0, weights.shape[0], block[0])
    columns = np.arange(0, weights.shape[1], block[1])
    # fmax prefers numbers to NaN. reduceat takes the shorter last block as it is.
    fewer = np.fmax.reduceat(weights, rows, axis=0)
    greatest: NDArray[np.float32] = np.fmax.reduceat(fewer, columns, axis=1)
    if not (weights < 0).any():
        return greatest
    least = np.fmin.reduceat(np.fmin.reduceat(weights, rows, axis=0), columns, axis=1)
    return np.where(-least > greatest, least, greatest)


def _write_values(
    axes: Axes, image: AxesImage, weights: NDArray[np.float32], size: float
) -> None:
    for (row, column), weight in np.ndenumerate(weights):
        if np.isnan(weight):
            continue
        red, green, blue, _ = image.cmap(image.norm(np.asarray(weight)))
        # The eye's share of each colour, as ITU-R BT.709 has it.
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        axes.text(
            column,
            row,
            f"{weight:.2f}",
            ha="center",
            va="center",
            size=size,
            color="black" if light > 0.45 else "white",
            zorder=3,
        )
