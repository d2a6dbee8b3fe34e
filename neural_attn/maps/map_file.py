"""The `.npz` file that holds attention maps: written by `save`, read by `load`.

Members: each map under its own name, float32 [batch, heads, queries, keys]; the masks
under `neural_attn/mask/0`, ...; the images that the network saw, uint8
[height, width, 3], under `neural_attn/picture/0`, ...; and `neural_attn/header`, a
bytes scalar of ASCII JSON with the tokens, the kinds and the rest. No map's name begins
with `neural_attn/`, so that nothing collides. `np.load` reads all of it; np.savez is
not used to write because it takes the names as keyword arguments, and `file` is one of
its own.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.array_files import ArrayFileError, read_member, reading, weigh
from neural_attn.files import atomic_writer
from neural_attn.maps.attention_map import AttentionMap, check_name
from neural_attn.maps.picture import Picture
from neural_attn.promises import SHARES

__all__ = ["MapFileError", "read_maps", "write_maps"]

HEADER = "neural_attn/header"
MASK = "neural_attn/mask/{}"
PICTURE = "neural_attn/picture/{}"
VERSION = 1

# Zip stores a date per member: a fixed one gives the same file for the same maps.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class MapFileError(ArrayFileError):
    """A file is not what `AttentionMaps.save` writes; says why, in one line."""


def write_maps(
    maps: Sequence[AttentionMap],
    about: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    pictures: Sequence[Picture] = (),
    compress: bool = False,
) -> None:
    """Write `maps` to `path`; see `AttentionMaps.save`.

    `about` has "trained", "source" and "backend", as `AttentionMaps` has them.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    header = {
        "version": VERSION,
        **about,
        "maps": [_describe(one) for one in maps],
    }
    if pictures:
        header["pictures"] = [
            {
                "grid": one.grid,
                "before": [*one.before],
                **({"stretched": True} if one.stretched else {}),
            }
            for one in pictures
        ]
    # ASCII, with escapes for the rest: tokens may hold lone surrogates, which no
    # encoding takes.
    text = json.dumps(header, ensure_ascii=True).encode("ascii")
    size = 0 if compress else sum(one.weights.nbytes for one in maps)
    with (
        atomic_writer(path, size) as stream,
        zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive,
    ):
        _write_array(archive, HEADER, np.array(text))
        for index, one in enumerate(maps):
            _write_array(archive, one.name, one.weights)
            if one.mask is not None:
                _write_array(archive, MASK.format(index), one.mask)
        for index, picture in enumerate(pictures):
            _write_array(archive, PICTURE.format(index), picture.pixels)


def read_maps(
    path: str | os.PathLike[str],
) -> tuple[list[AttentionMap], dict[str, Any]]:
    """Read maps from `path`, and what is about them all; see `write_maps`.

    What is about them has their "pictures" too.
    """
    with open(path, "rb") as stream:
        try:
            with reading("not an attention map file"):
                return _read(stream)
        except ArrayFileError as error:
            raise MapFileError(f"{path}: {error}") from None


def _describe(one: AttentionMap) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "causal": one.causal,
        "mask": one.mask is not None,
        "head_indices": one.head_indices,
        "query_tokens": one.query_tokens,
        "key_tokens": one.key_tokens,
        **({} if one.rows == SHARES else {"rows": one.rows}),
        **({} if one.layer is None else {"layer": one.layer}),
    }


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", ZIP_DATE)
    info.compress_type = archive.compression
    with archive.open(info, "w", force_zip64=True) as member:
        # Little-endian and C order on every machine: one file serves all.
        plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        np.lib.format.write_array(member, plain, allow_pickle=False)


def _read(stream: IO[bytes]) -> tuple[list[AttentionMap], dict[str, Any]]:
    with zipfile.ZipFile(stream) as archive:
        members = weigh(archive)
        header = _read_header(archive, members)
        expected = {HEADER}
        maps = []
        for index, entry in enumerate(header["maps"]):
            name = entry["name"]
            check_name(name)
            weights = _read_array(archive, members, name, "<f4", entry)
            mask = None
            expected.add(name)
            if entry["mask"] is True:
                mask_name = MASK.format(index)
                expected.add(mask_name)
                mask = _read_array(archive, members, mask_name, "|b1", entry)
            maps.append(
                AttentionMap(
                    name,
                    weights,
                    entry["kind"],
                    mask,
                    _typed(entry["causal"], bool),
                    entry["query_tokens"],
                    entry["key_tokens"],
                    [_typed(number, int) for number in entry["head_indices"]],
                    entry.get("rows", SHARES),
                    _typed(entry.get("layer"), int, type(None)),
                )
            )
        pictures = []
        for index, entry in enumerate(header.get("pictures", ())):
            name = PICTURE.format(index)
            expected.add(name)
            pictures.append(_picture(archive, members, name, entry))
    unknown = sorted(set(members) - expected)
    if unknown:
        raise MapFileError(f"holds {unknown[0]!r}, which its header does not name")
    about = {
        "trained": _typed(header["trained"], bool, type(None)),
        "source": _typed(header["source"], str, type(None)),
        "backend": _typed(header["backend"], str, type(None)),
        "pictures": pictures,
    }
    return maps, about


def _read_header(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, Any]:
    if HEADER not in members:
        raise MapFileError(
            f"has no {HEADER!r}: not written by AttentionMaps.save "
            "(AttentionMaps.from_arrays takes plain arrays)"
        )
    array = read_member(archive, members[HEADER])
    if array.dtype.kind != "S" or array.ndim != 0:
        raise MapFileError(f"{HEADER} is {array.dtype} {array.shape}, not one text")
    header = json.loads(array.item())
    if not isinstance(header, dict) or not isinstance(header.get("maps"), list):
        raise MapFileError(f"{HEADER} is not a description of attention maps")
    if header.get("version") != VERSION:
        raise MapFileError(
            f"is of version {header.get('version')!r}; this program reads {VERSION}"
        )
    return header


def _read_array(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    dtype: str,
    entry: dict[str, Any],
) -> NDArray[Any]:
    if name not in members:
        raise MapFileError(f"holds no array {name!r}, which its header names")
    array = read_member(archive, members[name])
    if array.dtype.str != dtype:
        raise MapFileError(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
    if dtype == "<f4" and (array.ndim != 4 or len(array) != len(entry["key_tokens"])):
        raise MapFileError(f"{name} has shape {array.shape}, not as its header says")
    return array


def _picture(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    entry: dict[str, Any],
) -> Picture:
    pixels = _read_array(archive, members, name, "|u1", entry)
    rows, columns = (_typed(number, int) for number in entry["grid"])
    before = [_typed(token, str) for token in entry["before"]]
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(rows, columns) < 1:
        raise MapFileError(f"{name} has shape {pixels.shape}, so it is not an image")
    stretched = _typed(entry.get("stretched", False), bool)
    return Picture(pixels, (rows, columns), before, stretched)


def _typed(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise MapFileError(f"its header holds {str(value)[:40]!r} in a wrong place")
    return value
