"""What equations do with the steps of a sequence: whether one may see another.

A network writes texts where no step sees a later one. What joins steps is therefore
noted: sums along them, cuts, products, another shape that puts numbers of one step
where another's stood, and states that have read all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from neural_attn.catalogue.function_arguments import Length
from neural_attn.catalogue.types import (
    BATCH,
    Dim,
    LastState,
    Static,
    Tensor,
    Value,
)
from neural_attn.ir import LayerUse

# layers that treat each number alone, whatever its axis stands for
_ELEMENTWISE = frozenset(
    "Add Average Cache Dropout GaussianNoise Maximum Minimum Multiply Subtract".split()
)

# the input whose steps are joined, and whether as attention weighs them
Joined = tuple[int | None, bool]


def joined_by_function(
    name: str, given: Mapping[str, Value], result: Value
) -> Iterator[Joined]:
    """The inputs whose steps a function joins."""
    if name == "reshape":
        yield from _joined_by_shape(given, result)
    elif name == "softmax":
        yield from _joined_along(tensors_in(given["x"]), -1)
    elif name == "top_k":  # one that comes later takes the place of another
        yield from ((x.across, False) for x in tensors_in(given["x"]) if _ranks(x))
    elif name == "merge_heads":
        yield from (
            (x.along, False) for x in tensors_in(given["x"]) if not _has_heads(x)
        )
    elif "axis" in given:
        axis = given["axis"]
        items = tensors_in(given.get("x", given.get("items")))
        if isinstance(axis, Static):
            yield from _joined_along(items, axis.value)


def summed_so_far(name: str, given: Mapping[str, Value]) -> int | None:
    """The input whose steps a running sum looks back on, and on no later one."""
    x, axis = given.get("x"), given.get("axis")
    if name != "cumsum" or not isinstance(x, Tensor) or not isinstance(axis, Static):
        return None
    is_of_steps = axis.value in (x.step_axis, x.rank + x.step_axis)
    return x.along if is_of_steps and not _is_beside_steps(x, axis.value) else None


def joined_by_product(left: Value, right: Value) -> Iterator[Joined]:
    """The input whose steps a matrix product runs over."""
    if isinstance(left, Tensor) and (left.width.value is None or left.across):
        yield left.across, True


def joined_by_sides(left: Value, right: Value) -> Iterator[Joined]:
    """The input whose steps are rows of one side and columns of the other."""
    sides = (left, right)
    for one, other in (sides, sides[::-1]):
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            if one.along is not None and one.along == other.across != other.along:
                if one.across != one.along:
                    yield one.along, False


def joined_by_layer(
    use: LayerUse, arguments: Mapping[str, object], x: Value | None
) -> Iterator[Joined]:
    """The input whose steps are the last axis of what a layer gets."""
    if not isinstance(x, Tensor) or x.across is None:
        return
    function = arguments.get("function", "softmax")
    is_softmax = use.target.name == "Activation" and function == "softmax"
    if use.target.name not in _ELEMENTWISE | {"Activation"} or is_softmax:
        yield x.across, True


def joined_by_return(tensors: Sequence[Tensor]) -> Iterator[Joined]:
    """The inputs whose steps are joined in what a block gives, as seen from outside.

    Those of a last axis are not known there, nor that a state has read all steps.
    """
    for x in tensors:
        if isinstance(x, LastState):
            yield x.of, False
        if x.across is not None:
            yield x.across, True


def _joined_along(items: Iterator[Tensor], axis: object) -> Iterator[Joined]:
    for x in items:
        if axis in (-1, x.rank - 1) and x.across is not None:
            yield x.across, True
        elif not _is_beside_steps(x, axis):
            yield x.along, False


def _ranks(x: Tensor) -> bool:
    """Whether the numbers of the last axis are of several steps."""
    return x.across is not None or not _is_beside_steps(x, -1)


def _has_heads(x: Tensor) -> bool:
    """Whether the steps come after the heads, as split_heads puts them."""
    return x.step_axis == -2


def _is_beside_steps(x: Tensor, axis: object) -> bool:
    """Whether an axis is not that of the steps: the last one, or the heads."""
    if axis in (-1, x.rank - 1):
        return not (x.dtype == "int" and x.rank == 2)
    return x.rank == 4 and x.step_axis == -2 and axis in (-3, 1)


# --- other shapes ------------------------------------------------------------------


def _joined_by_shape(given: Mapping[str, Value], result: Value) -> Iterator[Joined]:
    x, shape = given["x"], given["shape"]
    sizes = shape.value if isinstance(shape, Static) else ()
    if not isinstance(x, Tensor) or not isinstance(result, Tensor) or x.rank < 2:
        return
    assert isinstance(sizes, tuple)
    if x.along is not None and not _keeps_rows(x, result.dims, sizes):
        yield x.along, False
    if x.across is not None and not _same(x.dims[-1], result.dims[-1]):
        yield x.across, False


def _keeps_rows(x: Tensor, dims: Sequence[Dim], sizes: Sequence[object]) -> bool:
    """Whether the numbers of each step stay together, and the steps in their order.

    What stands after the axis of the steps is then as much as before.
    """
    # all steps of all texts in a row
    is_flat = x.rank == 2 and x.dims[0].value is None and x.dims[0].label != BATCH
    axis = 0 if is_flat else x.rank + x.step_axis
    inside = _product(x.dims[axis + 1 :])
    named = [
        i
        for i, size in enumerate(sizes)
        if isinstance(size, Length) and size.along == x.along
    ]
    places = named or [i for i, dim in enumerate(dims) if _same(dim, x.dims[axis])]
    if not places:
        return len(dims) > 1 and _product(dims[1:]) == inside
    if not named and len(places) > 1 and len(dims) > x.rank:
        return False  # which of them the steps are is not said
    return any(_product(dims[i + 1 :]) == inside for i in places)


def _product(dims: Sequence[Dim]) -> tuple[int, Counter[str]]:
    """How many numbers axes hold: those that are known, and those that are not."""
    count = 1
    for dim in dims:
        count *= dim.value if dim.value is not None else 1
    return count, Counter(dim.label for dim in dims if dim.value is None)


def _same(one: Dim, other: Dim) -> bool:
    if one.value is None and other.value is None:
        return one.label == other.label
    return one.value == other.value


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in a value, also those of a list."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Static) and isinstance(value.value, tuple):
        for item in value.value:
            yield from tensors_in(item)
