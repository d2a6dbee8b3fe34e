"""The geometries of one text: heads that see the same are measured together."""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.maps.attention_map import AttentionItem
from neural_attn.metrics.geometry import Geometry, same_mask

__all__ = ["geometries"]


def geometries(
    items: Sequence[AttentionItem],
) -> list[tuple[Geometry, list[tuple[int, list[int]]]]]:
    """Group the heads of several maps of one text by what they see.

    Returns
    -------
    list
        Each geometry with its heads, as (number of the item, numbers of its heads).
    """
    found: dict[object, tuple[Geometry, list[tuple[int, list[int]]]]] = {}
    for number, item in enumerate(items):
        own = item.kind != "cross"
        for heads, mask in same_mask(item.allowed):
            tokens = (item.query_tokens, item.key_tokens)
            key = (own, item.rows, *tokens, mask.tobytes())
            if key not in found:
                geometry = Geometry(mask, *tokens, own, item.rows)
                found[key] = (geometry, [])
            found[key][1].append((number, heads))
    return list(found.values())
