"""Convolutions, their transposes, and depthwise ones; channels come last.

Weights are laid out as PyTorch's: `[filters, channels / groups, *kernel]`, transposed
ones `[channels, filters, *kernel]`.
"""

from __future__ import annotations

from neural_attn.catalogue.base import (
    ACTIVATION,
    FLAG,
    SIZE,
    Arguments,
    NativeLayer,
    Parameter,
    ShapeRule,
    Weight,
    WeightRule,
    initializer,
    keeps_steps,
    width_features,
)
from neural_attn.catalogue.spatial import (
    DATA_FORMAT,
    need_axes,
    padding_parameter,
    per_axis,
    sizes_kind,
    slid,
)
from neural_attn.catalogue.types import Dim, ShapeError, Tensor, times
from neural_attn.grammar import tree

_FILTERS = Parameter("filters", SIZE, "number of output channels")
_GROUPS = Parameter(
    "groups", SIZE, "groups of channels that are convolved separately", 1
)
_DEPTH = Parameter(
    "depth_multiplier", SIZE, "number of channels made from each channel", 1
)
_LAST = (
    Parameter("activation", ACTIVATION, "function applied last", "linear"),
    Parameter("use_bias", FLAG, "whether a bias is added", True, ("bias",)),
    DATA_FORMAT,
    initializer("kernel_initializer", "glorot_uniform"),
    initializer("bias_initializer", "zeros"),
)


def _window(axes: int) -> tuple[Parameter, Parameter]:
    kind = sizes_kind(axes)
    return (
        Parameter("kernel_size", kind, "size of the window", aliases=("kernel",)),
        Parameter("strides", kind, "step of the window", 1, ("stride",)),
    )


def _dilation(axes: int) -> Parameter:
    doc = "distance between the inputs of a window"
    return Parameter("dilation_rate", sizes_kind(axes), doc, 1, ("dilation",))


def _inputs(axes: int) -> tuple[str, ...]:
    """What a convolution takes: along time, also which steps are padding, and so 0."""
    return ("x", "attention_mask?") if axes == 1 else ("x",)


def _slid(name: str, axes: int, arguments: Arguments, x: Tensor) -> tuple[Dim, ...]:
    kernel, strides, dilation = (
        per_axis(arguments[key], axes)
        for key in ("kernel_size", "strides", "dilation_rate")
    )
    if max(strides) > 1 and max(dilation) > 1:
        raise ShapeError(
            f"{name} has strides or a dilation_rate above 1, not both",
            "TensorFlow has no such convolution",
        )
    return slid(name, x, kernel, strides, arguments["padding"], dilation)


def _with_bias(arguments: Arguments, kernel: Weight, count: int) -> tuple[Weight, ...]:
    if not arguments["use_bias"]:
        return (kernel,)
    return kernel, Weight("bias", (count,), "zeros")


# --- ordinary ------------------------------------------------------------------------


def _convolved(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes, channels=True)
        groups, filters = arguments["groups"], arguments["filters"]
        for what, count in (("filters", filters), ("channels", x.width.value)):
            if count % groups:
                raise ShapeError(
                    f"{name} cannot split {count} {what} into {groups} groups"
                )
        return x.like(x.dims[0], *_slid(name, axes, arguments, x), Dim(filters))

    return shape


def _kernel(axes: int) -> WeightRule:
    def weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
        channels = (inputs[0].width.value or 0) // arguments["groups"]
        kernel = per_axis(arguments["kernel_size"], axes)
        shape = (arguments["filters"], channels, *kernel)
        return _with_bias(arguments, Weight("weight", shape), arguments["filters"])

    return weights


def _convolution(axes: int, over: str) -> NativeLayer:
    name = f"Conv{axes}D"
    kernel_size, strides = _window(axes)
    padding = padding_parameter("causal") if axes == 1 else padding_parameter()
    return NativeLayer(
        name,
        f"Slides learned filters over {over}.",
        (_FILTERS, kernel_size, strides, padding, _dilation(axes), _GROUPS, *_LAST),
        _convolved(name, axes),
        _kernel(axes),
        width_features,
        inputs=_inputs(axes),
        keeps_time=keeps_steps if axes == 1 else False,
        aliases=(f"Convolution{axes}D",),
    )


# --- transposed ----------------------------------------------------------------------


def _transposed(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes, channels=True)
        kernel = per_axis(arguments["kernel_size"], axes)
        strides = per_axis(arguments["strides"], axes)
        dims = []
        for dim, size, stride in zip(x.dims[1:-1], kernel, strides, strict=True):
            more = 0 if arguments["padding"] == "same" else max(size - stride, 0)
            grown = None if dim.value is None else dim.value * stride + more
            same_size = stride == 1 and more == 0
            dims.append(dim if same_size else Dim(grown, None, dim.label))
        return x.like(x.dims[0], *dims, Dim(arguments["filters"]))

    return shape


def _transposed_kernel(axes: int) -> WeightRule:
    def weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
        filters = arguments["filters"]
        kernel = per_axis(arguments["kernel_size"], axes)
        shape = (inputs[0].width.value or 0, filters, *kernel)
        return _with_bias(arguments, Weight("weight", shape), filters)

    return weights


def _transpose(axes: int, over: str) -> NativeLayer:
    name = f"Conv{axes}DTranspose"
    return NativeLayer(
        name,
        f"Spreads each step by learned filters: strides enlarge {over}.",
        (_FILTERS, *_window(axes), padding_parameter(), *_LAST),
        _transposed(name, axes),
        _transposed_kernel(axes),
        width_features,
        aliases=(f"Convolution{axes}DTranspose",),
    )


# --- depthwise -----------------------------------------------------------------------


def _depthwise(name: str, axes: int) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        need_axes(name, x, axes, channels=True)
        dims = _slid(name, axes, arguments, x)
        return x.like(x.dims[0], *dims, _multiplied(x, arguments["depth_multiplier"]))

    return shape


def _multiplied(x: Tensor, count: int) -> Dim:
    """The channels, `count` of them for each; spelled so where the code can."""
    width = x.width
    if count == 1 or width.value is None:
        return width
    spelling = width.expr and times(width.expr, tree.Literal(width.expr.span, count))
    return Dim(width.value * count, spelling)


def _depthwise_kernel(axes: int) -> WeightRule:
    def weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
        count = (inputs[0].width.value or 0) * arguments["depth_multiplier"]
        kernel = per_axis(arguments["kernel_size"], axes)
        return _with_bias(arguments, Weight("weight", (count, 1, *kernel)), count)

    return weights


def _depthwise_convolution(axes: int) -> NativeLayer:
    name = f"DepthwiseConv{axes}D"
    return NativeLayer(
        name,
        "Slides learned filters over each channel separately.",
        (*_window(axes), padding_parameter(), _dilation(axes), _DEPTH, *_LAST),
        _depthwise(name, axes),
        _depthwise_kernel(axes),
        width_features,
        inputs=_inputs(axes),
        keeps_time=keeps_steps if axes == 1 else False,
    )


CONVOLUTIONS = (
    _convolution(1, "the time axis"),
    _convolution(2, "pictures"),
    _convolution(3, "volumes"),
    _transpose(1, "the time axis"),
    _transpose(2, "pictures"),
    _transpose(3, "volumes"),
    _depthwise_convolution(1),
    _depthwise_convolution(2),
)
