"""The boxes of an architecture drawing: cards of layers, inputs, sums."""

from __future__ import annotations

from dataclasses import dataclass

from neural_attn.architecture.nodes import Node
from neural_attn.architecture.wires import LANE, Box, draw_wires, most_lanes
from neural_attn.figures.svg import BOLD, SANS, Svg, packed, text_width, wrapped

__all__ = ["CARD", "TEXT", "TITLE", "Column", "draw_card", "draw_pill", "figures"]

CARD = 480  # width of a layer's card
PAD = 14
TITLE, TEXT, SMALL = 15.0, 12.0, 12.0


@dataclass(eq=False)
class Column:
    """Where the figures stand right of the cards."""

    shape: float
    parameters: float


def draw_pill(svg: Svg, node: Node, x: float, y: float, column: Column) -> Box:
    """An input, a function or a sum: one flat box."""
    label = node.name if node.kind != "input" and node.name else node.title
    lines = wrapped(label, CARD - 2 * PAD - 44, 13)
    width = max(text_width(line, 13) for line in lines) + 2 * PAD
    width += 26 if node.kind == "sum" else 48
    height = 17 * len(lines) + 13
    svg.rect(x, y, width, height, "attends pill" if node.attention else "pill", 14)
    inside = x + PAD
    if node.kind == "sum":
        _sign(svg, x + PAD + 6, y + 15, node.title)
        inside += 22
    for number, line in enumerate(lines):
        svg.text(inside, y + 20 + 17 * number, line, 13, "mono")
    if node.kind != "sum":
        kind = "input" if node.kind == "input" else "mask" if node.is_mask else ""
        svg.text(x + width - PAD, y + 20, kind, 11, "muted", "end")
    if node.attention:
        _attention(svg, x + 66, y + height + 6, node.attention)
    if not node.beside:
        _row_figures(svg, node, y + 20, column)
    below = 28 if node.attention else 0
    return Box(node, x, y, width, height, x + 40, y + 15, below)


def draw_card(svg: Svg, node: Node, x: float, y: float, column: Column) -> Box:
    """A layer: its type, name, arguments, and the parts of a block inside it."""
    inside = CARD - 2 * PAD
    titles = wrapped(node.title, inside - 56, TITLE, BOLD)
    beside = text_width(titles[0], TITLE, BOLD) + (60 if node.count > 1 else 0)
    fits = len(titles) == 1 and beside + 24 + text_width(node.name, SMALL) <= inside
    names = [] if fits else wrapped(node.name, inside, SMALL)
    arguments = packed(node.arguments, inside, TEXT)
    notes = _notes(node)
    flat = 12 + 20 * len(titles) + 17 * (len(names) + len(arguments) + len(notes))
    head = flat + (26 if node.attention else 0)
    rows = _Rows(node, x, y + head, column)
    height = head + rows.height + 8
    for shift in (8, 4) if node.count > 1 else ():
        svg.rect(x + shift, y + shift, CARD, height, "card")
    svg.rect(x, y, CARD, height, "card attends" if node.attention else "card")
    line = y + 24
    for title in titles:
        svg.text(x + PAD, line, title, TITLE, "bold")
        line += 20
    if node.count > 1:
        _repeat(svg, x + PAD + text_width(titles[-1], TITLE, BOLD) + 8, line - 34, node)
    if fits:
        svg.text(x + CARD - PAD, y + 24, node.name, SMALL, "mono muted", "end")
    line -= 2
    for text in [*names, *arguments]:
        svg.text(x + PAD, line, text, TEXT, "mono muted" if text in names else "mono")
        line += 17
    for text in notes:
        svg.text(x + PAD, line, text, TEXT, "muted")
        line += 17
    if node.attention:
        _attention(svg, x + PAD, line - 9, node.attention)
    _row_figures(svg, node, y + 24, column)
    rows.draw(svg)
    return Box(node, x, y, CARD, height, x + 40, y + 19)


def _notes(node: Node) -> list[str]:
    """What else is to be said about a layer."""
    notes = []
    if node.like:
        notes += wrapped(f"built like {node.like}", CARD - 2 * PAD, TEXT)
    if node.shared:
        notes.append("the same weights as above")
    return notes


def _repeat(svg: Svg, x: float, y: float, node: Node) -> None:
    label = f"× {node.count:,}"
    width = text_width(label, TEXT, BOLD) + 14
    svg.rect(x, y, width, 19, "badge", 9.5)
    svg.text(x + width / 2, y + 14, label, TEXT, "bold badge-text", "middle")


