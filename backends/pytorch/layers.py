"""PyTorch rows: the classes stand in `runtime/`."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.emit.base import VARIES, Row, RowRule, sloped, starting
from neural_attn.backends.emit.rows import (
    BOTH,
    DOT,
    OPERATORS,
    STATES,
    UPSAMPLING,
    convolution_rows,
    extremes,
    pooling_rows,
    recurrent_rows,
)

CONVOLUTIONS = convolution_rows(
    "{in_features}, ", "bias={use_bias})", "stride", "dilation"
)


def _adaptive(function: str) -> str:
    pool = f"F.adaptive_{function}_pool{{axes}}d"
    return f"{pool}({{x}}.movedim(-1, 1), {{output_size}}).movedim(1, -1)"


POOLING = pooling_rows(
    "{kind}Pooling",
    "stride",
    average=("{x}.mean(dim={axes})", _adaptive("avg")),
    top=("{x}.amax(dim={axes})", _adaptive("max")),
)

NORMALIZATION = {
    "BatchNormalization": Row(
        "BatchNormalization({in_features}, eps={epsilon}, momentum={momentum})"
    ),
    "GroupNormalization": Row(
        "GroupNormalization({groups}, {in_features}, eps={epsilon})"
    ),
    "InstanceNormalization": Row(
        "GroupNormalization({in_features}, {in_features}, eps={epsilon})"
    ),
}

ARRANGING = {
    **UPSAMPLING,
    "Permute": Row("", "permute({x}, {dims})"),
    **{f"SpatialDropout{axes}D": Row("SpatialDropout({rate})") for axes in (1, 2, 3)},
    "GaussianNoise": Row("GaussianNoise({stddev})"),
    **OPERATORS,
    **extremes("torch"),
    "Concatenate": Row("", "torch.cat([{operands}], dim={axis})"),
    "Dot": DOT,
}

_TORCH = recurrent_rows("{in_features}, {units}", "torch.tanh", "torch.sigmoid")
_MODULES = {"SimpleRNN": "nn.RNN", "LSTM": "nn.LSTM", "GRU": "nn.GRU"}


def _torch_rule(name: str) -> RowRule:
    """PyTorch's own module where it serves, else the class of the runtime."""
    plain = name.removeprefix(BOTH)
    module = f"{_MODULES[plain]}({{in_features}}, {{units}}, bias={{use_bias}}, "
    module += "batch_first=True" + (", bidirectional=True)" if plain != name else ")")

    def row(known: Mapping[str, object]) -> Row:
        if not _is_plain(known):
            return _TORCH[name]
        merge, whole = known.get("merge_mode"), known["return_sequences"]
        options = ", return_sequences=True" if whole else ""
        options += f', merge_mode="{merge}"' if merge not in (None, "concat") else ""
        stateful = f"run_with_states({{layer}}, {{x}}, {STATES}{_options(known)})"
        unmasked = "{layer}({x})[0]" + ("" if whole else "[:, -1]")
        if plain != name and not (whole and merge == "concat"):
            unmasked = f"run_recurrence({{layer}}, {{x}}{options})"
        return Row(
            module,
            f"run_recurrence({{layer}}, {{x}}, {{attention_mask}}{options})",
            unmasked=unmasked,
            takes_none=True,
            omit=("bias=True",),
            stateful=stateful if known["return_state"] else f"{stateful}[0]",
        )

    return row


def _options(known: Mapping[str, object]) -> str:
    """The options of `run_with_states`, whose merge mode is none for one way."""
    merge = known.get("merge_mode")
    options = ", return_sequences=True" if known["return_sequences"] else ""
    return options + (f', merge_mode="{merge}"' if merge else "")


def _is_plain(known: Mapping[str, object]) -> bool:
    """Whether the options are those that PyTorch's own modules have."""
    usual = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "dropout": 0,
        "recurrent_dropout": 0,
        "reset_after": True,
        "go_backwards": False,
    }
    decide = ("return_sequences", "return_state", "merge_mode")
    settled = all(known.get(name) is not VARIES for name in decide)
    return settled and all(
        known[name] == value for name, value in usual.items() if name in known
    )


RECURRENT: dict[str, RowRule] = {name: _torch_rule(name) for name in _TORCH}

_LINEAR = Row(
    "nn.Linear({in_features}, {units}, bias={use_bias})",
    activates=True,
    omit=("bias=True",),
)

CORE: dict[str, Row | RowRule] = {
    "Dense": _LINEAR,
    "Output": _LINEAR,
    "Activation": sloped(
        Row("", "{function}({x})"),
        leaky_relu=Row("", "F.leaky_relu({x}, {alpha})"),
        elu=Row("", "F.elu({x}, {alpha})"),
    ),
    "Cache": Row("Cache()"),
    "Weight": starting(
        {
            "zeros": Row("nn.Parameter(torch.zeros({each_of_shape}))", "{layer}"),
            "ones": Row("nn.Parameter(torch.ones({each_of_shape}))", "{layer}"),
            "normal": Row(
                "nn.Parameter(0.02 * torch.randn({each_of_shape}))", "{layer}"
            ),
        },
        Row("nn.Parameter(torch.full({shape}, {number}))", "{layer}"),
    ),
    "Dropout": Row("nn.Dropout({rate})"),
    "Embedding": Row("nn.Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
    "LayerNormalization": Row("nn.LayerNorm({in_features}, eps={epsilon})"),
    "Flatten": Row("", "torch.flatten({x}, 1)"),
    "Reshape": Row("", "{x}.flatten(1).unflatten(1, {target_shape})"),
}

LAYERS: dict[str, Row | RowRule] = {
    **CORE,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATION,
    **ARRANGING,
    **RECURRENT,
}
