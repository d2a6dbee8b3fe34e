"""The intermediate representation: names resolved, arguments matched, chains wired.

A network is a block like any other: layers with names, and a forward that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from neural_attn.catalogue.base import Kind, NativeLayer
from neural_attn.diagnostics.errors import Span
from neural_attn.grammar import tree

# in the arguments of a repeated layer: the number of the copy, from 0
INDEX = "index"
SHARED = "shared"  # an argument of any repeated layer


@dataclass(eq=False)
class LayerUse:
    """One named layer of a block.

    `arguments` holds what the author gave, by parameter name, in terms of the
    parameters of the enclosing block. With `repeat`, the name stands for that many
    layers in a row, each with weights of its own; `label` and `index` name them one
    by one (`transformer_encoder_3`). `is_counted` says that arguments name the number
    of the copy, so that the copies may differ; `is_shared` that one layer is called
    again and again in their stead.
    """

    name: str
    target: NativeLayer | Block
    arguments: dict[str, tree.Expr]
    span: Span
    repeat: tree.Expr | None = None
    label: str = ""
    index: int | None = None
    trivia: tree.Trivia = field(default_factory=tree.Trivia)
    is_counted: bool = False
    is_shared: bool = False

    @property
    def has_copies(self) -> bool:
        """Whether the name stands for several layers, each with weights of its own."""
        return self.repeat is not None and not self.is_shared

    def part_name(self, i: int) -> str:
        """What the i-th of the repeated layers is called in reports."""
        if self.index is not None:
            return f"{self.label}_{self.index + i}"
        return self.name if self.repeat is None else f"{self.name}_{i}"


@dataclass(eq=False)
class LayerChoice:
    """Layers that exist only where a static condition holds."""

    condition: tree.Expr
    then: tuple[LayerUse | LayerChoice, ...]
    otherwise: tuple[LayerUse | LayerChoice, ...]
    trivia: tree.Trivia = field(default_factory=tree.Trivia)


@dataclass(eq=False)
class Block:
    """A `define` of the author's or the prelude's, or a network.

    `observes` says that its map is what it observes, not what it attends by.
    `loses_padding` names a layer in it after which padding is no longer known, one
    that asks for it, and what would help.
    """

    name: str
    parameters: tuple[tree.Parameter, ...]
    doc: str
    layers: tuple[LayerUse | LayerChoice, ...]
    forward: tree.Forward
    span: Span
    is_attention: bool = False
    observes: bool = False
    loses_padding: tuple[str, str, str] | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)
    trivia: tree.Trivia = field(default_factory=tree.Trivia)

    def parameter(self, name: str) -> tree.Parameter | None:
        """The parameter of this name."""
        return next((p for p in self.parameters if p.name == name), None)

    def uses(self) -> Iterator[LayerUse]:
        """Every layer that may exist, whatever the conditions."""
        yield from _uses(self.layers)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the forward's arguments."""
        return tuple(p.name for p in self.forward.parameters)


def _uses(layers: tuple[LayerUse | LayerChoice, ...]) -> Iterator[LayerUse]:
    for layer in layers:
        if isinstance(layer, LayerUse):
            yield layer
        else:
            yield from _uses(layer.then)
            yield from _uses(layer.otherwise)


def call_parameters(use: LayerUse) -> tuple[str, ...]:
    """The names of what a layer takes when it is called."""
    if isinstance(use.target, Block):
        return use.target.inputs
    return tuple(name.rstrip("?") for name in use.target.inputs)


SCAN = "scan"
UNUSED = "_"  # stands before `=` for a value that is not needed


SEEN = "mask"  # what scan takes by name: which steps of x are not padding


def step_call(call: tree.Call) -> tree.Call | None:
    """`step(x, …)` in `scan(step, x, …)`; None where no layer's name comes first."""
    if not call.arguments or call.arguments[0].name is not None:
        return None
    layer = call.arguments[0].value
    if not isinstance(layer, tree.Name):
        return None
    own = _scan_mask(call)
    given = tuple(a for a in call.arguments[1:] if a is not own)
    return tree.Call(call.span, layer, given)


