"""The look of every picture and page: colours, type scale and grid, in one place.

Static pictures, the Plotly page and the explorer have the same names for the same
colours; `page_colors` writes them as a page has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from neural_attn.diagnostics.choices import check_choice, nearest
from neural_attn.figures.choices import THEME_NAMES, ThemeName

if TYPE_CHECKING:  # SVG and pages need the colours alone
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "DARK", "DEFAULT_CMAP", "DIVERGING", "DIVERGING_DARK", "EDGE", "GAP", "LEVELS",
    "LEVELS_DARK", "LIGHT", "LINES", "LINES_DARK", "MOST_GROWN", "OVER_PICTURE",
    "SANS", "SIZE_LABEL", "SIZE_NOTE", "SIZE_TITLE", "THEMES", "Theme",
    "chart_style", "colormap", "css_variables", "levels_of", "light_to_dark",
    "lines_of", "page_colors", "recolor", "theme_of", "type_growth",
]  # fmt: skip

# Type scale, in points: titles; subtitles, axes and panels; labels of cells and bars.
SIZE_TITLE, SIZE_NOTE, SIZE_LABEL = 12.0, 9.0, 8.0
# They grow with a figure that is wider than this many inches, up to so many times: it
# is looked at as a whole, and then in parts.
WIDE_FIGURE, MOST_GROWN = 10.0, 2.0
# Of pages, which have the fonts of the reader's system.
SANS = "system-ui, sans-serif"
# Grid, in inches: margin of a figure, and the gap between panels.
EDGE, GAP = 0.2, 0.16


@dataclass(frozen=True)
class Theme:
    """Colours for one ground; text on it has a contrast of at least 4.5 to 1.

    `warn` is for what must not be overlooked, `masked` for cells that hold nothing,
    `line` for what separates.
    """

    ground: str
    raised: str
    ink: str
    muted: str
    line: str
    accent: str
    warn: str
    masked: str
    masked_line: str


LIGHT = Theme(
    ground="#ffffff",
    raised="#f5f6f8",
    ink="#1b1f24",
    muted="#57606a",
    line="#d5d9de",
    accent="#0a5ca8",
    warn="#8a3a08",
    masked="#e9ebee",
    masked_line="#c3c8ce",
)
DARK = Theme(
    ground="#14171a",
    raised="#1e2328",
    ink="#e6e8eb",
    muted="#a2abb5",
    line="#363c44",
    accent="#79b8f5",
    warn="#f2b27a",
    masked="#22272c",
    masked_line="#3f464e",
)
THEMES: dict[str, Theme] = dict(zip(THEME_NAMES, (LIGHT, DARK), strict=True))

# Equal steps of weight look equal, also to colour-blind eyes and in grey print.
DEFAULT_CMAP = "viridis"
# Over an image in light grey: no weight is clear, and much is dark.
OVER_PICTURE = "YlOrRd"

# Of signed weights: orange below 0 and blue above, which no colour-blind eye confuses.
DIVERGING = (
    "#8a3a08", "#d97a34", "#f6cda6", "#f7f7f7", "#a9cdea", "#3d86c0", "#0b3c70",
)  # fmt: skip
# The same on a dark ground: what is near 0 is dark.
DIVERGING_DARK = (
    "#ffd0a6", "#e08a45", "#6b4020", "#1d2126", "#1f4d75", "#4d9bd8", "#cfe8fb",
)  # fmt: skip

# Of lines and of kinds: those that no colour-blind eye confuses (Okabe and Ito,
# 2008), without their yellow, which is too light for a line.
LINES = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b1f24",
)  # fmt: skip
# The same on a dark ground: the lighter ones first.
LINES_DARK = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#e6e8eb",
)  # fmt: skip

# What masks let through, what they hide because it comes later, because it is padding,
# and because it is out of reach: what is seen stands out most from the ground, and
# padding least, also in grey print.
LEVELS = ("#0b3c70", "#e69f00", "#d4d8dd", "#cc79a7")
LEVELS_DARK = ("#9ccbf7", "#b37a00", "#363c44", "#a0507c")


# what of an artist has a colour, as its `get_…` and `set_…` call it
_COLORED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def type_growth(width: float) -> float:
    """How many times larger type is where all panels are `width` inches wide."""
    return min(MOST_GROWN, max(1.0, width / WIDE_FIGURE))


def theme_of(name: str) -> Theme:
    """Give the theme `name`. Raises ValueError if there is none."""
    check_choice("theme", name, THEMES)
    return THEMES[name]


def lines_of(theme: Theme) -> tuple[str, ...]:
    """Colours of lines and of kinds."""
    return LINES_DARK if theme is DARK else LINES


def levels_of(theme: Theme) -> tuple[str, ...]:
    """Colours of what masks let through and hide."""
    return LEVELS_DARK if theme is DARK else LEVELS


@contextmanager
def chart_style(theme: Theme) -> Iterator[None]:
    """Charts that are made inside stand on the ground of a theme, by our type scale."""
    import matplotlib

    settings: Any = {  # the stub lists every key there is by its own name
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.ground),
        **dict.fromkeys(("text.color", "axes.labelcolor"), theme.ink),
        **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), theme.ink),
        **dict.fromkeys(("xtick.color", "ytick.color"), theme.muted),
        "axes.edgecolor": theme.muted,
        "grid.color": theme.line,
        "axes.titlelocation": "left",
        "axes.titlesize": SIZE_NOTE + 1,
        "figure.titlesize": SIZE_TITLE,
        "figure.titleweight": "bold",
        "axes.labelsize": SIZE_NOTE,
        "legend.fontsize": SIZE_LABEL,
        **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), SIZE_LABEL),
        "legend.frameon": False,
    }
    with matplotlib.rc_context(settings):
        yield


def light_to_dark() -> dict[str, str]:
    """The colours of the light theme, each with what the dark one has in its place."""
    names = [field.name for field in fields(Theme)]
    return {getattr(LIGHT, name): getattr(DARK, name) for name in names}


def recolor(figure: Figure, changes: Mapping[str, str]) -> None:
    """Give everything in a figure that has a colour of `changes` the other one.

    Cells that a colour map colours stay as they are, and so does what is transparent.
    """
    import numpy as np
    from matplotlib.colors import to_rgb, to_rgba_array

    known = {to_rgb(one): to_rgb(other) for one, other in changes.items()}
    for artist in figure.findobj():
        for name in () if _is_mapped(artist) else _COLORED:
            read = getattr(artist, f"get_{name}", None)
            write = getattr(artist, f"set_{name}", None)
            if read is None or write is None or str(now := read()) in ("none", "auto"):
                continue
            colors = to_rgba_array(now)
            others = [(*known.get(tuple(one[:3]), one[:3]), one[3]) for one in colors]
            if not np.array_equal(colors, others):
                write(others if np.ndim(now) == 2 else others[0])


def _is_mapped(artist: Any) -> bool:
    """Whether a colour map gives it its colours."""
    return getattr(artist, "get_array", lambda: None)() is not None


def css_variables(theme: Theme) -> str:
    """Write a theme as a page has it: `--ink: #1b1f24; --muted: …`."""
    return " ".join(
        f"--{field.name.replace('_', '-')}: {getattr(theme, field.name)};"
        for field in fields(theme)
    )


def page_colors(theme: ThemeName | None) -> str:
    """Write the CSS of a page's colours, as variables.

    They follow the reader's system, also while the page is open, unless `theme` is
    "dark".
    """
    if theme == "dark":
        return f":root {{ color-scheme: dark; {css_variables(DARK)} }}"
    return f""":root {{ color-scheme: light dark; {css_variables(LIGHT)} }}
  @media (prefers-color-scheme: dark) {{ :root {{ {css_variables(DARK)} }} }}"""


def colormap(
    name: str | None = None, *, signed: bool = False, theme: Theme = LIGHT
) -> Colormap:
    """Give the Matplotlib colour map `name`; None is viridis, of signed weights ours.

    Raises
    ------
    ValueError
        If Matplotlib has none of this name; suggests those that are alike.
    """
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if name is None and signed:
        stops = DIVERGING_DARK if theme is DARK else DIVERGING
        return LinearSegmentedColormap.from_list("orange-blue", stops)
    wanted = name or DEFAULT_CMAP
    if wanted in matplotlib.colormaps:
        return matplotlib.colormaps[wanted]
    near = nearest(wanted, matplotlib.colormaps)
    hint = f"did you mean {near!r}?" if near else "try 'viridis' or 'magma'"
    raise ValueError(f"there is no colour map {wanted!r}; {hint}")
