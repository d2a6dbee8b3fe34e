"""A Matplotlib figure that a notebook shows without pyplot."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["NotebookFigure"]

_DOTS = 90  # per inch, in a notebook


class NotebookFigure(Figure):
    """A figure with a canvas of its own: it needs no window system and no pyplot.

    `width` and `height` are inches. A user's rcParams must not move what was measured:
    it has no layout engine unless `layout` names one, and its `ground` is white unless
    it is None.
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
        self.set_layout_engine(layout)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """What IPython shows."""
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=_DOTS)
        return stream.getvalue()
