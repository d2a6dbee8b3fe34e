"""Sums and quotients that the measures need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["divide", "product", "row_mean"]

Float = NDArray[np.float64]

_UNTHREADED = 200_000  # multiplications; OpenBLAS uses threads above 262,144


def product(one: Float, other: NDArray[Any]) -> Float:
    """`one @ other.T` in pieces for which OpenBLAS starts no threads.

    So small a product takes less time than its threads take to meet, far less where
    other processes use the cores.
    """
    step = max(16, _UNTHREADED // (len(one) * max(len(other), 1)))
    result = np.zeros((len(one), len(other)))
    for start in range(0, one.shape[1], step):
        at = slice(start, start + step)
        result += one[:, at] @ np.asarray(other[:, at], dtype=np.float64).T
    return result


def row_mean(rows: Float, counts: NDArray[np.bool_]) -> Float:
    """Mean of [heads, queries] over the queries that count; NaN where none does."""
    return divide(np.where(counts, rows, 0.0).sum(axis=1), counts.sum(axis=1))


def divide(above: Float, below: NDArray[np.generic]) -> Float:
    """`above / below`, NaN where `below` is 0."""
    result: Float = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=np.asarray(below != 0))
    return result
