"""What values the parameters of a define may have, seen from where they are used."""

from __future__ import annotations

from collections.abc import Iterator

from neural_attn.catalogue.base import EPSILON, FLAG, POSITIVE, SIZE, Kind
from neural_attn.catalogue.functions import PRIMITIVES
from neural_attn.diagnostics.errors import Problems
from neural_attn.grammar import tree
from neural_attn.grammar.parser import is_built_in
from neural_attn.ir import Block, LayerChoice, width_of
from neural_attn.resolve.values import check_value, kind_of

# What equations of the prelude divide by, take roots of or raise to a power: there,
# other values would give no number.
_IN_EQUATIONS = {
    "epsilon": EPSILON,
    "theta": POSITIVE,
    "factor": POSITIVE,
    "original_length": POSITIVE,
    "low_frequency": POSITIVE,
    "high_frequency": POSITIVE,
    "beta_fast": POSITIVE,
    "beta_slow": POSITIVE,
    "rotary_dim": SIZE,
    "depth": Kind("int", minimum=0),
}


def infer_kinds(block: Block, problems: Problems) -> None:
    """Fill `block.kinds`: a parameter is what the layers it is passed to demand."""
    choices: dict[str, list[str]] = {}
    for parameter in block.parameters:
        if width_of(parameter):
            block.kinds[parameter.name] = SIZE
        elif parameter.name in _IN_EQUATIONS and is_built_in(block.span):
            block.kinds[parameter.name] = _IN_EQUATIONS[parameter.name]
    for use in block.uses():
        for name, expr in use.arguments.items():
            _demand(block, expr, kind_of(use.target, name))
        if use.repeat is not None:
            _demand(block, use.repeat, SIZE)
    _conditions(block, block.layers, choices)
    _statements(block, block.forward.body, choices)
    for parameter in block.parameters:
        if parameter.name in choices and isinstance(parameter.default, tree.Literal):
            options = [str(parameter.default.value), *choices[parameter.name]]
            unique = tuple(dict.fromkeys(options))
            block.kinds[parameter.name] = Kind("str", choices=unique)
    for parameter in block.parameters:
        if isinstance(parameter.default, tree.Literal):
            value, span = parameter.default.value, parameter.default.span
            check_value(problems, block, parameter.name, value, span)


def _demand(block: Block, expr: tree.Expr, kind: Kind | None) -> None:
    """`expr` must be of this kind, and so the names in it."""
    if kind is None:
        return
    if isinstance(expr, tree.Name) and kind.name != "dims":
        _narrow(block, expr.text, kind)
    elif kind.name in ("int", "float"):
        part = Kind(kind.name)  # any number: what they come to is checked itself
        if kind.name == "int" and is_built_in(block.span):
            part = SIZE  # the prelude's are sizes, which authors are told at once
        for name in _operands(expr):
            _narrow(block, name, part)
    elif kind.name == "dims":
        for size in expr.items if isinstance(expr, tree.Sequence) else (expr,):
            _demand(block, size, SIZE)


def _narrow(block: Block, name: str, kind: Kind) -> None:
    """A parameter is of the kind that is demanded first, or of a narrower one."""
    known = block.kinds.setdefault(name, kind)
    if known == Kind(kind.name):
        block.kinds[name] = kind


def _operands(expr: tree.Expr) -> Iterator[str]:
    """The names in arithmetic; what a function is given may be any number."""
    if isinstance(expr, tree.Name):
        yield expr.text
    elif not isinstance(expr, tree.Call):
        for part in tree.children(expr):
            yield from _operands(part)


def _conditions(
    block: Block, layers: tuple[object, ...], choices: dict[str, list[str]]
) -> None:
    for layer in layers:
        if isinstance(layer, LayerChoice):
            _condition(block, layer.condition, choices)
            _conditions(block, layer.then, choices)
            _conditions(block, layer.otherwise, choices)


def _statements(
    block: Block, body: tuple[tree.Statement, ...], choices: dict[str, list[str]]
) -> None:
    for statement in body:
        if isinstance(statement, tree.If):
            _condition(block, statement.condition, choices)
            _statements(block, statement.then, choices)
            _statements(block, statement.otherwise, choices)
        else:
            _calls(block, statement.value)


def _calls(block: Block, expr: tree.Expr) -> None:
    for node in tree.walk(expr):
        if not isinstance(node, tree.Call):
            continue
        primitive = PRIMITIVES.get(node.function.text)
        if primitive is None:
            continue
        names = list(primitive.parameters)
        for position, argument in enumerate(node.arguments[: len(names)]):
            name = argument.name or names[position]
            kind = primitive.kinds.get(name)
            if kind and isinstance(argument.value, tree.Name):
                if block.parameter(argument.value.text):
                    _narrow(block, argument.value.text, kind)


def _condition(block: Block, expr: tree.Expr, choices: dict[str, list[str]]) -> None:
    """`if flag` makes a flag; `mode == "a"` makes a choice."""
    if isinstance(expr, tree.Name):
        block.kinds.setdefault(expr.text, FLAG)
    elif isinstance(expr, tree.Unary):
        _condition(block, expr.operand, choices)
    elif isinstance(expr, tree.Binary) and expr.operator in ("and", "or"):
        _condition(block, expr.left, choices)
        _condition(block, expr.right, choices)
    elif isinstance(expr, tree.Binary) and expr.operator in ("==", "!="):
        if isinstance(expr.left, tree.Name) and isinstance(expr.right, tree.Literal):
            if isinstance(expr.right.value, str):
                choices.setdefault(expr.left.text, []).append(expr.right.value)
