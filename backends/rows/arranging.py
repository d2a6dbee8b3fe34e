"""Rows of layers that arrange, disturb and merge; one table for each backend."""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.base import Row, RowRule

_UPSAMPLING = {
    "UpSampling1D": Row("", "upsample({x}, {size})"),
    "UpSampling2D": Row("", "upsample({x}, {size}, {interpolation})"),
    "UpSampling3D": Row("", "upsample({x}, {size})"),
}
_OPERATORS = {
    "Subtract": Row("", "{x} - {y}"),
    "Multiply": Row("", "{x} * {y}"),
    "Average": Row("", "({total}) / {count}"),
}
_DOT = Row("", "batch_dot({x}, {y}, {axes}, normalize={normalize})")


def _extremes(module: str) -> dict[str, Row]:
    return {
        "Maximum": Row("", f"{module}.maximum({{x}}, {{y}})"),
        "Minimum": Row("", f"{module}.minimum({{x}}, {{y}})"),
    }


def _keras_pictures(known: Mapping[str, object]) -> Row:
    if known["interpolation"] == "nearest":
        return Row("keras.layers.UpSampling2D({size})")
    return _UPSAMPLING["UpSampling2D"]


NUMPY = {
    **_UPSAMPLING,
    "Permute": Row("", "permute({x}, {dims})"),
    **{f"SpatialDropout{axes}D": Row("Dropout({rate})") for axes in (1, 2, 3)},
    "GaussianNoise": Row("GaussianNoise({stddev})"),
    **_OPERATORS,
    **_extremes("np"),
    "Concatenate": Row("", "np.concatenate([{operands}], axis={axis})"),
    "Dot": _DOT,
}
PYTORCH = {
    **_UPSAMPLING,
    "Permute": Row("", "permute({x}, {dims})"),
    **{f"SpatialDropout{axes}D": Row("SpatialDropout({rate})") for axes in (1, 2, 3)},
    "GaussianNoise": Row("GaussianNoise({stddev})"),
    **_OPERATORS,
    **_extremes("torch"),
    "Concatenate": Row("", "torch.cat([{operands}], dim={axis})"),
    "Dot": _DOT,
}
KERAS: dict[str, Row | RowRule] = {
    "UpSampling1D": Row("keras.layers.UpSampling1D({size})"),
    "UpSampling2D": _keras_pictures,
    "UpSampling3D": Row("keras.layers.UpSampling3D({size})"),
    "Permute": Row("keras.layers.Permute({dims})"),
    **{
        f"SpatialDropout{axes}D": Row(f"keras.layers.SpatialDropout{axes}D({{rate}})")
        for axes in (1, 2, 3)
    },
    "GaussianNoise": Row("keras.layers.GaussianNoise({stddev})"),
    **_OPERATORS,
    **_extremes("ops"),
    "Concatenate": Row("", "ops.concatenate([{operands}], axis={axis})"),
    "Dot": Row(
        "keras.layers.Dot({axes}, normalize={normalize})",
        "{layer}([{x}, {y}])",
        omit=(", normalize=False",),
    ),
}
