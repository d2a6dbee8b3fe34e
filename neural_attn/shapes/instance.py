"""What shape inference finds out: layers with concrete sizes, and facts of blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from neural_attn.catalogue.base import NativeLayer, Weight
from neural_attn.catalogue.types import Tensor, Value, spelled
from neural_attn.grammar import tree
from neural_attn.ir import Block, Input, LayerUse, Network, is_mask
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


@dataclass(frozen=True)
class AttentionPlace:
    """Where one attention map comes from, seen from a layer around it.

    `steps` are the names on the way to it; `path` the attributes, as code spells them,
    that lead to the layer that computes it. A layer that is called several times gives
    a map each time: those have one path, in the order of the calls. `block` is the one
    that attends.
    """

    steps: tuple[str, ...]
    path: str
    attention: Attention
    block: Block


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

    `children` holds the parts of each layer inside: one, or its repeats in a row;
    `calls` the same of each call of a layer, the last of which is in `children`.
    `along` names the input of a block whose steps those of its output stand for;
    `sources` says which inputs of the block around it its own come from; `variables`
    holds what its forward has named.
    """

    name: str
    target: NativeLayer | Block
    values: dict[str, object]
    inputs: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None
    weights: tuple[Weight, ...] = ()
    children: dict[str, list[Instance]] = field(default_factory=dict)
    calls: dict[str, list[list[Instance]]] = field(default_factory=dict)
    uses: dict[str, LayerUse] = field(default_factory=dict)
    attention: Attention | None = None
    steps: list[Step] = field(default_factory=list)
    layer_count: int = 1  # itself and all inside
    has_weights: bool = False  # itself or any inside
    along: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    further_outputs: tuple[Tensor, ...] = ()
    input_names: dict[int | None, str] = field(default_factory=dict)  # by uid
    variables: dict[str, Value] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """All that it returns; `output` is the first."""
        assert self.output is not None
        return self.output, *self.further_outputs

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers in it."""
        own = sum(math.prod(w.shape) for w in self.weights if w.trainable)
        return own + sum(
            part.parameter_count for name in self.children for part in self.copies(name)
        )

    def copies(self, name: str) -> list[Instance]:
        """The parts of a layer that have weights of their own: one if it is shared."""
        parts = self.children[name]
        return parts[:1] if self.uses[name].is_shared else parts

    def named_weights(self, prefix: str = "") -> Iterator[tuple[str, Weight]]:
        """Every weight under the name it has in weight files."""
        for weight in self.weights:
            yield (prefix + weight.name).removesuffix("."), weight
        for name in self.children:
            several = self.uses[name].has_copies
            for i, part in enumerate(self.copies(name)):
                inner = f"{prefix}{name}.{i}." if several else f"{prefix}{name}."
                yield from part.named_weights(inner)

    def attentions(self) -> list[AttentionPlace]:
        """The attention maps inside, in the order of the calls of each layer."""
        places: list[AttentionPlace] = []
        if self.attention and isinstance(self.target, Block):
            places.append(AttentionPlace((), "", self.attention, self.target))
        for name, calls in self.calls.items():
            use = self.uses[name]
            for number, parts in enumerate(calls):
                call = f"_{number}" if len(calls) > 1 else ""
                for i, part in enumerate(parts):
                    step = use.part_name(i) + call
                    path = f".{name}[{i}]" if use.has_copies else f".{name}"
                    places += [
                        AttentionPlace(
                            (step, *inner.steps),
                            path + inner.path,
                            part.seen_around(inner.attention),
                            inner.block,
                        )
                        for inner in part.attentions()
                    ]
        return places

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

    def may_lack(self, given: Input) -> bool:
        """Whether an input may be left out: a mask that no equation looks into."""
        return is_mask(given.name) and not any(
            is_mask(name) for facts in self.facts.values() for name in facts.needed
        )

    @property
    def attentions(self) -> dict[str, Attention]:
        """The attention maps by name, in order: the contract of design section 4."""
        return {name: place.attention for name, place in self.places.items()}

    @property
    def places(self) -> dict[str, AttentionPlace]:
        """Where each attention map comes from, by the name of the map, in order.

        A layer with one attention inside gives a map under its own name; one with
        several adds the names on the way.
        """
        by_layer: dict[str, list[AttentionPlace]] = {}
        for place in self.root.attentions():
            by_layer.setdefault(place.steps[0], []).append(place)
        named: dict[str, AttentionPlace] = {}
        for layer, found in by_layer.items():
            steps = _shortest([place.steps[1:] for place in found])
            for step, place in zip(steps, found, strict=True):
                name = ".".join((layer, *step))
                while name in named:  # a layer may have the name of another's copy
                    name += "_"
                named[name] = place
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
    `decisions` holds the outcomes of each condition, and whether positions are counted
    by a mask; `tensors` the calls and names
    that stand for tensors rather than constants, by node identity; `live` the layers
    that exist; `values` what each parameter is, over all instances; `passed` the
    optional inputs that some call gives; `is_bounded` whether `max_len` bounds the
    length of its first input; `weighted` the layers with weights that some
    instance calls, `uncalled` those that some does not call;
    `shared` the calls of attend whose keys have fewer heads than their queries;
    `absent` the masks that are combined and not given, by node identity;
    `states` how many states each call of scan carries along, and whether it gives
    the last of them, likewise; `masked_scans` those that are given a mask;
    `mixes_steps` the inputs whose steps its equations join other than by attention
    ("" where that is not known), `weighs_steps` those that products of an attention
    join, `sums_steps` those summed up to each step, `counts_steps` whether they count
    steps;
    `floored` the calls of floor that divide lengths; `ends` those of slice that take
    the first or last step of an axis of any length; `ids` what holds ids;
    `masks` the inputs of which it asks which steps are padding, and the masks that
    it looks at itself, not only hands to an attention; `needed` the inputs that its
    equations cannot do without.
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
    states: dict[int, tuple[int, bool]] = field(default_factory=dict)
    masked_scans: set[int] = field(default_factory=set)
    mixes_steps: set[str] = field(default_factory=set)
    weighs_steps: set[str] = field(default_factory=set)
    sums_steps: set[str] = field(default_factory=set)
    counts_steps: bool = False
    floored: set[int] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)
    ids: set[int] = field(default_factory=set)
    masks: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)


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
