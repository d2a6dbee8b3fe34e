"""Whether heads find given links, such as coreference or dependencies.

As Clark et al. (2019): for each link from one token to another, a head finds it if the
token attends most to the other. The baseline is the best fixed offset ("always the
token before"), chosen after seeing all links.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.head_types import SIGNIFICANT
from neural_attn.analysis.significance import holm
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.metrics.geometry import is_special

__all__ = ["LinkFinder", "LinkScore"]


@dataclass(frozen=True)
class LinkScore:
    """How one head finds links; `baseline` is that of the best offset."""

    map: str
    head: int
    found: int
    links: int
    accuracy: float
    baseline: float
    offset: int
    z: float
    p: float
    p_corrected: float

    @property
    def significant(self) -> bool:
        """Whether the head is better than the best offset, after correction."""
        return self.p_corrected < SIGNIFICANT


@dataclass
class LinkFinder:
    """Counts over texts; parts merge."""

    hits: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    offsets: Counter[int] = field(default_factory=Counter)
    links: int = 0

    def add(
        self,
        maps: AttentionMaps,
        links: Sequence[tuple[int, int]],
        batch_index: int = 0,
    ) -> None:
        """Count the links (from query position, to key position) of one text.

        Positions count from 0 without padding. Special tokens and the token itself
        cannot be what a token attends to most, as no link leads there.

        Raises
        ------
        ValueError
            If a link leaves the text, or a token is linked with itself.
        """
        if not links:
            return
        for one in maps.maps:
            if one.kind == "cross":
                continue
            item = maps.item(one.name, batch_index)
            hits = _hits(item, links)
            self.hits[one.name] = self.hits.get(one.name, 0) + hits
            self.numbers[one.name] = one.head_indices
        self.offsets.update(key - query for query, key in links)
        self.links += len(links)

    def merge(self, other: LinkFinder) -> LinkFinder:
        """Give the counts over both sets of texts."""
        names = {**self.numbers, **other.numbers}
        none = np.zeros((), dtype=np.int64)
        hits = {n: self.hits.get(n, none) + other.hits.get(n, none) for n in names}
        return LinkFinder(
            hits, names, self.offsets + other.offsets, self.links + other.links
        )

    def scores(self) -> list[LinkScore]:
        """Every head, the best first; empty without links."""
        if not self.links:
            return []
        offset, count = max(self.offsets.items(), key=lambda pair: (pair[1], -pair[0]))
        chance = count / self.links
        # Where one offset explains all links, no head can do better.
        error = math.sqrt(chance * (1 - chance) / self.links)
        rows = []
        for name, hits in self.hits.items():
            for head, number in zip(self.numbers[name], hits.tolist(), strict=True):
                z = (number / self.links - chance) / error if error else 0.0
                rows.append((name, head, number, z, math.erfc(z / math.sqrt(2)) / 2))
        corrected = holm(np.array([[row[4]] for row in rows]))[:, 0]
        scores = [
            LinkScore(
                name, head, number, self.links, number / self.links, chance, offset,
                z, p, float(after),
            )
            for (name, head, number, z, p), after in zip(rows, corrected, strict=True)
        ]  # fmt: skip
        return sorted(scores, key=lambda score: -score.accuracy)


def _hits(item: AttentionItem, links: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    count = len(item.key_tokens)
    for query, key in links:
        if not (0 <= query < len(item.query_tokens) and 0 <= key < count):
            raise ValueError(f"the link {query} to {key} leaves a text of {count}")
        if query == key:
            raise ValueError(f"token {query} is linked with itself")
    queries = np.array([query for query, _ in links])
    keys = np.array([key for _, key in links])
    weights = item.weights[:, queries].astype(np.float64)
    weights[:, np.arange(len(links)), queries] = -np.inf
    weights[:, :, [is_special(token) for token in item.key_tokens]] = -np.inf
    hits: NDArray[np.int64] = (weights.argmax(axis=2) == keys).sum(axis=1)
    return hits
