"""Saying the sizes of layers in the parameters of the block around them.

Generated code writes `Dense(d_model, ff_dim)`, not `Dense(64, 128)`: here each size
gets the expression that comes to it in every use of the block, where there is one.
"""

from __future__ import annotations

from neural_attn.grammar import tree
from neural_attn.layers import NativeLayer
from neural_attn.resolve.ir import LayerUse
from neural_attn.shapes import constants
from neural_attn.shapes.entering import Entry
from neural_attn.shapes.evaluation import Again
from neural_attn.shapes.types import ShapeError, Tensor, spelled


def note_arguments(entry: Entry, use: LayerUse, inner: Entry) -> None:
    """Note, for the code of `entry`, the parameters and widths of a part of it."""
    sizes: dict[str, object] = dict(inner.static)
    for hidden in inner.facts.hidden:
        sizes[hidden] = inner.widths.get(hidden)
    known = entry.facts.hidden_values.setdefault(use.name, {})
    for name, value in sizes.items():
        expr = exact(entry, inner.outer.get(name), value)
        if expr is None and (isinstance(value, int | float | str) or value is None):
            expr = tree.Literal(use.span, value)
        if expr is not None:
            known[name] = expr


def exact(entry: Entry, expr: tree.Expr | None, value: object) -> tree.Expr | None:
    """`expr`, where the block's parameters make it come to `value`; else None."""
    if expr is None:
        return None
    names = {n.text for n in tree.walk(expr) if isinstance(n, tree.Name)}
    known = {**entry.static, **entry.widths}
    if not names <= known.keys():
        return None
    try:
        found = constants.evaluate(expr, known)
    except constants.ConstantError:
        return None
    if found != value:
        return None
    for name in names - entry.static.keys():
        entry.facts.hidden[name] = name.removesuffix("_width")
    return expr


def note_features(
    entry: Entry,
    use: LayerUse,
    native: NativeLayer,
    tensors: list[Tensor],
    call: tree.Call,
) -> None:
    """Note the sizes of its input that a layer's code must be told."""
    for name, dim in native.features(tensors).items():
        earlier = entry.features.setdefault((use.name, name), dim)
        if earlier.value != dim.value:
            error = ShapeError(
                f"`{use.name}` gets {dim} numbers here and {earlier} before: "
                "its weights fit only one width",
                "give each of the two calls a layer of its own",
            )
            raise entry.session.note(error, call)
        if earlier is not dim:
            continue  # the same layer once more, of equal width
        expr = exact(entry, dim.expr, dim.value) or tree.Literal(use.span, dim.value)
        known = entry.facts.features.setdefault(use.name, {})
        if name in known and spelled(known[name]) != spelled(expr):
            if entry.block not in entry.session.general:
                entry.session.general.add(entry.block)
                raise Again
            error = ShapeError(
                f"`{use.name}` gets {dim} numbers here and "
                f"{spelled(known[name])} elsewhere: one class cannot serve both",
                "give the define a parameter `width = width(x)`",
            )
            raise entry.session.note(error, tree.Node(use.span))
        known[name] = expr
