"""PyTorch runtime: pooling of x [batch, *sizes, channels], as in Keras."""

import math

import torch
import torch.nn.functional as F
from neural_attn.backends.pytorch.runtime.convolution import padded
from torch import nn


class MaxPooling(nn.Module):
    """Maximum of each window; padding is "valid" or "same"."""

    def __init__(self, pool_size, stride=None, padding="valid"):
        super().__init__()
        self.pool_size, self.stride, self.padding = pool_size, stride, padding

    def forward(self, x):
        """Pool x [batch, *sizes, channels]."""
        x = x.movedim(-1, 1)
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
        return self.slide(pool, x, -math.inf).movedim(1, -1)

    def slide(self, pool, x, border):
        """Apply a pooling function to x [batch, channels, *sizes]."""
        axes = x.ndim - 2
        window = per_axis(self.pool_size, axes)
        stride = window if self.stride is None else per_axis(self.stride, axes)
        return pool(
            padded(x, self.padding, window, stride, (1,) * axes, border), window, stride
        )


class AveragePooling(MaxPooling):
    """Mean of each window, of what is not padding."""

    def forward(self, x):
        """Pool x [batch, *sizes, channels]."""
        x = x.movedim(-1, 1)
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.ndim - 3]
        inside = self.slide(pool, torch.ones_like(x[:1, :1]), 0.0)
        return (self.slide(pool, x, 0.0) / inside).movedim(1, -1)


def per_axis(value, axes):
    """Return one number per axis, from one for all or a sequence of them."""
    return (value,) * axes if isinstance(value, int) else tuple(value)
