"""Measures every head of one text, from a single pass over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.arithmetic import divide, product, row_mean
from neural_attn.metrics.content_and_rank import EXTRA, extras
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.one_pass import Plan, Sums, one_pass, plan_for
from neural_attn.metrics.pattern_scores import SCORES

__all__ = [
    "BASED",
    "BINS",
    "COLUMNS",
    "METRICS",
    "STATISTICS",
    "Measured",
    "Plan",
    "measure",
    "plan_for",
]

Float = NDArray[np.float64]

# Metrics that are not sums over a target; definitions in docs/metrics.md.
METRICS = (
    "entropy",
    "normalized_entropy",
    "max_weight",
    "effective_keys",
    "top_key_share",
    "diagonal_strength",
    "weight_mean",
    "weight_std",
    "weight_min",
    "weight_max",
    "monotonicity",
)
COLUMNS = (*METRICS, *SCORES)
STATISTICS = (*COLUMNS, *EXTRA)
BASED = (*SCORES, "top_key_share")  # what has a baseline in shuffled rows
BINS = 20  # of the histograms of normalized entropy and greatest weight, on 0 … 1


@dataclass(frozen=True)
class Measured:
    """The numbers of one text; NaN where a number is not defined.

    `values` is float64 [heads, COLUMNS], `extra` [heads, EXTRA]. `expected` and
    `variance`, float64 [heads, BASED], are those of each score if every row's weights
    stood in random order. `uniform` [COLUMNS] and `extra_uniform` [EXTRA] are the
    values of uniform attention under the same mask. The histograms, int64 [heads,
    BINS], count queries.
    """

    values: Float
    extra: Float
    expected: Float
    variance: Float
    uniform: Float
    extra_uniform: Float
    entropy_histogram: NDArray[np.int64]
    maximum_histogram: NDArray[np.int64]


def measure(
    plan: Plan, weights: Sequence[NDArray[np.floating]], *, rank: bool = False
) -> Measured:
    """Measure heads that share one geometry.

    Parameters
    ----------
    weights : float [heads, queries, keys], one array per layer
        Heads may differ in number. Masked cells must be 0.
    rank : also the effective rank, which takes far longer than all else
    """
    geometry = plan.geometry
    sums = one_pass(plan, weights)
    counts = (geometry.options > 0) & (sums.mass > 0)
    options = geometry.options
    normalized = sums.entropy / np.log(np.maximum(options, 2))
    choice = counts & (options > 1)
    values = np.full((len(sums.mass), len(COLUMNS)), np.nan)
    rows = {
        "entropy": row_mean(sums.entropy, counts),
        "normalized_entropy": row_mean(normalized, choice),
        "max_weight": row_mean(sums.high, counts),
        "effective_keys": row_mean(np.exp(sums.entropy), counts),
        "diagonal_strength": _diagonal_strength(geometry, weights, sums, counts),
        "monotonicity": _monotonicity(geometry, sums, counts),
        **_distribution(sums, counts, geometry.keys),
    }
    for name, column in rows.items():
        values[:, COLUMNS.index(name)] = column
    expected, variance = _scores(plan, sums, counts, values)
    top, expected[:, -1], variance[:, -1] = _top_key(geometry, sums, counts)
    values[:, COLUMNS.index("top_key_share")] = top
    ordinary = sums.entropy - sums.aside_entropy, sums.mass - sums.aside_mass
    extra, extra_uniform = extras(geometry, weights, *ordinary, rank=rank)
    return Measured(
        values,
        extra,
        expected,
        variance,
        _uniform(geometry, plan),
        extra_uniform,
        _histogram(normalized, choice),
        _histogram(sums.high, counts),
    )


def _scores(
    plan: Plan, sums: Sums, counts: NDArray[np.bool_], values: Float
) -> tuple[Float, Float]:
    """Fill the scores in; their mean and variance over orders of each row's weights.

    For weights w in random order over n keys, sum(w T) has the mean sum(w) mean(T)
    and the variance S(w) S(T) / (n - 1), where S is the sum of squared deviations
    (Hoeffding, 1951). Rows are shuffled independently of each other.
    """
    options = np.maximum(plan.geometry.options, 1)
    number = product(counts.astype(np.float64), plan.rows)
    spread = np.maximum(sums.square - np.square(sums.mass) / options, 0.0)
    mean = divide(product(sums.mass, plan.rows * plan.mean), number)
    variance = divide(product(spread, plan.rows * plan.spread), np.square(number))
    score = divide(sums.scores, number)
    everything = np.full((2, len(values), len(BASED)), np.nan)
    order = list(SCORES)
    for index, name in enumerate(plan.names):
        if name in SCORES:
            values[:, COLUMNS.index(name)] = score[:, index]
            everything[0, :, order.index(name)] = mean[:, index]
            everything[1, :, order.index(name)] = variance[:, index]
    return everything[0], everything[1]


def _distribution(sums: Sums, counts: NDArray[np.bool_], keys: int) -> dict[str, Float]:
    number = counts.sum(axis=1) * keys
    mean = divide(np.where(counts, sums.mass, 0.0).sum(axis=1), number)
    square = divide(np.where(counts, sums.square, 0.0).sum(axis=1), number)
    low = np.where(counts, sums.low, np.inf).min(axis=1)
    high = np.where(counts, sums.high, -np.inf).max(axis=1)
    return {
        "weight_mean": mean,
        "weight_std": np.sqrt(np.maximum(square - np.square(mean), 0.0)),
        "weight_min": np.where(np.isfinite(low), low, np.nan),
        "weight_max": np.where(np.isfinite(high), high, np.nan),
    }


def _top_key(
    geometry: Geometry, sums: Sums, counts: NDArray[np.bool_]
) -> tuple[Float, Float, Float]:
    """Greatest mean weight of a key, over the queries that may attend to it.

    Its mean if rows stood in random order, and its variance, are bounds: those of one
    key, and sqrt(2 ln keys) standard deviations more for choosing the greatest.
    """
    seen = product(counts.astype(np.float64), geometry.allowed.T.astype(np.float64))
    enough = _often_seen(seen, counts.sum(axis=1))
    share = np.where(enough, divide(sums.columns, seen), -np.inf)
    at = share.argmax(axis=1)
    top = share.max(axis=1)
    top[~np.isfinite(top)] = np.nan
    rows = counts & geometry.allowed[:, at].T
    options = np.maximum(geometry.options, 1)
    spread = np.maximum(sums.square - np.square(sums.mass) / options, 0.0) / options
    variance = divide(np.where(rows, spread, 0.0).sum(axis=1), rows.sum(axis=1) ** 2)
    choices = np.maximum(enough.sum(axis=1), 1)
    mean = row_mean(sums.mass / options, rows)
    return top, mean + np.sqrt(2 * np.log(choices) * variance), variance


def _top_of_uniform(geometry: Geometry) -> float:
    seen = geometry.allowed.sum(axis=0)
    enough = _often_seen(seen, (geometry.options > 0).sum())
    rows = geometry.allowed / np.maximum(geometry.options, 1)[:, np.newaxis]
    top = divide(rows.sum(axis=0), seen)[enough]
    return float(top.max()) if top.size else np.nan


def _often_seen(seen: NDArray[Any], queries: NDArray[Any]) -> NDArray[np.bool_]:
    """Keys that at least half of the queries may attend to.

    Under a causal mask the last ones are seen by hardly any query but themselves.
    """
    often: NDArray[np.bool_] = (seen > 0) & (2 * seen >= queries[..., np.newaxis])
    return often


def _diagonal_strength(
    geometry: Geometry,
    weights: Sequence[NDArray[np.floating]],
    sums: Sums,
    counts: NDArray[np.bool_],
) -> Float:
    if not geometry.self_attention or geometry.queries != geometry.keys:
        return np.full(len(sums.mass), np.nan)
    diagonal = np.concatenate([np.diagonal(one, axis1=1, axis2=2) for one in weights])
    own = row_mean(diagonal.astype(np.float64), counts)
    return divide(own, row_mean(sums.mass / geometry.keys, counts))


def _monotonicity(geometry: Geometry, sums: Sums, counts: NDArray[np.bool_]) -> Float:
    """Correlation of each query's position with the mean position it attends to."""
    if geometry.self_attention:
        return np.full(len(sums.mass), np.nan)
    center = divide(sums.center, sums.mass)
    number = counts.sum(axis=1, keepdims=True)
    mean = divide(np.where(counts, center, 0.0).sum(axis=1, keepdims=True), number)
    position = np.broadcast_to(np.arange(geometry.queries), counts.shape)
    middle = divide((position * counts).sum(axis=1, keepdims=True) * 1.0, number)
    dy = np.where(counts, center - mean, 0.0)
    dx = np.where(counts, position - middle, 0.0)
    scale = np.sqrt(np.square(dx).sum(axis=1) * np.square(dy).sum(axis=1))
    # Centers that differ by rounding alone have no order to speak of.
    flat = np.abs(dy).max(axis=1, initial=0.0) < 1e-6 * geometry.keys
    return divide(np.where(flat, 0.0, (dx * dy).sum(axis=1)), np.where(flat, 1, scale))


