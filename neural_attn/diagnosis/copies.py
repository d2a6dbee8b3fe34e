"""Whether attention tells copies of a token apart: without positions it cannot.

Without positions a layer of attention gives equal weights to equal tokens: the query
and the keys know what they are, and not where (Vaswani et al., 2017, 3.5). The number
is the mean, over rows and over tokens that come again, of (max - min) / (max + min) of
the weights on the copies: 0 where they are equal, near 1 where one of them gets all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.attention_maps import AttentionItem
from neural_attn.metrics.geometry import is_special
from neural_attn.promises import NONNEGATIVE

__all__ = ["Copies"]

_SHOWN = 8


@dataclass
class Copies:
    """Sums over rows, [heads], and rows, texts and the first copies, by map."""

    total: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def add(self, items: Sequence[AttentionItem], text: int) -> None:
        """Count one text: its maps of self-attention."""
        for item in items:
            if item.kind != "cross" and item.rows in NONNEGATIVE:
                self._add(item, text)

    def apart(self, name: str) -> NDArray[np.float64]:
        """How far apart copies are in each head of a map that has been counted."""
        return self.total[name] / self.rows[name]

    def _add(self, item: AttentionItem, text: int) -> None:
        seen = False
        for token, keys in _groups(item.key_tokens).items():
            rows = item.allowed[:, :, keys].all(axis=(0, 2))
            weights = item.weights[:, rows][:, :, keys].astype(np.float64)
            high, low = weights.max(axis=2), weights.min(axis=2)
            known = (high > 0).all(axis=0)
            if not known.any():
                continue
            high, low = high[:, known], low[:, known]
            found = ((high - low) / (high + low)).sum(axis=1)
            self.total[item.name] = self.total.get(item.name, 0.0) + found
            self.rows[item.name] += int(known.sum())
            places = self.places.setdefault(item.name, [])
            if len(places) < _SHOWN:
                places += [(text, key, token) for key in keys]
            seen = True
        self.texts[item.name] += seen


def _groups(tokens: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each ordinary token that comes twice or more."""
    found: dict[str, list[int]] = {}
    for position, token in enumerate(tokens):
        if not is_special(token):
            found.setdefault(token, []).append(position)
    return {token: at for token, at in found.items() if len(at) > 1}
