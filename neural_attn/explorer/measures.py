"""The numbers that the page shows for every head.

They are those of `neural_attn.analysis`, all of them where the maps are small enough
that they take no longer than the page itself; else those that one pass in float32, a
head at a time, gives at once (`measure_head`; a test compares the two).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.geometry import geometries
from neural_attn.metrics.measure import measure, plan_for
from neural_attn.metrics.registry import BESIDE, REGISTRY, STATISTICS

__all__ = [
    "QUICK",
    "Measure",
    "analyze_example",
    "describe_heads",
    "describe_measures",
    "measure_head",
]

Measures = dict[str, "float | None"]


class Measure(NamedTuple):
    """A number that the page knows: its key, its name and what it means."""

    key: str
    label: str
    help: str


_SLOW = {metric.name for metric in BESIDE if metric.slow}
_RANKED = 64  # tokens: singular values of longer texts take longer than the page
QUICK = (
    "entropy",
    "normalized_entropy",
    "max_weight",
    "diagonal_strength",
    "previous_token",
    "next_token",
    "same_token",
    "first_token",
    "distance",
    "weight_mean",
    "weight_std",
    "weight_min",
    "weight_max",
)


def describe_measures(keys: Sequence[str]) -> list[Measure]:
    """Name and explain the measures of `keys`, in the order of the analysis."""
    described = []
    for key in (column for column in STATISTICS if column in keys):
        label = key.replace("_", " ").capitalize()
        described.append(Measure(key, label, REGISTRY[key].help))
    return described


def analyze_example(maps: AttentionMaps, index: int) -> dict[str, list[Measures]]:
    """Give every metric of the analysis for each head of each map, for one example."""
    items = [maps.item(name, index) for name in maps]
    result: dict[str, list[Measures]] = {
        item.name: [{} for _ in item.head_indices] for item in items
    }
    for geometry, places in geometries(items):
        weights = [items[number].weights[heads] for number, heads in places]
        rank = max(geometry.queries, geometry.keys) <= _RANKED
        found = measure(plan_for(geometry), weights, rank=rank)
        rows = iter(np.hstack([found.values, found.extra]).tolist())
        for number, heads in places:
            for head in heads:
                values = dict(zip(STATISTICS, next(rows), strict=True))
                result[items[number].name][head] = {
                    key: None if math.isnan(value) else value
                    for key, value in values.items()
                    if rank or key not in _SLOW
                }
    return result


def describe_heads(maps: AttentionMaps) -> dict[str, list[str]]:
    """Say in a sentence what each head does, over all examples."""
    analyzer = Analyzer()
    analyzer.add(maps)
    sentences: dict[str, list[str]] = {name: [] for name in maps}
    for head in analyzer.heads():
        sentences[head.map].append(head.sentence)
    return sentences


def measure_head(
    weights: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None,
    self_attention: bool,
) -> Measures:
    """Give the measures of `QUICK` of one head; None where a number is not defined.

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
        return dict.fromkeys(QUICK)
    rows = weights if counts.all() else weights[counts]
    entropy = _entropy(rows)
    choice = options[counts] > 1
    share = entropy[choice] / np.log(options[counts][choice])
    mean = float(sums[counts].sum() / rows.size)
    # Not the mean of squares less the square of the mean: that loses the digits.
    flat = rows.reshape(-1) - np.float32(mean)
    result: Measures = {
        "entropy": float(entropy.mean()),
        "normalized_entropy": float(share.mean()) if share.size else None,
        "max_weight": float(rows.max(axis=1).mean(dtype=np.float64)),
        "weight_mean": mean,
        "weight_std": math.sqrt(float(np.dot(flat, flat)) / flat.size),
        "weight_min": float(rows.min()),
        "weight_max": float(rows.max()),
    }
    result |= _positions(weights, allowed, counts & (options > 1), self_attention)
    diagonal = None
    if self_attention and queries == keys and mean:
        diagonal = float(np.diagonal(weights)[counts].mean(dtype=np.float64) / mean)
    result["diagonal_strength"] = diagonal
    return {key: result[key] for key in QUICK}


def _entropy(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    # The logarithm of the least float32 stands in for that of 0: 0 ln 0 = 0.
    logarithms = np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    logarithms *= rows
    entropy: NDArray[np.float64] = -logarithms.sum(axis=1, dtype=np.float64)
    return np.maximum(entropy, 0.0)


def _positions(
    weights: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None,
    choice: NDArray[np.bool_],
    self_attention: bool,
) -> Measures:
    """The scores by position: of the queries that may attend to it or elsewhere."""
    first = choice if allowed is None else choice & allowed[:, 0]
    result: Measures = {"first_token": _mean(weights[:, 0], first)}
    offsets = {"previous_token": -1, "next_token": 1, "same_token": 0}
    if not self_attention or len(weights) != weights.shape[1]:
        return result | dict.fromkeys([*offsets, "distance"])
    for name, offset in offsets.items():
        start, stop = max(0, -offset), len(weights) - max(0, offset)
        counts = choice[start:stop]
        if allowed is not None:
            counts = counts & np.diagonal(allowed, offset)
        result[name] = _mean(np.diagonal(weights, offset), counts)
    position = np.arange(len(weights), dtype=np.float32)
    gaps = np.abs(position[:, np.newaxis] - position)
    result["distance"] = _mean(np.einsum("qk,qk->q", weights, gaps), choice)
    return result


def _mean(values: NDArray[np.float32], counts: NDArray[np.bool_]) -> float | None:
    return float(values[counts].mean(dtype=np.float64)) if counts.any() else None
