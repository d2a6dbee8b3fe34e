"""How heads differ between two groups of texts, as effect sizes and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neural_attn.analysis.running_statistics import Tally
from neural_attn.analysis.significance import holm
from neural_attn.analysis.type_table import SIGNIFICANT
from neural_attn.metrics.measure import STATISTICS

__all__ = ["Difference", "compare_groups", "t_quantile", "t_tail"]


@dataclass(frozen=True)
class Difference:
    """One metric of one head in two groups: second minus first.

    `low` and `high` bound the difference with 95 % confidence (Welch, 1947);
    `effect` is Hedges' g, the difference in standard deviations, with its own 95 %
    interval; `p_corrected` is Holm's over all heads and metrics compared.
    """

    map: str
    head: int
    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    effect: float
    effect_low: float
    effect_high: float
    p: float
    p_corrected: float

    @property
    def significant(self) -> bool:
        """Whether the corrected p is evidence of a difference."""
        return self.p_corrected < SIGNIFICANT


def compare_groups(
    first: Mapping[str, Tally], second: Mapping[str, Tally]
) -> list[Difference]:
    """Compare every metric of every head; the greatest effect first.

    A metric takes part where both groups have at least two texts with it, and it
    varies. The unit is the text: tokens of one text are not independent.
    """
    found = [
        one
        for name in first
        if name in second
        for one in _compare(name, first[name], second[name])
    ]
    if not found:
        return []
    corrected = holm(np.array([[one.p] for one in found]))[:, 0]
    result = [
        Difference(**{**vars(one), "p_corrected": float(p)})
        for one, p in zip(found, corrected, strict=True)
    ]
    return sorted(result, key=lambda one: -abs(one.effect))


def _compare(name: str, first: Tally, second: Tally) -> Iterator[Difference]:
    one, two = first.values, second.values
    enough = (one.count > 1) & (two.count > 1) & (one.squares + two.squares > 1e-18)
    for head, column in np.argwhere(enough).tolist():
        n1, n2 = float(one.count[head, column]), float(two.count[head, column])
        v1 = float(one.squares[head, column]) / (n1 - 1)
        v2 = float(two.squares[head, column]) / (n2 - 1)
        mean1, mean2 = float(one.mean[head, column]), float(two.mean[head, column])
        error = v1 / n1 + v2 / n2
        freedom = error**2 / ((v1 / n1) ** 2 / (n1 - 1) + (v2 / n2) ** 2 / (n2 - 1))
        apart = mean2 - mean1
        margin = t_quantile(0.975, freedom) * math.sqrt(error)
        effect, effect_error = _hedges(apart, v1, v2, n1, n2)
        p = min(1.0, 2 * t_tail(abs(apart) / math.sqrt(error), freedom))
        yield Difference(
            name, head, STATISTICS[column], mean1, mean2, apart, apart - margin,
            apart + margin, effect, effect - 1.959964 * effect_error,
            effect + 1.959964 * effect_error, p, p,
        )  # fmt: skip


def _hedges(
    apart: float, v1: float, v2: float, n1: float, n2: float
) -> tuple[float, float]:
    """Hedges' g (1981) and its standard error."""
    total = n1 + n2 - 2
    pooled = math.sqrt(((n1 - 1) * v1 + (n2 - 1) * v2) / total)
    g = (1 - 3 / (4 * total - 1)) * apart / pooled
    return g, math.sqrt((n1 + n2) / (n1 * n2) + g**2 / (2 * (n1 + n2)))


def t_tail(t: float, freedom: float) -> float:
    """Chance that Student's t is above t, t >= 0."""
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def t_quantile(share: float, freedom: float) -> float:
    """The t above which 1 - share lies, for shares of 0.5 or more."""
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > 1 - share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if t_tail(middle, freedom) > 1 - share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, fraction, c, d = 1e-300, 1.0, 1.0, 0.0
    for step in range(400):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        fraction *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (fraction - 1)
