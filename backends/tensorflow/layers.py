"""Keras rows: mostly Keras' own layers; the rest is `runtime/`."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.emit.base import Row, RowRule, sloped
from neural_attn.backends.emit.rows import (
    BOTH,
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
    'activation="linear"',
    "use_bias=True",
)
_SLIDING = (
    "{kernel_size}, strides={strides}, padding={padding}, "
    "dilation_rate={dilation_rate}, "
)
_LAST = "activation={activation}, use_bias={use_bias})"


def _weighted(made: str) -> Row:
    return Row(made, omit=_DEFAULTS)


CONVOLUTIONS = {
    **{
        f"Conv{axes}D": _weighted(
            f"layers.Conv{axes}D({{filters}}, {_SLIDING}groups={{groups}}, {_LAST}"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"Conv{axes}DTranspose": _weighted(
            f"layers.Conv{axes}DTranspose({{filters}}, {{kernel_size}}, "
            f"strides={{strides}}, padding={{padding}}, {_LAST}"
        )
        for axes in (1, 2, 3)
    },
    **{
        f"DepthwiseConv{axes}D": _weighted(
            f"DepthwiseConv{axes}D({_SLIDING}"
            f"depth_multiplier={{depth_multiplier}}, {_LAST}"
        )
        for axes in (1, 2)
    },
}

POOLING = {
    **{
        f"{kind}Pooling{axes}D": Row(
            f"layers.{kind}Pooling{axes}D("
            "{pool_size}, strides={strides}, padding={padding})",
            omit=("strides=None", 'padding="valid"'),
        )
        for kind in ("Max", "Average")
        for axes in (1, 2, 3)
    },
    "GlobalAveragePooling2D": Row("", "ops.mean({x}, axis=(1, 2))"),
    "GlobalAveragePooling3D": Row("", "ops.mean({x}, axis=(1, 2, 3))"),
    "GlobalMaxPooling2D": Row("", "ops.max({x}, axis=(1, 2))"),
    "GlobalMaxPooling3D": Row("", "ops.max({x}, axis=(1, 2, 3))"),
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
    "BatchNormalization": Row(
        "layers.BatchNormalization(momentum={momentum}, epsilon={epsilon})"
    ),
    "GroupNormalization": Row("layers.GroupNormalization({groups}, epsilon={epsilon})"),
    "InstanceNormalization": Row("layers.GroupNormalization(-1, epsilon={epsilon})"),
}


def _keras_pictures(known: Mapping[str, object]) -> Row:
    if known["interpolation"] == "nearest":
        return Row("layers.UpSampling2D({size})")
    return UPSAMPLING["UpSampling2D"]


ARRANGING: dict[str, Row | RowRule] = {
    "UpSampling1D": Row("layers.UpSampling1D({size})"),
    "UpSampling2D": _keras_pictures,
    "UpSampling3D": Row("layers.UpSampling3D({size})"),
    "Permute": Row("layers.Permute({dims})"),
    **{
        f"SpatialDropout{axes}D": Row(f"layers.SpatialDropout{axes}D({{rate}})")
        for axes in (1, 2, 3)
    },
    "GaussianNoise": Row("layers.GaussianNoise({stddev})"),
    **OPERATORS,
    **extremes("ops"),
    "Concatenate": Row("", "ops.concatenate([{operands}], axis={axis})"),
    "Dot": Row(
        "layers.Dot({axes}, normalize={normalize})",
        "{layer}([{x}, {y}])",
        omit=("normalize=False",),
    ),
}

_MASKED = "{layer}({x}, mask={attention_mask})"
_PLAIN = recurrent_rows("{units}", '"tanh"', '"sigmoid"', _MASKED)
_MERGED = ", merge_mode={merge_mode}"
RECURRENT = {
    name: (
        row
        if not name.startswith(BOTH)
        else Row(
            f"{BOTH}({row.make.replace(_MERGED, '')}{_MERGED})",
            _MASKED,
            unmasked=row.unmasked,
            takes_none=True,
            omit=(*row.omit, 'merge_mode="concat"'),
        )
    )
    for name, row in _PLAIN.items()
}

_DENSE = Row(
    "layers.Dense({units}, activation={activation}, use_bias={use_bias})",
    omit=('activation="linear"', "use_bias=True"),
)

CORE: dict[str, Row | RowRule] = {
    "Dense": _DENSE,
    "Output": _DENSE,
    "Activation": sloped(
        Row("layers.Activation({function})"),
        leaky_relu=Row("layers.LeakyReLU(negative_slope={alpha})"),
        elu=Row("layers.ELU(alpha={alpha})"),
    ),
    "Dropout": Row("layers.Dropout({rate})"),
    "Embedding": Row("layers.Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
    "LayerNormalization": Row("layers.LayerNormalization(epsilon={epsilon})"),
    "GlobalAveragePooling1D": Row(
        "", "masked_mean({x}, {attention_mask})", unmasked="ops.mean({x}, axis=1)"
    ),
    "GlobalMaxPooling1D": Row(
        "", "masked_max({x}, {attention_mask})", unmasked="ops.max({x}, axis=1)"
    ),
    "Flatten": Row("layers.Flatten()"),
    "Reshape": Row("layers.Reshape({target_shape})"),
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
