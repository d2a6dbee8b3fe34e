"""A head as a small PNG: what a notebook shows of many at once."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from neural_attn.explorer.pyramid import reduce_head, tile_size
from neural_attn.figures import palette
from neural_attn.figures.choices import DEFAULT_SCALE
from neural_attn.figures.scales import WeightNorm

__all__ = ["MOST_CELLS", "thumbnail"]

MOST_CELLS = 64  # along a side; of more, neighbours are one, the greatest of them


def thumbnail(weights: NDArray[np.float32], top: float, *, signed: bool = False) -> str:
    """Draw the weights [queries, keys] of a head; `top` is the end of the scale.

    Returns
    -------
    str
        A `data:` address of a PNG with a pixel for each cell, viridis on the default
        scale; signed weights from orange to blue.
    """
    queries, keys = weights.shape
    tile = tile_size(queries, keys, MOST_CELLS)
    if tile > 1:
        weights = reduce_head(weights, tile, signed=signed).greatest
    places = WeightNorm(DEFAULT_SCALE, top, signed=signed)(weights)
    stream = BytesIO()
    colors = palette.colormap(signed=signed)(places, bytes=True)
    imsave(stream, np.ascontiguousarray(colors[..., :3]), format="png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
