"""The parts of a report that only some analyses have: groups, links, a first text."""

from __future__ import annotations

from neural_attn.analysis.heads import p_text
from neural_attn.analysis.parts import Heading, Part, Squares, Table, number
from neural_attn.analysis.result import Analysis
from neural_attn.visualize.tokens import readable

__all__ = ["more_parts"]

_MOST_CONNECTIONS = 5


def more_parts(analysis: Analysis) -> list[Part]:
    """Induction, clusters, groups, links and the first text, as far as there are."""
    parts = _induction(analysis) + _clusters(analysis) + _differences(analysis)
    return parts + _links(analysis) + _example(analysis)


def _induction(analysis: Analysis) -> list[Part]:
    rows = []
    for head in analysis.probe:
        found = head.evidence.get("induction")
        if found is not None:
            score = number(head.statistics["induction"].mean)
            mark = "yes" if found.significant and found.z > 0 else "no evidence"
            p = p_text(found.p_corrected)
            rows.append(
                (head.label, score, number(found.chance), number(found.z), p, mark)
            )
    if not rows:
        return []
    rows.sort(key=lambda row: -float(row[1]))
    header = ("head", "score", "chance", "z", "corrected", "more than chance")
    caption = "Induction on repeated random tokens, the ten highest"
    return [Heading(2, "Induction"), Table(header, tuple(rows[:10]), caption)]


def _clusters(analysis: Analysis) -> list[Part]:
    if not analysis.clusters:
        return []
    rows = tuple((str(len(g)), ", ".join(g)) for g in analysis.clusters)
    caption = "Heads that attend alike: mean Jensen-Shannon distance below 0.25"
    return [Heading(2, "Clusters"), Table(("heads", "which"), rows, caption)]


def _differences(analysis: Analysis) -> list[Part]:
    labels = {(head.map, head.head): head.label for head in analysis.heads}
    parts: list[Part] = []
    for pair, found in analysis.differences.items():
        rows = tuple(
            (
                labels[one.map, one.head],
                one.metric,
                number(one.first),
                number(one.second),
                f"{number(one.difference)} [{number(one.low)}, {number(one.high)}]",
                f"{number(one.effect)} "
                f"[{number(one.effect_low)}, {number(one.effect_high)}]",
                p_text(one.p_corrected),
            )
            for one in found[:15]
        )
        header = ("head", "metric", "first", "second", "difference [95 %]",
                  "Hedges' g [95 %]", "corrected")  # fmt: skip
        caption = "Greatest effects; no row: too few texts to compare"
        title = Heading(2, f"Groups: {readable(pair, 60)}")
        parts += [title, Table(header, rows, caption)]
    return parts


def _links(analysis: Analysis) -> list[Part]:
    if not analysis.links:
        return []
    labels = {(head.map, head.head): head.label for head in analysis.heads}
    best = analysis.links[0]
    rows = tuple(
        (
            labels[one.map, one.head],
            number(one.accuracy),
            number(one.z),
            p_text(one.p_corrected),
        )
        for one in analysis.links[:10]
    )
    caption = (
        f"Share of {best.links:,} links that a head finds; always offset "
        f"{best.offset:+d} finds {number(best.baseline)}"
    )
    header = ("head", "accuracy", "z", "corrected")
    return [Heading(2, "Given links"), Table(header, rows, caption)]


def _example(analysis: Analysis) -> list[Part]:
    example = analysis.example
    if example is None:
        return []
    tokens = tuple(readable(token, 16) for token in example.tokens)
    parts: list[Part] = [Heading(2, "The first text")]
    if example.raw:
        last = len(example.raw) - 1
        pictures = (example.raw[0], example.raw[last], example.rollout[last])
        parts.append(
            Squares(
                ("first layer", "last layer", "rollout through all layers"),
                tuple(tuple(tuple(row) for row in one) for one in pictures),
                tokens,
                f"Raw attention (mean over heads) beside rollout, residual share "
                f"{example.residual:g}; rows attend to columns",
            )
        )
    if example.agreement:
        rows = tuple(
            (f"layer {index}", number(value))
            for index, value in enumerate(example.agreement)
        )
        caption = "Correlation of raw attention with rollout up to the same layer"
        parts.append(Table(("layer", "correlation"), rows, caption))
    rows_ = tuple(
        (
            readable(one.map, 40),
            f"{readable(one.query_token)} → {readable(one.key_token)}",
            number(one.weight),
            one.category,
            one.rule,
        )
        for found in example.connections.values()
        for one in found[:_MOST_CONNECTIONS]
    )
    if rows_:
        header = ("layer", "connection", "weight", "category", "rule")
        caption = "Strongest connections of each layer, mean over heads, above 0.1"
        parts.append(Table(header, rows_, caption))
    return parts
