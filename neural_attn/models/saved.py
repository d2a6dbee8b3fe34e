"""Attention that lies in a file: saved maps, or arrays as another library gave them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.arrays import read_data
from neural_attn.inputs.tokens import Tokens
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.maps.map_file import HEADER
from neural_attn.maps.validation import admit, examine, usable

__all__ = ["Saved", "read_saved"]


@dataclass(frozen=True)
class Saved:
    """The maps that can be trusted, what is wrong with the others, and all of them.

    `network` has the layers and heads of all, for their numbers.
    """

    maps: AttentionMaps
    findings: list[Finding]
    network: AttentionMaps


def read_saved(file: Path, tokens: Tokens | None = None) -> Saved:
    """Read maps that `AttentionMaps.save` wrote, or any .npz of plain arrays.

    Plain arrays are [batch, heads, queries, keys], or without the batch, one for each
    layer; `tokens` are theirs alone, as saved maps have their own.

    Raises
    ------
    NeuralError
        If the file is neither, or there are tokens for saved maps.
    """
    if _is_plain(file):
        if isinstance(tokens, Mapping):
            fail(
                "E0414", "arrays in a file have no inputs to name", hint="--tokens a,b"
            )
        arrays = read_data(file)
        assert isinstance(arrays, Mapping)  # a zip archive holds several
        try:
            maps, findings = admit(arrays, tokens)
        except ValueError as error:  # a name that no map may have
            fail("E0419", f"{file}: {error}")
        return Saved(maps, findings, _outline(arrays, maps))
    if tokens is not None:
        fail("E0414", "saved maps have their tokens already", hint="give FILE alone")
    try:
        maps = AttentionMaps.load(file)
    except OSError as error:
        fail("E0403", f"cannot read {file}: {(error.strerror or '').lower()}")
    except ValueError as error:
        fail("E0419", str(error), hint="AttentionMaps.save and --save-maps write them")
    findings = examine(maps)
    return Saved(usable(maps, findings), findings, maps)


def _is_plain(file: Path) -> bool:
    """Whether it is an archive without the header of saved maps."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return f"{HEADER}.npy" not in archive.namelist()


def _outline(arrays: Mapping[str, Any], maps: AttentionMaps) -> AttentionMaps:
    """All layers, as the others keep their numbers where one was left out."""
    left_out = np.ones((1, 1, 1, 1), np.float32)
    return AttentionMaps(
        [
            maps.get_map(name) if name in maps else AttentionMap(name, left_out)
            for name in arrays
        ]
    )
