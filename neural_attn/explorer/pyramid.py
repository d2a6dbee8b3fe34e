"""Less detail for long texts, without losing what stands out.

A head of 4,096 tokens has 16.8 million weights. It is kept as tiles of `tile` x `tile`
weights with the maximum and the mean of each: the maximum, so that one strong link
among thousands of weak ones stays visible; the mean, so that mass is not overstated.
Beside them the strongest keys of every query are kept one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINKS", "Reduced", "group_head", "reduce_head", "tile_size"]

# How many keys of every query are kept exactly.
LINKS = 8
# Rows computed at once: bounds the memory to a few megabytes for a head of any length.
BLOCK_ROWS = 512


class Reduced(NamedTuple):
    """A head with less detail.

    greatest, mean : float32 [tile rows, tile columns]
    keys : uint32 [queries, links], the strongest first
    weights : float32 [queries, links]
    """

    greatest: NDArray[np.float32]
    mean: NDArray[np.float32]
    keys: NDArray[np.uint32]
    weights: NDArray[np.float32]


def tile_size(queries: int, keys: int, longest: int) -> int:
    """Give the least power of two that leaves at most `longest` tiles on a side."""
    tile = 1
    while -(-max(queries, keys) // tile) > longest:
        tile *= 2
    return tile


def reduce_head(
    weights: NDArray[np.float32], tile: int, *, signed: bool = False
) -> Reduced:
    """Reduce weights [queries, keys]; tiles at the far edges may be smaller.

    Of `signed` weights, the greatest and strongest are so in size.
    """
    queries, keys = weights.shape
    columns = np.arange(0, keys, tile)
    widths = np.diff(np.append(columns, keys))
    links = min(LINKS, keys)
    parts: list[tuple[NDArray[np.float32], ...]] = []
    chosen_keys, chosen_weights = [], []
    step = max(tile, BLOCK_ROWS // tile * tile)
    for start in range(0, queries, step):
        block = weights[start : start + step]
        rows = np.arange(0, len(block), tile)
        heights = np.diff(np.append(rows, len(block)))
        greatest = np.maximum.reduceat(np.maximum.reduceat(block, columns, 1), rows, 0)
        if signed:
            least = np.minimum.reduceat(np.minimum.reduceat(block, columns, 1), rows, 0)
            greatest = np.where(-least > greatest, least, greatest)
        total = np.add.reduceat(np.add.reduceat(block, columns, 1), rows, 0)
        sizes = (heights[:, np.newaxis] * widths).astype(np.float32)
        mean: NDArray[np.float32] = np.divide(total, sizes, dtype=np.float32)
        parts.append((greatest, mean))
        strength = np.abs(block) if signed else block
        order = np.argpartition(strength, keys - links, axis=1)[:, keys - links :]
        values = np.take_along_axis(block, order, axis=1)
        ranking = np.argsort(
            -np.take_along_axis(strength, order, axis=1), axis=1, kind="stable"
        )
        chosen_keys.append(np.take_along_axis(order, ranking, axis=1))
        chosen_weights.append(np.take_along_axis(values, ranking, axis=1))
    return Reduced(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate(chosen_keys).astype(np.uint32),
        np.concatenate(chosen_weights),
    )


def group_head(
    weights: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Take queries and keys in groups that start at `rows` and at `columns`.

    The mean over the queries of a group, the sum over its keys: sums of rows stay.
    """
    sums = np.add.reduceat(np.add.reduceat(weights, columns, axis=1), rows, axis=0)
    sizes = np.diff(np.append(rows, len(weights)))[:, np.newaxis]
    means: NDArray[np.float32] = np.divide(sums, sizes, dtype=np.float32)
    return means
