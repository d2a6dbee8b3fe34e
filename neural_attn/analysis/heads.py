"""Statistics into findings: one record per head, with its type and its sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neural_attn.analysis.head_types import (
    SIGNIFICANT,
    Pattern,
    PatternPart,
    above_chance,
    name_pattern,
)
from neural_attn.analysis.running_statistics import Tally
from neural_attn.analysis.significance import holm, p_values, z_scores
from neural_attn.metrics.measure import BASED, STATISTICS
from neural_attn.metrics.pattern_scores import SCORES
from neural_attn.promises import NONNEGATIVE, SHARES, Rows

# why most is not defined of signed weights
NO_SHARES = "signed weights are no shares of attention"

__all__ = ["Evidence", "Head", "Statistic", "describe", "p_text"]


@dataclass(frozen=True)
class Statistic:
    """One metric of one head over texts; `uniform` is that of uniform attention."""

    mean: float
    std: float | None
    least: float
    greatest: float
    texts: int
    uniform: float | None


@dataclass(frozen=True)
class Evidence:
    """One score against its baseline; `significant` after correction."""

    chance: float
    z: float
    p: float
    p_corrected: float
    significant: bool


@dataclass(frozen=True)
class Head:
    """What is known of one head."""

    label: str  # as other tools write it, L5H1; in decoder layers L5H1.self
    map: str
    layer: int
    head: int
    kind: str
    statistics: dict[str, Statistic]
    evidence: dict[str, Evidence]
    pattern: Pattern
    sentence: str
    rows: Rows = SHARES  # what they promise


@dataclass(frozen=True)
class Place:
    """Where the heads of a map stand: its layer's number and its kind."""

    layer: int
    kind: str
    head_indices: tuple[int, ...]
    several: bool  # other maps have the same layer number
    rows: Rows = SHARES

    def label(self, number: int) -> str:
        """The name of the head of this number, as `Head.label` has it."""
        kind = f".{self.kind.rpartition('_')[2]}" if self.several else ""
        return f"L{self.layer}H{number}{kind}"


def describe(
    tallies: Mapping[str, Tally], places: Mapping[str, Place]
) -> tuple[Head, ...]:
    """Give every head of every map; p is corrected over all of them together."""
    names = [name for name in tallies if tallies[name].texts]
    if not names:
        return ()
    both = [z_scores(tallies[name]) for name in names]
    chance = np.concatenate([c for c, _ in both])
    z = np.concatenate([z for _, z in both])
    p = p_values(z)
    corrected = holm(p)
    heads = []
    row = 0
    for name in names:
        for index in range(len(tallies[name].expected)):
            evidence = {
                score: Evidence(
                    float(chance[row, column]),
                    float(z[row, column]),
                    float(p[row, column]),
                    float(corrected[row, column]),
                    bool(corrected[row, column] < SIGNIFICANT),
                )
                for column, score in enumerate(BASED)
                if not math.isnan(z[row, column])
            }
            heads.append(_head(name, index, tallies[name], places[name], evidence))
            row += 1
    return tuple(heads)


def _head(
    name: str, index: int, tally: Tally, place: Place, evidence: dict[str, Evidence]
) -> Head:
    values, uniform, std = tally.values, tally.uniform, tally.values.std
    statistics = {}
    for column, metric in enumerate(STATISTICS):
        count = int(values.count[index, column])
        if not count:
            continue
        spread = float(std[index, column])
        known = uniform.count[index, column] > 0
        statistics[metric] = Statistic(
            float(values.mean[index, column]),
            None if math.isnan(spread) else spread,
            float(values.low[index, column]),
            float(values.high[index, column]),
            count,
            float(uniform.mean[index, column]) if known else None,
        )
    if place.rows in NONNEGATIVE:
        pattern = _pattern(statistics, evidence)
    else:
        pattern = Pattern("undefined", "undefined: signed", 0.0, {}, NO_SHARES)
    number = place.head_indices[index]
    where = f"layer {place.layer}"
    if place.several:
        where += f" ({place.kind.replace('_', ' ')})"
    sentence = f"{where} head {number} {_sentence(pattern, statistics, evidence)}"
    return Head(
        place.label(number),
        name,
        place.layer,
        number,
        place.kind,
        statistics,
        evidence,
        pattern,
        sentence,
        place.rows,
    )