def _histogram(rows: Float, counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    bins = np.clip((rows * BINS).astype(np.int64), 0, BINS - 1)
    bins += BINS * np.arange(len(rows))[:, np.newaxis]
    found = np.bincount(bins[counts], minlength=BINS * len(rows))
    return found.reshape(len(rows), BINS).astype(np.int64)


def _uniform(geometry: Geometry, plan: Plan) -> Float:
    """What uniform attention over the allowed keys would give."""
    result = np.full(len(COLUMNS), np.nan)
    options = geometry.options[geometry.options > 0]
    if not options.size:
        return result
    rows = geometry.allowed / np.maximum(geometry.options, 1)[:, np.newaxis]
    flat = {
        "entropy": np.log(options).mean(),
        "max_weight": (1 / options).mean(),
        "effective_keys": options.mean(),
        "top_key_share": _top_of_uniform(geometry),
    }
    if (options > 1).any():
        flat["normalized_entropy"] = 1.0
    if geometry.self_attention and geometry.queries == geometry.keys:
        diagonal = np.diagonal(rows).sum() / len(options)
        flat["diagonal_strength"] = diagonal * geometry.keys
    for index, name in enumerate(plan.names):
        if name in SCORES:
            number = plan.rows[index].sum()
            flat[name] = (plan.rows[index] * plan.mean[index]).sum() / number
    for name, value in flat.items():
        result[COLUMNS.index(name)] = value
    return result
