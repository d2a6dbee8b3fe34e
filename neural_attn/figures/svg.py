"""SVG as text: escaped, with fonts that every machine has, for light and dark."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import asdict
from string import Template

from neural_attn.diagnostics.errors import printable
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.palette import DARK, LIGHT, lines_of

__all__ = ["Svg", "escaped", "packed", "text_width", "wrapped"]

# Widths of letters in parts of the font size: generous, as fonts differ.
MONO, SANS, BOLD = 0.615, 0.58, 0.65

FONTS = """
.arch text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
  "DejaVu Sans", sans-serif; white-space: pre; }
.arch .mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas,
  "Liberation Mono", monospace; }
.arch .bold { font-weight: 600; }
"""
# Colours of a theme, in which whatever has one also has a word or a line of its own. No
# CSS variables: many viewers do not know them.
COLORS = Template("""
.arch text { fill: $ink; }
.arch .muted { fill: $muted; }
.arch .paper { fill: $ground; }
.arch .card { fill: $raised; stroke: $masked_line; }
.arch .part { fill: $ground; stroke: $line; }
.arch .pill { fill: $ground; stroke: $accent; }
.arch .badge { fill: $ink; }
.arch .badge-text { fill: $ground; }
.arch .attends { stroke: $warn; stroke-width: 1.5; }
.arch .attention { fill: $warn; }
.arch .attention-text { fill: $ground; }
.arch .rule { stroke: $line; }
.arch .wire { fill: none; stroke: $muted; stroke-width: 1.5; }
.arch .head { fill: $muted; }
.arch .skip { fill: none; stroke: $accent; stroke-width: 1.75; }
.arch .skip-head { fill: $accent; }
.arch .side { fill: none; stroke: $side; stroke-width: 1.75; stroke-dasharray: 5 3; }
.arch .side-head { fill: $side; }
.arch .sign { fill: $ground; stroke: $accent; stroke-width: 1.75; }
""")
_GREEN = 2  # of `palette.LINES`: neither skip connections nor attention


def _style(theme: ThemeName | None) -> str:
    """Fonts and colours: the reader's system says which, unless `theme` is "dark"."""
    light, dark = (
        COLORS.substitute(asdict(one), side=lines_of(one)[_GREEN])
        for one in (LIGHT, DARK)
    )
    if theme == "dark":
        return FONTS + dark
    return f"{FONTS}{light}@media (prefers-color-scheme: dark) {{{dark}}}\n"


def escaped(text: str) -> str:
    """`text` for HTML and SVG, also as an attribute; controls made visible."""
    return html.escape(printable(text).replace("\n", " "))


def text_width(text: str, size: float, letter: float = MONO) -> float:
    """About how wide a text is, in pixels; rather too wide than too narrow."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return (len(text) + 0.75 * wide) * size * letter


def wrapped(text: str, width: float, size: float, letter: float = MONO) -> list[str]:
    """`text` in lines of at most `width` pixels, broken where a reader would."""
    width = max(width, 4 * size)
    pieces = re.findall(r"\s*(?:[A-Z]?[^\sA-Z_,.]*[\s_,.]*|[A-Z])", text)
    lines = [""]
    for piece in pieces:
        if text_width((lines[-1] + piece).rstrip(), size, letter) <= width:
            lines[-1] += piece
            continue
        lines.append(piece)
        while text_width(lines[-1].rstrip(), size, letter) > width:
            line = lines[-1]
            fit = len(line) - 1
            while fit > 1 and text_width(line[:fit], size, letter) > width:
                fit -= 1
            lines[-1:] = [line[:fit], line[fit:]]
    return [line.strip() for line in lines if line.strip()] or [""]


def packed(items: tuple[str, ...], width: float, size: float) -> list[str]:
    """`items` with commas, in lines that break between items where they can."""
    lines: list[str] = []
    for item in (*(f"{item}," for item in items[:-1]), *items[-1:]):
        joined = f"{lines[-1]} {item}" if lines else item
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines += wrapped(item, width, size)
    return lines


class Svg:
    """Collects the elements of one drawing."""

    def __init__(self, theme: ThemeName | None = None) -> None:
        self.parts: list[str] = []
        self.theme = theme

    def text(
        self, x: float, y: float, text: str, size: float, names: str = "", end: str = ""
    ) -> None:
        """Write a line whose baseline begins (or with `end`, ends) at x, y."""
        anchor = f' text-anchor="{end}"' if end else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" class="{names}"{anchor}>'
            f"{escaped(text)}</text>"
        )

    def label(self, x: float, y: float, bold: str, plain: str, size: float) -> None:
        """Write a word in bold and another behind it, whatever the font's widths."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}"><tspan class="bold">'
            f'{escaped(bold)}</tspan><tspan dx="9" class="mono muted" '
            f'font-size="{size - 1:g}">{escaped(plain)}</tspan></text>'
        )

    def rect(
        self, x: float, y: float, w: float, h: float, names: str, radius: float = 8
    ) -> None:
        """Draw a box with round corners."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" '
            f'rx="{radius:g}" class="{names}"/>'
        )

    def wire(self, points: list[tuple[float, float]], kind: str, title: str) -> None:
        """Draw a line with round corners through points."""
        (x, y), *rest = points
        path = [f"M{x:g} {y:g}"]
        for i, (px, py) in enumerate(rest):
            if i == len(rest) - 1:
                path.append(f"L{px:g} {py:g}")
                continue
            nx, ny = rest[i + 1]
            before, after = _toward((px, py), (x, y)), _toward((px, py), (nx, ny))
            path.append(f"L{before[0]:g} {before[1]:g}")
            path.append(f"Q{px:g} {py:g} {after[0]:g} {after[1]:g}")
            x, y = px, py
        self.parts.append(
            f'<path d="{" ".join(path)}" class="{kind}">'
            f"<title>{escaped(title)}</title></path>"
        )

    def arrow(self, x: float, y: float, direction: str, kind: str) -> None:
        """Draw the head of an arrow whose tip is at x, y."""
        dx, dy = {"down": (0, 1), "right": (1, 0), "left": (-1, 0)}[direction]
        points = [
            (x, y),
            (x - 7 * dx - 4 * dy, y - 7 * dy - 4 * dx),
            (x - 7 * dx + 4 * dy, y - 7 * dy + 4 * dx),
        ]
        shown = " ".join(f"{px:g},{py:g}" for px, py in points)
        self.parts.append(f'<polygon points="{shown}" class="{kind}"/>')

    def render(self, width: float, height: float, title: str, about: str) -> str:
        """The whole drawing, which names itself for those who cannot see it."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="arch" role="img" '
            f'width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}">\n'
            f"<title>{escaped(title)}</title>\n<desc>{escaped(about)}</desc>\n"
            f"<style>{_style(self.theme)}</style>\n"
            f'<rect width="{width:g}" height="{height:g}" class="paper"/>\n'
            f"{body}\n</svg>\n"
        )


def _toward(
    start: tuple[float, float], end: tuple[float, float], by: float = 6
) -> tuple[float, float]:
    """The point `by` pixels from `start` toward `end`, or half way."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    far = abs(dx) + abs(dy)
    step = min(by, far / 2) / far if far else 0
    return start[0] + dx * step, start[1] + dy * step
