"""Writes the class of one block: constructor, layers, forward."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from neural_attn.backends.base import Backend, Row
from neural_attn.backends.expressions import (
    Rendered,
    Rule,
    literal,
    render,
    render_part,
)
from neural_attn.backends.layout import comment, docstring
from neural_attn.backends.usage import assigned, given_inputs, set_parameters
from neural_attn.grammar import tree

from neural_attn.arguments import match
from neural_attn.equations import call_parameters, width_of
from neural_attn.errors import Problems
from neural_attn.ir import Block, LayerChoice, LayerUse
from neural_attn.layers import NativeLayer
from neural_attn.primitives import PRIMITIVES, Primitive
from neural_attn.shapes import Checked

_ATOM, _SUM = 9, 5
_DROPOUT = 4  # the place of `dropout` among the arguments of `attend`
_STATEMENTS = "        "


class ClassWriter:
    """One block as a class.

    The class has the parameters that this network sets; others stand in it as
    their values. A condition with one outcome in the whole network leaves only
    that branch.
    """

    def __init__(
        self,
        checked: Checked,
        block: Block,
        backend: Backend,
        classes: Mapping[Block, ClassWriter],
    ) -> None:
        self.checked = checked
        self.block = block
        self.backend = backend
        self.classes = classes
        self.facts = checked.facts[block]
        self.layers = {
            use.name: use for use in block.uses() if use.name in self.facts.live
        }
        self.static = {p.name: p for p in block.parameters}
        self.locals: set[str] = set(block.inputs)
        self.stored: set[str] = set()
        self.passed: set[str] = set()
        self.hides_future = False
        self.never_none: set[str] = set()
        self.set_somewhere = set_parameters(checked, block)
        self.stand_ins = self._stand_ins()
        self._forward = self._forward_lines()
        self._made = self._layer_lines()
        self.signature = self._signature()

    # --- parameters --------------------------------------------------------------

    def _stand_ins(self) -> dict[str, tree.Name]:
        """Parameters, and inputs of the forward, that are always another one.

        Their default is its name (`key = query`), and nobody gives them.
        """
        given = self.set_somewhere | given_inputs(self.checked, self.block)
        return {
            p.name: p.default
            for p in (*self.block.parameters, *self.block.forward.parameters)
            if isinstance(p.default, tree.Name) and p.name not in given
        }

    def is_parameter(self, name: str) -> bool:
        """Whether the class keeps this parameter of the block."""
        parameter = self.static.get(name)
        if parameter is None:
            return name in self.facts.hidden
        if len(self.facts.values.get(name, ())) == 1:
            kind = self.block.kinds.get(name)
            if kind and kind.name in ("bool", "str", "activation"):
                return False
        fixed = isinstance(parameter.default, tree.Literal)
        return not fixed or name in self.set_somewhere

    def _signature(self) -> dict[str, str | None]:
        """Constructor parameters in order, with their defaults as text."""
        used = self.stored | self.passed
        pending = list(used)
        while pending:  # defaults use parameters too
            parameter = self.static.get(pending.pop())
            default = parameter.default if parameter else None
            if default is None or (parameter and width_of(parameter)):
                continue
            for node in tree.walk(default):
                if isinstance(node, tree.Name) and node.text not in used:
                    used.add(node.text)
                    pending.append(node.text)
        names = [*self.static, *self.facts.hidden]
        kept = [n for n in names if n in used and self.is_parameter(n)]
        self._derived = [
            n for n in kept if self._is_derived(n) and n not in self.set_somewhere
        ]
        defaults = {n: self._default(n) for n in kept if n not in self._derived}
        ordered = sorted(
            defaults, key=lambda n: (defaults[n] is not None, self._rank(n))
        )
        return {name: defaults[name] for name in ordered}

    def _rank(self, name: str) -> tuple[int, int]:
        """Widths first, then what the block itself lists, in its order."""
        parameter = self.static.get(name)
        if parameter is None:
            return 0, 1
        if width_of(parameter):
            return 0, 0
        return 1, list(self.static).index(name)

    def _is_derived(self, name: str) -> bool:
        """Whether the default is computed from other parameters."""
        parameter = self.static.get(name)
        default = parameter.default if parameter else None
        literal_default = default is None or isinstance(default, tree.Literal)
        return not literal_default and not (parameter and width_of(parameter))

    def _default(self, name: str) -> str | None:
        parameter = self.static.get(name)
        if parameter is None or parameter.default is None or width_of(parameter):
            return None
        if self._is_derived(name):
            return "None"
        return self.constant(name, parameter.default)

    def constant(self, name: str, expr: tree.Expr) -> str:
        """An argument for a parameter of this block, as the backend writes it."""
        kind = self.block.kinds.get(name)
        if kind and kind.name == "activation" and isinstance(expr, tree.Literal):
            return self.backend.activation(str(expr.value))
        return render(expr, self._in_constructor, whole=True)

    # --- the class ---------------------------------------------------------------

    def lines(self) -> list[str]:
        """The whole class."""
        base = self.backend.layer_base
        if self.block.is_attention:
            base = "CausalAttentionLayer" if self.hides_future else "AttentionLayer"
        lines = [comment(c) for c in self.block.trivia.comments]
        lines += [f"class {self.block.name}({base}):"]
        doc = self.block.doc or f"The block {self.block.name}."
        lines += [*docstring(doc, "    "), ""]
        if not (self.signature or self.stored or self._made):
            return lines + self._forward
        given = (n if d is None else f"{n}={d}" for n, d in self.signature.items())
        head = ", ".join(["self", *given])
        lines += [f"    def __init__({head}):", f"{_STATEMENTS}super().__init__()"]
        lines += self._default_lines()
        lines += [f"{_STATEMENTS}self.{name} = {name}" for name in self._stored_order()]
        lines += [*self._made, ""]
        return lines + self._forward

    def _default_lines(self) -> list[str]:
        lines = []
        for name in self.static:
            default = self.static[name].default
            if default is None or not self._is_derived(name):
                continue
            value = render(default, self._in_constructor, whole=True)
            if name in self.signature:
                lines.append(f"{_STATEMENTS}if {name} is None:")
                lines.append(f"{_STATEMENTS}    {name} = {value}")
            elif name in self._derived:
                lines.append(f"{_STATEMENTS}{name} = {value}")
        return lines

    def _stored_order(self) -> list[str]:
        return [n for n in [*self.static, *self.facts.hidden] if n in self.stored]

    # --- layers ------------------------------------------------------------------

    def _layer_lines(self) -> list[str]:
        return self._declared(self.block.layers, _STATEMENTS)

    def _declared(
        self, layers: Iterable[LayerUse | LayerChoice], indent: str
    ) -> list[str]:
        lines: list[str] = []
        for layer in layers:
            if isinstance(layer, LayerUse):
                made = self.make(layer) if layer.name in self.layers else ""
                if made:
                    lines += _with_trivia(
                        f"{indent}self.{layer.name} = {made}", layer.trivia, bool(lines)
                    )
                continue
            lines += self._choice(
                layer,
                indent,
                lambda branch, inner: self._declared(branch, inner),
            )
        return lines

    def _choice(self, node, indent, write) -> list[str]:  # type: ignore[no-untyped-def]
        """An if: both branches, or the only one that this network takes."""
        outcomes = self.facts.decisions.get(id(node), set())
        if outcomes == {True}:
            return write(node.then, indent)  # type: ignore[no-any-return]
        if outcomes == {False}:
            return write(node.otherwise, indent)  # type: ignore[no-any-return]
        if not outcomes:
            return []
        rule = self._in_forward if isinstance(node, tree.If) else self._in_constructor
        lines = [f"{indent}if {render(node.condition, rule)}:"]
        lines += write(node.then, indent + "    ") or [f"{indent}    pass"]
        otherwise = write(node.otherwise, indent + "    ")
        if otherwise:
            lines += [f"{indent}else:", *otherwise]
        return lines

    def make(self, use: LayerUse) -> str:
        """The constructor call of a layer; "" where the backend needs no object."""
        if isinstance(use.target, Block):
            made = self._make_block(use, use.target)
        else:
            made = "" if self.is_idle(use) else self._make_native(use, use.target)
        if use.repeat is None or not made:
            return made
        count = render(use.repeat, self._in_constructor, whole=True)
        made = f"{made} for _ in range({count})"
        return self.backend.list_of_layers.format(made=made)

    def is_idle(self, use: LayerUse) -> bool:
        """Whether a layer is a Dropout that drops nothing."""
        rate = use.arguments.get("rate")
        if use.target.name != "Dropout" or rate is None:
            return False
        return self._known(rate) == 0

    def _make_block(self, use: LayerUse, block: Block) -> str:
        inner = self.classes[block]
        spelling = self.facts.hidden_values.get(use.name, {})
        arguments: list[str] = []
        for name, default in inner.signature.items():
            expr = use.arguments.get(name)
            if expr is None and default is None:
                expr = spelling.get(name)
            if expr is None:
                continue
            text = self._argument(inner.block, name, expr)
            if text == name and default is None and "=" not in "".join(arguments):
                arguments.append(text)
            elif text != default:
                arguments.append(f"{name}={text}")
        return f"{block.name}({', '.join(arguments)})"

    def _argument(
        self,
        target: Block | NativeLayer,
        name: str,
        expr: tree.Expr,
        rule: Rule | None = None,
    ) -> str:
        kind = (
            target.kinds.get(name)
            if isinstance(target, Block)
            else next(p.kind for p in target.parameters if p.name == name)
        )
        if kind and kind.name == "activation":
            value = self._known(expr)
            if value is not None:
                return self.backend.activation(str(value))
        whole = kind is None or kind.name != "float"
        text = render(expr, rule or self._in_constructor, whole=whole)
        if kind and kind.name == "shape" and isinstance(self._value(expr), int):
            return f"({text},)"  # Reshape(784)
        return text

    def _value(self, expr: tree.Expr) -> object:
        """The value of an argument; of a parameter, one of its values."""
        if isinstance(expr, tree.Name):
            return next(iter(self.facts.values.get(expr.text, ())), None)
        return expr.value if isinstance(expr, tree.Literal) else None

    def _known(self, expr: tree.Expr) -> object:
        """The value of an argument that is the same in the whole network."""
        if isinstance(expr, tree.Literal):
            return expr.value
        if isinstance(expr, tree.Name) and not self.is_parameter(expr.text):
            values = self.facts.values.get(expr.text)
            return values[0] if values else None
        return None

    def _row(self, use: LayerUse, native: NativeLayer) -> Row:
        """How the backend writes a layer, given the arguments that are known."""
        row = self.backend.layers[native.name]
        if isinstance(row, Row):
            return row
        known = {
            p.name: p.default if expr is None else self._known(expr)
            for p in native.parameters
            for expr in [use.arguments.get(p.name)]
        }
        return row(known)

    def _make_native(self, use: LayerUse, native: NativeLayer) -> str:
        row = self._row(use, native)
        fields = self._fields(use, native, row.make, self._in_constructor)
        made = row.make.format(**fields)
        for text in row.omit:  # whole arguments: `strides=1` is no part of `strides=16`
            made = re.sub(re.escape(text) + r"(?=[,)])", "", made)
        return made

    def _fields(
        self, use: LayerUse, native: NativeLayer, template: str, rule: Rule
    ) -> dict[str, str]:
        """The parameters that a template names, as the code there spells them."""
        fields: dict[str, str] = {}
        for parameter in native.parameters:
            expr, name = use.arguments.get(parameter.name), parameter.name
            if f"{{{name}}}" not in template:
                continue
            if expr is not None:
                fields[name] = self._argument(native, name, expr, rule)
            elif parameter.kind.name == "activation":
                fields[name] = self.backend.activation(parameter.default)
            elif not parameter.required:
                fields[name] = literal(parameter.default)
        for name, size in self.facts.features.get(use.name, {}).items():
            if f"{{{name}}}" in template:
                fields[name] = render(size, rule, whole=True)
        return fields

    def _in_constructor(self, expr: tree.Expr) -> Rendered | None:
        if isinstance(expr, tree.Name):
            if expr.text in self.stand_ins:
                other = self.stand_ins[expr.text]
                return render(other, self._in_constructor, whole=True), _ATOM
            known = self._known(expr)
            if not self.is_parameter(expr.text) and expr.text in self.static:
                return literal(known), _ATOM
            self.passed.add(expr.text)
        return None

    # --- forward -----------------------------------------------------------------

    def _forward_lines(self) -> list[str]:
        inputs = ["self"]
        defaults: list[str] = []
        for parameter in self.block.forward.parameters:
            default = parameter.default
            if parameter.name in self.stand_ins:
                continue
            if default is None:
                inputs.append(parameter.name)
                continue
            inputs.append(f"{parameter.name}=None")
            if isinstance(default, tree.Name):
                defaults.append(f"{_STATEMENTS}if {parameter.name} is None:")
                defaults.append(f"{_STATEMENTS}    {parameter.name} = {default.text}")
        if self.backend.passes_training and self.block.is_attention:
            inputs.append("training=None")
        head = f"    def {self.backend.forward}({', '.join(inputs)}):"
        return [head, *defaults, *self.body(self.block.forward.body, _STATEMENTS)]

    def body(self, body: Sequence[tree.Statement], indent: str) -> list[str]:
        """Statements, with the author's comments and blank lines."""
        lines: list[str] = []
        for statement in body:
            if isinstance(statement, tree.If):
                lines += self._choice(statement, indent, self.body)
                if lines and _returns(statement, self.facts.decisions):
                    break
                continue
            lines += self._statement(statement, indent, first=not lines)
        return lines

    def _statement(
        self, statement: tree.Assign | tree.Return, indent: str, *, first: bool
    ) -> list[str]:
        loops: list[str] = []
        self._loops, self._indent = loops, indent
        if isinstance(statement, tree.Assign):
            target = statement.target.text
            self._loop_target = target
            text = render(statement.value, self._in_forward)
            self.locals.add(target)
            if self._makes_mask(statement.value):
                self.never_none.add(target)
            text = _unwrapped(text)
            lines = [
                *loops,
                *([] if text == target else [f"{indent}{target} = {text}"]),
            ]
        else:
            self._loop_target = ""
            text = render(statement.value, self._in_forward)
            lines = [*loops, f"{indent}return {_unwrapped(text)}"]
        head, *rest = lines or [""]
        return (
            [*_with_trivia(head, statement.trivia, not first), *rest] if lines else []
        )

    def _in_forward(self, expr: tree.Expr) -> Rendered | None:
        if isinstance(expr, tree.Name):
            if expr.text in self.stand_ins:
                return render(self.stand_ins[expr.text], self._in_forward), _ATOM
            if expr.text in self.locals:
                return expr.text, _ATOM
            if expr.text in self.layers:
                return f"self.{expr.text}", _ATOM
            if not self.is_parameter(expr.text) and expr.text in self.static:
                return literal(self._known(expr)), _ATOM
            if source := self._measured(expr.text):
                return self.backend.functions["width"].format(source), _ATOM
            self.stored.add(expr.text)
            return f"self.{expr.text}", _ATOM
        if isinstance(expr, tree.Call):
            return self._call(expr), self._binds(expr)
        return None

    def _binds(self, call: tree.Call) -> int:
        """How tightly the code of a call binds: a merge may be written as a sum."""
        use = self.layers.get(call.function.text)
        if use is None or isinstance(use.target, Block) or use.repeat is not None:
            return _ATOM
        row = self._row(use, use.target)
        return _ATOM if row.activates or row.call.endswith(")") else _SUM

    def _measured(self, name: str) -> str:
        """The input of the forward whose last axis is this parameter, or ""."""
        parameter = self.static.get(name)
        source = width_of(parameter) if parameter else ""
        if name in self.set_somewhere or source in assigned(self.block.forward.body):
            return ""
        return source

    def _call(self, call: tree.Call) -> str:
        use = self.layers.get(call.function.text)
        if use is None:
            return self._call_primitive(call)
        given = match("", call_parameters(use), call.arguments, Problems())
        if use.repeat is not None:
            return self._loop(use, call, given)
        return self.call_layer(use, f"self.{use.name}", call, given)

    def call_layer(
        self, use: LayerUse, layer: str, call: tree.Call, given: dict[str, tree.Expr]
    ) -> str:
        """The call of one layer under the text `layer`."""
        if isinstance(use.target, Block):
            return f"{layer}({self._arguments(call)})"
        row = self._row(use, use.target)
        templates = row.call + row.unmasked
        fields = self._fields(use, use.target, templates, self._in_forward)
        loose = "{" in row.call.replace("{layer}", "").replace("({x})", "")
        for name in use.target.inputs:
            plain = name.rstrip("?")
            expr = given.get(plain)
            level = 6 if loose and not row.call.endswith(")") else 0
            level = _ATOM if f"{{{plain}}}." in templates else level
            fields[plain] = (
                render_part(expr, self._in_forward, level) if expr else "None"
            )
        if self.is_idle(use):
            return fields["x"]
        mask = given.get("attention_mask")
        template = row.call if mask or not row.unmasked else row.unmasked
        text = self._merged(use.target, template, fields, given)
        text = text or template.format(layer=layer, **fields)
        sure = row.takes_none or (mask and self._is_given(mask))
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
        known = self._known(expr) if expr else parameters["activation"].default
        if known == "linear":
            return text
        if known is None and isinstance(expr, tree.Name):
            self.stored.add(expr.text)
            return f"self.{expr.text}({text})"
        template = self.backend.applied.get(str(known), "{function}({x})")
        return template.format(function=self.backend.activation(str(known)), x=text)

    def _arguments(self, call: tree.Call, skip: int = 0) -> str:
        parts: list[str] = []
        for argument in call.arguments[skip:]:
            value = render(argument.value, self._in_forward)
            parts.append(f"{argument.name}={value}" if argument.name else value)
        return ", ".join(parts)

    def _loop(self, use: LayerUse, call: tree.Call, given: dict[str, tree.Expr]) -> str:
        """Apply repeated layers one after the other, before the statement at hand."""
        names = list(given)
        first = render(given[names[0]], self._in_forward)
        target = self._loop_target or f"{use.name}_output"
        if first != target:
            self._loops.append(f"{self._indent}{target} = {first}")
        variable = "layer" if "layer" not in self.locals else "layer_"
        inner = dict(given)
        inner[names[0]] = tree.Name(call.span, target)
        renamed = tree.Call(
            call.span,
            call.function,
            (
                tree.Argument(call.span, None, tree.Name(call.span, target)),
                *(a for a in call.arguments[1:]),
            ),
        )
        known = target in self.locals
        self.locals.add(target)
        text = self.call_layer(use, variable, renamed, inner)
        if not known and not self._loop_target:
            self.locals.discard(target)
        self._loops.append(f"{self._indent}for {variable} in self.{use.name}:")
        self._loops.append(f"{self._indent}    {target} = {text}")
        return target

    def _call_primitive(self, call: tree.Call) -> str:
        name = call.function.text
        primitive = PRIMITIVES[name]
        if primitive.is_attention:
            return self._call_attention(call, primitive)
        values = self._primitive_values(call, primitive)
        if id(call) not in self.checked.facts[self.block].tensors:
            template = "abs({0})" if name == "abs" else f"math.{name}({{0}})"
        else:
            template = self.backend.functions.get(name, "")
        if name == "padding_mask" and not self._is_given(call.arguments[0].value):
            template = ""
        if not template:
            return f"{name}({', '.join(values)})"
        return template.format(*values)

    def _is_given(self, expr: tree.Expr) -> bool:
        """Whether a value is known to be no None when the code runs."""
        return isinstance(expr, tree.Name) and expr.text in self.never_none

    def _makes_mask(self, value: tree.Expr) -> bool:
        if not isinstance(value, tree.Call) or value.function.text != "padding_mask":
            return False
        return self._is_given(value.arguments[0].value)

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
                values.append(render(expr, self._in_forward, whole=True))
                continue
            tight = f"{{{position}}}." in template
            level = _ATOM if tight else 0
            values.append(render_part(expr, self._in_forward, level))
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
            if default is not None and known and self._known(value) == default.value:
                continue
            if isinstance(value, tree.Name) and value.text in self.layers:
                if self.is_idle(self.layers[value.text]):
                    continue
            self.hides_future |= argument.name == "causal"
            text = render(value, self._in_forward)
            # dropout and training follow the mask, unless `causal` is between them
            by_position = len(parts) == _DROPOUT and not self.hides_future
            named = argument.name and not (argument.name == "dropout" and by_position)
            parts.append(f"{argument.name}={text}" if named else text)
        if primitive.name == "attend" and self.backend.passes_training:
            plain = len(parts) > _DROPOUT and not any("=" in part for part in parts)
            parts.append("training" if plain else "training=training")
        return f"self.{primitive.name}({', '.join(parts)})"


def _unwrapped(text: str) -> str:
    """A choice that is a whole right-hand side needs no parentheses."""
    whole = text.startswith("(") and " if " in text and text.endswith(")")
    inner = text[1:-1]
    return inner if whole and not inner.startswith("(") else text


def _returns(node: tree.If, decisions: dict[int, set[bool]]) -> bool:
    """Whether nothing behind this if can run."""
    outcomes = decisions.get(id(node), set())
    branches = [node.then if outcome else node.otherwise for outcome in outcomes]
    return bool(branches) and all(
        branch and isinstance(branch[-1], tree.Return) for branch in branches
    )


def _with_trivia(line: str, trivia: tree.Trivia, may_be_blank: bool) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    lines = [""] if trivia.blank_before and may_be_blank else []
    lines += [indent + comment(text) for text in trivia.comments]
    if trivia.trailing:
        noted = f"{line}  {comment(trivia.trailing)}"
        if len(noted) <= 88 and "\n" not in noted:
            return [*lines, noted]
        lines.append(indent + comment(trivia.trailing))
    return [*lines, line]
