"""How far the heads of two models, frameworks or runs are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.explorer.measures import Measure
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.entropy import divided, entropy
from neural_attn.metrics.redundancy import jensen_shannon
from neural_attn.promises import NONNEGATIVE, SHARES, Rows

__all__ = ["DIFFERENCES", "compare_maps"]

DIFFERENCES = (
    Measure(
        "divergence",
        "Divergence (nats)",
        "Mean Jensen-Shannon divergence from the other model, in nats: 0 is equal, "
        "0.693 has nothing in common.",
    ),
    Measure(
        "largest",
        "Largest difference",
        "Greatest absolute difference from the other model's weights.",
    ),
)


def compare_maps(first: AttentionMaps, second: AttentionMaps) -> list[dict[str, Any]]:
    """Compare maps that stand at the same place and have the same shapes.

    Maps are paired by name; those without a namesake by their place in the order.

    Returns
    -------
    list of dict
        One entry per map of `first`: `other` (the place of its partner in `second`, or
        None), `reason` (why there are no numbers, or None), and for each example and
        head `largest`, the greatest absolute difference, and `divergence`, the mean
        Jensen-Shannon divergence of the rows in nats (0: equal, 0.693: disjoint), None
        where either is signed. Rows that need not sum to 1 are divided by their sum.
    """
    places = {name: place for place, name in enumerate(second)}
    names = list(second)
    entries: list[dict[str, Any]] = []
    for place, name in enumerate(first):
        partner = places.get(name, place if place < len(names) else None)
        if partner is None:
            entries.append({"other": None, "reason": "the other has no such map"})
            continue
        entries.append(_compare(first, second, name, names[partner], partner))
    return entries


def _compare(
    first: AttentionMaps, second: AttentionMaps, name: str, other: str, place: int
) -> dict[str, Any]:
    mine, theirs = first.get_map(name), second.get_map(other)
    entry: dict[str, Any] = {"other": place, "reason": None, "examples": []}
    if mine.weights.shape[:2] != theirs.weights.shape[:2]:
        return entry | {"reason": "they differ in heads or examples"}
    for index in range(len(mine.weights)):
        a, b = first.item(name, index), second.item(other, index)
        if a.weights.shape != b.weights.shape:
            return entry | {"reason": "they differ in length", "examples": []}
        pairs = list(zip(a.weights, b.weights, strict=True))
        entry["examples"].append(
            {
                "largest": [float(np.abs(p - q).max()) for p, q in pairs],
                "divergence": [_divergence(p, q, a.rows, b.rows) for p, q in pairs],
            }
        )
    return entry


def _divergence(
    p: NDArray[np.float32], q: NDArray[np.float32], of_p: Rows, of_q: Rows
) -> float | None:
    if not {of_p, of_q} <= set(NONNEGATIVE):
        return None
    exact_p, exact_q = p.astype(np.float64), q.astype(np.float64)
    exact_p = exact_p if of_p == SHARES else divided(exact_p)
    exact_q = exact_q if of_q == SHARES else divided(exact_q)
    rows = jensen_shannon(exact_p, exact_q, entropy(exact_p), entropy(exact_q))
    return float(max(rows.mean(), 0.0))
