"""Which keys each layer lets each query see, and why it hides the others.

Masks are those that the layers used: the network runs on the NumPy backend, and what is
drawn is what its softmax was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neural_attn.backends.emit.training import masked_inputs
from neural_attn.inputs.prepared import Prepared
from neural_attn.ir import is_mask
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.shapes.instance import Checked
from neural_attn.teaching.charts import Cells, Lesson

__all__ = ["SEEN", "lesson", "pad_sample", "why_hidden"]

LEVELS = ("seen", "hidden: later", "hidden: padding", "hidden: out of reach")
SEEN, LATER, PADDING, BEYOND = range(4)
PADDED_SHARE = 4  # one of so many steps of a sample is padding
KINDS = {
    "encoder_self": "encoder self-attention",
    "decoder_self": "decoder self-attention",
    "cross": "cross-attention",
}


def lesson(maps: AttentionMaps, notes: Sequence[str] = ()) -> Lesson:
    """The masks of all layers, those that are the same in one panel.

    Of several examples, the one of which most is hidden is drawn.
    """
    example = _most_hidden(maps)
    panels: dict[object, _Panel] = {}
    for one in maps.maps:
        for heads, cells in _masks_of(one, example):
            panel = _Panel(one, example, heads, cells)
            panels.setdefault(panel.key, panel).names.append(one.name)
    batch = max(len(one.weights) for one in maps.maps)
    more = [f"masks are of example {example + 1} of {batch}"] if batch > 1 else []
    charts = [panel.chart for panel in panels.values()]
    return Lesson("masks", "Which keys each query sees", charts, [*notes, *more])


def why_hidden(one: AttentionMap, example: int, head: int = 0) -> NDArray[np.int64]:
    """Places in LEVELS, [queries, keys], of one head of one example.

    What no query sees is padding. Of a causal layer, what comes after the query is
    later; anything else that is hidden is out of the layer's reach.
    """
    allowed = one.allowed[example, head]
    queries, keys = allowed.shape
    why = np.where(allowed, SEEN, BEYOND)
    if one.causal:
        behind = ~np.tri(queries, keys, keys - queries, dtype=bool)
        why[behind & ~allowed] = LATER
    why[:, ~allowed.any(axis=0)] = PADDING
    return why


def pad_sample(checked: Checked, prepared: Prepared) -> Prepared:
    """The same sample with its last steps as padding, where the network masks it.

    Tokens that somebody gave are not padding: such a sample stays as it is.
    """
    padded = _padded_inputs(checked)
    if prepared.tokens is not None or not padded:
        return prepared
    first = checked.network.inputs[0].name
    several = isinstance(prepared.inputs, dict)
    arrays = dict(prepared.inputs) if several else {first: prepared.inputs}
    for name in padded & set(arrays):
        array = arrays[name].copy()
        array[:, array.shape[1] - array.shape[1] // PADDED_SHARE :] = 0
        arrays[name] = array
    note = f"the last steps of {' and '.join(sorted(padded))} are padding in the sample"
    inputs = arrays if several else arrays[first]
    return replace(prepared, inputs=inputs, notes=[*prepared.notes, note])


def _padded_inputs(checked: Checked) -> set[str]:
    """The inputs whose zeros are padding: ids of which the network asks, and masks."""
    network = checked.network
    masks = {given.name for given in network.inputs if is_mask(given.name)}
    return masks or masked_inputs(network.block)


def _most_hidden(maps: AttentionMaps) -> int:
    batch = min(len(one.weights) for one in maps.maps)
    hidden = [
        sum(int((~one.allowed[example]).sum()) for one in maps.maps)
        for example in range(batch)
    ]
    return hidden.index(max(hidden))


def _masks_of(one: AttentionMap, example: int) -> list[tuple[str, NDArray[np.int64]]]:
    """The masks of a layer, each once, with the heads that have it ("": all)."""
    found: dict[bytes, list[int]] = {}
    for head, allowed in enumerate(one.allowed[example]):
        found.setdefault(allowed.tobytes(), []).append(head)
    groups = list(found.values())
    return [
        (
            "" if len(groups) == 1 else _heads(one, heads),
            why_hidden(one, example, heads[0]),
        )
        for heads in groups
    ]


def _heads(one: AttentionMap, heads: Sequence[int]) -> str:
    numbers = ", ".join(str(one.head_indices[head]) for head in heads)
    return f"head {numbers}" if len(heads) == 1 else f"heads {numbers}"


@dataclass
class _Panel:
    """One mask, and all layers that have it."""

    one: AttentionMap
    example: int
    heads: str
    cells: NDArray[np.int64]

    def __post_init__(self) -> None:
        self.names: list[str] = []

    @property
    def _tokens(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        one = self.one
        return one.query_tokens[self.example], one.key_tokens[self.example]

    @property
    def key(self) -> object:
        """What panels that show the same share."""
        kind, causal = self.one.kind, self.one.causal
        shape = self.cells.shape
        return kind, causal, self.heads, shape, self.cells.tobytes(), self._tokens

    @property
    def chart(self) -> Cells:
        """The mask as a chart."""
        rows, columns = self._tokens
        first, last = self.names[0], self.names[-1]
        title = first if len(self.names) == 1 else f"{first} … {last}"
        several = f"{len(self.names)} layers" if len(self.names) > 1 else ""
        causal = "causal " if self.one.causal else ""
        parts = [several, causal + KINDS[self.one.kind], self.heads, self._count()]
        return Cells(
            title,
            ", ".join(filter(None, parts)),
            self.cells.astype(np.float64),
            rows,
            columns,
            "query (attends from)",
            "key (attended to)",
            LEVELS,
        )

    def _count(self) -> str:
        seen, size = int((self.cells == SEEN).sum()), self.cells.size
        return "every key is seen" if seen == size else f"{seen} of {size} cells seen"
