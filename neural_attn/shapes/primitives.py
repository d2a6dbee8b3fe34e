"""The functions that equations may use: what they take and what shape they give.

Their meaning in each framework stands in `backends/`; here is all that the compiler
must know to check an equation before any framework is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from neural_attn.layers import SIZE, Kind
from neural_attn.shapes.types import (
    Dim,
    Positions,
    ShapeError,
    Static,
    Tensor,
    Value,
    broadcast,
    divided,
    same,
    times,
)

Given = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Length(Tensor):
    """The length of an axis, as a whole number that is known when the code runs."""

    dim: Dim = field(default_factory=lambda: Dim(None))


@dataclass(frozen=True)
class Primitive:
    """A function of the language: parameters (None = required), rule, one line."""

    name: str
    parameters: Mapping[str, Static | None]
    rule: Callable[[Given], Value]
    doc: str
    kinds: Mapping[str, Kind]
    # it computes attention weights, which a layer can keep
    is_attention: bool = False


def _tensor(given: Given, name: str) -> Tensor:
    value = given[name]
    if not isinstance(value, Tensor):
        raise ShapeError(f"`{name}` must be a tensor, and is {_shown(value)}")
    return value


def _shown(value: Static) -> str:
    return "none" if value.value is None else f"{value.value!r}"


def _whole(given: Given, name: str) -> Dim:
    value = given[name]
    if isinstance(value, Length):
        return value.dim
    if not isinstance(value, Static):
        raise ShapeError(f"`{name}` must be a whole number, and is a tensor")
    number = value.value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        what = f"`{value.expr.span.text if value.expr else name}`"
        raise ShapeError(f"{what} must be a whole number, and is {_shown(value)}")
    return Dim(number, value.expr)


# --- heads and attention ---------------------------------------------------------


def _row_of(x: Tensor) -> str:
    """How a picture becomes a row of patches."""
    sizes = [dim.value for dim in x.dims[1:]]
    if x.rank != 4 or None in sizes:
        return ""
    rows, columns, width = (size or 0 for size in sizes)
    return f"write `Reshape(({rows * columns}, {width}))` before it"


def _split_heads(given: Given) -> Tensor:
    x, heads = _tensor(given, "x"), _whole(given, "num_heads")
    if x.rank != 3:
        raise ShapeError(
            f"attention needs (batch, time, width), and gets {x}", _row_of(x)
        )
    width, count = x.width.value, heads.value
    if width is None or not count or width % count:
        raise ShapeError(
            f"a width of {x.width} cannot be split into {heads} heads of equal size",
            f"num_heads must divide {x.width}",
        )
    size = Dim(width // count, divided(x.width.expr, heads.expr))
    return x.like(x.dims[0], heads, x.dims[1], size)


def _merge_heads(given: Given) -> Tensor:
    x = _tensor(given, "x")
    if x.rank != 4:
        raise ShapeError(f"merge_heads needs (batch, heads, time, size), and gets {x}")
    batch, heads, time, size = x.dims
    known = heads.value is not None and size.value is not None
    width = (heads.value or 0) * (size.value or 0) if known else None
    return x.like(batch, time, Dim(width, times(heads.expr, size.expr)))


def _attend(given: Given) -> Tensor:
    query, key, value = (_tensor(given, name) for name in ("query", "key", "value"))
    if not query.rank == key.rank == value.rank == 4:
        raise ShapeError(
            f"attend needs (batch, heads, time, size) thrice, and gets "
            f"{query}, {key} and {value}"
        )
    if not same(query.width, key.width):
        raise ShapeError(f"queries {query} and keys {key} differ in their last axis")
    if not same(key.dims[2], value.dims[2]):
        raise ShapeError(f"keys {key} and values {value} differ in number")
    weights = query.like(*query.dims[:3], key.dims[2])
    _check_mask(given["mask"], weights)
    roots = query.roots | key.roots | value.roots
    return Tensor((*query.dims[:3], value.width), "float", roots, along=query.along)


def _attention_softmax(given: Given) -> Tensor:
    logits = _tensor(given, "logits")
    if logits.rank != 4:
        raise ShapeError(
            f"attention logits are (batch, heads, queries, keys), and here {logits}"
        )
    _check_mask(given["mask"], logits)
    return logits.like(*logits.dims, dtype="float")


def _check_mask(mask: Value, weights: Tensor) -> None:
    if isinstance(mask, Static) and mask.value is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype != "bool":
        raise ShapeError(
            "an attention mask is true where a key may be attended",
            "padding_mask(ids) makes one",
        )
    if mask.rank != 4 or not all(
        m.value == 1 or same(m, w)
        for m, w in zip(mask.dims[1:], weights.dims[1:], strict=True)
    ):
        raise ShapeError(f"a mask of shape {mask} does not fit weights {weights}")


def _padding_mask(given: Given) -> Tensor:
    values = _tensor(given, "values")
    if values.rank != 2:
        raise ShapeError(f"padding_mask needs (batch, time), and gets {values}")
    batch, time = values.dims
    return values.like(batch, Dim(1), Dim(1), time, dtype="bool")


def _edge_mask(given: Given) -> Tensor:
    adjacency = _tensor(given, "adjacency")
    if adjacency.rank != 3:
        raise ShapeError(f"edge_mask needs (batch, nodes, nodes), and gets {adjacency}")
    batch, queries, keys = adjacency.dims
    return adjacency.like(batch, Dim(1), queries, keys, dtype="bool")


# --- positions and shapes --------------------------------------------------------


def _position_ids(given: Given) -> Tensor:
    x = _tensor(given, "x")
    return Positions((x.dims[1],), "int", x.roots)


def _length(given: Given) -> Length:
    dim = _tensor(given, "x").dims[1]
    return Length((), "int", dim=dim)


def _arange(given: Given) -> Tensor:
    count = _whole(given, "n")
    return _tensor(given, "like").like(count, dtype="float")


def _transpose(given: Given) -> Tensor:
    x = _tensor(given, "x")
    if x.rank < 2:
        raise ShapeError(f"transpose swaps the last two axes, and {x} has fewer")
    return x.like(*x.dims[:-2], x.dims[-1], x.dims[-2]).at(x.across, x.along)


def _reshape(given: Given) -> Tensor:
    x, shape = _tensor(given, "x"), given["shape"]
    sizes = shape.value if isinstance(shape, Static) else None
    if not isinstance(sizes, tuple):
        raise ShapeError("reshape needs a shape in parentheses, such as (-1, 8)")
    dims = []
    for size in sizes:
        if isinstance(size, Length):
            dims.append(size.dim)
        elif isinstance(size, Static) and isinstance(size.value, int | float):
            whole = int(size.value)
            dims.append(Dim(None) if whole == -1 else Dim(whole, size.expr))
        else:
            raise ShapeError("the sizes of a shape must be whole numbers")
    total = _product(x.dims)
    missing = [i for i, d in enumerate(dims) if d.value is None]
    known = _product(tuple(d for d in dims if d.value is not None)) or 0
    if total is not None and len(missing) == 1 and known and total % known == 0:
        dims[missing[0]] = Dim(total // known)
    elif total is not None and not missing and known != total:
        raise ShapeError(f"{x} cannot take the shape ({', '.join(map(str, dims))})")
    return x.like(*dims)


def _fold_time(given: Given) -> Tensor:
    x = _tensor(given, "x")
    if x.rank < 3:
        raise ShapeError(
            f"there are no steps to treat one by one in {x}",
            "a layer for each step needs (batch, time, …)",
        )
    return x.like(Dim(None, None, "batch x time"), *x.dims[2:])


def _unfold_time(given: Given) -> Tensor:
    x, like = _tensor(given, "x"), _tensor(given, "like")
    if not x.rank or like.rank < 2:
        raise ShapeError(f"unfold_time gives {x} the first two axes of {like}")
    return x.like(*like.dims[:2], *x.dims[1:]).at(like.along)


def _product(dims: tuple[Dim, ...]) -> int | None:
    values = [dim.value for dim in dims]
    return None if None in values else math.prod(v for v in values if v is not None)


def _tensors(given: Given, name: str) -> list[Tensor]:
    value = given[name]
    items = value.value if isinstance(value, Static) else None
    if not isinstance(items, tuple) or not items:
        raise ShapeError(f"`{name}` must be a list of tensors, such as [a, b]")
    found = [item for item in items if isinstance(item, Tensor)]
    if len(found) != len(items):
        raise ShapeError(f"`{name}` must hold tensors only")
    return found


def _stack(given: Given) -> Tensor:
    items = _tensors(given, "items")
    for item in items[1:]:
        broadcast(items[0], item)
    roots = frozenset().union(*(item.roots for item in items))
    dims = (*items[0].dims, Dim(len(items)))
    return Tensor(dims, items[0].dtype, roots, along=items[0].along)


def _concatenate(given: Given) -> Tensor:
    items = _tensors(given, "items")
    first = items[0]
    for item in items[1:]:
        if item.rank != first.rank or not all(
            map(same, item.dims[:-1], first.dims[:-1])
        ):
            raise ShapeError(f"{first} and {item} cannot stand side by side")
    widths = [item.width.value for item in items]
    total = None if None in widths else sum(w for w in widths if w is not None)
    roots = frozenset().union(*(item.roots for item in items))
    dims = (*first.dims[:-1], Dim(total))
    return Tensor(dims, first.dtype, roots, along=first.along)


# --- arithmetic ------------------------------------------------------------------


def _elementwise(function: Callable[[float], float]) -> Callable[[Given], Value]:
    def rule(given: Given) -> Value:
        x = given["x"]
        if isinstance(x, Tensor):
            return x.like(*x.dims, dtype="float")
        if not isinstance(x.value, int | float):
            raise ShapeError(f"a number or a tensor is needed here, not {_shown(x)}")
        try:
            return Static(function(x.value))
        except (ValueError, OverflowError) as error:
            raise ShapeError(f"{x.value} is outside the range: {error}") from None

    return rule


def _reduce(given: Given) -> Tensor:
    x = _tensor(given, "x")
    return x.like(*x.dims[:-1], Dim(1), dtype="float")


_NONE = Static(None)
_FALSE = Static(False)


def _primitive(
    rule: Callable[[Given], Value],
    doc: str,
    /,
    attention: bool = False,
    kinds: Mapping[str, Kind] | None = None,
    **parameters: Static | None,
) -> Primitive:
    return Primitive("", parameters, rule, doc, kinds or {}, attention)


def _named(table: dict[str, Primitive]) -> dict[str, Primitive]:
    return {
        name: Primitive(name, p.parameters, p.rule, p.doc, p.kinds, p.is_attention)
        for name, p in table.items()
    }


PRIMITIVES = _named(
    {
        "attend": _primitive(
            _attend,
            "Scaled dot-product attention: the mean of the values under its weights.",
            attention=True,
            kinds={"causal": Kind("bool")},
            query=None,
            key=None,
            value=None,
            mask=_NONE,
            causal=_FALSE,
            dropout=_NONE,
        ),
        "attention_softmax": _primitive(
            _attention_softmax,
            "Attention weights from logits; masked keys get exactly 0.",
            attention=True,
            kinds={"causal": Kind("bool")},
            logits=None,
            mask=_NONE,
            causal=_FALSE,
        ),
        "split_heads": _primitive(
            _split_heads,
            "[batch, time, heads * size] to [batch, heads, time, size].",
            kinds={"num_heads": SIZE},
            x=None,
            num_heads=None,
        ),
        "merge_heads": _primitive(
            _merge_heads, "The way back from split_heads.", x=None
        ),
        "padding_mask": _primitive(
            _padding_mask, "True where ids or flags are not 0.", values=None
        ),
        "edge_mask": _primitive(
            _edge_mask, "True where an edge leads from i to j.", adjacency=None
        ),
        "position_ids": _primitive(
            _position_ids, "The positions 0, 1, … of axis 1, as ids.", x=None
        ),
        "length": _primitive(_length, "The length of axis 1.", x=None),
        "arange": _primitive(
            _arange, "The numbers 0 … n-1, in the type of `like`.", n=None, like=None
        ),
        "transpose": _primitive(_transpose, "Swaps the last two axes.", x=None),
        "reshape": _primitive(
            _reshape, "The same numbers in another shape.", x=None, shape=None
        ),
        "fold_time": _primitive(
            _fold_time,
            "[batch, time, …] to [batch * time, …]: each step alone.",
            x=None,
        ),
        "unfold_time": _primitive(
            _unfold_time,
            "The way back from fold_time, to the batch and time of `like`.",
            x=None,
            like=None,
        ),
        "stack": _primitive(_stack, "Joins tensors along a new last axis.", items=None),
        "concatenate": _primitive(
            _concatenate, "Joins tensors along the last axis.", items=None
        ),
        "sum": _primitive(_reduce, "The sum over the last axis, which stays.", x=None),
        "mean": _primitive(
            _reduce, "The mean over the last axis, which stays.", x=None
        ),
        "sqrt": _primitive(_elementwise(math.sqrt), "Square root.", x=None),
        "exp": _primitive(_elementwise(math.exp), "e to the power x.", x=None),
        "log": _primitive(_elementwise(math.log), "Natural logarithm.", x=None),
        "sin": _primitive(_elementwise(math.sin), "Sine.", x=None),
        "cos": _primitive(_elementwise(math.cos), "Cosine.", x=None),
        "tanh": _primitive(_elementwise(math.tanh), "Hyperbolic tangent.", x=None),
        "abs": _primitive(_elementwise(abs), "The value without its sign.", x=None),
    }
)
