"""NumPy runtime: upsampling, permuting, noise, products along axes."""

import numpy as np
from neural_attn.backends.numpy.runtime.convolution import per_axis
from neural_attn.backends.numpy.runtime.core import Layer


class GaussianNoise(Layer):
    """Stands where a model has noise while it is trained."""

    def __init__(self, stddev):
        self.stddev = stddev

    def forward(self, x):
        """Return x: NumPy models are not trained."""
        return x


def upsample(x, size, interpolation="nearest"):
    """Enlarge x [batch, *sizes, channels]: repeat steps, or draw lines (bilinear)."""
    for axis, factor in enumerate(per_axis(size, x.ndim - 2), start=1):
        if interpolation == "nearest":
            x = x.repeat(factor, axis=axis)
            continue
        last = x.shape[axis] - 1
        at = (np.arange(x.shape[axis] * factor) + 0.5) / factor - 0.5
        at = np.clip(at, 0, last)
        before = at.astype(int)
        share = (at - before).astype(x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
        after = x.take(np.minimum(before + 1, last), axis=axis)
        x = x.take(before, axis=axis) * (1 - share) + after * share
    return x


def permute(x, dims):
    """Put the axes after the batch in the order `dims`, counted from 1."""
    return x.transpose(0, *dims)


def batch_dot(x, y, axes, normalize=False):
    """Sum products along one axis of x and of y, for each of the batch.

    axes: one axis for both, or a pair. normalize: vectors get length 1 first.
    """
    first, second = axes if isinstance(axes, (tuple, list)) else (axes, axes)
    x, y = np.moveaxis(x, first, -1), np.moveaxis(y, second, -1)
    if normalize:
        x = x / np.sqrt(np.maximum((x * x).sum(axis=-1, keepdims=True), 1e-12))
        y = y / np.sqrt(np.maximum((y * y).sum(axis=-1, keepdims=True), 1e-12))
    rest = x.shape[1:-1] + y.shape[1:-1] or (1,)
    x, y = (z.reshape(len(z), -1, z.shape[-1]) for z in (x, y))
    return (x @ y.swapaxes(1, 2)).reshape(len(x), *rest)


def check_length(x, max_len):
    """Refuse x [batch, time, ...] of more than `max_len` steps."""
    if x.shape[1] > max_len:
        raise ValueError(f"{x.shape[1]} steps are more than max_len, {max_len}")
