"""How a model prepares images: its preprocessor_config.json, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_attn.inputs.images import ImagePreparation
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.preprocessor import preprocessor_config

__all__ = ["image_settings"]


@dataclass(frozen=True)
class _Usual:
    """What an image processor of `transformers` does where its file does not say."""

    resample: int
    crops: bool
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int = 224
    is_square: bool = True  # of a size that is one number


_HALF = (0.5, 0.5, 0.5)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_USUAL = {
    "vit": _Usual(2, crops=False, mean=_HALF, deviation=_HALF),
    "deit": _Usual(3, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256),
    "clip": _Usual(3, True, _CLIP_MEAN, _CLIP_DEVIATION, is_square=False),
}


def image_settings(folder: Path, model_type: str) -> ImagePreparation | None:
    """How the model in `folder` prepares images; None where no file says it.

    Raises NeuralError (E0622 to E0626) for a file that is broken, or that asks for
    something else.
    """
    config = preprocessor_config(folder, "image_processor")
    if config is None:
        return None
    told = config.text(
        "image_processor_type", config.text("feature_extractor_type", "")
    )
    kinds = (told.lower(), model_type)
    usual = next(
        u for kind in kinds for name, u in _USUAL.items() if kind.startswith(name)
    )
    for key in ("do_pad", "do_reduce_labels", "do_convert_grayscale"):
        config.refuse(key, (False,), "images are not prepared in this way here")
    resizes = config.flag("do_resize", True)
    rescales = config.flag("do_rescale", True)
    normalizes = config.flag("do_normalize", True)
    crops = config.flag("do_center_crop", usual.crops)
    return ImagePreparation(
        _size(config, "size", usual.size, usual.is_square) if resizes else None,
        config.whole("resample", usual.resample),
        _crop(config) if crops else None,
        config.number("rescale_factor", 1 / 255) if rescales else 1.0,
        _channels(config, "image_mean", usual.mean) if normalizes else (0.0,),
        _channels(config, "image_std", usual.deviation) if normalizes else (1.0,),
    )


def _size(config: Config, key: str, usual: int, is_square: bool) -> Any:
    """Height and width, or the shorter side."""
    if not config.is_object(key):
        side = config.size(key, usual)
        return (side, side) if is_square else side
    size = config.inner(key)
    if size.has("shortest_edge"):
        size.refuse("longest_edge", (), "only the shorter side can be given here")
        return size.size("shortest_edge")
    return size.size("height"), size.size("width")


def _crop(config: Config) -> tuple[int, int]:
    crop: tuple[int, int] = _size(config, "crop_size", 224, is_square=True)
    return crop


def _channels(config: Config, key: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    return config.numbers(key, usual)
