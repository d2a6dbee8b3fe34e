"""Statistics of heads as pictures of a page, on light and on dark ground."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.reports.elements import Heading, Image, Part, Sentences

if TYPE_CHECKING:
    from neural_attn.figures.notebook_figure import NotebookFigure

__all__ = ["drawn"]

# picture -> what it shows, and how it is read
_SAID = {
    "normalized_entropy_by_layer": (
        "Normalized entropy by layer",
        "A point is a head, from 0 (each query has one key) to 1 (all keys alike); "
        "shapes are wide where many heads are",
    ),
    "max_weight_by_layer": (
        "Greatest weight by layer",
        "A point is a head; near 1, each query has one key that takes nearly all",
    ),
    "head_distances": (
        "Distances between heads",
        "Dark squares along the diagonal are heads that attend alike; the lower the "
        "tree joins two heads, the more alike they are",
    ),
    "metrics_in_pairs": (
        "Metrics in pairs",
        "A point is a head, its colour the layer; where points lie along a line, two "
        "metrics say the same. Histograms count heads",
    ),
}
_PIXELS = 90  # of CSS, per inch: two of the narrow pictures fit side by side
_DOTS = 144  # per inch: more, for screens that have more


def drawn(analysis: Analysis) -> list[Part]:
    """How metrics are spread over heads, where seaborn is there to draw it."""
    from neural_attn.figures.choices import THEME_NAMES
    from neural_attn.figures.statistics import statistics_of

    title = Heading(2, "Statistics of heads")
    try:
        light, dark = (
            {name: (figure.get_figwidth(), _png(figure))
             for name, figure in statistics_of(analysis, theme)}
            for theme in THEME_NAMES
        )  # fmt: skip
    except NeuralError as missing:  # the rest of the report needs no seaborn
        return [title, Sentences(((f"not drawn: {missing}", ()),))]
    images = [
        Image(
            _SAID[name][0], png, dark[name][1], round(inches * _PIXELS), _SAID[name][1]
        )
        for name, (inches, png) in light.items()
    ]
    return [title, *images] if images else []


def _png(figure: NotebookFigure) -> bytes:
    """A picture in 256 colours, a third of the size that all would take."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image as Picture

    # drawn once: `savefig` lays a figure out, and then draws it anew
    figure.set_dpi(_DOTS)
    canvas: Any = FigureCanvasAgg(figure)  # Matplotlib does not annotate it
    canvas.draw()
    pixels = Picture.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    stream = BytesIO()
    pixels.quantize(256, dither=Picture.Dither.NONE).save(stream, "png", optimize=True)
    return stream.getvalue()
