"""A model's folder as a `.neural` file that is kept, and used again.

Beside the file lies a record of what it was imported from (`minilm.origin.json`). It is
used again while neither the folder nor the file has changed since. What somebody else
wrote, or changed by hand, is never written over: another name is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import NeuralError, fail, reason
from neural_attn.files import atomic_write, safe_name
from neural_attn.inputs.borders import Borders
from neural_attn.inputs.images import ImagePreparation
from neural_attn.inputs.mel import SoundPreparation
from neural_attn.inputs.tokenizer import tokenizer_path
from neural_attn.pretrained.conversion.config import read_json
from neural_attn.pretrained.conversion.network_text import model_title
from neural_attn.version import __version__

__all__ = ["Kept", "kept_in"]

# what an import reads, and so what tells one state of a folder from another
_SOURCES = (
    "config.json", "generation_config.json", "tokenizer.json",
    "preprocessor_config.json", "processor_config.json", "model*.safetensors",
    "pytorch_model*.bin",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """The place of a network of a model's folder: its file, and its weights.

    `is_made` says whether the model is there already, as it is in its folder now.
    """

    neural: Path
    source: Mapping[str, Any]
    is_made: bool

    @property
    def weights(self) -> Path:
        """Where the weights are."""
        return _Record(self.neural).weights

    def record(self) -> None:
        """Write down that the files were made now. Raises NeuralError (E0634)."""
        _Record(self.neural).write(self.source)


def kept_in(where: Path, folder: Path) -> Kept:
    """Where in the folder `where` the network of the model in `folder` is kept."""
    path = str(folder.resolve())
    source = {"path": path, "files": _states(_sources(folder))}
    records = map(_Record, _names(folder, where))
    record = next(r for r in records if r.is_free(path))
    return Kept(record.neural, source, record.says_of(source))


def _names(folder: Path, where: Path) -> Iterator[Path]:
    """The files it may have: `where/minilm.neural`, `where/minilm_2.neural`, …."""
    title = safe_name(model_title(folder) or folder.absolute().name)
    for number in count(1):
        yield where / f"{title}{f'_{number}' if number > 1 else ''}.neural"


def _sources(folder: Path) -> list[Path]:
    return sorted(path for kind in _SOURCES for path in folder.glob(kind))


def _states(paths: Iterable[Path]) -> dict[str, list[int]]:
    """The size and the time of the last change of each file, by its name."""
    found = ((path.name, path.stat()) for path in paths if path.is_file())
    return {name: [state.st_size, state.st_mtime_ns] for name, state in found}


class _Record:
    """What is known of a `.neural` file that was imported, and of those beside it."""

    def __init__(self, neural: Path) -> None:
        self.neural = neural
        self.weights = neural.with_suffix(".safetensors")
        self.path = neural.with_suffix(".origin.json")
        kinds = (ImagePreparation, SoundPreparation, Borders)
        prepared = [kind.path_for(neural) for kind in kinds]
        self._others = [self.weights, tokenizer_path(neural), *prepared]

    def says_of(self, source: Mapping[str, Any]) -> bool:
        """Whether the files are those that were made of this state of a folder."""
        said = self._read()
        same = said.get("source") == source and said.get("version") == __version__
        return same and self._is_untouched(said)

    def is_free(self, folder: str) -> bool:
        """Whether files may be written: none is there, or all are of the folder."""
        if not any(path.exists() for path in self._files):
            return True
        said = self._read()
        origin = said.get("source")
        ours = isinstance(origin, dict) and origin.get("path") == folder
        return ours and self._is_untouched(said)

    def write(self, source: Mapping[str, Any]) -> None:
        """Write down what the files were made of."""
        said = {"source": source, "made": _states(self._made), "version": __version__}
        try:
            atomic_write(self.path, json.dumps(said, indent=1) + "\n")
        except OSError as error:
            fail("E0634", where=self.path, reason=reason(error))

    @property
    def _made(self) -> list[Path]:
        return [self.neural, *self._others]

    @property
    def _files(self) -> list[Path]:
        return [*self._made, self.path]

    def _is_untouched(self, said: Mapping[str, Any]) -> bool:
        return said.get("made") == _states(self._made)

    def _read(self) -> dict[str, Any]:
        """The record; {} where there is none that can be read."""
        try:
            return read_json(self.path)
        except NeuralError:
            return {}
