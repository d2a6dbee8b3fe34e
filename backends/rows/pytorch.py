"""PyTorch rows: the classes stand in backends/runtime/pytorch_*.py."""

from __future__ import annotations

from neural_attn.backends.base import Row, RowRule
from neural_attn.backends.rows.arranging import PYTORCH as ARRANGING
from neural_attn.backends.rows.recurrent import PYTORCH as RECURRENT

_DEFAULTS = (
    ", stride=1",
    ', padding="valid"',
    ", dilation=1",
    ", groups=1",
    ", depth_multiplier=1",
    ", bias=True",
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
            omit=(", stride=None", ', padding="valid"'),
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

ROWS: dict[str, Row | RowRule] = {
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATION,
    **ARRANGING,
    **RECURRENT,
}
