"""Arithmetic on shapes: what `a + b` and `a @ b` give where a tensor takes part."""

from __future__ import annotations

from neural_attn.catalogue import constants
from neural_attn.catalogue.function_arguments import (
    CAST,
    Length,
    need_fractions,
    need_one_kind,
)
from neural_attn.catalogue.types import (
    Constant,
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    broadcast,
    same,
    written,
)

COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})


def negative(operator: str, value: Value) -> Tensor:
    """The shape of `-value` for a tensor, or of `not mask`. Raises ShapeError."""
    assert isinstance(value, Tensor)
    is_mask = value.dtype == "bool"
    if operator == "not" and not is_mask:
        raise ShapeError(f"`not` inverts a mask, but {value} holds numbers")
    if operator == "-" and is_mask:
        raise ShapeError("a mask cannot be negated", "`not mask` inverts it")
    return value.like(*value.dims)


def is_optional(operator: str, left: Value, right: Value) -> bool:
    """Whether a tensor that may be left out is asked for, or a mask combined with it.

    A mask that is left out hides nothing: `mask and none` is the mask.
    """
    sides = [side.value for side in (left, right) if isinstance(side, Static)]
    if sides != [None]:
        return False
    given = left if isinstance(left, Tensor) else right
    is_mask = isinstance(given, Tensor) and given.dtype == "bool"
    return operator in ("==", "!=") or (operator == "and" and is_mask)


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """The shape of `left operator right` where at least one side is a tensor."""
    if operator in ("and", "or"):
        return _combined(operator, left, right)
    for side in (left, right):
        if isinstance(side, Tensor) and side.dtype == "bool":
            raise ShapeError(
                f"`{operator}` works on numbers, but {side} is a mask",
                "masks are combined by `and`, `or` and `not`",
            )
        if isinstance(side, Static):
            number = isinstance(side.value, int | float)
            if not number or isinstance(side.value, bool):
                found = written(side)
                raise ShapeError(f"`{operator}` cannot combine a tensor with {found}")
    if isinstance(left, Length) or isinstance(right, Length):
        if operator in COMPARISONS:
            raise ShapeError(
                f"`{operator}` compares numbers or tensors, but a length is known "
                "only when the network runs"
            )
        return _length_arithmetic(operator, left, right)
    _check_kinds(operator, left, right)
    if isinstance(left, Static) or isinstance(right, Static):
        tensor = left if isinstance(left, Tensor) else right
        assert isinstance(tensor, Tensor)
        if operator == "@":
            raise ShapeError("`@` needs a tensor on both sides")
        dtype = "bool" if operator in COMPARISONS else tensor.dtype
        return tensor.like(*tensor.dims, dtype=dtype)
    roots = left.roots | right.roots
    if operator == "@":
        product = Tensor(_matmul(left, right), "float", roots)
        return product.at(left.along, right.across)
    dtype = "bool" if operator in COMPARISONS else left.dtype
    along, across = left.along or right.along, left.across or right.across
    return Tensor(broadcast(left, right), dtype, roots).at(along, across)


def _check_kinds(operator: str, left: Value, right: Value) -> None:
    """Refuse what frameworks do differently with whole numbers, or not at all."""
    if operator in ("/", "%") and isinstance(right, Static) and right.value == 0:
        raise ShapeError("this divides by zero")
    need_one_kind(f"`{operator}`", left, right)
    ids = [s for s in (left, right) if isinstance(s, Tensor) and s.dtype == "int"]
    if ids and operator in ("/", "@"):
        need_fractions(f"`{operator}`", ids[0])
    if ids and operator in ("%", "**"):
        number = right.value if isinstance(right, Static) else None
        if not isinstance(number, int) or number < 0:
            raise ShapeError(f"`{operator}` of ids takes a whole number, from 0", CAST)


def _combined(operator: str, left: Value, right: Value) -> Tensor:
    """`a and b`, `a or b`: of masks that broadcast."""
    for side in (left, right):
        if not isinstance(side, Tensor) or side.dtype != "bool":
            raise ShapeError(
                f"`{operator}` combines masks, but gets {_described(side)}",
                "a comparison makes one: `x > 0`",
            )
    assert isinstance(left, Tensor)
    assert isinstance(right, Tensor)
    return Tensor(broadcast(left, right), "bool", left.roots | right.roots)


def _described(side: Value) -> str:
    if isinstance(side, Tensor):
        return f"{side}, which holds numbers"
    return "none" if side.value is None else f"`{written(side)}`"


def _length_arithmetic(operator: str, left: Value, right: Value) -> Length:
    dims = []
    for side in (left, right):
        if isinstance(side, Length):
            dims.append(side.dim)
        elif isinstance(side, Static):
            dims.append(Dim(_whole(operator, side.value)))
        else:
            raise ShapeError("a length combines with whole numbers only")
    a, b = dims
    if a.value is None or b.value is None:
        return Length((), "int", dim=Dim(None))
    try:
        value = constants.binary(operator, a.value, b.value, exact=True)
    except constants.ConstantError as error:
        hint = "`floor(a / b)` is integer division" if operator == "/" else ""
        raise ShapeError(str(error), hint) from None
    return Length((), "int", dim=Dim(value))


def _whole(operator: str, value: Constant) -> int:
    """The whole number that a length is combined with."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise ShapeError(
            f"a length combines with whole numbers only, but `{operator}` gets "
            f"{written(value)}",
            "`floor(x)` rounds down",
        )
    if value == 0 and operator in ("/", "%"):
        raise ShapeError("this divides by zero")
    return value


def floored(left: Value, right: Value) -> Length:
    """The length that `floor(left / right)` is, where one of the two is a length."""
    a, b = (
        side.dim if isinstance(side, Length) else Dim(_whole("/", side.value))
        for side in (left, right)
        if isinstance(side, Length | Static)
    )
    if a.value is None or b.value is None:
        return Length((), "int", dim=Dim(None))
    return Length((), "int", dim=Dim(a.value // b.value))


def _matmul(left: Tensor, right: Tensor) -> tuple[Dim, ...]:
    if left.rank < 2 or right.rank < 2:
        raise ShapeError(f"`@` needs two matrices, but gets {left} and {right}")
    if not same(left.dims[-1], right.dims[-2]):
        raise ShapeError(
            f"`@` needs the last axis of {left} to equal the last but one of {right}",
            "transpose(x) swaps the last two axes",
        )
    a = left.like(*left.dims[:-2]) if left.rank > 2 else Tensor(())
    b = right.like(*right.dims[:-2]) if right.rank > 2 else Tensor(())
    return (*broadcast(a, b), left.dims[-2], right.dims[-1])
