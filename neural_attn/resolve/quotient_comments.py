"""Comments that were meant as division: `//` begins one, and divides in other tongues.

`d_model // 2` at the end of a line is `d_model` and a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from neural_attn.diagnostics.errors import Problems, Span
from neural_attn.grammar import tree

# behind something: nothing but a number, and brackets that it closes
_QUOTIENT = re.compile(
    r"(?<=\S)[ \t]*(//[ \t]*(\d+\.?\d*|\.\d+))[ \t)\]},;]*\r?$", re.MULTILINE
)
_FACTORS = ("*", "/", "%", "@", "**")


def note_quotients(file: tree.File, problems: Problems) -> None:
    """Warn of comments after an expression that hold only a number."""
    source = file.span.source
    found = {match.start(): match for match in _QUOTIENT.finditer(source.text)}
    if not found:
        return
    divided: dict[int, tree.Expr] = {}
    for expr in _expressions(file):
        end = expr.span.end
        if end in found and _divides(expr):
            longer = divided.get(end, expr)
            divided[end] = min(expr, longer, key=lambda one: one.span.start)
    for end, expr in divided.items():
        span = Span(source, found[end].start(1), found[end].end(1))
        left, right = " ".join(expr.span.text.split()), found[end][2]
        problems.add("W0121", span, comment=span.text, left=left, right=right)


def _divides(expr: tree.Expr) -> bool:
    """Whether an expression as a whole would be what is divided."""
    if isinstance(expr, tree.Binary):
        return expr.operator in _FACTORS or expr.span.text.endswith(")")
    if isinstance(expr, tree.Literal):
        return type(expr.value) in (int, float)
    return not isinstance(expr, tree.Sequence)


def _expressions(file: tree.File) -> Iterator[tree.Expr]:
    nodes: list[Any] = [*file.defines, *file.networks]
    while nodes:
        node = nodes.pop()
        if isinstance(node, tree.Define):
            nodes += [p.default for p in node.parameters if p.default is not None]
        if isinstance(node, tree.Expr):
            yield node
        is_named = isinstance(node, tree.Setting) and isinstance(node.value, tree.Call)
        # `optimizer: Adam(…)` is not a number, what it is given may be
        nodes += tree.inside(node.value if is_named else node)
