"""Which examples make a batch: those of like length, in an order of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from neural_attn.trainer.examples import Batch, Examples

_POOL = (
    50  # batches whose examples are sorted together: few tokens of padding, much chance
)


def batches(
    examples: Examples, size: int, order: tuple[int, int] | None = None
) -> Iterator[Batch]:
    """All examples once, `size` at a time.

    `order` is the seed and the number of the epoch, which alone say which examples
    stand together and which batch comes when; None: as they stand in the data.
    """
    for rows in chosen(examples.lengths, size, order):
        yield examples.batch(rows)


def chosen(
    lengths: NDArray[np.int64], size: int, order: tuple[int, int] | None
) -> list[NDArray[np.int64]]:
    """The rows of each batch."""
    rows = np.arange(len(lengths))
    if order is None:
        return [rows[i : i + size] for i in range(0, len(rows), size)]
    random = np.random.default_rng(list(order))
    rows = random.permutation(len(lengths))
    found = []
    for start in range(0, len(rows), size * _POOL):
        pool = rows[start : start + size * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        found += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [found[i] for i in random.permutation(len(found))]


def by_length(examples: Examples) -> Examples:
    """The examples from short to long, to be measured with little padding."""
    return examples.part(np.argsort(examples.lengths, kind="stable"))
