"""Whether attention looks ahead, and what its rows sum to: read off the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.promises import PARTS, SHARES, Rows

__all__ = ["looks_causal", "missing_mass", "promise_of"]

Flags = NDArray[np.bool_]

TOLERANCE = 0.01  # as for rows that must sum to 1


def looks_causal(weights: NDArray[Any], real: Flags) -> bool:
    """Whether no weight, in any head of any example, goes to a later key.

    Parameters
    ----------
    weights : float [batch, heads, queries, keys]
        With fewer queries than keys, the last query stands at the last key.
    real : bool [batch, queries]
        Rows that are not padding; the others are not looked at.
    """
    queries, keys = weights.shape[2:]
    if not 1 < queries <= keys:
        return False
    offset = keys - queries
    real = real[:, np.newaxis]
    for row in range(queries - 1):
        ahead = weights[:, :, row, row + offset + 1 :].any(axis=2)
        if (ahead & real[..., row]).any():
            return False
    # A diagonal has nothing on either side of it, and tells nothing.
    earlier = (
        (weights[:, :, row, : row + offset].any(axis=2) & real[..., row]).any()
        for row in range(1, queries)
    )
    return any(earlier)


def promise_of(weights: NDArray[Any], real: Flags) -> Rows:
    """Say "parts" where each row that is not padding sums to something, none above 1.

    So it is with a learned sink. Rows that all sum to 1, and all else, are "shares".
    """
    sums = _sums(weights, real)
    if not sums.size or sums.min() <= 0 or sums.max() > 1 + TOLERANCE:
        return SHARES
    return PARTS if sums.min() < 1 - TOLERANCE else SHARES


def missing_mass(weights: NDArray[Any], real: Flags) -> float:
    """What rows lack of 1, in the mean."""
    return 1 - float(_sums(weights, real).mean())


def _sums(weights: NDArray[Any], real: Flags) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = weights.sum(axis=3, dtype=np.float64)
    return sums[np.broadcast_to(real[:, np.newaxis], sums.shape)]
