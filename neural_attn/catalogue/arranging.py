"""Layers without weights that arrange or disturb: upsampling, permuting, noise."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    RATE,
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    ShapeRule,
    keep_shape,
    need_numbers,
)
from neural_attn.catalogue.spatial import DATA_FORMAT, need_axes, per_axis, sizes_kind
from neural_attn.catalogue.types import Dim, ShapeError, Tensor


def _enlarged(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes)
        factors = per_axis(arguments["size"], axes)
        dims = [
            dim
            if factor == 1
            else Dim(None if dim.value is None else dim.value * factor, None, dim.label)
            for dim, factor in zip(x.dims[1:-1], factors, strict=True)
        ]
        return x.like(x.dims[0], *dims, x.width)

    return shape


def _upsampling(axes: int) -> NativeLayer:
    name = f"UpSampling{axes}D"
    size = Parameter("size", sizes_kind(axes), "how often each step is repeated", 2)
    between = Parameter(
        "interpolation",
        Kind("str", choices=("nearest", "bilinear")),
        "repeat the nearest step, or interpolate linearly between steps",
        "nearest",
    )
    return NativeLayer(
        name,
        "Enlarges every axis between batch and channels.",
        (size, *((between,) if axes == 2 else ()), DATA_FORMAT),
        _enlarged(name, axes),
    )


def _permuted(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    dims = per_axis(arguments["dims"], 1)
    if sorted(dims) != list(range(1, x.rank)):
        wanted = ", ".join(map(str, range(1, x.rank)))
        raise ShapeError(
            f"Permute of {x} takes each of {wanted} once, but gets "
            f"{', '.join(map(str, dims))}",
            "the axes are counted from 1; the batch stays first",
        )
    along = x.along if dims[0] == 1 else None
    return x.like(x.dims[0], *(x.dims[axis] for axis in dims)).at(along)


def _same_axes(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        need_axes(name, inputs[0], axes)
        return keep_shape(arguments, inputs)

    return shape


def _spatial_dropout(axes: int) -> NativeLayer:
    name = f"SpatialDropout{axes}D"
    return NativeLayer(
        name,
        "While training, sets whole channels to zero (Tompson et al., 2015).",
        (Parameter("rate", RATE, "the share of the channels, 0 to 1"), DATA_FORMAT),
        _same_axes(name, axes),
        keeps_time=axes == 1,
    )


def _noisy(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    need_numbers("GaussianNoise", inputs[0])
    return keep_shape(arguments, inputs)


ARRANGING = (
    *(_upsampling(axes) for axes in (1, 2, 3)),
    NativeLayer(
        "Permute",
        "Puts the axes after the batch in another order.",
        (Parameter("dims", Kind("shape"), "the axes, counted from 1"),),
        _permuted,
    ),
    *(_spatial_dropout(axes) for axes in (1, 2, 3)),
    NativeLayer(
        "GaussianNoise",
        "While training, adds normal noise.",
        (
            Parameter(
                "stddev",
                Kind("float", minimum=0),
                "the standard deviation of the noise",
            ),
        ),
        _noisy,
        keeps_time=True,
    ),
)
