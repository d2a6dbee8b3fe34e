"""The numbers that the page shows for every head, one head at a time.

They are those of `neural_attn.analysis` and have its definitions (a test compares
them), computed in float32 a head at a time: the analysis holds a layer in float64,
which is too slow and too large here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURES", "Measure", "measure_head"]

Measures = dict[str, "float | None"]


class Measure(NamedTuple):
    """A number that the page knows: its key, its name and what it means."""

    key: str
    label: str
    help: str


MEASURES = (
    Measure("entropy", "Entropy", "Mean entropy of a row, in nats: 0 is one key."),
    Measure(
        "normalized_entropy",
        "Normalized entropy",
        "Entropy as a share of the greatest possible: 0 is one key, 1 is uniform.",
    ),
    Measure("max_attention", "Strongest key", "Mean of each row's greatest weight."),
    Measure(
        "diagonal_strength",
        "Diagonal strength",
        "Mean weight of a token on itself, over the mean of all weights.",
    ),
    Measure("previous", "Previous token", "Mean weight on the token just before."),
    Measure("next", "Next token", "Mean weight on the token just after."),
    Measure("first", "First key", "Mean weight on the first key."),
    Measure("distance", "Distance", "Mean distance to the attended key, in tokens."),
    Measure("mean", "Mean weight", "Mean of all weights."),
    Measure("std", "Spread", "Standard deviation of all weights."),
    Measure("min", "Least weight", "Least of all weights."),
    Measure("max", "Greatest weight", "Greatest of all weights."),
)


def measure_head(
    weights: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None,
    self_attention: bool,
) -> Measures:
    """Give every measure of one head; None where a number is not defined.

    Parameters
    ----------
    weights : float32 [queries, keys]
    allowed : bool [queries, keys] or None
        Where attending is allowed; None: everywhere.
    self_attention : bool
        Queries and keys are the same tokens, so that position means something.
    """
    queries, keys = weights.shape
    sums = weights.sum(axis=1, dtype=np.float64)
    counts = sums > 0
    if allowed is None:
        options = np.full(queries, keys)
    else:
        options = allowed.sum(axis=1)
        counts &= options > 0
    if not counts.any():
        return {measure.key: None for measure in MEASURES}
    every = bool(counts.all())
    rows = weights if every else weights[counts]
    entropy = _entropy(rows)
    options = options[counts]
    choice = options > 1
    share = entropy[choice] / np.log(options[choice])
    flat = rows.reshape(-1)
    mean = float(sums[counts].sum() / flat.size)
    # Not the mean of squares less the square of the mean: that loses the digits.
    spread = float(np.dot(flat - np.float32(mean), flat - np.float32(mean)))
    result: Measures = {
        "entropy": float(entropy.mean()),
        "normalized_entropy": float(share.mean()) if share.size else None,
        "max_attention": float(rows.max(axis=1).mean(dtype=np.float64)),
        "first": float(rows[:, 0].mean(dtype=np.float64)),
        "mean": mean,
        "std": float(np.sqrt(spread / flat.size)),
        "min": float(flat.min()),
        "max": float(flat.max()),
    }
    result.update(_positions(weights, counts, mean, self_attention))
    return {measure.key: result[measure.key] for measure in MEASURES}


def _entropy(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    # The logarithm of the least float32 stands in for that of 0: 0 ln 0 = 0.
    logarithms = np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    logarithms *= rows
    entropy: NDArray[np.float64] = -logarithms.sum(axis=1, dtype=np.float64)
    return np.maximum(entropy, 0.0)


def _positions(
    weights: NDArray[np.float32],
    counts: NDArray[np.bool_],
    mean: float,
    self_attention: bool,
) -> Measures:
    queries, keys = weights.shape
    names = ("diagonal_strength", "previous", "next", "distance")
    if not self_attention or queries != keys:
        return dict.fromkeys(names)
    diagonal = np.diagonal(weights)[counts].mean(dtype=np.float64)
    previous = np.diagonal(weights, -1)[counts[1:]]
    following = np.diagonal(weights, 1)[counts[:-1]]
    # sum_k w |q - k| for all rows at once: the sum of w over k, then k - q by its
    # sign, is two products with the positions; |q - k| itself is one small table.
    position = np.arange(queries, dtype=np.float32)
    gaps = np.abs(position[:, np.newaxis] - position)
    distance = np.einsum("qk,qk->q", weights, gaps)[counts]
    return {
        "diagonal_strength": float(diagonal / mean) if mean else None,
        "previous": float(previous.mean(dtype=np.float64)) if previous.size else None,
        "next": float(following.mean(dtype=np.float64)) if following.size else None,
        "distance": float(distance.mean(dtype=np.float64)),
    }
