"""What is taken out of matrices before they are drawn, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neural_attn.figures.reading import labels, read_tokens
from neural_attn.figures.token_labels import quoted
from neural_attn.maps.attention_map import AttentionItem
from neural_attn.metrics.sinks import find_sinks
from neural_attn.promises import NONNEGATIVE, SHARES

__all__ = ["Filtered", "Filters", "axes_of"]

MOST_NAMED = 6


def axes_of(item: AttentionItem) -> tuple[object, ...]:
    """What items must have in common to stand side by side."""
    return item.kind, tuple(item.query_tokens), tuple(item.key_tokens), item.rows


@dataclass(frozen=True)
class Filtered:
    """Matrices as they are drawn, and what to say of them.

    `basis` is where weights might have gone when rows were whole, bool
    [heads, queries, keys]: an even share is of that.
    """

    items: list[AttentionItem]
    notes: list[str]
    basis: NDArray[np.bool_]


@dataclass(frozen=True)
class Filters:
    """Which rows and columns are hidden, and whether the rest is divided by its sum.

    Parameters
    ----------
    hide_special : bool
        Queries and keys that are not part of the text: [CLS], </s>, <|endoftext|>.
    hide_sinks : bool
        Keys that are a sink of any matrix drawn (`neural_attn.metrics.sinks`).
    renormalize : bool
        Divide each row by its sum, so that what is shown sums to 1 again.
    """

    hide_special: bool = False
    hide_sinks: bool = False
    renormalize: bool = False

    def __bool__(self) -> bool:
        return self.hide_special or self.hide_sinks or self.renormalize

    def apply(self, items: Sequence[AttentionItem]) -> Filtered:
        """Hide the same of all `items`, which have the same tokens and promise."""
        first = items[0]
        queries = np.ones(len(first.query_tokens), bool)
        keys = np.ones(len(first.key_tokens), bool)
        notes: list[str] = []
        if self.hide_special:
            notes.append(_hide_special(first, queries, keys))
        if self.hide_sinks:
            notes.append(_hide_sinks(items, keys))
        shown = [_kept(item, queries, keys) for item in items]
        basis = np.concatenate([item.allowed for item in items])[:, queries]
        if self.renormalize and first.rows not in NONNEGATIVE:
            notes.append(f"not renormalized: rows are {first.rows}")
        elif self.renormalize:
            shown = [_renormalized(item) for item in shown]
            basis = np.concatenate([item.allowed for item in shown])
            notes.append("each row divided by its sum")
        return Filtered(shown, notes, basis)


def _hide_special(
    item: AttentionItem, queries: NDArray[np.bool_], keys: NDArray[np.bool_]
) -> str:
    found = []
    for tokens, kept in ((item.query_tokens, queries), (item.key_tokens, keys)):
        special = np.array(read_tokens(tokens).special)
        if special.all():
            return "not hidden: all tokens are special"
        kept[special] = False
        found += [token for token, out in zip(tokens, special, strict=True) if out]
    if not found:
        return "hidden: special tokens, of which there are none"
    return f"hidden: special tokens {_named(found)}"


def _hide_sinks(items: Sequence[AttentionItem], keys: NDArray[np.bool_]) -> str:
    if items[0].rows != SHARES:
        return f"no sinks hidden: rows are {items[0].rows}, not shares"
    matrices = [head for item in items for head in item.weights]
    sinks = np.unique(np.concatenate([find_sinks(matrix) for matrix in matrices]))
    left = keys.copy()
    left[sinks] = False
    if not left.any():
        return "not hidden: every key is a sink of some matrix"
    keys[sinks] = False
    if not len(sinks):
        return "hidden: sinks, of which there are none"
    tokens = items[0].key_tokens
    return f"hidden: sinks {_named([tokens[place] for place in sinks])}"


def _named(tokens: Sequence[str]) -> str:
    """Which tokens, each once, as they are drawn."""
    names = list(dict.fromkeys(map(quoted, labels(tokens))))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _kept(
    item: AttentionItem, queries: NDArray[np.bool_], keys: NDArray[np.bool_]
) -> AttentionItem:
    if queries.all() and keys.all():
        return item
    return replace(
        item,
        weights=item.weights[:, queries][:, :, keys],
        allowed=item.allowed[:, queries][:, :, keys],
        query_tokens=tuple(np.array(item.query_tokens, object)[queries]),
        key_tokens=tuple(np.array(item.key_tokens, object)[keys]),
    )


def _renormalized(item: AttentionItem) -> AttentionItem:
    sums = item.weights.sum(axis=-1, keepdims=True)
    weights = np.divide(
        item.weights, sums, out=np.zeros_like(item.weights), where=sums > 0
    )
    return replace(item, weights=weights)
