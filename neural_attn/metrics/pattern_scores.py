"""The pattern scores: how much attention goes to a set of cells, the target.

A score is the mean, over the queries that have a choice, of

    s_q = sum over keys k of w[q, k] * T[q, k]

where T is 1 on the cells of the pattern and 0 elsewhere (for `distance`, T is |q - k|).
A query has a choice if T differs between the keys that it may attend to. One form for
all scores is what makes their baselines exact (see `analysis/significance.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics import targets
from neural_attn.metrics.geometry import Geometry, is_punctuation, is_special
from neural_attn.metrics.sources import CLARK, GUIDE, OLSSON, VIG
from neural_attn.promises import NONNEGATIVE, Rows

__all__ = ["SCORES", "Score", "target"]


@dataclass(frozen=True)
class Score:
    """One pattern score.

    `where` is "self", "cross" or "both". `make` gives T, float or bool [queries,
    keys], or None where the text has no such cell. `share` says that the score is a
    share of attention, from 0 to 1. `words` completes "attends to …"; the rest is as in
    `registry.Metric`: a score is of rows divided by their sum.
    """

    name: str
    where: str
    make: Callable[[Geometry], NDArray[np.generic] | None]
    words: str
    share: bool = True
    formula: str = ""
    range: str = "0 to 1"
    reading: str = ""
    source: str = ""
    picture: str = "uniform"
    meaning: str = ""
    place: int = 0  # scores have a table of their own
    grid: bool = False
    rows: tuple[Rows, ...] = NONNEGATIVE
    divided: bool = True
    of_class: bool = False  # T is 1 on the keys whose tokens are of a class

    @property
    def help(self) -> str:
        """What it is, in a sentence."""
        return self.meaning or f"Share of attention on {self.words}."


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            "previous_token",
            "self",
            targets.at_offset(-1),
            "the previous token",
            formula="share of attention on k = q - 1",
            range="0 to 1",
            reading="Above 0.5 the head looks back by one.",
            source=f"{CLARK}; Voita et al. 2019, arXiv:1905.09418",
            picture="previous_token",
            grid=True,
        ),
        Score(
            "next_token",
            "self",
            targets.at_offset(1),
            "the next token",
            formula="share of attention on k = q + 1",
            range="0 to 1",
            reading=(
                "Above 0.5 the head looks ahead by one; impossible under a causal mask."
            ),
            source=CLARK,
            picture="next_token",
            grid=True,
        ),
        Score(
            "same_token",
            "self",
            targets.at_offset(0),
            "the token itself",
            formula="share of attention on k = q",
            range="0 to 1",
            reading="Above 0.5 the head keeps the token's own content.",
            source=f"{CLARK}; {GUIDE}",
            picture="same_token",
        ),
        Score(
            "reverse_order",
            "both",
            targets.reverse_order,
            "the tokens in reverse order",
            formula=(
                "share of attention on k = n - 1 - q, both counted without special "
                "tokens, n the number of such keys; not under a causal mask"
            ),
            range="0 to 1",
            reading=(
                "Above 0.5 the head reads the text from its end. A row of a decoder "
                "whose tokens begin with `<s>` counts as the token that it writes, the "
                "next row's."
            ),
            source="this project; the mirror image of `same_token`",
            picture="reverse_order",
            meaning=(
                "Share of attention on the key as far from the end as the query is "
                "from the beginning."
            ),
        ),
        Score(
            "duplicate_token",
            "both",
            targets.duplicate,
            "other copies of the same token",
            formula=(
                "share of attention on other positions with the same token "
                "(special ones not)"
            ),
            range="0 to 1",
            reading="Only queries whose token occurs again count.",
            source="Wang et al. 2022, arXiv:2211.00593",
            picture="duplicate_token",
        ),
        Score(
            "induction",
            "self",
            targets.induction,
            "what followed the same token before",
            formula=(
                "share of attention on tokens that follow an earlier copy of the "
                "query's token"
            ),
            range="0 to 1",
            reading=(
                "On texts it is confounded with what tokens mean. The probe "
                "measures it on 4 sequences of 25 random tokens, each twice; "
                "there it is the prefix-matching score."
            ),
            source=OLSSON,
            picture="induction",
        ),
        Score(
            "first_token",
            "both",
            targets.first,
            "the first token",
            formula="share of attention on the first key",
            range="0 to 1",
            reading="High: the first token ([CLS], `<s>`) is a sink.",
            source=f"{CLARK}; Xiao et al. 2023, arXiv:2309.17453",
            picture="sink",
        ),
        Score(
            "last_token",
            "both",
            targets.last,
            "the last token",
            formula="share of attention on the last key; not under a causal mask",
            range="0 to 1",
            reading="High: the last token ([SEP]) is a sink.",
            source=CLARK,
            picture="suffix",
        ),
        Score(
            "special_tokens",
            "both",
            targets.on_keys(is_special),
            "special tokens",
            formula=("share of attention on tokens like [CLS], `<s>`, `<|endoftext|>`"),
            range="0 to 1",
            reading="High: the head rests there when it has nothing else to do.",
            source=CLARK,
            picture="sink",
            grid=True,
        ),
        Score(
            "punctuation",
            "both",
            targets.on_keys(is_punctuation),
            "punctuation",
            formula="share of attention on tokens of punctuation or symbols alone",
            range="0 to 1",
            reading="High: sentence marks are where the head rests.",
            source=CLARK,
            picture="punctuation",
            of_class=True,
        ),
        Score(
            "delimiters",
            "both",
            targets.delimiters,
            "delimiters",
            formula="share of attention on special tokens after the first token",
            range="0 to 1",
            reading="High: [SEP] or `</s>` is where the head rests.",
            source=CLARK,
            picture="delimiter",
            of_class=True,
        ),
        Score(
            "prefix",
            "both",
            targets.prefix,
            "the beginning of the text",
            formula="share of attention on the first eighth of the keys, at least two",
            range="0 to 1",
            reading="High: a vertical band at the left.",
            source=GUIDE,
            picture="prefix",
        ),
        Score(
            "suffix",
            "both",
            targets.suffix,
            "the end of the text",
            formula="share of attention on the last eighth of the keys, at least two",
            range="0 to 1",
            reading="High: a vertical band at the right.",
            source=GUIDE,
            picture="suffix",
        ),
        Score(
            "local",
            "self",
            targets.local,
            f"tokens at most {targets.LOCAL_WINDOW} away",
            formula="share of attention on |q - k| ≤ 2",
            range="0 to 1",
            reading="High: a band along the diagonal.",
            source=GUIDE,
            picture="local",
            grid=True,
        ),
        Score(
            "block",
            "self",
            targets.block,
            "its own sentence or part",
            formula=(
                "share of attention inside the query's own sentence or part; "
                "needs two of them"
            ),
            range="0 to 1",
            reading="Parts end with . ! ? … 。 or a special token.",
            source="block-diagonal heads: Kovaleva et al. 2019, arXiv:1908.08593",
            picture="block",
        ),
        Score(
            "far_in_block",
            "self",
            targets.far_in_block,
            f"tokens of its own sentence or part more than {targets.LOCAL_WINDOW} away",
            formula=(
                "share of attention inside the query's own sentence or part, on "
                "|q - k| > 2"
            ),
            range="0 to 1",
            reading=(
                "Tells a block from a window: in a local head it is at or below chance."
            ),
            source="this project; `block` and `local` overlap",
            picture="block",
        ),
        Score(
            "diagonal",
            "cross",
            targets.diagonal,
            "the same relative position",
            formula=(
                "Σ_k w exp(-(q/(Q-1) - k/(K-1))² / (2 · 0.2²)), mean over "
                "queries; cross-attention only"
            ),
            range="0 to 1",
            reading="High: alignment runs along the diagonal.",
            source="guided attention: Tachibana et al. 2017, arXiv:1710.08969",
            picture="same_token",
        ),
        Score(
            "distance",
            "self",
            targets.distance,
            "tokens this far away",
            share=False,
            formula="mean over queries of Σ_k w |q - k|",
            range="0 to keys - 1, in tokens",
            reading="Low: near tokens. Its p is two-sided.",
            source=VIG,
            picture="local",
            meaning="Mean distance to the attended key, in tokens.",
            place=6,
        ),
    )
}


def target(score: Score, geometry: Geometry) -> NDArray[np.generic] | None:
    """T of one score, whatever the mask; None if this kind of attention has none."""
    kind = "self" if geometry.self_attention else "cross"
    return score.make(geometry) if score.where in (kind, "both") else None
