"""Python expressions as nodes of `ast`: made, put into templates, and printed once.

Parentheses are where precedence asks for them; nothing looks at printed text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from neural_attn.backends.emit.layout import string
from neural_attn.grammar import tree

__all__ = [
    "BUILT_IN",
    "Fields",
    "Rule",
    "comprehension",
    "constant",
    "dotted",
    "fill",
    "of_numbers",
    "python",
    "slots",
    "text",
    "without",
]  # fmt: skip

Rule = Callable[[tree.Expr], ast.expr | None]
# what fills the slots of a template; a list stands for several arguments
Fields = Mapping[str, ast.expr | list[ast.expr]]

_LOAD = ast.Load()
_SLOT = re.compile(r"\{(\w+)\}")
_MARK = re.compile(r"_slot_(\w+)_")


# --- nodes --------------------------------------------------------------------------


def dotted(text: str) -> ast.expr:
    """`x`, or `self.x`."""
    first, *rest = text.split(".")
    node: ast.expr = ast.Name(first, _LOAD)
    for part in rest:
        node = ast.Attribute(node, part, _LOAD)
    return node


def constant(value: object) -> ast.expr:
    """A constant; a negative number is a minus before one, as in Python."""
    if isinstance(value, tuple):
        return ast.Tuple([constant(item) for item in value], _LOAD)
    if isinstance(value, int | float) and repr(value).startswith("-"):
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)  # type: ignore[arg-type]


_OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "//": ast.FloorDiv,
    "%": ast.Mod, "@": ast.MatMult, "**": ast.Pow,
}  # fmt: skip
_COMPARISONS: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt,
    ">=": ast.GtE,
}  # fmt: skip


def python(expr: tree.Expr, special: Rule, *, whole: bool = False) -> ast.expr:
    """`expr` of the language as Python.

    `special` makes what it knows (names, calls) and returns None for the rest;
    with `whole`, `/` divides whole numbers.
    """
    found = special(expr)
    if found is not None:
        return found
    if isinstance(expr, tree.Literal):
        return constant(expr.value)
    if isinstance(expr, tree.Name):
        return dotted(expr.text)
    if isinstance(expr, tree.Sequence):
        items = [python(item, special, whole=whole) for item in expr.items]
        return ast.List(items, _LOAD) if expr.is_list else ast.Tuple(items, _LOAD)
    if isinstance(expr, tree.Unary):
        operand = python(expr.operand, special, whole=whole)
        sign = ast.Not() if expr.operator == "not" else ast.USub()
        return ast.UnaryOp(sign, operand)
    if isinstance(expr, tree.Binary):
        left = python(expr.left, special, whole=whole)
        return _binary(expr, left, python(expr.right, special, whole=whole), whole)
    if isinstance(expr, tree.Call):
        given = [python(a.value, special) for a in expr.arguments]
        return of_numbers(expr.function.text, given)
    raise AssertionError(f"nothing makes Python of {expr.span.text!r}")


BUILT_IN = {"abs": "abs", "minimum": "min", "maximum": "max"}


def of_numbers(function: str, given: list[ast.expr]) -> ast.expr:
    """A function of the language on plain numbers."""
    return ast.Call(dotted(BUILT_IN.get(function, f"math.{function}")), given, [])


def _binary(
    expr: tree.Binary, left: ast.expr, right: ast.expr, whole: bool
) -> ast.expr:
    sign = "//" if whole and expr.operator == "/" else expr.operator
    if sign in ("and", "or"):
        return ast.BoolOp(ast.And() if sign == "and" else ast.Or(), [left, right])
    if sign in _OPERATORS:
        return ast.BinOp(left, _OPERATORS[sign](), right)
    compare: ast.cmpop = _COMPARISONS[sign]()
    if isinstance(expr.right, tree.Literal) and expr.right.value is None:
        compare = {"==": ast.Is(), "!=": ast.IsNot()}.get(sign, compare)
    return ast.Compare(left, [compare], [right])


def comprehension(
    made: ast.expr, targets: Iterable[str], values: ast.expr, counter: str = ""
) -> ast.expr:
    """`made for a, b in values`; or with a counter, `for i, (a, b) in values`."""
    names: list[ast.expr] = [ast.Name(target, ast.Store()) for target in targets]
    target = names[0] if len(names) == 1 else ast.Tuple(names, ast.Store())
    if counter:
        target = ast.Tuple([ast.Name(counter, ast.Store()), target], ast.Store())
    return ast.GeneratorExp(made, [ast.comprehension(target, values, [], 0)])


# --- templates ----------------------------------------------------------------------


@cache
def _parsed(template: str) -> ast.expr:
    return ast.parse(_SLOT.sub(r"_slot_\1_", template), mode="eval").body


@cache
def slots(template: str) -> frozenset[str]:
    """The names in braces of a template."""
    return frozenset(_SLOT.findall(template))


def fill(template: str, fields: Fields) -> ast.expr:
    """A template, a Python expression with names in braces, with nodes for these."""
    filled: ast.expr = _Filler(fields).visit(_copied(_parsed(template)))
    return filled


def _copied(node: Any) -> Any:
    """A tree of its own, without places: `copy.deepcopy` takes five times as long."""
    if isinstance(node, list):
        return [_copied(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    return type(node)(*(_copied(getattr(node, name)) for name in node._fields))


class _Filler(ast.NodeTransformer):
    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def visit_Name(self, node: ast.Name) -> object:
        slot = _MARK.fullmatch(node.id)
        return self.fields[slot[1]] if slot else node

    def visit_Starred(self, node: ast.Starred) -> object:
        """`*{shape}` of a tuple that is written out: its items."""
        self.generic_visit(node)
        return node.value.elts if isinstance(node.value, ast.Tuple) else node

    def visit_List(self, node: ast.List) -> ast.expr:
        """`[{made}]` of a comprehension is a list of it."""
        self.generic_visit(node)
        if len(node.elts) == 1 and isinstance(made := node.elts[0], ast.GeneratorExp):
            return ast.ListComp(made.elt, made.generators)
        return node


@cache
def _keyword(written: str) -> tuple[str | None, str]:
    call = ast.parse(f"_({written})", mode="eval").body
    assert isinstance(call, ast.Call)
    (keyword,) = call.keywords
    return keyword.arg, ast.dump(keyword.value)


def without(node: ast.expr, omitted: Iterable[str]) -> ast.expr:
    """A call, and those inside it, without keyword arguments such as `bias=True`."""
    left_out = set(map(_keyword, omitted))
    for part in ast.walk(node) if left_out else ():
        if isinstance(part, ast.Call):
            part.keywords = [
                one
                for one in part.keywords
                if (one.arg, ast.dump(one.value)) not in left_out
            ]
    return node


# --- printing -----------------------------------------------------------------------

(_OR, _AND, _NOT, _COMPARE, _BIT_OR, _BIT_AND, _SUM, _PRODUCT, _MINUS, _POWER,
 _ATOM) = range(1, 12)  # fmt: skip
_SIGNS: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: ("+", _SUM), ast.Sub: ("-", _SUM), ast.Mult: ("*", _PRODUCT),
    ast.Div: ("/", _PRODUCT), ast.FloorDiv: ("//", _PRODUCT),
    ast.Mod: ("%", _PRODUCT), ast.MatMult: ("@", _PRODUCT), ast.BitOr: ("|", _BIT_OR),
    ast.BitAnd: ("&", _BIT_AND),
    ast.Or: ("or", _OR), ast.And: ("and", _AND),
    ast.Eq: ("==", _COMPARE), ast.NotEq: ("!=", _COMPARE), ast.Lt: ("<", _COMPARE),
    ast.LtE: ("<=", _COMPARE), ast.Gt: (">", _COMPARE), ast.GtE: (">=", _COMPARE),
    ast.Is: ("is", _COMPARE), ast.IsNot: ("is not", _COMPARE),
}  # fmt: skip


def text(node: ast.AST, level: int = 0) -> str:
    """One line of Python, in parentheses where it binds less than `level`."""
    printed, own = _PRINTERS[type(node)](node)
    return printed if own >= level else f"({printed})"


def _listed(nodes: Iterable[ast.AST]) -> str:
    return ", ".join(map(text, nodes))


def _constant(node: ast.Constant) -> tuple[str, int]:
    value = node.value
    if value is ...:
        return "...", _ATOM
    return string(value) if isinstance(value, str) else repr(value), _ATOM


def _tuple(node: ast.Tuple) -> tuple[str, int]:
    comma = "," if len(node.elts) == 1 else ""
    return f"({_listed(node.elts)}{comma})", _ATOM


def _attribute(node: ast.Attribute) -> tuple[str, int]:
    return f"{text(node.value, _ATOM)}.{node.attr}", _ATOM


def _subscript(node: ast.Subscript) -> tuple[str, int]:
    index = node.slice
    inside = _listed(index.elts) if isinstance(index, ast.Tuple) else text(index)
    return f"{text(node.value, _ATOM)}[{inside}]", _ATOM


def _slice(node: ast.Slice) -> tuple[str, int]:
    ends = [end for end in (node.lower, node.upper) if end]
    # ruff format sets the colon apart from all but names and numbers
    colon = ":" if all(map(_is_bare, ends)) else " : "
    first, last = (text(end) if end else "" for end in (node.lower, node.upper))
    return f"{first}{colon}{last}".strip(), 0


def _is_bare(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_bare(node.operand)
    return isinstance(node, ast.Name | ast.Constant)


def _call(node: ast.Call) -> tuple[str, int]:
    return f"{text(node.func, _ATOM)}({_listed([*node.args, *node.keywords])})", _ATOM


def _named(node: ast.keyword) -> tuple[str, int]:
    return f"{node.arg}={text(node.value)}", _ATOM


def _unary(node: ast.UnaryOp) -> tuple[str, int]:
    if isinstance(node.op, ast.Not):
        return f"not {text(node.operand, _NOT)}", _NOT
    sign = "~" if isinstance(node.op, ast.Invert) else "-"
    return f"{sign}{text(node.operand, _MINUS)}", _MINUS


def _operation(node: ast.BinOp) -> tuple[str, int]:
    if isinstance(node.op, ast.Pow):
        base, power = text(node.left, _POWER + 1), text(node.right, _MINUS)
        # ruff format hugs `**` between names, attributes and numbers
        hugs = _is_simple(node.left) and _is_simple(node.right)
        return f"{base}**{power}" if hugs else f"{base} ** {power}", _POWER
    return _infix(node.op, node.left, node.right)


def _infix(operator: ast.AST, left: ast.expr, right: ast.expr) -> tuple[str, int]:
    sign, level = _SIGNS[type(operator)]
    return f"{text(left, level)} {sign} {text(right, level + 1)}", level


def _is_simple(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Attribute):
        return _is_simple(node.value)
    number = isinstance(node, ast.Constant) and not isinstance(node.value, str)
    return number or isinstance(node, ast.Name)


def _choice(node: ast.IfExp) -> tuple[str, int]:
    test, otherwise = text(node.test, _OR), text(node.orelse, 0)
    return f"{text(node.body, _OR)} if {test} else {otherwise}", 0


def _loop(node: ast.GeneratorExp) -> tuple[str, int]:
    (loop,) = node.generators
    target = loop.target
    names = _listed(target.elts) if isinstance(target, ast.Tuple) else text(target)
    return f"{text(node.elt)} for {names} in {text(loop.iter, _OR)}", 0


_PRINTERS: dict[type[ast.AST], Callable[..., tuple[str, int]]] = {
    ast.Constant: _constant,
    ast.Name: lambda node: (node.id, _ATOM),
    ast.Tuple: _tuple,
    ast.List: lambda node: (f"[{_listed(node.elts)}]", _ATOM),
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Call: _call,
    ast.keyword: _named,
    ast.Starred: lambda node: (f"*{text(node.value, _ATOM)}", _ATOM),
    ast.UnaryOp: _unary,
    ast.BinOp: _operation,
    ast.BoolOp: lambda node: _infix(node.op, *node.values),
    ast.Compare: lambda node: _infix(node.ops[0], node.left, node.comparators[0]),
    ast.IfExp: _choice,
    ast.GeneratorExp: _loop,
    ast.ListComp: lambda node: (f"[{_loop(node)[0]}]", _ATOM),
}
