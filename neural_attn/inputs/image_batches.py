"""Images into a network: a batch as it takes them, and where its patches lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.arrays import prepare
from neural_attn.inputs.images import MODES, ImagePreparation, open_image
from neural_attn.inputs.limits import only_input, parts_of
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Encoded
from neural_attn.ir import Block, Input, is_mask
from neural_attn.maps.picture import CLASS_TOKEN, DISTILLATION_TOKEN, Picture
from neural_attn.shapes.instance import Checked, Instance

__all__ = ["prepare_images", "refuse_image_input", "require_text_input"]

# of the tokens in front of the patches, by the names of their layers
_NAMES = {"class_token": CLASS_TOKEN, "distillation_token": DISTILLATION_TOKEN}


def prepare_images(
    checked: Checked,
    paths: Sequence[Path],
    settings: ImagePreparation | None,
    encoded: Encoded | None = None,
) -> Prepared:
    """Images, and what was encoded of texts, as checked inputs of a network.

    Without settings, images are resized to what the network takes, and their mean and
    deviation are taken to be 0.5.

    Raises NeuralError (E0438) for a file that is not an image, or images of different
    sizes, and as `prepare` does.
    """
    given = image_input(checked)
    if encoded is None and _reads_text(checked):
        fail("E0438.both", network=checked.network.name)
    images = [open_image(path, int(given.shape[2] or 3)) for path in paths]
    notes = []
    if settings is None:
        size = (given.shape[0] or images[0].height, given.shape[1] or images[0].width)
        settings = ImagePreparation(size)
        notes.append(
            f"how images are prepared is not known: resized to {size[0]} × {size[1]}, "
            "mean and deviation taken as 0.5"
        )
    pixels = [settings.pixels(image) for image in images]
    for one in pixels:
        if one.shape != pixels[0].shape:
            fail("E0438.sizes", first=pixels[0].shape[:2], other=one.shape[:2])
    numbers = np.stack([settings.numbers(one) for one in pixels])
    arrays, tokens = _of_texts(checked, encoded)
    prepared = prepare(checked, {given.name: numbers, **arrays}, tokens)
    layout = Layout.of(checked)
    if layout is None:
        notes.append("the places of the patches are not known: the steps are numbered")
    return replace(
        prepared,
        notes=[*notes, *prepared.notes],
        cut=encoded.notes if encoded else [],
        pictures=[layout.picture(one) for one in pixels] if layout else (),
    )


def _of_texts(
    checked: Checked, encoded: Encoded | None
) -> tuple[dict[str, NDArray[np.int64]], Tokens | None]:
    """The arrays of a network that are of texts, and their tokens."""
    if encoded is None:
        return {}, None
    names = {given.name for given in checked.network.inputs}
    arrays = {name: a for name, a in encoded.inputs.items() if name in names}
    return arrays, {name: encoded.tokens for name in arrays if not is_mask(name)}


def require_text_input(checked: Checked) -> None:
    """Raise NeuralError (E0438) where a network reads no text beside an image."""
    image_input(checked)
    if not _reads_text(checked):
        fail("E0438.text", network=checked.network.name)


def refuse_image_input(checked: Checked) -> None:
    """Raise NeuralError (E0438) where a network does not take texts alone."""
    if any(map(_is_image, checked.network.inputs)):
        fail("E0438.alone", network=checked.network.name)


def image_input(checked: Checked) -> Input:
    """The input of a network that takes images.

    Raises NeuralError (E0438.model) where there is none, or there are several.
    """
    found = only_input(checked, _is_image)
    if found is None:
        fail("E0438.model", network=checked.network.name)
    return found


def _reads_text(checked: Checked) -> bool:
    return any(given.name == "input_ids" for given in checked.network.inputs)


def _is_image(given: Input) -> bool:
    return given.dtype == "float" and len(given.shape) == 3 and given.shape[2] in MODES


@dataclass(frozen=True)
class Layout:
    """Where the patches of a network lie, `patch` pixels wide, and what precedes them.

    None where the network cuts its images in a way of its own.
    """

    patch: int
    before: tuple[str, ...]

    @classmethod
    def of(cls, checked: Checked) -> Layout | None:
        """That of the network's one `PatchEmbedding`."""
        blocks = list(_blocks(checked.root))
        sizes = [
            one.values.get("patch_size")
            for one in blocks
            if one.target.name == "PatchEmbedding"
        ]
        if len(sizes) != 1 or not isinstance(sizes[0], int):
            return None
        # each is put in front of those before it
        names = [one.name for one in blocks if one.target.name == "ClassToken"]
        before = (_NAMES.get(name, CLASS_TOKEN) for name in reversed(names))
        return cls(sizes[0], tuple(before))

    def picture(self, pixels: NDArray[np.uint8]) -> Picture:
        """The image of these pixels, uint8 [height, width, channels], in patches."""
        rows, columns = (side // self.patch for side in pixels.shape[:2])
        seen = pixels[: rows * self.patch, : columns * self.patch]
        colors = np.broadcast_to(seen, (*seen.shape[:2], 3))  # grey has one channel
        return Picture(np.ascontiguousarray(colors), (rows, columns), self.before)


def _blocks(root: Instance) -> Iterator[Instance]:
    return (part for part in parts_of(root) if isinstance(part.target, Block))
