"""The parts of a report that only some analyses have, from groups to a first text."""

from __future__ import annotations

from collections import Counter

import numpy as np

from neural_attn.analysis.example import MOST_TOKENS, Example
from neural_attn.analysis.heads import Head
from neural_attn.analysis.link_counts import LinkScore
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.sentences import NOTHING, p_text, rests_on
from neural_attn.analysis.steps import MEASURED
from neural_attn.figures.reading import labels
from neural_attn.figures.token_labels import readable
from neural_attn.promises import SHARES
from neural_attn.reports.elements import (
    Heading,
    Part,
    Sentences,
    Squares,
    Table,
    number,
)

__all__ = ["layer_pictures", "more_parts"]

_MOST_INPUTS = 8
_MOST_FINDERS = 10
_ROWS = {"token": "of the token", "predicting": "that predicts the token"}
_CANDIDATES = {
    "visible": "of all that the query may see",
    "given": "of the candidates given",
    "mixed": "of the candidates given, or of all that the query may see",
}
_LAYERS_IN_A_ROW = 6


def more_parts(analysis: Analysis) -> list[Part]:
    """Induction, clusters, groups, links, steps, the first text: what there is."""
    asked = _links(analysis) + _differences(analysis) + _steps(analysis)
    return asked + _induction(analysis) + _clusters(analysis) + _example(analysis)


def _induction(analysis: Analysis) -> list[Part]:
    known = [head for head in analysis.probe if "induction" in head.evidence]
    if not known:
        return []
    known.sort(key=lambda head: -head.statistics["induction"].mean)
    found = known[0].evidence["induction"]
    rest = rests_on(found.rows, found.texts)
    shown = [head for head in known if head.evidence["induction"].shown]
    title = Heading(2, "Induction")
    if not shown:
        score = number(known[0].statistics["induction"].mean)
        words = (
            f"{NOTHING}: on repeated random tokens no head of {len(known)} attends to "
            f"what followed the same token before more than chance (the most, "
            f"{known[0].label}: {score}, chance {number(found.chance)}, "
            f"{p_text(found.p_corrected)}, {rest})"
        )
        return [title, Sentences(((words, (known[0].label,)),))]
    rows = tuple(_induction_row(head) for head in shown[:10])
    header = ("head", "score", "chance", "z", "corrected")
    caption = (
        f"{len(shown)} of {len(known)} heads attend to what followed the same token "
        f"before, on repeated random tokens, more than chance ({rest})"
    )
    return [title, Table(header, rows, caption)]


def _induction_row(head: Head) -> tuple[str, ...]:
    found = head.evidence["induction"]
    score = number(head.statistics["induction"].mean)
    p = p_text(found.p_corrected)
    return (head.label, score, number(found.chance), number(found.z), p)


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
        title = Heading(2, f"Groups: {readable(pair, 60)}", asked=True)
        parts += [title, Table(header, rows, caption)]
    return parts


