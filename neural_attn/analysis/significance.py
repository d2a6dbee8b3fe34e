"""Whether a pattern is more than chance: scores against shuffled rows, as z and p.

The null hypothesis is that every row's weights stand in random order over the keys
that the query may attend to. Its mean is, for rows that sum to 1, exactly the score of
uniform attention under the same mask; its variance is known in closed form (see
`measure.py`), so that nothing is sampled. p is a bound that holds for any number of
rows (Bennett, 1962): the normal tail would call a single row that has all its weight on
one of 20 keys p < 1e-5, where one row in 20 has that by chance.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.running_statistics import Tally
from neural_attn.metrics.measure import BASED, STATISTICS

__all__ = ["holm", "p_values", "wilson", "z_scores"]

Float = NDArray[np.float64]


CONFIDENCE = 0.95  # that all the intervals that stand together hold

# Weights are float32: differences of this size per text are rounding, not attention.
_ROUNDING = 1e-6


_COLUMNS = [STATISTICS.index(name) for name in BASED]


def z_scores(tally: Tally) -> tuple[Float, Float]:
    """Means under the null hypothesis, and z, both float64 [heads, BASED].

    NaN where a score is not defined. `top_key_share` is the greatest of many columns:
    its mean and variance are bounds, so that its z is too small rather than too great.
    """
    count = tally.values.count[:, _COLUMNS]
    there = count > 0
    observed = tally.values.mean[:, _COLUMNS] * count
    apart = observed - tally.expected
    scale = np.sqrt(tally.variance)
    rounding = np.abs(apart) <= _ROUNDING * count * np.maximum(tally.expected, 1.0)
    # Equal weights have no order: whatever is left is rounding.
    z = np.divide(apart, scale, out=np.zeros_like(apart), where=~rounding & (scale > 0))
    null = np.divide(
        tally.expected, count, out=np.full(count.shape, np.nan), where=there
    )
    return null, np.where(there, z, np.nan)


def p_values(z: Float, tally: Tally) -> Float:
    """Bound the chance of such a z or a greater one, or for `distance` approximate it.

    A row's share is at most 1, so that one of the n rows of a text moves their mean by
    at most 1 / n, and the sum over texts by b = 1 / `fewest`. Of two bounds on the tail
    of such a sum, the smaller: by its variance (Bennett, 1962) and by its mean and the
    number of rows (Hoeffding, 1963, theorem 1), which knows how few they are. A
    distance has no such steps; its p is the two-sided tail of the normal distribution.

    `z` and the result are float64 [heads, BASED]; NaN stays. Less than chance: p = 1.
    """
    step = np.where(tally.rows > 0, 1 / tally.fewest, 1.0)
    above = np.maximum(z, 0.0) * np.sqrt(tally.variance)
    result = np.minimum(
        _bennett(above / step, tally.variance / np.square(step)),
        _hoeffding(above / step, tally.expected / step, np.maximum(tally.rows, 1.0)),
    )
    at = BASED.index("distance")
    result[:, at] = [math.erfc(abs(x) / math.sqrt(2)) for x in z[:, at]]
    return np.where(np.isnan(z), np.nan, result)


def _bennett(above: Float, variance: Float) -> Float:
    """exp(-V h(t / V)), h(u) = (1 + u) ln(1 + u) - u, for terms of at most 1."""
    safe = np.where(variance > 0, variance, 1.0)
    u = above / safe
    bound: Float = np.exp(-safe * ((1 + u) * np.log1p(u) - u))
    return bound


def _hoeffding(above: Float, expected: Float, rows: Float) -> Float:
    """exp(-n KL(x, mean)), the mean of n terms of 0 to 1 being x, above its mean."""
    tiny = np.finfo(float).tiny
    mean = np.clip(expected / rows, tiny, 1.0)
    share = np.clip((expected + above) / rows, mean, 1.0)
    left, rest = np.maximum(1 - share, 0.0), np.maximum(1 - mean, tiny)
    apart = share * np.log(share / mean) + left * np.log(np.maximum(left, tiny) / rest)
    bound: Float = np.exp(-rows * np.maximum(apart, 0.0))
    return bound


def holm(p: Float) -> Float:
    """Correct p for the number of heads, column by column (Holm, 1979).

    `p` is float64 [heads, …]; NaN stays and does not count. The chance that any head
    without the pattern is called significant stays below the limit.
    """
    result = np.full(p.shape, np.nan)
    for column in range(p.shape[1]):
        there = np.flatnonzero(~np.isnan(p[:, column]))
        order = there[np.argsort(p[there, column], kind="stable")]
        factors = np.arange(len(order), 0, -1)
        stepped = np.maximum.accumulate(p[order, column] * factors)
        result[order, column] = np.minimum(stepped, 1.0)
    return result


def wilson(share: float, count: float, together: int = 1) -> tuple[float, float]:
    """The interval of a share of `count` (Wilson, 1927), one of so many `together`.

    With the limit divided by their number (Bonferroni), all intervals hold together.
    """
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * together))
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
