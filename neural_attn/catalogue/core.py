"""The layers that every transformer needs: dense, embedding, dropout, pooling."""

from __future__ import annotations

import math

from neural_attn.catalogue.base import (
    ACTIVATION,
    FLAG,
    RATE,
    SIZE,
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    Weight,
    initializer,
    keep_shape,
    need_numbers,
    need_width,
    operands,
    width_features,
)
from neural_attn.catalogue.types import Dim, Positions, ShapeError, Tensor, same, times

_UNITS = Parameter("units", SIZE, "width of the output", aliases=("output_dim",))
_USE_BIAS = Parameter("use_bias", FLAG, "whether a bias is added", True, ("bias",))
_STARTS = (
    initializer("kernel_initializer", "glorot_uniform"),
    initializer("bias_initializer", "zeros"),
)


def _activation(default: str) -> Parameter:
    return Parameter("activation", ACTIVATION, "function applied last", default)


def _dense(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    need_width("Dense", x)
    return x.like(*x.dims[:-1], Dim(arguments["units"]))


def _dense_weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
    units, width = arguments["units"], inputs[0].width.value or 0
    kernel = Weight("weight", (units, width))
    if not arguments["use_bias"]:
        return (kernel,)
    return kernel, Weight("bias", (units,), "zeros")


def _embedding(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    (ids,) = inputs
    if ids.dtype != "int":
        raise ShapeError(
            f"Embedding needs token ids, but gets numbers of shape {ids}",
            "it belongs directly after the input",
        )
    rows, count = arguments["input_dim"], ids.dims[-1].value if ids.dims else None
    if isinstance(ids, Positions) and count is not None and count > rows:
        raise ShapeError(
            f"the table has {rows:,} positions, but the input is {count:,} long"
        )
    return ids.like(*ids.dims, Dim(arguments["output_dim"]), dtype="float")


def _embedding_weights(
    arguments: Arguments, inputs: list[Tensor]
) -> tuple[Weight, ...]:
    shape = (arguments["input_dim"], arguments["output_dim"])
    return (Weight("weight", shape, "normal"),)


def _global_pooling(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    x = inputs[0]
    need_numbers("pooling over time", x)
    if x.rank != 3:
        raise ShapeError(f"pooling over time needs (batch, time, width), but gets {x}")
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
        raise ShapeError("Reshape takes -1 for only one axis")
    known = math.prod(size for size in sizes if size != -1)
    if total is None and -1 not in sizes:
        raise ShapeError(
            f"{x} has an axis of unknown length, so it cannot become "
            f"(batch, {', '.join(map(str, sizes))})",
            "give the length in `input:`, where the batch is left out, or -1 here",
        )
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
    first, *others = inputs
    for other in others:
        fits = first.rank == other.rank
        if not fits or not all(map(same, first.dims[1:], other.dims[1:])):
            raise ShapeError(f"Add needs equal shapes, but gets {first} and {other}")
    roots = frozenset().union(*(x.roots for x in inputs))
    return Tensor(first.dims, first.dtype, roots, along=first.along)


def _activation_shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
    if arguments["alpha"] is not None and arguments["function"] not in SLOPED:
        raise ShapeError(
            f"`{arguments['function']}` takes no alpha",
            f"it belongs to {' and '.join(SLOPED)}",
        )
    return keep_shape(arguments, inputs)


SLOPED = ("leaky_relu", "elu")  # the activations that take an alpha

CORE = (
    NativeLayer(
        "Dense",
        "Multiplies the last axis by a learned matrix and adds a learned bias.",
        (_UNITS, _activation("linear"), _USE_BIAS, *_STARTS),
        _dense,
        _dense_weights,
        width_features,
        keeps_time=True,
    ),
    NativeLayer(
        "Output",
        "The dense layer that gives the answer; softmax unless said otherwise.",
        (_UNITS, _activation("softmax"), _USE_BIAS, *_STARTS),
        _dense,
        _dense_weights,
        width_features,
        keeps_time=True,
    ),
    NativeLayer(
        "Activation",
        "Applies a function to each number.",
        (
            Parameter("function", ACTIVATION, "its name", aliases=("activation",)),
            Parameter(
                "alpha",
                Kind("float", minimum=0, optional=True),
                "the slope of leaky_relu, or the scale of elu, below 0",
                None,
                aliases=("negative_slope",),
            ),
        ),
        _activation_shape,
        keeps_time=True,
    ),
    NativeLayer(
        "Dropout",
        "While training, sets this share of the numbers to zero.",
        (Parameter("rate", RATE, "the share, 0 to 1"),),
        keep_shape,
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
            initializer("embeddings_initializer", "uniform"),
            Parameter(
                "input_length",
                Kind("int", minimum=1, optional=True),
                "number of ids",
                None,
                needless="the input tells its length",
            ),
            Parameter(
                "weights",
                Kind("any"),
                "vectors to start from",
                None,
                needless="trained weights come from a weights file, by `load_weights`",
            ),
            Parameter(
                "trainable",
                FLAG,
                "whether training changes it",
                True,
                needless="training changes all weights",
            ),
        ),
        _embedding,
        _embedding_weights,
        inputs=("ids",),
        keeps_time=True,
    ),
    NativeLayer(
        "GlobalAveragePooling1D",
        "The mean over time, without padding.",
        (),
        _global_pooling,
        inputs=("x", "attention_mask?"),
    ),
    NativeLayer(
        "GlobalMaxPooling1D",
        "The maximum over time, without padding.",
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
        "The sum of tensors; alone in a chain, the residual connection.",
        (),
        _add,
        inputs=operands("x", "residual"),
        keeps_time=True,
        merges=True,
        aliases=("Residual",),
    ),
)
