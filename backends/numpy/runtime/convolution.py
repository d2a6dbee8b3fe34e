"""NumPy runtime: convolutions over x [batch, *sizes, channels]."""

import math

import numpy as np
from neural_attn.backends.numpy.runtime.core import Layer
from numpy.lib.stride_tricks import sliding_window_view


class Convolution(Layer):
    """Convolution with weight [filters, in_channels / groups, *kernel], bias [filters].

    padding: "valid", "same" (zeros, size / stride rounded up) or "causal".
    """

    axes = 2

    def __init__(
        self,
        in_channels,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        dilation_rate=1,
        groups=1,
        use_bias=True,
    ):
        kernel = per_axis(kernel_size, self.axes)
        self.strides = per_axis(strides, self.axes)
        self.dilation = per_axis(dilation_rate, self.axes)
        self.padding, self.groups = padding, groups
        shape = (filters, in_channels // groups, *kernel)
        self.weight = np.zeros(shape, np.float32)
        self.bias = np.zeros(filters, np.float32) if use_bias else None

    def forward(self, x):
        """Turn x [batch, *sizes, in_channels] into [batch, *sizes, filters]."""
        kernel = self.weight.shape[2:]
        x = padded(x, self.padding, kernel, self.strides, self.dilation)
        x = convolve(x, self.weight, self.strides, self.dilation, self.groups)
        return x if self.bias is None else x + self.bias


class Conv1D(Convolution):
    """Convolution of x [batch, time, channels]."""

    axes = 1


class Conv2D(Convolution):
    """Convolution of x [batch, height, width, channels]."""

    axes = 2


class Conv3D(Convolution):
    """Convolution of x [batch, depth, height, width, channels]."""

    axes = 3


class DepthwiseConv2D(Convolution):
    """Convolution of each channel alone: weight [channels * multiplier, 1, *kernel]."""

    axes = 2

    def __init__(self, in_channels, kernel_size, depth_multiplier=1, **options):
        filters = in_channels * depth_multiplier
        super().__init__(
            in_channels, filters, kernel_size, groups=in_channels, **options
        )


class DepthwiseConv1D(DepthwiseConv2D):
    """Convolution of each channel of x [batch, time, channels] alone."""

    axes = 1


class TransposedConvolution(Layer):
    """Transposed convolution, with weight [in_channels, filters, *kernel].

    padding: "valid", or "same" for an output of size * stride.
    """

    axes = 2

    def __init__(
        self,
        in_channels,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        use_bias=True,
    ):
        kernel = per_axis(kernel_size, self.axes)
        self.strides, self.padding = per_axis(strides, self.axes), padding
        self.weight = np.zeros((in_channels, filters, *kernel), np.float32)
        self.bias = np.zeros(filters, np.float32) if use_bias else None

    def forward(self, x):
        """Turn x [batch, *sizes, in_channels] into [batch, *sizes, filters]."""
        kernel = self.weight.shape[2:]
        # Zeros between the inputs, and around them: then it is a convolution.
        axes = list(zip(x.shape[1:-1], kernel, self.strides, strict=True))
        apart = [(n - 1) * s + 1 for n, _, s in axes]
        spread = np.zeros((len(x), *apart, x.shape[-1]), x.dtype)
        places = (slice(None), *(slice(None, None, s) for s in self.strides))
        spread[places] = x
        around = [(k - 1, k - 1 + max(s - k, 0)) for _, k, s in axes]
        spread = np.pad(spread, [(0, 0), *around, (0, 0)])
        turned = np.flip(self.weight, tuple(range(2, x.ndim))).swapaxes(0, 1)
        x = convolve(spread, turned, (1,) * self.axes, (1,) * self.axes)
        if self.padding == "same":
            cut = [(max(k - s, 0) // 2, n * s) for n, k, s in axes]
            window = (slice(None), *(slice(first, first + n) for first, n in cut))
            x = x[window]
        return x if self.bias is None else x + self.bias


class Conv1DTranspose(TransposedConvolution):
    """Transposed convolution of x [batch, time, channels]."""

    axes = 1


class Conv2DTranspose(TransposedConvolution):
    """Transposed convolution of x [batch, height, width, channels]."""

    axes = 2


class Conv3DTranspose(TransposedConvolution):
    """Transposed convolution of x [batch, depth, height, width, channels]."""

    axes = 3


def hide_steps(x, mask):
    """Return x [batch, time, channels], 0 where mask [batch, 1, 1, time] hides it."""
    return np.where(mask[:, 0, 0, :, None], x, 0)


def per_axis(value, axes):
    """Return one number per axis, from one for all or a sequence of them."""
    return (value,) * axes if np.isscalar(value) else tuple(value)


def padded(x, padding, window, strides, dilation, value=0):
    """Pad the sizes of x [batch, *sizes, channels] as "same" or "causal" demand."""
    if padding == "valid":
        return x
    amounts = []
    for n, k, s, d in zip(x.shape[1:-1], window, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        total = max((math.ceil(n / s) - 1) * s + span - n, 0)
        before = total // 2 if padding == "same" else span - 1
        amounts.append((before, total - before if padding == "same" else 0))
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=value)


def sliding_windows(x, window, strides, dilation):
    """View x [batch, *sizes, channels] as [batch, *positions, channels, *window]."""
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    view = sliding_window_view(x, spans, axis=tuple(range(1, x.ndim - 1)))
    steps = (slice(None, None, s) for s in strides)
    inside = (slice(None, None, d) for d in dilation)
    window = (slice(None), *steps, slice(None), *inside)
    return view[window]


def convolve(x, weight, strides, dilation, groups=1):
    """Convolve x [batch, *sizes, channels], without padding.

    weight: [filters, channels / groups, *kernel].
    """
    windows = sliding_windows(x, weight.shape[2:], strides, dilation)
    positions = windows.shape[: x.ndim - 1]
    # [groups, batch * positions, inputs] @ [groups, inputs, filters / groups]
    windows = windows.reshape(math.prod(positions), groups, -1).swapaxes(0, 1)
    kernel = weight.reshape(groups, len(weight) // groups, -1).swapaxes(1, 2)
    result = np.matmul(windows, kernel).swapaxes(0, 1)
    return result.reshape(*positions, len(weight))
