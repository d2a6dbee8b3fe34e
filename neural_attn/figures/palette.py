"""The colours of every picture."""

from __future__ import annotations

import difflib

import matplotlib
from matplotlib.colors import Colormap, LinearSegmentedColormap

__all__ = [
    "DEFAULT_CMAP", "DIVERGING", "INK", "LINES", "MASKED", "MASKED_LINES", "MUTED",
    "OVER_PICTURE", "colormap",
]  # fmt: skip

# Equal steps of weight look equal, also to colour-blind eyes and in grey print.
DEFAULT_CMAP = "viridis"
# Over an image in light grey: no weight is clear, and much is dark.
OVER_PICTURE = "YlOrRd"

# Of signed weights: orange below 0 and blue above, which no colour-blind eye confuses.
DIVERGING = (
    "#8a3a08", "#d97a34", "#f6cda6", "#f7f7f7", "#a9cdea", "#3d86c0", "#0b3c70",
)  # fmt: skip

# Of lines and of kinds: those that no colour-blind eye confuses (Okabe and Ito,
# 2008), without their yellow, which is too light for a line.
LINES = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b1f24",
)  # fmt: skip

INK = "#1b1f24"
MUTED = "#59636e"
WARNING = "#9a3412"
MASKED = "#eceef1"
MASKED_LINES = "#c3c8ce"


def colormap(name: str | None = None, *, signed: bool = False) -> Colormap:
    """Give the Matplotlib colour map `name`; None is viridis, of signed weights ours.

    Raises
    ------
    ValueError
        If Matplotlib has none of this name; suggests those that are alike.
    """
    if name is None and signed:
        return LinearSegmentedColormap.from_list("orange-blue", DIVERGING)
    wanted = name or DEFAULT_CMAP
    if wanted in matplotlib.colormaps:
        return matplotlib.colormaps[wanted]
    known = list(matplotlib.colormaps)
    close = difflib.get_close_matches(wanted, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "try viridis or magma"
    raise ValueError(f"there is no colour map {wanted!r}: {hint}")
