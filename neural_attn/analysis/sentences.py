"""What one head does, in a sentence that says on how many rows and texts it rests."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.analysis.evidence import Evidence, Statistic
from neural_attn.analysis.type_table import (
    SIGNIFICANT,
    Pattern,
    PatternPart,
    above_chance,
    is_of_one_token,
)
from neural_attn.metrics.pattern_scores import SCORES

__all__ = [
    "NOTHING",
    "NO_SHARES",
    "TOO_FEW",
    "counted",
    "head_sentence",
    "p_text",
    "rests_on",
]

# why most is not defined of signed weights
NO_SHARES = "signed weights are not shares of attention"
# of what has no evidence, and of what has too few rows for any
NOTHING, TOO_FEW = "nothing special was found", "too few to say"


def head_sentence(
    pattern: Pattern,
    statistics: Mapping[str, Statistic],
    evidence: Mapping[str, Evidence],
    queries: int,
    special: Mapping[str, str],
) -> str:
    """Complete "layer 1 head 2 …"; `queries` are those with a choice, in all texts.

    `special` is as in `Head`.
    """
    if pattern.rule == NO_SHARES:
        low, high = statistics["weight_min"], statistics["weight_max"]
        ends = f"from {low.least:.2f} to {high.greatest:.2f}"
        return f"has signed weights, {ends}, in {counted(low.texts, 'text')}"
    if pattern.name == "undefined" and not queries:
        return "has no choice: each query may attend to only one key"
    entropy = statistics["normalized_entropy"]
    rest = rests_on(queries, entropy.texts)
    if pattern.name == "undefined":
        return f"has a choice of keys in {rest}: {TOO_FEW}"
    if pattern.name == "uniform":
        shown = f"normalized entropy {entropy.mean:.2f}"
        return f"spreads its attention evenly: {shown}, {rest}"
    if pattern.name == "sparse":
        return (
            f"attends to few keys, mostly not explained by position or token: "
            f"{statistics['effective_keys'].mean:.1f} effective keys, "
            f"{pattern.decided_by['ratio']:.2f} of uniform, {rest}"
        )
    if pattern.name == "mixed":
        return _mixed(pattern, statistics, evidence, rest, special)
    first, *others = pattern.parts
    main = f"attends to {_words(first.metric, special)}: {_numbers(first, evidence)}"
    more = "".join(
        f"; also to {_words(o.metric, special)}: {o.value:.2f}, chance {o.chance:.2f}"
        for o in others[:1]
    )
    return main + more


def _mixed(
    pattern: Pattern,
    statistics: Mapping[str, Statistic],
    evidence: Mapping[str, Evidence],
    rest: str,
    special: Mapping[str, str],
) -> str:
    """Name its two strongest parts, or what has the most evidence, or that none has."""
    shown = [
        f"{_words(part.metric, special)} ({_numbers(part, evidence)})"
        for part in pattern.parts[:2]
        if part.name != "uniform"
    ]
    if len(shown) == 2:
        return f"attends partly to {shown[0]} and partly to {shown[1]}"
    if shown:
        return f"attends partly to {shown[0]}{_remainder(pattern, statistics)}"
    means = {name: statistic.mean for name, statistic in statistics.items()}
    ruled_out = {"distance", *["special_tokens"] * is_of_one_token(means)}
    some = [
        (above_chance(statistics[name].mean, found.chance), name)
        for name, found in evidence.items()
        if found.shown and name not in ruled_out
    ]
    if not some:
        entropy = statistics["normalized_entropy"].mean
        return (
            f"shows nothing special: no score is more than chance (all p above "
            f"{SIGNIFICANT:g}), normalized entropy {entropy:.2f}, {rest}"
        )
    name = max(some)[1]
    most = PatternPart("", name, statistics[name].mean, evidence[name].chance)
    words = _words(name, special)
    return f"has no clear pattern; the most is {words}: {_numbers(most, evidence)}"


def _remainder(pattern: Pattern, statistics: Mapping[str, Statistic]) -> str:
    """What the remaining attention does, as far as it is known."""
    if pattern.parts[0].name != "sink" or "content_entropy" not in statistics:
        return ""
    entropy = statistics["content_entropy"].mean
    even = any(part.name == "uniform" for part in pattern.parts)
    how = "evenly" if even else "by no pattern of position or token"
    return f", the rest to ordinary tokens {how}: normalized entropy {entropy:.2f}"


def _words(metric: str, special: Mapping[str, str]) -> str:
    if metric == "top_key_share":
        return "one position from every query"
    return special.get(metric, SCORES[metric].words)


def _numbers(part: PatternPart, evidence: Mapping[str, Evidence]) -> str:
    found = evidence[part.metric]
    keys = "" if found.keys is None else f", as if on {found.keys:.1f} keys"
    return (
        f"{part.value:.2f}, chance {part.chance:.2f}, "
        f"{p_text(found.p_corrected)}, {rests_on(found.rows, found.texts)}{keys}"
    )


def rests_on(rows: int, texts: int) -> str:
    """How much a sentence rests on, in words."""
    return f"{counted(rows, 'row')} of {counted(texts, 'text')}"


def counted(number: int, noun: str) -> str:
    """A number of things: "1 text", "2 texts"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def p_text(p: float) -> str:
    """Give p as text; what float64 cannot tell from 0 is given as a bound."""
    if p < 1e-300:
        return "p < 1e-300"
    return f"p {p:.3f}" if p >= 0.001 else f"p {p:.0e}"
