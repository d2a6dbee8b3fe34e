"""Shape rules of functions on arrays: choosing, comparing, joining, cutting."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from neural_attn.catalogue import constants
from neural_attn.catalogue.function_arguments import (
    Given,
    Length,
    need_fractions,
    need_one_kind,
    tensor,
    tensors,
    whole,
)
from neural_attn.catalogue.types import (
    BATCH,
    Dim,
    Several,
    ShapeError,
    Static,
    Tensor,
    Value,
    added,
    broadcast,
    divided,
    less,
    side_by_side,
    written,
)
from neural_attn.grammar import tree


def axis_of(given: Given, x: Tensor) -> int:
    """The axis of x that is named, from the end: -1 is the last. Raises ShapeError."""
    listed = given["axis"]
    if isinstance(listed, Static) and isinstance(listed.value, tuple):
        raise ShapeError(f"`axis` must be one number, not {written(listed)}")
    dim, rank = whole(given, "axis"), x.rank
    axis = dim.value
    parts = tree.walk(dim.expr) if dim.expr else ()
    if axis is None or any(isinstance(part, tree.Name) for part in parts):
        raise ShapeError("an axis is written as a number, such as -1 for the last")
    first = x.dims[0] if x.dims else Dim(1)
    may_be_batch = first.label == BATCH or (x.roots and first.value is None)
    if axis in (0, -rank) and may_be_batch:
        raise ShapeError("axis 0 is the batch: its examples are independent")
    if not -rank <= axis < rank:
        raise ShapeError(
            f"there is no axis {axis} in {rank}", "-1 is the last, 1 the first"
        )
    return axis if axis < 0 else axis - rank


def _with_axis(x: Tensor, axis: int, dim: Dim) -> tuple[Dim, ...]:
    dims = list(x.dims)
    dims[axis] = dim
    return tuple(dims)


def of_numbers(name: str, *given: Static) -> Static:
    """What a function of plain numbers comes to. Raises ShapeError."""
    try:
        return Static(constants.applied(name, *(one.value for one in given)))
    except constants.ConstantError as error:
        raise ShapeError(str(error), error.hint) from None


def each_number(name: str, x: Tensor) -> Tensor:
    """The same axes, of numbers; of ids where they stay whole."""
    _refuse_mask(x)
    if name != "abs":
        need_fractions(f"`{name}`", x)
    return x.like(*x.dims)


def cast(given: Given) -> Tensor:
    """The same axes, with fractions."""
    x, like = tensor(given, "x"), tensor(given, "like")
    if isinstance(x, Length):
        raise ShapeError(
            "a tensor is needed here, not a length",
            "`arange(n, like)` counts up to it",
        )
    if like.dtype != "float":
        raise ShapeError(f"`like` must hold numbers with fractions, not {like}")
    return x.like(*x.dims, dtype="float")


def single(given: Given) -> Tensor:
    """The same, of the same type for the compiler."""
    x = tensor(given, "x")
    if x.dtype != "float":
        raise ShapeError(f"`x` must hold numbers with fractions, not {x}")
    return x.like(*x.dims)


def _resized(x: Tensor, axis: int, dim: Dim) -> Tensor:
    """Another tensor, one axis of which is no longer that of an input's steps."""
    along = None if axis == x.step_axis else x.along
    across = None if axis == -1 else x.across
    return x.like(*_with_axis(x, axis, dim)).at(along, across)


def fractions(given: Given) -> Tensor:
    """A tensor of numbers that may have fractions, as it is."""
    x = tensor(given, "x")
    _refuse_whole(x)
    return x.like(*x.dims)


def averaged(given: Given) -> Tensor:
    """The same as `reduced`, of numbers that may have fractions."""
    _refuse_whole(tensor(given, "x"))
    return reduced(given)


def reduced(given: Given) -> Tensor:
    """One axis, which stays with one step."""
    x = tensor(given, "x")
    _refuse_mask(x)
    axis = axis_of(given, x)
    return x.like(*_with_axis(x, axis, Dim(1, label=x.dims[axis].label)))


