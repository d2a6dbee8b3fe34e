"""Types by layer and head as one picture: a letter for each head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from neural_attn.analysis.heads import Head
from neural_attn.figures.token_labels import readable
from neural_attn.reports.elements import TypeCell, TypeKey, TypeMap

__all__ = ["FAMILIES", "LETTERS", "type_map"]

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
# family -> what its types have in common, and which they are; one colour for each
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "fixed": (
        "the same keys from all queries",
        ("sink", "prefix", "suffix", "punctuation", "delimiter"),
    ),
    "place": (
        "keys by their place",
        (
            *("previous_token", "next_token", "same_token", "reverse_order"),
            *("local", "diagonal"),
        ),
    ),
    "repeat": ("keys that repeat", ("duplicate_token", "induction")),
    "spread": ("a region, all keys or few", ("block", "uniform", "sparse")),
    "none": ("no type", tuple(_NONE)),
}
_FAMILY_OF = {kind: name for name, (_, kinds) in FAMILIES.items() for kind in kinds}


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


def _key(head: Head) -> TypeKey:
    """The letter of a head: of its type, or small, of its strongest part."""
    kind, whole = head.pattern.name, head.pattern.name not in _NONE
    if kind == "mixed" and head.pattern.parts:
        kind = head.pattern.parts[0].name
    letter, words = LETTERS.get(kind) or _NONE[kind], _NONE_WORDS.get(kind, kind)
    if not whole and kind not in _NONE:
        letter, words = letter.lower(), f"partly {kind}"
    return TypeKey(letter, kind, whole, _FAMILY_OF[kind], words)


def _cell(head: Head) -> TypeCell:
    return TypeCell(_key(head), head.label, head.head, head.sentence)


def _legend(
    heads: Sequence[Head],
) -> Iterator[tuple[str, tuple[tuple[TypeKey, int], ...]]]:
    """The letters that are there by family: types before parts, frequent ones first."""
    counts = Counter(map(_key, heads)).most_common()
    counts.sort(key=lambda one: not one[0].whole)
    for name, (words, _) in FAMILIES.items():
        keys = tuple((key, count) for key, count in counts if key.family == name)
        if keys:
            yield words, keys


def _reach(heads: Sequence[Head], metric: str) -> str:
    known = [h.statistics[metric].mean for h in heads if metric in h.statistics]
    return f"{min(known):.2f}–{max(known):.2f}" if known else "–"
