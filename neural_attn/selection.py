"""Some layers and heads of maps that are there already."""

from __future__ import annotations

from dataclasses import replace

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.models.living.choice import Choice, Heads, Layers

__all__ = ["select_some"]


def select_some(maps: AttentionMaps, layers: Layers, heads: Heads) -> AttentionMaps:
    """Keep layers and heads, as `capture` takes them; layers keep their numbers.

    Raises NeuralError for what there is not.
    """
    choice = Choice.of(layers, heads)
    if choice == Choice():
        return maps
    try:
        names = {name for one in choice.layers or [None] for name in maps.select(one)}
    except SelectionError as error:
        fail("E0442", reason=str(error))
    kept = [
        replace(_some_heads(one, choice), layer=number)
        for number, layer in zip(maps.layer_numbers, maps.layers, strict=True)
        for one in layer
        if one.name in names
    ]
    return replace(maps, maps=kept)


def _some_heads(one: AttentionMap, choice: Choice) -> AttentionMap:
    at = choice.of_heads(one.name, one.head_indices)
    mask = one.mask
    if mask is not None and mask.ndim > 2 and mask.shape[-3] > 1:
        mask = mask[..., at, :, :]
    indices = tuple(one.head_indices[index] for index in at)
    return replace(one, weights=one.weights[:, at], mask=mask, head_indices=indices)
