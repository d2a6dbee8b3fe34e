"""Writes the class of one block: constructor, layers, forward."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.base import Backend
from neural_attn.backends.expressions import render
from neural_attn.backends.forward import STATEMENTS, Forward
from neural_attn.backends.layout import comment, docstring

from neural_attn.ir import Block
from neural_attn.shapes.instance import Checked


class ClassWriter(Forward):
    """One block as a class.

    What the constructor must be given is known once the forward and the layers are
    written: they use it.
    """

    def __init__(
        self,
        checked: Checked,
        block: Block,
        backend: Backend,
        classes: Mapping[Block, ClassWriter],
    ) -> None:
        super().__init__(checked, block, backend, classes)
        self._forward = self._forward_lines()
        self._made = self._layer_lines()
        self.signature = self.make_signature()

    def lines(self) -> list[str]:
        """The whole class."""
        base = self.backend.layer_base
        if self.block.is_attention:
            base = "CausalAttentionLayer" if self.hides_future else "AttentionLayer"
        lines = [comment(c) for c in self.block.trivia.comments]
        lines += [f"class {self.class_name}({base}):"]
        doc = self.block.doc or f"The block {self.block.name}."
        lines += [*docstring(doc, "    "), ""]
        if not (self.signature or self.stored or self._made):
            return lines + self._forward
        spelled = ((self.spell(n), d) for n, d in self.signature.items())
        given = (n if d is None else f"{n}={d}" for n, d in spelled)
        head = ", ".join(["self", *given])
        lines += [f"    def __init__({head}):", f"{STATEMENTS}super().__init__()"]
        lines += self._default_lines()
        lines += [
            f"{STATEMENTS}self.{name} = {self.spell(name)}"
            for name in self._stored_order()
        ]
        lines += [*self._made, ""]
        return lines + self._forward

    def _default_lines(self) -> list[str]:
        lines = []
        for name in self.static:
            default = self.static[name].default
            if default is None or not self.is_derived(name):
                continue
            value = render(default, self.in_constructor, whole=True)
            spelled = self.spell(name)
            if name in self.signature:
                lines.append(f"{STATEMENTS}if {spelled} is None:")
                lines.append(f"{STATEMENTS}    {spelled} = {value}")
            elif name in self.derived:
                lines.append(f"{STATEMENTS}{spelled} = {value}")
        return lines

    def _stored_order(self) -> list[str]:
        return [n for n in [*self.static, *self.facts.hidden] if n in self.stored]

    def _layer_lines(self) -> list[str]:
        return self.declared(self.block.layers, STATEMENTS)
