"""Rows of layers that several backends write alike."""

from __future__ import annotations

from neural_attn.backends.emit.base import Row

BOTH = "Bidirectional"  # before the name of a recurrent layer

UPSAMPLING = {
    "UpSampling1D": Row("", "upsample({x}, {size})"),
    "UpSampling2D": Row("", "upsample({x}, {size}, {interpolation})"),
    "UpSampling3D": Row("", "upsample({x}, {size})"),
}
OPERATORS = {
    "Subtract": Row("", "{x} - {y}"),
    "Multiply": Row("", "{x} * {y}"),
    "Average": Row("", "({total}) / {count}"),
}
DOT = Row("", "batch_dot({x}, {y}, {axes}, normalize={normalize})")


def extremes(module: str) -> dict[str, Row]:
    """Merges by a function of NumPy's name in `module`."""
    return {
        "Maximum": Row("", f"{module}.maximum({{x}}, {{y}})"),
        "Minimum": Row("", f"{module}.minimum({{x}}, {{y}})"),
    }


_GATED = ("LSTM", "GRU")
_OPTIONS = (
    "use_bias={use_bias}, return_sequences={return_sequences}, dropout={dropout}, "
    "recurrent_dropout={recurrent_dropout}"
)
_OMIT = (
    "use_bias=True",
    "return_sequences=False",
    "go_backwards=False",
    "dropout=0.0",
    "dropout=0",
    "recurrent_dropout=0.0",
    "recurrent_dropout=0",
    "reset_after=True",
)


def _options(name: str) -> str:
    """The arguments that the class of a layer takes on any backend."""
    options = "activation={activation}, "
    if name in _GATED:
        options += "recurrent_activation={recurrent_activation}, "
    if name == "GRU":
        options += "reset_after={reset_after}, "
    return options + _OPTIONS


def recurrent_rows(
    make: str, tanh: str, sigmoid: str, call: str = "{layer}({x}, {attention_mask})"
) -> dict[str, Row]:
    """Rows whose class is named as the layer; `make` has a place for its options."""
    omit = (*_OMIT, f"activation={tanh}", f"recurrent_activation={sigmoid}")
    rows = {}
    for name in ("SimpleRNN", *_GATED):
        for both in (False, True):
            options = _options(name)
            options += (
                ", merge_mode={merge_mode}"
                if both
                else (", go_backwards={go_backwards}")
            )
            rows[f"Bidirectional{name}" if both else name] = Row(
                f"{name}({make}, {options})",
                call,
                unmasked="{layer}({x})",
                takes_none=True,
                omit=omit,
            )
    return rows
