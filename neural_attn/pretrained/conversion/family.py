"""What a family of pretrained models states about itself; the rest is shared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from neural_attn.pretrained.conversion.config import Config
from neural_attn.resolve.names import snake_case

Array = NDArray[np.float32]


def unchanged(values: Array) -> Array:
    """The tensor as it is."""
    return values


@dataclass(frozen=True)
class Rule:
    r"""Which of our weights a tensor of the source fills.

    `pattern` must match the whole name of the source tensor; `target` is our name,
    with `\1` for its groups (see `Plan.weight_name`). `convert` turns the values into
    our layout (Dense: [outputs, inputs]). Several rules may match one tensor, each
    taking a part of it; and several tensors may fill one weight, whose part along the
    first axis stands behind its name: `feed_forward.gate[3]`.
    """

    pattern: str
    target: str
    convert: Callable[[Array], Array] = unchanged

    def target_of(self, name: str) -> str | None:
        """Our name for this tensor, or None where the rule is not about it."""
        match = re.fullmatch(self.pattern, name)
        return match.expand(self.target) if match else None

    def sources_of(self, target: str) -> list[str]:
        """The names of tensors that would fill this weight of ours, if they are known.

        They are where the pattern is a plain name but for its groups, of which one may
        be optional.
        """
        ours = re.sub(r"\\\\(\d)", r"(?P<group\1>.*)", re.escape(self.target))
        match = re.fullmatch(ours, target)
        if not match:
            return []
        filled = match.groupdict()
        with_it = re.sub(r"\(\?:([^()]*)\)\?", r"\1", self.pattern)
        without = re.sub(r"\(\?:([^()]*)\)\?", "", self.pattern)
        names = [_plain(pattern, filled) for pattern in (with_it, without)]
        return [name for name in names if self.target_of(name) == target]


def _plain(pattern: str, filled: Mapping[str, str]) -> str:
    """A pattern with its groups filled."""
    numbers = count(1)
    name = re.sub(
        r"\([^()]*\)", lambda _: filled.get(f"group{next(numbers)}", ""), pattern
    )
    return re.sub(r"\\(.)", r"\1", name)


def rules(
    names: Mapping[str, str | Sequence[str]],
    theirs: str = "",
    ours: str = "",
    convert: Callable[[Array], Array] = unchanged,
) -> list[Rule]:
    """Rules for names as they are: `{"h.#.mlp.c_fc": "layer.#.feed_forward.expand"}`.

    `#` is the number of a layer. What is said of a module is said of its weight and its
    bias. Of several names of ours each takes an equal part of the rows of a tensor, as
    queries, keys and values do of one that holds all three. `theirs` and `ours` stand
    in front of all names.
    """
    found = []
    for their, our in names.items():
        pattern = re.escape(theirs + their).replace(r"\#", r"(\d+)")
        parts = [our] if isinstance(our, str) else list(our)
        for place, part in enumerate(parts):
            target = (ours + part).replace("#", r"\1")
            suffix = rf"\{pattern.count('(') + 1}"
            change = convert if len(parts) == 1 else _part(place, len(parts), convert)
            found.append(Rule(rf"{pattern}(\.weight|\.bias|)", target + suffix, change))
    return found


def _part(
    place: int, count: int, convert: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    def part(values: Array) -> Array:
        values = convert(values)
        size = len(values) // count
        return values[place * size : (place + 1) * size]

    return part


def transposed(values: Array) -> Array:
    """[inputs, outputs], as GPT-2 and some others keep it, as [outputs, inputs]."""
    return np.transpose(values)


@dataclass(frozen=True)
class Extra:
    """Tensors that the network has no use for, and what they are, for people.

    Those that repeat a weight of ours name it: they must be equal. `computed` makes of
    the shape of a table the values that the network works out itself, which these must
    be too, but for the rounding of half precision.
    """

    pattern: str
    meaning: str
    copy_of: str = ""
    computed: Callable[[tuple[int, ...]], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Code:
    """An argument that is an expression of the language, such as `index % 2 == 0`."""

    text: str


Argument = int | float | str | bool | Code | None | tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One line of the network: a block, its arguments, how often it is repeated.

    `name` is what the file calls it; without one, it is called by its type.
    """

    block: str
    arguments: Mapping[str, Argument]
    repeat: int = 1
    name: str = ""

    @property
    def attribute(self) -> str:
        """What its weights are called in front of their own names."""
        plain = snake_case(self.block)
        return self.name or (f"{plain}_layers" if self.repeat > 1 else f"{plain}_0")


