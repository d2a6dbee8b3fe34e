"""Lays out and draws the nodes of a network or a block, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field

from neural_attn.visualize.flow import Node
from neural_attn.visualize.svg import BOLD, SANS, Svg, text_width, wrapped

__all__ = ["draw_nodes"]

CARD = 480  # width of a layer's card
PAD = 14
GAP = 24  # between cards, for the arrow
MARGIN = 28
LANE = 13  # between wires that run side by side
TITLE, TEXT, SMALL = 15.0, 12.0, 12.0


@dataclass(eq=False)
class Box:
    """Where a node stands: its frame, and where the main line passes."""

    node: Node
    x: float
    y: float
    w: float
    h: float
    spine: float
    middle: float  # where wires from the sides arrive

    @property
    def bottom(self) -> float:
        """The lower edge, that of the last card of a stack."""
        return self.y + self.h + (8 if self.node.count > 1 else 0)


@dataclass(eq=False)
class Column:
    """Where the figures stand right of the cards."""

    shape: float
    parameters: float


@dataclass
class Lanes:
    """Gives wires that would overlap lanes of their own."""

    taken: list[list[tuple[float, float]]] = field(default_factory=list)

    def place(self, start: float, end: float) -> int:
        """The first lane that is free from `start` to `end`."""
        for number, lane in enumerate(self.taken):
            if all(end < a or start > b for a, b in lane):
                lane.append((start, end))
                return number
        self.taken.append([(start, end)])
        return len(self.taken) - 1


def draw_nodes(
    nodes: list[Node], title: str, subtitle: str, totals: tuple[str, str, str]
) -> str:
    """An SVG of `nodes`; `totals` are the shape, parameters and remark at the end."""
    figures = [*nodes, *(part for node in nodes for part in node.inner)]
    left = MARGIN + LANE * (2 + _most_lanes(nodes, side=False))
    shape_x = left + CARD + LANE * (3 + _most_lanes(nodes, side=True))
    shapes = [text_width(n.shape, TEXT) for n in figures] + [text_width(totals[0], 13)]
    counts = [text_width(_figures(n)[0], 13) for n in figures]
    counts += [text_width(totals[1], 13), text_width("parameters", TEXT, SANS)]
    end = shape_x + max(90, *shapes) + 24 + max(counts)
    column = Column(shape_x, end)
    svg = Svg()
    y = _heading(svg, left, title, subtitle, column)
    boxes, y = _place(svg, nodes, left, y, column)
    _wires(svg, boxes, left, left + CARD)
    y = _totals(svg, left, y, totals, column, boxes)
    y = _legend(svg, left, y, nodes)
    about = ", then ".join(n.title for n in nodes)
    return svg.render(end + MARGIN, y + MARGIN, f"{title}: {subtitle}", about)


def _heading(svg: Svg, x: float, title: str, subtitle: str, column: Column) -> float:
    y: float = MARGIN
    for line in wrapped(title, column.parameters - x, 22, BOLD):
        y += 26
        svg.text(x, y, line, 22, "bold")
    for line in wrapped(subtitle, column.parameters - x, 13, SANS):
        y += 20
        svg.text(x, y, line, 13, "muted")
    y += 38
    svg.text(column.shape, y, "output shape", TEXT, "muted")
    svg.text(column.parameters, y, "parameters", TEXT, "muted", "end")
    return y + 4


# --- boxes -----------------------------------------------------------------------


def _place(
    svg: Svg, nodes: list[Node], x: float, y: float, column: Column
) -> tuple[list[Box], float]:
    boxes = []
    for node in nodes:
        if node.beside:
            box = boxes[node.sources[0]]
            boxes.append(_pill(svg, node, box.x + box.w + 34, box.y, column))
            continue
        y += GAP
        draw = _card if node.kind == "layer" else _pill
        boxes.append(draw(svg, node, x, y, column))
        y = boxes[-1].bottom
    return boxes, y


def _pill(svg: Svg, node: Node, x: float, y: float, column: Column) -> Box:
    """An input, a function or a sum: one flat box."""
    label = node.name if node.kind == "sum" else node.title
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
        _attention(svg, x + width + 8, y + 6, node.attention)
    if not node.beside:
        _row_figures(svg, node, y + 20, column)
    return Box(node, x, y, width, height, x + 40, y + height / 2)


def _card(svg: Svg, node: Node, x: float, y: float, column: Column) -> Box:
    inside = CARD - 2 * PAD
    titles = wrapped(node.title, inside - 56, TITLE, BOLD)
    beside = text_width(titles[0], TITLE, BOLD) + (60 if node.count > 1 else 0)
    fits = len(titles) == 1 and beside + 24 + text_width(node.name, SMALL) <= inside
    names = [] if fits else wrapped(node.name, inside, SMALL)
    arguments = wrapped(", ".join(node.arguments), inside, TEXT)
    arguments = arguments if node.arguments else []
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


def _figures(node: Node) -> tuple[str, str]:
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
    total, product = _figures(node)
    if total:
        svg.text(column.parameters, y, total, size, f"{small}mono", "end")
    if product:
        svg.text(column.parameters, y + 17, product, 11, "muted mono", "end")


# --- the inside of a card --------------------------------------------------------


class _Rows:
    """The layers of a block, one level deep, inside its card."""

    PITCH = 33.0

    def __init__(self, node: Node, x: float, y: float, column: Column) -> None:
        self.nodes, self.column, self.top = node.inner, column, y + 2
        self.left = x + PAD + LANE * (1 + _most_lanes(node.inner, None))
        self.width = x + CARD - PAD - self.left
        self.labels = [self._label(inner) for inner in node.inner]
        self.heights = [17.0 * len(lines) + 8 for lines in self.labels]
        gaps = 10 * len(self.heights)
        self.height = sum(self.heights) + gaps + 8 if self.heights else 0.0

    def _label(self, node: Node) -> list[str]:
        taken = text_width(node.attention, 11.5, SANS) + 30 if node.attention else 0
        if node.kind == "layer":
            taken += text_width(self._type(node), 12.5, BOLD) + 12
            return wrapped(node.name, self.width - taken - 24, 11.5)
        text = node.name if node.kind == "sum" else node.title
        return wrapped(text, self.width - taken - 46, 11.5)

    def _type(self, node: Node) -> str:
        return node.title + (f" × {node.count:,}" if node.count > 1 else "")

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
            _wires(svg, boxes, self.left, self.left, entry=self.top - 1)

    def _row(
        self, svg: Svg, node: Node, lines: list[str], y: float, height: float
    ) -> None:
        x = self.left
        names = "part attends" if node.attention else "part"
        names = "pill" if node.kind == "input" else names
        if node.kind == "sum":
            _sign(svg, x + 14, y + 12.5, node.title)
            inside = x + 30
        else:
            svg.rect(x, y, self.width, height, names, 6)
            inside = x + 10
        if node.kind == "layer":
            svg.label(inside, y + 17, self._type(node), lines[0], 12.5)
        for number, line in enumerate(lines):
            if node.kind == "layer" and not number:
                continue
            svg.text(inside, y + 16.5 + 17 * number, line, 11.5, "mono muted")
        if node.attention:
            wide = text_width(node.attention, 11.5, SANS) + 18
            _attention(svg, x + self.width - wide - 6, y + 3, node.attention)
        _row_figures(svg, node, y + 17, self.column, 12)


# --- wires -----------------------------------------------------------------------


def _is_side(node: Node) -> bool:
    """Whether what comes from a node goes by the side: an input or a mask."""
    return node.kind == "input" or node.is_mask


def _above(nodes: list[Node], position: int) -> int:
    """The node in the row above; -1 where there is none."""
    before = [i for i in range(position) if not nodes[i].beside]
    return before[-1] if before else -1


def _detours(nodes: list[Node]) -> dict[int, list[int]]:
    """For each source, the nodes that it reaches past others."""
    far: dict[int, list[int]] = {}
    for position, node in enumerate(nodes):
        above = _above(nodes, position)
        for source in node.sources:
            if source != above and not node.beside:
                far.setdefault(source, []).append(position)
    return far


def _most_lanes(nodes: list[Node], side: bool | None) -> int:
    """How many wires run side by side left (or right, with `side`) of the nodes."""
    lanes = Lanes()
    for source, targets in sorted(_detours(nodes).items(), key=_reach):
        if side is None or (source >= 0 and _is_side(nodes[source])) is side:
            lanes.place(source, targets[-1])
    return len(lanes.taken)


def _reach(item: tuple[int, list[int]]) -> tuple[int, int]:
    source, targets = item
    return targets[-1] - source, source


def _wires(
    svg: Svg, boxes: list[Box], left: float, right: float, entry: float | None = None
) -> None:
    """Draw every connection: straight down, or round by a side lane."""
    nodes = [box.node for box in boxes]
    led_on = set()  # the boxes from which a line runs straight down
    for position, box in enumerate(boxes):
        above = _above(nodes, position)
        if box.node.beside:
            _beside(svg, boxes[box.node.sources[0]], box)
        elif above in box.node.sources:
            led_on.add(above)
            _straight(svg, boxes[above] if above >= 0 else None, box, entry)
    lanes = {True: Lanes(), False: Lanes()}
    inside = entry is not None
    for source, targets in sorted(_detours(nodes).items(), key=_reach):
        side = not inside and source >= 0 and _is_side(nodes[source])
        number = lanes[side].place(source, targets[-1]) + 1
        lane = right + 8 + LANE * number if side else left - LANE * number
        kind = "side" if side else "skip"
        start = _start(boxes, source, side, entry, source in led_on)
        for target in targets:
            _detour(svg, start, boxes[target], lane, kind, nodes, (source, target))


def _straight(svg: Svg, above: Box | None, box: Box, entry: float | None) -> None:
    x = box.spine
    start = above.bottom if above else entry
    if start is None:
        return
    tip = box.y if box.node.kind != "sum" else box.middle - 8
    if above is not None and entry is not None and above.node.kind == "sum":
        start = above.middle + 8
    if box.node.kind == "sum" and entry is None:
        tip = box.y
    source = above.node.name or above.node.title if above else "the input"
    svg.wire([(x, start), (x, tip - 5)], "wire", f"{source} → {_called(box.node)}")
    svg.arrow(x, tip, "down", "head")


def _beside(svg: Svg, source: Box, box: Box) -> None:
    y = box.middle
    names = f"{_called(source.node)} → {_called(box.node)}"
    svg.wire([(source.x + source.w, y), (box.x - 5, y)], "wire", names)
    svg.arrow(box.x, y, "right", "head")


def _start(
    boxes: list[Box], source: int, side: bool, entry: float | None, led_on: bool
) -> tuple[float, float]:
    """Where a detour leaves its source."""
    if source < 0:
        assert entry is not None
        return boxes[0].spine, entry
    box = boxes[source]
    if side:
        return box.x + box.w, box.middle
    if box.node.kind == "sum" and entry is not None:
        return box.spine - 8, box.middle
    if not led_on:
        return box.x, box.middle + 6
    return box.spine, box.bottom + (4 if entry is not None else 7)


def _detour(
    svg: Svg,
    start: tuple[float, float],
    box: Box,
    lane: float,
    kind: str,
    nodes: list[Node],
    ends: tuple[int, int],
) -> None:
    tip = box.x + box.w if kind == "side" else box.x
    direction, away = ("left", 5) if kind == "side" else ("right", -5)
    if box.node.kind == "sum" and kind == "skip":
        inner = box.spine < box.x + 20
        tip = box.spine - 8 if inner else box.x
    y = box.middle + (5 if kind == "skip" and box.node.kind == "layer" else 0)
    source = _called(nodes[ends[0]]) if ends[0] >= 0 else "the input"
    path = [start, (lane, start[1]), (lane, y), (tip + away, y)]
    svg.wire(path, kind, f"{source} → {_called(box.node)}")
    svg.arrow(tip, y, direction, f"{kind}-head")


def _called(node: Node) -> str:
    return node.name or node.title


# --- the end ---------------------------------------------------------------------


def _totals(
    svg: Svg,
    x: float,
    y: float,
    totals: tuple[str, str, str],
    column: Column,
    boxes: list[Box],
) -> float:
    shape, parameters, remark = totals
    if boxes:
        svg.wire([(x + 40, y), (x + 40, y + 19)], "wire", "the output")
        svg.arrow(x + 40, y + GAP, "down", "head")
    y += GAP + 8
    svg.parts.append(
        f'<path d="M{x:g} {y:g}H{column.parameters:g}" class="rule" fill="none"/>'
    )
    svg.text(x, y + 24, "Output and total", TITLE, "bold")
    svg.text(column.shape, y + 24, shape, 13, "bold mono")
    svg.text(column.parameters, y + 24, parameters, 13, "bold mono", "end")
    svg.text(x, y + 44, remark, TEXT, "muted")
    return y + 44


def _legend(svg: Svg, x: float, y: float, nodes: list[Node]) -> float:
    """Say what the wires mean that the drawing has."""
    everything = [nodes, *(node.inner for node in nodes)]
    kinds = {
        _is_side(group[source]) if group is nodes and source >= 0 else False
        for group in everything
        for source in _detours(group)
    }
    at = x
    for side, label in ((False, "skip connection"), (True, "side input or mask")):
        if side in kinds:
            kind = "side" if side else "skip"
            svg.wire([(at, y + 24), (at + 34, y + 24)], kind, label)
            svg.arrow(at + 40, y + 24, "right", f"{kind}-head")
            svg.text(at + 48, y + 28, label, TEXT, "muted")
            at += 48 + text_width(label, TEXT, SANS) + 28
    return y + 28 if kinds else y
