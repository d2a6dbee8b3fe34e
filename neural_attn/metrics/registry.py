"""The registry of metrics: a row for each number that is known of a head.

Everything that names a metric is a view of these rows: the reports, the JSON, the
explorer, the pages of the docs. Adding one is a row, here or (for a share of attention
on some cells) in `pattern_scores.py`. Another package adds rows by entry points of the
group `neural_attn.metrics`, whose values are a `Metric` or several.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.extensions import load
from neural_attn.maps.entropy import divided
from neural_attn.metrics.arithmetic import divide, product, row_mean
from neural_attn.metrics.content_and_rank import content_entropy, effective_rank
from neural_attn.metrics.geometry import Geometry, same_mask
from neural_attn.metrics.one_pass import Plan, Sums, Weights, one_pass, plan_for
from neural_attn.metrics.pattern_scores import SCORES, Score
from neural_attn.metrics.sources import CLARK, GUIDE
from neural_attn.promises import NONNEGATIVE, ROWS, SHARES, Rows

__all__ = [
    "BASED", "BESIDE", "COLUMNS", "GRIDS", "GROUP", "HISTOGRAMS", "MAIN", "MEASURES",
    "OF_CLASS", "REGISTRY", "STATISTICS", "TABLE", "Looked", "Measuring", "Metric",
    "look", "look_at_rows",
]  # fmt: skip

GROUP = "neural_attn.metrics"

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Measuring:
    """What a metric is computed from: heads that share one geometry.

    `weights` is float [heads, queries, keys], one array per layer, or `Unkept`; `sums`
    what one pass over them gathered; `counts`, bool [heads, queries], the queries that
    have attention to give. NaN stands where a number is not defined.
    """

    geometry: Geometry
    weights: Sequence[Weights]
    sums: Sums
    counts: NDArray[np.bool_]

    @cached_property
    def choice(self) -> NDArray[np.bool_]:
        """Queries that count and may attend to more than one key."""
        return self.counts & (self.geometry.options > 1)

    @cached_property
    def normalized(self) -> Float:
        """Entropy as a share of that of uniform attention, [heads, queries]."""
        result: Float = self.sums.entropy / np.log(np.maximum(self.geometry.options, 2))
        return result

    @cached_property
    def seen(self) -> NDArray[np.int64]:
        """How many keys each query may attend to, where it may attend to any."""
        options = self.geometry.options
        return options[options > 0]

    @cached_property
    def content_entropy(self) -> Float:
        """Normalized entropy over ordinary keys, [heads]."""
        sums = self.sums
        entropy, mass = sums.entropy - sums.aside_entropy, sums.mass - sums.aside_mass
        return content_entropy(self.geometry, entropy, mass)

    @cached_property
    def even(self) -> Float:
        """Uniform attention over the allowed keys, [queries, keys]."""
        result: Float = self.geometry.allowed * self.share[:, np.newaxis]
        return result

    @cached_property
    def share(self) -> Float:
        """What each allowed key gets of uniform attention, [queries]."""
        result: Float = 1 / np.maximum(self.geometry.options, 1)
        return result

    @cached_property
    def readers(self) -> Float:
        """How many queries that count may attend to each key, [heads, keys]."""
        return product(self.counts.astype(np.float64), self.geometry.allowed.T)

    @cached_property
    def key_shares(self) -> Float:
        """Mean weight of each key over the queries that may attend to it; else 0."""
        return np.nan_to_num(divide(self.sums.columns, self.readers))

    @cached_property
    def top_key(self) -> tuple[Float, Float, Float, NDArray[np.int64]]:
        """Greatest mean weight of a key; its mean in shuffled rows, variance, rows."""
        return _top_key(self)


@dataclass(frozen=True)
class Looked:
    """The weights of some heads as they are, and as shares: rows divided by their sum.

    Signed rows have no `shares`; those that sum to 1 are shares as they are.
    """

    whole: Measuring
    shares: Measuring | None

    def of(self, row: Metric) -> Measuring | None:
        """What a metric is computed from; None where the rows are none of its kind."""
        if self.whole.geometry.rows not in row.rows:
            return None
        return self.shares if row.divided else self.whole

    def values(self, row: Metric) -> Float:
        """A metric of each head; NaN where it is not defined."""
        found = self.of(row)
        if found is None:
            return np.full(len(self.whole.counts), np.nan)
        return row.compute(found)

    def uniform(self, row: Metric) -> float:
        """The value of uniform attention; NaN where it is not defined."""
        found, seen = self.shares, self.whole.seen
        if row.uniform is None or self.of(row) is None or found is None:
            return np.nan
        return row.uniform(found) if seen.size else np.nan


def look(plan: Plan, weights: Sequence[Weights]) -> Looked:
    """What the metrics of heads are computed from; `weights` are as in `measure`."""
    rows = plan.geometry.rows
    if rows == SHARES:
        whole = _measuring(plan, weights)
        return Looked(whole, whole)
    whole = _measuring(plan.bare, weights)
    if rows not in NONNEGATIVE:
        return Looked(whole, None)
    shares = [divided(np.asarray(one)) for one in weights]
    return Looked(whole, _measuring(plan, shares))


def _measuring(plan: Plan, weights: Sequence[Weights]) -> Measuring:
    sums = one_pass(plan, weights)
    counts = (plan.geometry.options > 0) & sums.some
    return Measuring(plan.geometry, weights, sums, counts)


def look_at_rows(
    weights: NDArray[np.floating],
    allowed: NDArray[np.bool_],
    *,
    self_attention: bool,
    rows: Rows = SHARES,
) -> Iterator[tuple[list[int], Looked]]:
    """What metrics of whole rows are computed from, for heads of each mask in turn.

    `weights` and `allowed` are [heads, queries, keys]. No token is looked at.
    """
    queries, keys = weights.shape[1:]
    for heads, mask in same_mask(allowed):
        tokens = ("",) * queries, ("",) * keys
        geometry = Geometry(mask, *tokens, self_attention, rows)
        some = [weights if len(heads) == len(weights) else weights[heads]]
        yield heads, look(plan_for(geometry, {}), some)


@dataclass(frozen=True)
class Metric:
    """One number of a head.

    `compute` gives float64 [heads]; `uniform` the value of uniform attention under the
    same mask. `formula`, `range`, `reading` and `source` are for the pages, `help` a
    sentence for the explorer, `picture` the planted head that the page shows. Reports
    have a column for it in their table of heads; `slow` ones are computed on request.

    `rows` says which promises of rows it is for: it is not defined where they promise
    something else. With `divided`, it is computed from rows that are divided by their
    sum, where they do not sum to 1; else from the weights as they are.
    """

    name: str
    help: str
    compute: Callable[[Measuring], Float]
    formula: str = ""
    range: str = ""
    reading: str = ""
    source: str = ""
    picture: str = "uniform"
    uniform: Callable[[Measuring], float] | None = None
    place: int = 99  # among the columns of a report's table; 0: it has none
    grid: bool = False  # reports draw it by layer and head: it is from 0 to 1
    histogram: str = ""  # caption of the one that `measure` makes, where it does
    slow: bool = False
    main: bool = False  # the one that the explorer shows first
    rows: tuple[Rows, ...] = NONNEGATIVE
    divided: bool = True


def _over_all(m: Measuring, rows: Float) -> Float:
    """The sum of [heads, queries] over the queries that count, per weight in them."""
    number = m.counts.sum(axis=1) * m.geometry.keys
    return divide(np.where(m.counts, rows, 0.0).sum(axis=1), number)


def _weight_std(m: Measuring) -> Float:
    around, mean = _over_all(m, m.sums.around), _over_all(m, m.sums.mass)
    off = mean - 1 / m.geometry.keys
    spread = around - np.square(off)
    # What is left of two equal numbers is their rounding: equal weights do not vary.
    rounding = 1e-13 * (around + mean * np.abs(off))
    return np.sqrt(np.where(spread > rounding, spread, 0 * spread) + 0.0)


def _extreme(m: Measuring, rows: Float, worst: float) -> Float:
    pick = np.min if worst > 0 else np.max
    found = pick(np.where(m.counts, rows, worst), axis=1)
    return np.where(np.isfinite(found), found, np.nan)


def _top_key(m: Measuring) -> tuple[Float, Float, Float, NDArray[np.int64]]:
    """Greatest mean weight of a key, over the queries that may attend to it.

    Its mean if rows stood in random order, and its variance, are bounds: those of one
    key, and sqrt(2 ln keys) standard deviations more for choosing the greatest.
    """
    geometry, sums, counts = m.geometry, m.sums, m.counts
    enough = _often_seen(m.readers, counts.sum(axis=1))
    share = np.where(enough, m.key_shares, -np.inf)
    at = share.argmax(axis=1)
    top = share.max(axis=1)
    top[~np.isfinite(top)] = np.nan
    rows = counts & geometry.allowed[:, at].T
    options = np.maximum(geometry.options, 1)
    spread = np.maximum(sums.square - np.square(sums.mass) / options, 0.0) / options
    variance = divide(np.where(rows, spread, 0.0).sum(axis=1), rows.sum(axis=1) ** 2)
    choices = np.maximum(enough.sum(axis=1), 1)
    mean = row_mean(sums.mass / options, rows)
    most = mean + np.sqrt(2 * np.log(choices) * variance)
    return top, most, variance, rows.sum(axis=1)


def _top_of_uniform(m: Measuring) -> float:
    geometry = m.geometry
    seen = geometry.allowed.sum(axis=0)
    enough = _often_seen(seen, (geometry.options > 0).sum())
    (even,) = product(m.share[np.newaxis], geometry.allowed.T)
    top = divide(even, seen)[enough]
    return float(top.max()) if top.size else np.nan


def _often_seen(seen: NDArray[Any], queries: NDArray[Any]) -> NDArray[np.bool_]:
    """Keys that at least half of the queries may attend to.

    Under a causal mask the last ones are seen by hardly any query but themselves.
    """
    often: NDArray[np.bool_] = (seen > 0) & (2 * seen >= queries[..., np.newaxis])
    return often


def _diagonal_strength(m: Measuring) -> Float:
    if not _has_diagonal(m.geometry):
        return np.full(len(m.counts), np.nan)
    own = row_mean(m.sums.own, m.counts)
    return divide(own, row_mean(m.sums.mass / m.geometry.keys, m.counts))


def _diagonal_of_uniform(m: Measuring) -> float:
    if not _has_diagonal(m.geometry):
        return np.nan
    own = m.share @ np.diagonal(m.geometry.allowed)
    return float(own / len(m.seen) * m.geometry.keys)


def _has_diagonal(geometry: Geometry) -> bool:
    return geometry.self_attention and geometry.queries == geometry.keys


def _monotonicity(m: Measuring) -> Float:
    """Correlation of each query's position with the mean position it attends to."""
    geometry, sums, counts = m.geometry, m.sums, m.counts
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


