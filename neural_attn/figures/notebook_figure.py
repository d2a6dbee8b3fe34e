"""A Matplotlib figure that a notebook shows without pyplot."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from neural_attn.figures.palette import EDGE

__all__ = ["NotebookFigure"]

_DOTS = 90  # per inch, in a notebook
_PAD = EDGE / 3  # inches round each part of a figure
_MARGIN = EDGE - _PAD


class NotebookFigure(Figure):
    """A figure with a canvas of its own: it needs no window system and no pyplot.

    `width` and `height` are inches. A user's rcParams must not move what was measured:
    it has no layout engine unless `layout` names one, which keeps a margin, and its
    `ground` is white unless it is None.
    """

    def __init__(
        self,
        width: float,
        height: float,
        dpi: float | None = None,
        layout: Literal["none", "constrained"] = "none",
        ground: str | None = "white",
    ) -> None:
        super().__init__(
            figsize=(width, height), dpi=dpi, facecolor=ground, layout=None
        )
        if layout == "constrained":
            self.set_layout_engine(_with_margin(width, height))
        else:
            self.set_layout_engine("none")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """What IPython shows."""
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=_DOTS)
        return stream.getvalue()


def _with_margin(width: float, height: float) -> ConstrainedLayoutEngine:
    across, along = _MARGIN / width, _MARGIN / height
    inside = (across, along, 1 - 2 * across, 1 - 2 * along)
    return ConstrainedLayoutEngine(rect=inside, w_pad=_PAD, h_pad=_PAD)
