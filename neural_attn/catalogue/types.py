"""What flows through a network while it is compiled: dimensions, tensors, constants."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from neural_attn.grammar import tree

Constant = int | float | str | bool | None | tuple[object, ...]

BATCH = "batch"  # the label of the first axis
HEADS = "heads"  # that of the axis that split_heads makes

_numbers = itertools.count(1)  # 0 would read as none


@dataclass(frozen=True)
class Dim:
    """One axis length: its value where known, and how the code at hand spells it.

    `value` is the truth that shapes are checked with. `expr` says the same in the
    parameters of the block being compiled, for generated code; None where no short
    spelling is known.
    """

    value: int | None
    expr: tree.Expr | None = field(default=None, compare=False)
    label: str = field(default="?", compare=False)

    def __str__(self) -> str:
        return self.label if self.value is None else str(self.value)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor as the compiler sees it: axes with the batch first, and a kind.

    `dtype` is "float", "int" or "bool". `roots` names the inputs of the block it was
    computed from; two tensors with the same `uid` are the same values. `along` is the
    uid of the input whose steps its own stand for, `across` the same of its last axis.
    """

    dims: tuple[Dim, ...]
    dtype: str = "float"
    roots: frozenset[int] = frozenset()
    uid: int = field(default_factory=lambda: next(_numbers))
    along: int | None = None
    across: int | None = None

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.dims)) + ")"

    @property
    def rank(self) -> int:
        """Number of axes, the batch included."""
        return len(self.dims)

    @property
    def step_axis(self) -> int:
        """The axis of the steps, from the end: behind the batch, and heads if any."""
        has_heads = self.rank == 4 and self.dims[1].label == HEADS
        return -2 if has_heads else 1 - self.rank

    @property
    def width(self) -> Dim:
        """The last axis."""
        return self.dims[-1]

    def like(self, *dims: Dim, dtype: str | None = None) -> Tensor:
        """A new tensor computed from this one."""
        dtype = dtype or self.dtype
        return Tensor(dims, dtype, self.roots, along=self.along, across=self.across)

    def at(self, along: int | None, across: int | None = None) -> Tensor:
        """The same values, their steps those of another input."""
        return replace(self, along=along, across=across)


@dataclass(frozen=True, eq=False)
class Positions(Tensor):
    """The positions 0, 1, … of an axis: ids whose greatest is known."""


@dataclass(frozen=True, eq=False)
class LastState(Tensor):
    """A state after the last step, which has read all steps of an input."""

    of: int | None = None


def last_state(state: Tensor, x: object) -> LastState:
    """A tensor as the state after the last step of `x`."""
    of = x.along if isinstance(x, Tensor) else None
    return LastState(state.dims, state.dtype, state.roots, of=of)


@dataclass(frozen=True)
class Static:
    """A value known when compiling, with its spelling."""

    value: Constant
    expr: tree.Expr | None = None


@dataclass(frozen=True)
class Several(Static):
    """What a block that returns several tensors gives; `value` is all of them."""

    value: tuple[Tensor, ...]


Value = Tensor | Static