def _attention(svg: Svg, x: float, y: float, label: str) -> None:
    width = text_width(label, 11.5, SANS) + 18
    svg.rect(x, y, width, 19, "attention", 9.5)
    svg.text(x + width / 2, y + 13.5, label, 11.5, "attention-text", "middle")


def _sign(svg: Svg, x: float, y: float, sign: str) -> None:
    svg.rect(x - 8, y - 8, 16, 16, "sign", 8)
    svg.text(x, y + 4.5, "×" if sign == "*" else sign, 13, "bold", "middle")


def figures(node: Node) -> tuple[str, str]:
    """The parameters of a node, and how they come about."""
    if node.kind != "layer":
        return "", ""
    if node.shared:
        return "shared", ""
    if node.count == 1 or not node.parameters:
        return f"{node.parameters:,}", ""
    return f"{node.parameters:,}", f"{node.count:,} × {node.parameters // node.count:,}"


def _row_figures(
    svg: Svg, node: Node, y: float, column: Column, size: float = 13
) -> None:
    small = "muted " if size < 13 else ""
    svg.text(column.shape, y, node.shape, TEXT, f"{small}mono")
    total, product = figures(node)
    if total:
        svg.text(column.parameters, y, total, size, f"{small}mono", "end")
    if product:
        svg.text(column.parameters, y + 17, product, 11, "muted mono", "end")


# --- the inside of a card --------------------------------------------------------


class _Rows:
    """The layers of a block, one level deep, inside its card."""

    def __init__(self, node: Node, x: float, y: float, column: Column) -> None:
        self.nodes, self.column, self.top = node.inner, column, y + 2
        self.left = x + PAD + LANE * (1 + most_lanes(node.inner, None))
        self.width = x + CARD - PAD - self.left
        self.labels = [self._label(inner) for inner in node.inner]
        self.heights = [17.0 * len(lines) + 8 for lines in self.labels]
        gaps = 10 * len(self.heights)
        self.height = sum(self.heights) + gaps + 8 if self.heights else 0.0

    def _label(self, node: Node) -> list[tuple[str, str]]:
        """The lines of a row: what stands in bold, and what stands behind it."""
        badge = text_width(node.attention, 11.5, SANS) + 30 if node.attention else 0
        room = self.width - 24
        if node.kind == "input":
            return [("", line) for line in wrapped(node.title, room, 11.5)]
        if node.kind == "sum":
            return [("", line) for line in wrapped(node.name, room - 20, 11.5)]
        kind = node.title + (f" × {node.count:,}" if node.count > 1 else "")
        text = node.name.removeprefix(node.title if node.kind == "function" else "")
        lines = [(line, "") for line in wrapped(kind, room - badge, 12.5, BOLD)]
        left = room - badge - text_width(lines[-1][0], 12.5, BOLD) - 9
        if text_width(text, 11.5) <= left:
            lines[-1] = (lines[-1][0], text)
            return lines
        return lines + [("", line) for line in wrapped(text, room, 11.5)]

    def draw(self, svg: Svg) -> None:
        """Draw the rows and how they are wired."""
        boxes, y = [], self.top
        for node, lines, height in zip(
            self.nodes, self.labels, self.heights, strict=True
        ):
            y += 10
            self._row(svg, node, lines, y, height)
            spine = self.left + 14
            middle = y + 12.5
            boxes.append(Box(node, self.left, y, self.width, height, spine, middle))
            y += height
        if boxes:
            draw_wires(svg, boxes, self.left, self.left, entry=self.top - 1)

    def _row(
        self,
        svg: Svg,
        node: Node,
        lines: list[tuple[str, str]],
        y: float,
        height: float,
    ) -> None:
        x = self.left
        inside = x + 10
        if node.kind == "sum":
            _sign(svg, x + 14, y + 12.5, node.title)
            inside = x + 30
        else:
            names = "part attends" if node.attention else "part"
            names = "pill" if node.kind == "input" else names
            svg.rect(x, y, self.width, height, names, 6)
        for number, (bold, plain) in enumerate(lines):
            at = y + 17 + 17 * number
            if bold:
                svg.label(inside, at, bold, plain, 12.5)
            else:
                svg.text(inside, at - 0.5, plain, 11.5, "mono muted")
        if node.attention:
            wide = text_width(node.attention, 11.5, SANS) + 18
            _attention(svg, x + self.width - wide - 6, y + 3, node.attention)
        _row_figures(svg, node, y + 17, self.column, 12)
