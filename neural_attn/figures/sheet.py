"""One figure: panels in a grid with shared axes, one colour bar, a header, a legend.

Made with Matplotlib's objects and not with pyplot: nothing global is touched, no
window is opened, and a figure that nobody holds any more is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.text import Text

from neural_attn.figures import palette
from neural_attn.figures.cells import Panel, draw_cells, masked_patch
from neural_attn.figures.choices import (
    DEFAULT_SCALE,
    Scale,
    ThemeName,
    check_figsize,
)
from neural_attn.figures.colorbar import draw_bar
from neural_attn.figures.fonts import (
    Fonts,
    choose_fonts,
    drawn_backwards,
    text_width,
)
from neural_attn.figures.layout import (
    LINE,
    POINTS,
    AxisLabels,
    fit_labels,
    least_length,
    shorten,
    wrap,
)
from neural_attn.figures.notebook_figure import NotebookFigure
from neural_attn.figures.palette import (
    EDGE,
    GAP,
    SIZE_LABEL,
    SIZE_NOTE,
    SIZE_TITLE,
    Theme,
    theme_of,
    type_growth,
)
from neural_attn.figures.reading import labels, read_tokens
from neural_attn.figures.scales import (
    UNTRAINED,
    UP_TO_1,
    WORDS,
    WeightNorm,
    even_share,
    top_of,
)
from neural_attn.figures.token_labels import quoted, readable, shortened, told_apart
from neural_attn.promises import NONNEGATIVE, SHARES, Rows

__all__ = ["Sheet", "Style"]

AXIS_TITLE = 0.26  # all lengths in inches
PANEL_TITLE = 0.24
COLORBAR_GAP, COLORBAR_WIDTH, COLORBAR_TEXT = 0.2, 0.14, 1.05
LONGEST_BAR = 5.0
OWN_BAR_GAP, OWN_BAR_WIDTH, OWN_BAR_TEXT = 0.06, 0.08, 0.42  # one for each panel
OWN_BAR_LABEL = 7.0  # points
LEGEND = 0.34
TITLE_LINE, SUBTITLE_LINE = 0.25, 0.2
LEAST_WIDTH = 4.4
LEAST_PANEL = 0.4
LARGEST_VALUE, SMALLEST_VALUE = 8.0, 4.5  # points

# More cells than this on a side cannot be told apart in a panel: each dot then shows
# the greatest weight of its block, so that a lone strong link stays visible.
DOTS_PER_INCH = 150

KEY_TITLE, QUERY_TITLE = "Key (attended to)", "Query (attends from)"
MASKED_TEXT = "masked: may not be attended to"


@dataclass(frozen=True)
class Style:
    """How big panels and labels are, in inches and points."""

    panel_width: float
    panel_height: float
    largest_label: float = 10.0
    label_length: int = 24
    show_values: bool = False  # in cells of any size; `annotate` asks if they fit
    annotate: bool = False
    figsize: tuple[float, float] | None = None  # of the whole figure, about

    def __post_init__(self) -> None:
        check_figsize(self.figsize)


@dataclass
class Sheet:
    """A figure under construction; `draw` gives it.

    `tokens` are labels of queries and of keys, which all panels share. `even` is the
    weight to mark on the bar; None: what the mask of the panels gives. With
    `own_scales` each panel has a scale and a bar of its own.
    """

    panels: Sequence[Panel]
    rows: int
    columns: int
    query_tokens: Sequence[str]
    key_tokens: Sequence[str]
    title: str
    style: Style
    subtitle: str | None = None
    trained: bool | None = None
    cmap: str | None = None
    vmax: float | None = None
    rows_promise: Rows = SHARES
    axis_titles: tuple[str, str] = (KEY_TITLE, QUERY_TITLE)
    bar_title: str = "attention weight"
    scale: Scale = DEFAULT_SCALE
    own_scales: bool = False
    even: float | None = None
    theme: ThemeName = "light"
    fonts: Fonts = field(init=False)
    figure: Figure = field(init=False)

    def draw(self) -> Figure:
        """Lay the figure out and draw every panel.

        Raises
        ------
        ValueError
            If there is no such colour map.
        """
        self._theme: Theme = theme_of(self.theme)
        colors = palette.colormap(self.cmap, signed=self._signed, theme=self._theme)
        colors = colors.with_extremes(bad=(0, 0, 0, 0))
        length = self.style.label_length
        queries, keys = (
            [quoted(text) for text in labels(tokens, length)]
            for tokens in (self.query_tokens, self.key_tokens)
        )
        self.fonts = choose_fonts([*queries, *keys, *self._header_texts()])
        # Again: a code is longer than the character that it stands for.
        queries = [shortened(self.fonts.drawable(text), length) for text in queries]
        keys = [shortened(self.fonts.drawable(text), length) for text in keys]
        if self.style.figsize is None:
            self._make_room(queries, keys)
        self._lay_out(queries, keys)
        if self.style.figsize is not None:
            self._resize(self.style.figsize, queries, keys)
        norms = self._norms()
        titles = self._panel_titles()
        for index, panel in enumerate(self.panels):
            axes = self._add_axes(index, titles[index])
            how = {"norm": norms[index], "cmap": colors}
            values = self._value_size()
            draw_cells(axes, panel, self._block(), how, self._theme, values=values)
            self._label_axes(axes, index)
            if self._has_own_bars:
                self._draw_own_bar(axes, norms[index], colors)
        self._draw_axis_titles()
        if not self._has_own_bars:
            self._draw_colorbar(norms[0], colors)
        self._draw_header()
        if self._has_masked():
            self._draw_legend()
        return self.figure

    # --- sizes --------------------------------------------------------------------

    def _make_room(self, queries: list[str], keys: list[str]) -> None:
        """Make panels large enough for a label at each of their cells."""
        style = self.style
        grow = max(
            1.0,
            least_length(queries, self.fonts) / style.panel_height,
            least_length(keys, self.fonts) / style.panel_width,
        )
        self.style = replace(
            style,
            panel_width=style.panel_width * grow,
            panel_height=style.panel_height * grow,
        )

    def _lay_out(self, queries: list[str], keys: list[str]) -> None:
        style, largest = self.style, self.style.largest_label
        self._y: AxisLabels = fit_labels(
            queries,
            style.panel_height,
            self.fonts,
            horizontal_axis=False,
            largest=largest,
        )
        self._x: AxisLabels = fit_labels(
            keys, style.panel_width, self.fonts, horizontal_axis=True, largest=largest
        )
        has_titles = any(panel.title is not None for panel in self.panels)
        self._grown = grown = type_growth(self.columns * style.panel_width)
        self._panel_title = PANEL_TITLE * grown if has_titles else 0.0
        self._left = EDGE + AXIS_TITLE * grown + self._y.depth
        own = OWN_BAR_GAP + OWN_BAR_WIDTH + OWN_BAR_TEXT
        self._gap = GAP + own * self._has_own_bars
        between = (self.columns - 1) * self._gap
        self._grid_width = self.columns * style.panel_width + between
        self._grid_height = (
            self.rows * (style.panel_height + self._panel_title) + (self.rows - 1) * GAP
        )
        shared = COLORBAR_GAP + (COLORBAR_WIDTH + COLORBAR_TEXT) * grown
        right = own if self._has_own_bars else shared
        width = max(LEAST_WIDTH, self._left + self._grid_width + right)
        self._bottom = EDGE + AXIS_TITLE * grown + self._x.depth
        if self._has_masked():
            self._bottom += LEGEND * grown
        room = (width - 2 * EDGE) / grown
        title = self._text(self.title)
        self._title_fonts = choose_fonts([title])
        weight = self._title_fonts.title_weight
        self._title_lines = wrap(title, SIZE_TITLE, room, self._title_fonts, weight)
        self._subtitle_lines = [
            (line, color)
            for text, color in self._subtitles()
            for line in wrap(text, SIZE_NOTE, room, self.fonts)
        ]
        header = EDGE + grown * (
            TITLE_LINE * len(self._title_lines)
            + SUBTITLE_LINE * len(self._subtitle_lines)
            + 0.08
        )
        height = self._bottom + self._grid_height + header
        self.figure = NotebookFigure(width, height)
        self.figure.set_facecolor(self._theme.ground)

    def _resize(
        self, wanted: tuple[float, float], queries: list[str], keys: list[str]
    ) -> None:
        """Make panels so large that the figure has the size that was asked for."""
        for _ in range(3):  # labels turn and titles break as it changes
            width, height = wanted - self.figure.get_size_inches()
            style = self.style
            self.style = replace(
                style,
                panel_width=max(LEAST_PANEL, style.panel_width + width / self.columns),
                panel_height=max(LEAST_PANEL, style.panel_height + height / self.rows),
            )
            self._lay_out(queries, keys)

    def _value_size(self) -> float | None:
        """The size of values in cells; None where they are not written."""
        style = self.style
        if not style.annotate:
            return LARGEST_VALUE if style.show_values else None
        queries, keys = self.panels[0].weights.shape
        longest = "-0.00" if self._signed else "0.00"
        width = text_width(longest, LARGEST_VALUE, self.fonts.families) * 1.2
        across = style.panel_width * POINTS / keys / width * LARGEST_VALUE
        along = style.panel_height * POINTS / queries / LINE
        size = min(LARGEST_VALUE, across, along)
        return size if size >= SMALLEST_VALUE else None

    def _subtitles(self) -> list[tuple[str, str]]:
        """What the reader must know of the picture: texts, and their colours."""
        lines = []
        if self.trained is False:
            more = f"; {UP_TO_1}" if self.vmax is None else ""
            lines.append((UNTRAINED + more, self._theme.warn))
        if self.subtitle:
            lines.append((self._text(self.subtitle), self._theme.muted))
        notes = [WORDS[self.scale], *self._left_out(), *self._odd_letters()]
        if self._has_own_bars and self._even is not None:
            notes[0] += "; line across each bar: uniform attention"
        if self.style.annotate and self._value_size() is None:
            notes.append("no values: the cells have no room for them")
        block = self._block()
        if block != (1, 1):
            which = "greatest in size" if self._signed else "greatest"
            notes.append(
                f"each dot shows the {which} of {block[0]} × {block[1]} weights"
            )
        return [*lines, *((note, self._theme.muted) for note in notes)]

    def _left_out(self) -> list[str]:
        """Labels that there is no room for: never left out without a word."""
        sides = (
            ("query", self._y, self.query_tokens),
            ("key", self._x, self.key_tokens),
        )
        told = [
            f"{axis.left_out} of {len(tokens)} {side} labels"
            for side, axis, tokens in sides
            if axis.left_out
        ]
        if not told:
            return []
        numbered = "the others begin with their number, from 0"
        return [f"no room for {' and '.join(told)}; {numbered}"]

    def _odd_letters(self) -> list[str]:
        """What is not drawn as it is written, for want of a font or a newer library."""
        notes = []
        if self.fonts.missing:
            count = len(self.fonts.missing)
            what = f"{count} characters are" if count > 1 else "a character is"
            them = "them" if count > 1 else "it"
            notes.append(
                f"{what} drawn as codes: no installed font has {them} "
                f"(install {self.fonts.packages})"
            )
        if drawn_backwards([*self.query_tokens, *self.key_tokens]):
            notes.append(
                "right-to-left text is drawn from left to right, its letters apart: "
                "joining them takes Matplotlib 3.11"
            )
        return notes

    def _header_texts(self) -> list[str]:
        titles = [panel.title or "" for panel in self.panels]
        return [self.title, self.subtitle or "", "×", *titles]

    def _text(self, text: str) -> str:
        # Names come from strangers too; spaces in a sentence stay spaces.
        words = (readable(word, 120) if word else "" for word in text.split(" "))
        return self.fonts.drawable(" ".join(words))

    def _norms(self) -> list[WeightNorm]:
        """How each panel is coloured; with one scale for all, that many times."""
        sizes = [float(np.abs(panel.weights).max()) for panel in self.panels]
        if not self.own_scales:
            sizes = [max(sizes)] * len(sizes)
        given = None if self.vmax is None else self.vmax or 1.0
        tops = [given or top_of(size, self.trained) for size in sizes]
        return [WeightNorm(self.scale, top, signed=self._signed) for top in tops]

    @property
    def _has_own_bars(self) -> bool:
        return self.own_scales and len(self.panels) > 1

    @property
    def _even(self) -> float | None:
        """The weight that the bar marks as an even share."""
        if self.even is not None or self._signed:
            return None if self._signed else self.even
        allowed = [
            np.ones(panel.weights.shape, bool)
            if panel.masked is None
            else ~panel.masked
            for panel in self.panels
        ]
        return even_share(np.stack(allowed), self.rows_promise)

    @property
    def _signed(self) -> bool:
        """Whether the colour scale has two sides: 0 is in its middle."""
        negative = any(panel.weights.min() < 0 for panel in self.panels)
        return self.rows_promise not in NONNEGATIVE or negative

    def _has_masked(self) -> bool:
        return any(panel.empty is not None for panel in self.panels)

    def _block(self) -> tuple[int, int]:
        queries, keys = self.panels[0].weights.shape
        return (
            -(-queries // int(self.style.panel_height * DOTS_PER_INCH)),
            -(-keys // int(self.style.panel_width * DOTS_PER_INCH)),
        )

    # --- drawing ------------------------------------------------------------------

    def _place(self, left: float, bottom: float, width: float, height: float) -> Axes:
        total_width, total_height = self.figure.get_size_inches()
        return self.figure.add_axes(
            (
                left / total_width,
                bottom / total_height,
                width / total_width,
                height / total_height,
            )
        )

    def _panel_titles(self) -> list[str]:
        """Titles that fit above their panels, and are told apart if they were."""
        titles = [self._text(panel.title or "") for panel in self.panels]
        room = self.style.panel_width / self._grown
        return told_apart(
            titles, lambda text: shorten(text, SIZE_NOTE, room, self.fonts)
        )

    def _add_axes(self, index: int, title: str) -> Axes:
        row, column = divmod(index, self.columns)
        style = self.style
        left = self._left + column * (style.panel_width + self._gap)
        below = self.rows - 1 - row
        bottom = self._bottom + below * (style.panel_height + self._panel_title + GAP)
        axes = self._place(left, bottom, style.panel_width, style.panel_height)
        if title:
            self._write(left, bottom + style.panel_height + 0.06, title, SIZE_NOTE)
        return axes

    def _label_axes(self, axes: Axes, index: int) -> None:
        first_column = index % self.columns == 0
        last_in_column = index + self.columns >= len(self.panels)
        plain: dict[str, Any] = {
            "parse_math": False,
            "usetex": False,
            "family": list(self.fonts.families),
            "color": self._theme.ink,
        }
        muted = self._theme.muted
        axes.tick_params(length=2, width=0.6, color=self._theme.muted, pad=2)
        if last_in_column:
            turned: dict[str, Any] = {
                "rotation": 90 if self._x.vertical else 0,
                "ha": "center",
            }
            axes.set_xticks(
                self._x.positions, self._x.texts, size=self._x.size, **turned, **plain
            )
            _mute_special(axes.get_xticklabels(), self._x, self.key_tokens, muted)
        else:
            axes.set_xticks([])
        if first_column:
            axes.set_yticks(
                self._y.positions, self._y.texts, size=self._y.size, **plain
            )
            _mute_special(axes.get_yticklabels(), self._y, self.query_tokens, muted)
        else:
            axes.set_yticks([])

    def _draw_axis_titles(self) -> None:
        middle = self._left + self._grid_width / 2
        below = self._bottom - self._x.depth - 0.08
        across, along = self.axis_titles
        self._write(middle, below, across, SIZE_NOTE, ha="center", va="top", muted=True)
        top = self._bottom + self._grid_height - self._panel_title
        lowest = EDGE + LEGEND * self._grown * self._has_masked()
        room = (top - lowest) / self._grown
        along = shorten(along, SIZE_NOTE, room, self.fonts)
        size = SIZE_NOTE * self._grown
        length = text_width(along, size, self.fonts.families) / POINTS
        # beside the middle of the panels; where these are low, from their top down
        middle = min((self._bottom + top) / 2, top - length / 2)
        self._write(
            EDGE,
            middle,
            along,
            SIZE_NOTE,
            ha="left",
            va="center",
            muted=True,
            rotation=90,
        )

    def _draw_colorbar(self, norm: WeightNorm, colors: Colormap) -> None:
        left = self._left + self._grid_width + COLORBAR_GAP
        longest = LONGEST_BAR * self._grown
        height = min(self._grid_height - self._panel_title, longest)
        top = self._bottom + self._grid_height - self._panel_title
        axes = self._place(left, top - height, COLORBAR_WIDTH * self._grown, height)
        title = f"{self.bar_title}, signed" if self._signed else self.bar_title
        draw_bar(
            axes,
            norm,
            colors,
            self._theme,
            even=self._even,
            title=title,
            size=SIZE_LABEL * self._grown,
            title_size=SIZE_NOTE * self._grown,
        )

    def _draw_own_bar(self, beside: Axes, norm: WeightNorm, colors: Colormap) -> None:
        box = beside.get_position()
        width, height = self.figure.get_size_inches()
        left = float(box.x1 * width) + OWN_BAR_GAP
        tall = min(float(box.height * height), LONGEST_BAR)
        bottom = float(box.y1 * height) - tall
        axes = self._place(left, bottom, OWN_BAR_WIDTH, tall)
        draw_bar(
            axes, norm, colors, self._theme,
            even=self._even, size=OWN_BAR_LABEL, named=False,
        )  # fmt: skip

    def _draw_header(self) -> None:
        y = float(self.figure.get_figheight()) - EDGE
        for line in self._title_lines:
            self._write(
                EDGE, y, line, SIZE_TITLE, va="top",
                weight=self._title_fonts.title_weight,
                family=list(self._title_fonts.families),
            )  # fmt: skip
            y -= TITLE_LINE * self._grown
        for line, color in self._subtitle_lines:
            self._write(EDGE, y, line, SIZE_NOTE, va="top", color=color)
            y -= SUBTITLE_LINE * self._grown

    def _draw_legend(self) -> None:
        size = (0.2 * self._grown, 0.16 * self._grown)
        patch = masked_patch((EDGE, EDGE - 0.04), *size, self._theme)
        patch.set_transform(self.figure.dpi_scale_trans)
        patch.set_edgecolor(self._theme.masked_line)
        self.figure.add_artist(patch)
        place = (EDGE + size[0] + 0.08, EDGE - 0.04 + size[1] / 2)
        self._write(*place, MASKED_TEXT, SIZE_LABEL, va="center", muted=True)

    def _write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        muted: bool = False,
        **how: Any,
    ) -> None:
        """Write one line at a place given in inches; nothing in it is markup.

        `size` is that of a small figure.
        """
        how.setdefault("color", self._theme.muted if muted else self._theme.ink)
        how.setdefault("family", list(self.fonts.families))
        self.figure.text(
            x,
            y,
            text,
            size=size * self._grown,
            parse_math=False,
            usetex=False,
            transform=self.figure.dpi_scale_trans,
            **how,
        )


def _mute_special(
    drawn: Sequence[Text], shown: AxisLabels, tokens: Sequence[str], muted: str
) -> None:
    """Labels of tokens that are not part of the text, such as [CLS], in grey."""
    special = read_tokens(tokens).special
    for label, position in zip(drawn, shown.positions, strict=True):
        if special[position]:
            label.set_color(muted)
