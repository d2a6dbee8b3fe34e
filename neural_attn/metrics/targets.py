"""The cells that pattern scores are of: T, float or bool [queries, keys], by geometry.

A function here gives T whatever the mask, or None where the text has no such cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from neural_attn.metrics.geometry import Geometry, is_special, separators

__all__ = [
    "BAND_SHARE",
    "LOCAL_WINDOW",
    "at_offset",
    "block",
    "delimiters",
    "diagonal",
    "distance",
    "duplicate",
    "far_in_block",
    "first",
    "induction",
    "last",
    "local",
    "on_keys",
    "prefix",
    "reverse_order",
    "suffix",
]

LOCAL_WINDOW = 2  # a key this many positions away is still local
BAND_SHARE = 0.125  # of the sequence is its beginning, or its end; at least two keys
ALIGNMENT_WIDTH = 0.2  # g of guided attention (Tachibana et al., 2018)


def at_offset(distance: int) -> Callable[[Geometry], NDArray[np.generic]]:
    """Mark keys so many positions after the query."""
    return lambda geometry: geometry.by_offset(lambda offset: offset == distance)


def on_keys(test: Callable[[str], bool]) -> Callable[[Geometry], NDArray[np.generic]]:
    """Mark the keys whose tokens pass a test."""
    return lambda geometry: _columns(geometry, geometry.key_flags(test))


def delimiters(geometry: Geometry) -> NDArray[np.generic]:
    """Mark special tokens after the first token."""
    return _columns(geometry, separators(geometry.key_tokens))


def _columns(geometry: Geometry, flags: NDArray[np.bool_]) -> NDArray[np.generic]:
    return np.broadcast_to(flags, (geometry.queries, geometry.keys))


def first(geometry: Geometry) -> NDArray[np.generic]:
    """Mark the first key."""
    return _columns(geometry, np.arange(geometry.keys) == 0)


def last(geometry: Geometry) -> NDArray[np.generic] | None:
    """Mark the last key."""
    return _end(geometry, geometry.keys - 1)


def _end(geometry: Geometry, start: int) -> NDArray[np.generic] | None:
    if not _is_seen(geometry, start):
        return None
    return _columns(geometry, np.arange(geometry.keys) >= start)


def _is_seen(geometry: Geometry, end: int) -> bool:
    """Whether most queries may attend to a key at the end of the text.

    Under a causal mask the last queries alone see the end, to which it is their own
    neighbourhood: no pattern that begins at the text's end.
    """
    return bool(geometry.allowed[:, end].mean() >= 0.5)


def _band(geometry: Geometry) -> int:
    return max(2, round(BAND_SHARE * geometry.keys))


def prefix(geometry: Geometry) -> NDArray[np.generic]:
    """Mark the first keys, `BAND_SHARE` of them."""
    return _columns(geometry, np.arange(geometry.keys) < _band(geometry))


def suffix(geometry: Geometry) -> NDArray[np.generic] | None:
    """Mark the last keys, `BAND_SHARE` of them."""
    return _end(geometry, geometry.keys - _band(geometry))


def local(geometry: Geometry) -> NDArray[np.bool_]:
    """Mark keys at most `LOCAL_WINDOW` away."""
    return geometry.by_offset(lambda offset: np.abs(offset) <= LOCAL_WINDOW)


def duplicate(geometry: Geometry) -> NDArray[np.generic]:
    """Mark other positions with the query's token."""
    same = geometry.same_text
    return same & (geometry.offset != 0) if geometry.self_attention else same


def induction(geometry: Geometry) -> NDArray[np.generic]:
    """Mark the tokens that followed earlier occurrences of the query's token."""
    after = np.zeros_like(geometry.same_text)
    after[:, 1:] = geometry.same_text[:, :-1]
    # The earlier occurrence stands before the query, so its follower at most on it.
    return after & (geometry.offset <= 0)


def reverse_order(geometry: Geometry) -> NDArray[np.bool_] | None:
    """Mark the key as far from the end as the query is from the beginning.

    Both are counted without special tokens: query n has the key (keys - 1 - n), and
    none where the keys are fewer. Where the queries of cross-attention begin with a
    special token (<s>), each row writes the next row's token, and counts as that one.
    """
    if not _is_seen(geometry, geometry.keys - 1):
        return None
    keys = _ordinary(geometry.key_tokens)
    if geometry.self_attention:
        rows = keys - (geometry.keys - geometry.queries)
    else:
        written = is_special(geometry.query_tokens[0])
        rows = _ordinary(geometry.query_tokens) - written
    cells = np.zeros((geometry.queries, geometry.keys), dtype=bool)
    for row, key in zip(rows, keys[::-1], strict=False):
        if row >= 0:
            cells[row, key] = True
    return cells


def _ordinary(tokens: Sequence[str]) -> NDArray[np.int64]:
    """The positions of tokens that are not special."""
    return np.flatnonzero([not is_special(token) for token in tokens])


def block(geometry: Geometry) -> NDArray[np.bool_] | None:
    """Mark the query's own sentence or part."""
    segments = geometry.segments
    if segments[-1] == 0:
        return None
    own = segments[geometry.keys - geometry.queries :]
    same: NDArray[np.bool_] = own[:, np.newaxis] == segments
    return same


def far_in_block(geometry: Geometry) -> NDArray[np.generic] | None:
    """Mark what is in the own sentence or part, and not local."""
    own = block(geometry)
    return None if own is None else own & ~local(geometry)


def diagonal(geometry: Geometry) -> NDArray[np.generic]:
    """Weigh keys by how near they are to the query's relative position."""
    queries = np.arange(geometry.queries) / max(geometry.queries - 1, 1)
    keys = np.arange(geometry.keys) / max(geometry.keys - 1, 1)
    apart = (queries[:, np.newaxis] - keys) / ALIGNMENT_WIDTH
    return np.exp(-np.square(apart) / 2)


def distance(geometry: Geometry) -> NDArray[np.generic]:
    """Give the distance between query and key, in tokens."""
    return geometry.by_offset(np.abs)
