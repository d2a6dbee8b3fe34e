"""A head as a small PNG: what a notebook shows of many at once."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from neural_attn.explorer.pyramid import group_head
from neural_attn.figures import palette
from neural_attn.figures.choices import DEFAULT_SCALE
from neural_attn.figures.scales import WeightNorm

__all__ = ["SIDE", "thumbnail"]

SIDE = 64  # the most cells along a side; of more, neighbours are one, their greatest
