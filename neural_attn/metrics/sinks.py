"""Which keys are sinks: they draw weight from nearly every query, whatever it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_sinks"]

# A mean weight so many times an even share, within these bounds, is a sink's.
TIMES_EVEN, LEAST, MOST = 8.0, 0.15, 0.5


def find_sinks(weights: NDArray[np.floating]) -> NDArray[np.intp]:
    """Places of the keys of one head whose mean weight is far above an even share.

    That is 8 of it, but at least 0.15 and at most 0.5. Where every key is one, none
    is. The explorer has the same rule (`findSinks` in `transform.js`).

    Parameters
    ----------
    weights : float [queries, keys]
        Rows that sum to 1: what a share of a row is, others do not say.
    """
    keys = weights.shape[1]
    limit = max(LEAST, min(MOST, TIMES_EVEN / keys))
    # in float64, and divided last, as the page does
    sinks = np.flatnonzero(
        weights.sum(axis=0, dtype=np.float64) / len(weights) >= limit
    )
    return sinks if len(sinks) < keys else sinks[:0]
