"""Which heads do the same: Jensen-Shannon distance, and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.maps.entropy import entropy

__all__ = ["Divergences", "cluster", "jensen_shannon", "js_divergence"]

Float = NDArray[np.float64]

CLUSTER_DISTANCE = 0.25  # heads nearer than this, on average, do the same


def js_divergence(weights: NDArray[np.floating], rows: int = 16) -> Float:
    """Mean Jensen-Shannon divergence of the rows of every two heads, in bits.

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2, from 0 (equal) to 1 (apart); Lin,
    1991. Between heads of a network: Clark et al., 2019.

    Parameters
    ----------
    weights : float [heads, queries, keys]
    rows : how many queries to compare, evenly spaced; fewer are all compared

    Returns
    -------
    float64 [heads, heads], symmetric, 0 on the diagonal
    """
    step = -(-weights.shape[1] // max(rows, 1))
    some = weights[:, step // 2 :: step] if step > 1 else weights
    some = np.ascontiguousarray(some, dtype=np.float32)
    heads = len(some)
    own = entropy(some)
    result = np.zeros((heads, heads))
    for head in range(heads - 1):
        others = slice(head + 1, None)
        apart = jensen_shannon(some[others], some[head], own[others], own[head])
        result[head, others] = apart.mean(axis=1, dtype=np.float64)
    result = np.maximum(result, 0.0) / np.log(2)  # rounding, and nats to bits
    both: Float = result + result.T
    return both


def jensen_shannon(
    p: NDArray[np.floating],
    q: NDArray[np.floating],
    of_p: NDArray[np.floating],
    of_q: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Jensen-Shannon divergence of rows, float [..., keys] to [...], in nats.

    `of_p` and `of_q` are their entropies. Rounding may give a number just below 0.
    """
    return entropy((p + q) / 2) - (of_p + of_q) / 2


@dataclass
class Divergences:
    """Running mean of divergences between heads over texts; parts merge."""

    total: Float
    count: NDArray[np.int64]

    @classmethod
    def empty(cls, heads: int) -> Divergences:
        """Take nothing yet."""
        shape = (heads, heads)
        return cls(np.zeros(shape), np.zeros(shape, dtype=np.int64))

    def add(self, found: Float, at: Sequence[int]) -> None:
        """Count the divergences of one text between the heads at `at`."""
        self.total[np.ix_(at, at)] += found
        self.count[np.ix_(at, at)] += 1

    def merge(self, other: Divergences) -> Divergences:
        """Give the sums over both sets of texts."""
        return Divergences(self.total + other.total, self.count + other.count)

    @property
    def distance(self) -> Float:
        """The square root of the mean divergence, a metric; NaN if never compared."""
        mean = np.full(self.total.shape, np.nan)
        np.divide(self.total, self.count, out=mean, where=self.count > 0)
        distance: Float = np.sqrt(mean)
        return distance


def cluster(distance: ArrayLike, limit: float = CLUSTER_DISTANCE) -> list[list[int]]:
    """Join the nearest clusters while their mean distance is below `limit`.

    Agglomerative, average linkage (UPGMA; Sokal and Michener, 1958). Heads whose
    distance is NaN are never joined.

    Returns
    -------
    list of lists of int
        Clusters of two heads or more, the largest first.
    """
    apart = np.array(distance, dtype=np.float64)
    apart[np.isnan(apart)] = np.inf
    np.fill_diagonal(apart, np.inf)
    members = [[index] for index in range(len(apart))]
    while len(apart) > 1:
        first, second = divmod(int(apart.argmin()), len(apart))
        if not apart[first, second] < limit:
            break
        first, second = min(first, second), max(first, second)
        sizes = len(members[first]), len(members[second])
        joined = (sizes[0] * apart[first] + sizes[1] * apart[second]) / sum(sizes)
        apart[first] = apart[:, first] = joined
        apart[first, first] = np.inf
        members[first] = sorted(members[first] + members.pop(second))
        apart = np.delete(np.delete(apart, second, axis=0), second, axis=1)
    several = [group for group in members if len(group) > 1]
    return sorted(several, key=lambda group: (-len(group), group))
