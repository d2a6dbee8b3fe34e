"""What attention maps say in numbers: how focused each head is, and on what.

The keys and definitions are those of the attention visualization guide; normalized
entropy is added, because plain entropy grows with the length of the text and so cannot
be compared between texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.registry import MEASURES, Looked, look_at_rows
from neural_attn.promises import NONNEGATIVE, SHARES, Rows

__all__ = [
    "AttentionPatterns",
    "Distribution",
    "analyze_attention_patterns",
    "guide_patterns",
]


class Distribution(TypedDict):
    """Mean, standard deviation (population), least and greatest weight of a head."""

    mean: float | None
    std: float | None
    min: float | None
    max: float | None


class AttentionPatterns(TypedDict):
    """The numbers of one layer; lists have one entry per head.

    None stands where a number is not defined; see `analyze_attention_patterns`.
    """

    num_heads: int
    attention_entropy: list[float | None]
    normalized_entropy: list[float | None]
    max_attention_per_head: list[float | None]
    attention_distribution: list[Distribution]
    avg_entropy: float | None
    avg_normalized_entropy: float | None
    avg_max_attention: float | None
    diagonal_attention_strength: list[float | None] | None
    avg_diagonal_strength: float | None


def analyze_attention_patterns(
    attention_weights: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    batch_index: int = 0,
    cross: bool = False,
    rows: Rows = SHARES,
) -> AttentionPatterns:
    """Describe every head of one layer in numbers.

    Parameters
    ----------
    attention_weights : float [heads, queries, keys] or [batch, heads, queries, keys]
    mask : bool, broadcastable to the weights, or None
        True where attending is allowed. Rows that are wholly masked do not count
        anywhere; beyond that, only normalized entropy looks at it.
    batch_index : int
        The example described, where there is a batch.
    cross : bool
        Queries and keys are different tokens, so there is no diagonal even
        where their numbers agree. Other than square weights never have one.
    rows : "shares", "parts", "gates" or "signed"
        What each row promises. Rows that need not sum to 1 are divided by their sum
        first, except for `attention_distribution`, which has the weights as they are;
        of signed rows nothing else is defined.

    Returns
    -------
    AttentionPatterns
        Plain Python numbers, which JSON takes. Over the rows that count:

        - `attention_entropy`: mean of -sum(w ln w), in nats, with 0 ln 0 = 0;
        - `normalized_entropy`: mean of each row's entropy divided by the logarithm of
          the number of keys it may attend to: 0 is one key, 1 is uniform. A row with
          one such key has none; None if no row is left;
        - `max_attention_per_head`: mean of each row's greatest weight;
        - `attention_distribution`: of all weights in these rows;
        - `diagonal_attention_strength`: mean of the diagonal divided by the mean of
          all weights; None where there is no diagonal;
        - `avg_...`: mean over the heads that have the number.

        A head in which no row counts has None for every number.

    Raises
    ------
    ValueError
        If shapes do not fit, or weights are not finite, or negative where `rows` does
        not allow it.
    IndexError
        If there is no such example.
    """
    weights, allowed = _one_example(attention_weights, mask, batch_index, rows)
    looked = list(look_at_rows(weights, allowed, self_attention=not cross, rows=rows))
    square = weights.shape[1] == weights.shape[2]
    diagonal = _column("diagonal_strength", looked) if square and not cross else None
    entropy = _column("entropy", looked)
    normalized = _column("normalized_entropy", looked)
    greatest = _column("max_weight", looked)
    names = ("mean", "std", "min", "max")
    columns = (_column(f"weight_{name}", looked) for name in names)
    return AttentionPatterns(
        num_heads=len(weights),
        attention_entropy=entropy,
        normalized_entropy=normalized,
        max_attention_per_head=greatest,
        attention_distribution=[
            Distribution(mean=mean, std=std, min=low, max=high)
            for mean, std, low, high in zip(*columns, strict=True)
        ],
        avg_entropy=_average(entropy),
        avg_normalized_entropy=_average(normalized),
        avg_max_attention=_average(greatest),
        diagonal_attention_strength=diagonal,
        avg_diagonal_strength=None if diagonal is None else _average(diagonal),
    )


def _column(
    name: str, looked: Sequence[tuple[list[int], Looked]]
) -> list[float | None]:
    """One metric of whole rows, a number for each head."""
    (metric,) = (metric for metric in MEASURES if metric.name == name)
    values = {
        head: None if np.isnan(value) else value
        for heads, found in looked
        for head, value in zip(heads, found.values(metric).tolist(), strict=True)
    }
    return [values[head] for head in sorted(values)]


def guide_patterns(
    maps: AttentionMaps, batch_index: int = 0
) -> dict[str, AttentionPatterns]:
    """Describe every map for one example, padding left out.

    Raises
    ------
    neural_attn.maps.attention_maps.SelectionError
        If a map has no such example.
    """
    results = {}
    for name in maps:
        item = maps.item(name, batch_index)
        results[name] = analyze_attention_patterns(
            item.weights, item.allowed, cross=item.kind == "cross", rows=item.rows
        )
    return results


def _one_example(
    values: ArrayLike, mask: ArrayLike | None, batch_index: int, rows: Rows
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    weights = np.asarray(values)
    if weights.ndim not in (3, 4) or 0 in weights.shape:
        raise ValueError(
            f"attention weights have shape {weights.shape}, not [heads, queries, keys] "
            "or [batch, heads, queries, keys] with at least one of each"
        )
    if weights.dtype.kind not in "fiub":
        raise ValueError(f"attention weights are {weights.dtype}, not numbers")
    allowed = np.ones((1, 1, 1), dtype=bool) if mask is None else np.asarray(mask)
    if allowed.dtype != np.bool_:
        raise ValueError(f"the mask is {allowed.dtype}, not bool (True = allowed)")
    try:
        allowed = np.broadcast_to(allowed, weights.shape)
    except ValueError:
        raise ValueError(
            f"the mask has shape {allowed.shape}, which does not broadcast to the "
            f"weights' {weights.shape}"
        ) from None
    if weights.ndim == 4:
        if not -len(weights) <= batch_index < len(weights):
            raise IndexError(
                f"there is no example {batch_index}: there are {len(weights)}, "
                "numbered from 0"
            )
        weights, allowed = weights[batch_index], allowed[batch_index]
    exact = weights.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("attention weights are not all finite")
    if rows in NONNEGATIVE and exact.min() < 0:
        raise ValueError(
            'attention weights are not all 0 or more (rows="signed" allows others)'
        )
    return exact, allowed


def _average(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
