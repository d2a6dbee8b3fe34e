"""The pattern scores: how much attention goes to a set of cells, the target.

A score is the mean, over the queries that have a choice, of

    s_q = sum over keys k of w[q, k] * T[q, k]

where T is 1 on the cells of the pattern and 0 elsewhere (for `distance`, T is |q - k|).
A query has a choice if T differs between the keys that it may attend to. One form for
all scores is what makes their baselines exact (see `baselines.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.geometry import Geometry, is_punctuation, is_special

__all__ = ["BAND_SHARE", "LOCAL_WINDOW", "SCORES", "Score", "target"]

Float = NDArray[np.float64]

LOCAL_WINDOW = 2  # a key this many positions away is still local
BAND_SHARE = 0.125  # of the sequence is its beginning, or its end; at least two keys
ALIGNMENT_WIDTH = 0.2  # g of guided attention (Tachibana et al., 2018)


@dataclass(frozen=True)
class Score:
    """One pattern score.

    `where` is "self", "cross" or "both". `make` gives T, float or bool [queries,
    keys], or None where the text has no such cell. `share` says that the score is a
    share of attention, from 0 to 1. `words` completes "attends to …".
    """

    name: str
    where: str
    make: Callable[[Geometry], NDArray[np.generic] | None]
    words: str
    share: bool = True


def _offset(distance: int) -> Callable[[Geometry], NDArray[np.generic]]:
    return lambda geometry: geometry.offset == distance


def _keys(test: Callable[[str], bool]) -> Callable[[Geometry], NDArray[np.generic]]:
    return lambda geometry: _columns(geometry, geometry.key_flags(test))


def _columns(geometry: Geometry, flags: NDArray[np.bool_]) -> NDArray[np.generic]:
    return np.broadcast_to(flags, (geometry.queries, geometry.keys))


def _first(geometry: Geometry) -> NDArray[np.generic]:
    return _columns(geometry, np.arange(geometry.keys) == 0)


def _last(geometry: Geometry) -> NDArray[np.generic] | None:
    return _end(geometry, geometry.keys - 1)


def _end(geometry: Geometry, start: int) -> NDArray[np.generic] | None:
    # Under a causal mask the end is seen by the last queries alone, to which it is
    # their own neighbourhood: no pattern of the text's end.
    if geometry.allowed[:, start].mean() < 0.5:
        return None
    return _columns(geometry, np.arange(geometry.keys) >= start)


def _band(geometry: Geometry) -> int:
    return max(2, round(BAND_SHARE * geometry.keys))


def _prefix(geometry: Geometry) -> NDArray[np.generic]:
    return _columns(geometry, np.arange(geometry.keys) < _band(geometry))


def _suffix(geometry: Geometry) -> NDArray[np.generic] | None:
    return _end(geometry, geometry.keys - _band(geometry))


def _local(geometry: Geometry) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(geometry.offset) <= LOCAL_WINDOW
    return near


def _duplicate(geometry: Geometry) -> NDArray[np.generic]:
    same = geometry.same_text
    return same & (geometry.offset != 0) if geometry.self_attention else same


def _induction(geometry: Geometry) -> NDArray[np.generic]:
    """Mark the tokens that followed earlier occurrences of the query's token."""
    after = np.zeros_like(geometry.same_text)
    after[:, 1:] = geometry.same_text[:, :-1]
    # The earlier occurrence stands before the query, so its follower at most on it.
    return after & (geometry.offset <= 0)


def _block(geometry: Geometry) -> NDArray[np.bool_] | None:
    segments = geometry.segments
    if segments[-1] == 0:
        return None
    own = segments[geometry.keys - geometry.queries :]
    same: NDArray[np.bool_] = own[:, np.newaxis] == segments
    return same


def _far_in_block(geometry: Geometry) -> NDArray[np.generic] | None:
    block = _block(geometry)
    return None if block is None else block & ~_local(geometry)


def _diagonal(geometry: Geometry) -> NDArray[np.generic]:
    queries = np.arange(geometry.queries) / max(geometry.queries - 1, 1)
    keys = np.arange(geometry.keys) / max(geometry.keys - 1, 1)
    apart = (queries[:, np.newaxis] - keys) / ALIGNMENT_WIDTH
    return np.exp(-np.square(apart) / 2)


def _distance(geometry: Geometry) -> NDArray[np.generic]:
    return np.abs(geometry.offset)


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score("previous_token", "self", _offset(-1), "the previous token"),
        Score("next_token", "self", _offset(1), "the next token"),
        Score("same_token", "self", _offset(0), "the token itself"),
        Score("duplicate_token", "both", _duplicate, "other copies of the same token"),
        Score("induction", "self", _induction, "what followed the same token before"),
        Score("first_token", "both", _first, "the first token"),
        Score("last_token", "both", _last, "the last token"),
        Score("special_tokens", "both", _keys(is_special), "special tokens"),
        Score("punctuation", "both", _keys(is_punctuation), "punctuation"),
        Score("prefix", "both", _prefix, "the beginning of the text"),
        Score("suffix", "both", _suffix, "the end of the text"),
        Score("local", "self", _local, f"tokens at most {LOCAL_WINDOW} away"),
        Score("block", "self", _block, "its own sentence or part"),
        Score(
            "far_in_block",
            "self",
            _far_in_block,
            f"tokens of its own sentence or part more than {LOCAL_WINDOW} away",
        ),
        Score("diagonal", "cross", _diagonal, "the same relative position"),
        Score("distance", "self", _distance, "tokens this far away", share=False),
    )
}


def target(score: Score, geometry: Geometry) -> Float | None:
    """T of one score, 0 where attending is not allowed and in rows without a choice.

    None if the score is not defined for this kind of attention, or no row has a
    choice.
    """
    kind = "self" if geometry.self_attention else "cross"
    if score.where not in (kind, "both"):
        return None
    cells = score.make(geometry)
    if cells is None:
        return None
    return with_choice(np.asarray(cells, dtype=np.float64), geometry)


def with_choice(cells: Float, geometry: Geometry) -> Float | None:
    """`cells` without masked cells and rows where all allowed cells are equal."""
    allowed = geometry.allowed
    low = np.where(allowed, cells, np.inf).min(axis=1)
    high = np.where(allowed, cells, -np.inf).max(axis=1)
    rows = high > low  # also False where nothing is allowed
    if not rows.any():
        return None
    result: Float = np.where(allowed & rows[:, np.newaxis], cells, 0.0)
    return result
