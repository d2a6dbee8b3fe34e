"""What a backend says of itself: tables, and the few ways it deviates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from neural_attn.diagnostics.errors import fail

if TYPE_CHECKING:
    from neural_attn.grammar import tree
    from numpy.typing import NDArray

    from neural_attn.diagnostics.errors import Diagnostic
    from neural_attn.ir import Input, LayerUse
    from neural_attn.shapes.instance import Checked


@dataclass(frozen=True)
class Row:
    """How a backend writes one native layer.

    `make` is the constructor call, or "" where the layer needs no object; `call` is
    the call, with `{layer}`, `{x}` and the other inputs of the catalogue. Both may
    name parameters of the layer and sizes of its input; the call of a merge may name
    all its `{operands}`, their `{total}` and `{count}`. With `activates`, the
    function of the `activation` parameter is applied to what `call` gives.
    `unmasked` is the call where no padding mask is given, and with `takes_none`, `call`
    takes a mask that may be None; texts in `omit` say what the framework does anyway.
    `matrix` is the layer's matrix, laid out as PyTorch has it. `stateful` is the call
    of a layer that starts from states or gives them.
    """

    make: str
    call: str = "{layer}({x})"
    activates: bool = False
    unmasked: str = ""
    omit: tuple[str, ...] = ()
    takes_none: bool = False
    matrix: str = "{layer}.weight"
    stateful: str = ""


VARIES = object()  # an argument that is not the same in the whole network
# chooses a row by the arguments of the layer: their values, or VARIES
RowRule = Callable[[Mapping[str, object]], Row]


def starting(rows: Mapping[str, Row], number: Row) -> RowRule:
    """The row of an array that is learned, by the word or number it starts from.

    That of a number may name `{number}`: its value where that is known.
    """

    def choose(known: Mapping[str, object]) -> Row:
        start = known["start"]
        if isinstance(start, str):
            return rows[start]
        value = (
            str(float(start)) if isinstance(start, int | float) else "float({start})"
        )
        return replace(number, make=number.make.replace("{number}", value))

    return choose


def sloped(plain: Row, **rows: Row) -> RowRule:
    """The row of an activation: one of `rows`, by its function, for an alpha."""

    def choose(known: Mapping[str, object]) -> Row:
        function = known["function"]
        if known["alpha"] is None:
            return plain
        if function is VARIES:
            hint = "write the name of the function, not a parameter"
            fail("E0217.alpha", hint=hint)
        return rows.get(str(function), plain)

    return choose


class Learner(Protocol):
    """A network in training: what a backend that trains gives the loop.

    Batches are arrays [batch, …] by input name, and targets: class ids int64, -100
    where a step does not count, or numbers float32.
    """

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""

    def step(self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]) -> Any:
        """Learn from a batch; the loss before, which `float` reads."""

    def measure(
        self, inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]
    ) -> dict[str, float]:
        """The loss and the metrics of a batch, each the mean of what counts."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on: weights, optimizer, schedule, chance."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to what `state` gave."""


@dataclass(frozen=True)
class Backend:
    """A target language: everything in which its code differs from the others'."""

    name: str
    requires: tuple[str, ...]
    install: str
    aliases: tuple[str, ...]
    rank: int  # among those that `auto` chooses from, the lowest first; 0: never
    runtime: str  # the package whose files are copied from; see `runtime_source`
    layer_base: str
    forward: str
    list_of_layers: str
    layers: Mapping[str, Row | RowRule]
    functions: Mapping[str, str]
    activation: Callable[[str], str]
    create: Callable[[Checked], list[str]]
    applied: Mapping[str, str] = field(default_factory=dict)  # calls of activations
    # operators between ids, whose types the framework's own do not bring together
    of_ids: Mapping[str, str] = field(default_factory=dict)
    passes_training: bool = False
    # the loss is of what comes before a last softmax: the network has `forward_logits`
    trains_on_logits: bool = False
    decorator: str = ""  # of the network's class, whose `{name}` it may use
    # what a constructor hands on to the framework, and to its layers, which may be None
    options: str = ""
    shared: str = ""
    start: Callable[[], None] = lambda: None  # import the framework
    # a model of the generated module, with any weights: they are replaced
    make: Callable[[ModuleType, str], Any] = lambda module, dtype: module.create_model(
        dtype=dtype
    )
    # how the framework runs: arrays in, a context without gradients, arrays out
    tensor: Callable[[NDArray[Any]], Any] = lambda array: array
    array: Callable[[Any], NDArray[Any]] = lambda tensor: tensor
    inference: Callable[[], AbstractContextManager[Any]] = nullcontext
    # draws from a seed, where `generate` does not take one; what follows is as before
    seeded: Callable[[int], AbstractContextManager[Any]] = nullcontext
    # training settings as code, and those of the runtime's `train` by the names of its
    # constants (none: it is not copied); and warnings for what the backend leaves out
    training: Callable[[Checked], tuple[list[str], Mapping[str, str]]] | None = None
    cannot: Callable[[Checked], list[Diagnostic]] = lambda checked: []
    # a network in training: of its generated module and model, a seed and a device
    learner: Callable[[Checked, ModuleType, Any, int, str], Learner] | None = None


@dataclass(frozen=True)
class Generation:
    """How a network goes on: the input that it adds to, and what is read once.

    `statements` are those of the forward that need only `source`, and the rest; what
    the rest takes from the first is `handed`. `keeps_steps` says whether each step
    needs only the one before it, what came before being kept; `pads` whether id 0 of
    the target is padding. `within` is the layer whose forward it is, where it is not
    that of the network, `mask` the input that says which ids are padding.
    """

    target: Input
    source: Input | None
    statements: tuple[tuple[tree.Statement, ...], tuple[tree.Statement, ...]]
    handed: tuple[str, ...]
    keeps_steps: bool
    gives_probabilities: bool
    pads: bool
    within: LayerUse | None = None
    mask: Input | None = None
