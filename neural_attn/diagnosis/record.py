"""What checks read: the numbers of an analysis, and a few that go with faults alone.

It is filled text by text. Of the weights nothing is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.analyzer import Analyzer, parts_of
from neural_attn.analysis.heads import Head, describe
from neural_attn.diagnosis.copies import Copies
from neural_attn.diagnosis.grounding import Grounding
from neural_attn.diagnosis.leaks import Leak, find_leaks
from neural_attn.diagnosis.loops import Loop, find_loops, is_read_back
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.maps.validation import usable

__all__ = [
    "LONG", "LONG_KEYS", "SHORT", "Record", "distances", "mean_distance", "sharpest",
    "where",
]  # fmt: skip

LONG_KEYS = 32  # a text of so many keys is a long one
SHORT, LONG = "short", "long"
ENTROPY = "normalized_entropy"


@dataclass
class Record:
    """All that is known of a model's attention on the texts that were added."""

    analyzer: Analyzer = field(default_factory=Analyzer)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # group, map
    counts: Counter[str] = field(default_factory=Counter)  # texts of each group
    copies: Copies = field(default_factory=Copies)
    grounding: Grounding = field(default_factory=Grounding)
    loops: list[Loop] = field(default_factory=list)
    looped: Analyzer = field(default_factory=Analyzer)  # of the texts with a loop
    read_back: list[str] = field(default_factory=list)  # maps that may have loops
    leaks: list[Leak] = field(default_factory=list)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    texts: int = 0  # also those of which no map can be trusted
    trained: bool | None = None
    source: str | None = None
    backend: str | None = None

    def add(
        self,
        maps: AttentionMaps,
        findings: Sequence[Finding] = (),
        network: AttentionMaps | None = None,
    ) -> None:
        """Count every example of the maps; `network` has all maps that there are.

        Raises ValueError if a map has other heads than before.
        """
        self.trained = maps.trained
        self.source, self.backend = maps.source, maps.backend
        for one in findings:
            self.findings.setdefault((one.code, one.map), one)
        for analyzer in (self.analyzer, self.looped):
            analyzer.place(maps if network is None else network)
        self.leaks += find_leaks(maps, self.analyzer.places, self.texts)
        trusted = usable(maps, findings)
        batch = len(maps.maps[0].weights) if maps.maps else 0
        for index in range(batch):
            if trusted.maps:
                self._count([trusted.item(name, index) for name in trusted])
            self.texts += 1

    def _count(self, items: Sequence[AttentionItem]) -> None:
        longest = max(len(item.key_tokens) for item in items)
        group = LONG if longest >= LONG_KEYS else SHORT
        text = self.texts
        for item in items:
            self.rows[group, item.name] += len(item.query_tokens)
            if is_read_back(item) and item.name not in self.read_back:
                self.read_back.append(item.name)
        self.counts[group] += 1
        self.copies.add(items, text)
        self.grounding.add(items, text)
        loops, parts = list(find_loops(items, text)), parts_of(items)
        if loops:
            self.loops += loops
            self.looped.count(parts, longest)
        self.analyzer.count(parts, longest, group)

    def heads(self, group: str = "", *, kind: str = "") -> list[Head]:
        """The heads in numbers: over all texts, or over one group of them."""
        found: Sequence[Head]
        if group:
            tallies = self.analyzer.groups.get(group, {})
            found = describe(tallies, self.analyzer.places)
        else:
            found = self.analyzer.heads()
        return [head for head in found if kind in ("", head.kind)]

    def uneven(self, group: str = "", *, kind: str = "") -> list[Head]:
        """The heads that had a choice between keys: those whose entropy is known."""
        found = self.heads(group, kind=kind)
        return [head for head in found if ENTROPY in head.statistics]

    def rows_of(self, layers: Sequence[str], group: str = "") -> int:
        """How many rows of these maps were seen."""
        return sum(
            count
            for (own, name), count in self.rows.items()
            if name in layers and group in ("", own)
        )


def sharpest(heads: Sequence[Head]) -> float:
    """The least normalized entropy of heads that had a choice."""
    return min(head.statistics[ENTROPY].mean for head in heads)


def distances(analyzer: Analyzer, name: str) -> NDArray[np.float64]:
    """Jensen-Shannon distances of the heads of a map, [heads, heads]; of one, none."""
    at = [index for index, (own, _) in enumerate(analyzer.labels) if own == name]
    apart = analyzer.divergences.distance
    if not apart.size or len(at) < 2:
        return np.empty((0, 0))
    found: NDArray[np.float64] = apart[np.ix_(at, at)]
    return found


def mean_distance(apart: NDArray[np.float64]) -> float:
    """The mean over all pairs of heads."""
    return float(apart[np.triu_indices(len(apart), 1)].mean())


def where(heads: Sequence[Head]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers and the labels of some heads."""
    return tuple(dict.fromkeys(h.map for h in heads)), tuple(h.label for h in heads)
