"""Writes how a class makes its layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neural_attn.backends.base import Row
from neural_attn.backends.expressions import Rendered, Rule, literal, render
from neural_attn.backends.layout import with_trivia
from neural_attn.backends.parameters import Parameters
from neural_attn.grammar import tree

from neural_attn.catalogue.base import NativeLayer
from neural_attn.ir import Block, LayerChoice, LayerUse
from neural_attn.shapes.instance import of_repeats


class Constructor(Parameters):
    """The layers of a block, each made under its name.

    A condition with one outcome in the whole network leaves only that branch.
    """

    _varied: dict[str, list[tree.Expr]]  # sizes in which repeats differ, by variable

    def in_forward(self, expr: tree.Expr) -> Rendered | None:
        """How an expression of the forward is spelled; see `forward.py`."""
        raise NotImplementedError

    def declared(
        self, layers: Sequence[LayerUse | LayerChoice], indent: str
    ) -> list[str]:
        """The lines that make some layers."""
        lines: list[str] = []
        for layer in layers:
            if isinstance(layer, LayerUse):
                made = self.make(layer) if layer.name in self.layers else ""
                if made:
                    lines += with_trivia(
                        f"{indent}self.{layer.name} = {made}", layer.trivia, bool(lines)
                    )
                continue
            lines += self.choice(
                layer,
                indent,
                self.declared,
            )
        return lines

    def choice(
        self, node: Any, indent: str, write: Callable[[Any, str], list[str]]
    ) -> list[str]:
        """An if: both branches, or the only one that this network takes."""
        outcomes = self.facts.decisions.get(id(node), set())
        if outcomes == {True}:
            return list(write(node.then, indent))
        if outcomes == {False}:
            return list(write(node.otherwise, indent))
        if not outcomes:
            return []
        rule = self.in_forward if isinstance(node, tree.If) else self.in_constructor
        lines = [f"{indent}if {render(node.condition, rule)}:"]
        lines += write(node.then, indent + "    ") or [f"{indent}    pass"]
        otherwise = write(node.otherwise, indent + "    ")
        if otherwise:
            lines += [f"{indent}else:", *otherwise]
        return lines

    def make(self, use: LayerUse) -> str:
        """The constructor call of a layer; "" where the backend needs no object."""
        self._varied = {}
        if isinstance(use.target, Block):
            made = self._make_block(use, use.target)
        else:
            made = "" if self.is_idle(use) else self._make_native(use, use.target)
        if use.repeat is None or not made:
            return made
        made = f"{made} for {self._loop_over(use.repeat)}"
        return self.backend.list_of_layers.format(made=made)

    def _loop_over(self, repeat: tree.Expr) -> str:
        """`_ in range(6)`; or the sizes in which the repeats differ."""
        count = render(repeat, self.in_constructor, whole=True)
        if not self._varied:
            return f"_ in range({count})"
        length = max(map(len, self._varied.values()))
        rows = [
            [render(sizes[min(i, len(sizes) - 1)], self.in_constructor, whole=True)
             for sizes in self._varied.values()]
            for i in range(length)
        ]  # fmt: skip
        items = [row[0] if len(row) == 1 else f"({', '.join(row)})" for row in rows]
        known = self.known_value(repeat)
        left = length - 1
        rest = str(known - left) if isinstance(known, int) else f"({count} - {left})"
        last = f"[{items.pop()}]" + ("" if rest == "1" else f" * {rest}")
        values = f"[{', '.join(items)}] + {last}"
        if not isinstance(known, int) and left > 1:
            values = f"({values})[:{count}]"
        return f"{', '.join(self._varied)} in {values}"

    def size(self, use: LayerUse, sizes: Mapping[str, tree.Expr], name: str) -> str:
        """A size of a layer's input; of repeats that differ in it, the loop's."""
        several = of_repeats(sizes, name) if use.repeat is not None else []
        if len(several) < 2:
            return render(sizes[name], self.in_constructor, whole=True)
        while name in self.static or name in self.facts.hidden:
            name += "_"
        self._varied[name] = several
        return name

    def is_idle(self, use: LayerUse) -> bool:
        """Whether a layer is a Dropout that drops nothing."""
        rate = use.arguments.get("rate")
        if use.target.name != "Dropout" or rate is None:
            return False
        return self.known_value(rate) == 0

    def _make_block(self, use: LayerUse, block: Block) -> str:
        inner = self.classes[block]
        spelling = self.facts.hidden_values.get(use.name, {})
        arguments: list[str] = []
        for name, default in inner.signature.items():
            expr = use.arguments.get(name)
            if expr is not None:
                text = self.argument(inner.block, name, expr)
            elif default is None and name in spelling:
                text = self.size(use, spelling, name)
            else:
                continue
            name = self.spell(name)
            if text == name and default is None and "=" not in "".join(arguments):
                arguments.append(text)
            elif text != default:
                arguments.append(f"{name}={text}")
        return f"{inner.class_name}({', '.join(arguments)})"

    def argument(
        self,
        target: Block | NativeLayer,
        name: str,
        expr: tree.Expr,
        rule: Rule | None = None,
    ) -> str:
        """An argument for a parameter of a layer, as the backend writes it."""
        kind = (
            target.kinds.get(name)
            if isinstance(target, Block)
            else next(p.kind for p in target.parameters if p.name == name)
        )
        if kind and kind.name == "activation":
            value = self.known_value(expr)
            if value is not None:
                return self.backend.activation(str(value))
        whole = kind is None or kind.name != "float"
        text = render(expr, rule or self.in_constructor, whole=whole)
        if kind and kind.name == "shape" and isinstance(self.any_value(expr), int):
            return f"({text},)"  # Reshape(784)
        return text

    def row(self, use: LayerUse, native: NativeLayer) -> Row:
        """How the backend writes a layer, given the arguments that are known."""
        row = self.backend.layers[native.name]
        if isinstance(row, Row):
            return row
        known = {
            p.name: p.default if expr is None else self.known_or_varies(expr)
            for p in native.parameters
            for expr in [use.arguments.get(p.name)]
        }
        return row(known)

    def _make_native(self, use: LayerUse, native: NativeLayer) -> str:
        row = self.row(use, native)
        fields = self.fields(use, native, row.make, self.in_constructor)
        made = row.make.format(**fields)
        for text in row.omit:  # whole arguments: `strides=1` is no part of `strides=16`
            made = re.sub(re.escape(text) + r"(?=[,)])", "", made)
        return made

    def fields(
        self, use: LayerUse, native: NativeLayer, template: str, rule: Rule
    ) -> dict[str, str]:
        """The parameters that a template names, as the code there spells them."""
        fields: dict[str, str] = {}
        for parameter in native.parameters:
            expr, name = use.arguments.get(parameter.name), parameter.name
            if f"{{{name}}}" not in template:
                continue
            if expr is not None:
                fields[name] = self.argument(native, name, expr, rule)
            elif parameter.kind.name == "activation":
                fields[name] = self.backend.activation(parameter.default)
            elif not parameter.required:
                fields[name] = literal(parameter.default)
        sizes = self.facts.features.get(use.name, {})
        for name in sizes:
            if f"{{{name}}}" in template:
                fields[name] = self.size(use, sizes, name)
        return fields
