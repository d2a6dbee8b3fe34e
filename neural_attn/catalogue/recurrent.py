"""Recurrent layers, in one direction of time and in both.

Weights are named and laid out as PyTorch's: `weight_ih_l0` [gates * units, width],
`weight_hh_l0` [gates * units, units], two biases [gates * units], and the same with
`_reverse` for the way back. The gates stand in PyTorch's order: input, forget, cell,
output in an LSTM (Hochreiter and Schmidhuber, 1997), reset, update, new in a GRU
(Cho et al., 2014).

Where a padding mask arrives, padded steps leave the state as it is and give 0.

States are sequences of one step, [batch, 1, units], as `scan` and the cells have them:
the hidden state, of an LSTM the cell's, and then those of the way back.
"""

from __future__ import annotations

from neural_attn.catalogue.base import (
    ACTIVATION,
    FLAG,
    INITIAL_STATE,
    RATE,
    SIZE,
    Arguments,
    Kind,
    NativeLayer,
    Parameter,
    ShapeRule,
    Weight,
    WeightRule,
    initializer,
    need_numbers,
    width_features,
)
from neural_attn.catalogue.types import Dim, ShapeError, Tensor

_MERGE = Kind("str", choices=("concat", "sum", "mul", "ave"))
_UNITS = Parameter("units", SIZE, "width of the state and of the output")
_ACTIVATION = Parameter(
    "activation", ACTIVATION, "activation of the state update", "tanh"
)
_GATES = Parameter(
    "recurrent_activation", ACTIVATION, "activation of the gates", "sigmoid"
)
_COMMON = (
    Parameter("use_bias", FLAG, "whether biases are added", True, ("bias",)),
    Parameter(
        "return_sequences", FLAG, "every step is returned, not only the last", False
    ),
    Parameter("return_state", FLAG, "the states after the last step follow", False),
    Parameter("dropout", RATE, "share of the input set to zero in training", 0.0),
    Parameter(
        "recurrent_dropout", RATE, "share of the state set to zero in training", 0.0
    ),
    Parameter(
        "stateful",
        FLAG,
        "accepted; each call starts from zeros",
        False,
        needless="each call starts from a state of zeros",
    ),
    Parameter(
        "unroll",
        FLAG,
        "accepted; it would change only the speed",
        False,
        needless="how the loop runs changes only the speed",
    ),
    initializer("kernel_initializer", "glorot_uniform"),
    initializer("recurrent_initializer", "orthogonal"),
    initializer("bias_initializer", "zeros"),
)
_BACKWARDS = Parameter(
    "go_backwards", FLAG, "steps are read, and returned, from last to first", False
)
_RESET_AFTER = Parameter(
    "reset_after", FLAG, "the reset gate acts after the recurrent matrix", True
)
_MERGE_MODE = Parameter(
    "merge_mode", _MERGE, "how the two directions are merged", "concat"
)


def _sequence(name: str, x: Tensor) -> None:
    """Refuse what is not a sequence of vectors. Raises ShapeError."""
    need_numbers(name, x)
    if x.rank != 3:
        if x.rank > 3:
            hint = "TimeDistributed(Flatten()) before it makes each step one vector"
        elif x.uid in x.roots:
            hint = "write `input: (time, width)`; token ids go to an Embedding first"
        else:
            hint = "a recurrent layer before it keeps the time axis by "
            hint += "return_sequences=true"
        raise ShapeError(f"{name} needs (batch, time, width), but gets {x}", hint)
    if x.width.value is None:
        raise ShapeError(f"{name} needs a known width, but gets {x}")


def _shape(name: str) -> ShapeRule:
    def shape(arguments: Arguments, inputs: list[Tensor]) -> Tensor:
        (x,) = inputs
        _sequence(name, x)
        both = arguments.get("merge_mode") == "concat"
        width = Dim(arguments["units"] * (2 if both else 1))
        if arguments["return_sequences"]:
            along = None if arguments.get("go_backwards") else x.along
            return x.like(x.dims[0], x.dims[1], width).at(along)
        return x.like(x.dims[0], width)

    return shape


def _weights(gates: int) -> WeightRule:
    def weights(arguments: Arguments, inputs: list[Tensor]) -> tuple[Weight, ...]:
        units, width = arguments["units"], inputs[0].width.value or 0
        found = []
        for ending in ("", "_reverse") if "merge_mode" in arguments else ("",):
            found.append(Weight(f"weight_ih_l0{ending}", (gates * units, width)))
            found.append(Weight(f"weight_hh_l0{ending}", (gates * units, units)))
            if arguments["use_bias"]:
                for side in ("ih", "hh"):
                    bias = f"bias_{side}_l0{ending}"
                    found.append(Weight(bias, (gates * units,), "zeros"))
        return tuple(found)

    return weights


def _recurrence(
    kind: str, gates: int, doc: str, *own: Parameter
) -> tuple[NativeLayer, NativeLayer]:
    """A recurrent layer, and the same in both directions."""
    gated = (_GATES,) if gates > 1 else ()
    ahead = ("hidden", "cell") if kind == "LSTM" else ("hidden",)

    def layer(
        name: str, doc: str, last: Parameter, states: tuple[str, ...]
    ) -> NativeLayer:
        return NativeLayer(
            name,
            doc,
            (_UNITS, _ACTIVATION, *gated, *_COMMON, *own, last),
            _shape(name.replace(f"Bidirectional{kind}", f"Bidirectional({kind})")),
            _weights(gates),
            width_features,
            inputs=("x", "attention_mask?", f"{INITIAL_STATE}?"),
            keeps_time="return_sequences",
            states=states,
        )

    both = f"{kind} in both directions of time; written Bidirectional({kind}(…))."
    back = tuple(f"{state}_back" for state in ahead)
    return (
        layer(kind, doc, _BACKWARDS, ahead),
        layer(f"Bidirectional{kind}", both, _MERGE_MODE, ahead + back),
    )


RECURRENT = (
    *_recurrence(
        "SimpleRNN", 1, "Reads step by step: its output is its state (Elman, 1990)."
    ),
    *_recurrence(
        "GRU", 3, "Reads step by step, its state controlled by two gates.", _RESET_AFTER
    ),
    *_recurrence(
        "LSTM", 4, "Reads step by step, with a cell controlled by three gates."
    ),
)

# what `Bidirectional(…)` takes, and the layer that it stands for
BIDIRECTIONAL = {
    name.removeprefix("Bidirectional").lower(): name
    for name in (layer.name for layer in RECURRENT)
    if name.startswith("Bidirectional")
}
