"""NumPy rows: the classes stand in `runtime/`."""

from __future__ import annotations

from neural_attn.backends.emit.base import Row, RowRule, sloped
from neural_attn.backends.emit.rows import (
    DOT,
    OPERATORS,
    UPSAMPLING,
    extremes,
    recurrent_rows,
)

_DEFAULTS = (
    "strides=1",
    'padding="valid"',
    "dilation_rate=1",
    "groups=1",
    "depth_multiplier=1",
    "use_bias=True",
)
_SLIDING = (
    "{kernel_size}, strides={strides}, padding={padding}, "
    "dilation_rate={dilation_rate}, "
)


def _weighted(made: str) -> Row:
    return Row(made, activates=True, omit=_DEFAULTS)


CONVOLUTIONS = {
    **{
        f"Conv{axes}D": _weighted(
            f"Conv{axes}D({{in_features}}, {{filters}}, {_SLIDING}"
            "groups={groups}, use_bias={use_bias})"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"Conv{axes}DTranspose": _weighted(
            f"Conv{axes}DTranspose({{in_features}}, {{filters}}, {{kernel_size}}, "
            "strides={strides}, padding={padding}, use_bias={use_bias})"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"DepthwiseConv{axes}D": _weighted(
            f"DepthwiseConv{axes}D({{in_features}}, {_SLIDING}"
            "depth_multiplier={depth_multiplier}, use_bias={use_bias})"
        )
        for axes in (1, 2)
    },
}

POOLING = {
    **{
        f"{kind}Pooling{axes}D": Row(
            f"{kind}Pooling({{pool_size}}, strides={{strides}}, padding={{padding}})",
            omit=("strides=None", 'padding="valid"'),
        )
        for kind in ("Max", "Average")
        for axes in (1, 2, 3)
    },
    "GlobalAveragePooling2D": Row("", "{x}.mean(axis=(1, 2))"),
    "GlobalAveragePooling3D": Row("", "{x}.mean(axis=(1, 2, 3))"),
    "GlobalMaxPooling2D": Row("", "{x}.max(axis=(1, 2))"),
    "GlobalMaxPooling3D": Row("", "{x}.max(axis=(1, 2, 3))"),
    **{
        f"AdaptiveAveragePooling{axes}D": Row("", "adaptive_mean({x}, {output_size})")
        for axes in (1, 2, 3)
    },
    **{
        f"AdaptiveMaxPooling{axes}D": Row("", "adaptive_max({x}, {output_size})")
        for axes in (1, 2, 3)
    },
}

NORMALIZATION = {
    "BatchNormalization": Row("BatchNormalization({in_features}, {epsilon})"),
    "GroupNormalization": Row("GroupNormalization({groups}, {in_features}, {epsilon})"),
    "InstanceNormalization": Row(
        "GroupNormalization({in_features}, {in_features}, {epsilon})"
    ),
}

ARRANGING = {
    **UPSAMPLING,
    "Permute": Row("", "permute({x}, {dims})"),
    **{f"SpatialDropout{axes}D": Row("Dropout({rate})") for axes in (1, 2, 3)},
    "GaussianNoise": Row("GaussianNoise({stddev})"),
    **OPERATORS,
    **extremes("np"),
    "Concatenate": Row("", "np.concatenate([{operands}], axis={axis})"),
    "Dot": DOT,
}

RECURRENT = recurrent_rows("{in_features}, {units}", "tanh", "sigmoid")

_DENSE = Row(
    "Dense({in_features}, {units}, use_bias={use_bias})",
    activates=True,
    omit=("use_bias=True",),
)

CORE: dict[str, Row | RowRule] = {
    "Dense": _DENSE,
    "Output": _DENSE,
    "Activation": sloped(
        Row("", "{function}({x})"),
        leaky_relu=Row("", "leaky_relu({x}, {alpha})"),
        elu=Row("", "elu({x}, {alpha})"),
    ),
    "Dropout": Row("Dropout({rate})"),
    "Embedding": Row("Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
    "LayerNormalization": Row("LayerNormalization({in_features}, {epsilon})"),
    "GlobalAveragePooling1D": Row(
        "", "masked_mean({x}, {attention_mask})", unmasked="{x}.mean(axis=1)"
    ),
    "GlobalMaxPooling1D": Row(
        "", "masked_max({x}, {attention_mask})", unmasked="{x}.max(axis=1)"
    ),
    "Flatten": Row("", "flatten({x})"),
    "Reshape": Row("", "reshape({x}, {target_shape})"),
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
