"""What stands out: five sentences at most, each with its number and its heads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from statistics import fmean, variance

from neural_attn.analysis.evidence import FEWEST_ROWS
from neural_attn.analysis.groups import t_tail
from neural_attn.analysis.heads import Head, heads_of
from neural_attn.analysis.link_counts import LinkScore
from neural_attn.analysis.relations import Relations
from neural_attn.analysis.sentences import NOTHING, TOO_FEW, counted, p_text, rests_on
from neural_attn.analysis.type_table import SIGNIFICANT, THRESHOLDS, above_chance
from neural_attn.metrics.pattern_scores import SCORES
from neural_attn.promises import NONNEGATIVE

__all__ = ["Highlight", "find_highlights"]

MOST_SENTENCES = 5
_PLAIN = (
    *("previous_token", "next_token", "same_token", "reverse_order"),
    *("punctuation", "delimiter"),
)
_REST = (
    *("induction", "duplicate_token", "local", "block", "diagonal"),
    *("prefix", "suffix", "sparse"),
)


@dataclass(frozen=True)
class Highlight:
    """One sentence, and the labels of the heads that it is about."""

    sentence: str
    heads: tuple[str, ...]


def find_highlights(
    heads: Sequence[Head],
    probe: Sequence[Head] = (),
    clusters: Sequence[Sequence[str]] = (),
    links: Sequence[LinkScore] = (),
    relations: Relations | None = None,
) -> tuple[Highlight, ...]:
    """Choose at most five sentences, from what heads do most often and most clearly."""
    if not heads:
        return ()
    if _too_few(heads):
        labels = tuple(head.label for head in heads)
        return (Highlight(f"{_rows(heads)} with a choice: {TOO_FEW}", labels),)
    found = (
        *_links(heads, links),
        *_relations(heads, relations),
        *_sinks(heads),
        *_strongest(heads, _PLAIN),
        *_induction(probe),
        *_strongest(heads, _REST),
        *_even(heads),
        *_same(heads, clusters),
        *_focus(heads),
        *_signed(heads),
        *_nothing(heads),
    )
    whose = (
        f"no head of {len(heads)} has a" if len(heads) > 1 else "the only head has no"
    )
    none = Highlight(f"{NOTHING}: {whose} choice between keys", ())
    return tuple(islice(found, MOST_SENTENCES)) or (*_in_part(heads),) or (none,)


def _too_few(heads: Sequence[Head]) -> bool:
    """Whether all heads have a choice in so few rows that these say nothing."""
    chosen = [head for head in heads if head.rows in NONNEGATIVE]
    return bool(chosen) and 0 < max(head.queries for head in chosen) < FEWEST_ROWS


def _rows(heads: Sequence[Head]) -> str:
    """What sentences on whole rows rest on, for the head that has most of them."""
    known = [head for head in heads if "normalized_entropy" in head.statistics]
    most = max(known, key=lambda head: head.queries)
    return rests_on(most.queries, most.statistics["normalized_entropy"].texts)


def _links(heads: Sequence[Head], links: Sequence[LinkScore]) -> Iterator[Highlight]:
    """The head that finds most of the given links, beside what needs no head."""
    if not links:
        return
    labels = {(head.map, head.head): head.label for head in heads}
    best, median = links[0], links[len(links) // 2]
    finders = [one for one in links if one.finds]
    beside = (
        f"chance {best.chance:.2f}, best fixed offset {best.baseline:.2f}, "
        f"the median head {median.accuracy:.2f}"
    )
    label = labels[best.map, best.head]
    if best.finds:
        words = (
            f"{label} finds {best.accuracy:.2f} of {best.links:,} given links of "
            f"{counted(best.texts, 'text')}"
        )
        count = f"{len(finders)} of {len(links)} heads find more than both baselines"
        yield Highlight(
            f"{words} ({beside}); {count}",
            tuple(labels[one.map, one.head] for one in finders),
        )
    else:
        words = f"no head is shown to find the given links: the best, {label}"
        of = f"{best.links:,} of {counted(best.texts, 'text')}"
        share = f"{best.accuracy:.2f} of {of}"
        yield Highlight(f"{words}, finds {share} ({beside})", (label,))


def _relations(
    heads: Sequence[Head], relations: Relations | None
) -> Iterator[Highlight]:
    """The relation that a head finds most clearly, and how many more are found."""
    asked = () if relations is None else relations.found
    found = [(one, score) for one in asked for score in one.finders]
    if not found:
        return
    labels = {(head.map, head.head): head.label for head in heads}
    best, score = max(found, key=lambda pair: pair[1].margin)
    others = [one.words for one in asked if one.finders and one is not best]
    more = f"; others lead {', '.join(others)}" if others else ""
    yield Highlight(
        f"{labels[score.map, score.head]} leads {best.words}: {best.said(score)}{more}",
        tuple(dict.fromkeys(labels[one.map, one.head] for _, one in found)),
    )


def _sinks(heads: Sequence[Head]) -> Iterator[Highlight]:
    sinks = heads_of(heads, "sink")
    if not sinks:
        return
    first = sinks[0]
    deciding = Counter(map(_keys, sinks))
    words = ", ".join(f"{n} on {keys}" for keys, n in deciding.most_common())
    verb = "is a sink" if len(sinks) == 1 else "are sinks"
    partly = sum(
        head.pattern.name == "mixed"
        and [part.name for part in head.pattern.parts[:1]] == ["sink"]
        for head in heads
    )
    verbs = "is" if partly == 1 else "are"
    more = f"; {partly} more {verbs} partly so" if partly else ""
    yield Highlight(
        f"{_share(sinks, heads)} {verb} ({words}){more}; the clearest: "
        f"{first.sentence}",
        tuple(head.label for head in sinks),
    )


def _share(some: Sequence[Head], heads: Sequence[Head]) -> str:
    """How many of all heads."""
    return f"{len(some)} of {len(heads)} heads" if len(heads) > 1 else "the only head"


def _keys(sink: Head) -> str:
    """What a sink is on: "[CLS]", "the first token", "one position"."""
    score = sink.pattern.parts[0].metric
    if score == "top_key_share":
        return "one position"
    return sink.special.get(score, SCORES[score].words)


def _strongest(heads: Sequence[Head], types: Sequence[str]) -> Iterator[Highlight]:
    """The clearest head of each type; how many more there are of it."""
    for name in types:
        found = heads_of(heads, name)
        if found:
            others = len(found) - 1
            more = f"; {others} more do{'es' if others == 1 else ''} so" * bool(others)
            labels = tuple(head.label for head in found)
            yield Highlight(f"{found[0].sentence}{more}", labels)


def _induction(probe: Sequence[Head]) -> Iterator[Highlight]:
    known = [head for head in probe if "induction" in head.evidence]
    if not known:
        return
    best = max(known, key=lambda head: head.statistics["induction"].mean)
    score, found = best.statistics["induction"].mean, best.evidence["induction"]
    clear = above_chance(score, found.chance) >= THRESHOLDS["part"]
    if found.shown and clear:
        yield Highlight(
            f"on repeated random tokens layer {best.layer} head {best.head} attends to "
            f"what followed the same token before: {score:.2f}, chance "
            f"{found.chance:.2f}, {p_text(found.p_corrected)}, "
            f"{rests_on(found.rows, found.texts)}",
            (best.label,),
        )


def _even(heads: Sequence[Head]) -> Iterator[Highlight]:
    even = heads_of(heads, "uniform")
    if even:
        verb = "spreads" if len(even) == 1 else "spread"
        least = min(head.statistics["normalized_entropy"].mean for head in even)
        yield Highlight(
            f"{_share(even, heads)} {verb} attention evenly "
            f"(normalized entropy at least {least:.2f}, {_rows(even)})",
            tuple(head.label for head in even),
        )


def _same(
    heads: Sequence[Head], clusters: Sequence[Sequence[str]]
) -> Iterator[Highlight]:
    if clusters:
        joined = sum(len(group) for group in clusters)
        largest = clusters[0]
        yield Highlight(
            f"{joined} of {len(heads)} heads do nearly what another does, in "
            f"{len(clusters)} cluster{'s' if len(clusters) > 1 else ''}; the largest "
            f"has {len(largest)}: {', '.join(largest[:6])}"
            + (" and others" if len(largest) > 6 else "")
            + f" ({_rows(heads)})",
            tuple(largest),
        )


def _focus(heads: Sequence[Head]) -> Iterator[Highlight]:
    """The layers whose heads are most and least focused, where these differ."""
    layers: dict[int, list[float]] = {}
    for head in heads:
        if "normalized_entropy" in head.statistics:
            entropy = head.statistics["normalized_entropy"].mean
            layers.setdefault(head.layer, []).append(entropy)
    means = {layer: fmean(rows) for layer, rows in layers.items()}
    if len(means) < 2:
        return
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    # Chosen after seeing them: as many pairs could have been (Bonferroni).
    pairs = len(list(combinations(means, 2)))
    p = min(1.0, pairs * _differ(layers[low], layers[high]))
    if p < SIGNIFICANT:
        yield Highlight(
            f"layer {low} is the most focused and layer {high} the least: mean "
            f"normalized entropy {means[low]:.2f} and {means[high]:.2f}, {p_text(p)} "
            f"between heads, {_rows(heads)}",
            tuple(head.label for head in heads if head.layer in (low, high)),
        )


def _differ(one: Sequence[float], other: Sequence[float]) -> float:
    """Two-sided p that two samples have one mean (Welch, 1947); 1 for single values."""
    if min(len(one), len(other)) < 2:
        return 1.0
    errors = variance(one) / len(one), variance(other) / len(other)
    if sum(errors) < 1e-18:  # heads that are all alike are one head
        return 1.0
    freedom = sum(errors) ** 2 / (
        errors[0] ** 2 / (len(one) - 1) + errors[1] ** 2 / (len(other) - 1)
    )
    return 2 * t_tail(abs(fmean(one) - fmean(other)) / math.sqrt(sum(errors)), freedom)


def _signed(heads: Sequence[Head]) -> Iterator[Highlight]:
    signed = [head for head in heads if head.rows not in NONNEGATIVE]
    if signed:
        verb = "has" if len(signed) == 1 else "have"
        low = min(head.statistics["weight_min"].least for head in signed)
        high = max(head.statistics["weight_max"].greatest for head in signed)
        texts = max(head.statistics["weight_max"].texts for head in signed)
        yield Highlight(
            f"{_share(signed, heads)} {verb} signed weights, "
            f"from {low:.2f} to {high:.2f}, in {counted(texts, 'text')}",
            tuple(head.label for head in signed),
        )


def _in_part(heads: Sequence[Head]) -> Iterator[Highlight]:
    """The head that does most of something, where no head does it clearly."""
    some = [
        head
        for head in heads
        if head.queries and any(found.shown for found in head.evidence.values())
    ]
    if some:
        best = max(some, key=_most_in_part)
        several = f"none of {len(heads)} heads has" if len(heads) > 1 else "no head has"
        yield Highlight(
            f"{several} one clear pattern; the most: {best.sentence}",
            tuple(head.label for head in some),
        )


def _most_in_part(head: Head) -> float:
    """How far the strongest part of a pattern is from chance."""
    return max((above_chance(p.value, p.chance) for p in head.pattern.parts), default=0)


def _nothing(heads: Sequence[Head]) -> Iterator[Highlight]:
    none = [
        head
        for head in heads
        if head.rows in NONNEGATIVE
        and head.queries
        and head.pattern.name != "uniform"  # which `_even` tells
        and not any(found.shown for found in head.evidence.values())
    ]
    if none:
        yield Highlight(
            f"{NOTHING} in {_share(none, heads)}: no score is more than "
            f"chance ({_rows(none)})",
            tuple(head.label for head in none),
        )