def hint_on_axes(function: str, given: Given) -> str:
    """How a call is said that names several axes, or a number instead of an axis."""
    axis = given["axis"]
    axes = axis.value if isinstance(axis, Static) else None
    if isinstance(axes, tuple) and len(axes) > 1:
        inside = "x"
        for one in axes:
            inside = f"{function}({inside}, axis={written(one)})"
        return f"one axis at a time: `{inside}`"
    if function in ("max", "min"):
        return (
            f"of two, `{function}imum(x, {written(axes)})` is the {_OF_TWO[function]}"
        )
    return ""


_OF_TWO = {"max": "greater", "min": "lesser"}


def running(given: Given) -> Tensor:
    """The same axes."""
    x = tensor(given, "x")
    _refuse_mask(x)
    axis_of(given, x)
    return x.like(*x.dims)


def largest(given: Given) -> Tensor:
    """A mask of the same axes; k of them, or all of an axis that turns out shorter."""
    x, k = tensor(given, "x"), whole(given, "k")
    _refuse_mask(x)
    if k.value is None:
        raise ShapeError("`k` must be a whole number, not a length")
    size = x.width.value if x.rank else None
    if k.value < 1 or (size is not None and k.value > size):
        raise ShapeError(f"the last axis of {x} has no {k} largest")
    return x.like(*x.dims, dtype="bool")


def both(given: Given) -> Tensor:
    """Two that broadcast; one of them may be a number."""
    x, y = given["x"], given["y"]
    if not isinstance(x, Tensor):
        x, y = tensor(given, "y"), x
    _refuse_mask(x)
    need_one_kind("this", x, y)
    if isinstance(y, Tensor):
        _refuse_mask(y)
        roots = x.roots | y.roots
        return Tensor(broadcast(x, y), x.dtype, roots).at(x.along, x.across)
    _number(y)
    return x.like(*x.dims)


def where(given: Given) -> Tensor:
    """A mask, and two that broadcast with it; one of the two may be a number."""
    mask = tensor(given, "mask")
    if mask.dtype != "bool":
        raise ShapeError(
            f"where chooses by a mask, but {mask} holds numbers",
            "a comparison makes one: `where(x > 0, x, 0)`",
        )
    sides = [given["x"], given["y"]]
    found = [side for side in sides if isinstance(side, Tensor)]
    if not found:
        raise ShapeError("where needs a tensor to choose from, but gets two numbers")
    for side in sides:
        if isinstance(side, Tensor):
            _refuse_mask(side)
        else:
            _number(side)
    need_one_kind("`where`", *sides)
    dtype = found[0].dtype
    whole_shape = reduce(
        lambda left, right: Tensor(broadcast(left, right)), [mask, *found]
    )
    roots = frozenset().union(*(one.roots for one in found))
    first = found[0]
    return Tensor(whole_shape.dims, dtype, roots).at(first.along, first.across)


def joined(given: Given) -> Tensor:
    """One axis as long as those of the list together."""
    items = tensors(given, "items")
    first = items[0]
    axis = axis_of(given, first)
    side_by_side(items, first.rank + axis)
    roots = frozenset().union(*(item.roots for item in items))
    dim = reduce(added, (item.dims[axis] for item in items))
    return replace(_resized(first, axis, dim), roots=roots)


def repeated(given: Given) -> Tensor:
    """One axis as long as that of `like`; the others stay."""
    x, like = tensor(given, "x"), tensor(given, "like")
    axis = axis_of(given, x)
    if x.rank != like.rank or x.dims[axis].value != 1:
        raise ShapeError(
            "repeat needs two tensors with as many axes, the first with one step "
            f"there, but gets {x} and {like}"
        )
    along = like.along if axis == like.step_axis else x.along
    dims = _with_axis(x, axis, like.dims[axis])
    return Tensor(dims, x.dtype, x.roots | like.roots, along=along)


def cut(given: Given) -> Tensor:
    """One axis from `start` to before `stop`, both counted as in Python."""
    x = tensor(given, "x")
    axis = axis_of(given, x)
    start, stop = _place(given, "start"), _place(given, "stop")
    dim = x.dims[axis]
    return _resized(x, axis, replace(_part(dim, start, stop), label=dim.label))


def is_open_end(given: Given) -> bool:
    """Whether `cut` takes the first or last step of an axis of unknown length."""
    x = tensor(given, "x")
    is_open = x.dims[axis_of(given, x)].value is None
    return is_open and _is_an_end(_place(given, "start"), _place(given, "stop"))


