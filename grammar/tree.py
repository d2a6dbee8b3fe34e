"""The typed syntax tree: what the author wrote, each node with its span."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neural_attn.diagnostics.errors import Span
from neural_attn.record import record


@record
class Node:
    """Anything that stands in the text."""

    span: Span


# --- expressions -----------------------------------------------------------------


@record
class Literal(Node):
    """A number, string, true, false or none."""

    value: int | float | str | bool | None


@record
class Name(Node):
    """A name that is used: `x`, `num_heads`, `$units` (the dollar is dropped)."""

    text: str


@record
class Sequence(Node):
    """A tuple or a list of expressions."""

    items: tuple[Expr, ...]
    is_list: bool = False


@record
class Unary(Node):
    """`-x` or `not x`."""

    operator: str
    operand: Expr


@record
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Expr
    right: Expr


@record
class Argument(Node):
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expr


@record
class Call(Node):
    """`function(arguments)`: a sublayer, a primitive or a constructor."""

    function: Name
    arguments: tuple[Argument, ...]


Expr = Literal | Name | Sequence | Unary | Binary | Call


# --- layers and settings ---------------------------------------------------------


@record
class Trivia:
    """What a reader sees around a node: kept so that it reaches generated code."""

    comments: tuple[str, ...] = ()
    trailing: str = ""
    blank_before: bool = False


@record
class LayerNode(Node):
    """`label = Name(arguments) { block } @ "device" * repeat`."""

    name: Name
    arguments: tuple[Argument, ...] = ()
    block: tuple[Item, ...] | None = None
    device: Literal | None = None
    repeat: Expr | None = None
    label: Name | None = None
    trivia: Trivia = Trivia()


@record
class Setting(Node):
    """`name: value`, `name: { … }` or `name: value { … }`."""

    name: Name
    value: Expr | None
    block: tuple[Item, ...] | None = None


@record
class LayersMarker(Node):
    """`layers:`; the layers follow it as items."""


@record
class LayerChoice(Node):
    """Layers that exist only where a condition, known when compiling, holds."""

    condition: Expr
    then: tuple[Item, ...]
    otherwise: tuple[Item, ...]
    trivia: Trivia = Trivia()


Item = LayerNode | Setting | LayersMarker | LayerChoice


# --- equations -------------------------------------------------------------------


@record
class Parameter(Node):
    """A parameter of a define or of its forward; required when `default` is None."""

    name: str
    default: Expr | None


@record
class Assign(Node):
    """`target = value`, or `first, second = values`."""

    targets: tuple[Name, ...]
    value: Expr
    trivia: Trivia = Trivia()


@record
class Return(Node):
    """`return value`; several are a sequence."""

    value: Expr
    trivia: Trivia = Trivia()


@record
class If(Node):
    """`if condition { … } else { … }`; the condition is known when compiling."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    trivia: Trivia = Trivia()


Statement = Assign | Return | If


@record
class Forward(Node):
    """`forward(parameters): statements`."""

    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


# --- files -----------------------------------------------------------------------


@record
class Define(Node):
    """A block of the author's or of the prelude."""

    name: Name
    parameters: tuple[Parameter, ...]
    doc: str
    items: tuple[Item, ...]
    forward: Forward | None
    trivia: Trivia = Trivia()


@record
class NetworkNode(Node):
    """`network NAME { … }`."""

    name: Name
    items: tuple[Item, ...]
    trivia: Trivia = Trivia()


@record
class Research(Node):
    """`research NAME { … }`: what a paper says of the network, for readers."""

    items: tuple[Item, ...]


@record
class File(Node):
    """A whole source file."""

    defines: tuple[Define, ...]
    networks: tuple[NetworkNode, ...]
    research: tuple[Research, ...] = ()


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    if isinstance(expr, Sequence):
        return expr.items
    if isinstance(expr, Unary):
        return (expr.operand,)
    if isinstance(expr, Binary):
        return (expr.left, expr.right)
    if isinstance(expr, Call):
        return tuple(argument.value for argument in expr.arguments)
    return ()


def inside(node: Any) -> list[Any]:
    """The nodes directly inside any node: expressions, items and statements."""
    if isinstance(node, LayerNode):
        values: list[Any] = [argument.value for argument in node.arguments]
        return [*values, *(node.block or ()), *([node.repeat] if node.repeat else [])]
    if isinstance(node, Setting):
        return [*([node.value] if node.value else []), *(node.block or ())]
    if isinstance(node, LayerChoice | If):
        return [node.condition, *node.then, *node.otherwise]
    if isinstance(node, Assign | Return):
        return [node.value]
    if isinstance(node, Define):
        return [*node.items, *(node.forward.body if node.forward else ())]
    if isinstance(node, NetworkNode | Research):
        return list(node.items)
    if isinstance(node, LayersMarker):
        return []
    return list(children(node))


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything inside it, outermost first."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def replaced(expr: Expr, name: str, value: Expr) -> Expr:
    """The expression with a value where a name stands."""
    if isinstance(expr, Name):
        return value if expr.text == name else expr
    if isinstance(expr, Sequence):
        items = tuple(replaced(item, name, value) for item in expr.items)
        return Sequence(expr.span, items, expr.is_list)
    if isinstance(expr, Unary):
        return Unary(expr.span, expr.operator, replaced(expr.operand, name, value))
    if isinstance(expr, Binary):
        left, right = (replaced(side, name, value) for side in (expr.left, expr.right))
        return Binary(expr.span, expr.operator, left, right)
    if isinstance(expr, Call):
        given = tuple(
            Argument(a.span, a.name, replaced(a.value, name, value))
            for a in expr.arguments
        )
        return Call(expr.span, expr.function, given)
    return expr


def is_named(node: LayerNode, name: str) -> bool:
    """Whether a layer is written with this name; case does not matter."""
    return node.name.text.lower() == name.lower()


def names_in(expr: Expr) -> set[str]:
    """The names that stand in an expression."""
    return {node.text for node in walk(expr) if isinstance(node, Name)}
