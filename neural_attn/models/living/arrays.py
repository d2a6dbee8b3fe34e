"""Calls of attention as NumPy's arrays: of frameworks other than PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.models.living.masks import Mask, simplest
from neural_attn.models.living.rows import RowsOf, all_rows
from neural_attn.models.living.unread import UnreadError
from neural_attn.promises import PARTS, SHARES, Rows

__all__ = ["ArrayScores", "ArrayWeights"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayScores:
    """Attention by queries and keys: softmax(scale q · k + bias) where `allowed`.

    `query` is [batch, heads, queries, size] and `key` [batch, key heads, keys, size],
    float32 or float64; key heads may be shared by groups of heads. `allowed`, bool, and
    `bias` have four axes and broadcast.

    Raises UnreadError for no weights at all.
    """

    query: Array
    key: Array
    scale: float
    allowed: NDArray[np.bool_] | None = None
    bias: Array | None = None

    def __post_init__(self) -> None:
        if 0 in self.shape or self.query.shape[1] % self.key.shape[1]:
            raise UnreadError

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all weights: batch, heads, queries, keys."""
        return (*self.query.shape[:3], self.key.shape[2])

    @property
    def rows(self) -> Rows:
        """What rows promise: those of a softmax are shares."""
        return SHARES

    def read_mask(self, heads: Sequence[int]) -> Mask:
        """Where attending is allowed, as maps say it."""
        return _simplest(_of_heads(self.allowed, heads), self.shape)

    def weights(self, heads: Sequence[int]) -> NDArray[np.float32]:
        """The exact weights of some heads, float32 [batch, heads, queries, keys]."""
        batch, _, queries, keys = self.shape
        return all_rows(self.rows_of(heads), (batch, len(heads), queries, keys))

    def rows_of(self, heads: Sequence[int]) -> RowsOf:
        """What makes some rows of one example."""
        shared = self.query.shape[1] // self.key.shape[1]
        at = np.asarray(heads)
        query, key = self.query[:, at], self.key[:, at // shared]
        bias, allowed = _of_heads(self.bias, heads), _of_heads(self.allowed, heads)

        def make(example: int, rows: slice) -> NDArray[np.float32]:
            scores = query[example, :, rows] @ np.swapaxes(key[example], 1, 2)
            scores *= self.scale
            if bias is not None:
                scores += _cut(bias, example, rows)
            shown = None if allowed is None else _cut(allowed, example, rows)
            return _softmax(scores, shown)

        return make


@dataclass(frozen=True)
class ArrayWeights:
    """Weights [batch, heads, queries, keys] that a layer gave, and its mask."""

    given: Array
    allowed: NDArray[np.bool_] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all weights: batch, heads, queries, keys."""
        return self.given.shape

    @property
    def rows(self) -> Rows:
        """Parts where a row lacks what a sink took."""
        sums = self.given.sum(-1, dtype=np.float32)
        return PARTS if ((sums < 0.99) & (sums > 1e-4)).any() else SHARES

    def read_mask(self, heads: Sequence[int]) -> Mask:
        """Where attending is allowed, as maps say it."""
        return _simplest(_of_heads(self.allowed, heads), self.shape)

    def weights(self, heads: Sequence[int]) -> NDArray[np.float32]:
        """The weights of some heads; 0 where a query may attend to nothing."""
        found = self.given[:, np.asarray(heads)].astype(np.float32)
        allowed = _of_heads(self.allowed, heads)
        if allowed is not None:
            found *= allowed.any(-1, keepdims=True)
        return found

    def rows_of(self, heads: Sequence[int]) -> RowsOf:
        """What takes some rows of one example; all of them are there."""
        found = self.weights(heads)
        return lambda example, rows: found[example, :, rows]


def _simplest(allowed: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Mask:
    return Mask(None, False) if allowed is None else simplest(allowed, *shape[2:])


def _of_heads(array: Array | None, heads: Sequence[int]) -> Any:
    """What broadcasts to the weights, of some heads."""
    if array is None or array.shape[1] == 1:
        return array
    return array[:, np.asarray(heads)]


def _cut(array: Array, example: int, rows: slice) -> Array:
    """What broadcasts to the weights, of some rows of one example."""
    of_one: Array = array[example if len(array) > 1 else 0]
    return of_one if of_one.shape[1] == 1 else of_one[:, rows]


def _softmax(scores: Array, allowed: Array | None) -> NDArray[np.float32]:
    """Over the last axis, in place; 0 where nothing may be attended to."""
    if allowed is not None:
        scores[~np.broadcast_to(allowed, scores.shape)] = -np.inf
    most = scores.max(-1, keepdims=True)
    scores -= np.where(np.isfinite(most), most, 0)
    np.exp(scores, out=scores)
    total = scores.sum(-1, keepdims=True)
    scores /= np.where(total > 0, total, 1)
    return scores.astype(np.float32, copy=False)
