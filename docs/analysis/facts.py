"""What is said of each metric and each type of head; `make.py` makes pages of it."""

from __future__ import annotations

__all__ = ["LIMITS", "TYPES"]

TYPES = {
    "previous_token": "Looks one token back.",
    "next_token": "Looks one token ahead.",
    "same_token": "Looks at the token itself.",
    "reverse_order": (
        "Looks at the key as far from the end as the query is from the beginning, as\n"
        "a network does that writes a text backwards: query n at key K - 1 - n of K.\n"
        "Special tokens are left out where they are known by how they are written\n"
        "([CLS], `<s>`); queries beyond the number of keys do not count. In\n"
        "cross-attention whose queries begin with a special token, `<s>`, each row\n"
        "counts as the token that it writes, the next row's, and the last row does\n"
        "not count. Not under a causal mask, which hides where the text ends."
    ),
    "duplicate_token": "Looks at other copies of the token.",
    "induction": "Looks at what followed the same token earlier.",
    "punctuation": (
        "Looks at punctuation, wherever it stands: without the full stop not at the\n"
        "end of the text. Fewer than 5 marks, over all texts, are [too\n"
        "few](words.md#too-few-keys) to say so: they are told as positions (`sink`)."
    ),
    "delimiter": (
        "Looks at special tokens after the first one: [SEP], `</s>`. Fewer than 5 of\n"
        "them, over all texts, are [too few](words.md#too-few-keys) to say so."
    ),
    "sink": (
        "Rests on one position, mostly the first token, or on all special tokens. A\n"
        "special token is called by its name, where all texts have the same there."
    ),
    "local": "Looks at a narrow band around the token.",
    "prefix": "Looks at the beginning, at more than its first token.",
    "suffix": "Looks at the end, at more than its last token.",
    "block": "Looks inside its own sentence or part.",
    "uniform": "Looks everywhere alike (the guide's global attention).",
    "sparse": "Looks at few keys that neither position nor token explains.",
    "mixed": (
        "Several patterns partly, or none clearly: no evidence is an answer. The\n"
        "title names the two strongest parts (`mixed: sink + local`), at least 0.15\n"
        "of the way from chance to 1 each; beside a single part stands `uniform`,\n"
        "if what a sink leaves goes evenly to ordinary tokens (`content_entropy` at\n"
        "least 0.9), else `rest`. Many heads of trained networks are mixed: they\n"
        "rest on a sink and do something else with what is left."
    ),
}

# threshold -> what it limits
LIMITS = {
    "clear": "c of the pattern that names a head, at least",
    "inside": "c of a narrow pattern inside a wide one, relative to the wide one's, "
    "at most: above it the wide one does not count",
    "part": "c of a pattern that is one of the parts of a head, at least",
    "known": "c of a known token (the first, the last, special ones, punctuation), "
    "relative to that of any one position, at least: it then names the sink",
    "one": "share of the first or the last token in what special tokens get, at least: "
    "it then names the sink",
    "far": "c of `far_in_block`, relative to that of `block`, at least: below it the "
    "head is local",
    "uniform": "normalized entropy of a uniform head or rest, at least",
    "sparse": "effective keys of a sparse head, relative to uniform attention, at most",
    "untrained": "normalized entropy of every layer above which the input doctor asks "
    "whether weights were loaded",
}
