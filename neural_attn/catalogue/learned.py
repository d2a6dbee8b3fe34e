"""An array that a block learns, and the matrix of a layer as an array."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    Weight,
)
from neural_attn.catalogue.types import Dim, ShapeError, Tensor, written

STARTS = ("zeros", "ones", "normal")
LEARNED = "Weight"  # the name of the layer below
# the layers whose matrix `weight(layer)` gives, and the sizes of its two axes: a
# parameter of the layer, or one that it must be told
MATRICES = {
    "Dense": ("units", "in_features"),
    "Output": ("units", "in_features"),
    "Embedding": ("input_dim", "output_dim"),
}


def _sizes(arguments: Arguments) -> tuple[int, ...]:
    shape = arguments["shape"]
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if -1 in sizes or not sizes:
        raise ShapeError("a Weight has a shape of whole numbers from 1: (4, 8)")
    return sizes


def _shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    return Tensor(tuple(Dim(size) for size in _sizes(arguments)))


def _weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    start = arguments["start"]
    if isinstance(start, bool) or not isinstance(start, int | float | str):
        raise ShapeError(_wrong_start(start))
    if isinstance(start, str) and start not in STARTS:
        raise ShapeError(_wrong_start(start))
    return (Weight("", _sizes(arguments), "small" if start == "normal" else start),)


def _wrong_start(start: object) -> str:
    words = ", ".join(f'"{word}"' for word in STARTS)
    return f"a Weight starts from a number or from {words}, not from {written(start)}"


WEIGHT = NativeLayer(
    LEARNED,
    "A learned array: in equations, its name stands for it.",
    (
        Parameter("shape", Kind("dims"), "its sizes, without the batch"),
        Parameter(
            "start",
            Kind("any"),
            'a number, "zeros", "ones" or "normal" (deviation 0.02)',
        ),
    ),
    _shape,
    _weights,
    inputs=(),
    is_array=True,
    keeps_time=True,  # it stands beside the steps
)