def _rank_of_uniform(m: Measuring) -> float:
    return float(effective_rank(m.even[np.newaxis])[0])


MEASURES = (
    Metric(
        "entropy",
        "Mean entropy of a row, in nats: 0 is one key.",
        lambda m: row_mean(m.sums.entropy, m.counts),
        formula="mean over queries of -Σ_k w ln w, with 0 ln 0 = 0",
        range="0 to ln(allowed keys), in nats",
        reading=(
            "Low: few keys. It grows with the length of the text, so compare only"
            " texts of one length."
        ),
        source=f"{CLARK}; {GUIDE}",
        picture="uniform",
        uniform=lambda m: np.log(m.seen).mean(),
        place=1,
    ),
    Metric(
        "normalized_entropy",
        "Entropy as a share of the greatest possible: 0 is one key, 1 is uniform.",
        lambda m: row_mean(m.normalized, m.choice),
        formula="mean over queries with a choice of (-Σ_k w ln w) / ln(allowed keys)",
        range="0 to 1",
        reading=(
            "0: one key. 1: uniform over what the mask allows. Comparable between"
            " texts and masks."
        ),
        source="entropy as a share of its maximum (Pielou 1966)",
        picture="uniform",
        uniform=lambda m: 1.0 if (m.seen > 1).any() else np.nan,
        place=2,
        main=True,
        grid=True,
        histogram="Normalized entropy: 0 is one key, 1 is uniform",
    ),
    Metric(
        "max_weight",
        "Mean of each row's greatest weight.",
        lambda m: row_mean(m.sums.high, m.counts),
        formula="mean over queries of max_k w",
        range="1 / allowed keys to 1",
        reading="High: each query has one key that it prefers.",
        source=GUIDE,
        picture="previous_token",
        uniform=lambda m: (1 / m.seen).mean(),
        place=4,
        grid=True,
        histogram="Greatest weight",
    ),
    Metric(
        "effective_keys",
        "Mean number of keys that a row is spread over: exp(entropy).",
        lambda m: row_mean(np.exp(m.sums.entropy), m.counts),
        formula="mean over queries of exp(entropy of the row)",
        range="1 to allowed keys",
        reading=(
            "How many keys would share each row evenly at its entropy, on average over "
            "rows: more than exp of the mean entropy, where rows differ."
        ),
        source="perplexity; Hill 1973",
        picture="sparse",
        uniform=lambda m: m.seen.mean(),
        place=7,
    ),
    Metric(
        "top_key_share",
        "Share of all attention that the most attended key receives.",
        lambda m: m.top_key[0],
        formula=(
            "max_k of the mean of w[q, k] over the queries that may attend to k; "
            "only keys that at least half of the queries may attend to"
        ),
        range="1 / keys to 1",
        reading=(
            "High: all queries attend to one position, whichever it is. Its "
            "chance is a bound on the greatest of so many columns in shuffled "
            "rows, so z is too small rather than too great."
        ),
        source="attention sinks: Xiao et al. 2023, arXiv:2309.17453",
        picture="sink",
        uniform=_top_of_uniform,
        place=8,
    ),
    Metric(
        "diagonal_strength",
        "Mean weight of a token on itself, over the mean weight.",
        _diagonal_strength,
        formula="mean of w[i, i] / mean of w",
        range="0 to keys",
        reading=(
            "1 for uniform attention without a mask; a causal mask alone raises "
            "it, so compare with `uniform`."
        ),
        source=GUIDE,
        picture="same_token",
        uniform=_diagonal_of_uniform,
        place=5,
    ),
    Metric(
        "weight_mean",
        "Mean of all weights.",
        lambda m: _over_all(m, m.sums.mass),
        formula="mean of all weights in rows that have any",
        range="0 to 1, if rows are shares",
        reading=(
            "1 / keys by construction where rows sum to 1: a check of the input, not "
            "a finding."
        ),
        source=GUIDE,
        picture="uniform",
        uniform=lambda m: 1 / m.geometry.keys,
        place=0,
        rows=ROWS,
        divided=False,
    ),
    Metric(
        "weight_std",
        "Standard deviation of all weights.",
        _weight_std,
        formula="standard deviation (population) of all weights",
        range="0 to 0.5, if rows are shares",
        reading="0: all are equal. High: few large weights.",
        source=GUIDE,
        picture="previous_token",
        place=0,
        rows=ROWS,
        divided=False,
    ),
    Metric(
        "weight_min",
        "Least of all weights.",
        lambda m: _extreme(m, m.sums.low, np.inf),
        formula="least weight",
        range="0 to 1, if rows are shares",
        reading="At most 0 where anything is masked.",
        source=GUIDE,
        picture="uniform",
        place=0,
        rows=ROWS,
        divided=False,
    ),
    Metric(
        "weight_max",
        "Greatest of all weights.",
        lambda m: _extreme(m, m.sums.high, -np.inf),
        formula="greatest weight",
        range="0 to 1, if rows are shares",
        reading=(
            "One strong link anywhere makes it high; `max_weight` says whether it"
            " is the rule."
        ),
        source=GUIDE,
        picture="sparse",
        place=0,
        rows=ROWS,
        divided=False,
    ),
    Metric(
        "monotonicity",
        "Correlation of the positions of queries and of their keys.",
        _monotonicity,
        formula=(
            "correlation over queries of q with Σ_k w k / Σ_k w; cross-attention only"
        ),
        range="-1 to 1",
        reading="1: later queries attend to later keys, as in translation or speech.",
        source="monotonic alignment: Raffel et al. 2017, arXiv:1704.00784",
        picture="same_token",
        place=0,
    ),
)
_OWN_BESIDE = (
    Metric(
        "content_entropy",
        "Normalized entropy over ordinary tokens alone, without sinks.",
        lambda m: m.content_entropy,
        formula=(
            "Σ_q m_q H_q / Σ_q m_q, where m_q is the attention of query q to "
            "ordinary keys (not the first, not special) and H_q the normalized "
            "entropy within them"
        ),
        range="0 to 1",
        reading=(
            "What a head does besides resting on a sink: near 1 it spreads the "
            "rest evenly, near 0 it picks a key."
        ),
        source="entropy without [CLS] and [SEP], as Clark et al. 2019 set them aside",
        picture="mixed",
        uniform=lambda m: np.nan if np.isnan(m.content_entropy).all() else 1.0,
        place=3,
    ),
    Metric(
        "effective_rank",
        "How many directions the rows span: exp(entropy) of the singular "
        "values' shares.",
        lambda m: np.concatenate([effective_rank(np.asarray(o)) for o in m.weights]),
        formula=(
            "exp(-Σ s ln s), where s are the singular values divided by their "
            "sum; only with `--rank`"
        ),
        range="1 to min(queries, keys)",
        reading=(
            "1: all queries attend alike; low rank: what the query is hardly "
            "matters. It takes far longer than all else."
        ),
        source="Roy and Vetterli 2007",
        picture="sink",
        uniform=_rank_of_uniform,
        slow=True,
        place=9,
        rows=ROWS,
        divided=False,
    ),
)


