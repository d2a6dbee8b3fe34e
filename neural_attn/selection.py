"""Some layers and heads of maps that are there already."""

from __future__ import annotations

from neural_attn.diagnostics.errors import fail
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
    return maps.keep(
        [
            one.take_heads(choice.of_heads(one.name, one.head_indices))
            for one in maps.maps
            if one.name in names
        ]
    )
