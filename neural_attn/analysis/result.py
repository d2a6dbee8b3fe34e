"""The finished analysis: one set of numbers behind every report and the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.connections import Connection
from neural_attn.analysis.doctor import Finding
from neural_attn.analysis.groups import Difference, compare_groups
from neural_attn.analysis.heads import Head
from neural_attn.analysis.links import LinkScore
from neural_attn.analysis.measure import BINS
from neural_attn.analysis.redundancy import CLUSTER_DISTANCE, cluster
from neural_attn.analysis.rollout import RESIDUAL, attention_rollout, stack_of
from neural_attn.analysis.standing_out import Highlight, standing_out
from neural_attn.maps.attention_maps import AttentionMaps

__all__ = ["SCHEMA", "SCHEMA_VERSION", "Analysis", "Example", "finish"]

SCHEMA = "neural-attn/analysis"
SCHEMA_VERSION = "1.0"

MOST_DIFFERENCES = 50
MOST_TOKENS = 64  # of a text whose matrices are kept: they grow with the square


@dataclass(frozen=True)
class Example:
    """One text looked at closely: its tokens, layers, rollout and connections.

    `raw` and `rollout` are lists [layers][time][time], rounded to 6 digits; empty
    where the maps are no stack of self-attention, or the text is longer than 64 tokens.
    `agreement` is, per layer, the correlation of raw attention with rollout.
    """

    tokens: tuple[str, ...]
    residual: float
    raw: list[list[list[float]]]
    rollout: list[list[list[float]]]
    agreement: list[float | None]
    connections: dict[str, list[Connection]]


@dataclass(frozen=True)
class Analysis:
    """Everything that was found out; `to_dict` is the JSON, and all reports use it.

    `maps` are those of the first batch, to draw from; they are not in the JSON.
    """

    source: str | None
    backend: str | None
    trained: bool | None
    texts: int
    tokens: int
    highlights: tuple[Highlight, ...]
    heads: tuple[Head, ...]
    probe: tuple[Head, ...]
    clusters: tuple[tuple[str, ...], ...]
    histograms: dict[str, dict[str, list[int]]]
    differences: dict[str, list[Difference]]
    links: tuple[LinkScore, ...]
    example: Example | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    maps: AttentionMaps | None = None

    def head(self, label: str) -> Head:
        """Give the head of this label, such as "L5H1".

        Raises
        ------
        KeyError
            If there is none.
        """
        for head in self.heads:
            if head.label == label:
                return head
        raise KeyError(f"there is no head {label!r}")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain data; docs/analysis/json.md describes it."""
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "backend": self.backend,
            "trained": self.trained,
            "texts": self.texts,
            "tokens": self.tokens,
            "highlights": [asdict(one) for one in self.highlights],
            "heads": [_head_dict(head) for head in self.heads],
            "induction_probe": [
                {"label": head.label, "map": head.map, **_induction(head)}
                for head in self.probe
                if "induction" in head.evidence
            ],
            "clusters": [list(group) for group in self.clusters],
            "cluster_distance": CLUSTER_DISTANCE,
            "histograms": self.histograms,
            "differences": {
                pair: [{**asdict(one), "significant": one.significant} for one in found]
                for pair, found in self.differences.items()
            },
            "links": [
                {**asdict(one), "significant": one.significant} for one in self.links
            ],
            "example": None if self.example is None else asdict(self.example),
            "findings": [{**asdict(one), "stops": one.stops} for one in self.findings],
            "notes": list(self.notes),
        }


def _head_dict(head: Head) -> dict[str, Any]:
    return asdict(head)


def _induction(head: Head) -> dict[str, Any]:
    return {
        "score": head.statistics["induction"].mean,
        **asdict(head.evidence["induction"]),
    }


def finish(
    analyzer: Analyzer,
    *,
    maps: AttentionMaps | None = None,
    probe: Analyzer | None = None,
    links: Sequence[LinkScore] = (),
    connections: Mapping[str, list[Connection]] | None = None,
    findings: Sequence[Finding] = (),
    notes: Sequence[str] = (),
) -> Analysis:
    """Make the analysis of what was counted.

    Parameters
    ----------
    maps : those of the text to look at closely (its first example); also says where
        the network came from
    probe : an analyzer of repeated random sequences, for induction
    """
    heads = analyzer.heads()
    probed = probe.heads() if probe is not None else ()
    groups = cluster(analyzer.divergences.distance)
    names = {(head.map, head.head): head.label for head in heads}
    clusters = tuple(
        tuple(names[analyzer.labels[index]] for index in group) for group in groups
    )
    return Analysis(
        source=maps.source if maps else None,
        backend=maps.backend if maps else None,
        trained=maps.trained if maps else None,
        texts=analyzer.texts,
        tokens=analyzer.tokens,
        highlights=standing_out(heads, probed, clusters),
        heads=heads,
        probe=probed,
        clusters=clusters,
        histograms=_histograms(analyzer),
        differences=_differences(analyzer),
        links=tuple(links),
        example=_example(maps, connections or {}) if maps else None,
        findings=tuple(findings),
        notes=tuple(notes),
        maps=maps,
    )


def _histograms(analyzer: Analyzer) -> dict[str, dict[str, list[int]]]:
    """Queries by normalized entropy and by greatest weight, per map over its heads."""
    return {
        name: {
            "bins": [BINS],
            "normalized_entropy": tally.entropy_histogram.sum(axis=0).tolist(),
            "max_weight": tally.maximum_histogram.sum(axis=0).tolist(),
        }
        for name, tally in analyzer.tallies.items()
    }


def _differences(analyzer: Analyzer) -> dict[str, list[Difference]]:
    """Every group against the first one."""
    first, *rest = analyzer.groups or [""]
    return {
        f"{first} → {name}": compare_groups(
            analyzer.groups[first], analyzer.groups[name]
        )[:MOST_DIFFERENCES]
        for name in rest
    }


def _example(
    maps: AttentionMaps, connections: Mapping[str, list[Connection]]
) -> Example | None:
    if not len(maps):
        return None
    kind = next((m.kind for m in maps.maps if m.kind != "cross"), None)
    stack = None if kind is None else stack_of(maps, kind)
    item = maps.item(next(iter(maps)))
    if stack is None:
        return Example(item.key_tokens, RESIDUAL, [], [], [], dict(connections))
    rollout = attention_rollout(stack)
    agreement = [
        _correlation(raw.ravel(), rolled.ravel())
        for raw, rolled in zip(stack, rollout, strict=True)
    ]
    short = stack.shape[1] <= MOST_TOKENS
    return Example(
        item.key_tokens,
        RESIDUAL,
        np.round(stack, 6).tolist() if short else [],
        np.round(rollout, 6).tolist() if short else [],
        agreement,
        dict(connections),
    )


def _correlation(one: Any, other: Any) -> float | None:
    if one.std() < 1e-9 or other.std() < 1e-9:
        return None
    value = float(np.corrcoef(one, other)[0, 1])
    return None if math.isnan(value) else value
