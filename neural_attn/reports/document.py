"""The report as parts, which terminal, Markdown and HTML render each in its way.

Every number is made text here, once: what the formats show is the same by
construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from neural_attn.analysis.heads import Head
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.sentences import NO_SHARES
from neural_attn.figures.token_labels import readable
from neural_attn.metrics.pattern_scores import SCORES
from neural_attn.metrics.registry import GRIDS, HISTOGRAMS, REGISTRY, TABLE
from neural_attn.promises import NONNEGATIVE, SHARES
from neural_attn.reports.elements import (
    UNTRAINED,
    Bars,
    Grid,
    Heading,
    Part,
    Sentences,
    Table,
    number,
)
from neural_attn.reports.relations import relation_parts
from neural_attn.reports.sections import more_parts
from neural_attn.reports.type_map import type_map

__all__ = ["document"]


_NONE = Sentences(((f"none: {NO_SHARES}", ()),))


def document(analysis: Analysis) -> list[Part]:
    """Everything that a report shows, in order."""
    parts: list[Part] = [Heading(1, "Attention analysis", lead=True), _about(analysis)]
    warnings = [
        (f.diagnostic.render().replace("\n  ", "; "), ()) for f in analysis.findings
    ]
    if analysis.trained is False:
        warnings.insert(0, (f"warning: {UNTRAINED}", ()))
    if warnings:
        parts.append(Sentences(tuple(warnings)))
    if not analysis.heads:
        return [*parts, Sentences((("there is no attention to analyse", ()),))]
    parts += [
        Heading(2, "What stands out", lead=True),
        Sentences(tuple((one.sentence, one.heads) for one in analysis.highlights)),
        Heading(2, "Types of heads", lead=True),
        type_map(analysis.heads),
        *relation_parts(analysis.relations, analysis.heads),
        *more_parts(analysis),
        Heading(2, "Types by layer"),
        _types(analysis.heads),
        Heading(2, "Numbers by layer and head"),
        *_grids(analysis.heads),
        Heading(2, "Distributions"),
        *_bars(analysis),
    ]
    return [
        *parts,
        Heading(2, "Every head"),
        _head_table(analysis.heads),
        *_weight_table(analysis.heads),
        *_score_table(analysis.heads),
        _sentences(analysis.heads),
    ]


def _about(analysis: Analysis) -> Part:
    words = [readable(analysis.source, 80)] if analysis.source else []
    words += [f"backend {readable(analysis.backend, 40)}"] if analysis.backend else []
    words.append(_count(analysis.texts, "text"))
    words.append(_count(analysis.tokens, "token"))
    words.append(_count(len(analysis.heads), "head"))
    notes = [(f"note: {note}", ()) for note in analysis.notes]
    return Sentences(((", ".join(words), ()), *notes))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _types(heads: Sequence[Head]) -> Part:
    layers = sorted({head.layer for head in heads})
    names = Counter(head.pattern.title for head in heads)
    rows = []
    for name, _ in names.most_common():
        found = [head for head in heads if head.pattern.title == name]
        counts = (sum(h.layer == layer for h in found) for layer in layers)
        rows.append((name, str(len(found)), *(str(n) if n else "" for n in counts)))
    header = ("type", "heads", *(f"layer {layer}" for layer in layers))
    return Table(header, tuple(rows), "Types of heads, in all and by layer")


def _head_table(heads: Sequence[Head]) -> Part:
    columns = [name for name in TABLE if _is_shown(name, heads)]
    rows = []
    for head in heads:
        means = [_mean(head, name) for name in columns]
        signed = head.rows not in NONNEGATIVE
        confidence = number(None if signed else head.pattern.confidence)
        rows.append((head.label, head.pattern.title, confidence, *means))
    header = ("head", "type", "confidence", *columns)
    caption = "How focused each head is: means over texts"
    return Table(header, tuple(rows), caption, anchor=True)


def _is_shown(name: str, heads: Sequence[Head]) -> bool:
    """Whether a metric has a column: some head has it, or has rows that rule it out."""
    ruled_out = (head.rows not in REGISTRY[name].rows for head in heads)
    return any(name in head.statistics for head in heads) or any(ruled_out)


def _weight_table(heads: Sequence[Head]) -> list[Part]:
    """The weights of heads that are not shares, as they are."""
    names = ("weight_min", "weight_mean", "weight_max", "weight_std")
    rows = tuple(
        (head.label, head.rows, *(_mean(head, name) for name in names))
        for head in heads
        if head.rows != SHARES
    )
    caption = "Weights that are not shares, as they are: means over texts"
    return [Table(("head", "rows", *names), rows, caption)] if rows else []


def _score_table(heads: Sequence[Head]) -> list[Part]:
    names = [
        name
        for name in dict.fromkeys(n for head in heads for n in head.evidence)
        if name in SCORES and SCORES[name].share
    ]
    rows = []
    for head in heads:
        cells = []
        for name in names:
            found = head.evidence.get(name)
            marks = "" if found is None else "*" * found.shown
            cells.append(_mean(head, name) + marks)
        rows.append((head.label, *cells))
    caption = (
        "What each head attends to: share of attention; * is more than chance "
        "(corrected p < 0.01)"
    )
    return [Table(("head", *names), tuple(rows), caption)] if names else []


def _mean(head: Head, name: str) -> str:
    found = head.statistics.get(name)
    return number(None if found is None else found.mean)


def _grids(heads: Sequence[Head]) -> list[Part]:
    if all(head.rows not in NONNEGATIVE for head in heads):
        return [_NONE]
    maps = list(dict.fromkeys(head.map for head in heads))
    found: list[Part] = []
    for name in GRIDS:
        if not any(name in head.statistics for head in heads):
            continue
        values = []
        for one in maps:
            row = [head for head in heads if head.map == one]
            known = [h.statistics.get(name) for h in row]
            values.append(tuple(None if s is None else s.mean for s in known))
        caption = f"{name} by layer and head, from 0 to 1"
        found.append(
            Grid(name, tuple(readable(m, 28) for m in maps), tuple(values), caption)
        )
    return found


def _bars(analysis: Analysis) -> list[Part]:
    found: list[Part] = []
    if all(head.rows not in NONNEGATIVE for head in analysis.heads):
        return [_NONE]
    for name, words in HISTOGRAMS.items():
        rows = [one[name] for one in analysis.histograms.values()]
        counts = tuple(sum(column) for column in zip(*rows, strict=True))
        caption = f"{words}: queries of all heads and texts ({sum(counts):,})"
        found.append(Bars(name, counts, caption))
    return found


def _sentences(heads: Sequence[Head]) -> Part:
    return Sentences(tuple((head.sentence, (head.label,)) for head in heads))
