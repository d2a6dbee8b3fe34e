"""Writes calls: of layers, of the functions of the language, of attention."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.constructor import Constructor
from neural_attn.backends.expressions import render, render_part
from neural_attn.backends.parameters import ATOM
from neural_attn.grammar import tree

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.functions import PRIMITIVES, Primitive
from neural_attn.diagnostics.errors import Problems
from neural_attn.ir import Block, LayerUse

_SUM = 5  # binds as a sum does
_DROPOUT = 4  # the place of `dropout` among the arguments of `attend`


class Calls(Constructor):
    """Calls in the forward of a block."""

    def arguments(self, call: tree.Call, skip: int = 0) -> str:
        """The arguments of a call as the author wrote them; see `forward.py`."""
        raise NotImplementedError

    def binds(self, call: tree.Call) -> int:
        """How tightly the code of a call binds: a merge may be written as a sum."""
        use = self.layers.get(call.function.text)
        if use is None or isinstance(use.target, Block) or use.repeat is not None:
            return ATOM
        row = self.row(use, use.target)
        return ATOM if row.activates or row.call.endswith(")") else _SUM

    def call_layer(
        self, use: LayerUse, layer: str, call: tree.Call, given: dict[str, tree.Expr]
    ) -> str:
        """The call of one layer under the text `layer`."""
        if isinstance(use.target, Block):
            return f"{layer}({self.arguments(call)})"
        row = self.row(use, use.target)
        templates = row.call + row.unmasked
        fields = self.fields(use, use.target, templates, self.in_forward)
        loose = "{" in row.call.replace("{layer}", "").replace("({x})", "")
        for name in use.target.inputs:
            plain = name.rstrip("?")
            expr = given.get(plain)
            level = 6 if loose and not row.call.endswith(")") else 0
            level = ATOM if f"{{{plain}}}." in templates else level
            fields[plain] = (
                render_part(expr, self.in_forward, level) if expr else "None"
            )
        if self.is_idle(use):
            return fields["x"]
        mask = given.get("attention_mask")
        template = row.call if mask or not row.unmasked else row.unmasked
        text = self._merged(use.target, template, fields, given)
        text = text or template.format(layer=layer, **fields)
        sure = row.takes_none or (mask and self.is_given(mask))
        if mask and row.unmasked and not sure:
            plain = row.unmasked.format(layer=layer, **fields)
            text = f"({plain} if {fields['attention_mask']} is None else {text})"
        return self._activated(use, text) if row.activates else text

    def _merged(
        self,
        native: NativeLayer,
        template: str,
        fields: dict[str, str],
        given: Mapping[str, tree.Expr],
    ) -> str:
        """A merge of all its operands, or "" for another layer.

        A row may name them all; one for two of them is applied again and again.
        """
        if not native.merges:
            return ""
        first, second = native.inputs[:2]
        operands = [fields[name.rstrip("?")] for name in native.inputs]
        operands = operands[: len(given)]
        if "{operands}" in template or "{total}" in template:
            return template.format(
                operands=", ".join(operands),
                total=" + ".join(operands),
                count=len(operands),
                **fields,
            )
        text = operands[0]
        for operand in operands[1:]:
            text = template.format(**{**fields, first: text, second: operand})
        return text

    def _activated(self, use: LayerUse, text: str) -> str:
        expr = use.arguments.get("activation")
        parameters = {p.name: p for p in use.target.parameters}
        known = self.known_value(expr) if expr else parameters["activation"].default
        if known == "linear":
            return text
        if known is None and isinstance(expr, tree.Name):
            self.stored.add(expr.text)
            return f"self.{expr.text}({text})"
        template = self.backend.applied.get(str(known), "{function}({x})")
        return template.format(function=self.backend.activation(str(known)), x=text)

    def is_given(self, expr: tree.Expr) -> bool:
        """Whether a value is known to be no None when the code runs."""
        return isinstance(expr, tree.Name) and expr.text in self.never_none

    def makes_mask(self, value: tree.Expr) -> bool:
        """Whether a value is a mask that is there whenever the code runs."""
        if not isinstance(value, tree.Call) or value.function.text != "padding_mask":
            return False
        return self.is_given(value.arguments[0].value)

    def call_primitive(self, call: tree.Call) -> str:
        """The call of a function of the language."""
        name = call.function.text
        primitive = PRIMITIVES[name]
        if primitive.is_attention:
            return self._call_attention(call, primitive)
        values = self._primitive_values(call, primitive)
        if id(call) not in self.checked.facts[self.block].tensors:
            template = "abs({0})" if name == "abs" else f"math.{name}({{0}})"
        else:
            template = self.backend.functions.get(name, "")
        if name == "padding_mask" and not self.is_given(call.arguments[0].value):
            template = ""
        if not template:
            return f"{name}({', '.join(values)})"
        return template.format(*values)

    def _primitive_values(self, call: tree.Call, primitive: Primitive) -> list[str]:
        """The arguments in the order of the parameters; sizes divide exactly."""
        template = self.backend.functions.get(primitive.name, "")
        given = match("", tuple(primitive.parameters), call.arguments, Problems())
        values = []
        for position, name in enumerate(primitive.parameters):
            if name not in given:
                continue
            expr = given[name]
            if name in ("n", "shape", "num_heads"):
                values.append(render(expr, self.in_forward, whole=True))
                continue
            tight = f"{{{position}}}." in template
            level = ATOM if tight else 0
            values.append(render_part(expr, self.in_forward, level))
        return values

    def _call_attention(self, call: tree.Call, primitive: Primitive) -> str:
        """A call of the runtime's method; arguments equal to their default go."""
        parts: list[str] = []
        for argument in call.arguments:
            value = argument.value
            default = primitive.parameters.get(argument.name or "")
            known = isinstance(value, tree.Literal) or (
                isinstance(value, tree.Name)
                and value.text in self.static
                and not self.is_parameter(value.text)
            )
            if (
                default is not None
                and known
                and self.known_value(value) == default.value
            ):
                continue
            if isinstance(value, tree.Name) and value.text in self.layers:
                if self.is_idle(self.layers[value.text]):
                    continue
            self.hides_future |= argument.name == "causal"
            text = render(value, self.in_forward)
            # dropout and training follow the mask, unless `causal` is between them
            by_position = len(parts) == _DROPOUT and not self.hides_future
            named = argument.name and not (argument.name == "dropout" and by_position)
            parts.append(f"{argument.name}={text}" if named else text)
        if primitive.name == "attend" and self.backend.passes_training:
            plain = len(parts) > _DROPOUT and not any("=" in part for part in parts)
            parts.append("training" if plain else "training=training")
        return f"self.{primitive.name}({', '.join(parts)})"
