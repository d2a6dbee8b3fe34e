"""The lines of an architecture drawing: straight down, or round by a lane."""

from __future__ import annotations

from dataclasses import dataclass, field

from neural_attn.architecture.nodes import Node
from neural_attn.figures.svg import Svg

__all__ = ["LANE", "Box", "detours", "draw_wires", "is_side", "most_lanes"]

LANE = 13  # between wires that run side by side


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
    below: float = 0.0  # height of what is written under the frame

    @property
    def bottom(self) -> float:
        """The lower edge, that of the last card of a stack."""
        return self.y + self.h + (8 if self.node.count > 1 else 0)


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


def is_side(nodes: list[Node], source: int) -> bool:
    """Whether what comes from a node goes by the right side: a mask, a side input."""
    if source < 0 or nodes[source].kind == "layer":
        return False
    below = next((i for i in range(source + 1, len(nodes)) if not nodes[i].beside), 0)
    leads_on = below and source in nodes[below].sources
    return nodes[source].is_mask or (nodes[source].kind == "input" and not leads_on)


def _above(nodes: list[Node], position: int) -> int:
    """The node in the row above; -1 where there is none."""
    position -= 1
    while position >= 0 and nodes[position].beside:
        position -= 1
    return position


def detours(nodes: list[Node]) -> dict[int, list[int]]:
    """For each source, the nodes that it reaches past others."""
    far: dict[int, list[int]] = {}
    for position, node in enumerate(nodes):
        above = _above(nodes, position)
        for source in node.sources:
            if source != above and not node.beside:
                far.setdefault(source, []).append(position)
    return far


def most_lanes(nodes: list[Node], side: bool | None) -> int:
    """How many wires run side by side left (or right, with `side`) of the nodes."""
    lanes = Lanes()
    for source, targets in sorted(detours(nodes).items(), key=_reach):
        if side is None or is_side(nodes, source) is side:
            lanes.place(source, targets[-1])
    return len(lanes.taken)


def _reach(item: tuple[int, list[int]]) -> tuple[int, int]:
    source, targets = item
    return targets[-1] - source, source


def draw_wires(
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
    for source, targets in sorted(detours(nodes).items(), key=_reach):
        side = not inside and is_side(nodes, source)
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
) -> list[tuple[float, float]]:
    """How a detour leaves its source."""
    if source < 0:
        assert entry is not None
        return [(boxes[0].spine, entry)]
    box = boxes[source]
    if side and any(o.node.beside and o.node.sources[0] == source for o in boxes):
        x = box.x + box.w - 20  # and on below what stands beside it
        return [(x, box.bottom), (x, box.bottom + 7)]
    if side:
        return [(box.x + box.w, box.middle)]
    if box.node.kind == "sum" and entry is not None and not led_on:
        return [(box.spine, box.middle + 8)]  # below what arrives at its side
    if not led_on:
        return [(box.x, box.middle + 6)]
    return [(box.spine, box.bottom + (4 if entry is not None else 7))]


def _detour(
    svg: Svg,
    start: list[tuple[float, float]],
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
    y = box.middle - (4 if kind == "skip" and box.node.kind != "sum" else 0)
    source = _called(nodes[ends[0]]) if ends[0] >= 0 else "the input"
    path = [*start, (lane, start[-1][1]), (lane, y), (tip + away, y)]
    svg.wire(path, kind, f"{source} → {_called(box.node)}")
    svg.arrow(tip, y, direction, f"{kind}-head")


def _called(node: Node) -> str:
    return node.name or node.title