def scan_mask(call: tree.Call) -> tree.Expr | None:
    """The mask in `scan(step, x, …, mask=mask)`; None where there is none."""
    own = _scan_mask(call)
    return None if own is None else own.value


def _scan_mask(call: tree.Call) -> tree.Argument | None:
    return next((a for a in call.arguments if a.name == SEEN), None)


def width_of(parameter: tree.Parameter) -> str:
    """The forward input whose width the parameter is (`d_model = width(x)`), or ""."""
    default = parameter.default
    if isinstance(default, tree.Call) and default.function.text == "width":
        if len(default.arguments) == 1:
            value = default.arguments[0].value
            if isinstance(value, tree.Name):
                return value.text
    return ""


def is_learned(use: LayerUse | None) -> bool:
    """Whether a layer is an array of weights, which its bare name stands for."""
    target = use.target if use is not None else None
    return isinstance(target, NativeLayer) and target.is_array


MASK = "attention_mask"


def is_mask(name: str) -> bool:
    """Whether an input of this name says which positions are real, not padding."""
    return name == MASK or name.endswith("_mask")


@dataclass(frozen=True)
class Input:
    """An input of the network: sizes without the batch, None where any length fits.

    `dtype` is "int" for token ids, segment ids and masks, else "float".
    `described_width` is the D of `(T, D)` in front of an Embedding, which only
    describes the ids' vectors.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    span: Span
    described_width: int | None = None


@dataclass(frozen=True)
class Named:
    """A setting that names something, with arguments: `Adam(learning_rate=1e-4)`.

    `arguments` is complete: what the author left out has its default. A learning rate
    is a number, or a schedule, which is a Named too.
    """

    name: str
    arguments: dict[str, object]
    span: Span


@dataclass(frozen=True)
class Training:
    """The `train { … }` settings, complete.

    `gradient_clip` is the largest norm of all gradients together;
    `early_stopping_patience` the number of epochs without a better loss.
    """

    span: Span
    epochs: int
    batch_size: int
    validation_split: float
    shuffle: bool
    gradient_clip: float | None
    early_stopping_patience: int | None


# --- values to try ---------------------------------------------------------------

# what an author writes in `HPO(…)`, and the kind of space it is
SEARCHES = {
    "choice": "choice",
    "categorical": "choice",
    "range": "range",
    "int_range": "range",
    "log_range": "log_range",
}


@dataclass(frozen=True)
class SearchSpace:
    """The values that an author wants tried somewhere.

    `kind` is choice (any of the values), range (low, high, perhaps a step) or
    log_range (low, high); `taken` is the value compiled with. `places` are those of
    the values.
    """

    kind: str
    values: tuple[object, ...]
    taken: object
    span: Span
    places: tuple[Span, ...] = ()


class Spaces(list[SearchSpace]):
    """The search spaces of a file, and the places where one was meant."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[Span] = []

    def values(self, expr: tree.Literal) -> Iterator[tuple[object, Span]]:
        """Every value that may be tried where a literal stands, with its place."""
        for space in self:
            if space.span == expr.span:
                ends = 2 if space.kind != "choice" else None
                yield from zip(space.values[:ends], space.places[:ends], strict=True)
                return
        yield expr.value, expr.span


@dataclass(eq=False)
class Network:
    """A network, ready for shape inference and the backends."""

    name: str
    source: str
    inputs: tuple[Input, ...]
    block: Block
    loss: Named | None = None
    optimizer: Named | None = None
    metrics: tuple[Named, ...] = ()
    train: Training | None = None
    search_space: tuple[SearchSpace, ...] = ()
    pads_with: str = ""  # the input that says which positions are real, if any

    @property
    def takes_embedded(self) -> bool:
        """Whether numbers [batch, time, width] may come instead of ids.

        That is where the author wrote the width into the only input: `(time, width)`.
        """
        alone = len(self.inputs) == 1 and not self.pads_with
        return alone and self.inputs[0].described_width is not None
