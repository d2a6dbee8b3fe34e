"""NumPy runtime: pooling of x [batch, *sizes, channels]."""

import numpy as np
from neural_attn.backends.numpy.runtime.convolution import (
    padded,
    per_axis,
    sliding_windows,
)
from neural_attn.backends.numpy.runtime.core import Layer


class Pooling(Layer):
    """Slides a window over the sizes; padding is "valid" or "same", as in Keras."""

    def __init__(self, pool_size, strides=None, padding="valid"):
        self.pool_size, self.strides, self.padding = pool_size, strides, padding

    def windows(self, x, border):
        """View x [batch, *sizes, channels] as [batch, *positions, channels, window]."""
        axes = x.ndim - 2
        window = per_axis(self.pool_size, axes)
        strides = window if self.strides is None else per_axis(self.strides, axes)
        x = padded(x, self.padding, window, strides, (1,) * axes, border)
        view = sliding_windows(x, window, strides, (1,) * axes)
        return view.reshape(*view.shape[: x.ndim], -1)


class MaxPooling(Pooling):
    """Maximum of each window."""

    def forward(self, x):
        """Pool x [batch, *sizes, channels]."""
        return self.windows(x, -np.inf).max(axis=-1)


class AveragePooling(Pooling):
    """Mean of each window, of what is not padding."""

    def forward(self, x):
        """Pool x [batch, *sizes, channels]."""
        inside = np.ones((1, *x.shape[1:-1], 1), x.dtype)
        count = self.windows(inside, 0).sum(axis=-1)
        return self.windows(x, 0).sum(axis=-1) / count


def adaptive_mean(x, output_size):
    """Mean of nearly equal windows: x [batch, *sizes, channels] to `output_size`."""
    for axis, size in enumerate(per_axis(output_size, x.ndim - 2), start=1):
        first, last = adaptive_bounds(x.shape[axis], size)
        at = np.arange(x.shape[axis])
        share = ((at >= first) & (at < last)) / (last - first)
        x = np.moveaxis(x, axis, -1) @ share.T.astype(x.dtype)
        x = np.moveaxis(x, -1, axis)
    return x


def adaptive_max(x, output_size):
    """Maximum of nearly equal windows: x [batch, *sizes, channels] to `output_size`."""
    for axis, size in enumerate(per_axis(output_size, x.ndim - 2), start=1):
        first, last = adaptive_bounds(x.shape[axis], size)
        # a short window repeats its last step
        at = np.minimum(first + np.arange((last - first).max()), last - 1)
        x = x.take(at, axis=axis).max(axis=axis + 1)
    return x


def adaptive_bounds(length, size):
    """Return where each of `size` windows begins and ends: two columns [size, 1]."""
    i = np.arange(size)[:, None]
    return i * length // size, -(-(i + 1) * length // size)
