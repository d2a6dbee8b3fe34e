"""PyTorch rows: the classes stand in `runtime/`."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.emit.base import VARIES, Row, RowRule, sloped
from neural_attn.backends.emit.rows import (
    BOTH,
    DOT,
    OPERATORS,
    UPSAMPLING,
    extremes,
    recurrent_rows,
)

_DEFAULTS = (
    "stride=1",
    'padding="valid"',
    "dilation=1",
    "groups=1",
    "depth_multiplier=1",
    "bias=True",
)
_SLIDING = (
    "{kernel_size}, stride={strides}, padding={padding}, dilation={dilation_rate}, "
)


def _weighted(made: str) -> Row:
    return Row(made, activates=True, omit=_DEFAULTS)


CONVOLUTIONS = {
    **{
        f"Conv{axes}D": _weighted(
            f"Conv{axes}D({{in_features}}, {{filters}}, {_SLIDING}"
            "groups={groups}, bias={use_bias})"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"Conv{axes}DTranspose": _weighted(
            f"Conv{axes}DTranspose({{in_features}}, {{filters}}, {{kernel_size}}, "
            "stride={strides}, padding={padding}, bias={use_bias})"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"DepthwiseConv{axes}D": _weighted(
            f"DepthwiseConv{axes}D({{in_features}}, {_SLIDING}"
            "depth_multiplier={depth_multiplier}, bias={use_bias})"
        )
        for axes in (1, 2)
    },
}


def _adaptive(function: str, axes: int) -> str:
    pool = f"F.adaptive_{function}_pool{axes}d"
    return f"{pool}({{x}}.movedim(-1, 1), {{output_size}}).movedim(1, -1)"


POOLING = {
    **{
        f"{kind}Pooling{axes}D": Row(
            f"{kind}Pooling({{pool_size}}, stride={{strides}}, padding={{padding}})",
            omit=("stride=None", 'padding="valid"'),
        )
        for kind in ("Max", "Average")
        for axes in (1, 2, 3)
    },
    "GlobalAveragePooling2D": Row("", "{x}.mean(dim=(1, 2))"),
    "GlobalAveragePooling3D": Row("", "{x}.mean(dim=(1, 2, 3))"),
    "GlobalMaxPooling2D": Row("", "{x}.amax(dim=(1, 2))"),
    "GlobalMaxPooling3D": Row("", "{x}.amax(dim=(1, 2, 3))"),
    **{
        f"Adaptive{kind}Pooling{axes}D": Row("", _adaptive(function, axes))
        for kind, function in (("Average", "avg"), ("Max", "max"))
        for axes in (1, 2, 3)
    },
}

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
        unmasked = "{layer}({x})[0]" + ("" if whole else "[:, -1]")
        if plain != name and not (whole and merge == "concat"):
            unmasked = f"run_recurrence({{layer}}, {{x}}{options})"
        return Row(
            module,
            f"run_recurrence({{layer}}, {{x}}, {{attention_mask}}{options})",
            unmasked=unmasked,
            takes_none=True,
            omit=("bias=True",),
        )

    return row


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
    settled = VARIES not in (known["return_sequences"], known.get("merge_mode"))
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
    "Dropout": Row("nn.Dropout({rate})"),
    "Embedding": Row("nn.Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
    "LayerNormalization": Row("nn.LayerNorm({in_features}, eps={epsilon})"),
    "GlobalAveragePooling1D": Row(
        "", "masked_mean({x}, {attention_mask})", unmasked="{x}.mean(dim=1)"
    ),
    "GlobalMaxPooling1D": Row(
        "", "masked_max({x}, {attention_mask})", unmasked="{x}.amax(dim=1)"
    ),
    "Flatten": Row("", "torch.flatten({x}, 1)"),
    "Reshape": Row("", "{x}.flatten(1).unflatten(1, {target_shape})"),
    "Add": Row("", "{x} + {residual}"),
}

LAYERS: dict[str, Row | RowRule] = {
    **CORE,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATION,
    **ARRANGING,
    **RECURRENT,
}
