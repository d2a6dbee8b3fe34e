"""Writes the class of one block: constructor, layers, forward."""

from __future__ import annotations

from neural_attn.backends.emit.forward import forward_lines
from neural_attn.backends.emit.layers import (
    STATEMENTS,
    constructor_head,
    default_lines,
    layer_lines,
)
from neural_attn.backends.emit.layout import comment, docstring, string
from neural_attn.backends.emit.scope import Scope

from neural_attn.promises import PARTS, SHARES, Rows


def block_class(scope: Scope) -> list[str]:
    """The whole class; settles what its constructor must be given.

    That is known once the forward and the layers are written: they use it.
    """
    block, backend = scope.block, scope.backend
    forward = forward_lines(scope)
    layers = layer_lines(scope, block.layers, STATEMENTS)
    if scope.counter:
        layers.append(f"{STATEMENTS}self.{scope.counter} = Positions()")
    if scope.observed:
        layers.append(_observer(scope, scope.observed))
    scope.settle_signature()
    base = backend.layer_base
    if scope.attends:
        base = "CausalAttentionLayer" if scope.hides_future else "AttentionLayer"
        base = "BlockwiseAttentionLayer" if scope.has_options else base
    lines = [comment(c) for c in block.trivia.comments]
    lines += [f"class {scope.class_name}({base}):"]
    lines += [*docstring(block.doc or f"The block {block.name}.", "    "), ""]
    if scope.has_sink and not block.observes:
        lines += [f"    rows = {string(PARTS)}  # of each, the sink takes the rest", ""]
    if not (scope.signature or scope.stored or layers):
        return lines + forward
    spelled = ((scope.spell(n), d) for n, d in scope.signature.items())
    lines += constructor_head(
        scope, [n if d is None else f"{n}={d}" for n, d in spelled]
    )
    lines += default_lines(scope)
    lines += [
        f"{STATEMENTS}self.{name} = {scope.spell(name)}"
        for name in [*scope.static, *scope.facts.hidden]
        if name in scope.stored
    ]
    return [*lines, *layers, "", *forward]


def _observer(scope: Scope, rows: Rows) -> str:
    """The line that makes what keeps the observed weights."""
    promise = "" if rows == SHARES else string(rows)
    return f"{STATEMENTS}self.{scope.observer} = Observed({promise})"
