"""Keras rows: mostly Keras' own layers; the rest is `runtime/`."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.emit.base import Row, RowRule, sloped, starting
from neural_attn.backends.emit.rows import (
    BOTH,
    OPERATORS,
    UPSAMPLING,
    convolution_rows,
    extremes,
    pooling_rows,
    recurrent_rows,
)

CONVOLUTIONS = convolution_rows(
    "",
    "activation={activation}, use_bias={use_bias})",
    "strides",
    "dilation_rate",
    module="layers.",
)

POOLING = pooling_rows(
    "layers.{kind}Pooling{axes}D",
    "strides",
    average=("ops.mean({x}, axis={axes})", "adaptive_mean({x}, {output_size})"),
    top=("ops.max({x}, axis={axes})", "adaptive_max({x}, {output_size})"),
)

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
            stateful=row.stateful,
        )
    )
    for name, row in _PLAIN.items()
}

_DENSE = Row(
    "layers.Dense({units}, activation={activation}, use_bias={use_bias})",
    omit=('activation="linear"', "use_bias=True"),
    matrix="ops.transpose({layer}.kernel)",
)


def _variable(initializer: str) -> Row:
    made = f"self.add_weight({{shape}}, {initializer}, name={{name}})"
    return Row(made, "{layer}")


CORE: dict[str, Row | RowRule] = {
    "Dense": _DENSE,
    "Output": _DENSE,
    "Activation": sloped(
        Row("layers.Activation({function})"),
        leaky_relu=Row("layers.LeakyReLU(negative_slope={alpha})"),
        elu=Row("layers.ELU(alpha={alpha})"),
    ),
    "Cache": Row("Cache()"),
    "Weight": starting(
        {
            "zeros": _variable('"zeros"'),
            "ones": _variable('"ones"'),
            "normal": _variable("keras.initializers.RandomNormal(stddev=0.02)"),
        },
        _variable("keras.initializers.Constant({start})"),
    ),
    "Dropout": Row("layers.Dropout({rate})"),
    "Embedding": Row(
        "layers.Embedding({input_dim}, {output_dim})",
        "{layer}({ids})",
        matrix="{layer}.embeddings",
    ),
    "LayerNormalization": Row("layers.LayerNormalization(epsilon={epsilon})"),
    "Flatten": Row("layers.Flatten()"),
    "Reshape": Row("layers.Reshape({target_shape})"),
}

LAYERS: dict[str, Row | RowRule] = {
    **CORE,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATION,
    **ARRANGING,
    **RECURRENT,
}
