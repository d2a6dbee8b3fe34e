"""Renders expressions of the language as Python, with as few parentheses as needed."""

from __future__ import annotations

from collections.abc import Callable

from neural_attn.backends.layout import string
from neural_attn.grammar import tree

_LEVELS = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "@": 6, "**": 8}
_COMPARE, _NOT, _MINUS, _ATOM = 4, 3, 7, 9

Rendered = tuple[str, int]
Rule = Callable[[tree.Expr], Rendered | None]


def literal(value: object) -> str:
    """A constant as Python source."""
    if isinstance(value, str):
        return string(value)
    if isinstance(value, tuple):
        inner = ", ".join(literal(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def render(expr: tree.Expr, special: Rule, *, whole: bool = False) -> str:
    """`expr` as Python source.

    `special` renders what it knows (names, calls) and returns None for the rest;
    with `whole`, `/` divides whole numbers.
    """
    return _render(expr, special, whole)[0]


def render_part(expr: tree.Expr, special: Rule, level: int) -> str:
    """`expr`, in parentheses where it binds less than `level`."""
    return _inside(_render(expr, special, False), level)


def _render(expr: tree.Expr, special: Rule, whole: bool) -> Rendered:
    found = special(expr)
    if found is not None:
        return found
    if isinstance(expr, tree.Literal):
        text = literal(expr.value)
        return text, _MINUS if text.startswith("-") else _ATOM
    if isinstance(expr, tree.Name):
        return expr.text, _ATOM
    if isinstance(expr, tree.Sequence):
        items = [_render(item, special, whole)[0] for item in expr.items]
        text = ", ".join(items)
        if expr.is_list:
            return f"[{text}]", _ATOM
        return (f"({text},)" if len(items) == 1 else f"({text})"), _ATOM
    if isinstance(expr, tree.Unary):
        level = _NOT if expr.operator == "not" else _MINUS
        operand = _inside(_render(expr.operand, special, whole), level)
        return (f"not {operand}" if level == _NOT else f"-{operand}"), level
    if isinstance(expr, tree.Binary):
        return _binary(expr, special, whole)
    raise AssertionError(f"nothing renders {expr.span.text!r}")


def _binary(expr: tree.Binary, special: Rule, whole: bool) -> Rendered:
    sign = "//" if whole and expr.operator == "/" else expr.operator
    level = _LEVELS.get(sign, _COMPARE)
    left = _render(expr.left, special, whole)
    right = _render(expr.right, special, whole)
    if sign == "**":
        base, power = _inside(left, level + 1), _inside(right, _MINUS)
        simple = _is_simple(base) and _is_simple(power)
        return (f"{base}**{power}" if simple else f"{base} ** {power}"), level
    is_none = isinstance(expr.right, tree.Literal) and expr.right.value is None
    if is_none and sign in ("==", "!="):
        sign = "is" if sign == "==" else "is not"
    return f"{_inside(left, level)} {sign} {_inside(right, level + 1)}", level


def _inside(rendered: Rendered, level: int) -> str:
    text, own = rendered
    return text if own >= level else f"({text})"


def _is_simple(text: str) -> bool:
    """Whether ruff format hugs `**` at this operand: a name, attribute or number."""
    text = text.removeprefix("-")
    return text.replace(".", "").replace("_", "").isalnum()
