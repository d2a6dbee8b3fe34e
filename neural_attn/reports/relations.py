"""The section on grammatical relations."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.analysis.heads import Head
from neural_attn.analysis.link_counts import LinkScore
from neural_attn.analysis.relations import Relation, Relations
from neural_attn.reports.elements import Heading, Part, Sentences, Table, number

__all__ = ["relation_parts"]


def relation_parts(relations: Relations | None, heads: Sequence[Head]) -> list[Part]:
    """The best head of each relation, where they were asked for."""
    if relations is None:
        return []
    title = Heading(2, "Grammatical relations", asked=True)
    caption = f"Parsed by {relations.parser}: {_counted(relations)}"
    if not relations.found:
        return [title, Sentences(((f"none was found. {caption}", ()),))]
    labels = {(head.map, head.head): head.label for head in heads}
    rows = tuple(
        _row(one, labels[one.scores[0].map, one.scores[0].head], one.scores[0])
        for one in relations.found
    )
    caption += (
        ". The head that finds most of each: the strongest of the words it may see is "
        "the right one. Intervals are Wilson's, 95 % for all heads and relations "
        "together; offsets are counted in words"
    )
    header = ("where it leads", "head", "right", "interval", "chance", "best offset",
              "rows", "texts", "verdict")  # fmt: skip
    return [title, Table(header, rows, caption)]


def _counted(relations: Relations) -> str:
    """What was not counted, in words."""
    words = f"{relations.arcs:,} arcs are of these relations"
    if relations.left_out:
        words += f", {relations.left_out:,} of which lie on no tokens of their own"
    if relations.unparsed:
        words += f"; {relations.unparsed:,} texts have no parse"
    return words


def _row(one: Relation, label: str, best: LinkScore) -> tuple[str, ...]:
    interval = f"{number(best.low)} to {number(best.high)}"
    offset = f"{number(best.baseline)} ({best.offset:+d})"
    counts = f"{best.links:,}", f"{best.texts:,}"
    found = number(best.accuracy), interval, number(best.chance), offset
    return (one.words, label, *found, *counts, one.verdict(best))
