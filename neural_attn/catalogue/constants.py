"""Arithmetic on constants: what arguments and conditions come to when compiling."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from neural_attn.diagnostics.errors import did_you_mean
from neural_attn.grammar import tree

_LIMIT = 10**15


class ConstantError(Exception):
    """An expression has no constant value, for the reason given."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(expr: tree.Expr, names: Mapping[str, object]) -> Any:
    """The value of `expr`; whole numbers divide exactly. Raises ConstantError."""
    if isinstance(expr, tree.Literal):
        return expr.value
    if isinstance(expr, tree.Name):
        if expr.text not in names:
            hint = did_you_mean(expr.text, names) or (
                "write its value: names stand for the parameters of a define"
            )
            raise ConstantError(f"nothing is called `{expr.text}` here", hint)
        return names[expr.text]
    if isinstance(expr, tree.Sequence):
        return tuple(evaluate(item, names) for item in expr.items)
    if isinstance(expr, tree.Unary):
        return unary(expr.operator, evaluate(expr.operand, names))
    if isinstance(expr, tree.Binary):
        left = evaluate(expr.left, names)
        return binary(expr.operator, left, evaluate(expr.right, names), exact=True)
    hint = "write a number, or a word in quotes"
    raise ConstantError(f"`{expr.span.text}` is not known when compiling", hint)


def unary(sign: str, value: Any) -> Any:
    """`-value` or `not value`."""
    if sign == "not":
        return not value
    if not isinstance(value, int | float):
        raise ConstantError(f"{value!r} is no number")
    return -value


def binary(sign: str, left: Any, right: Any, *, exact: bool) -> Any:
    """`left sign right`; with `exact`, whole numbers must divide without a rest."""
    if sign == "and":
        return left and right
    if sign == "or":
        return left or right
    if sign in ("==", "!="):
        return _OPERATORS[sign](left, right)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        wrong = left if not isinstance(left, int | float) else right
        shown = "none" if wrong is None else repr(wrong)
        raise ConstantError(f"`{sign}` needs numbers, and gets {shown}")
    if sign == "/":
        return _divide(left, right, exact)
    if sign == "@":
        raise ConstantError("`@` needs tensors")
    if sign == "**" and (abs(left) > _LIMIT or abs(right) > 100):
        raise ConstantError("this power is too large")
    try:
        value = _OPERATORS[sign](left, right)
    except (OverflowError, ZeroDivisionError) as error:
        raise ConstantError(f"this has no value: {error}") from None
    if isinstance(value, complex) or abs(value) > 1e300:
        raise ConstantError("this number is too large")
    return value


def _divide(left: float, right: float, exact: bool) -> float:
    if right == 0:
        raise ConstantError("this divides by zero")
    whole = isinstance(left, int) and isinstance(right, int)
    if whole and exact:
        if left % right:
            raise ConstantError(f"{left} cannot be divided by {right} without a rest")
        return left // right
    return left / right
