"""Names what a head does, with a confidence and the numbers that decided.

Every threshold of the analysis is in `THRESHOLDS`. Scores are compared as the part of
the way from chance to certainty, c = (score - chance) / (1 - chance), where chance is
uniform attention under the same mask: so that a short text, or a mask that leaves few
keys, does not make a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from neural_attn.analysis.baselines import SIGNIFICANT

__all__ = [
    "PATTERNS",
    "THRESHOLDS",
    "Pattern",
    "above_chance",
    "name_pattern",
    "same_family",
]

THRESHOLDS: dict[str, float] = {
    # c of the pattern that names a head, at least
    "clear": 0.5,
    # share of its first (last) token in a prefix (suffix), at most
    "one_token": 0.6,
    # c of each of several patterns that make a head mixed, at least
    "part": 0.15,
    # normalized entropy of a uniform head, at least
    "uniform": 0.9,
    # effective keys of a sparse head, relative to uniform attention, at most
    "sparse": 0.4,
    # normalized entropy above which all heads look untrained (`doctor.py`)
    "untrained": 0.97,
}

# type -> the scores of which any makes it. Narrow types win over wide ones, as the
# previous token is also local and the first one also a prefix.
NARROW: dict[str, tuple[str, ...]] = {
    "previous_token": ("previous_token",),
    "next_token": ("next_token",),
    "same_token": ("same_token",),
    "duplicate_token": ("duplicate_token",),
    "induction": ("induction",),
    "sink": ("first_token", "last_token", "special_tokens", "punctuation", "top_key"),
}
WIDE: dict[str, tuple[str, ...]] = {
    "local": ("local",),
    "prefix": ("prefix",),
    "suffix": ("suffix",),
    "block": ("block",),
    "diagonal": ("diagonal",),
}
# Two patterns of one family are one finding, not a mixture.
FAMILIES = (
    ("previous_token", "next_token", "same_token", "local", "block", "diagonal"),
    ("sink", "prefix", "suffix"),
    ("duplicate_token",),
    ("induction",),
)
PATTERNS = (*NARROW, *WIDE, "uniform", "sparse", "mixed", "undefined")


@dataclass(frozen=True)
class Pattern:
    """The type of one head.

    `confidence`, from 0 to 1, is how far the deciding number is from its threshold: a
    margin, no probability. `decided_by` are the numbers, `rule` says them in words.
    """

    name: str
    confidence: float
    decided_by: dict[str, float]
    rule: str


def above_chance(score: float, chance: float) -> float:
    """The part of the way from chance to certainty: 0 is chance, 1 is everything."""
    if not chance < 1 - 1e-9:
        return math.nan
    return (score - chance) / (1 - chance)


def name_pattern(
    values: Mapping[str, float],
    chance: Mapping[str, float],
    p_corrected: Mapping[str, float],
) -> Pattern:
    """Name the type of one head.

    Parameters
    ----------
    values : every column of `measure` by name, NaN where undefined
    chance : the same of uniform attention
    p_corrected : of the scores, by name; a score without evidence decides nothing
    """
    found = _patterns(values, chance, p_corrected)
    for group in (NARROW, WIDE):
        # Ties go to the type named first.
        best = max(group, key=lambda name: found.get(name, (-1.0, ""))[0])
        c, score = found.get(best, (-1.0, ""))
        if c >= THRESHOLDS["clear"]:
            return _by_score(best, c, score, values, chance)
    entropy = values["normalized_entropy"]
    if math.isnan(entropy):
        rule = "no query has a choice between keys"
        return Pattern("undefined", 0.0, {}, rule)
    if entropy >= THRESHOLDS["uniform"]:
        return _uniform(entropy)
    parts = [
        max((found[name][0], name) for name in family if name in found)
        for family in FAMILIES
        if any(name in found for name in family)
    ]
    parts = sorted((p for p in parts if p[0] >= THRESHOLDS["part"]), reverse=True)
    ratio = values["effective_keys"] / chance["effective_keys"]
    if len(parts) < 2 and ratio <= THRESHOLDS["sparse"]:
        return _sparse(values, chance, ratio)
    return _mixed(parts, found)


def _patterns(
    values: Mapping[str, float],
    chance: Mapping[str, float],
    p_corrected: Mapping[str, float],
) -> dict[str, tuple[float, str]]:
    """Give c of every type that is defined and has evidence, and by which score."""
    found: dict[str, tuple[float, str]] = {}
    for name, scores in {**NARROW, **WIDE}.items():
        for score in scores:
            column = "top_key_share" if score == "top_key" else score
            c = above_chance(values[column], chance[column])
            # The greatest column is chosen after seeing it: it has no p of its own.
            evidence = score == "top_key" or p_corrected[score] < SIGNIFICANT
            best = found.get(name, (-1.0, ""))[0]
            # A known token says more than "some position".
            named = score == "top_key" and best >= THRESHOLDS["clear"]
            if evidence and not named and not math.isnan(c) and c > best:
                found[name] = (c, column)
    # A band that is mostly its outermost token is a weak sink, and no band.
    for band, token in (("prefix", "first_token"), ("suffix", "last_token")):
        if values[token] > THRESHOLDS["one_token"] * values[band]:
            found.pop(band, None)
    return found


def _by_score(
    name: str,
    c: float,
    score: str,
    values: Mapping[str, float],
    chance: Mapping[str, float],
) -> Pattern:
    limit = THRESHOLDS["clear"]
    decided = {score: values[score], f"{score}_chance": chance[score], "c": c}
    rule = f"{score} is {c:.2f} of the way from chance to 1, at least {limit:g}"
    return Pattern(name, _margin(c, limit, 1.0), decided, rule)


def _uniform(entropy: float) -> Pattern:
    limit = THRESHOLDS["uniform"]
    rule = f"normalized entropy {entropy:.2f} is at least {limit:g}"
    decided = {"normalized_entropy": entropy}
    return Pattern("uniform", _margin(entropy, limit, 1.0), decided, rule)


def _sparse(
    values: Mapping[str, float], chance: Mapping[str, float], ratio: float
) -> Pattern:
    limit = THRESHOLDS["sparse"]
    rule = (
        f"{values['effective_keys']:.1f} effective keys are {ratio:.2f} of uniform "
        f"attention's {chance['effective_keys']:.1f}, at most {limit:g}; no position "
        "or token explains which"
    )
    decided = {"effective_keys": values["effective_keys"], "ratio": ratio}
    return Pattern("sparse", _margin(ratio, limit, 0.0), decided, rule)


def _mixed(
    parts: list[tuple[float, str]], found: Mapping[str, tuple[float, str]]
) -> Pattern:
    best = max((c for c, _ in found.values()), default=0.0)
    decided = {name: c for c, name in parts}
    if len(parts) > 1:
        shown = ", ".join(f"{name} {c:.2f}" for c, name in parts)
        rule = f"several patterns are partly there: {shown} of the way from chance to 1"
    else:
        rule = (
            f"no pattern is {THRESHOLDS['clear']:g} of the way from chance to 1 "
            f"(the most: {max(best, 0.0):.2f}), and it is neither uniform nor sparse"
        )
    confidence = _margin(max(best, 0.0), THRESHOLDS["clear"], 0.0)
    return Pattern("mixed", confidence, decided, rule)


def same_family(one: str, other: str) -> bool:
    """Whether two scores are signs of patterns that are one finding, not two."""
    types = {**NARROW, **WIDE}
    return any(
        all(any(score in types[name] for name in family) for score in (one, other))
        for family in FAMILIES
    )


def _margin(value: float, limit: float, most: float) -> float:
    return min(1.0, max(0.0, (value - limit) / (most - limit)))
