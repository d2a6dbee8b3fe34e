"""The types of heads: their thresholds, the scores that make them, and what is found.

Every threshold of the analysis is in `THRESHOLDS`. `head_types.py` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from neural_attn.maps.entropy import UNTRAINED

__all__ = [
    "CLASSES",
    "FAMILIES",
    "INSIDE",
    "NARROW",
    "PATTERNS",
    "SIGNIFICANT",
    "THRESHOLDS",
    "WIDE",
    "Pattern",
    "PatternPart",
    "above_chance",
    "is_of_one_token",
]

SIGNIFICANT = 0.01  # a corrected p below this is evidence

THRESHOLDS: dict[str, float] = {
    # c of the pattern that names a head, at least
    "clear": 0.5,
    # c of a narrow pattern inside a wide one, relative to the wide one's, at most
    "inside": 0.6,
    # c of each of several patterns that make a head mixed, at least
    "part": 0.15,
    # c of a known token that names a sink, relative to that of any one position
    "known": 0.75,
    # share of one token in what special tokens get, at which it is named, at least
    "one": 0.9,
    # c beyond the window in a block, relative to the block's, at least
    "far": 0.15,
    # normalized entropy of a uniform head, at least
    "uniform": 0.9,
    # effective keys of a sparse head, relative to uniform attention, at most
    "sparse": 0.4,
    # normalized entropy above which all heads look untrained
    "untrained": UNTRAINED,
}

# type -> the scores of which any makes it. Narrow types win over wide ones, as the
# previous token is also local and the first one also a prefix.
NARROW: dict[str, tuple[str, ...]] = {
    "previous_token": ("previous_token",),
    "next_token": ("next_token",),
    "same_token": ("same_token",),
    "reverse_order": ("reverse_order",),
    "duplicate_token": ("duplicate_token",),
    "induction": ("induction",),
    # token classes before positions: the last token is where a delimiter stands
    "punctuation": ("punctuation",),
    "delimiter": ("delimiters",),
    "sink": ("first_token", "last_token", "special_tokens", "top_key_share"),
}
WIDE: dict[str, tuple[str, ...]] = {
    "local": ("local",),
    "prefix": ("prefix",),
    "suffix": ("suffix",),
    "block": ("block",),
    "diagonal": ("diagonal",),
}
# wide type -> scores of what is inside it: a band that is mostly its first token is a
# weak sink, and a window that is mostly one neighbour a weak previous token
INSIDE: dict[str, tuple[str, ...]] = {
    "prefix": ("first_token", "top_key_share"),
    "suffix": ("last_token", "top_key_share", "punctuation", "delimiters"),
    "local": ("previous_token", "next_token", "same_token"),
}
# types by the class of the token, which say more than where it stands
CLASSES = ("punctuation", "delimiter")
# Two patterns of one family are one finding, not a mixture.
FAMILIES = (
    ("previous_token", "next_token", "same_token", "local", "block", "diagonal"),
    ("sink", "punctuation", "delimiter", "prefix", "suffix"),
    ("reverse_order",),
    ("duplicate_token",),
    ("induction",),
)
PATTERNS = (*NARROW, *WIDE, "uniform", "sparse", "mixed", "undefined")


@dataclass(frozen=True)
class PatternPart:
    """A pattern that is there, wholly or partly, and the metric that shows it."""

    name: str
    metric: str
    value: float
    chance: float


@dataclass(frozen=True)
class Pattern:
    """The type of one head.

    `title` is the type, for mixed heads with what they mix ("mixed: sink + local").
    `confidence`, from 0 to 1, is how far the deciding number is from its threshold: a
    margin, no probability. `decided_by` are the numbers, `rule` says them in words.
    `parts` are the patterns that are there, the deciding or strongest one first, at
    most one of each family.
    """

    name: str
    title: str
    confidence: float
    decided_by: dict[str, float]
    rule: str
    parts: tuple[PatternPart, ...] = ()


def is_of_one_token(values: Mapping[str, float]) -> bool:
    """Whether nearly all that special tokens get goes to the first or the last one."""
    whole = values.get("special_tokens", math.nan)
    return any(
        # an ordinary token at an end may have more than all special ones
        THRESHOLDS["one"] * whole <= values.get(end, math.nan) <= whole + 1e-6
        for end in ("first_token", "last_token")
    )


def above_chance(score: float, chance: float) -> float:
    """The part of the way from chance to certainty: 0 is chance, 1 is everything."""
    if not chance < 1 - 1e-9:
        return math.nan
    return (score - chance) / (1 - chance)