def _from_outside() -> list[Metric]:
    """The rows of other packages; of two metrics of one name the first stays."""
    known = {*SCORES, *(row.name for row in (*MEASURES, *_OWN_BESIDE))}
    found: dict[str, Metric] = {}
    for plugin, row in load(GROUP, Metric):
        if row.name in known or row.name in found:
            told = f"the metric `{row.name}` of the plugin `{plugin}` ({GROUP})"
            warnings.warn(f"{told} is left out: there is one", stacklevel=2)
        else:
            found[row.name] = row
    return list(found.values())


# beside what one pass over the weights gives: after the scores, as `Measured` has them
BESIDE = (*_OWN_BESIDE, *_from_outside())
COLUMNS = (*(metric.name for metric in MEASURES), *SCORES)
STATISTICS = (*COLUMNS, *(metric.name for metric in BESIDE))
BASED = (*SCORES, "top_key_share")  # what has a baseline in shuffled rows
OF_CLASS = tuple(score.name for score in SCORES.values() if score.of_class)
_ROWS: list[Metric | Score] = [*MEASURES, *SCORES.values(), *BESIDE]
REGISTRY = {metric.name: metric for metric in _ROWS}
# the columns of a report's table of heads
TABLE = [row.name for row in sorted(_ROWS, key=lambda row: row.place) if row.place]
# what a page shows first
MAIN = next((row.name for row in (*MEASURES, *BESIDE) if row.main), STATISTICS[0])
GRIDS = [row.name for row in _ROWS if row.grid]
HISTOGRAMS = {row.name: row.histogram for row in MEASURES if row.histogram}
