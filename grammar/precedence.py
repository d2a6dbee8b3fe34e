"""Operators and operands in a row, bound by precedence.

The shunting-yard algorithm (Dijkstra, 1961): no recursion, since a stranger's row may
be long. What a bound pair becomes is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

PREFIX_MINUS, PREFIX_NOT = "-", "NOT"
# how tightly operators bind, by token type; `**` alone binds to the right
BINDING = {
    "OR": 1,
    "AND": 2,
    PREFIX_NOT: 3,
    "COMPARE": 4,
    "PLUS": 5,
    "MINUS": 5,
    "STAR": 6,
    "SLASH": 6,
    "PERCENT": 6,
    "AT": 6,
    PREFIX_MINUS: 7,
    "POWER": 8,
}


class MisplacedError(Exception):
    """An operator that cannot stand where it does, as its token."""

    def __init__(self, token: Any) -> None:
        super().__init__(token)
        self.token = token


def bind(
    row: Iterable[Any],
    unary: Callable[[Any, Any], Any],
    binary: Callable[[Any, Any, Any], Any],
) -> Any:
    """The one node that a row of operator tokens and operands means.

    Tokens are told from operands by the types in BINDING. `unary(operator, operand)`
    and `binary(left, operator, right)` make the nodes.

    Raises MisplacedError for a second comparison (`a < b < c`) and for `not` behind an
    operator that binds more tightly.
    """
    operands: list[Any] = []
    waiting: list[tuple[str, Any]] = []

    def reduce() -> None:
        kind, operator = waiting.pop()
        right = operands.pop()
        if kind in (PREFIX_MINUS, PREFIX_NOT):
            operands.append(unary(operator, right))
        else:
            operands.append(binary(operands.pop(), operator, right))

    is_operand_next = True
    for part in row:
        kind = getattr(part, "type", None)
        if kind not in BINDING:
            operands.append(part)
            is_operand_next = False
        elif is_operand_next:
            kind = PREFIX_MINUS if kind == "MINUS" else PREFIX_NOT
            outer = BINDING[waiting[-1][0]] if waiting else 0
            if kind == PREFIX_NOT and outer > BINDING[PREFIX_NOT]:
                raise MisplacedError(part)
            waiting.append((kind, part))
        else:
            strength = BINDING[kind]
            to_the_right = kind == "POWER"
            while waiting and BINDING[waiting[-1][0]] >= strength + to_the_right:
                if kind == waiting[-1][0] == "COMPARE":
                    raise MisplacedError(part)
                reduce()
            waiting.append((kind, part))
            is_operand_next = True
    while waiting:
        reduce()
    return operands.pop()
