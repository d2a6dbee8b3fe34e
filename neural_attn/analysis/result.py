"""The finished analysis: one set of numbers behind every report and the JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.example import Example
from neural_attn.analysis.groups import Difference, compare_groups
from neural_attn.analysis.heads import Head
from neural_attn.analysis.highlights import Highlight, standing_out
from neural_attn.analysis.links import LinkScore
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.metrics.measure import BINS
from neural_attn.metrics.redundancy import CLUSTER_DISTANCE, cluster

__all__ = ["SCHEMA", "SCHEMA_VERSION", "Analysis", "finish"]

SCHEMA = "neural-attn/analysis"
SCHEMA_VERSION = "1.1"

MOST_DIFFERENCES = 50


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
            "heads": [asdict(head) for head in self.heads],
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


def _induction(head: Head) -> dict[str, Any]:
    return {
        "score": head.statistics["induction"].mean,
        **asdict(head.evidence["induction"]),
    }


def finish(part: PartialAnalysis) -> Analysis:
    """Make the analysis of what was counted, of all texts or some."""
    analyzer = part.analyzer
    heads = analyzer.heads()
    probed = part.probe.heads() if part.probe is not None else ()
    groups = cluster(analyzer.divergences.distance)
    names = {(head.map, head.head): head.label for head in heads}
    clusters = tuple(
        tuple(names[analyzer.labels[index]] for index in group) for group in groups
    )
    left_out = [f"and {part.left_out:,} more notes like these"] if part.left_out else []
    return Analysis(
        source=part.source,
        backend=part.backend,
        trained=part.trained,
        texts=analyzer.texts,
        tokens=analyzer.tokens,
        highlights=standing_out(heads, probed, clusters),
        heads=heads,
        probe=probed,
        clusters=clusters,
        histograms=_histograms(analyzer),
        differences=_differences(analyzer),
        links=tuple(part.links.scores()),
        example=part.example,
        findings=tuple(part.findings),
        notes=(*part.notes, *left_out),
        maps=part.maps,
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
