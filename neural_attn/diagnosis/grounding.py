"""Which produced tokens no head of cross-attention finds a source for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.attention_maps import AttentionItem
from neural_attn.metrics.geometry import is_special
from neural_attn.promises import SHARES

__all__ = ["FEWEST_KEYS", "PEAK", "Grounding"]

FEWEST_KEYS = 4  # of fewer keys even uniform attention has a peak
PEAK = 0.25  # part of the way from uniform to 1 that a grounded row's peak goes


@dataclass
class Grounding:
    """Rows of cross-attention, and those without a peak in any head of any layer."""

    rows: int = 0
    texts: int = 0
    without: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, items: Sequence[AttentionItem], text: int) -> None:
        """Count one text: the rows of all maps of cross-attention together."""
        peaks = [
            _peaks(item)
            for item in items
            if item.kind == "cross" and item.rows == SHARES
        ]
        tokens = next((i.query_tokens for i in items if i.kind == "cross"), ())
        if not peaks or any(len(peak) != len(tokens) for peak in peaks):
            return
        with np.errstate(invalid="ignore"):
            best = np.fmax.reduce(peaks)
        known = ~np.isnan(best)
        known &= [not is_special(token) for token in tokens]
        self.rows += int(known.sum())
        self.texts += bool(known.any())
        self.without += [
            (text, int(at), tokens[at]) for at in np.flatnonzero(known & (best < PEAK))
        ]


def _peaks(item: AttentionItem) -> NDArray[np.float64]:
    """The greatest weight of any head, as part of the way from uniform, [queries]."""
    options = item.allowed.sum(axis=2).min(axis=0)
    even = 1 / np.maximum(options, 1)
    high = item.weights.max(axis=(0, 2)).astype(np.float64)
    way = (high - even) / np.maximum(1 - even, 1e-9)
    return np.where(options >= FEWEST_KEYS, way, np.nan)
