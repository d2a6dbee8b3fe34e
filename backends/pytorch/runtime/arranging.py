"""PyTorch runtime: upsampling, permuting, noise, products along axes."""

import torch
import torch.nn.functional as F
from neural_attn.backends.pytorch.runtime.pooling import per_axis
from torch import nn


class SpatialDropout(nn.Dropout):
    """Dropout of whole channels (Tompson et al., 2015)."""

    def forward(self, x):
        """Drop channels of x [batch, *sizes, channels] while training."""
        between = [1] * (x.ndim - 2)
        return x * super().forward(x.new_ones(x.size(0), *between, x.size(-1)))


class GaussianNoise(nn.Module):
    """Adds normal noise while training."""

    def __init__(self, stddev):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        """Disturb x, of any shape."""
        return x + self.stddev * torch.randn_like(x) if self.training else x


def upsample(x, size, interpolation="nearest"):
    """Enlarge x [batch, *sizes, channels]: repeat steps, or draw lines (bilinear)."""
    factors = per_axis(size, x.ndim - 2)
    if interpolation == "bilinear":
        factors = tuple(float(factor) for factor in factors)
        larger = F.interpolate(x.movedim(-1, 1), scale_factor=factors, mode="bilinear")
        return larger.movedim(1, -1)
    for axis, factor in enumerate(factors, start=1):
        x = x.repeat_interleave(factor, dim=axis)
    return x


def permute(x, dims):
    """Put the axes after the batch in the order `dims`, counted from 1."""
    return x.permute(0, *dims)


def batch_dot(x, y, axes, normalize=False):
    """Sum products along one axis of x and of y, for each of the batch.

    axes: one axis for both, or a pair. normalize: vectors get length 1 first.
    """
    first, second = axes if isinstance(axes, (tuple, list)) else (axes, axes)
    x, y = x.movedim(first, -1), y.movedim(second, -1)
    if normalize:
        x = x / x.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()
        y = y / y.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()
    rest = x.shape[1:-1] + y.shape[1:-1] or (1,)
    x, y = (z.reshape(z.size(0), -1, z.size(-1)) for z in (x, y))
    return (x @ y.transpose(1, 2)).reshape(x.size(0), *rest)


def check_length(x, max_len):
    """Refuse x [batch, time, ...] of more than `max_len` steps."""
    if x.size(1) > max_len:
        raise ValueError(f"{x.size(1)} steps are more than max_len, {max_len}")
