"""Local attention [batch, heads, queries, w + 1] as the square map that it stands for.

Column c of row q is the key q - w / 2 + c (Longformer: Beltagy et al. 2020,
arXiv:2004.05150). What would lie before the first key or after the last is exactly 0,
which tells a window from cross-attention.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_window", "unroll"]


def is_window(weights: NDArray[Any]) -> bool:
    """Whether weights [batch, heads, queries, columns] can only be of local windows."""
    queries, columns = weights.shape[2:]
    if columns % 2 == 0 or columns < 3 or columns >= 2 * queries:
        return False
    inside = _keys(queries, columns)
    outside = (inside < 0) | (inside >= queries)
    return not weights[:, :, outside].any() and bool(weights[:, :, ~outside].any())


def unroll(weights: NDArray[Any]) -> NDArray[Any]:
    """The weights by key, [batch, heads, queries, queries]; 0 beyond the window."""
    batch, heads, queries, columns = weights.shape
    keys = _keys(queries, columns)
    inside = (keys >= 0) & (keys < queries)
    rows = np.broadcast_to(np.arange(queries)[:, np.newaxis], keys.shape)
    whole = np.zeros((batch, heads, queries, queries), weights.dtype)
    whole[:, :, rows[inside], keys[inside]] = weights[:, :, inside]
    return whole


def _keys(queries: int, columns: int) -> NDArray[np.int64]:
    """The key of each cell, also where there is none, [queries, columns]."""
    offsets = np.arange(columns) - columns // 2
    found: NDArray[np.int64] = np.arange(queries)[:, np.newaxis] + offsets
    return found
