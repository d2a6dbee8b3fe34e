"""NumPy rows: the classes stand in `runtime/`."""

from __future__ import annotations

from neural_attn.backends.emit.base import Row, RowRule, sloped, starting
from neural_attn.backends.emit.rows import (
    DOT,
    OPERATORS,
    UPSAMPLING,
    convolution_rows,
    extremes,
    pooling_rows,
    recurrent_rows,
)

CONVOLUTIONS = convolution_rows(
    "{in_features}, ", "use_bias={use_bias})", "strides", "dilation_rate"
)

POOLING = pooling_rows(
    "{kind}Pooling",
    "strides",
    average=("{x}.mean(axis={axes})", "adaptive_mean({x}, {output_size})"),
    top=("{x}.max(axis={axes})", "adaptive_max({x}, {output_size})"),
)

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
    "Cache": Row("Cache()"),
    "Weight": starting(
        {
            "zeros": Row("np.zeros({shape}, np.float32)", "{layer}"),
            "ones": Row("np.ones({shape}, np.float32)", "{layer}"),
            "normal": Row("normal({shape})", "{layer}"),
        },
        Row("np.full({shape}, {start}, np.float32)", "{layer}"),
    ),
    "Dropout": Row("Dropout({rate})"),
    "Embedding": Row("Embedding({input_dim}, {output_dim})", "{layer}({ids})"),
    "LayerNormalization": Row("LayerNormalization({in_features}, {epsilon})"),
    "Flatten": Row("", "flatten({x})"),
    "Reshape": Row("", "reshape({x}, {target_shape})"),
}

LAYERS: dict[str, Row | RowRule] = {
    **CORE,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATION,
    **ARRANGING,
    **RECURRENT,
}
