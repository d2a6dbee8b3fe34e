"""Saying the sizes of layers in the parameters of the block around them.

Generated code writes `Dense(d_model, ff_dim)`, not `Dense(64, 128)`: here each size
gets the expression that comes to it in every use of the block, where there is one.
"""

from __future__ import annotations

from neural_attn.catalogue import constants
from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.types import ShapeError, Tensor, spelled
from neural_attn.grammar import tree
from neural_attn.ir import INDEX, LayerUse
from neural_attn.shapes.block_entry import Entry
from neural_attn.shapes.evaluation import Again
from neural_attn.shapes.instance import of_part

# what helps where one layer is called with two widths
TWO_CALLS = "give each of the two calls a layer of its own"
APART = "leave `shared` out: then each repeat is a layer of its own"


def note_arguments(entry: Entry, use: LayerUse, inner: Entry, part: int) -> None:
    """Note, for the code of `entry`, the parameters and widths of a part of it.

    `part` counts the repeats of a layer.
    """
    sizes: dict[str, object] = dict(inner.static)
    for hidden in inner.facts.hidden:
        sizes[hidden] = inner.widths.get(hidden)
    known = entry.facts.hidden_values.setdefault(use.name, {})
    for name, value in sizes.items():
        if isinstance(value, int | float | str) or value is None:
            expr = exact(entry, inner.outer.get(name), value, _index(use, part))
            _note(entry, use, known, (name, part), value, expr)


def _index(use: LayerUse, part: int) -> int | None:
    """What `index` is in the arguments of a copy, where they name it."""
    return part if use.is_counted else None


def _note(
    entry: Entry,
    use: LayerUse,
    known: dict[str, tree.Expr],
    size: tuple[str, int],
    value: object,
    expr: tree.Expr | None,
) -> None:
    """Note how a size of a layer is spelled in the code of its block.

    `size` is its name, and which of the repeats of the layer it is of.
    Where no spelling serves all uses of the block, its class is told the size.
    """
    name, index = of_part(*size), _index(use, size[1])
    told = (entry.block, use.name, name)
    if told not in entry.session.told:
        expr = expr or exact(entry, known.get(size[0]), value, index)
        expr = expr or tree.Literal(use.span, value)  # type: ignore[arg-type]
        if name not in known or spelled(known[name]) == spelled(expr):
            known[name] = expr
            return
        entry.session.told.add(told)
    parameter = f"{use.name}_{name.replace('@', '_')}"
    while parameter in entry.static:
        parameter += "_"
    entry.widths[parameter] = value
    entry.facts.hidden[parameter] = ""
    known[name] = tree.Name(use.span, parameter)


def exact(
    entry: Entry, expr: tree.Expr | None, value: object, index: int | None = None
) -> tree.Expr | None:
    """`expr`, where the block's parameters make it come to `value`; else None.

    `index` is the number of the copy that is told it, if arguments name that.
    """
    if expr is None:
        return None
    names = tree.names_in(expr)
    known = {**entry.static, **entry.widths}
    if index is not None:
        known[INDEX] = index
    if not names <= known.keys():
        return None
    try:
        found = constants.evaluate(expr, known)
    except constants.ConstantError:
        return None
    if found != value:
        return None
    for name in sorted(names & entry.widths.keys() - entry.static.keys()):
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
    known = entry.facts.features.setdefault(use.name, {})
    for name, dim in native.features(tensors).items():
        size = (name, entry.part)
        earlier = entry.features.setdefault((use.name, of_part(*size)), dim)
        if earlier.value != dim.value:
            error = ShapeError(
                f"`{use.name}` gets {dim} numbers here but {earlier} before: "
                "its weights fit only one width",
                APART if use.is_shared else TWO_CALLS,
            )
            raise entry.session.note(error, call)
        if earlier is not dim:
            continue  # the same layer once more, of equal width
        before = len(entry.session.told)
        _note(entry, use, known, size, dim.value, exact(entry, dim.expr, dim.value))
        if len(entry.session.told) > before:
            if entry.block not in entry.session.general:
                # a name for the width of each input may be all that lacks
                entry.session.general.add(entry.block)
                entry.session.told.remove((entry.block, use.name, of_part(*size)))
            raise Again
