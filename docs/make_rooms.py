"""Draws docs/images/rooms.svg: which folder imports which, read from the code.

Run it from anywhere after a change of imports:

    python docs/make_rooms.py

Every import counts: at the top of a file, inside a function, and for type checkers
alone. An arrow that another way of arrows implies is left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PICTURE = DOCS / "images" / "rooms.svg"
sys.path.insert(0, str(ROOT))

from neural_attn.files import atomic_write  # noqa: E402

Graph = Mapping[str, set[str]]

WIDTH, HEIGHT = 146, 26  # of a box
GAP, STEP, MARGIN = 18, 62, 16  # between boxes, between rows, round the picture


# --- the graph ----------------------------------------------------------------------


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the packages, by its name when installed."""
    found = {}
    for folder in ("neural_attn", "grammar", "backends"):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            parts = parts if folder == "neural_attn" else ("neural_attn", *parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Module -> the modules of the packages that it imports."""
    known = modules(root)
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= inside & set(known)
                if inside - set(known):
                    wanted.add(str(node.module))
        graph[name] = (wanted & set(known)) - {name}
    return graph


def room(path: Path, root: Path = ROOT) -> str:
    """The folder of a module; a module that is in no folder is a room of its own."""
    inside = path.relative_to(root).with_suffix("")
    folder = inside.parent.as_posix().removeprefix("neural_attn/")
    folder = folder.removesuffix("/runtime")  # copied into files, imported by none
    if folder == "neural_attn":
        return "neural_attn" if inside.name.startswith("__") else inside.name
    return folder


def rooms(root: Path = ROOT) -> dict[str, set[str]]:
    """Room -> the rooms that it imports from."""
    known = modules(root)
    graph: dict[str, set[str]] = {room(path, root): set() for path in known.values()}
    for name, wanted in imports(root).items():
        here = room(known[name], root)
        graph[here] |= {room(known[other], root) for other in wanted} - {here}
    return graph


def cycles(graph: Graph) -> list[set[str]]:
    """The sets of nodes that reach each other, of two or more (Tarjan, 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        waiting.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in waiting:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            at = waiting.index(node)
            found.append(set(waiting[at:]))
            del waiting[at:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return [one for one in found if len(one) > 1]


def longest_chain(graph: Graph) -> list[str]:
    """The longest way along arrows; a cycle counts as one step."""
    member = {node: min(one) for one in cycles(graph) for node in one}
    merged: dict[str, set[str]] = {}
    for node, others in graph.items():
        here = member.get(node, node)
        targets = {member.get(other, other) for other in others}
        merged[here] = (merged.get(here, set()) | targets) - {here}

    @cache
    def chain(node: str) -> tuple[str, ...]:
        below = (chain(other) for other in sorted(merged[node]))
        return (node, *max(below, key=len, default=()))

    return list(max(map(chain, sorted(merged)), key=len))


# --- the picture --------------------------------------------------------------------


def picture(graph: Graph) -> str:
    """The rooms in rows: each stands above all that it imports from."""
    below = {node: _reached(graph, node) for node in graph}
    arrows = {
        node: {o for o in others if not any(o in below[n] for n in others - {o})}
        for node, others in graph.items()
    }
    places = _places(arrows)
    width = max(x for x, _ in places.values()) + WIDTH + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">',
        "<title>Which folder imports which</title>",
        "<style>svg{background:#fff}text{font:12px sans-serif;text-anchor:middle;"
        "fill:#1a1a1a}rect{fill:#eaf1f8;stroke:#35618f}"
        "path{fill:none;stroke:#8a8f98}#tip path{fill:#8a8f98;stroke:none}"
        "@media(prefers-color-scheme:dark){svg{background:#16181d}text{fill:#e8e8e8}"
        "rect{fill:#223247;stroke:#7fa8d6}}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>',
    ]
    for node in sorted(arrows):
        for other in sorted(arrows[node]):
            way = _way(places, node, other)
            lines.append(f'<path marker-end="url(#tip)" d="{way}"/>')
    for node, (x, y) in sorted(places.items()):
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{x + WIDTH / 2:g}" y="{y + 17:g}">{escape(node)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _way(places: Mapping[str, tuple[float, float]], node: str, other: str) -> str:
    """The path of an arrow: through each row between in the nearest gap.

    Behind a box it would seem to come from there.
    """
    (x, y), (to_x, to_y) = places[node], places[other]
    x, to_x, y = x + WIDTH / 2, to_x + WIDTH / 2, y + HEIGHT
    path, at = f"M{x:g} {y:g}", (x, y)
    for top in sorted({row for _, row in places.values() if y < row < to_y}):
        straight = x + (to_x - x) * (top - y) / (to_y - y)
        boxes = [left for left, row in places.values() if row == top]
        gap = _nearest_gap(straight, boxes)
        path += f"{_curve(at, (gap, top))}V{top + HEIGHT:g}"
        at = (gap, top + HEIGHT)
    return path + _curve(at, (to_x, to_y))


def _nearest_gap(x: float, boxes: list[float]) -> float:
    """`x`, or the nearest place beside the box that it would lie behind."""
    aside = GAP / 2
    for left in boxes:
        if left - aside < x < left + WIDTH + aside:
            first, last = left - aside, left + WIDTH + aside
            return first if x - first <= last - x else last
    return x


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    bend = (end[1] - start[1]) / 2
    return (
        f"C{start[0]:g} {start[1] + bend:g} {end[0]:g} {end[1] - bend:g} "
        f"{end[0]:g} {end[1]:g}"
    )


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


def _places(arrows: Graph) -> dict[str, tuple[float, float]]:
    """Left and top of each box: in the row above its highest target, near them all."""

    @cache
    def level(node: str) -> int:
        return 1 + max(map(level, arrows[node]), default=-1)

    rows: dict[int, list[str]] = {}
    for node in sorted(arrows):
        rows.setdefault(level(node), []).append(node)
    most = max(map(len, rows.values()))
    order: dict[str, float] = {}
    for number in sorted(rows):
        row = sorted(rows[number], key=lambda node: (_mean(order, arrows[node]), node))
        start = (most - len(row)) / 2
        order |= {node: start + index for index, node in enumerate(row)}
    top = max(rows)
    return {
        node: (MARGIN + x * (WIDTH + GAP), MARGIN + (top - level(node)) * STEP)
        for node, x in order.items()
    }


def _mean(order: Mapping[str, float], nodes: Iterable[str]) -> float:
    found = [order[node] for node in nodes]
    return sum(found) / len(found) if found else 0.0


if __name__ == "__main__":
    atomic_write(PICTURE, picture(rooms()))
