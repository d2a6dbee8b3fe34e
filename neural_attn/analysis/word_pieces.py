"""Which tokens are the pieces of a word, where another tokenizer made the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from neural_attn.inputs.parses import letters
from neural_attn.metrics.geometry import bare, is_special

__all__ = ["pieces_of"]


def pieces_of(words: Sequence[str], tokens: Sequence[str]) -> list[list[int]]:
    """The places of the tokens of each word; none where they do not fit together.

    Both are laid upon each other by their letters (`letters`). A word has pieces where
    each of its letters stands in a token, and these tokens have no letter of another
    word: "cannot" as one token is neither "can" nor "not". An unknown token has no
    letters, nor has a special one.
    """
    texts = ["" if is_special(token) else letters(bare(token)) for token in tokens]
    written = [letters(word) for word in words]
    pairs = _aligned("".join(written), "".join(texts))
    word_at = [place for place, one in enumerate(written) for _ in one]
    token_at = [place for place, one in enumerate(texts) for _ in one]
    pieces: list[set[int]] = [set() for _ in words]
    owners: list[set[int]] = [set() for _ in tokens]
    of_word, of_token = Counter[int](), Counter[int]()  # letters that have a partner
    for here, there in pairs:
        word, token = word_at[here], token_at[there]
        pieces[word].add(token)
        owners[token].add(word)
        of_word[word] += 1
        of_token[token] += 1
    whole = [
        len(owners[place]) == 1 and of_token[place] == len(one)
        for place, one in enumerate(texts)
    ]
    return [
        sorted(own) * (of_word[at] == len(written[at]) and all(whole[t] for t in own))
        for at, own in enumerate(pieces)
    ]


def _aligned(one: str, other: str) -> list[tuple[int, int]]:
    """Places of letters that belong together."""
    if one.startswith(other) or other.startswith(one):  # the same, or cut short
        return [(place, place) for place in range(min(len(one), len(other)))]
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(a + n, b + n) for a, b, size in blocks for n in range(size)]
