"""A second family of heads whose type is known, to judge the rules by.

It shares nothing with `neural_attn.metrics.planted`: other tokens (four tokenizers,
made-up words as frequent as words are), other lengths and strengths, targets defined by
loops over positions, and two other kinds of noise. Rows are either drawn from a
Dirichlet distribution around what the head does, or are a softmax whose logits have
normal noise and a random low-rank part, as queries times keys have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HELD_OUT", "HeldOut", "held_out_heads"]

Float = NDArray[np.float64]

HELD_OUT = (
    "previous_token",
    "next_token",
    "same_token",
    "reverse_order",
    "duplicate_token",
    "induction",
    "punctuation",
    "delimiter",
    "sink",
    "local",
    "prefix",
    "suffix",
    "block",
    "uniform",
    "sparse",
    "mixed",
)
FIRST_SEED = 1_040_000  # drawn anew after the last change of a threshold
# these do not exist under a causal mask
NOT_CAUSAL = ("next_token", "reverse_order", "delimiter", "suffix")

_SYLLABLES = "ba ce di fo gu ka le mi no pu ra se ti vo zu".split()
# begin, end, mark of a word's beginning
_TOKENIZERS = (
    ("[CLS]", "[SEP]", ""),
    ("", "", "Ġ"),
    ("<s>", "</s>", "▁"),
    ("", "", ""),
)
_MIXTURES = (
    ("sink", "previous_token"),
    ("sink", "next_token"),
    ("sink", "same_token"),
    ("sink", "local"),
    ("sink", "duplicate_token"),
    ("duplicate_token", "previous_token"),
    ("suffix", "same_token"),
    ("sink", "reverse_order"),
)


@dataclass(frozen=True)
class HeldOut:
    """One head: its type, the types that it mixes, and its weights over its tokens."""

    pattern: str
    parts: tuple[str, ...]
    weights: Float
    tokens: tuple[str, ...]
    causal: bool


def held_out_heads(pattern: str, count: int) -> list[HeldOut]:
    """Make `count` heads of a type, each of a seed that nothing else uses."""
    offset = FIRST_SEED + 1_000 * HELD_OUT.index(pattern)
    return [_head(pattern, np.random.default_rng(offset + n)) for n in range(count)]


def _head(pattern: str, random: np.random.Generator) -> HeldOut:
    parts = (pattern,)
    if pattern == "mixed":
        parts = _MIXTURES[random.integers(len(_MIXTURES))]
    causal = bool(random.random() < 0.4) and not set(parts) & set(NOT_CAUSAL)
    special = pattern == "delimiter"
    # of a class there must be several keys
    least = 72 if pattern in ("punctuation", "delimiter") else 24
    tokens, sentences = _text(random, int(random.integers(least, 140)), special=special)
    text = _Text(tokens, sentences, causal, random)
    if pattern == "mixed":
        shares = random.uniform(0.3, 0.4, 2)
    else:
        shares = np.zeros(1) if pattern == "uniform" else random.uniform(0.65, 0.95, 1)
    rows = np.zeros((len(tokens), len(tokens)))
    left = np.ones(len(tokens))
    for part, share in zip(parts, shares, strict=True):
        target = text.target(part)
        there = target.sum(axis=1) > 0
        target[there] /= target[there].sum(axis=1, keepdims=True)
        rows += share * target
        left -= share * there
    # What is left goes anywhere; where nothing repeats, most of it rests at the start.
    if pattern in ("duplicate_token", "induction") and random.random() < 0.5:
        idle = left > 0.99
        rows[idle, 0] += 0.6
        left[idle] -= 0.6
    allowed = text.allowed
    rows += left[:, None] * allowed / allowed.sum(axis=1, keepdims=True)
    weights = _noisy(rows, allowed, random, even=pattern == "uniform")
    return HeldOut(pattern, parts, weights, tokens, causal)


def _noisy(
    rows: Float, allowed: NDArray[np.bool_], random: np.random.Generator, *, even: bool
) -> Float:
    """Draw each row around what it should be; uniform heads vary less, or are not."""
    if random.random() < 0.5:
        grains = random.uniform(4, 20) if even else random.uniform(0.5, 3)
        drawn = random.standard_gamma(np.where(allowed, rows, 0) * grains * len(rows))
        drawn = np.where(allowed, drawn + 1e-12, 0.0)
    else:
        width = random.uniform(0.1, 0.4) if even else random.uniform(0.3, 0.9)
        queries, keys = random.standard_normal((2, len(rows), 4)) / 2
        logits = width * (random.standard_normal(rows.shape) + queries @ keys.T)
        drawn = np.where(allowed, np.exp(logits) * rows, 0.0)
    drawn /= drawn.sum(axis=1, keepdims=True)
    return drawn


def _text(
    random: np.random.Generator, length: int, *, special: bool
) -> tuple[tuple[str, ...], list[int]]:
    """Sentences of made-up words, and the number of each token's sentence.

    With `special`, parts that end with the token of the text's end.
    """
    words = [
        "".join(random.choice(_SYLLABLES, random.integers(1, 4)))
        for _ in range(max(8, length // 3))
    ]
    frequency = 1 / np.arange(1.0, len(words) + 1)
    frequency /= frequency.sum()
    choices = [one for one in _TOKENIZERS if one[1] or not special]
    begin, end, mark = choices[random.integers(len(choices))]
    tokens, sentences = [], []
    number = 0
    while len(tokens) < length - 4:
        for place in range(int(random.integers(4, 12))):
            comma = place > 1 and random.random() < 0.1
            word = "," if comma else mark + str(random.choice(words, p=frequency))
            tokens.append(word)
            sentences.append(number)
        tokens.append(end if special else str(random.choice([".", ".", "!", "?"])))
        sentences.append(number)
        number += 1
    if begin:
        tokens, sentences = [begin, *tokens], [0, *sentences]
    if end and not special:
        tokens, sentences = [*tokens, end], [*sentences, number - 1]
    return tuple(tokens), sentences


@dataclass(frozen=True)
class _Text:
    tokens: tuple[str, ...]
    sentences: list[int]
    causal: bool
    random: np.random.Generator

    @property
    def allowed(self) -> NDArray[np.bool_]:
        count = len(self.tokens)
        return np.tri(count, dtype=bool) if self.causal else np.ones((count,) * 2, bool)

    def target(self, part: str) -> Float:
        """Where a head of this type looks, not yet divided by sums of rows."""
        cells = np.zeros((len(self.tokens),) * 2)
        make = getattr(self, f"_{part}", None)
        if make is not None:
            make(cells)
        cells[~self.allowed] = 0.0
        return cells

    def _previous_token(self, cells: Float) -> None:
        for query in range(1, len(cells)):
            cells[query, query - 1] = 1

    def _next_token(self, cells: Float) -> None:
        for query in range(len(cells) - 1):
            cells[query, query + 1] = 1

    def _same_token(self, cells: Float) -> None:
        np.fill_diagonal(cells, 1)

    def _reverse_order(self, cells: Float) -> None:
        words = [place for place, _ in self._words()]
        while words:
            first, last = words[0], words[-1]
            cells[first, last] = cells[last, first] = 1
            words = words[1:-1]

    def _words(self) -> list[tuple[int, str]]:
        return [(i, t) for i, t in enumerate(self.tokens) if t[0] not in "[<"]

    def _duplicate_token(self, cells: Float) -> None:
        for query, one in self._words():
            for key, other in self._words():
                if one == other and query != key:
                    cells[query, key] = self.random.uniform(0.5, 1)

    def _induction(self, cells: Float) -> None:
        """After the last copy before the query, sometimes also after the others."""
        for query, one in self._words():
            before = [k for k, other in self._words() if other == one and k < query]
            for age, key in enumerate(reversed(before)):
                cells[query, key + 1] = 0.3**age

    def _punctuation(self, cells: Float) -> None:
        cells[:, [i for i, t in enumerate(self.tokens) if t in ".,!?"]] = 1

    def _delimiter(self, cells: Float) -> None:
        cells[:, [i for i, t in enumerate(self.tokens) if i and t[0] in "[<"]] = 1

    def _sink(self, cells: Float) -> None:
        count = len(cells)
        special = [i for i, t in enumerate(self.tokens) if t[0] in "[<"]
        some = int(self.random.integers(2, max(3, count // 2)))
        choices = [[0], [0], [some]]
        if not self.causal:
            # a last token that is special is a delimiter
            choices += [special] if special else [[count - 1]]
        cells[:, choices[self.random.integers(len(choices))]] = 1

    def _local(self, cells: Float) -> None:
        width = (
            self.random.uniform(1.3, 1.8)
            if self.causal
            else (self.random.uniform(1.0, 1.4))
        )
        for query in range(len(cells)):
            for key in range(len(cells)):
                cells[query, key] = np.exp(-(((query - key) / width) ** 2) / 2)

    def _band(self) -> Float:
        count = max(2, round(self.random.uniform(0.08, 0.125) * len(self.tokens)))
        return self.random.uniform(0.8, 1.2, count)

    def _prefix(self, cells: Float) -> None:
        band = self._band()
        cells[:, : len(band)] = band

    def _suffix(self, cells: Float) -> None:
        band = self._band()
        cells[:, -len(band) :] = band

    def _block(self, cells: Float) -> None:
        for query, one in enumerate(self.sentences):
            for key, other in enumerate(self.sentences):
                cells[query, key] = one == other

    def _sparse(self, cells: Float) -> None:
        for query in range(len(cells)):
            keys = np.flatnonzero(self.allowed[query])
            some = min(len(keys), int(self.random.integers(1, 4)))
            cells[query, self.random.choice(keys, some, replace=False)] = 1
