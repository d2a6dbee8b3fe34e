"""The functions that equations may use: what they take and what shape they give.

Their meaning in each framework stands in `backends/`; here is all that the compiler
must know to check an equation before any framework is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neural_attn.catalogue import array_rules as arrays
from neural_attn.catalogue import attention_rules as attention
from neural_attn.catalogue import position_rules as positions
from neural_attn.catalogue.base import SIZE, Kind
from neural_attn.catalogue.function_arguments import Given
from neural_attn.catalogue.types import ShapeError, Static, Tensor, Value
from neural_attn.promises import ROWS, SHARES


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


def _elementwise(name: str) -> Callable[[Given], Value]:
    def rule(given: Given) -> Value:
        x = given["x"]
        if isinstance(x, Tensor):
            return arrays.each_number(name, x)
        return arrays.of_numbers(name, x)

    return rule


def _of_two(name: str) -> Callable[[Given], Value]:
    def rule(given: Given) -> Value:
        x, y = given["x"], given["y"]
        if isinstance(x, Static) and isinstance(y, Static):
            return arrays.of_numbers(name, x, y)
        return arrays.both(given)

    return rule


def _over_axis(name: str, rule: Callable[[Given], Value]) -> Callable[[Given], Value]:
    def hinting(given: Given) -> Value:
        try:
            return rule(given)
        except ShapeError as error:
            error.hint = error.hint or arrays.hint_on_axes(name, given)
            raise

    return hinting


OBSERVE = "observe"  # its argument is the map of the define
_NONE = Static(None)
_FALSE = Static(False)
_LAST = Static(-1)
_WINDOW = Kind("int", minimum=1, maximum=2**40, optional=True)


def _primitive(
    rule: Callable[[Given], Value],
    doc: str,
    /,
    computes_attention: bool = False,
    kinds: Mapping[str, Kind] | None = None,
    **parameters: Static | None,
) -> Primitive:
    return Primitive("", parameters, rule, doc, kinds or {}, computes_attention)


def _named(table: dict[str, Primitive]) -> dict[str, Primitive]:
    return {
        name: Primitive(name, p.parameters, p.rule, p.doc, p.kinds, p.is_attention)
        for name, p in table.items()
    }


PRIMITIVES = _named(
    {
        "attend": _primitive(
            attention.attend,
            "Scaled dot-product attention: the mean of the values under its weights.",
            computes_attention=True,
            kinds={"causal": Kind("bool"), "window": _WINDOW},
            query=None,
            key=None,
            value=None,
            mask=_NONE,
            causal=_FALSE,
            window=_NONE,
            bias=_NONE,
            scale=_NONE,
            cap=_NONE,
            sink=_NONE,
            dropout=_NONE,
        ),
        "attention_softmax": _primitive(
            attention.attention_softmax,
            "Attention weights from logits; masked keys get exactly 0.",
            computes_attention=True,
            kinds={"causal": Kind("bool"), "window": _WINDOW},
            logits=None,
            mask=_NONE,
            causal=_FALSE,
            window=_NONE,
            sink=_NONE,
        ),
        OBSERVE: _primitive(
            attention.observe,
            "The weights as they are, which become the map of the define.",
            computes_attention=True,
            kinds={"causal": Kind("bool"), "rows": Kind("str", choices=ROWS)},
            weights=None,
            mask=_NONE,
            causal=_FALSE,
            rows=Static(SHARES),
        ),
        "split_heads": _primitive(
            attention.split_heads,
            "[batch, time, heads * size] to [batch, heads, time, size].",
            kinds={"num_heads": SIZE},
            x=None,
            num_heads=None,
        ),
        "merge_heads": _primitive(
            attention.merge_heads, "The reverse of split_heads.", x=None
        ),
        "padding_mask": _primitive(
            attention.padding_mask,
            "True where ids or flags are not 0.",
            values=None,
        ),
        "edge_mask": _primitive(
            attention.edge_mask,
            "True where an edge leads from i to j.",
            adjacency=None,
        ),
        "position_ids": _primitive(
            positions.position_ids,
            "The positions 0, 1, … of axis 1, as ids.",
            x=None,
        ),
        "positions": _primitive(
            positions.positions,
            "The same as [1, time], continued from steps that a Cache keeps; or "
            "[batch, time], of the steps that a mask shows.",
            x=None,
            mask=_NONE,
        ),
        "length": _primitive(positions.length, "The length of axis 1.", x=None),
        "arange": _primitive(
            positions.arange,
            "The numbers 0 … n-1, in the type of `like`.",
            n=None,
            like=None,
        ),
        "zeros": _primitive(
            positions.zeros,
            "Zeros of a shape, such as (1, 1, 8), in the type of `like`.",
            shape=None,
            like=None,
        ),
        "relative_positions": _primitive(
            positions.relative_positions,
            "Where keys are, seen from queries: 1 - keys … queries - 1, for a bias.",
            query=None,
            key=None,
        ),
        "transpose": _primitive(
            positions.transpose, "Swaps the last two axes.", x=None
        ),
        "reshape": _primitive(
            positions.reshape,
            "The same numbers in another shape.",
            x=None,
            shape=None,
        ),
        "fold_time": _primitive(
            positions.fold_time,
            "[batch, time, …] to [batch * time, …]: each step alone.",
            x=None,
        ),
        "unfold_time": _primitive(
            positions.unfold_time,
            "The reverse of fold_time, to the batch and time of `like`.",
            x=None,
            like=None,
        ),
        "stack": _primitive(
            positions.stack, "Joins tensors along a new last axis.", items=None
        ),
        "concatenate": _primitive(
            arrays.joined, "Joins tensors along an axis.", items=None, axis=_LAST
        ),
        "repeat": _primitive(
            arrays.repeated,
            "One step of an axis as often as `like` is long there; 0: each example.",
            x=None,
            like=None,
            axis=Static(0),
        ),
        "slice": _primitive(
            arrays.cut,
            "The steps of an axis from `start` to before `stop`.",
            x=None,
            start=None,
            stop=_NONE,
            axis=_LAST,
        ),
        "split": _primitive(
            arrays.parts,
            "Parts of an axis: `a, b = split(x, 2)`, or of given sizes, `(8, 4)`.",
            x=None,
            parts=None,
            axis=_LAST,
        ),
        "weight": _primitive(
            arrays.of_layer,
            "The matrix of a layer, to use again: `x @ transpose(weight(token))`.",
            layer=None,
        ),
        "scan": _primitive(
            arrays.of_layer,
            "A layer at each step of x in turn: "
            "`y, state = scan(step, x, state, …, mask=…)`.",
            step=None,
            x=None,
            state=None,
            mask=_NONE,
        ),
        "cast": _primitive(
            arrays.cast,
            "The numbers of `x`, or 1 and 0 of a mask, in the type of `like`.",
            x=None,
            like=None,
        ),
        "single": _primitive(
            arrays.single,
            "x in single precision, where it is in half, which cannot hold 257.",
            x=None,
        ),
        "where": _primitive(
            arrays.where,
            "`x` where the mask is true, else `y`.",
            mask=None,
            x=None,
            y=None,
        ),
        "top_k": _primitive(
            arrays.largest,
            "True at the k largest of the last axis; of equal ones, at the first.",
            x=None,
            k=None,
        ),
        "minimum": _primitive(
            _of_two("minimum"), "The smaller of the two.", x=None, y=None
        ),
        "maximum": _primitive(
            _of_two("maximum"), "The larger of the two.", x=None, y=None
        ),
        "sum": _primitive(
            _over_axis("sum", arrays.reduced),
            "The sum over an axis, which is kept.",
            x=None,
            axis=_LAST,
        ),
        "mean": _primitive(
            _over_axis("mean", arrays.averaged),
            "The mean over an axis, which is kept.",
            x=None,
            axis=_LAST,
        ),
        "max": _primitive(
            _over_axis("max", arrays.reduced),
            "The greatest over an axis, which is kept.",
            x=None,
            axis=_LAST,
        ),
        "min": _primitive(
            _over_axis("min", arrays.reduced),
            "The least over an axis, which is kept.",
            x=None,
            axis=_LAST,
        ),
        "cumsum": _primitive(
            arrays.running, "The sum up to each step of an axis.", x=None, axis=_LAST
        ),
        "sqrt": _primitive(_elementwise("sqrt"), "Square root.", x=None),
        "exp": _primitive(_elementwise("exp"), "e to the power x.", x=None),
        "log": _primitive(_elementwise("log"), "Natural logarithm.", x=None),
        "sin": _primitive(_elementwise("sin"), "Sine.", x=None),
        "cos": _primitive(_elementwise("cos"), "Cosine.", x=None),
        "tanh": _primitive(_elementwise("tanh"), "Hyperbolic tangent.", x=None),
        "floor": _primitive(
            _elementwise("floor"), "Rounded down to a whole number.", x=None
        ),
        "softmax": _primitive(
            arrays.fractions,
            "Probabilities over the last axis; attention_softmax makes attention maps.",
            x=None,
        ),
        **{
            name: _primitive(arrays.fractions, f"{words}, as in Activation.", x=None)
            for name, words in {
                "relu": "Rectified linear",
                "gelu": "Gaussian error linear",
                "gelu_tanh": "Its approximation by tanh",
                "silu": "x sigmoid(x)",
                "sigmoid": "Logistic",
                "softplus": "ln(1 + e^x)",
            }.items()
        },
        "abs": _primitive(_elementwise("abs"), "The value without its sign.", x=None),
    }
)
