"""Maps as a table: one row for each weight, with what it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import AttentionItem

__all__ = ["frame_of"]


def frame_of(items: Sequence[tuple[int, AttentionItem]]) -> Any:
    """A pandas DataFrame of examples and their items; see `AttentionMaps.to_frame`.

    Raises NeuralError (E0502) where pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        fail("E0502.pandas")
    frames = [
        pandas.DataFrame(_columns(item)).assign(example=example, map=item.name)
        for example, item in items
    ]
    order = ["example", "map", *_NAMES]
    if not frames:
        return pandas.DataFrame(columns=order)
    return pandas.concat(frames, ignore_index=True)[order]


_NAMES = ("kind", "head", "query", "key", "query_token", "key_token", "weight", "seen")


def _columns(item: AttentionItem) -> dict[str, Any]:
    heads, queries, keys = (axis.ravel() for axis in np.indices(item.weights.shape))
    values = (
        item.kind,
        np.asarray(item.head_indices)[heads],
        queries,
        keys,
        _encodable(item.query_tokens)[queries],
        _encodable(item.key_tokens)[keys],
        item.weights.ravel(),
        item.allowed.ravel(),
    )
    return dict(zip(_NAMES, values, strict=True))


def _encodable(tokens: Sequence[str]) -> NDArray[np.object_]:
    """Tokens with half surrogates, which no table takes, as pictures show them."""
    texts = [one.encode("utf-8", "backslashreplace").decode() for one in tokens]
    return np.asarray(texts, dtype=object)
