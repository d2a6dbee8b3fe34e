"""Attention that is at hand: saved maps, or arrays as another library gave them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.inputs.encoding import open_tokenizer
from neural_attn.inputs.file_kinds import holds_arrays, refuse_others
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tensor_files import read_arrays
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import is_array
from neural_attn.maps.handed_out import take_any
from neural_attn.maps.map_file import HEADER
from neural_attn.maps.map_of_array import Taken
from neural_attn.maps.validation import admit_taken, examine
from neural_attn.models.attention_model import (
    AttentionModel,
    Captured,
    refuse_options,
)

__all__ = ["SavedModel", "make", "read_saved"]


@dataclass(frozen=True)
class SavedModel(AttentionModel):
    """What one run of a model left: it gives these maps again.

    `findings` is what is wrong with them or with arrays that are not maps; `every` has
    the layers and heads of all, for their numbers.
    """

    maps: AttentionMaps
    findings: tuple[Finding, ...]
    every: AttentionMaps

    @classmethod
    def of(cls, maps: AttentionMaps) -> SavedModel:
        """Maps at hand."""
        return cls(maps, tuple(examine(maps)), maps)

    @classmethod
    def of_arrays(
        cls,
        given: Any,
        tokens: Any = None,
        tokenizer: Any = None,
        *,
        inputs: Any = None,
        **claims: Any,
    ) -> SavedModel:
        """Plain arrays, a list or mapping of them, or the outputs of a model.

        `tokens`, `tokenizer` and `claims` are as in `neural_attn.maps.given.take`; a
        tokenizer may also be a path. `inputs`, in the place of `tokens`, are what the
        model was called with, by name, or its ids.

        Raises ValueError for a name that no map may have, NeuralError for claims that
        cannot be.
        """
        if isinstance(tokens, Mapping):
            fail("E0414.names")
        if isinstance(tokenizer, str | os.PathLike):
            tokenizer = open_tokenizer(None, explicit=Path(tokenizer))
        if inputs is not None:
            refuse_options({"tokens": tokens}, "attention whose inputs are given")
            tokens = inputs
        taken = take_any(given, tokens, tokenizer=tokenizer, **claims)
        maps, findings = admit_taken(taken)
        return cls(maps, tuple(findings), _outline(taken, maps))

    @property
    def outline(self) -> AttentionMaps:
        """All maps there are."""
        return self.every

    @property
    def trained(self) -> bool | None:
        """As the maps say."""
        return self.maps.trained

    def prepare(
        self, data: Any = None, tokens: Tokens | None = None, seed: int = 0
    ) -> Prepared:
        """The maps, one row of them for each example; nothing else can be taken."""
        if data is not None:
            fail("E0414.maps")
        rows = max((len(one.weights) for one in self.maps.maps), default=0)
        return Prepared(range(rows), notes=list(self.maps.notes))

    def encode(self, texts: Any) -> Prepared:
        """Refuse: the texts of these maps are decided."""
        return self.prepare(texts)

    def run(self, prepared: Prepared) -> Captured:
        """The maps."""
        return Captured(None, self.maps, self.findings)


def _outline(taken: Taken, maps: AttentionMaps) -> AttentionMaps:
    """All maps there were; those that cannot be used, as maps of one weight."""
    left_out = np.ones((1, 1, 1, 1), np.float32)
    hybrid = any(one.layer is not None for one in taken.maps)
    stand_ins = (
        AttentionMap(name, left_out, layer=number if hybrid else None)
        for name, number in taken.names
    )
    return AttentionMaps(
        [maps.get_map(x.name) if x.name in maps else x for x in stand_ins]
    )


def read_saved(file: Path, **claims: Any) -> SavedModel:
    """Read maps that `AttentionMaps.save` wrote, or the plain arrays of any library.

    `claims` (see `SavedModel.of_arrays`) are of plain arrays alone, as saved maps have
    their own.

    Raises
    ------
    NeuralError
        If the file is neither, or there are claims for saved maps.
    """
    if file.suffix != ".npz" or _is_plain(file):
        arrays = read_arrays(file)
        if isinstance(arrays, Mapping) and not arrays:
            fail("E0419.empty", path=file)
        try:
            return SavedModel.of_arrays(arrays, **claims)
        except ValueError as error:  # a name that no map may have
            fail("E0419.arrays", path=file, reason=error)
    if claims.get("tokens") is not None:
        fail("E0414.tokens")
    if claims.get("rows") is not None:
        fail("E0414.rows")
    refuse_options(claims, "saved maps")
    try:
        return SavedModel.of(AttentionMaps.load(file))
    except OSError as error:
        fail("E0403", path=file, reason=reason(error))
    except ValueError as error:
        fail("E0419", reason=str(error))


def _is_plain(file: Path) -> bool:
    """Whether it is an archive without the header of saved maps."""
    try:
        with zipfile.ZipFile(file) as archive:
            return f"{HEADER}.npy" not in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # its reader says why


# what can be said of arrays; see `neural_attn.maps.given.take`
CLAIMS = ("tokens", "tokenizer", "rows", "axes", "causal", "mask")


def make(given: Any, *, seed: int = 0, **options: Any) -> SavedModel | None:
    """A model of a file of maps or arrays, of maps, of arrays, or of a model's outputs.

    Options of CLAIMS are of arrays alone.
    """
    is_path = isinstance(given, str | os.PathLike)
    if is_path and not holds_arrays(Path(given)):
        refuse_others(Path(given))
        return None
    if not (is_path or isinstance(given, Sequence | Mapping) or is_array(given)):
        return None
    claims = {name: options.pop(name, None) for name in CLAIMS}
    refuse_options(options, "attention that is already there")
    if is_path:
        return read_saved(Path(given), **claims)
    if isinstance(given, AttentionMaps):
        refuse_options(claims | {"tokens": None}, "maps")
        return SavedModel.of(given)
    return SavedModel.of_arrays(given, **claims)
