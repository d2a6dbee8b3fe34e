"""Shape rules of the functions that attention is made of."""

from __future__ import annotations

from dataclasses import replace

from neural_attn.catalogue.function_arguments import (
    Given,
    need_fractions,
    tensor,
    whole,
)
from neural_attn.catalogue.types import (
    BATCH,
    HEADS,
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    distances_between,
    divided,
    same,
    times,
    written,
)
from neural_attn.grammar import tree
from neural_attn.promises import PARTS, ROWS, SHARES, Rows


def _row_of(x: Tensor) -> str:
    """How a picture becomes a row of patches."""
    sizes = [dim.value for dim in x.dims[1:]]
    if x.rank != 4 or None in sizes:
        return ""
    rows, columns, width = (size or 0 for size in sizes)
    return f"write `Reshape(({rows * columns}, {width}))` before it"


def split_heads(given: Given) -> Tensor:
    """[batch, time, heads * size] to [batch, heads, time, size]."""
    x, heads = tensor(given, "x"), whole(given, "num_heads")
    if x.rank != 3:
        raise ShapeError(
            f"attention needs (batch, time, width), but gets {x}", _row_of(x)
        )
    width, count = x.width.value, heads.value
    if width is None or not count or width % count:
        raise ShapeError(
            f"a width of {x.width} cannot be split into {heads} heads of equal size",
            f"num_heads must divide {x.width}",
        )
    size = Dim(width // count, divided(x.width.expr, heads.expr))
    return x.like(x.dims[0], replace(heads, label=HEADS), x.dims[1], size)


def merge_heads(given: Given) -> Tensor:
    """[batch, heads, time, size] to [batch, time, heads * size]."""
    x = tensor(given, "x")
    if x.rank != 4:
        raise ShapeError(f"merge_heads needs (batch, heads, time, size), but gets {x}")
    batch, heads, time, size = x.dims
    known = heads.value is not None and size.value is not None
    width = (heads.value or 0) * (size.value or 0) if known else None
    return x.like(batch, time, Dim(width, times(heads.expr, size.expr)))


def attend(given: Given) -> Tensor:
    """Three [batch, heads, time, size] to one, as long as the queries."""
    query, key, value = (tensor(given, name) for name in ("query", "key", "value"))
    if not query.rank == key.rank == value.rank == 4:
        raise ShapeError(
            f"attend needs three tensors (batch, heads, time, size), but gets "
            f"{query}, {key} and {value}"
        )
    for one in (query, key, value):
        need_fractions("attend", one)
    if not same(query.width, key.width):
        raise ShapeError(f"queries {query} and keys {key} differ in their last axis")
    if not same(key.dims[2], value.dims[2]):
        raise ShapeError(f"keys {key} and values {value} differ in number")
    _check_heads(query, key, value)
    weights = query.like(*query.dims[:3], key.dims[2])
    _check_mask(given["mask"], weights)
    _check_options(given, weights)
    roots = query.roots | key.roots | value.roots
    return Tensor((*query.dims[:3], value.width), "float", roots, along=query.along)


def _check_heads(query: Tensor, key: Tensor, value: Tensor) -> None:
    if not same(key.dims[1], value.dims[1]):
        raise ShapeError(f"keys {key} and values {value} differ in their heads")
    heads, shared = query.dims[1].value, key.dims[1].value
    if heads and shared and heads % shared:
        raise ShapeError(
            f"queries {query} have {heads} heads, but keys {key} have {shared}",
            "the number of key heads divides that of query heads: each serves several",
        )


def shares_heads(given: Given) -> bool:
    """Whether each head of the keys serves several of the queries.

    Grouped-query attention (Ainslie et al., 2023); one head for all is multi-query
    attention (Shazeer, 2019).
    """
    query, key = given.get("query"), given.get("key")
    if not isinstance(query, Tensor) or not isinstance(key, Tensor):
        return False
    return not (query.dims[1].value == key.dims[1].value or key.dims[1].value is None)


def attention_softmax(given: Given) -> Tensor:
    """Logits [batch, heads, queries, keys] to weights of the same shape."""
    logits = tensor(given, "logits")
    if logits.rank != 4:
        raise ShapeError(
            f"attention logits are (batch, heads, queries, keys), but here {logits}"
        )
    need_fractions("attention_softmax", logits)
    _check_mask(given["mask"], logits)
    _check_window(given["window"])
    _check_sink(given["sink"], logits)
    return logits.like(*logits.dims)


def observe(given: Given) -> Tensor:
    """Weights [batch, heads, queries, keys], as they are: the map of the define."""
    weights = tensor(given, "weights")
    if weights.rank != 4 or weights.dtype != "float":
        what = "a mask" if weights.dtype == "bool" else str(weights)
        raise ShapeError(f"a map is numbers (batch, heads, queries, keys), not {what}")
    if weights.dims[0].value is not None:
        raise ShapeError(
            f"a map has one part for each example, but {weights} has no batch axis",
            "`weights + 0 * logits` has one, where the logits come from the input",
        )
    _check_mask(given["mask"], weights)
    promise_of(given)
    return weights.like(*weights.dims)


def promise_of(given: Given) -> Rows:
    """What the rows of the weights promise: a softmax's, unless `rows` says more.

    A sink takes its part of each row, and is not a key.
    """
    if isinstance(given.get("sink"), Tensor):
        return PARTS
    rows = given.get("rows", Static(SHARES))
    if isinstance(rows, Static) and isinstance(rows.expr, tree.Literal | None):
        for promise in ROWS:
            if rows.value == promise:
                return promise
    words = ", ".join(f'"{promise}"' for promise in ROWS)
    what = written(rows) if isinstance(rows, Static) else "a tensor"
    raise ShapeError(f"`rows` is written out as one of {words}, not {what}")


def _check_options(given: Given, weights: Tensor) -> None:
    """What is added to the logits, or bounds them."""
    _check_window(given["window"])
    _check_positive(given["scale"], "scale", "a `scale` per head multiplies the query")
    _check_positive(given["cap"], "cap", "Gemma 2 has a `cap` of 50")
    _check_bias(given["bias"], weights)
    _check_sink(given["sink"], weights)


def _check_window(window: Value) -> None:
    if isinstance(window, Static) and window.value is None:
        return
    steps = whole({"window": window}, "window")
    if steps.value is None:
        raise ShapeError(
            "`window` must be known when compiling, but a length is not",
            "without `window`, all keys are seen",
        )
    if steps.value < 1:
        raise ShapeError(
            f"a window of {steps.value} steps shows nothing",
            "a query sees keys fewer than `window` steps away: with 1, only its own",
        )


def _check_positive(value: Value, name: str, hint: str) -> None:
    if isinstance(value, Static):
        number = value.value
        if number is None:
            return
        if isinstance(number, int | float) and not isinstance(number, bool):
            if number > 0:
                return
    what = written(value) if isinstance(value, Static) else "a tensor"
    raise ShapeError(f"`{name}` must be a number above 0, not {what}", hint)


def _check_bias(bias: Value, weights: Tensor) -> None:
    """For each pair, or for each head and distance."""
    if isinstance(bias, Static) and bias.value is None:
        return
    _, heads, queries, keys = weights.dims
    distances = distances_between(queries, keys)
    expected = {4: weights.dims, 2: (heads, distances)}
    if (
        not isinstance(bias, Tensor)
        or bias.dtype != "float"
        or not (bias.rank in expected and _stretches(bias.dims, expected[bias.rank]))
    ):
        what = bias if isinstance(bias, Tensor) else written(bias)
        raise ShapeError(
            f"a bias of shape {what} does not fit weights {weights}",
            f"it is numbers, one for each pair {weights}, or for each distance: "
            f"({heads}, {distances}), such as `slopes * relative_positions(query, key)`"
            f" with slopes ({heads}, 1)",
        )


def _check_sink(sink: Value, weights: Tensor) -> None:
    if isinstance(sink, Static) and sink.value is None:
        return
    heads = weights.dims[1]
    if (
        not isinstance(sink, Tensor)
        or sink.dtype != "float"
        or not (
            sink.rank == 1
            and _stretches(sink.dims, (heads,))
            and (sink.dims[0].value != 1 or heads.value == 1)
        )
    ):
        what = sink if isinstance(sink, Tensor) else written(sink)
        raise ShapeError(
            f"a sink is one logit for each head, ({heads}), not {what}",
            f"`reshape(x, ({heads},))` makes one of as many numbers",
        )


def _stretches(dims: tuple[Dim, ...], to: tuple[Dim, ...]) -> bool:
    """Whether axes broadcast to others; a batch meets a batch alone."""
    return all(
        one.value == 1
        or (same(one, other) and (one.label == BATCH) <= (other.label == BATCH))
        for one, other in zip(dims, to, strict=True)
    )


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


def padding_mask(given: Given) -> Tensor:
    """Ids or flags [batch, time] to a mask [batch, 1, 1, time]."""
    values = tensor(given, "values")
    if values.rank != 2:
        raise ShapeError(f"padding_mask needs (batch, time), but gets {values}")
    batch, time = values.dims
    return values.like(batch, Dim(1), Dim(1), time, dtype="bool")


def edge_mask(given: Given) -> Tensor:
    """[batch, nodes, nodes] to a mask [batch, 1, nodes, nodes]."""
    adjacency = tensor(given, "adjacency")
    if adjacency.rank != 3:
        raise ShapeError(f"edge_mask needs (batch, nodes, nodes), but gets {adjacency}")
    batch, queries, keys = adjacency.dims
    return adjacency.like(batch, Dim(1), queries, keys, dtype="bool")
