"""Calls of layers: when two are alike, and what one gives to the block around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from neural_attn.catalogue import constants
from neural_attn.catalogue.types import (
    Dim,
    Static,
    Tensor,
    Value,
    spelled,
    substitute,
    times,
)
from neural_attn.grammar import tree
from neural_attn.ir import INDEX, Block, LayerUse, width_of
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


def seen_outside(
    output: Tensor, outer: dict[str, tree.Expr | None], axes: Mapping[int, Dim]
) -> Tensor:
    """What a block gives, its sizes spelled in the terms of the caller.

    `axes` are those of what it was given, by the identity of the same axis inside.
    """
    dims = (
        axes.get(id(d)) or Dim(d.value, substitute(d.expr, outer), d.label)
        for d in output.dims
    )
    return Tensor(tuple(dims), output.dtype, output.roots)


def of_repeat(
    output: Tensor,
    first: Value | None,
    parts: Sequence[Instance],
    use: LayerUse,
    repeat: tree.Expr,
) -> Tensor:
    """What the last copy of a repeated layer gives, its sizes by their count."""
    if use.is_counted:
        one = tree.Literal(repeat.span, 1)
        return of_copy(output, _reckoned(tree.Binary(repeat.span, "-", repeat, one)))
    widths = [part.output.width for part in parts if part.output and part.output.dims]
    if not isinstance(first, Tensor) or not first.dims or len(widths) < len(parts):
        return output
    expr = _grown([first.width, *widths], repeat)
    if expr is None:
        return output
    width = replace(output.width, expr=expr)
    return replace(output, dims=(*output.dims[:-1], width))


def _grown(widths: Sequence[Dim], count: tree.Expr) -> tree.Expr | None:
    """`width + n * units` where each of n copies adds the same to the width."""
    start, then = widths[0].expr, widths[1].expr
    if start is None or not isinstance(then, tree.Binary) or then.operator != "+":
        return None
    known = [width.value for width in widths if width.value is not None]
    steps = {after - before for before, after in pairwise(known)}
    if spelled(then.left) != spelled(start) or len(steps) > 1:
        return None
    is_single = len(widths) == 2 and isinstance(count, tree.Literal)
    if len(known) < len(widths) or is_single:
        return None
    return tree.Binary(
        start.span, "+", start, tree.Binary(count.span, "*", count, then.right)
    )


def of_copy(output: Tensor, index: tree.Expr) -> Tensor:
    """What a copy of a repeated layer gives, its sizes without the name of its number.

    Behind the second copy, `units * (index + 1)` is `units * 2`.
    """
    dims = [Dim(d.value, d.expr and _at(d.expr, index), d.label) for d in output.dims]
    return replace(output, dims=tuple(dims))


def _at(expr: tree.Expr, index: tree.Expr) -> tree.Expr:
    if INDEX not in tree.names_in(expr):
        return expr
    return _reckoned(tree.replaced(expr, INDEX, index))


def _reckoned(expr: tree.Expr) -> tree.Expr:
    """`units * (1 + 1)` as `units * 2`, `units * 1` as `units`, `n - 1 + 1` as `n`."""
    if not tree.names_in(expr):
        return tree.Literal(expr.span, constants.evaluate(expr, {}))
    if not isinstance(expr, tree.Binary):
        return expr
    left, right = _reckoned(expr.left), _reckoned(expr.right)
    if expr.operator == "+" and isinstance(left, tree.Binary):
        if left.operator == "-" and spelled(left.right) == spelled(right):
            return left.left
    if expr.operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, tree.Literal) and one.value == 1:
                return other
    return tree.Binary(expr.span, expr.operator, left, right)


def alike(one: Instance, two: Instance) -> bool:
    """Whether a repeated layer has come to a fixed point."""
    a, b = one.output, two.output
    if a is None or b is None or one.values != two.values or a.rank != b.rank:
        return False
    same_output = all(x.value == y.value for x, y in zip(a.dims, b.dims, strict=True))
    shapes = [[d.value for d in t.dims] for t in one.inputs]
    return same_output and shapes == [[d.value for d in t.dims] for t in two.inputs]


def is_same_layer(one: Instance, two: Instance) -> bool:
    """Whether two calls of a layer come to the same sizes inside."""
    if one is two or one.children is two.children:
        return True
    names = {n for n in one.values if one.values[n] != two.values.get(n)}
    if not names <= _measured(one) or one.children.keys() != two.children.keys():
        return False
    if [w.shape for w in one.weights] != [w.shape for w in two.weights]:
        return False
    return all(
        is_same_layer(*pair)
        for name in one.children
        for pair in zip(one.children[name], two.children[name], strict=True)
    )


def _measured(instance: Instance) -> set[str]:
    """Widths that a block takes from its inputs each time, and keeps nowhere."""
    block = instance.target
    if not isinstance(block, Block) or instance.children:
        return set()
    changed = {
        target.text
        for statement in block.forward.body
        if isinstance(statement, tree.Assign)
        for target in statement.targets
    }
    sources = {p.name: width_of(p) for p in block.parameters}
    return {
        name for name, source in sources.items() if source and source not in changed
    }


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
