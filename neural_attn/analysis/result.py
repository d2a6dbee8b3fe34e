"""The finished analysis: one set of numbers behind every report and the JSON."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.example import Example
from neural_attn.analysis.frame import frame_of
from neural_attn.analysis.groups import Difference
from neural_attn.analysis.heads import Head
from neural_attn.analysis.highlights import Highlight
from neural_attn.analysis.link_counts import LinkScore
from neural_attn.analysis.relations import Relations
from neural_attn.analysis.steps import Steps
from neural_attn.diagnostics.choices import no_such
from neural_attn.extensions import load
from neural_attn.maps.attention_maps import VIEWS, AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.metrics.redundancy import CLUSTER_DISTANCE
from neural_attn.metrics.registry import REGISTRY, STATISTICS

__all__ = ["SCHEMA", "SCHEMA_VERSION", "Analysis"]

SCHEMA = "neural-attn/analysis"
SCHEMA_VERSION = "2.2"

MOST_DIFFERENCES = 50


@dataclass(frozen=True, repr=False)
class Analysis:
    """Everything that was found out; `to_dict` is the JSON, and all reports use it.

    `maps` are those of the first batch, to draw from; they are not in the JSON. `steps`
    has every step that the network wrote, where they were asked for; the JSON has their
    means and spreads. `distances`, float64 [heads, heads] in the order of `heads`, has
    how far their attention is apart (the root of the mean Jensen-Shannon divergence,
    0 to 1), NaN where two were never compared; the JSON has the clusters.
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
    steps: Steps | None = None
    relations: Relations | None = None
    distances: NDArray[np.float64] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        heads = f"{len(self.heads):,} head{'s'[: len(self.heads) != 1]}"
        texts = f"{self.texts:,} text{'s'[: self.texts != 1]}"
        return f"Analysis(source={self.source!r}, {heads}, {texts})"

    def _repr_html_(self) -> str:
        """Show it in a notebook, by the view that is installed for it, as maps are."""
        for _, view in load(VIEWS, name="notebook"):
            page: str = view(self)._repr_html_()
            return page
        return html.escape(repr(self))

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
        raise KeyError(no_such("head", label, [head.label for head in self.heads]))

    def to_frame(self) -> Any:
        """Every head as a row of a pandas DataFrame.

        Columns: label, map, layer, head, kind, type, confidence (in the type, 0 to 1),
        queries (rows with a choice between keys), and each metric: its mean over texts,
        NaN where it is not defined. pandas writes it: `to_csv`, `to_parquet`.

        Raises NeuralError (E0502) where pandas is not installed.
        """
        return frame_of(self.heads)

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
            "heads": [_head(head) for head in self.heads],
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
            "links": [{**asdict(one), "verdict": one.verdict} for one in self.links],
            "relations": None if self.relations is None else self.relations.to_dict(),
            "steps": None if self.steps is None else self.steps.to_dict(),
            "example": None if self.example is None else asdict(self.example),
            "findings": [{**asdict(one), "stops": one.stops} for one in self.findings],
            "notes": list(self.notes),
        }


def _head(head: Head) -> dict[str, Any]:
    """A head as plain data; null is what is not defined for such rows."""
    ruled_out = {n: None for n in STATISTICS if head.rows not in REGISTRY[n].rows}
    data = asdict(head)
    del data["special"]  # which the sentence says
    return data | {"statistics": data["statistics"] | ruled_out}


def _induction(head: Head) -> dict[str, Any]:
    found = asdict(head.evidence["induction"])
    del found["keys"]  # of classes of tokens alone
    return {"score": head.statistics["induction"].mean, **found}
