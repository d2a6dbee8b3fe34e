"""The colours of every picture."""

from __future__ import annotations

import difflib

import matplotlib
from matplotlib.colors import Colormap

__all__ = ["DEFAULT_CMAP", "INK", "MASKED", "MASKED_LINES", "MUTED", "colormap"]

# Equal steps of weight look equal, also to colour-blind eyes and in grey print.
DEFAULT_CMAP = "viridis"

INK = "#1b1f24"
MUTED = "#59636e"
WARNING = "#9a3412"
MASKED = "#eceef1"
MASKED_LINES = "#c3c8ce"


def colormap(name: str | None = None) -> Colormap:
    """Give the Matplotlib colour map `name` (default viridis).

    Raises
    ------
    ValueError
        If Matplotlib has none of this name; suggests those that are alike.
    """
    wanted = name or DEFAULT_CMAP
    if wanted in matplotlib.colormaps:
        return matplotlib.colormaps[wanted]
    known = list(matplotlib.colormaps)
    close = difflib.get_close_matches(wanted, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "try viridis or magma"
    raise ValueError(f"there is no colour map {wanted!r}: {hint}")
