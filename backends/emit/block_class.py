"""Writes the class of one block: constructor, layers, forward."""

from __future__ import annotations

from neural_attn.backends.emit.expressions import python, text
from neural_attn.backends.emit.forward import STATEMENTS, forward_lines
from neural_attn.backends.emit.layers import layer_lines
from neural_attn.backends.emit.layout import comment, docstring
from neural_attn.backends.emit.scope import Scope


def block_class(scope: Scope) -> list[str]:
    """The whole class; settles what its constructor must be given.

    That is known once the forward and the layers are written: they use it.
    """
    block, backend = scope.block, scope.backend
    forward = forward_lines(scope)
    layers = layer_lines(scope, block.layers, STATEMENTS)
    scope.settle_signature()
    base = backend.layer_base
    if block.is_attention:
        base = "CausalAttentionLayer" if scope.hides_future else "AttentionLayer"
    lines = [comment(c) for c in block.trivia.comments]
    lines += [f"class {scope.class_name}({base}):"]
    lines += [*docstring(block.doc or f"The block {block.name}.", "    "), ""]
    if not (scope.signature or scope.stored or layers):
        return lines + forward
    spelled = ((scope.spell(n), d) for n, d in scope.signature.items())
    lines += constructor_head(
        scope, [n if d is None else f"{n}={d}" for n, d in spelled]
    )
    lines += _default_lines(scope)
    lines += [
        f"{STATEMENTS}self.{name} = {scope.spell(name)}"
        for name in [*scope.static, *scope.facts.hidden]
        if name in scope.stored
    ]
    return [*lines, *layers, "", *forward]


def constructor_head(scope: Scope, given: list[str]) -> list[str]:
    """The first lines of a constructor, with what the framework wants handed on."""
    options, shared = scope.backend.options, scope.backend.shared
    both = [*([shared] if scope.shares else []), *([options] if options else [])]
    head = [
        "self",
        *given,
        *(f"{name}=None" if name == shared else name for name in both),
    ]
    handed = [f"{name}={name}" if name == shared else name for name in both]
    return [
        f"    def __init__({', '.join(head)}):",
        f"{STATEMENTS}super().__init__({', '.join(handed)})",
    ]


def _default_lines(scope: Scope) -> list[str]:
    """Parameters that are computed from others where they are not given."""
    lines = []
    for name, parameter in scope.static.items():
        if parameter.default is None or not scope.is_derived(name):
            continue
        value = text(python(parameter.default, scope.in_constructor, whole=True))
        spelled = scope.spell(name)
        if name in scope.signature:
            lines.append(f"{STATEMENTS}if {spelled} is None:")
            lines.append(f"{STATEMENTS}    {spelled} = {value}")
        elif name in scope.derived:
            lines.append(f"{STATEMENTS}{spelled} = {value}")
    return lines
