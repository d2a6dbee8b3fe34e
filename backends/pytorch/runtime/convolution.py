"""PyTorch runtime: convolutions over x [batch, *sizes, channels], as in Keras."""

import math

import torch.nn.functional as F
from torch import nn


class Convolution(nn.Module):
    """Makes a convolution of PyTorch take channels last, and pad as Keras does.

    padding: "valid", "same" (zeros, size / stride rounded up) or "causal".
    """

    def __init__(self, in_channels, filters, kernel_size, padding="valid", **options):
        super().__init__(in_channels, filters, kernel_size, **options)
        self.border = padding

    def forward(self, x):
        """Turn x [batch, *sizes, in_channels] into [batch, *sizes, filters]."""
        x = x.movedim(-1, 1)
        x = padded(x, self.border, self.kernel_size, self.stride, self.dilation)
        return super().forward(x).movedim(1, -1)


class Conv1D(Convolution, nn.Conv1d):
    """Convolution of x [batch, time, channels]."""


class Conv2D(Convolution, nn.Conv2d):
    """Convolution of x [batch, height, width, channels]."""


class Conv3D(Convolution, nn.Conv3d):
    """Convolution of x [batch, depth, height, width, channels]."""


class DepthwiseConv1D(Conv1D):
    """Convolution of each channel of x [batch, time, channels] alone."""

    def __init__(self, in_channels, kernel_size, depth_multiplier=1, **options):
        filters = in_channels * depth_multiplier
        super().__init__(
            in_channels, filters, kernel_size, groups=in_channels, **options
        )


class DepthwiseConv2D(Conv2D):
    """Convolution of each channel of x [batch, height, width, channels] alone."""

    def __init__(self, in_channels, kernel_size, depth_multiplier=1, **options):
        filters = in_channels * depth_multiplier
        super().__init__(
            in_channels, filters, kernel_size, groups=in_channels, **options
        )


class TransposedConvolution(nn.Module):
    """Makes a transposed convolution of PyTorch take channels last, cut as in Keras.

    padding: "valid", or "same" for an output of size * stride.
    """

    def __init__(self, in_channels, filters, kernel_size, padding="valid", **options):
        super().__init__(in_channels, filters, kernel_size, **options)
        sizes = zip(self.kernel_size, self.stride, strict=True)
        self.output_padding = tuple(max(s - k, 0) for k, s in sizes)
        self.border = padding

    def forward(self, x):
        """Turn x [batch, *sizes, in_channels] into [batch, *sizes, filters]."""
        x = super().forward(x.movedim(-1, 1)).movedim(1, -1)
        if self.border == "same":
            sizes = zip(self.kernel_size, self.stride, strict=True)
            for axis, (k, s) in enumerate(sizes, start=1):
                extra = max(k - s, 0)
                x = x.narrow(axis, extra // 2, x.size(axis) - extra)
        return x


class Conv1DTranspose(TransposedConvolution, nn.ConvTranspose1d):
    """Transposed convolution of x [batch, time, channels]."""


class Conv2DTranspose(TransposedConvolution, nn.ConvTranspose2d):
    """Transposed convolution of x [batch, height, width, channels]."""


class Conv3DTranspose(TransposedConvolution, nn.ConvTranspose3d):
    """Transposed convolution of x [batch, depth, height, width, channels]."""


def hide_steps(x, mask):
    """Return x [batch, time, channels], 0 where mask [batch, 1, 1, time] hides it."""
    return x.masked_fill(~mask[:, 0, 0, :, None], 0.0)


def padded(x, padding, window, strides, dilation, value=0.0):
    """Pad the sizes of x [batch, channels, *sizes] as "same" or "causal" demand."""
    if padding == "valid":
        return x
    amounts = []
    for n, k, s, d in zip(x.shape[2:], window, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        total = max((math.ceil(n / s) - 1) * s + span - n, 0)
        before = total // 2 if padding == "same" else span - 1
        amounts.append((before, total - before if padding == "same" else 0))
    # F.pad begins with the last axis
    return F.pad(x, [n for pair in reversed(amounts) for n in pair], value=value)
