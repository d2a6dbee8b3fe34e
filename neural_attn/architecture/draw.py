"""Draws a network's architecture: as SVG, as an HTML page, as a table in text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import PurePath

from neural_attn.architecture.arrange import draw_nodes
from neural_attn.architecture.nodes import Node, block_nodes, literal, network_nodes
from neural_attn.diagnostics.errors import printable
from neural_attn.figures.choices import ThemeName
from neural_attn.figures.palette import page_colors
from neural_attn.figures.svg import escaped
from neural_attn.ir import Block
from neural_attn.shapes.instance import Checked, Instance

__all__ = ["architecture_html", "architecture_text", "draw_architecture"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'">
<title>{title}</title>
<style>
  {colors}
  body {{ margin: 0; padding: 0 1rem 3rem; color: var(--ink); background: var(--ground);
    font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }}
  main {{ max-width: 68rem; margin: 0 auto; }}
  .unseen {{ position: absolute; clip-path: inset(50%); }}
  figure {{ margin: 0; overflow-x: auto; }}
  h2 {{ font-size: 1.15rem; margin: 2.5rem 0 .75rem; }}
  details {{ border: 1px solid var(--masked-line); border-radius: 8px;
    margin: .6rem 0; }}
  summary {{ padding: .6rem .9rem; cursor: pointer; }}
  details > div {{ padding: 0 .9rem .9rem; overflow-x: auto; }}
  pre {{ background: var(--raised); padding: .8rem; border-radius: 6px;
    overflow-x: auto; }}
  pre, code, td.figure {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo,
    Consolas, monospace; font-size: 13px; }}
  .scroll {{ overflow-x: auto; }}
  table {{ border-collapse: collapse; width: 100%; }}
  caption {{ text-align: left; color: var(--muted); padding-bottom: .5rem; }}
  th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
    border-bottom: 1px solid var(--line); }}
  th:last-child, td:last-child {{ text-align: right; padding-right: 0; }}
  td.figure {{ white-space: nowrap; }}
</style>
</head>
<body>
<main>
<h1 class="unseen">{title}</h1>
<figure>
{drawing}</figure>
{blocks}<h2>The same as a table</h2>
<div class="scroll">{table}</div>
</main>
</body>
</html>
"""


def draw_architecture(checked: Checked, theme: ThemeName | None = None) -> str:
    """Draw a network as SVG: layers, shapes (batch first), parameters, wiring.

    The text of one SVG file, which needs no other. Blocks are opened one level deep
    where they first occur; repeats are one stack of cards. Colours follow the reader's
    system, where the viewer knows it, unless `theme` is "dark".
    """
    nodes = network_nodes(checked)
    layers = sum(node.count for node in nodes if node.kind == "layer")
    total = checked.root.parameter_count
    source = PurePath(checked.network.source).name
    subtitle = f"{source}: {_count(layers, 'layer')}, {_count(total, 'parameter')}"
    totals = _totals(checked)
    return draw_nodes(nodes, checked.network.name, subtitle, totals, theme)


def architecture_html(checked: Checked, theme: ThemeName | None = None) -> str:
    """Make an HTML page: the drawing, every block to open, and a table of the facts.

    It holds no script and loads nothing. `theme` is that of `draw_architecture`.
    """
    blocks = "".join(_block(node, theme) for node in _distinct(checked.root))
    if blocks:
        blocks = f"<h2>Inside the blocks</h2>\n{blocks}"
    title = escaped(f"Architecture of {checked.network.name}")
    return PAGE.format(
        title=title,
        colors=page_colors(theme),
        drawing=draw_architecture(checked, theme),
        blocks=blocks,
        table=_table(checked),
    )


def architecture_text(checked: Checked) -> str:
    """The layers as an aligned table for the terminal, without its last newline.

    Inputs and layers in order, each with type, arguments, output shape (batch first)
    and parameters; the parts of blocks are indented below the first of their kind.
    """
    head = ("layer", "output shape", "parameters", "type")
    rows = [head, *(_text_row(depth, node) for depth, node in _rows(checked))]
    shape, total, remark = _totals(checked)
    rows.append(("total", shape, total, remark))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}  {kind}"
        for name, shape, count, kind in rows
    ]
    rule = "-" * len(lines[0])
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    lines = [line.rstrip() for line in lines]
    name = printable(checked.network.name)
    return "\n".join([f"{name} ({printable(checked.network.source)})", "", *lines])


