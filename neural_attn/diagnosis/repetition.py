"""Texts that repeat themselves, and the decoder's heads that look at the copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neural_attn.analysis.heads import Head, describe
from neural_attn.analysis.type_table import above_chance
from neural_attn.diagnosis.faults import (
    Check,
    Checked,
    Fault,
    Number,
    Threshold,
    Token,
)
from neural_attn.diagnosis.loops import FEWEST_TOKENS, TIMES, Loop
from neural_attn.diagnosis.record import Record, distances, mean_distance, where
from neural_attn.metrics.redundancy import CLUSTER_DISTANCE

__all__ = ["REPETITION"]

KIND = "repetition"
COPYING = 0.3  # part of the way from chance to 1 of the attention on copies
SCORES = ("duplicate_token", "induction")
DECODING = "when it writes: `neural generate … --beams 4`, or `--temperature 0.8`"
REMEDIES = {
    "copying": (
        DECODING,
        "penalize tokens that were written before, in a decoding of your own",
        "raise the dropout: `TransformerDecoder(dropout=0.2, …)`",
    ),
    "alike": (
        "all heads of these layers do the same: give the decoder more, or wider ones",
        "raise the dropout: `TransformerDecoder(dropout=0.2, …)`",
        DECODING,
    ),
}


def examine(record: Record) -> tuple[list[Fault], Checked]:
    """Only texts with a loop count: elsewhere heads that look at copies are healthy."""
    looped = record.looped
    own = [
        h
        for h in describe(looped.tallies, looped.places)
        if any(loop.map == h.map for loop in record.loops)
    ]
    names = tuple(record.read_back)
    if not names:
        return [], Checked(
            KIND, why_not="no self-attention is causal: nothing is written"
        )
    heads = sum(len(looped.places[name].head_indices) for name in names)
    seen = Checked(KIND, heads, record.rows_of(names), record.analyzer.texts)
    if not own:
        return [], seen
    copying = [h for h in own if _copies(h) >= COPYING]
    alike = _alike(record, own)
    if not copying and alike is None:
        return [], seen
    return [_fault(record, copying or own, copying, alike)], seen


def _fault(
    record: Record, heads: Sequence[Head], copying: Sequence[Head], alike: float | None
) -> Fault:
    loops = list({loop.text: loop for loop in record.loops}.values())
    longest = max(loops, key=lambda loop: loop.period * loop.times)
    rows = sum(loop.period * loop.times for loop in loops)
    numbers = []
    if copying:
        most = max(map(_copies, copying))
        numbers.append(
            Number(
                "attention on copies, or on what followed them, of the way from chance",
                most,
                COPYING,
                True,
                rows,
                len(loops),
                0.0,
                "uniform attention",
            )
        )
    if alike is not None:
        numbers.append(
            Number(
                "mean distance between the heads of a layer",
                alike,
                CLUSTER_DISTANCE,
                False,
                rows,
                len(loops),
            )
        )
    shown = " ".join(longest.tokens)
    says = f"text {longest.text} repeats itself: “{shown}” {longest.times} times; " + (
        f"{len(copying)} heads look at the copies" if copying else "heads are alike"
    )
    cause = "copying" if copying else "alike"
    return Fault(
        KIND,
        cause,
        says,
        *where(heads),
        tuple(numbers),
        REMEDIES[cause],
        _tokens(loops),
    )


def _tokens(loops: Sequence[Loop]) -> tuple[Token, ...]:
    return tuple(
        Token(loop.text, loop.start + index, token)
        for loop in loops[:4]
        for index, token in enumerate(loop.tokens)
    )


def _copies(head: Head) -> float:
    """How far attention on copies is from uniform attention to all of it."""
    ways = [
        above_chance(head.statistics[name].mean, head.statistics[name].uniform or 0.0)
        for name in SCORES
        if name in head.statistics
    ]
    return max((way for way in ways if way == way), default=0.0)


def _alike(record: Record, heads: Sequence[Head]) -> float | None:
    """The mean distance of the most alike layer, if it is below the threshold."""
    apart = [
        distances(record.looped, name) for name in dict.fromkeys(h.map for h in heads)
    ]
    found = [mean_distance(own) for own in apart if own.size]
    least = min(found, default=np.nan)
    return least if least < CLUSTER_DISTANCE else None


REPETITION = Check(
    KIND,
    "Repetition: output that repeats itself",
    f"what causal self-attention reads: the same tokens {TIMES} times or more one "
    "after "
    f"another ({FEWEST_TOKENS} tokens in all); in such texts, attention on copies of a "
    "token and on what followed them, and the distance between heads",
    "A head that looks at copies continues what it sees there (Olsson et al., 2022), "
    "which is of use until the text is a loop; where all heads do the same, none "
    "contradicts.",
    {
        "copying": Threshold(
            COPYING,
            "(share on copies, or on what followed them - uniform) / (1 - uniform), "
            "of a "
            "head, in texts with a loop",
        ),
        "alike": Threshold(
            CLUSTER_DISTANCE,
            "mean Jensen-Shannon distance between the heads of a layer, at most, in "
            "texts "
            "with a loop",
        ),
    },
    REMEDIES,
    examine,
)
