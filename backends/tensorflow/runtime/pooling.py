"""Keras runtime: pooling of x [batch, *sizes, channels] to a given size."""

import numpy as np
from keras import ops


def adaptive_mean(x, output_size):
    """Mean of nearly equal windows: x [batch, *sizes, channels] to `output_size`."""
    for axis, size in enumerate(per_axis(output_size, len(x.shape) - 2), start=1):
        first, last = adaptive_bounds(x.shape[axis], size)
        at = np.arange(x.shape[axis])
        share = ((at >= first) & (at < last)) / (last - first)
        x = ops.matmul(ops.moveaxis(x, axis, -1), ops.cast(share.T, x.dtype))
        x = ops.moveaxis(x, -1, axis)
    return x


def adaptive_max(x, output_size):
    """Maximum of nearly equal windows: x [batch, *sizes, channels] to `output_size`."""
    for axis, size in enumerate(per_axis(output_size, len(x.shape) - 2), start=1):
        first, last = adaptive_bounds(x.shape[axis], size)
        # a short window repeats its last step
        at = np.minimum(first + np.arange((last - first).max()), last - 1)
        x = ops.max(ops.take(x, at, axis=axis), axis=axis + 1)
    return x


def adaptive_bounds(length, size):
    """Return where each of `size` windows begins and ends: two columns [size, 1]."""
    i = np.arange(size)[:, None]
    return i * length // size, -(-(i + 1) * length // size)


def per_axis(value, axes):
    """Return one number per axis, from one for all or a sequence of them."""
    return (value,) * axes if isinstance(value, int) else tuple(value)