def unless(
    defaults: Mapping[str, Argument], **arguments: Argument
) -> dict[str, Argument]:
    """The arguments that are not a block's defaults, which nobody writes down."""
    return {
        key: value
        for key, value in arguments.items()
        if key not in defaults or defaults[key] != value
    }


@dataclass(frozen=True)
class Block:
    """The layers of a model in a `define`, with equations and parameters of its own."""

    name: str
    equations: Sequence[str]
    arguments: Mapping[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One model of a family: the network to write, and where its weights are.

    `summary` describes it in a few words. The layers are a chain, or those of `block`,
    which takes the inputs of the network. `defines` are more blocks, as text. Tensors
    whose name begins with one of `body` are part of the computation: one that no rule
    and no extra knows stops the import, as the picture would be false without it.
    Weights of ours that match one of `zeros` or `ones`, biases and scales that the
    model does without, are 0 or 1 where no tensor fills them. `notes` are for people.
    """

    summary: str
    inputs: Sequence[tuple[str, str]]
    layers: Sequence[Layer]
    rules: Sequence[Rule]
    extras: Sequence[Extra] = ()
    body: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    block: Block | None = None
    defines: Sequence[str] = ()
    zeros: Sequence[str] = ()
    ones: Sequence[str] = ()

    def takes(self, name: str) -> bool:
        """Whether there is an input of this name."""
        return any(name == given for given, _ in self.inputs)

    def has(self, target: str) -> bool:
        """Whether there is a layer of the name that a rule begins with.

        Rules may be about a head that this model does not have.
        """
        first = target.partition(".")[0]
        return any(
            first in (layer.attribute, layer.name or snake_case(layer.block))
            for layer in self.layers
        )

    def weight_name(self, target: str) -> str:
        """The name that a weight has in our file, from that in a rule.

        A rule calls a layer by its name or its type in small letters and a repeated one
        also by its number, whether or not it is alone: `transformer_encoder.0.norm`.
        """
        for layer in self.layers:
            name = layer.name or snake_case(layer.block)
            rest = target.removeprefix(f"{name}.")
            if rest != target:
                alone = rest.removeprefix("0.") if layer.repeat == 1 else rest
                target = f"{layer.attribute}.{alone}"
                break
        return f"model.{target}" if self.block else target

    def rule_names(self, weight: str) -> list[str]:
        """The targets of rules that may have become this name (see `weight_name`)."""
        plain = weight.removeprefix("model.") if self.block else weight
        for layer in self.layers:
            rest = plain.removeprefix(f"{layer.attribute}.")
            if rest != plain:
                name = layer.name or snake_case(layer.block)
                return [f"{name}.{rest}", f"{name}.0.{rest}"]
        return [plain]


@dataclass(frozen=True)
class Family:
    """A kind of model: how config.json becomes a plan.

    `model_types` are its names in config.json. `prefixes` are put before all names by
    models that hold this one inside, with a task's head on top (`bert.encoder…`).
    `heads` are the heads that can come along, each with a pattern of the tensors that
    only a model with this head has, or "" (see `heads.py`).
    """

    model_types: Sequence[str]
    plan: Callable[[Config], Plan]
    prefixes: Sequence[str] = ()
    heads: Mapping[str, str] = field(default_factory=dict)

    def plain_name(self, name: str) -> str:
        """The name of a tensor without the prefix of the model around."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name
