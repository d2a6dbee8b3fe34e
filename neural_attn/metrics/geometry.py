"""Where the tokens of one text stand, and what kind of token each is.

A pattern score is the attention that goes to a set of cells, its target. This module
knows positions and tokens; `scores.py` makes the targets from them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from neural_attn.promises import SHARES, Rows

__all__ = [
    "Geometry",
    "bare",
    "is_punctuation",
    "is_special",
    "same_mask",
    "separators",
    "special_ends",
    "special_names",
    "words_of",
]

Bool = NDArray[np.bool_]

# [CLS], [SEP], [unused7]; <s>, </s>, <pad>; <|endoftext|>, <|im_start|>
# In brackets three letters of one case stand together: atoms ([nH], [SiH]) have fewer.
_SPECIAL = re.compile(
    r"\[(?=[^]]*(?:[A-Z]{3}|[a-z]{3}))[A-Za-z]+[0-9_A-Za-z]*\]"
    r"|</?[A-Za-z_]+[0-9]*>|<\|.*\|>"
)
_LONGEST_NAME = 24
_SENTENCE_END = frozenset(".!?。！？…")
# How word-piece, byte-level and SentencePiece tokenizers mark the parts of a word.
_MARKS = ("##", "Ġ", "▁")


def is_special(token: str) -> bool:
    """Whether a token is written like [CLS], <s> or <|endoftext|>."""
    return _SPECIAL.fullmatch(token) is not None


def separators(tokens: Sequence[str]) -> Bool:
    """Which tokens are special and not the first: [SEP], </s>; [CLS] separates none."""
    flags = [index > 0 and is_special(token) for index, token in enumerate(tokens)]
    return np.array(flags, dtype=bool)


def special_ends(tokens: Sequence[str]) -> dict[str, frozenset[str]]:
    """The special tokens where scores look: "" for what is no name to be told.

    Of `first_token` and `last_token` it is what stands there, and of `delimiters` all
    that there are.
    """
    inside = np.flatnonzero(separators(tokens)).tolist()
    return {
        "first_token": special_names(tokens[:1]),
        "last_token": special_names(tokens[-1:]),
        "delimiters": special_names(tokens[place] for place in inside),
    }


def special_names(tokens: Iterable[str]) -> frozenset[str]:
    """The names among tokens; "" stands for all that are none."""
    return frozenset(map(_name, tokens))


def _name(token: str) -> str:
    """The token, if it is special and fit for a sentence."""
    fit = is_special(token) and token.isprintable() and len(token) <= _LONGEST_NAME
    return token if fit else ""


def words_of(tokens: Sequence[str]) -> Sequence[str]:
    """The tokens; empty ones where they only count the places, as without a text."""
    first = tokens[0] if tokens else ""
    if not first.isdecimal():
        return tokens
    counted = [str(int(first) + place) for place in range(len(tokens))]
    return [""] * len(tokens) if list(tokens) == counted else tokens


def bare(token: str) -> str:
    """The token without its tokenizer's mark (`##ing`, `Ġthe` and `▁the`)."""
    for mark in _MARKS:
        if token.startswith(mark) and len(token) > len(mark):
            return token[len(mark) :]
    return token


def is_punctuation(token: str) -> bool:
    """Whether a token is punctuation or symbols alone, and is not special."""
    text = bare(token).strip()
    return bool(text) and not is_special(token) and all(map(_is_mark, text))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


@dataclass(frozen=True, eq=False)
class Geometry:
    """One text as seen by heads that share a mask and a promise.

    Attributes
    ----------
    allowed : bool [queries, keys]
    query_tokens, key_tokens : one text per position
    self_attention : bool
        Queries and keys are positions of one sequence. With fewer queries than keys
        the last query stands at the last key, as in generation with a cache.
    rows : what the rows of the heads promise
    """

    allowed: Bool
    query_tokens: tuple[str, ...]
    key_tokens: tuple[str, ...]
    self_attention: bool
    rows: Rows = SHARES

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.allowed)

    @property
    def keys(self) -> int:
        """Number of keys."""
        return len(self.allowed[0])

    @cached_property
    def offset(self) -> NDArray[np.int64]:
        """Key position minus query position, int64 [queries, keys]."""
        return self.by_offset(lambda offset: offset)

    def by_offset(
        self, function: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> NDArray[Any]:
        """A value of each cell by its offset alone, [queries, keys].

        It is a view, which hardly takes memory: along a diagonal all is the same.
        """
        line = function(np.arange(1 - self.keys, self.queries))
        return sliding_window_view(line, self.keys)[::-1]

    @cached_property
    def options(self) -> NDArray[np.int64]:
        """Number of keys that each query may attend to."""
        options: NDArray[np.int64] = self.allowed.sum(axis=1)
        return options

    def is_like(self, other: Geometry) -> bool:
        """Whether both are of the same tokens under the same mask."""
        return (
            self.self_attention == other.self_attention
            and self.query_tokens == other.query_tokens
            and self.key_tokens == other.key_tokens
            and self.rows == other.rows
            and np.array_equal(self.allowed, other.allowed)
        )

    def key_flags(self, test: Callable[[str], bool]) -> Bool:
        """Which keys' tokens pass a test."""
        return np.array([test(token) for token in self.key_tokens], dtype=bool)

    @cached_property
    def same_text(self) -> Bool:
        """Whether query and key hold the same ordinary token, bool [queries, keys]."""
        numbers: dict[str, int] = {}
        rows = [
            np.array([self._number(token, numbers) for token in words_of(tokens)])
            for tokens in (self.query_tokens, self.key_tokens)
        ]
        same: Bool = (rows[0][:, np.newaxis] == rows[1]) & (rows[1] >= 0)
        return same

    @staticmethod
    def _number(token: str, numbers: dict[str, int]) -> int:
        if not token or is_special(token):
            return -1
        return numbers.setdefault(token, len(numbers))

    @cached_property
    def segments(self) -> NDArray[np.int64]:
        """The number of the sentence or part that each key belongs to.

        A part ends with a token that ends a sentence or with a special token other
        than the first, which belong to it.
        """
        ends = [
            index > 0 and (is_special(token) or _ends_sentence(token))
            for index, token in enumerate(self.key_tokens)
        ]
        numbers: NDArray[np.int64] = np.cumsum([0, *ends[:-1]])
        # Several marks in a row ("?!", ". [SEP]") end one part, not one each.
        for index in range(1, len(ends)):
            if ends[index] and ends[index - 1]:
                numbers[index:] -= 1
        return numbers


def _ends_sentence(token: str) -> bool:
    text = bare(token)
    return bool(text) and all(character in _SENTENCE_END for character in text)


def same_mask(allowed: Bool) -> Iterator[tuple[list[int], Bool]]:
    """Group heads by equal masks: head numbers and their bool [queries, keys]."""
    first = allowed[0]
    # Masks are nearly always one, broadcast over the heads: compare no cells then.
    if allowed.strides[0] == 0 or (allowed == first).all():
        yield list(range(len(allowed))), first
        return
    groups: dict[bytes, list[int]] = {}
    for head, mask in enumerate(allowed):
        groups.setdefault(np.packbits(mask).tobytes(), []).append(head)
    for heads in groups.values():
        yield heads, allowed[heads[0]]
