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
from neural_attn.inputs.arrays import read_data
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.maps.map_file import HEADER
from neural_attn.maps.validation import admit, examine
from neural_attn.models.attention_model import (
    AttentionModel,
    Captured,
    refuse_options,
)
from neural_attn.promises import SHARES, Rows

__all__ = ["SavedModel", "make", "read_saved"]


@dataclass(frozen=True)
class SavedModel(AttentionModel):
    """What one run of a model left: it gives these maps again.

    `findings` is what is wrong with them or with arrays that are no maps; `every` has
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
        arrays: Mapping[str, Any],
        tokens: Tokens | None = None,
        rows: Rows = SHARES,
    ) -> SavedModel:
        """Plain arrays [batch, heads, queries, keys], or without the batch, by layer.

        `rows` is what the rows of all of them promise.

        Raises ValueError for a name that no map may have.
        """
        if isinstance(tokens, Mapping):
            fail("E0414.names")
        maps, findings = admit(arrays, tokens, rows=rows)
        left_out = np.ones((1, 1, 1, 1), np.float32)
        stand_ins = (AttentionMap(name, left_out, rows=rows) for name in arrays)
        every = [maps.get_map(x.name) if x.name in maps else x for x in stand_ins]
        return cls(maps, tuple(findings), AttentionMaps(every))

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
        return Prepared(range(rows))

    def encode(self, texts: Any) -> Prepared:
        """Refuse: the texts of these maps are decided."""
        return self.prepare(texts)

    def run(self, prepared: Prepared) -> Captured:
        """The maps."""
        return Captured(None, self.maps, self.findings)


def read_saved(
    file: Path, tokens: Tokens | None = None, rows: Rows | None = None
) -> SavedModel:
    """Read maps that `AttentionMaps.save` wrote, or any .npz of plain arrays.

    `tokens` and `rows` are of plain arrays alone, as saved maps have their own.

    Raises
    ------
    NeuralError
        If the file is neither, or there are tokens or `rows` for saved maps.
    """
    if _is_plain(file):
        arrays = read_data(file)
        assert isinstance(arrays, Mapping)  # a zip archive holds several
        try:
            return SavedModel.of_arrays(arrays, tokens, rows or SHARES)
        except ValueError as error:  # a name that no map may have
            fail("E0419.arrays", path=file, reason=error)
    if tokens is not None:
        fail("E0414.tokens")
    if rows is not None:
        fail("E0414.rows")
    try:
        return SavedModel.of(AttentionMaps.load(file))
    except OSError as error:
        fail("E0403", path=file, reason=reason(error))
    except ValueError as error:
        fail("E0419", reason=str(error))


def _is_plain(file: Path) -> bool:
    """Whether it is an archive without the header of saved maps."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return f"{HEADER}.npy" not in archive.namelist()


def make(
    given: Any,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    seed: int = 0,
    **options: Any,
) -> SavedModel | None:
    """A model of an .npz file, of maps or of arrays.

    `tokens` and `rows` are of arrays alone.
    """
    is_path = isinstance(given, str | os.PathLike)
    if is_path and Path(given).suffix != ".npz":
        return None
    if not is_path and not isinstance(given, AttentionMaps | Sequence | Mapping):
        return None
    refuse_options(options, "attention that is at hand")
    if is_path:
        return read_saved(Path(given), tokens, rows)
    if isinstance(given, AttentionMaps):
        refuse_options({"rows": rows}, "maps")
        return SavedModel.of(given)
    if isinstance(given, Sequence):
        given = {f"layer_{index}": one for index, one in enumerate(given)}
    return SavedModel.of_arrays(given, tokens, rows or SHARES)
