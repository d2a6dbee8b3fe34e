"""Search spaces: `HPO(…)` is kept, and one of its values taken to compile with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from neural_attn.errors import Problems, Span, did_you_mean
from neural_attn.grammar import tree

_KINDS = {
    "choice": "choice",
    "categorical": "choice",
    "range": "range",
    "int_range": "range",
    "log_range": "log_range",
}
_Item = TypeVar("_Item", bound=tree.Item)


@dataclass(frozen=True)
class SearchSpace:
    """The values that an author wants tried somewhere.

    `kind` is choice (any of the values), range (low, high, perhaps a step) or
    log_range (low, high); `taken` is the value compiled with.
    """

    kind: str
    values: tuple[object, ...]
    taken: object
    span: Span


def settle(file: tree.File, problems: Problems) -> tuple[tree.File, list[SearchSpace]]:
    """The file with each `HPO(…)` replaced by its first value, and the spaces."""
    if "HPO" not in file.span.source.text:
        return file, []
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
        self.spaces: list[SearchSpace] = []

    def item(self, item: _Item) -> _Item:
        """An item without any HPO."""
        if isinstance(item, tree.Setting):
            value = None if item.value is None else self.expr(item.value)
            return replace(item, value=value, block=self._block(item.block))
        if isinstance(item, tree.LayerNode):
            return replace(
                item,
                arguments=tuple(map(self._argument, item.arguments)),
                block=self._block(item.block),
                repeat=None if item.repeat is None else self.expr(item.repeat),
            )
        return item

    def _block(
        self, block: tuple[tree.Item, ...] | None
    ) -> tuple[tree.Item, ...] | None:
        return None if block is None else tuple(map(self.item, block))

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
        kind = _KINDS.get(inner.function.text) if isinstance(inner, tree.Call) else None
        if not isinstance(inner, tree.Call) or kind is None or not inner.arguments:
            word = inner.function.text if isinstance(inner, tree.Call) else ""
            self.problems.add(
                "E0231",
                "HPO needs one search space with values in it",
                call.span,
                (did_you_mean(word, _KINDS) if word else "")
                or "write HPO(choice(32, 64)), HPO(range(1, 8, step=1)) "
                "or HPO(log_range(1e-5, 1e-2))",
            )
            return tree.Literal(call.span, None)
        values = [self.expr(argument.value) for argument in inner.arguments]
        taken = replace(values[0], span=call.span)
        constants = tuple(_constant(value) for value in values)
        self.spaces.append(SearchSpace(kind, constants, constants[0], call.span))
        self.problems.add(
            "W0103",
            f"{call.span.text} is a search space: {values[0].span.text} is taken, "
            + ("its first choice" if kind == "choice" else "its low end"),
            call.span,
        )
        return taken


def _constant(expr: tree.Expr) -> object:
    return expr.value if isinstance(expr, tree.Literal) else expr.span.text
