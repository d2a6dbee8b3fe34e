"""Rows of layers that several backends write alike."""

from __future__ import annotations

from dataclasses import replace

from neural_attn.backends.emit.base import Row

BOTH = "Bidirectional"  # before the name of a recurrent layer

UPSAMPLING = {
    "UpSampling1D": Row("", "upsample({x}, {size})"),
    "UpSampling2D": Row("", "upsample({x}, {size}, {interpolation})"),
    "UpSampling3D": Row("", "upsample({x}, {size})"),
}
OPERATORS = {
    "Add": Row("", "{x} + {residual}"),
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


_USUAL = (
    'padding="valid"',
    "groups=1",
    "depth_multiplier=1",
    'activation="linear"',
    "use_bias=True",
    "bias=True",
)


def convolution_rows(
    first: str, last: str, stride: str, dilation: str, *, module: str = ""
) -> dict[str, Row]:
    """Convolutions: the first and last arguments, and the framework's words.

    The classes are the runtime's, or those of `module`, but for the depthwise ones.
    """
    window = f"{{kernel_size}}, {stride}={{strides}}, padding={{padding}}, "
    sliding = f"{window}{dilation}={{dilation_rate}}, "
    made = {}
    for axes in (1, 2, 3):
        name, start = f"Conv{axes}D", f"{module}Conv{axes}D"
        made[name] = f"{start}({first}{{filters}}, {sliding}groups={{groups}}, {last}"
        made[f"{name}Transpose"] = (
            f"{start}Transpose({first}{{filters}}, {window}{last}"
        )
        made[f"Depthwise{name}"] = (
            f"Depthwise{name}({first}{sliding}"
            f"depth_multiplier={{depth_multiplier}}, {last}"
        )
    del made["DepthwiseConv3D"]  # no framework has it
    usual = (f"{stride}=1", f"{dilation}=1", *_USUAL)
    activates = "{activation}" not in last
    masked = "{layer}(hide_steps({x}, {attention_mask}))"
    rows = {}
    for name, make in made.items():
        rows[name] = Row(make, activates=activates, omit=usual)
        if name in ("Conv1D", "DepthwiseConv1D"):
            rows[name] = replace(rows[name], call=masked, unmasked=rows[name].call)
    return rows


def pooling_rows(
    window: str, stride: str, average: tuple[str, str], top: tuple[str, str]
) -> dict[str, Row]:
    """Poolings: the class of those by windows, which may name `{kind}` and `{axes}`.

    The pairs are calls: over whole `{axes}`, and to a given size on `{axes}` axes.
    """
    rows = {}
    for kind, (whole, adaptive), masked in (
        ("Average", average, "masked_mean({x}, {attention_mask})"),
        ("Max", top, "masked_max({x}, {attention_mask})"),
    ):
        for axes, over in (("1", "1"), ("2", "(1, 2)"), ("3", "(1, 2, 3)")):
            made = window.replace("{kind}", kind).replace("{axes}", axes)
            rows[f"{kind}Pooling{axes}D"] = Row(
                f"{made}({{pool_size}}, {stride}={{strides}}, padding={{padding}})",
                omit=(f"{stride}=None", 'padding="valid"'),
            )
            call = whole.replace("{axes}", over)
            rows[f"Global{kind}Pooling{axes}D"] = (
                Row("", masked, unmasked=call) if axes == "1" else Row("", call)
            )
            rows[f"Adaptive{kind}Pooling{axes}D"] = Row(
                "", adaptive.replace("{axes}", axes)
            )
    return rows


_GATED = ("LSTM", "GRU")
# a call from states, which may be None as the mask may
STATES = "mask={attention_mask}, initial_state={initial_state}"
_OPTIONS = (
    "use_bias={use_bias}, return_sequences={return_sequences}, "
    "return_state={return_state}, dropout={dropout}, "
    "recurrent_dropout={recurrent_dropout}"
)
_OMIT = (
    "use_bias=True",
    "return_sequences=False",
    "return_state=False",
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
                stateful=f"{{layer}}({{x}}, {STATES})",
            )
    return rows