def _links(analysis: Analysis) -> list[Part]:
    if not analysis.links:
        return []
    heads = {(head.map, head.head): head for head in analysis.heads}
    scores = analysis.links
    best, median = scores[0], scores[len(scores) // 2]
    rows = [
        _link_row(heads[one.map, one.head].label, one) for one in scores[:_MOST_FINDERS]
    ]
    if len(scores) > _MOST_FINDERS:
        label = heads[median.map, median.head].label
        rows.append(_link_row(f"{label} (median)", median))
    kinds = {heads[one.map, one.head].kind.replace("_", " ") for one in scores}
    caption = (
        f"Share of {best.links:,} links of {best.texts:,} text"
        f"{'s' * (best.texts != 1)} that a head finds, of {len(scores):,} heads "
        f"({' and '.join(sorted(kinds))} attention, the row {_ROWS[best.row]}): the "
        f"linked key is the strongest {_CANDIDATES[best.candidates]}. Intervals are "
        f"Wilson's, 95 % for all heads together; the best fixed offset is "
        f"{best.offset:+d}"
    )
    header = ("head", "accuracy", "interval", "chance", "offset", "verdict")
    return [Heading(2, "Given links", asked=True), Table(header, tuple(rows), caption)]


def _link_row(label: str, one: LinkScore) -> tuple[str, ...]:
    interval = f"{number(one.low)} to {number(one.high)}"
    baselines = number(one.chance), number(one.baseline)
    return (label, number(one.accuracy), interval, *baselines, one.verdict)


def _steps(analysis: Analysis) -> list[Part]:
    """How focused the steps of writing were: all heads of a kind, then each alone."""
    if analysis.steps is None or not analysis.steps.rows:
        return []
    labels = {(head.map, head.head): head.label for head in analysis.heads}
    cells: dict[str, dict[str, str]] = {}
    for one in analysis.steps.spreads():
        kind = f"all {one.kind.rpartition('_')[2]}"
        who = kind if one.map is None else labels[one.map, one.head or 0]
        spread = f"{number(one.mean)} ± {number(one.std)}"
        cells.setdefault(who, {})[one.metric] = spread
    rows = tuple(
        (who, *(own.get(name, number(None)) for name in MEASURED))
        for who, own in cells.items()
    )
    caption = (
        f"Steps that were written in {analysis.steps.texts:,} text"
        f"{'s' * (analysis.steps.texts != 1)}: mean and standard deviation over steps"
    )
    header = ("head", "entropy, nats", "normalized entropy", "greatest weight")
    return [Heading(2, "Generation steps", asked=True), Table(header, rows, caption)]


def _example(analysis: Analysis) -> list[Part]:
    example = analysis.example
    if example is None:
        return []
    parts: list[Part] = [Heading(2, "The first text")]
    if example.raw:
        parts += [*layer_pictures(example), _inputs(example)]
    elif example.agreement:
        words = (
            f"it has {len(example.tokens)} tokens: layers are shown up to {MOST_TOKENS}"
        )
        parts.append(Sentences(((words, ()),)))
    if example.agreement:
        rows = [
            (f"layer {index}, raw", number(value))
            for index, value in enumerate(example.agreement)
        ]
        if example.flow:
            rows.append(("flow", number(example.flow_agreement)))
        caption = "Correlation of raw attention with rollout up to the same layer"
        parts.append(Table(("layer", "correlation"), tuple(rows), caption))
    return [*parts, *_connections(example)]


def layer_pictures(example: Example) -> list[Squares]:
    """The whole network in large, then its layers side by side, on one scale."""
    from neural_attn.figures.scales import even_share

    tokens = tuple(labels(example.tokens, 16))
    stacks = [example.raw, example.rollout, *([[example.flow]] if example.flow else [])]
    top = max(float(np.max(stack)) for stack in stacks)
    # of what some layer attends to: the example does not keep the masks
    even = even_share(np.any(example.raw, axis=0), SHARES)
    large = [
        ("raw, last layer", example.raw[-1]),
        ("rollout through all layers", example.rollout[-1]),
        *([("flow through all layers", example.flow)] if example.flow else []),
    ]
    residual = f"residual share {example.residual:g}; rows attend to columns"
    names = "rollout and flow" if example.flow else "rollout"
    caption = f"Raw attention (mean over heads) beside {names}, {residual}"
    count = len(example.raw)
    rows = []
    for start in range(0, count, _LAYERS_IN_A_ROW):
        some = range(start, min(start + _LAYERS_IN_A_ROW, count))
        rows.append(tuple((f"layer {i}, raw", example.raw[i]) for i in some))
        rows.append(tuple((f"to layer {i}, rollout", example.rollout[i]) for i in some))
    below = f"Layers side by side: raw attention above, rollout below, {residual}"
    return [
        Squares((tuple(large),), tokens, caption, top, even),
        Squares(tuple(rows), tokens, below, top, even, side=130),
    ]


def _inputs(example: Example) -> Table:
    """How much of each input is in the outputs, by each way to reckon it."""
    ways = {"raw, last layer": example.raw[-1], "rollout": example.rollout[-1]}
    if example.flow:
        ways["flow"] = example.flow
    means = [
        [sum(column) / len(column) for column in zip(*matrix, strict=True)]
        for matrix in ways.values()
    ]
    tokens = labels(example.tokens)
    order = sorted(range(len(example.tokens)), key=lambda index: -means[1][index])
    rows = tuple(
        (
            f"{index} {tokens[index]}",
            *(number(one[index]) for one in means),
        )
        for index in order[:_MOST_INPUTS]
    )
    caption = "Inputs that reach the outputs most: means over positions"
    return Table(("input", *ways), rows, caption)


def _connections(example: Example) -> list[Part]:
    """How many connections of each category a layer has, and the strongest of each."""
    found = example.connections
    categories = Counter(one.category for layer in found.values() for one in layer)
    if not categories:
        return []
    names = [name for name, _ in categories.most_common()]
    counts = tuple(
        (
            readable(name, 40),
            *(str(sum(one.category == c for one in layer) or "") for c in names),
        )
        for name, layer in found.items()
    )
    strongest = [
        next((one for one in layer if one.category == c), None)
        for layer in found.values()
        for c in names
    ]
    rows = tuple(
        (
            readable(one.map, 40),
            " → ".join(labels([one.query_token]) + labels([one.key_token])),
            number(one.weight),
            one.category,
            one.rule,
        )
        for one in strongest
        if one is not None
    )
    header = ("layer", "connection", "weight", "category", "rule")
    signed = any(one.weight < 0 for layer in found.values() for one in layer)
    beyond = "above 0.1 or below -0.1" if signed else "above 0.1"
    return [
        Table(
            ("layer", *names),
            counts,
            f"Strong connections: weights {beyond} in the mean over heads, by category",
        ),
        Table(header, rows, "The strongest connection of each category"),
    ]
