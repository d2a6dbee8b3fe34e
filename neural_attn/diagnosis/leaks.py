"""Weight where none belongs, and rows that hold nothing: with heads and tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.heads import Place
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.validation import LEAK_TOLERANCE, PADDING, PADDING_SHARE
from neural_attn.promises import SHARES

__all__ = ["Leak", "find_leaks"]

Bool = NDArray[np.bool_]
Places = Mapping[str, Place]

_SHOWN = 6  # tokens of each leak


@dataclass(frozen=True)
class Leak:
    """Rows of one map that look where they should not, or nowhere (cause "empty").

    `share` is the part of the worst row that does, of padding the mean over all rows,
    or the part of the rows that are empty. `tokens` are (text, position, token) of keys
    that get it, or of the empty rows.
    """

    cause: str
    map: str
    heads: tuple[str, ...]
    share: float
    threshold: float
    rows: int
    texts: int
    tokens: tuple[tuple[int, int, str], ...]


def find_leaks(maps: AttentionMaps, places: Places, before: int) -> Iterator[Leak]:
    """All of a batch; `before` texts were seen before it."""
    decoders = _decoders(maps)
    for one in maps.maps:
        labels = [places[one.name].label(number) for number in one.head_indices]
        real = _real(maps, one)
        writes = one.causal or one.name in decoders
        yield from _on_keys(one, real, labels, before, writes=writes)
        yield from _empty(one, real, labels, before)


def _decoders(maps: AttentionMaps) -> set[str]:
    """Self-attention of decoders: a layer with cross-attention reads what it writes."""
    return {
        one.name
        for layer in maps.layers
        for one in layer
        if one.kind == "decoder_self"
        or (one.kind != "cross" and any(other.kind == "cross" for other in layer))
    }


def _real(maps: AttentionMaps, one: AttentionMap) -> Bool:
    """Queries that are not padding, [batch, 1, queries, 1]."""
    batch, _, queries, _ = one.weights.shape
    real = np.zeros((batch, 1, queries, 1), bool)
    for index in range(batch):
        real[index, 0, maps.query_range(one, index)] = True
    return real


def _on_keys(
    one: AttentionMap, real: Bool, labels: list[str], before: int, *, writes: bool
) -> Iterator[Leak]:
    queries, keys = one.weights.shape[2:]
    later = ~np.tri(queries, keys, keys - queries, dtype=bool)
    padding = np.array([[t in PADDING for t in row] for row in one.key_tokens])
    padding &= ~padding.all(axis=1, keepdims=True)
    padding = padding[:, np.newaxis, np.newaxis]
    hidden = ~one.allowed
    cells = {
        "later": later & writes,
        "padding": padding & ~hidden & ~(later & writes),
        "masked": hidden & ~(later & writes),
    }
    for cause, where in cells.items():
        limit = PADDING_SHARE if cause == "padding" else LEAK_TOLERANCE
        weights = np.where(where & real, np.abs(one.weights), 0)
        of_rows = weights.sum(axis=3, dtype=np.float64)
        # A little padding may be an accident; one row under a mask that leaks is not.
        per_head = of_rows.max(axis=(0, 2))
        if cause == "padding":
            per_head = of_rows.sum(axis=(0, 2)) / max(int(real.sum()), 1)
        heads = tuple(
            label for label, s in zip(labels, per_head, strict=True) if s > limit
        )
        if heads:
            tokens = _top(weights.sum(axis=(1, 2)), one.key_tokens, before)
            share, rows = float(per_head.max()), int(real.sum())
            yield Leak(
                cause, one.name, heads, share, limit, rows, len(one.weights), tokens
            )


def _empty(
    one: AttentionMap, real: Bool, labels: list[str], before: int
) -> Iterator[Leak]:
    if one.rows != SHARES:
        return  # of the others a row may well hold nothing
    empty = (one.weights.max(axis=3) == 0) & real[..., 0]
    per_head = empty.sum(axis=(0, 2))
    if empty.any():
        heads = tuple(label for label, n in zip(labels, per_head, strict=True) if n > 0)
        rows = int(real.sum())
        share = float(per_head.max() / rows)
        tokens = _top(empty.sum(axis=1), one.query_tokens, before)
        yield Leak("empty", one.name, heads, share, 0.0, rows, len(one.weights), tokens)


def _top(
    amounts: NDArray[np.generic], tokens: tuple[tuple[str, ...], ...], before: int
) -> tuple[tuple[int, int, str], ...]:
    """The positions, of [batch, positions], that have the most; none of 0."""
    order = np.argsort(-amounts.astype(np.float64), axis=None, kind="stable")[:_SHOWN]
    places = [divmod(int(at), amounts.shape[1]) for at in order]
    return tuple(
        (before + text, position, tokens[text][position])
        for text, position in places
        if amounts[text, position] > 0
    )
