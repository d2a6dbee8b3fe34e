"""Statistics into findings: one record per head, with its type and its sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from neural_attn.analysis.evidence import FEWEST_KEYS, FEWEST_ROWS, Evidence, Statistic
from neural_attn.analysis.head_types import name_pattern
from neural_attn.analysis.running_statistics import Tally
from neural_attn.analysis.sentences import NO_SHARES, head_sentence
from neural_attn.analysis.significance import (
    holm,
    p_values,
    z_scores,
)
from neural_attn.analysis.type_table import SIGNIFICANT, Pattern
from neural_attn.metrics.measure import BASED, OF_CLASS, STATISTICS
from neural_attn.promises import NONNEGATIVE, PARTS, SHARES, Rows, nowhere

__all__ = [
    "Evidence",
    "Head",
    "Place",
    "Statistic",
    "describe",
    "heads_of",
    "what_is_missing",
]


LEAST_MISSING = 0.005  # less is no percent


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
    queries: int = 0  # with a choice between keys, over all texts
    # score -> the special tokens that it is of, in words; where all texts have the same
    special: dict[str, str] = field(default_factory=dict)


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
    p = np.concatenate(
        [p_values(own, tallies[n]) for n, (_, own) in zip(names, both, strict=True)]
    )
    rows = np.concatenate([tallies[name].rows for name in names])
    keys = np.concatenate([tallies[name].effective_keys for name in names])
    enough = (rows >= FEWEST_ROWS) & (keys >= FEWEST_KEYS)
    corrected = np.where(enough, holm(np.where(enough, p, np.nan)), 1.0)
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
                    int(rows[row, column]),
                    int(tallies[name].values.count[index, STATISTICS.index(score)]),
                    float(keys[row, column]) if score in OF_CLASS else None,
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
    queries = int(tally.entropy_histogram[index].sum())
    if place.rows not in NONNEGATIVE:
        pattern = Pattern("undefined", "undefined: signed", 0.0, {}, NO_SHARES)
    elif 0 < queries < FEWEST_ROWS:
        few = f"{queries} rows have a choice, but fewer than {FEWEST_ROWS} say nothing"
        pattern = Pattern("undefined", "undefined: too few rows", 0.0, {}, few)
    else:
        pattern = _pattern(statistics, evidence)
    number = place.head_indices[index]
    where = f"layer {place.layer}"
    if place.several:
        where += f" ({place.kind.replace('_', ' ')})"
    special = _special(tally.special)
    said = head_sentence(pattern, statistics, evidence, queries, special)
    return Head(
        place.label(number),
        name,
        place.layer,
        number,
        place.kind,
        statistics,
        evidence,
        pattern,
        f"{where} head {number} {said}",
        place.rows,
        queries,
        special,
    )


def _special(found: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """What special tokens scores are of, in words, where all texts have the same."""
    named = {
        score: next(iter(names))
        for score, names in found.items()
        if len(names) == 1 and "" not in names
    }
    ends = ("first_token", "delimiters")
    if all(end in named or not found.get(end) for end in ends):
        names = dict.fromkeys(named[end] for end in ends if end in named)
        named["special_tokens"] = " and ".join(names)
    return {name: words for name, words in named.items() if name != "delimiters"}


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


def what_is_missing(heads: Sequence[Head]) -> str:
    """How much of the attention of heads whose rows are parts goes to no key, in words.

    Empty where nothing is missing, or it is not known. The mean weight of rows that sum
    to 1 is that of uniform attention.
    """
    means = [head.statistics.get("weight_mean") for head in heads if head.rows == PARTS]
    found = [1 - one.mean / one.uniform for one in means if one and one.uniform]
    missing = float(np.mean(found)) if found else 0.0
    return nowhere(missing) if missing >= LEAST_MISSING else ""


def heads_of(heads: Sequence[Head], pattern: str) -> list[Head]:
    """The heads of a type, the most confident first."""
    found = [head for head in heads if head.pattern.name == pattern]
    return sorted(found, key=lambda head: -head.pattern.confidence)
