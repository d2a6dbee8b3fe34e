"""Shape arithmetic of layers that slide a window over axes with the channels last."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.catalogue.base import Kind, Parameter, need_numbers
from neural_attn.catalogue.types import Dim, ShapeError, Tensor

AXES = {1: "time", 2: "height, width", 3: "depth, height, width"}

DATA_FORMAT = Parameter(
    "data_format",
    Kind("str", choices=("channels_last",)),
    "the language keeps channels last",
    "channels_last",
)


def sizes_kind(axes: int, *, optional: bool = False) -> Kind:
    """One whole number for each of `axes` axes, or one for all."""
    return Kind("sizes", axes=axes, optional=optional)


def padding_parameter(*choices: str) -> Parameter:
    """How the borders are padded."""
    return Parameter(
        "padding",
        Kind("str", choices=("valid", "same", *choices)),
        "none (valid), or zeros so that a stride of 1 keeps the size (same)",
        "valid",
    )


def per_axis(value: object, axes: int) -> tuple[int, ...]:
    """One number for each axis, from one number for all or a tuple."""
    sizes = value if isinstance(value, tuple) else (value,)
    return sizes * axes if len(sizes) == 1 else sizes


def need_axes(layer: str, x: Tensor, axes: int, *, channels: bool = False) -> None:
    """Refuse all but (batch, `axes` axes, channels). Raises ShapeError.

    With `channels`, their number must be known.
    """
    need_numbers(layer, x)
    if x.rank != axes + 2:
        one_short = x.rank == axes + 1 and axes > 1
        sizes = ", ".join([*map(str, x.dims[1:]), "1"])
        hint = f"with one channel the input is ({sizes})" if one_short else ""
        message = f"{layer} needs (batch, {AXES[axes]}, channels), but gets {x}"
        raise ShapeError(message, hint)
    if channels and x.width.value is None:
        raise ShapeError(f"{layer} needs a known number of channels, but gets {x}")


def slid(
    layer: str,
    x: Tensor,
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int],
) -> tuple[Dim, ...]:
    """The axes between batch and channels after a window slid over them.

    The lengths are Keras': "same" and "causal" give size / stride, rounded up.
    Raises ShapeError where the window is larger than the input.
    """
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    axes = x.dims[1:-1]
    if padding == "valid" and any(
        dim.value is not None and span > dim.value
        for dim, span in zip(axes, spans, strict=True)
    ):
        raise too_large(layer, spans, x)
    dims = []
    for dim, span, stride in zip(axes, spans, strides, strict=True):
        if stride == 1 and (padding != "valid" or span == 1):
            dims.append(dim)
        elif dim.value is None:
            dims.append(Dim(None, None, dim.label))
        else:
            room = dim.value if padding != "valid" else dim.value - span + 1
            dims.append(Dim(-(-room // stride)))
    return tuple(dims)


def too_large(layer: str, spans: Sequence[int], x: Tensor) -> ShapeError:
    """The error for a window that does not fit in; shows both sizes."""
    window = " x ".join(map(str, spans))
    sizes = " x ".join(map(str, x.dims[1:-1]))
    first_is_channels = x.rank > 3 and x.dims[1].value in (1, 3, 4)
    hint = (
        "channels come last: write (28, 28, 1), not (1, 28, 28)"
        if first_is_channels
        else 'padding="same" would pad the borders with zeros'
    )
    return ShapeError(f"the window of {layer} is {window}, its input {sizes}", hint)
