"""Names what a head does, with a confidence and the numbers that decided.

Types and thresholds are in `type_table.py`. Scores are compared as the part of
the way from chance to certainty, c = (score - chance) / (1 - chance), where chance is
uniform attention under the same mask: so that a short text, or a mask that leaves few
keys, does not make a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from neural_attn.analysis.type_table import (
    CLASSES,
    FAMILIES,
    INSIDE,
    NARROW,
    SIGNIFICANT,
    THRESHOLDS,
    WIDE,
    Pattern,
    PatternPart,
    above_chance,
    is_of_one_token,
)

__all__ = ["name_pattern"]


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
    parts = _parts(found, values, chance)
    for group in (NARROW, WIDE):
        # Ties go to the type named first.
        best = max(group, key=lambda name: found.get(name, (-1.0, ""))[0])
        c, score = found.get(best, (-1.0, ""))
        if c >= THRESHOLDS["clear"]:
            part = PatternPart(best, score, values[score], chance[score])
            return _by_score(best, c, part, parts)
    entropy = values["normalized_entropy"]
    if math.isnan(entropy):
        rule = "no query has a choice between keys"
        return Pattern("undefined", "undefined", 0.0, {}, rule)
    if entropy >= THRESHOLDS["uniform"]:
        return _uniform(entropy)
    ratio = values["effective_keys"] / chance["effective_keys"]
    if not parts and ratio <= THRESHOLDS["sparse"]:
        return _sparse(values, chance, ratio)
    return _mixed(parts, found, values["content_entropy"])


def _patterns(
    values: Mapping[str, float],
    chance: Mapping[str, float],
    p_corrected: Mapping[str, float],
) -> dict[str, tuple[float, str]]:
    """Give c of every type that is defined and has evidence, and by which score."""
    found: dict[str, tuple[float, str]] = {}
    for name, scores in {**NARROW, **WIDE}.items():
        for score in scores:
            c = above_chance(values[score], chance[score])
            best = found.get(name, (-1.0, ""))[0]
            # A known token says more than "some position".
            classes = max(found.get(one, (-1.0, ""))[0] for one in CLASSES)
            known = max(best, classes)
            named = score == "top_key_share" and (
                known >= THRESHOLDS["clear"] or known >= THRESHOLDS["known"] * c
            )
            # The same cells by the class of their token, up to rounding; and special
            # tokens of which the first one has little, or of which one has nearly all.
            named |= score == "last_token" and classes >= c - 1e-6
            named |= score == "special_tokens" and (
                classes >= THRESHOLDS["known"] * c or is_of_one_token(values)
            )
            if p_corrected[score] < SIGNIFICANT and c > best and not named:
                found[name] = (c, score)
    _drop_covered(found, {n: above_chance(values[n], chance[n]) for n in values})
    return found


def _drop_covered(found: dict[str, tuple[float, str]], c: Mapping[str, float]) -> None:
    """Remove types that are a side of another one; `c` is that of every metric."""
    for wide, inside in INSIDE.items():
        limit = THRESHOLDS["inside"] * found.get(wide, (math.inf, ""))[0]
        if any(c[one] > limit for one in inside):
            del found[wide]
    # A window lies mostly inside a sentence, and short sentences inside a window: what
    # is far in the own sentence tells which of them it is.
    if "block" in found:
        block = c["far_in_block"] >= THRESHOLDS["far"] * found["block"][0]
        found.pop("local" if block else "block", None)


def _parts(
    found: Mapping[str, tuple[float, str]],
    values: Mapping[str, float],
    chance: Mapping[str, float],
) -> tuple[PatternPart, ...]:
    """The strongest pattern of each family that is there, the strongest first."""
    best = [
        max(((*found[name], name) for name in family if name in found), default=None)
        for family in FAMILIES
    ]
    strong = [one for one in best if one is not None and one[0] >= THRESHOLDS["part"]]
    return tuple(
        PatternPart(name, metric, values[metric], chance[metric])
        for _, metric, name in sorted(strong, reverse=True)
    )


def _by_score(
    name: str, c: float, part: PatternPart, others: Sequence[PatternPart]
) -> Pattern:
    limit = THRESHOLDS["clear"]
    score = part.metric
    decided = {score: part.value, f"{score}_chance": part.chance, "c": c}
    rule = f"{score} is {c:.2f} of the way from chance to 1, at least {limit:g}"
    family = next(family for family in FAMILIES if name in family)
    parts = (part, *(one for one in others if one.name not in family))
    return Pattern(name, name, _margin(c, limit, 1.0), decided, rule, parts)


def _uniform(entropy: float) -> Pattern:
    limit = THRESHOLDS["uniform"]
    rule = f"normalized entropy {entropy:.2f} is at least {limit:g}"
    decided = {"normalized_entropy": entropy}
    return Pattern("uniform", "uniform", _margin(entropy, limit, 1.0), decided, rule)


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
    return Pattern("sparse", "sparse", _margin(ratio, limit, 0.0), decided, rule)


def _mixed(
    parts: tuple[PatternPart, ...],
    found: Mapping[str, tuple[float, str]],
    content_entropy: float,
) -> Pattern:
    """Several patterns, or one that is not clear and a rest, or none."""
    limit = THRESHOLDS["clear"]
    best = max([0.0, *(c for c, _ in found.values())])
    decided = {part.name: found[part.name][0] for part in parts}
    if not parts:
        rule = (
            f"no pattern is {THRESHOLDS['part']:g} of the way from chance to 1 "
            f"(the most: {best:.2f}), and it is neither uniform nor sparse"
        )
        return Pattern("mixed", "mixed", _margin(best, limit, 0.0), decided, rule)
    shown = ", ".join(f"{name} {c:.2f}" for name, c in decided.items())
    rule = f"partly there: {shown} of the way from chance to 1, none at least {limit:g}"
    names = [part.name for part in parts[:2]]
    if len(parts) == 1:
        names.append("rest")
        if parts[0].name == "sink" and content_entropy >= THRESHOLDS["uniform"]:
            names[1] = "uniform"
            decided["content_entropy"] = content_entropy
            even = PatternPart("uniform", "content_entropy", content_entropy, 1.0)
            parts = (*parts, even)
            rule += f"; the rest is even: normalized entropy {content_entropy:.2f}"
    title = f"mixed: {' + '.join(names)}"
    return Pattern("mixed", title, _margin(best, limit, 0.0), decided, rule, parts)


def _margin(value: float, limit: float, most: float) -> float:
    return min(1.0, max(0.0, (value - limit) / (most - limit)))
