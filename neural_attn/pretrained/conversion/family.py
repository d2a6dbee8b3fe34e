"""What a family of pretrained models states about itself; the rest is shared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neural_attn.pretrained.conversion.config import Config

Array = NDArray[np.float32]


def unchanged(values: Array) -> Array:
    """The tensor as it is."""
    return values


@dataclass(frozen=True)
class Rule:
    r"""Which of our weights a tensor of the source fills.

    `pattern` must match the whole name of the source tensor; `target` is our name,
    with `\1` for its groups. `convert` turns the values into our layout (Dense:
    [outputs, inputs]). Several rules may match one tensor, each taking a part of it.
    """

    pattern: str
    target: str
    convert: Callable[[Array], Array] = unchanged

    def target_of(self, name: str) -> str | None:
        """Our name for this tensor, or None where the rule is not about it."""
        match = re.fullmatch(self.pattern, name)
        return match.expand(self.target) if match else None


@dataclass(frozen=True)
class Extra:
    """Tensors that the network has no use for, and what they are, for people."""

    pattern: str
    meaning: str


@dataclass(frozen=True)
class Layer:
    """One line of the network: a block, its arguments, how often it is repeated."""

    name: str
    arguments: dict[str, int | float | str | bool]
    repeat: int = 1


@dataclass(frozen=True)
class Plan:
    """One model of a family: the network to write, and where its weights are.

    `summary` describes it in a few words. Tensors whose name begins with one of
    `body` are part of the computation: one that no rule and no extra knows stops the
    import, as the picture would be false without it. `notes` are for people.
    """

    summary: str
    inputs: Sequence[tuple[str, str]]
    layers: Sequence[Layer]
    rules: Sequence[Rule]
    extras: Sequence[Extra] = ()
    body: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Family:
    """A kind of model: how config.json becomes a plan.

    `model_types` are its names in config.json. `prefixes` are put before all names by
    models that hold this one inside, with a task's head on top (`bert.encoder…`).
    """

    model_types: Sequence[str]
    plan: Callable[[Config], Plan]
    prefixes: Sequence[str] = ()

    def plain_name(self, name: str) -> str:
        """The name of a tensor without the prefix of the model around."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name
