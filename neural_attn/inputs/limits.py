"""What a network can take: the input of a kind, ids at most, steps at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.types import Positions
from neural_attn.ir import Block, Input
from neural_attn.shapes.instance import LONGEST, Checked, Instance


def id_limits(checked: Checked) -> dict[str, int]:
    """The number of rows of the embedding that each input's ids go to."""
    names = {
        tensor.uid: given.name
        for tensor, given in zip(
            checked.root.inputs, checked.network.inputs, strict=True
        )
    }
    limits: dict[str, int] = {}
    for part in parts_of(checked.root):
        if isinstance(part.target, NativeLayer) and part.target.name == "Embedding":
            name = names.get(part.inputs[0].uid)
            rows = part.values.get("input_dim")
            if name and isinstance(rows, int):
                limits[name] = min(rows, limits.get(name, rows))
    return limits


def parts_of(instance: Instance) -> Iterator[Instance]:
    """An instance and everything inside it."""
    yield instance
    for parts in instance.children.values():
        for part in parts:
            yield from parts_of(part)


def only_input(checked: Checked, fits: Callable[[Input], bool]) -> Input | None:
    """The one input that fits; None where none does, or several do."""
    found = [given for given in checked.network.inputs if fits(given)]
    return found[0] if len(found) == 1 else None


def max_length(checked: Checked) -> int | None:
    """The longest input that the network takes, where something in it has an end."""
    limits = []
    for part in parts_of(checked.root):
        if part.inputs and isinstance(part.inputs[0], Positions):
            limits.append(part.values["input_dim"])  # a table of positions
        if isinstance(part.target, Block) and checked.facts[part.target].is_bounded:
            limits.append(part.values[LONGEST])
    return min((n for n in limits if isinstance(n, int)), default=None)
