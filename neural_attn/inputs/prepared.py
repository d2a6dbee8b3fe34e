"""Inputs that a model can take, with the words for their positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from neural_attn.maps.picture import Picture
from neural_attn.maps.written import Written

__all__ = ["Inputs", "Labels", "Prepared", "Tokens"]

# of one input: one list for all examples, or one for each
Labels = Sequence[str] | Sequence[Sequence[str]]
# those of the first input, or of several by name
Tokens = Labels | Mapping[str, Labels]
# one array [batch, …], or several by name
Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Prepared:
    """Checked inputs, with labels and notes for the user.

    `batch` is the number of examples; `cut` says what texts lost at their end;
    `pictures` are what image files became, one for each example; `steps` label the
    positions that no input has; `real` says of inputs by name, bool [batch, time], what
    is not padding, where the network is not told; `written` is what the network wrote
    of its input, one for each example.
    """

    inputs: Any
    tokens: Tokens | None = None
    notes: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    pictures: Sequence[Picture] = ()
    steps: Labels = ()
    real: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    written: Sequence[Written] = ()

    @property
    def batch(self) -> int:
        """Number of examples."""
        first = self.inputs
        if isinstance(first, Mapping):
            first = next(iter(first.values()))
        return len(first)
