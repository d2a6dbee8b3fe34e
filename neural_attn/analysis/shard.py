"""What was counted of some texts: partial results that merge into those of all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.example import Example
from neural_attn.analysis.groups import Difference, compare_groups
from neural_attn.analysis.heads import Head, what_is_missing
from neural_attn.analysis.highlights import find_highlights
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.relations import Relations, sentences_of
from neural_attn.analysis.result import MOST_DIFFERENCES, Analysis
from neural_attn.analysis.sentences import NO_SHARES
from neural_attn.analysis.steps import Steps
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.metrics.measure import BINS
from neural_attn.metrics.redundancy import cluster
from neural_attn.promises import NONNEGATIVE, PROMISES, ROWS, SHARES

__all__ = ["PartialAnalysis", "finish", "merge_files"]

_MOST_NOTES = 5


@dataclass(repr=False)
class PartialAnalysis:
    """The analysis of some texts before its last step, `finish`.

    `network` tells networks apart: parts of different networks do not merge. `maps`
    are those of the first batch, to draw from, and `steps` every step that the network
    wrote, None where nobody asked; `save` leaves both out.
    """

    analyzer: Analyzer = field(default_factory=Analyzer)
    links: LinkFinder = field(default_factory=LinkFinder)
    probe: Analyzer | None = None
    example: Example | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    source: str | None = None
    backend: str | None = None
    trained: bool | None = None
    network: str | None = None
    maps: AttentionMaps | None = None
    steps: Steps | None = None
    relations: RelationFinder | None = None  # None where nobody asked

    def __repr__(self) -> str:
        return f"PartialAnalysis({self.counted}; analyze(it) finishes it)"

    @property
    def counted(self) -> str:
        """What was counted, in words."""
        analyzer = self.analyzer
        heads, maps = len(analyzer.labels), len(analyzer.places)
        texts = f"{analyzer.texts:,} text{'s'[: analyzer.texts != 1]}"
        several = f"{heads:,} head{'s'[: heads != 1]} of {maps:,} map{'s'[: maps != 1]}"
        return f"{several} over {texts}"

    def take(
        self,
        maps: AttentionMaps,
        findings: Iterable[Finding],
        group: str = "",
        network: AttentionMaps | None = None,
    ) -> None:
        """Count one batch of trusted maps, and what the doctor found in it.

        `network` has all maps of the network, as in `Analyzer.add`.
        """
        self.find(findings)
        self.analyzer.add(maps, group, network)
        if self.steps is not None:
            self.steps.add(maps)
        if not self.maps:  # none yet, or all of them were stopped
            self.maps = maps
            self.source, self.backend = maps.source, maps.backend
            self.trained = maps.trained

    def find(self, findings: Iterable[Finding]) -> None:
        """Keep the first finding of each code in each map."""
        known = {(one.code, one.map) for one in self.findings}
        for one in findings:
            if (one.code, one.map) not in known:
                known.add((one.code, one.map))
                self.findings.append(one)

    def note(self, notes: Iterable[str]) -> None:
        """Keep the first few notes, and count the others."""
        for note in notes:
            if note in self.notes:
                continue
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(note)
            else:
                self.left_out += 1

    def merge(self, other: PartialAnalysis) -> PartialAnalysis:
        """Give the analysis of both sets of texts; the first text is that of `self`.

        Raises
        ------
        ValueError
            If the parts are of different networks.
        """
        if None not in (self.network, other.network) and self.network != other.network:
            raise ValueError("the parts are of different networks or weights")
        backends = (self.backend or "").split(", ") + (other.backend or "").split(", ")
        result = PartialAnalysis(
            self.analyzer.merge(other.analyzer),
            self.links.merge(other.links),
            self.probe or other.probe,
            self.example or other.example,
            list(self.findings),
            list(self.notes),
            self.left_out + other.left_out,
            self.source or other.source,
            ", ".join(dict.fromkeys(filter(None, backends))) or None,
            self.trained if self.trained == other.trained else None,
            self.network or other.network,
            self.maps or other.maps,
            self.steps.merge(other.steps) if self.steps and other.steps else None,
            self._merged_relations(other),
        )
        result.find(other.findings)
        result.note(other.notes)
        return result

    def _merged_relations(self, other: PartialAnalysis) -> RelationFinder | None:
        if self.relations is None or other.relations is None:
            return self.relations or other.relations
        return self.relations.merge(other.relations)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all but `maps` and `steps` as JSON: see docs/analysis/texts.md."""
        from neural_attn.analysis.shard_file import write_partial

        return write_partial(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PartialAnalysis:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file is anything else; the message says what is wrong with it.
        OSError
            If it cannot be read.
        """
        from neural_attn.analysis.shard_file import read_partial

        return read_partial(path)


def finish(part: PartialAnalysis) -> Analysis:
    """Make the analysis of what was counted, of all texts or some."""
    analyzer = part.analyzer
    relations = None if part.relations is None else part.relations.relations()
    heads = _told(analyzer.heads(), relations)
    probed = part.probe.heads() if part.probe is not None else ()
    groups = cluster(analyzer.divergences.distance)
    names = {(head.map, head.head): head.label for head in heads}
    links = tuple(part.links.scores())
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
        highlights=find_highlights(heads, probed, clusters, links, relations),
        heads=heads,
        probe=probed,
        clusters=clusters,
        histograms=_histograms(analyzer),
        differences=_differences(analyzer),
        links=links,
        relations=relations,
        example=part.example,
        findings=tuple(part.findings),
        notes=(*part.notes, *left_out, *_promises(heads)),
        maps=part.maps,
        steps=part.steps,
        distances=_distances(analyzer, heads),
    )


def _told(heads: Sequence[Head], relations: Relations | None) -> tuple[Head, ...]:
    """The heads, whose sentences also tell the relations that they find."""
    told = sentences_of(relations)
    return tuple(
        replace(head, sentence=f"{head.sentence}; {told[head.map, head.head]}")
        if (head.map, head.head) in told
        else head
        for head in heads
    )


def _distances(analyzer: Analyzer, heads: Sequence[Head]) -> NDArray[np.float64]:
    """The distances between these heads, in their order."""
    places = {label: place for place, label in enumerate(analyzer.labels)}
    at = [places[head.map, head.head] for head in heads]
    return analyzer.divergences.distance[np.ix_(at, at)]


def _promises(heads: Sequence[Head]) -> list[str]:
    """What is to be known of heads whose rows do not sum to 1."""
    counts = Counter(head.rows for head in heads)
    notes = []
    for rows in (one for one in ROWS if one != SHARES and counts[one]):
        count = counts[rows]
        which = f"{count} head{'s'[: count != 1]} with rows={rows} ({PROMISES[rows]})"
        missing = what_is_missing([head for head in heads if head.rows == rows])
        lost = f"{missing}; " if missing else ""
        notes.append(
            f"{which}: {lost}each row is divided by its sum, except for weight_… "
            "and effective_rank"
            if rows in NONNEGATIVE
            else f"{which}: {NO_SHARES}: only weight_… and effective_rank are defined"
        )
    return notes


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


def merge_files(paths: Sequence[Path]) -> PartialAnalysis:
    """Merge the parts in these files, in this order.

    A note that not all of them have is of its file's texts, and says so.

    Raises
    ------
    ValueError
        Naming the file that is no part, or does not belong to the first one.
    OSError
        If one cannot be read.
    """
    parts = [PartialAnalysis.load(path) for path in paths]
    common = set(parts[0].notes).intersection(*(part.notes for part in parts))
    result = parts[0]
    for path, part in zip(paths, parts, strict=True):
        part.notes = [n if n in common else f"{path.name}: {n}" for n in part.notes]
    for path, part in zip(paths[1:], parts[1:], strict=True):
        result = _merged(result, part, f"{path} does not fit {paths[0]}")
    return result


def _merged(
    one: PartialAnalysis, other: PartialAnalysis, problem: str
) -> PartialAnalysis:
    try:
        return one.merge(other)
    except ValueError as error:
        raise ValueError(f"{problem}: {error}") from None
