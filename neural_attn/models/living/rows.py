"""Weights that are made a few rows at a time: little beside them is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "RowsOf", "all_rows", "blocks_of_rows"]

# Weights computed at once: 16 MB in float32. In smaller blocks the cores wait for each
# other, as benchmarks/capture.py shows.
BLOCK = 1 << 22

# rows of one example, float32 [heads, rows, keys]
RowsOf: TypeAlias = Callable[[int, slice], NDArray[np.float32]]


def blocks_of_rows(shape: tuple[int, int, int, int]) -> Iterator[tuple[int, slice]]:
    """The examples of a shape [batch, heads, queries, keys], and rows of each.

    Those of all heads are computed at once.
    """
    batch, heads, queries, keys = shape
    step = max(1, BLOCK // (heads * keys))
    for example in range(batch):
        for row in range(0, queries, step):
            yield example, slice(row, min(row + step, queries))


def all_rows(make: RowsOf, shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The weights of a shape [batch, heads, queries, keys], made block by block."""
    found = np.empty(shape, np.float32)
    for example, rows in blocks_of_rows(shape):
        found[example, :, rows] = make(example, rows)
    return found