# --- facts -----------------------------------------------------------------------


def _totals(checked: Checked) -> tuple[str, str, str]:
    output = checked.root.output
    total = checked.root.parameter_count
    maps = len(checked.attentions)
    attention = _count(maps, "attention map") if maps else "no attention"
    remark = f"{attention}; {_megabytes(4 * total)} of weights as float32"
    return str(output), f"{total:,}", remark


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _rows(checked: Checked) -> Iterator[tuple[int, Node]]:
    for node in network_nodes(checked):
        yield 0, node
        for part in node.inner:
            if part.kind == "layer" and not part.shared:
                yield 1, part


def _type(node: Node) -> str:
    if node.kind == "input":
        return "input"
    if node.kind != "layer":
        return "function"
    repeat = f" × {node.count:,}" if node.count > 1 else ""
    arguments = f"({', '.join(node.arguments)})" if node.arguments else ""
    return node.title + arguments + repeat


def _text_row(depth: int, node: Node) -> tuple[str, str, str, str]:
    name = "  " * depth + (node.name or node.title)
    attention = f"  [{node.attention}]" if node.attention else ""
    parameters = f"{node.parameters:,}" if node.kind == "layer" else ""
    kind = printable(_type(node) + attention)
    return printable(name), node.shape, parameters, kind


def _table(checked: Checked) -> str:
    rows = []
    for depth, node in _rows(checked):
        indent = "&emsp;" * depth
        parameters = f"{node.parameters:,}" if node.kind == "layer" else ""
        kind = escaped(_type(node))
        rows.append(
            f'<tr><th scope="row">{indent}<code>{escaped(node.name or node.title)}'
            f"</code></th><td><code>{kind}</code></td><td>{escaped(node.attention)}"
            f'</td><td class="figure">{escaped(node.shape)}</td>'
            f'<td class="figure">{parameters}</td></tr>'
        )
    shape, total, remark = _totals(checked)
    rows.append(
        f'<tr><th scope="row">Total</th><td></td><td>{escaped(remark)}</td>'
        f'<td class="figure">{escaped(shape)}</td><td class="figure">{total}</td></tr>'
    )
    head = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("Layer", "Type", "Attention", "Output shape", "Parameters")
    )
    return (
        "<table><caption>Shapes begin with the batch; parts are indented below the "
        f"first block of their kind.</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>"
        + "\n".join(rows)
        + "</tbody></table>"
    )


# --- blocks ----------------------------------------------------------------------


def _distinct(root: Instance) -> Iterator[Instance]:
    """The first instance of every block inside, outermost first."""
    seen = {root.target}
    waiting = [root]
    while waiting:
        instance = waiting.pop(0)
        for part in itertools.chain.from_iterable(instance.children.values()):
            if isinstance(part.target, Block) and part.target not in seen:
                seen.add(part.target)
                yield part
                waiting.append(part)


def _block(instance: Instance, theme: ThemeName | None) -> str:
    block = instance.target
    assert isinstance(block, Block)
    values = ", ".join(f"{n}={literal(v)}" for n, v in instance.values.items())
    count = _count(instance.parameter_count, "parameter")
    totals = (str(instance.output), f"{instance.parameter_count:,}", "one such block")
    drawing = draw_nodes(
        block_nodes(instance), block.name, values or "no parameters", totals, theme
    )
    doc = f"<p>{escaped(block.doc)}</p>" if block.doc else ""
    # a chain of layers has no equations of its own
    written = block.forward.span.text if block.forward.span != block.span else ""
    equations = f"<pre>{_escaped_lines(written)}</pre>" if written else ""
    return (
        f"<details><summary><strong>{escaped(block.name)}</strong>, {count}</summary>"
        f"<div>{doc}{equations}{drawing}</div></details>\n"
    )


def _escaped_lines(text: str) -> str:
    """`text` for HTML with its lines kept."""
    return "\n".join(escaped(line) for line in text.expandtabs(2).splitlines())
