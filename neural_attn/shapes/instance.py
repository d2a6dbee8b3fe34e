"""What shape inference finds out: layers with concrete sizes, and facts of blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from neural_attn.catalogue.base import NativeLayer, Weight
from neural_attn.catalogue.types import Tensor, spelled
from neural_attn.grammar import tree
from neural_attn.ir import Block, LayerUse, Network
from neural_attn.promises import SHARES, Rows

LONGEST = "max_len"  # the parameter of a block that bounds its first input's length


@dataclass(frozen=True)
class Attention:
    """One attention map that a network gives: its kind and its number of heads.

    `queries` and `keys` name the inputs whose steps they stand for, "" where that is
    not known: inputs of the layer at hand, and of the network in `Checked.attentions`.
    `rows` is what the rows promise.
    """

    kind: str  # encoder_self, decoder_self or cross
    heads: int | None
    causal: bool
    queries: str = ""
    keys: str = ""
    rows: Rows = SHARES


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that happened in a forward: what it took and what it gave.

    `kind` is input, layer, function or operator; `name` the input, layer, function
    or sign; `text` what the author wrote.
    """

    kind: str
    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    text: str = ""


@dataclass(eq=False)
class Instance:
    """One layer as it stands in the network, with concrete sizes.

    `along` names the input of a block whose steps those of its output stand for;
    `sources` says which inputs of the block around it its own come from.
    """

    name: str
    target: NativeLayer | Block
    values: dict[str, object]
    inputs: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None
    weights: tuple[Weight, ...] = ()
    children: dict[str, list[Instance]] = field(default_factory=dict)
    uses: dict[str, LayerUse] = field(default_factory=dict)
    attention: Attention | None = None
    steps: list[Step] = field(default_factory=list)
    layer_count: int = 1  # itself and all inside
    has_weights: bool = False  # itself or any inside
    along: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers in it."""
        own = sum(math.prod(w.shape) for w in self.weights if w.trainable)
        return own + sum(
            part.parameter_count for parts in self.children.values() for part in parts
        )

    def named_weights(self, prefix: str = "") -> Iterator[tuple[str, Weight]]:
        """Every weight under the name it has in weight files."""
        for weight in self.weights:
            yield prefix + weight.name, weight
        for name, parts in self.children.items():
            repeated = self.uses[name].repeat is not None
            for i, part in enumerate(parts):
                inner = f"{prefix}{name}.{i}." if repeated else f"{prefix}{name}."
                yield from part.named_weights(inner)

    def attentions(self) -> list[tuple[tuple[str, ...], Attention]]:
        """The attention maps inside, each with the path of part names to it."""
        paths: list[tuple[tuple[str, ...], Attention]] = []
        if self.attention:
            paths.append(((), self.attention))
        for name, parts in self.children.items():
            for i, part in enumerate(parts):
                step = self.uses[name].part_name(i)
                paths += [
                    ((step, *path), part.seen_around(found))
                    for path, found in part.attentions()
                ]
        return paths

    def seen_around(self, attention: Attention) -> Attention:
        """An attention inside, its inputs those of the block around this layer."""
        queries = self.sources.get(attention.queries, "")
        return replace(
            attention, queries=queries, keys=self.sources.get(attention.keys, "")
        )


@dataclass(eq=False)
class Checked:
    """A network whose shapes fit, and what the emitters must know of its blocks."""

    network: Network
    root: Instance
    facts: dict[Block, Facts]

    @property
    def attentions(self) -> dict[str, Attention]:
        """The attention maps by name, in order: the contract of design section 4.

        A layer with one attention inside gives a map under its own name; one with
        several adds the names on the way.
        """
        by_layer: dict[str, list[tuple[tuple[str, ...], Attention]]] = {}
        for path, attention in self.root.attentions():
            by_layer.setdefault(path[0], []).append((path[1:], attention))
        named: dict[str, Attention] = {}
        for layer, found in by_layer.items():
            steps = _shortest([path for path, _ in found])
            for step, (_, attention) in zip(steps, found, strict=True):
                named[".".join((layer, *step))] = attention
        return named


def _shortest(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The paths without the trailing steps that tell nothing apart."""
    if len(paths) == 1:
        return [()]
    for length in range(1, max(map(len, paths)) + 1):
        short = [path[:length] for path in paths]
        if len(set(short)) == len(short):
            return short
    return paths


@dataclass(eq=False)
class Facts:
    """What all instances of a block have in common, for the code of its class.

    `features` holds, per layer, sizes of its input as expressions in the block's
    parameters, those of its repeats under names such as `in_features@1`;
    `hidden` names sizes that the class must be told;
    `decisions` holds the outcomes of each condition; `tensors` the calls and names
    that stand for tensors rather than constants, by node identity; `live` the layers
    that exist; `values` what each parameter is, over all instances; `passed` the
    optional inputs that some call gives; `is_bounded` whether `max_len` bounds the
    length of its first input; `weighted` the layers with weights that some
    instance calls, `uncalled` those that some does not call;
    `shared` the calls of attend whose keys have fewer heads than their queries;
    `absent` the masks that are combined and not given, by node identity.
    """

    features: dict[str, dict[str, tree.Expr]] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    decisions: dict[int, set[bool]] = field(default_factory=dict)
    tensors: set[int] = field(default_factory=set)
    hidden_values: dict[str, dict[str, tree.Expr]] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    values: dict[str, list[object]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    is_bounded: bool = False
    weighted: set[str] = field(default_factory=set)
    uncalled: set[str] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)


def of_part(name: str, part: int) -> str:
    """The name of a size of one of the repeats of a layer."""
    return f"{name}@{part}" if part else name


def of_repeats(sizes: Mapping[str, tree.Expr], name: str) -> list[tree.Expr]:
    """A size of each of the repeats of a layer; the last one is that of all others."""
    parts = itertools.takewhile(
        lambda part: part in sizes, (of_part(name, i) for i in itertools.count())
    )
    found = [sizes[part] for part in parts]
    while len(found) > 1 and spelled(found[-1]) == spelled(found[-2]):
        found.pop()
    return found
