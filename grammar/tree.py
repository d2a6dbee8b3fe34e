"""The typed syntax tree: what the author wrote, each node with its span."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from neural_attn.errors import Span


@dataclass(frozen=True, slots=True)
class Node:
    """Anything that stands in the text."""

    span: Span


# --- expressions -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, string, true, false or none."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name that is used: `x`, `num_heads`, `$units` (the dollar is dropped)."""

    text: str


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """A tuple or a list of expressions."""

    items: tuple[Expr, ...]
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x` or `not x`."""

    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(arguments)`: a sublayer, a primitive or a constructor."""

    function: Name
    arguments: tuple[Argument, ...]


Expr = Literal | Name | Sequence | Unary | Binary | Call


# --- layers and settings ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trivia:
    """What a reader sees around a node: kept so that it reaches generated code."""

    comments: tuple[str, ...] = ()
    trailing: str = ""
    blank_before: bool = False


@dataclass(frozen=True, slots=True)
class LayerNode(Node):
    """`label = Name(arguments) { block } @ "device" * repeat`."""

    name: Name
    arguments: tuple[Argument, ...] = ()
    block: tuple[Item, ...] | None = None
    device: Literal | None = None
    repeat: Expr | None = None
    label: Name | None = None
    trivia: Trivia = Trivia()


@dataclass(frozen=True, slots=True)
class Setting(Node):
    """`name: value`, `name: { … }` or `name: value { … }`."""

    name: Name
    value: Expr | None
    block: tuple[Item, ...] | None = None


@dataclass(frozen=True, slots=True)
class LayersMarker(Node):
    """`layers:`; the layers follow it as items."""


@dataclass(frozen=True, slots=True)
class LayerChoice(Node):
    """Layers that exist only where a condition, known when compiling, holds."""

    condition: Expr
    then: tuple[Item, ...]
    otherwise: tuple[Item, ...]
    trivia: Trivia = Trivia()


Item = LayerNode | Setting | LayersMarker | LayerChoice


# --- equations -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A parameter of a define or of its forward; required when `default` is None."""

    name: str
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`target = value`."""

    target: Name
    value: Expr
    trivia: Trivia = Trivia()


@dataclass(frozen=True, slots=True)
class Return(Node):
    """`return value`."""

    value: Expr
    trivia: Trivia = Trivia()


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if condition { … } else { … }`; the condition is known when compiling."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    trivia: Trivia = Trivia()


Statement = Assign | Return | If


@dataclass(frozen=True, slots=True)
class Forward(Node):
    """`forward(parameters): statements`."""

    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


# --- files -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Define(Node):
    """A block of the author's or of the prelude."""

    name: Name
    parameters: tuple[Parameter, ...]
    doc: str
    items: tuple[Item, ...]
    forward: Forward | None
    trivia: Trivia = Trivia()


@dataclass(frozen=True, slots=True)
class NetworkNode(Node):
    """`network NAME { … }`."""

    name: Name
    items: tuple[Item, ...]
    trivia: Trivia = Trivia()


@dataclass(frozen=True, slots=True)
class Research(Node):
    """`research NAME { … }`: what a paper says of the network, for readers."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
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


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything inside it, outermost first."""
    yield expr
    for child in children(expr):
        yield from walk(child)
