"""Layers that are refused by name: what each is, and what to write instead."""

from __future__ import annotations

_EQUATIONS = "write its equations: `define MyLayer() { forward(x): return … }`"
_NO_MEANING = "the name means different things in different sources"
_STEPS = (
    "TimeDistributed(Conv2D(…)), TimeDistributed(Flatten()), then a recurrent layer"
)


def _cell(layer: str) -> tuple[str, str]:
    return (
        f"it is a single step of {layer}, but a chain has no state to give it",
        f"write `{layer}(units)`, which runs over all steps",
    )


def _wrapper(layer: str) -> tuple[str, str]:
    return (
        f"it is {layer} with dropout under another name",
        f"write `{layer}(units, dropout=0.2)`",
    )


# name: (why it is refused, what to do)
_REFUSED = {
    "Lambda": ("code from a file is not run, for it could do anything", _EQUATIONS),
    "LSTMCell": _cell("LSTM"),
    "GRUCell": _cell("GRU"),
    "SimpleRNNCell": _cell("SimpleRNN"),
    "LSTMDropoutWrapper": _wrapper("LSTM"),
    "GRUDropoutWrapper": _wrapper("GRU"),
    "SimpleRNNDropoutWrapper": _wrapper("SimpleRNN"),
    "ConvLSTM2D": ("PyTorch has no such layer to agree with", _STEPS),
    "ConvGRU2D": ("neither PyTorch nor Keras has such a layer", _STEPS),
    "ResidualConnection": (
        "the layers it is a residual around go in its braces, but there are none",
        "write `ResidualConnection { Dense(8) }`; `Add()` is a residual around the "
        "layers before it",
    ),
    "GraphConv": (
        "libraries sum over neighbours in different ways under this name",
        "write `GraphAttention(num_heads=4)`, or a `define` with the sum that you want",
    ),
    "CustomShape": (
        "shapes follow from the layers themselves",
        "leave it out, or give the layer a size of its own",
    ),
    "QuantumLayer": ("it needs a quantum circuit, which no file describes", _EQUATIONS),
    "CapsuleLayer": (f"{_NO_MEANING}, and routing is no fixed layer", _EQUATIONS),
    "DynamicLayer": (_NO_MEANING, _EQUATIONS),
    "Inception": (
        "its branches and their widths differ from version to version",
        "write a `define` with a Conv2D for each branch and `concatenate([…])`",
    ),
    "SqueezeExcitation": (
        "its two activations and its width differ from source to source",
        "write a `define`: GlobalAveragePooling2D, two Dense, then a product",
    ),
}
_BY_NAME = {name.lower(): (name, *said) for name, said in _REFUSED.items()}


def refusal(name: str) -> tuple[str, str] | None:
    """Why there is no layer of this name, and what to do; None for other names."""
    found = _BY_NAME.get(name.lower())
    return found and (f"there is no `{found[0]}` here: {found[1]}", found[2])
