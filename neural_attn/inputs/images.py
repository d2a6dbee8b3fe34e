"""Image files as numbers: read, resized, cropped and normalized.

Pillow, which Matplotlib brings, is imported only when an image is read.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.inputs.preparation import Preparation

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MODES", "ImagePreparation", "open_image"]

_FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}  # of Pillow, by the number of channels


@dataclass(frozen=True)
class ImagePreparation(Preparation):
    """How an image becomes numbers.

    Parameters
    ----------
    resize : int, int or int or None
        Height and width, or the length of the shorter side; None: as it is.
    resample : int
        How Pillow finds new pixels: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, …
    crop : int, int or None
        Height and width of what is kept, from the middle.
    scale : float
        What pixels, 0 to 255, are multiplied by.
    mean, deviation : sequence of float
        Of each channel: the one is taken away, then it is divided by the other.
    """

    KIND: ClassVar[str] = "image"

    resize: tuple[int, int] | int | None = None
    resample: int = 2
    crop: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)

    @classmethod
    def refuse(cls, path: Path) -> NoReturn:
        """See `Preparation.refuse`."""
        fail("E0438.settings", path=path)

    def check(self) -> None:
        """See `Preparation.check`."""
        self.numbers(np.zeros((1, 1, len(self.mean)), np.uint8))

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """The image resized and cropped: uint8 [height, width, channels]."""
        if self.resize is not None:
            height, width = self._size(image.height, image.width)
            image = image.resize((width, height), resample=self.resample)
        pixels = np.array(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]  # grey
        return pixels if self.crop is None else _cropped(pixels, self.crop)

    def numbers(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network takes of the pixels, float32."""
        scaled = pixels.astype(np.float64) * self.scale
        normal = (scaled - np.array(self.mean)) / np.array(self.deviation)
        numbers: NDArray[np.float32] = normal.astype(np.float32)
        return numbers

    def _size(self, height: int, width: int) -> tuple[int, int]:
        if isinstance(self.resize, tuple):
            return self.resize
        assert self.resize is not None
        shorter = self.resize
        if height <= width:
            return shorter, int(shorter * width / height)
        return int(shorter * height / width), shorter


def _cropped(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of an image; black around one that is smaller."""
    sides = list(zip(size, pixels.shape[:2], strict=True))
    missing = [max(0, wanted - there) for wanted, there in sides]
    padded = np.pad(pixels, [*((-(-n // 2), n // 2) for n in missing), (0, 0)])
    top, left = ((there - wanted) // 2 for wanted, there in sides)
    top, left = max(0, top), max(0, left)
    return padded[top : top + size[0], left : left + size[1]]


def open_image(path: Path, channels: int) -> Image:
    """A PNG or JPEG file, upright. Raises NeuralError (E0438) for anything else."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if image.mode.startswith(("I", "F")):
                    fail(
                        "E0438", path=path, reason="it has more than 8 bits per colour"
                    )
                upright = ImageOps.exif_transpose(image)
                if "transparency" in upright.info:
                    upright = upright.convert("RGBA")
                return upright.convert(MODES[channels])
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        fail("E0438", path=path, reason="it is too large")
    except UnidentifiedImageError:
        fail("E0438", path=path, reason="it is not a PNG or JPEG file")
    except (OSError, SyntaxError, ValueError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        fail("E0438", path=path, reason=said)
