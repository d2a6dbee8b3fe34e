"""Search spaces: `HPO(…)` is kept, and one of its values taken to compile with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from neural_attn.catalogue.arguments import match
from neural_attn.diagnostics.errors import Problems, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import SEARCHES, SearchSpace, Spaces
from neural_attn.training.catalogue import GROUPS, TRAIN

# the settings of training of which a list holds values to choose from
_NUMBERS = frozenset(name for p in TRAIN for name in (p.name, *p.aliases))
_BOUNDS = {"range": ("low", "high", "step"), "log_range": ("low", "high")}
_Item = TypeVar("_Item", bound=tree.Item)


def settle(file: tree.File, problems: Problems) -> tuple[tree.File, Spaces]:
    """The file with each `HPO(…)` replaced by its first value, and the spaces."""
    text = file.span.source.text
    if "[" not in text and "HPO" not in text.upper():
        return file, Spaces()
    settler = _Settler(problems)
    networks = tuple(
        replace(n, items=tuple(map(settler.item, n.items))) for n in file.networks
    )
    defines = tuple(
        replace(d, items=tuple(map(settler.item, d.items))) for d in file.defines
    )
    return replace(file, networks=networks, defines=defines), settler.spaces


class _Settler:
    """Walks items and expressions, collecting spaces."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.spaces = Spaces()

    def item(self, item: _Item) -> _Item:
        """An item without any HPO."""
        if isinstance(item, tree.Setting):
            value = None if item.value is None else self.expr(item.value)
            block = self._block(item.block, item.name.text in GROUPS)
            return replace(item, value=value, block=block)
        if isinstance(item, tree.LayerNode):
            return replace(
                item,
                arguments=tuple(map(self._argument, item.arguments)),
                block=self._block(item.block, item.name.text in GROUPS),
                repeat=None if item.repeat is None else self.expr(item.repeat),
            )
        return item

    def _block(
        self, block: tuple[tree.Item, ...] | None, trains: bool
    ) -> tuple[tree.Item, ...] | None:
        """The items in braces; `train { batch_size: [16, 32] }` holds a choice too."""
        if block is None:
            return None
        return tuple(
            self._listed(item)
            if trains and isinstance(item, tree.Setting) and item.name.text in _NUMBERS
            else self.item(item)
            for item in block
        )

    def _listed(self, item: tree.Setting) -> tree.Item:
        value = item.value
        if not isinstance(value, tree.Sequence) or not value.is_list or not value.items:
            return self.item(item)
        return replace(item, value=self._take("choice", value, list(value.items)))

    def _argument(self, argument: tree.Argument) -> tree.Argument:
        return replace(argument, value=self.expr(argument.value))

    def expr(self, expr: tree.Expr) -> tree.Expr:
        """An expression without any HPO."""
        if isinstance(expr, tree.Call):
            if expr.function.text.upper() == "HPO":
                return self._taken(expr)
            return replace(expr, arguments=tuple(map(self._argument, expr.arguments)))
        if isinstance(expr, tree.Sequence):
            return replace(expr, items=tuple(map(self.expr, expr.items)))
        if isinstance(expr, tree.Unary):
            return replace(expr, operand=self.expr(expr.operand))
        if isinstance(expr, tree.Binary):
            left, right = self.expr(expr.left), self.expr(expr.right)
            return replace(expr, left=left, right=right)
        return expr

    def _taken(self, call: tree.Call) -> tree.Expr:
        """The value to compile with: the first choice, or the low end of a range."""
        inner = call.arguments[0].value if len(call.arguments) == 1 else None
        word = inner.function.text if isinstance(inner, tree.Call) else ""
        if not isinstance(inner, tree.Call) or word not in SEARCHES:
            return self._broken(
                call,
                "HPO needs one search space with values in it",
                (did_you_mean(word, SEARCHES) if word else "")
                or "write HPO(choice(32, 64)), HPO(range(1, 8, step=1)) "
                "or HPO(log_range(1e-5, 1e-2))",
            )
        kind = SEARCHES[word]
        values = self._values(kind, inner)
        if why := _trouble(kind, tuple(map(_constant, values))):
            return self._broken(call, f"`{word}` {why}", _EXAMPLES[kind])
        return self._take(kind, call, values)

    def _take(
        self, kind: str, call: tree.Expr, values: Sequence[tree.Expr]
    ) -> tree.Expr:
        """Keep a search space; gives the value to compile with in its place."""
        constants = tuple(_constant(value) for value in values)
        places = tuple(value.span for value in values)
        self.spaces.append(
            SearchSpace(kind, constants, constants[0], call.span, places)
        )
        which = "first choice" if kind == "choice" else "low end"
        self.problems.add(
            "W0103",
            call.span,
            space=call.span.text,
            value=values[0].span.text,
            which=which,
        )
        return replace(values[0], span=call.span)

    def _values(self, kind: str, inner: tree.Call) -> list[tree.Expr]:
        """The choices; or low, high and perhaps a step."""
        if kind == "choice":
            values = [argument.value for argument in inner.arguments]
            if len(values) == 1 and isinstance(values[0], tree.Sequence):
                values = list(values[0].items)
            return [self.expr(value) for value in values]
        names = _BOUNDS[kind]
        word = f"`{inner.function.text}`"
        given = match(word, names, inner.arguments, self.problems)
        return [self.expr(given[name]) for name in names if name in given]

    def _broken(self, call: tree.Call, why: str, hint: str) -> tree.Expr:
        self.problems.add("E0231", call.span, hint=hint, why=why)
        self.spaces.broken.append(call.span)
        return tree.Literal(call.span, None)


_EXAMPLES = {
    "choice": "write HPO(choice(32, 64))",
    "range": "write HPO(range(1, 8)) or HPO(range(1, 8, step=1))",
    "log_range": "write HPO(log_range(1e-5, 1e-2))",
}


def _trouble(kind: str, values: tuple[object, ...]) -> str:
    """Why these values are not a search space of the kind, or ""."""
    if kind == "choice":
        return "" if values else "needs values to choose from"
    numbers = [v for v in values if isinstance(v, int | float)]
    if len(values) < 2 or len(numbers) < len(values):
        return "needs a low and a high end, both numbers"
    low, high, *step = numbers
    if low >= high:
        return f"needs a low end below its high end, but {low} is not below {high}"
    if step and step[0] <= 0:
        return "needs a step above 0"
    if kind == "log_range" and low <= 0:
        return "needs a low end above 0: there is no logarithm of 0"
    return ""


def _constant(expr: tree.Expr) -> object:
    if isinstance(expr, tree.Unary) and expr.operator == "-":
        value = _constant(expr.operand)
        return -value if isinstance(value, int | float) else expr.span.text
    return expr.value if isinstance(expr, tree.Literal) else expr.span.text
