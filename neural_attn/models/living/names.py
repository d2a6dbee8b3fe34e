"""Names and kinds of maps, from where a module stands in its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["ROOT", "Family", "Named", "Paths", "Place"]

ROOT = "attention"  # where the model itself attends

Side = Literal["encoder", "decoder", ""]

# How libraries name attention to another sequence: BART and Whisper, T5, PyTorch's
# decoder layer, and all that say "cross".
_CROSS = re.compile(r"cross|encoder_?attn|encoder_?attention$|encdec|multihead_attn$")
_CROSS_CLASS = re.compile(r"(?i)cross_?att")
_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")


@dataclass(frozen=True)
class Place:
    """The name of a map, and what its place says of it.

    `side` is the half of an encoder–decoder; `labelled` is False where tokens of the
    inputs are not what it attends to, as in a vision tower.
    """

    name: str
    cross: bool = False
    side: Side = ""
    labelled: bool = True


class Named(Protocol):
    """Names the attention of modules."""

    def place(self, path: str, module: Any, before: int) -> Place:
        """Name a module that attended `before` times already."""


def is_cross(path: str, module: Any) -> bool:
    """Whether a module attends to another sequence, by what it is called."""
    said = getattr(module, "is_cross_attention", None)
    if isinstance(said, bool):
        return said
    kind, inside = type(module).__name__, re.split(r"\.\d+\.", f".{path}")[-1]
    return bool(_CROSS_CLASS.search(kind) or _CROSS.search(inside.lower()))


class Paths:
    """A PyTorch module's own: its path in the model."""

    def place(self, path: str, module: Any, before: int) -> Place:
        """The path, and the half of a model that says it has an encoder and decoder."""
        side: Side = "decoder" if "decoder" in path.split(".") else ""
        return Place(path or ROOT, is_cross(path, module), side)


@dataclass(frozen=True)
class Family:
    """A `transformers` model's: `layer_3`, or `decoder_layer_3.cross_attention`.

    Numbers are the model's own. `stacks` has, by the path of each list of layers, what
    goes before `layer`; `running` counts calls, where layers share their weights.
    """

    stacks: Mapping[str, str]
    sides: bool = False
    running: bool = False
    several: frozenset[str] = frozenset()

    @classmethod
    def of(cls, model: Any) -> Family:
        """Read the tree of a model."""
        config = model.config
        sides = bool(getattr(config, "is_encoder_decoder", False))
        stacks: dict[str, None] = {}
        crossing = set()
        for path, module in model.named_modules():
            stack, number, _ = _split(path)
            if number is not None and "attention" in type(module).__name__.lower():
                stacks[stack] = None
                if is_cross(path, module):
                    crossing.add(stack)
        prefixes = _prefixes(list(stacks))
        running = getattr(config, "model_type", "") == "albert"
        return cls(prefixes, sides, running, frozenset(crossing))

    def place(self, path: str, module: Any, before: int) -> Place:
        """A layer of one of the stacks; elsewhere the path."""
        stack, number, _ = _split(path)
        cross = is_cross(path, module)
        prefix = self.stacks.get(stack)
        if prefix is None or number is None:
            return Place(path or ROOT, cross, labelled=len(self.stacks) < 2)
        name = f"{prefix}layer_{before if self.running else number}"
        if stack in self.several:
            name += ".cross_attention" if cross else ".self_attention"
        side = _side(prefix) if self.sides else ""
        text = len(self.stacks) < 2 or bool(side)
        labelled = text or any(word in stack for word in ("text", "language"))
        return Place(name, cross, side, labelled)


def _side(prefix: str) -> Side:
    return "decoder" if "decoder" in prefix else "encoder"


def _split(path: str) -> tuple[str, int | None, str]:
    """What stands before, is and stands after the first number in a path."""
    found = _NUMBER.search(path)
    if found is None:
        return path, None, ""
    return path[: found.start()], int(found[1]), path[found.end() :]


def _prefixes(stacks: list[str]) -> dict[str, str]:
    """For each of several stacks, the first word of its path that tells it apart."""
    if len(stacks) < 2:
        return {stack: "" for stack in stacks}
    paths = {stack: stack.split(".") for stack in stacks}
    found = {}
    for stack, words in paths.items():
        others = [set(paths[other]) for other in stacks if other != stack]
        own = [word for word in words if all(word not in other for other in others)]
        found[stack] = f"{own[0] if own else stack}_"
    return found