def parts(given: Given) -> Several:
    """Equal parts of an axis, or parts of the sizes that are given."""
    x, wanted = tensor(given, "x"), given["parts"]
    axis = axis_of(given, x)
    dim = x.dims[axis]
    if isinstance(wanted, Static) and isinstance(wanted.value, tuple):
        if not all(isinstance(size, Static) for size in wanted.value):
            raise ShapeError(
                "the sizes of the parts must be written out, such as (8, 4)"
            )
        sizes = [whole({"parts": size}, "parts") for size in wanted.value]  # type: ignore[dict-item]
        total = sum(size.value or 0 for size in sizes)
        if dim.value != total or not all((size.value or 0) > 0 for size in sizes):
            shown_sizes = " and ".join(str(size) for size in sizes)
            raise ShapeError(f"parts of {shown_sizes} are not the {dim} steps of {x}")
    else:
        count = whole(given, "parts")
        if not count.value or dim.value is None or dim.value % count.value:
            raise ShapeError(f"an axis of {dim} has no {count} equal parts: {x}")
        size = Dim(dim.value // count.value, divided(dim.expr, count.expr))
        sizes = [size] * count.value
    return Several(
        tuple(_resized(x, axis, replace(size, label=dim.label)) for size in sizes)
    )


def of_layer(given: Given) -> Tensor:
    """No rule of its own: a run on shapes asks the layer that it is given."""
    raise AssertionError


def _place(given: Given, name: str) -> Dim | None:
    value = given[name]
    if isinstance(value, Static) and value.value is None:
        return None
    return whole(given, name)


def _part(dim: Dim, start: Dim | None, stop: Dim | None) -> Dim:
    ends = [one.value for one in (start, stop) if one is not None]
    if dim.value is None or None in ends:
        return Dim(1 if _is_an_end(start, stop) else None)
    places = slice(*(None if one is None else one.value for one in (start, stop)))
    if any(abs(end) > dim.value for end in ends if end is not None):
        raise ShapeError(
            f"the axis has {dim.value} steps, but the part from "
            f"{places.start or 0} to {places.stop} is asked for"
        )
    count = len(range(dim.value)[places])
    if not count:
        raise ShapeError(f"nothing is between {places.start or 0} and {places.stop}")
    first, last = _from_end(start), _from_end(stop)
    if first is not None:
        return Dim(count, first.expr if stop is None else None)
    if last is not None:  # all but these, unless some of the first are missing too
        return Dim(count) if places.start else less(dim, last, count)
    return less(stop or dim, start, count)


def _is_an_end(start: Dim | None, stop: Dim | None) -> bool:
    """Whether a part is the first step or the last, of which any length has one.

    Ends in terms of parameters may be others where the block is used once more.
    """
    if any(end and end.expr and tree.names_in(end.expr) for end in (start, stop)):
        return False
    if stop is None:
        return start is not None and start.value == -1
    return stop.value == 1 and (start is None or start.value == 0)


def _from_end(end: Dim | None) -> Dim | None:
    """How far a place is from the end; None where it is counted from the start."""
    if end is None or end.value is None or end.value >= 0:
        return None
    expr = end.expr
    if isinstance(expr, tree.Unary):
        return Dim(-end.value, expr.operand)
    literal = isinstance(expr, tree.Literal)
    return Dim(
        -end.value, tree.Literal(expr.span, -end.value) if expr and literal else None
    )


def _number(value: Value) -> None:
    number = value.value if isinstance(value, Static) else None
    if not isinstance(number, int | float) or isinstance(number, bool):
        what = written(value) if isinstance(value, Static) else "a length"
        raise ShapeError(f"a number or a tensor is needed here, not {what}")


def _refuse_whole(x: Tensor) -> None:
    _refuse_mask(x)
    need_fractions("this", x)


def _refuse_mask(x: Tensor) -> None:
    if x.dtype == "bool":
        raise ShapeError(
            f"numbers are needed here, but {x} is a mask",
            "`where(mask, x, 0)` makes numbers of a mask",
        )
    if isinstance(x, Length):
        raise ShapeError("a tensor is needed here, not a length")
