"""Shape rules of the functions that count positions, and give other shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from neural_attn.catalogue.function_arguments import (
    Given,
    Length,
    check_steps_mask,
    tensor,
    tensors,
    whole,
)
from neural_attn.catalogue.types import (
    Dim,
    Positions,
    ShapeError,
    Static,
    Tensor,
    distances_between,
    side_by_side,
)
from neural_attn.grammar import tree


def position_ids(given: Given) -> Tensor:
    """The positions of axis 1, as ids [time]."""
    x = tensor(given, "x")
    return Positions((x.dims[1],), "int", x.roots)


def positions(given: Given) -> Tensor:
    """The positions of axis 1 in the whole sequence, as ids [1, time].

    With a mask [batch, 1, 1, time], those among the steps that it shows: [batch, time].
    """
    x, mask = tensor(given, "x"), given["mask"]
    if not isinstance(mask, Tensor):
        check_steps_mask("positions", x, mask)
        return Positions((Dim(1), x.dims[1]), "int", x.roots)
    check_steps_mask("positions", x, mask, exactly=True)
    shown = Positions((mask.dims[0], x.dims[1]), "int", x.roots | mask.roots)
    return replace(shown, along=x.along)


def length(given: Given) -> Length:
    """How long axis 1 is, and whose steps it counts."""
    x = tensor(given, "x")
    return Length((), "int", dim=x.dims[1], along=x.along)


def arange(given: Given) -> Tensor:
    """N numbers, in the type of `like`."""
    count = whole(given, "n")
    like = tensor(given, "like")
    if like.dtype == "bool":
        raise ShapeError(f"`like` must hold numbers, but {like} is a mask")
    return like.like(count)


def zeros(given: Given) -> Tensor:
    """Zeros of a shape, in the type of `like`; they hold nothing of it."""
    like, shape = tensor(given, "like"), given["shape"]
    sizes = shape.value if isinstance(shape, Static) else None
    if not isinstance(sizes, tuple) or not sizes:
        raise ShapeError("zeros needs a shape in parentheses, such as (1, 1, 8)")
    dims = [whole({"n": size}, "n") for size in sizes if isinstance(size, Static)]
    if len(dims) < len(sizes) or any((dim.value or 0) < 1 for dim in dims):
        raise ShapeError("the sizes of zeros are whole numbers from 1")
    return Tensor(tuple(dims), "int" if like.dtype == "int" else "float")


def relative_positions(given: Given) -> Tensor:
    """The places of keys seen from queries, from the farthest before on."""
    query, key = tensor(given, "query"), tensor(given, "key")
    for x in (query, key):
        if x.rank not in (3, 4) or x.dtype != "float":
            raise ShapeError(
                f"relative_positions needs (batch, …, time, size), but gets {x}"
            )
    steps = distances_between(query.dims[-2], key.dims[-2])
    return Tensor((steps,), "float", query.roots | key.roots)


def transpose(given: Given) -> Tensor:
    """The last two axes swapped."""
    x = tensor(given, "x")
    if x.rank < 2:
        raise ShapeError(f"transpose swaps the last two axes, but {x} has fewer")
    return x.like(*x.dims[:-2], x.dims[-1], x.dims[-2]).at(x.across, x.along)


def reshape(given: Given) -> Tensor:
    """The same numbers in another shape."""
    x, shape = tensor(given, "x"), given["shape"]
    sizes = shape.value if isinstance(shape, Static) else None
    if not isinstance(sizes, tuple):
        raise ShapeError("reshape needs a shape in parentheses, such as (-1, 8)")
    dims = []
    for size in sizes:
        if isinstance(size, Length):
            dims.append(size.dim)
        elif isinstance(size, Static) and isinstance(size.value, int | float):
            whole = int(size.value)
            if whole != size.value:
                raise ShapeError(
                    f"the sizes of a shape are whole numbers, not {size.value}"
                )
            dims.append(Dim(None) if whole == -1 else Dim(whole, size.expr))
        else:
            raise ShapeError("the sizes of a shape must be whole numbers")
    total = _product(x.dims)
    missing = [i for i, d in enumerate(dims) if d.value is None]
    known = _product(tuple(d for d in dims if d.value is not None)) or 0
    if total is not None and len(missing) == 1 and known and total % known == 0:
        dims[missing[0]] = Dim(total // known)
    elif not missing and not _may_be(known, x.dims):
        raise ShapeError(f"{x} cannot take the shape ({', '.join(map(str, dims))})")
    return _with_steps(x.like(*dims), sizes)


def _with_steps(x: Tensor, sizes: Sequence[object]) -> Tensor:
    """Logits of queries and keys whose lengths stand in the shape: whose steps."""
    *_, before, last = (None, *sizes)
    across = last.along if isinstance(last, Length) else x.across
    along = before.along if isinstance(before, Length) else x.along
    return x.at(along, across)


def fold_time(given: Given) -> Tensor:
    """[batch, time, …] to [batch * time, …]."""
    x = tensor(given, "x")
    if x.rank < 3:
        raise ShapeError(
            f"there are no steps to treat one by one in {x}",
            "a layer for each step needs (batch, time, …)",
        )
    return x.like(Dim(None, None, "batch x time"), *x.dims[2:])


def unfold_time(given: Given) -> Tensor:
    """[batch * time, …] to the first two axes of `like`, then the rest."""
    x, like = tensor(given, "x"), tensor(given, "like")
    if not x.rank or like.rank < 2:
        raise ShapeError(f"unfold_time gives {x} the first two axes of {like}")
    return x.like(*like.dims[:2], *x.dims[1:]).at(like.along)


def _may_be(count: int, dims: tuple[Dim, ...]) -> bool:
    """Whether a tensor with these axes can hold so many numbers."""
    rest = math.prod(dim.value for dim in dims if dim.value is not None)
    if all(dim.value is not None for dim in dims):
        return count == rest
    return count % rest == 0 if rest else count == 0


def _product(dims: tuple[Dim, ...]) -> int | None:
    values = [dim.value for dim in dims]
    return None if None in values else math.prod(v for v in values if v is not None)


def stack(given: Given) -> Tensor:
    """A new last axis, as long as the list."""
    items = tensors(given, "items")
    side_by_side(items)
    roots = frozenset().union(*(item.roots for item in items))
    listed = given["items"]
    written = listed.expr if isinstance(listed, Static) else None
    count = tree.Literal(written.span, len(items)) if written else None
    dims = (*items[0].dims, Dim(len(items), count))
    return Tensor(dims, items[0].dtype, roots, along=items[0].along)
