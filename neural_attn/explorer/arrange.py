"""An order of a head's codes in which like stands beside like, so that it packs small.

Attention is much the same along a column (a key that all attend to), along a row (a
query that spreads its weight) and along a diagonal (the token before). Each of these
gets a rank, and the codes are written by the sum of the ranks of their row, column and
diagonal. The order is all that the ranks decide: whatever they are, the codes come
back exactly. On the attention of MiniLM this saves a sixth of the bytes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranks", "arrange", "restore"]

# More ranks tell apart what is alike already, and cost more than that saves.
CLASSES = 32
# Added to each share, as 0 has no logarithm.
FAINTEST = 1 / 1024
# What a rank costs, about, once it is packed.
BITS_OF_A_RANK = 5


class Ranks(NamedTuple):
    """A number for each row, column and diagonal, that of the least row - column first.

    rows : uint8 [rows]
    columns : uint8 [columns]
    diagonals : uint8 [rows + columns - 1]
    """

    rows: NDArray[np.uint8]
    columns: NDArray[np.uint8]
    diagonals: NDArray[np.uint8]


def arrange(
    codes: NDArray[np.uint8], shares: NDArray[np.float64]
) -> tuple[Ranks, NDArray[np.uint8]]:
    """Rank rows, columns and diagonals of codes [rows, columns], and order the codes.

    `shares` are what the codes stand for. Where nothing is gained all ranks are 0, and
    the order is that of the rows.
    """
    rows, columns = codes.shape
    # Small weights differ by factors: their logarithms are what adds up.
    levels = np.log(shares + FAINTEST).astype(np.float32)[codes]
    levels -= levels.mean(dtype=np.float64)
    of_rows = levels.mean(axis=1)
    of_columns = levels.mean(axis=0)
    expected = of_rows[:, np.newaxis] + of_columns
    of_diagonals = _diagonal_means(levels - expected)
    expected += _along_diagonals(of_diagonals, rows, columns)
    ranks = [np.zeros(n, np.uint8) for n in (rows, columns, rows + columns - 1)]
    if _gain(levels, expected) < BITS_OF_A_RANK * sum(map(len, ranks)):
        return Ranks(*ranks), codes.reshape(-1)
    step = (expected.max() - expected.min()) / CLASSES
    for number, means in enumerate((of_rows, of_columns, of_diagonals)):
        ranks[number] = np.minimum((means - means.min()) / step, 255).astype(np.uint8)
    found = Ranks(*ranks)
    return found, codes.reshape(-1)[_order(found)]


def restore(ranks: Ranks, ordered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give back codes [rows, columns] from what `arrange` returned."""
    codes = np.empty_like(ordered)
    codes[_order(ranks)] = ordered
    return codes.reshape(len(ranks.rows), len(ranks.columns))


def _order(ranks: Ranks) -> NDArray[np.intp]:
    rows, columns, diagonals = (rank.astype(np.uint16) for rank in ranks)
    sums = _along_diagonals(diagonals, len(rows), len(columns)) + columns
    sums += rows[:, np.newaxis]
    return np.argsort(sums, axis=None, kind="stable")


def _gain(levels: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Bits that are saved, about, where what is expected is known: of normal levels."""
    rest = levels - expected
    before, after = float(np.vdot(levels, levels)), float(np.vdot(rest, rest))
    if not before:
        return 0.0
    return levels.size / 2 * math.log2(before / max(after, before * 1e-9))


def _diagonal_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each diagonal, from that of the last column to that of the first."""
    rows, columns = values.shape
    # Rows that are longer by `rows` than they are read: each starts one place further.
    slanted = np.zeros((rows, rows + columns), np.float32)
    slanted[:, :columns] = values[:, ::-1]
    count = rows + columns - 1
    sums = slanted.reshape(-1)[: rows * count].reshape(rows, count).sum(axis=0)
    position = np.arange(count)
    lengths = np.minimum(position + 1, count - position)
    lengths = np.minimum(lengths, min(rows, columns))
    means: NDArray[np.float32] = np.divide(sums, lengths, dtype=np.float32)
    return means


def _along_diagonals(numbers: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """The number of its diagonal in every cell: a view [rows, columns]."""
    return np.lib.stride_tricks.sliding_window_view(numbers, columns)[:rows, ::-1]
