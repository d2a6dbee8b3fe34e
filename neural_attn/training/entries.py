"""Losses, optimizers, schedules and metrics as authors write them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from neural_attn.catalogue.arguments import match
from neural_attn.catalogue.base import Parameter
from neural_attn.diagnostics.errors import NeuralError, Problems, Span, did_you_mean
from neural_attn.grammar import tree
from neural_attn.grammar.parser import parse
from neural_attn.ir import SEARCHES, Named, Spaces
from neural_attn.training.catalogue import (
    SCHEDULED,
    SCHEDULES,
    Entry,
    find,
)


class EntryReader:
    """Turns `Adam(…)` and the like into values, and notes every problem."""

    def __init__(self, problems: Problems, spaces: Spaces) -> None:
        self.problems = problems
        self.spaces = spaces

    def named(
        self, what: str, entries: tuple[Entry, ...], setting: tree.Setting
    ) -> Named | None:
        """`Adam`, `"adam"`, `Adam(…)`, `"Adam(…)"` or `"adam" { learning_rate: … }`."""
        if setting.value is None:
            self.refuse(what, setting.name.span, entries)
            return None
        given = [self._argument(what, item) for item in setting.block or ()]
        extra = [argument for argument in given if argument is not None]
        return self.entry(what, entries, setting.value, extra)

    def _argument(self, what: str, item: tree.Item) -> tree.Argument | None:
        """`name: value` in the braces of a setting; notes anything else."""
        if isinstance(item, tree.Setting) and item.value is not None:
            if item.block is None:
                return tree.Argument(item.span, item.name.text, item.value)
            self.surplus(what, item.block, item)
        else:
            self.surplus(what, (item,), item)
        return None

    def surplus(
        self, what: str, items: Sequence[tree.Item] | None, around: tree.Item
    ) -> None:
        """Note items in braces where none can stand."""
        if items is not None:
            span = items[0].span if items else around.span
            self.problems.add("E0242.setting", span, what=what)

    def entry(
        self,
        what: str,
        entries: tuple[Entry, ...],
        expr: tree.Expr,
        extra: Sequence[tree.Argument] = (),
    ) -> Named | None:
        """The entry that an expression names, its arguments checked and complete."""
        expr = self._unquoted(what, expr)
        if isinstance(expr, tree.Call):
            name, arguments = expr.function.text, expr.arguments
        elif isinstance(expr, tree.Name):
            name, arguments = expr.text, ()
        elif isinstance(expr, tree.Literal) and isinstance(expr.value, str):
            name, arguments = expr.value, ()
        else:
            self.refuse(what, expr.span, entries)
            return None
        entry = find(entries, name)
        if entry is None:
            hint = f"write `HPO({expr.span.text})`" if name in SEARCHES else ""
            self._unknown(what, name, expr.span, entries, hint)
            return None
        values = self.arguments(entry, (*arguments, *extra), expr.span)
        found = Named(entry.same_as or entry.name, {**values, **entry.fixed}, expr.span)
        self._check_together(found)
        return found

    def _check_together(self, found: Named) -> None:
        """Note values that do not go together."""
        values, span = found.arguments, found.span
        if values.get("nesterov") and not values["momentum"]:
            values["nesterov"] = False
            self.problems.add("W0116.nesterov", span, name=found.name)
        boundaries, steps = values.get("boundaries"), values.get("values")
        if isinstance(boundaries, tuple) and isinstance(steps, tuple):
            if len(steps) != len(boundaries) + 1:
                self.problems.add(
                    "E0217.boundaries",
                    span,
                    name=found.name,
                    values=len(steps),
                    boundaries=len(boundaries),
                )
            elif any(later <= earlier for earlier, later in pairwise(boundaries)):
                self.problems.add("E0217.order", span, name=found.name)

    def _unquoted(self, what: str, expr: tree.Expr) -> tree.Expr:
        """What a quoted `"Adam(learning_rate=1e-4)"` says."""
        value = expr.value if isinstance(expr, tree.Literal) else None
        if not isinstance(value, str) or "(" not in value:
            return expr
        try:
            file = parse(f"network X {{ {what}: {value} }}", f"the text of `{what}`")
        except NeuralError:
            return expr  # an unknown name then, and reported as one
        inner = file.networks[0].items[0] if file.networks else None
        if isinstance(inner, tree.Setting) and isinstance(inner.value, tree.Call):
            return inner.value
        return expr

    def arguments(
        self, entry: Entry, arguments: Sequence[tree.Argument], span: Span
    ) -> dict[str, object]:
        """Every parameter of an entry with its value or default."""
        names = [p.name for p in entry.parameters]
        aliases = {a: p.name for p in entry.parameters for a in p.aliases}
        given = match(f"`{entry.name}`", names, arguments, self.problems, aliases)
        missing = [
            p.name for p in entry.parameters if p.required and p.name not in given
        ]
        if missing:
            self.problems.add(
                "E0215",
                span,
                name=entry.name,
                parameters=" and ".join(f"`{m}`" for m in missing),
                values=", ".join(f"{n}=…" for n in names),
            )
        return {
            p.name: self.value(entry.name, p, given[p.name])
            if p.name in given
            else (None if p.required else p.default)
            for p in entry.parameters
        }

    def value(self, owner: str, parameter: Parameter, expr: tree.Expr) -> object:
        """The value of a parameter; a learning rate may be a schedule."""
        if parameter.name == SCHEDULED and isinstance(expr, tree.Call):
            return self.entry("schedule", SCHEDULES, expr) or parameter.default
        tried = [(self.constant(expr), expr.span)]
        if isinstance(expr, tree.Literal):
            tried = list(self.spaces.values(expr))
        for value, span in tried:
            complaint = parameter.kind.complaint(value)
            if parameter.name in ("boundaries", "values"):
                complaint = "" if _numbers(value) else "must be a list of numbers"
            if complaint:
                self.problems.add(
                    "E0217",
                    span,
                    name=parameter.name,
                    owner=owner,
                    complaint=complaint,
                    value=span.text,
                )
                return None if parameter.required else parameter.default
        value = self.constant(expr)
        if parameter.kind.name in ("int", "float") and isinstance(value, int | float):
            return int(value) if parameter.kind.name == "int" else float(value)
        return value

    def constant(self, expr: tree.Expr) -> object:
        """The constant that an expression is, or None where it is none."""
        if isinstance(expr, tree.Literal):
            return expr.value
        if isinstance(expr, tree.Name):
            return expr.text
        if isinstance(expr, tree.Sequence):
            return tuple(self.constant(item) for item in expr.items)
        if isinstance(expr, tree.Unary) and expr.operator == "-":
            value = self.constant(expr.operand)
            return -value if isinstance(value, int | float) else None
        if isinstance(expr, tree.Binary):
            return _combined(
                expr.operator, self.constant(expr.left), self.constant(expr.right)
            )
        return None

    def refuse(self, what: str, span: Span, entries: tuple[Entry, ...]) -> None:
        """Note a value that is not a name at all."""
        self.problems.add("E0243.value", span, hint=_listed(entries), what=what)

    def _unknown(
        self, what: str, name: str, span: Span, entries: tuple[Entry, ...], hint: str
    ) -> None:
        known = [n for e in entries for n in (e.name, *e.aliases)]
        self.problems.add(
            "E0243",
            span,
            hint=hint or did_you_mean(name, known) or _listed(entries),
            what=what,
            name=name,
        )


def _listed(entries: tuple[Entry, ...]) -> str:
    return "there are " + ", ".join(entry.name for entry in entries)


def _numbers(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    )


def _combined(operator: str, left: object, right: object) -> object:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    if operator == "/":
        return left / right if right else None
    rules = {"+": left + right, "-": left - right, "*": left * right}
    return rules.get(operator)
