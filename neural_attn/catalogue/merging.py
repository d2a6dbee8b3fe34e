"""Layers that make one tensor of several."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    FLAG,
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    ShapeRule,
    need_numbers,
    operands,
)
from neural_attn.catalogue.types import Dim, ShapeError, Tensor, added, broadcast, same

_TWO, _MORE = ("x", "y"), operands("x", "y")


def _elementwise(name: str) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        merged, *others = inputs
        need_numbers(name, merged)
        for other in others:
            need_numbers(name, other)
            roots = merged.roots | other.roots
            dims, along = broadcast(merged, other), merged.along or other.along
            merged = Tensor(dims, "float", roots, along=along)
        return merged

    return shape


def _merge(name: str, doc: str, *, several: bool = True) -> NativeLayer:
    return NativeLayer(
        name,
        doc,
        (),
        _elementwise(name),
        inputs=_MORE if several else _TWO,
        keeps_time=True,
        merges=several,
    )


def _concatenated(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    joined, *others = inputs
    for other in others:
        joined = _joined(joined, other, arguments["axis"])
    return joined


def _joined(x: Tensor, y: Tensor, axis: int) -> Tensor:
    at = axis + x.rank if axis < 0 else axis
    if not 1 <= at < x.rank:
        raise ShapeError(f"Concatenate along axis {axis} of {x}: there is no such axis")
    others = [i for i in range(1, x.rank) if i != at]
    if x.rank != y.rank or not all(same(x.dims[i], y.dims[i]) for i in others):
        raise ShapeError(
            f"Concatenate along axis {axis} needs shapes that are equal elsewhere, "
            f"but gets {x} and {y}"
        )
    dims = [
        a if a.value is not None else b for a, b in zip(x.dims, y.dims, strict=True)
    ]
    dims[at] = added(x.dims[at], y.dims[at])
    along = x.along if at > 1 else None
    return Tensor(tuple(dims), x.dtype, x.roots | y.roots, along=along)


def _multiplied(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    x, y = inputs
    need_numbers("Dot", x)
    need_numbers("Dot", y)
    axes = arguments["axes"]
    pair = axes if isinstance(axes, tuple) else (axes, axes)
    if len(pair) != 2 or not all(type(axis) is int for axis in pair):
        raise ShapeError("`axes` of Dot is an axis, or one for each of its operands")
    first, second = (
        axis + tensor.rank if axis < 0 else axis
        for axis, tensor in zip(pair, inputs, strict=True)
    )
    if not (1 <= first < x.rank and 1 <= second < y.rank):
        raise ShapeError(
            f"Dot along axes {pair} of {x} and {y}: there are no such axes"
        )
    if not same(x.dims[first], y.dims[second]):
        raise ShapeError(
            f"Dot multiplies axis {first} of {x} with axis {second} of {y}, "
            "but they differ in length"
        )
    rest = [dim for i, dim in enumerate(x.dims) if i not in (0, first)]
    rest += [dim for i, dim in enumerate(y.dims) if i not in (0, second)]
    return Tensor((x.dims[0], *(rest or [Dim(1)])), "float", x.roots | y.roots)


MERGING = (
    _merge("Subtract", "The first tensor minus the second.", several=False),
    _merge("Multiply", "The elementwise product of tensors."),
    _merge("Average", "The elementwise mean of tensors."),
    _merge("Maximum", "The elementwise maximum."),
    _merge("Minimum", "The elementwise minimum."),
    NativeLayer(
        "Concatenate",
        "Tensors joined one after the other along an axis.",
        (Parameter("axis", Kind("int"), "the axis; the batch is axis 0", -1),),
        _concatenated,
        inputs=_MORE,
        merges=True,
    ),
    NativeLayer(
        "Dot",
        "The sums of products along one axis of each.",
        (
            Parameter("axes", Kind("any"), "an axis, or one for each; the batch is 0"),
            Parameter(
                "normalize", FLAG, "whether vectors get length 1 first (cosine)", False
            ),
        ),
        _multiplied,
        inputs=_TWO,
    ),
)
