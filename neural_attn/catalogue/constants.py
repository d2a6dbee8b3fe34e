"""Arithmetic on constants: what arguments and conditions come to when compiling."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from neural_attn.catalogue.types import written
from neural_attn.diagnostics.errors import did_you_mean
from neural_attn.grammar import tree

_LIMIT = 10**15

# the functions of plain numbers, with how many they take
FUNCTIONS: dict[str, tuple[Callable[..., int | float], int]] = {
    "sqrt": (math.sqrt, 1),
    "exp": (math.exp, 1),
    "log": (math.log, 1),
    "sin": (math.sin, 1),
    "cos": (math.cos, 1),
    "tanh": (math.tanh, 1),
    "abs": (abs, 1),
    "floor": (math.floor, 1),
    "minimum": (min, 2),
    "maximum": (max, 2),
}


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
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(
    expr: tree.Expr, names: Mapping[str, object], *, exact: bool = True
) -> Any:
    """The value of `expr`. Raises ConstantError.

    Whole numbers divide exactly, but in what a function is given: `floor(5 / 2)`.
    """
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
        return tuple(evaluate(item, names, exact=exact) for item in expr.items)
    if isinstance(expr, tree.Unary):
        return unary(expr.operator, evaluate(expr.operand, names, exact=exact))
    if isinstance(expr, tree.Binary):
        left = evaluate(expr.left, names, exact=exact)
        right = evaluate(expr.right, names, exact=exact)
        return binary(expr.operator, left, right, exact=exact)
    if expr.function.text in FUNCTIONS:
        values = [evaluate(a.value, names, exact=False) for a in expr.arguments]
        return applied(expr.function.text, *values)
    hint = "write a number, or a word in quotes"
    raise ConstantError(f"`{expr.span.text}` is not known when compiling", hint)


def applied(name: str, *values: Any) -> int | float:
    """`name(values)`, one of FUNCTIONS. Raises ConstantError."""
    function, count = FUNCTIONS[name]
    if len(values) != count:
        numbers = "a number" if count == 1 else f"{count} numbers"
        raise ConstantError(f"`{name}` takes {numbers}, but gets {len(values)}")
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConstantError(f"`{name}` needs numbers, but gets {written(value)}")
    try:
        return function(*values)
    except (ValueError, OverflowError) as error:
        of = ", ".join(map(str, values))
        raise ConstantError(f"`{name}({of})` has no value: {error}") from None


def unary(sign: str, value: Any) -> Any:
    """`-value` or `not value`."""
    if sign == "not":
        return not value
    if not isinstance(value, int | float):
        raise ConstantError(f"{written(value)} is not a number")
    return -value


def binary(sign: str, left: Any, right: Any, *, exact: bool) -> Any:
    """`left sign right`; with `exact`, whole numbers must divide exactly."""
    if sign == "and":
        return left and right
    if sign == "or":
        return left or right
    if sign in ("==", "!="):
        return _OPERATORS[sign](left, right)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        wrong = left if not isinstance(left, int | float) else right
        raise ConstantError(f"`{sign}` needs numbers, but gets {written(wrong)}")
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
            raise ConstantError(f"{left} is not divisible by {right}")
        return left // right
    return left / right