def _pattern(
    statistics: Mapping[str, Statistic], evidence: Mapping[str, Evidence]
) -> Pattern:
    values = dict.fromkeys(STATISTICS, math.nan)
    chance = dict.fromkeys(STATISTICS, math.nan)
    for name, statistic in statistics.items():
        values[name] = statistic.mean
        if statistic.uniform is not None:
            chance[name] = statistic.uniform
    p = dict.fromkeys(BASED, 1.0)
    for name, found in evidence.items():
        chance[name] = found.chance
        p[name] = found.p_corrected
    return name_pattern(values, chance, p)


def _sentence(
    pattern: Pattern,
    statistics: Mapping[str, Statistic],
    evidence: Mapping[str, Evidence],
) -> str:
    name, numbers = pattern.name, pattern.decided_by
    if name == "uniform":
        entropy = statistics["normalized_entropy"].mean
        return f"spreads its attention evenly: normalized entropy {entropy:.2f}"
    if name == "sparse":
        keys = statistics["effective_keys"].mean
        return (
            f"attends to few keys, mostly not explained by position or token: "
            f"{keys:.1f} effective keys, {numbers['ratio']:.2f} of uniform"
        )
    if pattern.rule == NO_SHARES:
        low, high = statistics["weight_min"], statistics["weight_max"]
        return f"has signed weights, from {low.least:.2f} to {high.greatest:.2f}"
    if name == "undefined":
        return "has no choice: each query may attend to one key"
    if name == "mixed":
        return _mixed_sentence(pattern, statistics, evidence)
    first, *others = pattern.parts
    main = f"attends to {_words(first.metric)}: {_numbers(first, evidence)}"
    more = "".join(f"; also to {_words(o.metric)}: {o.value:.2f}" for o in others[:1])
    return main + more


def _mixed_sentence(
    pattern: Pattern,
    statistics: Mapping[str, Statistic],
    evidence: Mapping[str, Evidence],
) -> str:
    """Name its two strongest parts, or what has the most evidence, or that none has."""
    shown = [
        f"{_words(part.metric)} ({_numbers(part, evidence)})"
        for part in pattern.parts[:2]
        if part.name != "uniform"
    ]
    if len(shown) == 2:
        return f"attends partly to {shown[0]} and partly to {shown[1]}"
    if shown:
        return f"attends partly to {shown[0]}{_rest(pattern, statistics)}"
    some = [
        (above_chance(statistics[name].mean, found.chance), name)
        for name, found in evidence.items()
        if found.significant and name != "distance" and found.z > 0
    ]
    if not some:
        entropy = statistics["normalized_entropy"].mean
        return (
            "shows no evidence of any pattern: all p above "
            f"{SIGNIFICANT:g}, normalized entropy {entropy:.2f}"
        )
    name = max(some)[1]
    most = PatternPart("", name, statistics[name].mean, evidence[name].chance)
    return (
        f"has no clear pattern; the most is {_words(name)}: {_numbers(most, evidence)}"
    )


def _rest(pattern: Pattern, statistics: Mapping[str, Statistic]) -> str:
    """What the remaining attention does, as far as it is known."""
    if pattern.parts[0].name != "sink" or "content_entropy" not in statistics:
        return ""
    entropy = statistics["content_entropy"].mean
    even = any(part.name == "uniform" for part in pattern.parts)
    how = "evenly" if even else "by no known pattern"
    return f", the rest to ordinary tokens {how}: normalized entropy {entropy:.2f}"


def _words(metric: str) -> str:
    if metric == "top_key_share":
        return "one position from everywhere"
    return SCORES[metric].words


def _numbers(part: PatternPart, evidence: Mapping[str, Evidence]) -> str:
    found = evidence[part.metric]
    return (
        f"{part.value:.2f}, chance {part.chance:.2f}, "
        f"z {found.z:.0f}, {p_text(found.p_corrected)}"
    )


def p_text(p: float) -> str:
    """Give p as text; what float64 cannot tell from 0 is given as a bound."""
    if p < 1e-300:
        return "p < 1e-300"
    return f"p {p:.3f}" if p >= 0.001 else f"p {p:.0e}"


def heads_of(heads: Sequence[Head], pattern: str) -> list[Head]:
    """The heads of a type, the most confident first."""
    found = [head for head in heads if head.pattern.name == pattern]
    return sorted(found, key=lambda head: -head.pattern.confidence)
