"""The files of a model: what is opened, and weights that nobody names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_attn.inputs.file_kinds import holds_arrays

__all__ = ["ModelFiles"]


@dataclass(frozen=True)
class ModelFiles:
    """What is opened in place of what was given, its weights, and what to say of it."""

    model: Any
    checkpoint: Path | None
    notes: list[str]

    def or_beside(self) -> ModelFiles:
        """The same; for a network's file without weights, with those beside it."""
        is_path = isinstance(self.model, str | os.PathLike)
        if self.checkpoint is not None or not is_path or holds_arrays(Path(self.model)):
            return self
        weights = _beside(Path(self.model))
        if weights is None:
            return self
        note = f"the weights are those beside the file: {weights}"
        return ModelFiles(self.model, weights, [*self.notes, note])


def _beside(file: Path) -> Path | None:
    """The weights of a file: of its name, or in the folder that training left."""
    own = file.with_suffix(".safetensors")
    places = (own, file.parent / f"{file.stem}_trained" / own.name)
    return next((path for path in places if path.is_file()), None)
