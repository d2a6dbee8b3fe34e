"""Names and kinds of maps, from where a module stands in its model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

__all__ = ["ROOT", "Family", "Named", "Paths", "Place", "is_called_attention"]

ROOT = "attention"  # where the model itself attends

Side = Literal["encoder", "decoder", ""]

# How libraries name attention to another sequence: BART and Whisper, T5, PyTorch's
# decoder layer, and all that say "cross".
_CROSS = re.compile(r"cross|encoder_?attn|encoder_?attention$|encdec|multihead_attn$")
_CROSS_CLASS = re.compile(r"(?i)cross_?att")
# Funnel's queries and SegFormer's keys are pooled, and are fewer than the others.
_SELF_CLASS = re.compile(r"(?i)self_?attention|^FunnelRel|^SegformerAtt")
_TEXT = re.compile(r"text|language")
SIDES: tuple[Side, Side] = ("encoder", "decoder")
_REMEMBERED = 4096  # paths, more than the largest models have
_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")


@dataclass(frozen=True)
class Place:
    """The name of a map, and what its place in the model says of it.

    `side` is the half of an encoder–decoder, or "decoder" where later tokens are
    hidden; with `own`, queries and keys are of one sequence, though some be pooled.
    `asking` and `asked` say whose tokens label queries and keys: 0 those of the first
    input, 1 those of the second, None of neither, as in a vision tower. `number` is the
    layer's own, in a model of one stack.
    """

    name: str
    cross: bool = False
    side: Side = ""
    own: bool = False
    asking: int | None = 0
    asked: int | None = 0
    number: int | None = None


class Named(Protocol):
    """Names the attention of modules."""

    def place(self, path: str, module: Any, before: int) -> Place:
        """Name a module that attended `before` times already."""


def is_cross(path: str, module: Any) -> bool:
    """Whether a module attends to another sequence, by what it is called."""
    said = getattr(module, "is_cross_attention", None)
    return said if isinstance(said, bool) else _says_cross(path, type(module).__name__)


@lru_cache(_REMEMBERED)
def _says_cross(path: str, kind: str) -> bool:
    inside = re.split(r"\.\d+\.", f".{path}")[-1]
    return bool(_CROSS_CLASS.search(kind) or _CROSS.search(inside.lower()))


def is_called_attention(module: Any) -> bool:
    """Whether the name of its class says that a module attends."""
    return "attention" in type(module).__name__.lower()


def is_own(module: Any) -> bool:
    """Whether a module says that it attends from a sequence to itself."""
    return bool(_SELF_CLASS.search(type(module).__name__))


@dataclass(frozen=True)
class Paths:
    """A PyTorch module's own: its path in the model.

    Where there is cross attention (`two`), the second input is the decoder's.
    """

    two: bool = False

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Paths:
        """Read the modules in a module, by their paths."""
        return cls(any(is_cross(path, part) for path, part in parts.items()))

    def place(self, path: str, module: Any, before: int) -> Place:
        """The path, and the half of a model that says it has an encoder and decoder."""
        name = path or ROOT
        if is_cross(path, module):
            return Place(name, cross=True, asking=1)
        if "decoder" not in path.split("."):
            return Place(name, own=is_own(module))
        own = int(self.two)
        return Place(name, side="decoder", asking=own, asked=own)


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
    def of(cls, config: Any, parts: Mapping[str, Any]) -> Family:
        """Read the modules in a model, by their paths, and its configuration."""
        sides = bool(getattr(config, "is_encoder_decoder", False))
        stacks: dict[str, None] = {}
        crossing = set()
        for path, module in parts.items():
            if not is_called_attention(module):
                continue
            stack, number, _ = _split(path)
            if number is not None:
                stacks[stack] = None
                if is_cross(path, module):
                    crossing.add(stack)
        prefixes = _sides(stacks) if sides else _prefixes(list(stacks))
        running = getattr(config, "model_type", "") == "albert"
        return cls(prefixes, sides, running, frozenset(crossing))

    def place(self, path: str, module: Any, before: int) -> Place:
        """A layer of one of the stacks; elsewhere the path."""
        stack, number, _ = _split(path)
        cross = is_cross(path, module)
        prefix = self.stacks.get(stack)
        if prefix is None or number is None:
            name = path or ROOT
        else:
            name = f"{prefix}layer_{before if self.running else number}"
            if stack in self.several:
                name += ".cross_attention" if cross else ".self_attention"
        if self.sides:
            own = SIDES.index(_side(path))
            side, of = SIDES[own], 0 if cross else own
            return Place(name, cross, side, asking=own, asked=of)
        hides = not cross and bool(getattr(module, "is_causal", False))
        is_text = len(self.stacks) < 2 or bool(_TEXT.search(stack))
        text = 0 if is_text else None
        side = SIDES[1] if hides else ""
        asked = None if cross else text
        own_number = number if prefix == "" and not self.running else None
        return Place(name, cross, side, is_own(module), text, asked, own_number)


def _side(path: str) -> Side:
    """The half of an encoder–decoder: `decoder.bert.encoder` is of the decoder."""
    first = next((word for word in path.split(".") if word in SIDES), SIDES[0])
    return SIDES[1] if first == SIDES[1] else SIDES[0]


def _sides(stacks: Iterable[str]) -> dict[str, str]:
    return {stack: f"{_side(stack)}_" for stack in stacks}


@lru_cache(_REMEMBERED)
def _split(path: str) -> tuple[str, int | None, str]:
    """What stands before, is and stands after the first number in a path."""
    found = _NUMBER.search(path)
    if found is None:
        return path, None, ""
    return path[: found.start()], int(found[1]), path[found.end() :]


def _prefixes(stacks: list[str]) -> dict[str, str]:
    """For each of several stacks, the first word of its path that tells it apart."""
    if len(stacks) < 2:
        return dict.fromkeys(stacks, "")
    paths = {stack: stack.split(".") for stack in stacks}
    found = {}
    for stack, words in paths.items():
        others = [set(paths[other]) for other in stacks if other != stack]
        own = [word for word in words if all(word not in other for other in others)]
        found[stack] = f"{own[0] if own else stack}_"
    return found
