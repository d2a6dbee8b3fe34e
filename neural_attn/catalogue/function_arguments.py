"""What a call gives to a function: tensors, whole numbers, lists of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neural_attn.catalogue.types import (
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    same,
    written,
)

Given = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Length(Tensor):
    """The length of an axis, as a whole number that is known when the code runs."""

    dim: Dim = field(default_factory=lambda: Dim(None))


def tensor(given: Given, name: str) -> Tensor:
    """A tensor. Raises ShapeError for anything else."""
    value = given[name]
    if not isinstance(value, Tensor):
        raise ShapeError(f"`{name}` must be a tensor, not {written(value)}")
    return value


def whole(given: Given, name: str) -> Dim:
    """A whole number or a length. Raises ShapeError for anything else."""
    value = given[name]
    if isinstance(value, Length):
        return value.dim
    if not isinstance(value, Static):
        raise ShapeError(f"`{name}` must be a whole number, not a tensor")
    number = value.value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        what = f"`{value.expr.span.text if value.expr else name}`"
        found = written(value)
        but = f", not {found}" if what != f"`{found}`" else ""
        raise ShapeError(f"{what} must be a whole number{but}")
    return Dim(number, value.expr)


CAST = "`cast(ids, x)` makes numbers of ids, in the type of `x`"


def need_fractions(what: str, x: Tensor) -> None:
    """Refuse ids, whose type has no fractions. Raises ShapeError."""
    if x.dtype == "int":
        raise ShapeError(
            f"{what} needs numbers with fractions, but {x} holds ids", CAST
        )


def need_one_kind(what: str, *sides: Value) -> None:
    """Refuse ids together with numbers that have fractions. Raises ShapeError.

    Frameworks differ in what that gives, and in which type of float.
    """
    ids = [s for s in sides if isinstance(s, Tensor) and s.dtype == "int"]
    others = [s for s in sides if isinstance(s, Tensor) and s.dtype == "float"]
    fractions = [
        s for s in sides if isinstance(s, Static) and isinstance(s.value, float)
    ]
    if ids and others:
        raise ShapeError(
            f"{what} gets ids, {ids[0]}, and numbers with fractions, {others[0]}", CAST
        )
    if ids and fractions:
        raise ShapeError(f"{what} gets ids and {fractions[0].value}, a fraction", CAST)


def tensors(given: Given, name: str) -> list[Tensor]:
    """A list of tensors. Raises ShapeError for anything else."""
    value = given[name]
    items = value.value if isinstance(value, Static) else None
    if not isinstance(items, tuple) or not items:
        raise ShapeError(f"`{name}` must be a list of tensors, such as [a, b]")
    found = [item for item in items if isinstance(item, Tensor)]
    if len(found) != len(items):
        raise ShapeError(f"`{name}` must hold tensors only")
    if len({item.dtype for item in found}) > 1:  # frameworks differ on the result
        kinds = {"int": "ids", "float": "numbers", "bool": "a mask"}
        held = " and ".join(dict.fromkeys(kinds[item.dtype] for item in found))
        raise ShapeError(f"`{name}` must hold things of one kind, not {held}")
    return found


def check_steps_mask(
    name: str, x: Tensor, mask: Value | None, *, exactly: bool = False
) -> None:
    """Refuse what does not say which steps of x are not padding. Raises ShapeError.

    x [batch, time, …], and the mask that the layer or function `name` is called with;
    `exactly` where it must speak of each step, and not of all of them at once.
    """
    if mask is None or (isinstance(mask, Static) and mask.value is None):
        return
    if not isinstance(mask, Tensor) or mask.dtype != "bool":
        raise ShapeError(
            f"the mask of `{name}` is true where a step is not padding",
            "padding_mask(ids) makes one",
        )
    fits = mask.rank == 4 and all(dim.value == 1 for dim in mask.dims[1:3])
    of_all = mask.width.value == 1 and not exactly
    if not fits or not (of_all or same(mask.width, x.dims[1])):
        one = Dim(1)
        raise ShapeError(
            f"a mask of shape {mask} does not say which steps of {x} are padding",
            f"it is {Tensor((x.dims[0], one, one, x.dims[1]))}, as padding_mask(ids) "
            "makes it",
        )