def written(value: object) -> str:
    """A value as it is written in the language; a tensor by its shape."""
    if isinstance(value, Static):
        return written(value.value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        inside = ", ".join(map(written, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return str(value) if isinstance(value, Tensor) else str(value).lower()


class ShapeError(Exception):
    """A rule that the shapes break, in a sentence; the caller adds the place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def same(left: Dim, right: Dim) -> bool:
    """Whether two axes can be equal; an unknown length fits any."""
    return left.value is None or right.value is None or left.value == right.value


def distances_between(queries: Dim, keys: Dim) -> Dim:
    """How many distances there are between so many queries and keys."""
    if queries.value is None or keys.value is None:
        return Dim(None, None, f"{queries} + {keys} - 1")
    return Dim(queries.value + keys.value - 1)


def broadcast(left: Tensor, right: Tensor) -> tuple[Dim, ...]:
    """The axes of an elementwise result (NumPy's rules). Raises ShapeError."""
    length = max(left.rank, right.rank)
    for shorter in (left, right):
        if 0 < shorter.rank < length and shorter.dims[0].label == BATCH:
            raise ShapeError(
                f"shapes {left} and {right} do not fit together",
                "axes are compared from the last one on: the batch would meet another",
            )
    one = Dim(1)
    padded = [(one,) * (length - tensor.rank) + tensor.dims for tensor in (left, right)]
    dims = []
    for a, b in zip(*padded, strict=True):
        if a.value == b.value == 1:
            dims.append(a if a.label == HEADS else b)
        elif a.value == 1:
            # of one head come several, as those of a mixture of experts
            several = a.label == HEADS and b.value is not None
            dims.append(replace(b, label=HEADS) if several else b)
        elif b.value == 1 or same(a, b):
            dims.append(b if a.value is None and b.value not in (None, 1) else a)
        else:
            raise ShapeError(
                f"shapes {left} and {right} do not fit together",
                "each axis must be as long in both, or 1",
            )
    return tuple(dims)


def side_by_side(items: Sequence[Tensor], free: int | None = None) -> None:
    """Check that all axes but `free` are as long in each. Raises ShapeError.

    Nothing is repeated here: one step does not stand beside a length that is not known.
    """
    first = items[0]
    for item in items[1:]:
        both = enumerate(zip(first.dims, item.dims, strict=False))
        pairs = [pair for place, pair in both if place != free]
        if item.rank != first.rank or not all(same(*pair) for pair in pairs):
            raise ShapeError(f"{first} and {item} cannot be joined")
        if any({a.value, b.value} == {1, None} for a, b in pairs):
            raise ShapeError(
                f"{first} and {item} cannot be joined",
                "repeat(x, like, axis=…) repeats one step to the length of `like`",
            )


# --- spelling lengths in a block's parameters --------------------------------------


# Nobody reads a longer one; an axis joined with itself again and again doubles it.
_MOST_TERMS = 16


def added(a: Dim, b: Dim) -> Dim:
    """The length of two axes in a row, spelled so where the code can."""
    value = None if a.value is None or b.value is None else a.value + b.value
    if a.expr is None or b.expr is None:
        return Dim(value, None, a.label)
    long = _terms(a.expr) + _terms(b.expr) > _MOST_TERMS
    return Dim(value, None if long else _sum(a.expr, b.expr), a.label)


def less(stop: Dim, start: Dim | None, count: int) -> Dim:
    """The `count` steps from `start` to before `stop`, spelled so where it can be."""
    if start is None or start.value == 0:
        return Dim(count, stop.expr)
    if stop.expr is None or start.expr is None:
        return Dim(count)
    return Dim(count, tree.Binary(stop.expr.span, "-", stop.expr, start.expr))


def _terms(expr: tree.Expr) -> int:
    if isinstance(expr, tree.Binary):
        return _terms(expr.left) + _terms(expr.right)
    return 1


def _sum(a: tree.Expr, b: tree.Expr) -> tree.Expr:
    """`a + b`, which needs no parentheses whatever `b` is."""
    if isinstance(b, tree.Binary) and b.operator == "-":
        if spelled(b.right) == spelled(a):
            return b.left
    if isinstance(b, tree.Binary) and b.operator == "+":
        return tree.Binary(a.span, "+", _sum(a, b.left), b.right)
    return tree.Binary(a.span, "+", a, b)


def times(a: tree.Expr | None, b: tree.Expr | None) -> tree.Expr | None:
    """`a * b`, simplified where `a` or `b` divides by the other."""
    if a is None or b is None:
        return None
    for left, right in ((a, b), (b, a)):
        if isinstance(left, tree.Binary) and left.operator == "/":
            if spelled(left.right) == spelled(right):
                return left.left
    return tree.Binary(a.span, "*", a, b)


def divided(a: tree.Expr | None, b: tree.Expr | None) -> tree.Expr | None:
    """`a / b`, simplified where `b` is a factor of `a`."""
    if a is None or b is None:
        return None
    if isinstance(a, tree.Binary) and a.operator == "*":
        if spelled(a.left) == spelled(b):
            return a.right
        if spelled(a.right) == spelled(b):
            return a.left
    return tree.Binary(a.span, "/", a, b)


def substitute(
    expr: tree.Expr | None, names: dict[str, tree.Expr | None]
) -> tree.Expr | None:
    """`expr` with its names replaced; None as soon as one has no replacement."""
    if isinstance(expr, tree.Name):
        return names.get(expr.text)
    if isinstance(expr, tree.Binary):
        left, right = substitute(expr.left, names), substitute(expr.right, names)
        if expr.operator == "*":
            return times(left, right)
        if expr.operator == "/":
            return divided(left, right)
        if left is None or right is None:
            return None
        return tree.Binary(expr.span, expr.operator, left, right)
    if isinstance(expr, tree.Unary):
        inner = substitute(expr.operand, names)
        return inner and tree.Unary(expr.span, expr.operator, inner)
    if isinstance(expr, tree.Call):
        values = [substitute(a.value, names) for a in expr.arguments]
        return _called(expr, values)
    return expr if isinstance(expr, tree.Literal) else None


def _called(call: tree.Call, values: list[tree.Expr | None]) -> tree.Expr | None:
    """The same call of other values; None as soon as one of them is."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    pairs = zip(call.arguments, known, strict=True)
    arguments = tuple(replace(argument, value=value) for argument, value in pairs)
    return replace(call, arguments=arguments)


def spelled(expr: tree.Expr | None) -> str:
    """A text that is equal for equal expressions, whatever their place."""
    if isinstance(expr, tree.Name):
        return expr.text
    if isinstance(expr, tree.Literal):
        return repr(expr.value)
    if isinstance(expr, tree.Binary):
        return f"({spelled(expr.left)} {expr.operator} {spelled(expr.right)})"
    if isinstance(expr, tree.Unary):
        return f"({expr.operator} {spelled(expr.operand)})"
    if isinstance(expr, tree.Call):
        inside = ", ".join(spelled(argument.value) for argument in expr.arguments)
        return f"{expr.function.text}({inside})"
    return "?"
