"""Keras runtime: upsampling between steps, in the precision of its input."""

import numpy as np
from keras import ops
from neural_attn.backends.tensorflow.runtime.pooling import per_axis


# TensorFlow resizes pictures in float32, whatever arrives.
def upsample(x, size, interpolation="nearest"):
    """Enlarge x [batch, *sizes, channels]: repeat steps, or draw lines (bilinear)."""
    for axis, factor in enumerate(per_axis(size, len(x.shape) - 2), start=1):
        if interpolation == "nearest":
            x = ops.repeat(x, factor, axis=axis)
            continue
        last = x.shape[axis] - 1
        at = np.clip((np.arange((last + 1) * factor) + 0.5) / factor - 0.5, 0, last)
        before = at.astype(int)
        share = (at - before).reshape(-1, *[1] * (len(x.shape) - axis - 1))
        after = ops.take(x, np.minimum(before + 1, last), axis=axis)
        # as a symbol where x is one: Keras takes a product with others for sparse
        share = ops.zeros_like(after) + ops.cast(share, x.dtype)
        x = ops.take(x, before, axis=axis) * (1 - share) + after * share
    return x


def check_length(x, max_len):
    """Refuse x [batch, time, ...] of more than `max_len` steps."""
    if x.shape[1] is not None and x.shape[1] > max_len:
        raise ValueError(f"{x.shape[1]} steps are more than max_len, {max_len}")
