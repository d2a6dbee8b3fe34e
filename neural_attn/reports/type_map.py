"""Types by layer and head as one picture: a letter for each head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from neural_attn.analysis.heads import Head
from neural_attn.figures.token_labels import readable
from neural_attn.reports.elements import TypeCell, TypeMap

__all__ = ["LETTERS", "type_map"]

# type -> its letter; small where it is only a part of what a head does
LETTERS = {
    "previous_token": "P",
    "next_token": "N",
    "same_token": "T",
    "reverse_order": "R",
    "duplicate_token": "D",
    "induction": "I",
    "punctuation": "M",
    "delimiter": "X",
    "sink": "S",
    "local": "L",
    "prefix": "B",
    "suffix": "E",
    "block": "K",
    "diagonal": "G",
    "uniform": "U",
    "sparse": "F",
}
_NONE = {"mixed": "·", "undefined": "-"}
_NONE_WORDS = {"mixed": "nothing clear", "undefined": "not defined, or too few rows"}


def type_map(heads: Sequence[Head]) -> TypeMap:
    """Every head's letter, and what the heads of each map reach from and to."""
    maps = list(dict.fromkeys(head.map for head in heads))
    rows = [[head for head in heads if head.map == one] for one in maps]
    return TypeMap(
        tuple(readable(one, 28) for one in maps),
        tuple(tuple(_cell(head) for head in row) for row in rows),
        tuple(_legend(heads)),
        tuple(
            (_reach(row, "normalized_entropy"), _reach(row, "max_weight"))
            for row in rows
        ),
        "Types by layer (down) and head (across): a capital names a type, a small "
        "letter the strongest part of a mixed head",
    )


def _kind(head: Head) -> tuple[str, bool]:
    """The type or strongest part of a head, and whether it is the whole type."""
    if head.pattern.name == "mixed" and head.pattern.parts:
        return head.pattern.parts[0].name, False
    return head.pattern.name, head.pattern.name not in _NONE


def _letter(kind: str, *, whole: bool) -> str:
    letter = LETTERS.get(kind) or _NONE[kind]
    return letter if whole else letter.lower()


def _cell(head: Head) -> TypeCell:
    kind, whole = _kind(head)
    letter = _letter(kind, whole=whole)
    return TypeCell(letter, kind, whole, head.label, head.head, head.sentence)


def _legend(heads: Sequence[Head]) -> list[str]:
    """The letters that are there, each with its type and how many heads have it."""
    counts = Counter(_kind(head) for head in heads)
    words = []
    for (kind, whole), count in counts.most_common():
        name = _NONE_WORDS.get(kind, kind)
        partly = "" if whole or kind in _NONE else " partly"
        words.append(f"{_letter(kind, whole=whole)} {name}{partly} {count}")
    return words


def _reach(heads: Sequence[Head], metric: str) -> str:
    known = [h.statistics[metric].mean for h in heads if metric in h.statistics]
    return f"{min(known):.2f}–{max(known):.2f}" if known else "–"
