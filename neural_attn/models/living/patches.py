"""The patches that a vision model of `transformers` cuts its images into.

Families are listed, as a position is a patch only where the model keeps all patches in
order: masked autoencoders, for one, shuffle them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.picture import CLASS_TOKEN, DISTILLATION_TOKEN, Picture

__all__ = ["DRAWN", "pictures_of", "tokens_of"]

DRAWN = (
    "the image is drawn from `pixel_values`, each channel from its least value to its "
    "greatest"
)

_CLASS = (CLASS_TOKEN,)
# model_type -> the tokens in front of the patches, without registers
_BEFORE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("vit", "vit_msn", "beit", "clip_vision_model"), _CLASS),
    **dict.fromkeys(("dinov2", "dinov2_with_registers", "dinov3_vit"), _CLASS),
    **dict.fromkeys(("siglip_vision_model", "ijepa"), ()),
    "deit": (CLASS_TOKEN, DISTILLATION_TOKEN),
}
_COLOR_CHANNELS = (1, 3)


def tokens_of(config: Any, pixels: Any) -> tuple[str, ...] | None:
    """A label for each position, as `Picture.tokens`; None where it is not known.

    Parameters
    ----------
    config : the configuration of a model
    pixels : tensor [batch, channels, height, width]
    """
    found = _layout(config, pixels)
    if found is None:
        return None
    (rows, columns), _, before = found
    return Picture(np.zeros((0, 0, 3), np.uint8), (rows, columns), before).tokens


def pictures_of(config: Any, pixels: Any) -> list[Picture]:
    """The images of a batch as far as their numbers show them; see `tokens_of`.

    None of a model whose patches are not known, or of what has no colours.
    """
    found = _layout(config, pixels)
    if found is None or pixels.shape[1] not in _COLOR_CHANNELS:
        return []
    (rows, columns), (height, width), before = found
    seen = pixels[..., : rows * height, : columns * width]
    numbers = seen.detach().cpu().float().numpy()
    return [Picture(_drawn(one), (rows, columns), before, True) for one in numbers]


def _layout(
    config: Any, pixels: Any
) -> tuple[tuple[int, int], tuple[int, int], tuple[str, ...]] | None:
    """Rows and columns of patches, their height and width, and what precedes them."""
    before = _BEFORE.get(getattr(config, "model_type", ""))
    size = _pair(getattr(config, "patch_size", None))
    if before is None or size is None or len(getattr(pixels, "shape", ())) != 4:
        return None
    registers = getattr(config, "num_register_tokens", None) or 0
    before += tuple(f"[REG{number + 1}]" for number in range(registers))
    rows, columns = pixels.shape[2] // size[0], pixels.shape[3] // size[1]
    return (rows, columns), size, before


def _pair(size: Any) -> tuple[int, int] | None:
    sides = size if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return sides[0], sides[1]


def _drawn(channels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Numbers [channels, height, width] as uint8 [height, width, 3]."""
    low = channels.min(axis=(1, 2), keepdims=True)
    span = channels.max(axis=(1, 2), keepdims=True) - low
    scaled = np.where(span > 0, (channels - low) / np.where(span > 0, span, 1), 0.5)
    pixels = np.rint(scaled * 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
