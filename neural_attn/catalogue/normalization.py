"""Normalization over features, groups of channels, and the batch."""

from __future__ import annotations

from neural_attn.catalogue.base import (
    EPSILON,
    RATE,
    SIZE,
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    ShapeRule,
    Weight,
    keep_shape,
    need_width,
    width_features,
)
from neural_attn.catalogue.types import ShapeError, Tensor

_AXIS = Parameter(
    "axis", Kind("int", minimum=-1), "the axis of the features: always the last", -1
)


def _epsilon(default: float) -> Parameter:
    doc = "added to the variance"
    return Parameter("epsilon", EPSILON, doc, default, aliases=("eps",))


def _need_last_axis(name: str, arguments: Arguments, x: Tensor) -> None:
    axis = arguments["axis"]
    if axis not in (-1, x.rank - 1):
        raise ShapeError(
            f"{name} works on the last axis of {x}, but axis is {axis}",
            "channels come last here: leave `axis` out",
        )


def _normalized(name: str) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        need_width(name, inputs[0])
        _need_last_axis(name, arguments, inputs[0])
        return keep_shape(arguments, inputs)

    return shape


def _scale_and_shift(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    width = inputs[0].width.value or 0
    return Weight("weight", (width,), "ones"), Weight("bias", (width,), "zeros")


def _with_statistics(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    width = inputs[0].width.value or 0
    return (
        *_scale_and_shift(arguments, inputs),
        Weight("running_mean", (width,), "zeros", trainable=False),
        Weight("running_var", (width,), "ones", trainable=False),
    )


def _grouped(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    need_width("GroupNormalization", x)
    _need_last_axis("GroupNormalization", arguments, x)
    groups, channels = arguments["groups"], x.width.value or 0
    if channels % groups:
        raise ShapeError(
            f"GroupNormalization cannot split {channels} channels into {groups} groups",
            f"`groups` must divide {channels}",
        )
    return keep_shape(arguments, inputs)


def _instance(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    need_width("InstanceNormalization", x)
    _need_last_axis("InstanceNormalization", arguments, x)
    if x.rank < 3:
        raise ShapeError(
            "InstanceNormalization needs an axis between batch and channels, "
            f"but gets {x}"
        )
    return keep_shape(arguments, inputs)


NORMALIZATION = (
    NativeLayer(
        "LayerNormalization",
        "Gives the last axis mean 0 and variance 1, then a learned scale, shift.",
        (_epsilon(1e-6), _AXIS),
        _normalized("LayerNormalization"),
        _scale_and_shift,
        width_features,
        keeps_time=True,
        aliases=("LayerNorm",),
    ),
    NativeLayer(
        "BatchNormalization",
        "Gives each feature mean 0 and variance 1 over the batch, then scale, shift.",
        (
            Parameter(
                "momentum", RATE, "the part of the running mean kept at each step", 0.99
            ),
            _epsilon(1e-3),
            _AXIS,
        ),
        _normalized("BatchNormalization"),
        _with_statistics,
        width_features,
        keeps_time=True,
        aliases=("BatchNorm",),
    ),
    NativeLayer(
        "GroupNormalization",
        "Gives each group of channels mean 0 and variance 1, then scale, shift.",
        (Parameter("groups", SIZE, "number of groups", 32), _epsilon(1e-3), _AXIS),
        _grouped,
        _scale_and_shift,
        width_features,
        keeps_time=True,
        aliases=("GroupNorm",),
    ),
    NativeLayer(
        "InstanceNormalization",
        "Gives each channel of each sample mean 0 and variance 1, then scale, shift.",
        (_epsilon(1e-3), _AXIS),
        _instance,
        _scale_and_shift,
        width_features,
        keeps_time=True,
        aliases=("InstanceNorm",),
    ),
)
