"""Statistics of heads as pictures of a page, on light and on dark ground."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_attn.analysis.result import Analysis
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.reports.elements import Heading, Image, Part, Sentences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drawn"]

# picture -> what it shows, and how it is read
_SAID = {
    "normalized_entropy_by_layer": (
        "Normalized entropy by layer",
        "A point is a head, from 0 (each query has one key) to 1 (all keys alike); "
        "shapes are wide where many heads are",
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
    from neural_attn.figures.statistics import light_and_dark

    title = Heading(2, "Statistics of heads")
    sources: dict[str, dict[str, bytes]] = {}
    widths = {}
    try:
        for name, theme, figure in light_and_dark(analysis, _SAID):
            sources.setdefault(name, {})[theme] = _png(figure)
            widths[name] = round(figure.get_figwidth() * _PIXELS)
    except NeuralError as missing:  # the rest of the report needs no seaborn
        return [title, Sentences(((f"not drawn: {missing}", ()),))]
    images = [
        Image(width=widths[name], **pngs, title=_SAID[name][0], caption=_SAID[name][1])
        for name, pngs in sources.items()
    ]
    return [title, *images] if images else []


def _png(figure: Figure) -> bytes:
    """A picture in 256 colours, a third of the size that all would take."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image as Picture

    # drawn once: `savefig` lays a figure out, and then draws it anew
    figure.set_dpi(_DOTS)
    canvas: Any = FigureCanvasAgg(figure)  # Matplotlib does not annotate it
    canvas.draw()
    pixels = Picture.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    stream = BytesIO()
    pixels.quantize(256, dither=Picture.Dither.NONE).save(stream, "png")
    return stream.getvalue()
