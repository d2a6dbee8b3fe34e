"""Arithmetic on shapes: what `a + b` and `a @ b` give where a tensor takes part."""

from __future__ import annotations

from neural_attn.catalogue import constants
from neural_attn.catalogue.function_arguments import Length
from neural_attn.catalogue.types import (
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    broadcast,
    same,
)


def negative(operator: str, value: Value) -> Tensor:
    """The shape of `-value` for a tensor. Raises ShapeError for `not`."""
    assert isinstance(value, Tensor)
    if operator != "-":
        raise ShapeError(f"`{operator}` works on constants, not on tensors")
    return value.like(*value.dims)


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """The shape of `left operator right` where at least one side is a tensor."""
    for side in (left, right):
        if isinstance(side, Static):
            number = isinstance(side.value, int | float)
            if not number or isinstance(side.value, bool):
                shown = "none" if side.value is None else repr(side.value)
                shown = "a list of values" if isinstance(side.value, tuple) else shown
                raise ShapeError(f"`{operator}` cannot combine a tensor with {shown}")
    if operator in ("and", "or", "==", "!=", "<", ">", "<=", ">="):
        raise ShapeError(f"`{operator}` compares constants, not tensors")
    if isinstance(left, Length) or isinstance(right, Length):
        return _length_arithmetic(operator, left, right)
    if isinstance(left, Static) or isinstance(right, Static):
        tensor = left if isinstance(left, Tensor) else right
        assert isinstance(tensor, Tensor)
        if operator == "@":
            raise ShapeError("`@` needs a tensor on both sides")
        return tensor.like(*tensor.dims, dtype="float")
    roots = left.roots | right.roots
    if operator == "@":
        product = Tensor(_matmul(left, right), "float", roots)
        return product.at(left.along, right.across)
    dtype = "float" if "float" in (left.dtype, right.dtype) else left.dtype
    along, across = left.along or right.along, left.across or right.across
    return Tensor(broadcast(left, right), dtype, roots).at(along, across)


def _length_arithmetic(operator: str, left: Value, right: Value) -> Length:
    dims = []
    for side in (left, right):
        if isinstance(side, Length):
            dims.append(side.dim)
        elif isinstance(side, Static):
            dims.append(Dim(side.value))  # type: ignore[arg-type]
        else:
            raise ShapeError("a length combines with whole numbers only")
    a, b = dims
    if a.value is None or b.value is None:
        return Length((), "int", dim=Dim(None))
    value = constants.binary(operator, a.value, b.value, exact=True)
    return Length((), "int", dim=Dim(value))


def _matmul(left: Tensor, right: Tensor) -> tuple[Dim, ...]:
    if left.rank < 2 or right.rank < 2:
        raise ShapeError(f"`@` needs two matrices, and gets {left} and {right}")
    if not same(left.dims[-1], right.dims[-2]):
        raise ShapeError(
            f"`@` needs the last axis of {left} to equal the last but one of {right}",
            "transpose(x) swaps the last two axes",
        )
    a = left.like(*left.dims[:-2]) if left.rank > 2 else Tensor(())
    b = right.like(*right.dims[:-2]) if right.rank > 2 else Tensor(())
    return (*broadcast(a, b), left.dims[-2], right.dims[-1])
