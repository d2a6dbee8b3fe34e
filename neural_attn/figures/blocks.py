"""Maps of long texts with less detail: a cell for each block of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.figures.reading import read_tokens
from neural_attn.figures.token_labels import readable
from neural_attn.maps.attention_maps import AttentionItem

__all__ = ["Blocks", "blocks_of"]

TOKEN_LENGTH = 11  # of the two tokens in a block's label


@dataclass(frozen=True)
class Blocks:
    """The rows and columns of one map in blocks of `size` positions, or as they are."""

    item: AttentionItem
    size: int

    @property
    def cells(self) -> int:
        """How many blocks there are."""
        queries, keys = map(int, self.item.weights.shape[1:])
        return -(-queries // self.size) * -(-keys // self.size)

    def greatest(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The greatest weight of [queries, keys] in each block; if signed, in size.

        The greatest, so that one strong link among thousands stays visible.
        """
        if self.size == 1:
            return weights
        high = self._reduced(weights, np.maximum)
        if weights.min() >= 0:
            return high
        low = self._reduced(weights, np.minimum)
        return np.where(-low > high, low, high)

    def any_allowed(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a mask leaves anything of each block."""
        return allowed if self.size == 1 else self._reduced(allowed, np.logical_or)

    def labels(self, tokens: tuple[str, ...]) -> list[tuple[str, str]]:
        """The positions of each row or column, and the tokens there."""
        tokens = read_tokens(tokens).shown
        starts = range(0, len(tokens), self.size)
        groups = [tokens[start : start + self.size] for start in starts]
        return [
            (str(start), group[0])
            if len(group) == 1
            else (f"{start}–{start + len(group) - 1}", _between(group))
            for start, group in zip(starts, groups, strict=True)
        ]

    def _reduced(self, cells: NDArray[Any], function: np.ufunc) -> NDArray[Any]:
        rows, columns = (np.arange(0, length, self.size) for length in cells.shape)
        in_rows: NDArray[Any] = function.reduceat(cells, rows, 0)
        reduced: NDArray[Any] = function.reduceat(in_rows, columns, 1)
        return reduced


def _between(tokens: tuple[str, ...]) -> str:
    first, last = (readable(one, TOKEN_LENGTH) for one in (tokens[0], tokens[-1]))
    return f"{first}…{last}"


def blocks_of(item: AttentionItem, most: int) -> Blocks:
    """A map in blocks of the least size that leaves at most `most` on a side."""
    return Blocks(item, -(-max(item.weights.shape[1:]) // most))
