"""The catalogue of native layers: each is declared here, once.

Validation, help, shape inference, parameter counts and weight files all read it;
every backend adds one row of its own per layer (`backends/*.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neural_attn.types import Dim, Positions, ShapeError, Tensor, same, times

ACTIVATIONS = (
    "relu", "gelu", "gelu_tanh", "sigmoid", "tanh", "softmax", "linear", "elu",
    "selu", "softplus", "softsign", "exponential", "swish", "silu", "leaky_relu",
    "mish",
)  # fmt: skip

REQUIRED = object()


@dataclass(frozen=True)
class Kind:
    """The type of a parameter, with its range.

    `name` is int, float, bool, str, activation, shape or any.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def complaint(self, value: object) -> str:
        """Why `value` is none of this kind, or ""."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.name == "int" and not (number and value == value // 1):  # type: ignore[operator]
            return "must be a whole number"
        if self.name == "float" and not number:
            return "must be a number"
        if self.name == "bool" and not isinstance(value, bool):
            return "must be true or false"
        if self.name in ("str", "activation") and not isinstance(value, str):
            return "must be a name in quotes"
        if self.name == "shape":
            sizes = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(s, int) and (s == -1 or s > 0) for s in sizes):
                return "must be whole numbers in parentheses, one of them perhaps -1"
        if number and self.minimum is not None and value < self.minimum:  # type: ignore[operator]
            return f"must be at least {self.minimum:g}"
        if number and self.maximum is not None and value > self.maximum:  # type: ignore[operator]
            return f"must be at most {self.maximum:g}"
        allowed = ACTIVATIONS if self.name == "activation" else self.choices
        if allowed and value not in allowed:
            return "must be one of " + ", ".join(allowed)
        return ""


SIZE = Kind("int", minimum=1, maximum=2**40)
RATE = Kind("float", minimum=0, maximum=1)
FLAG = Kind("bool")
ACTIVATION = Kind("activation")
EPSILON = Kind("float", minimum=0, maximum=1)
ANY = Kind("any")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a native layer."""

    name: str
    kind: Kind
    doc: str
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether the author must give it."""
        return self.default is REQUIRED


@dataclass(frozen=True)
class Weight:
    """A trainable array: its name in weight files, its shape, how it starts."""

    name: str
    shape: tuple[int, ...]
    start: str = "glorot"  # or "zeros", "ones", "normal"


Arguments = Mapping[str, Any]
ShapeRule = Callable[[Arguments, list[Tensor]], Tensor]
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
    frameworks without lazy building must be told.
    """

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    shape: ShapeRule
    weights: WeightRule = _no_weights
    features: Callable[[list[Tensor]], dict[str, Dim]] = _no_features
    inputs: tuple[str, ...] = ("x",)
    keeps_time: bool = False
    aliases: tuple[str, ...] = field(default=())

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of this name or alias."""
        for parameter in self.parameters:
            if name == parameter.name or name in parameter.aliases:
                return parameter
        return None


# --- shape rules ---------------------------------------------------------------------


def _same(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    return inputs[0].like(*inputs[0].dims)


def _floats(layer: str, x: Tensor) -> None:
    if x.dtype != "float":
        raise ShapeError(
            f"{layer} needs numbers, and {x} holds token ids",
            "put an Embedding before it",
        )


def _known_width(layer: str, x: Tensor) -> None:
    _floats(layer, x)
    if x.rank < 2:
        raise ShapeError(f"{layer} needs an axis besides the batch, and gets {x}")
    if x.width.value is None:
        raise ShapeError(f"{layer} needs a known last axis, and gets {x}")


def _dense(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    _known_width("Dense", x)
    return x.like(*x.dims[:-1], Dim(arguments["units"]))


def _dense_weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    units, width = arguments["units"], inputs[0].width.value or 0
    kernel = Weight("weight", (units, width))
    if not arguments["use_bias"]:
        return (kernel,)
    return kernel, Weight("bias", (units,), "zeros")


def _width_features(inputs: list[Tensor]) -> dict[str, Dim]:
    return {"in_features": inputs[0].width}


def _embedding(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (ids,) = inputs
    if ids.dtype != "int":
        raise ShapeError(
            f"Embedding needs token ids, and gets numbers of shape {ids}",
            "it belongs directly behind the input",
        )
    rows, count = arguments["input_dim"], ids.dims[-1].value if ids.dims else None
    if isinstance(ids, Positions) and count is not None and count > rows:
        raise ShapeError(
            f"the table has {rows:,} positions, and the input is {count:,} long"
        )
    return ids.like(*ids.dims, Dim(arguments["output_dim"]), dtype="float")


def _embedding_weights(
    arguments: Arguments, inputs: list[Tensor]
) -> tuple[Weight, ...]:
    shape = (arguments["input_dim"], arguments["output_dim"])
    return (Weight("weight", shape, "normal"),)


def _normalization(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    _known_width("LayerNormalization", inputs[0])
    return _same(arguments, inputs)


def _normalization_weights(
    arguments: Arguments, inputs: list[Tensor]
) -> tuple[Weight, ...]:
    width = inputs[0].width.value or 0
    return Weight("weight", (width,), "ones"), Weight("bias", (width,), "zeros")


def _global_pooling(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    x = inputs[0]
    _floats("pooling over time", x)
    if x.rank != 3:
        raise ShapeError(f"pooling over time needs (batch, time, width), and gets {x}")
    return x.like(x.dims[0], x.dims[2])


def _flatten(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    if x.rank == 2:
        return x.like(*x.dims)
    value: int | None = 1
    expr = x.dims[1].expr
    for dim in x.dims[1:]:
        value = None if value is None or dim.value is None else value * dim.value
    for dim in x.dims[2:]:
        expr = times(expr, dim.expr)
    return x.like(x.dims[0], Dim(value, expr, "?"))


def _reshape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    target = arguments["target_shape"]
    sizes = list(target if isinstance(target, tuple) else (target,))
    have = [dim.value for dim in x.dims[1:]]
    total = None if None in have else math.prod(size for size in have if size)
    if sizes.count(-1) > 1:
        raise ShapeError("Reshape takes -1 for one axis only")
    known = math.prod(size for size in sizes if size != -1)
    fits = total is None or (total % known == 0 if -1 in sizes else total == known)
    if not fits:
        raise ShapeError(
            f"{x} cannot become (batch, {', '.join(map(str, sizes))}): "
            f"{total:,} numbers are not {known:,}"
        )
    if -1 in sizes:
        at = sizes.index(-1)
        sizes[at] = None if total is None else total // known
    return x.like(x.dims[0], *(Dim(size) for size in sizes))


def _add(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    first, second = inputs
    if first.rank != second.rank or not all(map(same, first.dims[1:], second.dims[1:])):
        raise ShapeError(f"Add needs two equal shapes, and gets {first} and {second}")
    return Tensor(first.dims, first.dtype, first.roots | second.roots)


# --- the catalogue -------------------------------------------------------------------

_UNITS = Parameter("units", SIZE, "width of the output", aliases=("output_dim",))
_USE_BIAS = Parameter("use_bias", FLAG, "whether a bias is added", True, ("bias",))


def _activation(default: str) -> Parameter:
    return Parameter("activation", ACTIVATION, "function applied last", default)


LAYERS: dict[str, NativeLayer] = {
    layer.name: layer
    for layer in (
        NativeLayer(
            "Dense",
            "Multiplies the last axis by a learned matrix and adds a learned bias.",
            (_UNITS, _activation("linear"), _USE_BIAS),
            _dense,
            _dense_weights,
            _width_features,
            keeps_time=True,
        ),
        NativeLayer(
            "Output",
            "The dense layer that gives the answer; softmax unless said otherwise.",
            (_UNITS, _activation("softmax"), _USE_BIAS),
            _dense,
            _dense_weights,
            _width_features,
            keeps_time=True,
        ),
        NativeLayer(
            "Activation",
            "Applies a function to each number.",
            (Parameter("function", ACTIVATION, "its name", aliases=("activation",)),),
            _same,
            keeps_time=True,
        ),
        NativeLayer(
            "Dropout",
            "While training, sets this share of the numbers to zero.",
            (Parameter("rate", RATE, "the share, 0 to 1"),),
            _same,
            keeps_time=True,
        ),
        NativeLayer(
            "Embedding",
            "Looks up a learned vector for each token id.",
            (
                Parameter("input_dim", SIZE, "number of ids", aliases=("vocab_size",)),
                Parameter(
                    "output_dim", SIZE, "width", aliases=("embedding_dim", "d_model")
                ),
                Parameter("mask_zero", FLAG, "whether id 0 is padding", False),
            ),
            _embedding,
            _embedding_weights,
            inputs=("ids",),
            keeps_time=True,
        ),
        NativeLayer(
            "LayerNormalization",
            "Gives the last axis mean 0 and variance 1, then a learned scale, shift.",
            (
                Parameter(
                    "epsilon", EPSILON, "added to the variance", 1e-6, aliases=("eps",)
                ),
            ),
            _normalization,
            _normalization_weights,
            _width_features,
            keeps_time=True,
            aliases=("LayerNorm",),
        ),
        NativeLayer(
            "GlobalAveragePooling1D",
            "The mean over time; padding does not count.",
            (),
            _global_pooling,
            inputs=("x", "attention_mask?"),
        ),
        NativeLayer(
            "GlobalMaxPooling1D",
            "The maximum over time; padding does not count.",
            (),
            _global_pooling,
            inputs=("x", "attention_mask?"),
        ),
        NativeLayer("Flatten", "All axes but the batch become one.", (), _flatten),
        NativeLayer(
            "Reshape",
            "The same numbers in another shape (the batch stays).",
            (
                Parameter(
                    "target_shape",
                    Kind("shape"),
                    "sizes without the batch",
                    aliases=("shape",),
                ),
            ),
            _reshape,
        ),
        NativeLayer(
            "Add",
            "The sum of two tensors; alone in a chain, the residual connection.",
            (),
            _add,
            inputs=("x", "residual"),
            keeps_time=True,
            aliases=("Residual",),
        ),
    )
}

BY_NAME = {
    name.lower(): layer
    for layer in LAYERS.values()
    for name in (layer.name, *layer.aliases)
}


def find_layer(name: str) -> NativeLayer | None:
    """The native layer of this name or alias; case does not matter."""
    return BY_NAME.get(name.lower())
