"""What a kernel's mask hides, in the words of a map: padding, causal, or each cell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HIDDEN", "Mask", "simplest"]

# What is added to a score to hide a key: -inf, the least number of a precision (float16
# has -65504), or -10000 in older code. The steepest ALiBi reaches it at 10,000 tokens.
HIDDEN = -9999.0


class Mask(NamedTuple):
    """The two arguments of `AttentionMap` that say what is hidden.

    `allowed` broadcasts to the weights of the heads it was read for.
    """

    allowed: NDArray[np.bool_] | None
    causal: bool


def simplest(allowed: NDArray[np.bool_], queries: int, keys: int) -> Mask:
    """Say what a mask [batch, heads, queries, keys] hides in as few words as can be.

    A mask that hides the keys after each query is causal, where the last query stands
    at the last key; what it hides of the others is padding, where that is the same for
    all queries. Axes of 1 broadcast.
    """
    allowed = _alike(_alike(allowed, axis=1), axis=2)
    if allowed.shape[2] == 1:  # all queries see the same
        return Mask(None if allowed.all() else allowed, causal=False)
    earlier = np.tri(queries, keys, keys - queries, dtype=bool)
    causal = not bool((allowed & ~earlier).any())
    if causal:
        padding = np.logical_or.reduce(allowed, axis=2, keepdims=True)
        if (allowed == (earlier & padding)).all():
            return Mask(None if padding.all() else padding, causal=True)
    return Mask(allowed, causal)


def _alike(allowed: NDArray[Any], axis: int) -> NDArray[Any]:
    """One of an axis, where all are the same."""
    one = allowed.take([0], axis)
    return one if (allowed == one).all() else allowed
