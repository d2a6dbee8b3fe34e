"""What a folder says of how images or sound are prepared."""

from __future__ import annotations

from pathlib import Path

from neural_attn.pretrained.conversion.config import Config

__all__ = ["preprocessor_config"]

FILE_NAME = "preprocessor_config.json"
# of newer models, which keep what they do to texts and to images in one file
_COMMON = "processor_config.json"


def preprocessor_config(folder: Path, part: str) -> Config | None:
    """The file of its own, or the part of the common one; None where neither is.

    Raises NeuralError (E0622 to E0625) for a file that is broken.
    """
    if (folder / FILE_NAME).is_file():
        return Config.read(folder / FILE_NAME)
    if (folder / _COMMON).is_file():
        common = Config.read(folder / _COMMON)
        return common.inner(part) if common.has(part) else None
    return None
