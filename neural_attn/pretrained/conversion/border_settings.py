"""What starts and ends what a model writes: generation_config.json or config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neural_attn.inputs.borders import Borders
from neural_attn.pretrained.conversion.config import read_json

__all__ = ["border_settings"]

_FILES = ("config.json", "generation_config.json")  # the later one wins


def border_settings(folder: Path) -> Borders | None:
    """The ids that start and end what the model in `folder` writes; None: not said.

    Of several ids that end a text, none is taken.

    Raises NeuralError (E0623) for a file that is broken.
    """
    said: dict[str, Any] = {}
    for name in _FILES:
        if (folder / name).is_file():
            said |= read_json(folder / name)
    ids = [said.get(f"{key}_token_id") for key in ("decoder_start", "eos")]
    start, end = (one if type(one) is int and one >= 0 else None for one in ids)
    return None if start is None and end is None else Borders(start, end)
