"""Calls of layers: when two are alike, and what one gives to the block around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neural_attn.catalogue.learned import MATRICES
from neural_attn.catalogue.types import (
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    spelled,
    substitute,
    times,
)
from neural_attn.grammar import tree
from neural_attn.ir import Block, LayerUse
from neural_attn.shapes.instance import Instance


def call_key(
    block: Block, given: Mapping[str, Static], inputs: Sequence[Value | None]
) -> tuple[object, ...]:
    """Equal for calls of a block that come to the same: shapes, values, spellings.

    Which inputs are the same tensor matters too: it tells self- from cross-attention.
    """
    arguments = tuple(
        (name, repr(value.value), spelled(value.expr)) for name, value in given.items()
    )
    first: dict[int, int] = {}
    tensors: list[object] = []
    for position, value in enumerate(inputs):
        if isinstance(value, Tensor):
            same = first.setdefault(value.uid, position)
            dims = tuple((d.value, d.label, spelled(d.expr)) for d in value.dims)
            tensors.append((type(value), value.dtype, dims, same))
        else:
            tensors.append(repr(value.value) if value else None)
    return (block, arguments, tuple(tensors))


def seen_outside(output: Tensor, outer: dict[str, tree.Expr | None]) -> Tensor:
    """What a block gives, its sizes spelled in the terms of the caller."""
    dims = [Dim(d.value, substitute(d.expr, outer), d.label) for d in output.dims]
    return Tensor(tuple(dims), output.dtype, output.roots)


def alike(one: Instance, two: Instance) -> bool:
    """Whether a repeated layer has come to a fixed point."""
    a, b = one.output, two.output
    if a is None or b is None or one.values != two.values or a.rank != b.rank:
        return False
    same_output = all(x.value == y.value for x, y in zip(a.dims, b.dims, strict=True))
    shapes = [[d.value for d in t.dims] for t in one.inputs]
    return same_output and shapes == [[d.value for d in t.dims] for t in two.inputs]


def matrix(use: LayerUse | None, made: Instance | None) -> Tensor:
    """The matrix of a layer, as PyTorch lays it out. Raises ShapeError."""
    if use is None or use.repeat is not None:
        raise ShapeError("weight takes one layer of this define, by its name")
    sizes = MATRICES.get(use.target.name)
    if sizes is None:
        raise ShapeError(
            f"`{use.name}` has no matrix to share, being a {use.target.name}",
            f"weight takes one of {', '.join(MATRICES)}; the name of a Weight "
            "stands for its array",
        )
    if made is None:
        raise ShapeError(
            f"`{use.name}` has no weights before it is called",
            f"write `{use.name}(…)` on a line before",
        )
    (shape,) = (w.shape for w in made.weights if w.name == "weight")
    spelling = [use.arguments.get(name) for name in sizes]
    if spelling[1] is None:
        spelling[1] = made.inputs[0].width.expr
    return Tensor(tuple(map(Dim, shape, spelling)))


def with_spelling(
    output: Tensor, given: Mapping[str, Static], inputs: Sequence[Tensor]
) -> Tensor:
    """Give the new width the spelling of the argument that set it."""
    shape = given["shape"].expr if "shape" in given else None
    sizes = shape.items if isinstance(shape, tree.Sequence) else (shape,)
    if not inputs and len(sizes) == output.rank:  # a Weight
        known = zip(output.dims, sizes, strict=True)
        return Tensor(tuple(Dim(dim.value, expr) for dim, expr in known))
    width = output.dims[-1] if output.dims else None
    factor = given.get("depth_multiplier")
    if width is not None and factor is not None and inputs:
        expr = times(inputs[0].width.expr, factor.expr)
        return output.like(*output.dims[:-1], Dim(width.value, expr, width.label))
    if width is None or width.expr is not None:
        return output
    for name in ("units", "output_dim", "filters"):
        static = given.get(name)
        if static is None or not isinstance(static.value, int):
            continue
        expr = static.expr
        if width.value == 2 * static.value:  # a recurrence in both directions
            expr = expr and times(tree.Literal(expr.span, 2), expr)
        elif width.value != static.value:
            continue
        return output.like(*output.dims[:-1], Dim(width.value, expr, width.label))
    return output
