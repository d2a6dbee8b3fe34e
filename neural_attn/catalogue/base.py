"""What a native layer says of itself: parameters with their range, shapes, weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neural_attn.catalogue.types import Dim, ShapeError, Tensor

ACTIVATIONS = (
    "relu", "gelu", "gelu_tanh", "gelu_sigmoid", "sigmoid", "tanh", "softmax",
    "linear", "elu", "selu", "softplus", "softsign", "exponential", "swish", "silu",
    "leaky_relu", "mish",
)  # fmt: skip

INITIALIZERS = (
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform",
    "lecun_normal", "random_uniform", "random_normal", "truncated_normal", "uniform",
    "normal", "orthogonal", "identity", "zeros", "ones",
)  # fmt: skip

REQUIRED = object()
INITIAL_STATE = "initial_state"  # an input of layers that have states


@dataclass(frozen=True)
class Kind:
    """The type of a parameter, with its range.

    `name` is int, float, bool, str, activation, shape, dims, sizes or any; "sizes" is
    one number for each of `axes` axes, or one for all, and "dims" a shape that is made
    of sizes. A number is at least `minimum`, and greater than `above`. `optional`
    allows none.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    axes: int = 1
    optional: bool = False
    above: float | None = None

    def complaint(self, value: object) -> str:
        """Why `value` is none of this kind, or ""."""
        if value is None and self.optional:
            return ""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.name == "sizes":
            return self._complaint_on_sizes(value)
        if self.name == "int" and not (number and isinstance(value, int)):
            return "must be a whole number"
        if self.name == "float" and not number:
            return "must be a number"
        if self.name == "bool" and not isinstance(value, bool):
            return "must be true or false"
        if self.name in ("str", "activation") and not isinstance(value, str):
            return "must be a name in quotes"
        if self.name in ("shape", "dims"):
            sizes = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(s, int) and (s == -1 or s > 0) for s in sizes):
                return "must be whole numbers in parentheses, one of them perhaps -1"
        if number and (said := self._complaint_on_range(value)):  # type: ignore[arg-type]
            return said
        allowed = ACTIVATIONS if self.name == "activation" else self.choices
        if allowed and value not in allowed:
            return "must be one of " + ", ".join(allowed)
        return ""

    def _complaint_on_range(self, value: float) -> str:
        if self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum:g}"
        if self.above is not None and value <= self.above:
            return f"must be above {self.above:g}"
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum:g}"
        return ""

    def _complaint_on_sizes(self, value: object) -> str:
        sizes = value if isinstance(value, tuple) else (value,)
        whole = all(type(size) is int and 1 <= size <= 2**20 for size in sizes)
        if whole and len(sizes) in (1, self.axes):
            return ""
        several = f", or {self.axes} of them in parentheses" if self.axes > 1 else ""
        return f"must be a whole number from 1{several}"


SIZE = Kind("int", minimum=1, maximum=2**40)
RATE = Kind("float", minimum=0, maximum=1)
FLAG = Kind("bool")
ACTIVATION = Kind("activation")
EPSILON = Kind("float", minimum=0, maximum=1)
POSITIVE = Kind("float", above=0)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a native layer.

    `needless` says of one that is accepted for other tools' sake why it changes
    nothing; who sets it is warned.
    """

    name: str
    kind: Kind
    doc: str
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()
    needless: str = ""

    @property
    def required(self) -> bool:
        """Whether the author must give it."""
        return self.default is REQUIRED


@dataclass(frozen=True)
class Weight:
    """An array of a layer: its name in weight files, its shape, how it starts.

    Running statistics are kept in weight files, and are not `trainable`.
    """

    name: str
    shape: tuple[int, ...]
    # a number, "glorot", "zeros", "ones", or normal with deviation 1 or ("small") 0.02
    start: str | float = "glorot"
    trainable: bool = True


def initializer(name: str, default: str) -> Parameter:
    """A parameter that names how weights start: accepted, with a warning."""
    return Parameter(
        name,
        Kind("str", choices=INITIALIZERS),
        "how the weights start",
        default,
        needless="weights start as each framework starts them",
    )


Arguments = Mapping[str, Any]
ShapeRule = Callable[[Arguments, list[Tensor]], Tensor]
KeepRule = Callable[[Arguments], bool]
WeightRule = Callable[[Arguments, list[Tensor]], tuple[Weight, ...]]


def _no_weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    return ()


def _no_features(inputs: list[Tensor]) -> dict[str, Dim]:
    return {}


@dataclass(frozen=True, eq=False)
class NativeLayer:
    """A layer that every framework knows.

    `inputs` are the arguments of its forward; a trailing "?" marks one that the
    chain fills by name where it can. `features` are sizes of its input that
    frameworks without lazy building must be told. `keeps_time` says whether a padding
    mask still fits the output: always, where a parameter of this name is on, or by a
    rule, to which a value that is not known yet is `...`. In equations, the bare name
    of one that `is_array` stands for it. One that `merges` takes two or more tensors,
    and its shape rule sees them all. `states` names what is handed from step to step,
    each [batch, 1, units]: the input `initial_state` takes them, and with the parameter
    `return_state` they follow the output. A layer of another package brings `rows`, how
    each backend writes it, and its `example`: the input and the layers.
    """

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    shape: ShapeRule
    weights: WeightRule = _no_weights
    features: Callable[[list[Tensor]], dict[str, Dim]] = _no_features
    inputs: tuple[str, ...] = ("x",)
    keeps_time: bool | str | KeepRule = False
    merges: bool = False
    is_array: bool = False
    states: tuple[str, ...] = ()
    aliases: tuple[str, ...] = field(default=())
    rows: Mapping[str, Any] = field(default_factory=dict)
    example: tuple[str, str] | None = None

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of this name or alias."""
        for parameter in self.parameters:
            if name == parameter.name or name in parameter.aliases:
                return parameter
        return None


def keeps_steps(arguments: Arguments) -> bool:
    """Whether a window that slides along time leaves each step where it stands."""
    strides = arguments["strides"]
    if strides is None:  # of pooling: as long as the window
        strides = arguments["pool_size"]
    stays = arguments["padding"] in ("same", "causal")
    is_one_step = arguments.get("kernel_size") in (1, (1,))
    return (stays or is_one_step) and strides in (1, (1,))


def operands(*names: str) -> tuple[str, ...]:
    """The inputs of a layer that merges: two with a name, and up to 14 more."""
    return (*names, *(f"operand_{i}?" for i in range(3, 17)))


# --- what many shape rules need --------------------------------------------------


def keep_shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    """The shape rule of layers that change no shape."""
    return inputs[0].like(*inputs[0].dims)


def need_numbers(layer: str, x: Tensor) -> None:
    """Refuse token ids. Raises ShapeError."""
    if x.dtype != "float":
        raise ShapeError(
            f"{layer} needs numbers, but {x} holds token ids",
            "put an Embedding before it",
        )


def need_width(layer: str, x: Tensor) -> None:
    """Refuse tensors without a last axis of known size. Raises ShapeError."""
    need_numbers(layer, x)
    if x.rank < 2:
        raise ShapeError(f"{layer} needs an axis besides the batch, but gets {x}")
    if x.width.value is None:
        raise ShapeError(f"{layer} needs a known last axis, but gets {x}")


def width_features(inputs: list[Tensor]) -> dict[str, Dim]:
    """What a layer must be told that works along the last axis."""
    return {"in_features": inputs[0].width}
