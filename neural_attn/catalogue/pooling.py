"""Pooling over windows, over everything, and to a given size; channels come last."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    Arguments,
    NativeLayer,
    Parameter,
    ShapeRule,
    keeps_steps,
)
from neural_attn.catalogue.spatial import (
    DATA_FORMAT,
    need_axes,
    padding_parameter,
    per_axis,
    sizes_kind,
    slid,
)
from neural_attn.catalogue.types import Dim, Tensor

_KINDS = (("Max", "maximum"), ("Average", "mean"))


def _pooled(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes)
        window = per_axis(arguments["pool_size"], axes)
        given = arguments["strides"]
        strides = window if given is None else per_axis(given, axes)
        near = (1,) * axes
        dims = slid(name, x, window, strides, arguments["padding"], near)
        return x.like(x.dims[0], *dims, x.width)

    return shape


def _pooling(kind: str, word: str, axes: int) -> NativeLayer:
    name = f"{kind}Pooling{axes}D"
    optional = sizes_kind(axes, optional=True)
    return NativeLayer(
        name,
        f"The {word} of each window, for each channel, without padding.",
        (
            Parameter(
                "pool_size", sizes_kind(axes), "size of the window", 2, ("size",)
            ),
            Parameter(
                "strides", optional, "its step; none: its size", None, ("stride",)
            ),
            padding_parameter(),
            DATA_FORMAT,
        ),
        _pooled(name, axes),
        keeps_time=keeps_steps if axes == 1 else False,
        aliases=(f"{kind[:3] if kind == 'Max' else 'Avg'}Pool{axes}D",),
    )


def _over_all(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes)
        return x.like(x.dims[0], x.width)

    return shape


def _global(kind: str, word: str, axes: int) -> NativeLayer:
    name = f"Global{kind}Pooling{axes}D"
    short = "Max" if kind == "Max" else "Avg"
    return NativeLayer(
        name,
        f"The {word} of each channel.",
        (DATA_FORMAT,),
        _over_all(name, axes),
        aliases=(f"Global{short}Pool{axes}D",),
    )


def _to_size(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes)
        sizes = per_axis(arguments["output_size"], axes)
        return x.like(x.dims[0], *(Dim(size) for size in sizes), x.width)

    return shape


def _adaptive(kind: str, word: str, axes: int) -> NativeLayer:
    name = f"Adaptive{kind}Pooling{axes}D"
    short = "Max" if kind == "Max" else "Avg"
    size = Parameter("output_size", sizes_kind(axes), "sizes of the output")
    return NativeLayer(
        name,
        f"The {word} of as many nearly equal windows as the output is long.",
        (size, DATA_FORMAT),
        _to_size(name, axes),
        aliases=(f"Adaptive{short}Pool{axes}D",),
    )


POOLING = (
    *(_pooling(*kind, axes) for kind in _KINDS for axes in (1, 2, 3)),
    *(_global(*kind, axes) for kind in _KINDS for axes in (2, 3)),
    *(_adaptive(*kind, axes) for kind in _KINDS for axes in (1, 2, 3)),
)
