"""Writes the forward of a class: statements, loops, names."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.backends.calls import Calls
from neural_attn.backends.expressions import Rendered, literal, render
from neural_attn.backends.layout import with_trivia
from neural_attn.backends.parameters import ATOM
from neural_attn.backends.usage import assigned
from neural_attn.grammar import tree

from neural_attn.catalogue.arguments import match
from neural_attn.diagnostics.errors import Problems
from neural_attn.ir import LayerUse, call_parameters, width_of
from neural_attn.shapes.instance import LONGEST

STATEMENTS = "        "  # the indent of statements in a method


class Forward(Calls):
    """The equations of a block, with the author's comments and blank lines."""

    def _forward_lines(self) -> list[str]:
        inputs = ["self"]
        defaults: list[str] = []
        for parameter in self.block.forward.parameters:
            default = parameter.default
            if parameter.name in self.stand_ins:
                continue
            if default is None:
                inputs.append(self.spell(parameter.name))
                continue
            name = self.spell(parameter.name)
            inputs.append(f"{name}=None")
            if isinstance(default, tree.Name):
                defaults.append(f"{STATEMENTS}if {name} is None:")
                defaults.append(f"{STATEMENTS}    {name} = {self.spell(default.text)}")
        if self.backend.passes_training and self.block.is_attention:
            inputs.append("training=None")
        head = f"    def {self.backend.forward}({', '.join(inputs)}):"
        body = self.body(self.block.forward.body, STATEMENTS)
        return [head, *defaults, *self._length_check(), *body]

    def _length_check(self) -> list[str]:
        """The line that refuses more steps than the parameter `max_len` allows."""
        if not self.facts.is_bounded:
            return []
        name = tree.Name(self.static[LONGEST].span, LONGEST)
        first = self.spell(self.block.inputs[0])
        return [f"{STATEMENTS}check_length({first}, {render(name, self.in_forward)})"]

    def body(self, body: Sequence[tree.Statement], indent: str) -> list[str]:
        """Statements, with the author's comments and blank lines."""
        lines: list[str] = []
        for statement in body:
            if isinstance(statement, tree.If):
                lines += self.choice(statement, indent, self.body)
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
            spelled = self.spell(target)
            self._loop_target = target
            text = render(statement.value, self.in_forward)
            self.locals.add(target)
            if self.makes_mask(statement.value):
                self.never_none.add(target)
            text = _unwrapped(text)
            lines = [
                *loops,
                *([] if text == spelled else [f"{indent}{spelled} = {text}"]),
            ]
        else:
            self._loop_target = ""
            text = render(statement.value, self.in_forward)
            lines = [*loops, f"{indent}return {_unwrapped(text)}"]
        head, *rest = lines or [""]
        return [*with_trivia(head, statement.trivia, not first), *rest] if lines else []

    def in_forward(self, expr: tree.Expr) -> Rendered | None:
        """How names and calls are spelled in the forward; notes what it needs."""
        if isinstance(expr, tree.Name):
            if expr.text in self.stand_ins:
                return render(self.stand_ins[expr.text], self.in_forward), ATOM
            if expr.text in self.locals:
                return self.spell(expr.text), ATOM
            if expr.text in self.layers:
                return f"self.{expr.text}", ATOM
            if not self.is_parameter(expr.text) and expr.text in self.static:
                return literal(self.known_value(expr)), ATOM
            if source := self.measured(expr.text):
                return self.backend.functions["width"].format(source), ATOM
            self.stored.add(expr.text)
            return f"self.{expr.text}", ATOM
        if isinstance(expr, tree.Call):
            return self._call(expr), self.binds(expr)
        return None

    def measured(self, name: str) -> str:
        """The input of the forward whose last axis is this parameter, or ""."""
        parameter = self.static.get(name)
        source = width_of(parameter) if parameter else ""
        if name in self.set_somewhere or source in assigned(self.block.forward.body):
            return ""
        return source

    def arguments(self, call: tree.Call, skip: int = 0) -> str:
        """The arguments of a call as the author wrote them."""
        parts: list[str] = []
        for argument in call.arguments[skip:]:
            value = render(argument.value, self.in_forward)
            parts.append(
                f"{self.spell(argument.name)}={value}" if argument.name else value
            )
        return ", ".join(parts)

    def _call(self, call: tree.Call) -> str:
        use = self.layers.get(call.function.text)
        if use is None:
            return self.call_primitive(call)
        given = match("", call_parameters(use), call.arguments, Problems())
        if use.repeat is not None:
            return self._loop(use, call, given)
        return self.call_layer(use, f"self.{use.name}", call, given)

    def _loop(self, use: LayerUse, call: tree.Call, given: dict[str, tree.Expr]) -> str:
        """Apply repeated layers one after the other, before the statement at hand."""
        names = list(given)
        first = render(given[names[0]], self.in_forward)
        target = self._loop_target or f"{use.name}_output"
        spelled = self.spell(target)
        if first != spelled:
            self._loops.append(f"{self._indent}{spelled} = {first}")
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
        self._loops.append(f"{self._indent}    {spelled} = {text}")
        return spelled


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
