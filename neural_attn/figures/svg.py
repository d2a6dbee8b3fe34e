"""SVG as text: escaped, with fonts that every machine has, for light and dark."""

from __future__ import annotations

import html
import re
import unicodedata

from neural_attn.diagnostics.errors import printable

__all__ = ["Svg", "escaped", "packed", "text_width", "wrapped"]

# Widths of letters in parts of the font size: generous, as fonts differ.
MONO, SANS, BOLD = 0.615, 0.58, 0.65

# Okabe and Ito's colours, told apart by colour-blind eyes; each also has a word or a
# line of its own. No CSS variables: many viewers do not know them.
STYLE = """
.arch text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
  "DejaVu Sans", sans-serif; fill: #1b1f24; white-space: pre; }
.arch .mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas,
  "Liberation Mono", monospace; }
.arch .bold { font-weight: 600; }
.arch .muted { fill: #59636e; }
.arch .paper { fill: #ffffff; }
.arch .card { fill: #f6f8fa; stroke: #c3c8ce; }
.arch .part { fill: #ffffff; stroke: #d4d9de; }
.arch .pill { fill: #e3eef8; stroke: #0072b2; }
.arch .badge { fill: #1b1f24; }
.arch .badge-text { fill: #ffffff; }
.arch .attends { stroke: #b04a00; stroke-width: 1.5; }
.arch .attention { fill: #b04a00; }
.arch .attention-text { fill: #ffffff; }
.arch .rule { stroke: #d4d9de; }
.arch .wire { fill: none; stroke: #59636e; stroke-width: 1.5; }
.arch .head { fill: #59636e; }
.arch .skip { fill: none; stroke: #0072b2; stroke-width: 1.75; }
.arch .skip-head { fill: #0072b2; }
.arch .side { fill: none; stroke: #8b3a72; stroke-width: 1.75; stroke-dasharray: 5 3; }
.arch .side-head { fill: #8b3a72; }
.arch .sign { fill: #ffffff; stroke: #0072b2; stroke-width: 1.75; }
@media (prefers-color-scheme: dark) {
  .arch text { fill: #e6e8eb; }
  .arch .muted { fill: #a3acb6; }
  .arch .paper { fill: #14171a; }
  .arch .card { fill: #1e2328; stroke: #4a525b; }
  .arch .part { fill: #272d33; stroke: #434b54; }
  .arch .pill { fill: #16293a; stroke: #56b4e9; }
  .arch .badge { fill: #e6e8eb; }
  .arch .badge-text { fill: #14171a; }
  .arch .attends { stroke: #f0a35e; }
  .arch .attention { fill: #f0a35e; }
  .arch .attention-text { fill: #14171a; }
  .arch .rule { stroke: #3a4149; }
  .arch .wire { stroke: #a3acb6; }
  .arch .head { fill: #a3acb6; }
  .arch .skip { stroke: #56b4e9; }
  .arch .skip-head { fill: #56b4e9; }
  .arch .side { stroke: #dd9ac4; }
  .arch .side-head { fill: #dd9ac4; }
  .arch .sign { fill: #14171a; stroke: #56b4e9; }
}
"""


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

    def __init__(self) -> None:
        self.parts: list[str] = []

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
            f"<style>{STYLE}</style>\n"
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
