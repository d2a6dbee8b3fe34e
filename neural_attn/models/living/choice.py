"""Which layers and heads of a model are wanted, decided while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, TypeAlias

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import heads_there

__all__ = ["Choice", "Heads", "Layers"]

Layers: TypeAlias = str | int | Sequence[str | int] | None
Heads: TypeAlias = int | Sequence[int] | None


@dataclass(frozen=True)
class Choice:
    """What `layers=` and `heads=` say; None is all of them."""

    layers: tuple[str | int, ...] | None = None
    heads: tuple[int, ...] | None = None

    @classmethod
    def of(cls, layers: Layers, heads: Heads) -> Choice:
        """One or several of each; whole numbers may be those of any library.

        Raises NeuralError for anything else, and for none at all.
        """
        named = _several(layers, names=True)
        if named is not None and not named:
            fail("E0442.layers", given=_shown(layers))
        numbers: Any = _several(heads, names=False)
        if numbers is not None and not numbers:
            fail("E0442.heads", given=_shown(heads))
        return cls(named, numbers)

    @property
    def counts_back(self) -> bool:
        """Whether it can be known only at the end which layers are meant."""
        return any(isinstance(one, int) and one < 0 for one in self.layers or ())

    def takes(self, names: Sequence[str], layer: int) -> bool:
        """Whether it means the attention of these names, in the layer of this index."""
        if self.layers is None:
            return True
        return any(
            one == layer if isinstance(one, int) else _begins(names, one)
            for one in self.layers
        )

    def counted(self, layers: Sequence[int]) -> Choice:
        """The same, where numbers from the end are those of layers, in their order."""
        if not self.counts_back:
            return self
        named = tuple(
            layers[one] if isinstance(one, int) and -len(layers) <= one < 0 else one
            for one in self.layers or ()
        )
        return Choice(named, self.heads)

    def missing(
        self, names: Sequence[Sequence[str]], layers: Collection[int]
    ) -> list[str | int]:
        """What is asked for and means nothing that ran: names, numbers of layers."""
        return [
            one
            for one in self.layers or ()
            if not (
                one in layers or -len(layers) <= one < 0
                if isinstance(one, int)
                else any(_begins(own, one) for own in names)
            )
        ]

    def of_heads(self, name: str, numbers: Sequence[int]) -> list[int]:
        """The places of the heads that are wanted, of heads with these numbers.

        Raises NeuralError for a head that there is not.
        """
        if self.heads is None:
            return list(range(len(numbers)))
        at = {number: place for place, number in enumerate(numbers)}
        for head in self.heads:
            if head not in at and not -len(numbers) <= head < 0:
                there = heads_there(numbers)
                fail("E0442.head", name=name, head=head, there=there)
        wanted = {numbers[head] if head < 0 else head for head in self.heads}
        return sorted(at[number] for number in wanted)


def _several(given: Any, *, names: bool) -> tuple[str | int, ...] | None:
    """What is asked for; empty where it is not what can be asked for."""
    if given is None:
        return None
    is_one = isinstance(given, str) or hasattr(type(given), "__index__")
    if is_one and not getattr(given, "ndim", 0):
        several = [given]
    elif isinstance(given, Iterable) and not isinstance(given, Mapping | bytes):
        several = [*given]
    else:
        return ()
    found = [one if names and isinstance(one, str) else _whole(one) for one in several]
    return () if None in found else tuple(one for one in found if one is not None)


def _whole(given: Any) -> int | None:
    """A whole number; a flag is none."""
    if isinstance(given, bool) or not hasattr(type(given), "__index__"):
        return None
    try:
        return index(given)
    except TypeError:  # an array of several, or of fractions
        return None


def _shown(given: Any) -> str:
    return repr(given)[:40]


def _begins(names: Sequence[str], wanted: str) -> bool:
    """Whether a name is the one wanted, or of a part of it."""
    return any(n == wanted or n.startswith((f"{wanted}.", f"{wanted}_")) for n in names)
