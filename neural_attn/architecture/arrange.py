"""Lays out and draws the nodes of a network or a block, top to bottom."""

from __future__ import annotations

from neural_attn.architecture.cards import (
    CARD,
    TEXT,
    TITLE,
    Column,
    draw_card,
    draw_pill,
    figures,
)
from neural_attn.architecture.nodes import Node
from neural_attn.architecture.wires import (
    LANE,
    Box,
    detours,
    draw_wires,
    is_side,
    most_lanes,
)
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.svg import BOLD, SANS, Svg, text_width, wrapped

__all__ = ["draw_nodes"]

GAP = 24  # between cards, for the arrow
MARGIN = 28


def draw_nodes(
    nodes: list[Node],
    title: str,
    subtitle: str,
    totals: tuple[str, str, str],
    theme: ThemeName | None = None,
) -> str:
    """An SVG of `nodes`; `totals` are the shape, parameters and remark at the end."""
    shown = [*nodes, *(part for node in nodes for part in node.inner)]
    left = MARGIN + LANE * (2 + most_lanes(nodes, side=False))
    shape_x = left + CARD + LANE * (3 + most_lanes(nodes, side=True))
    shapes = [text_width(n.shape, TEXT) for n in shown] + [text_width(totals[0], 13)]
    counts = [text_width(figures(n)[0], 13) for n in shown]
    counts += [text_width(totals[1], 13), text_width("parameters", TEXT, SANS)]
    end = shape_x + max(90, *shapes) + 24 + max(counts)
    column = Column(shape_x, end)
    svg = Svg(theme)
    y = _heading(svg, left, title, subtitle, column)
    boxes, y = _place(svg, nodes, left, y, column)
    draw_wires(svg, boxes, left, left + CARD)
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


def _place(
    svg: Svg, nodes: list[Node], x: float, y: float, column: Column
) -> tuple[list[Box], float]:
    boxes: list[Box] = []
    for node in nodes:
        if node.beside:
            box = boxes[node.sources[0]]
            boxes.append(draw_pill(svg, node, box.x + box.w + 34, box.y, column))
            continue
        y += GAP
        draw = draw_card if node.kind == "layer" else draw_pill
        boxes.append(draw(svg, node, x, y, column))
        y = boxes[-1].bottom + boxes[-1].below
    return boxes, y


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
    kinds = {is_side(nodes, source) for source in detours(nodes)}
    if any(detours(node.inner) for node in nodes):
        kinds.add(False)
    at = x
    for side, label in ((False, "skip connection"), (True, "side input or mask")):
        if side in kinds:
            kind = "side" if side else "skip"
            svg.wire([(at, y + 24), (at + 34, y + 24)], kind, label)
            svg.arrow(at + 40, y + 24, "right", f"{kind}-head")
            svg.text(at + 48, y + 28, label, TEXT, "muted")
            at += 48 + text_width(label, TEXT, SANS) + 28
    return y + 28 if kinds else y
