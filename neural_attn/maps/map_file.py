"""The `.npz` file that holds attention maps: written by `save`, read by `load`.

Members: each map under its own name, float32 [batch, heads, queries, keys]; the masks
under `neural_attn/mask/0`, ...; and `neural_attn/header`, a bytes scalar of ASCII JSON
with the tokens, the kinds and the rest. No map's name holds a `/`, so that nothing
collides. `np.load` reads all of it; np.savez is not used to write because it takes the
names as keyword arguments, and `file` is one of its own.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.files import atomic_writer
from neural_attn.maps.attention_map import AttentionMap, check_name

if TYPE_CHECKING:
    from neural_attn.maps.attention_maps import AttentionMaps

__all__ = ["MapFileError", "read_maps", "write_maps"]

HEADER = "neural_attn/header"
MASK = "neural_attn/mask/{}"
VERSION = 1

# A stranger's file may claim any size. Real attention deflates a few times at most, so
# what is both large and extremely dense is no attention.
MAX_BYTES = 16 * 2**30
MAX_DENSITY = 200
SMALL_BYTES = 256 * 2**20

# Zip stores a date per member: a fixed one gives the same file for the same maps.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class MapFileError(ValueError):
    """A file is not what `AttentionMaps.save` writes; says why, in one line."""


def write_maps(
    maps: AttentionMaps, path: str | os.PathLike[str], *, compress: bool = False
) -> None:
    """Write `maps` to `path`; see `AttentionMaps.save`."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    header = {
        "version": VERSION,
        "trained": maps.trained,
        "source": maps.source,
        "backend": maps.backend,
        "maps": [_describe(one) for one in maps.maps],
    }
    # ASCII, with escapes for the rest: tokens may hold lone surrogates, which no
    # encoding takes.
    text = json.dumps(header, ensure_ascii=True).encode("ascii")
    with (
        atomic_writer(path) as stream,
        zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive,
    ):
        _write_array(archive, HEADER, np.array(text))
        for index, one in enumerate(maps.maps):
            _write_array(archive, one.name, one.weights)
            if one.mask is not None:
                _write_array(archive, MASK.format(index), one.mask)


def read_maps(path: str | os.PathLike[str]) -> AttentionMaps:
    """Read maps from `path`; see `AttentionMaps.load`."""
    with open(path, "rb") as stream:
        try:
            return _read(stream)
        except MapFileError as error:
            raise MapFileError(f"{path}: {error}") from None
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,  # of JSON, of array headers, of AttentionMap itself
            TypeError,
            KeyError,
            RecursionError,
            RuntimeError,  # a password, or a compression this Python cannot undo
        ) as error:
            reason = str(error) or type(error).__name__
            raise MapFileError(f"{path}: not an attention map file: {reason}") from None


def _describe(one: AttentionMap) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "causal": one.causal,
        "mask": one.mask is not None,
        "head_indices": one.head_indices,
        "query_tokens": one.query_tokens,
        "key_tokens": one.key_tokens,
    }


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", ZIP_DATE)
    info.compress_type = archive.compression
    with archive.open(info, "w", force_zip64=True) as member:
        # Little-endian and C order on every machine: one file serves all.
        plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        np.lib.format.write_array(member, plain, allow_pickle=False)


def _read(stream: IO[bytes]) -> AttentionMaps:
    from neural_attn.maps.attention_maps import AttentionMaps

    with zipfile.ZipFile(stream) as archive:
        members = _checked_members(archive)
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
                )
            )
    unknown = sorted(set(members) - expected)
    if unknown:
        raise MapFileError(f"holds {unknown[0]!r}, which its header does not name")
    return AttentionMaps(
        maps,
        trained=_typed(header["trained"], bool, type(None)),
        source=_typed(header["source"], str, type(None)),
        backend=_typed(header["backend"], str, type(None)),
    )


def _checked_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Index the members by array name, looking at names and claimed sizes first."""
    members: dict[str, zipfile.ZipInfo] = {}
    size = packed = 0
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename or name in members:
            raise MapFileError(f"holds an unexpected member {info.filename!r}")
        members[name] = info
        size += info.file_size
        packed += info.compress_size
    if size > MAX_BYTES or (size > SMALL_BYTES and size > MAX_DENSITY * packed):
        raise MapFileError(
            f"claims {size:,} bytes of arrays in {packed:,} bytes of file; refused"
        )
    return members


def _read_header(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, Any]:
    if HEADER not in members:
        raise MapFileError(
            f"has no {HEADER!r}: not written by AttentionMaps.save "
            "(AttentionMaps.from_arrays takes plain arrays)"
        )
    array = _member_array(archive, members[HEADER])
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
    array = _member_array(archive, members[name])
    if array.dtype.str != dtype:
        raise MapFileError(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
    if dtype == "<f4" and (array.ndim != 4 or len(array) != len(entry["key_tokens"])):
        raise MapFileError(f"{name} has shape {array.shape}, not as its header says")
    return array


def _member_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of the archive, without a copy and without ever unpickling.

    The shape is checked against the bytes that are there before anything is made of
    that shape.
    """
    data = archive.read(info)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise MapFileError(f"{info.filename} is of array format {version}")
    if dtype.hasobject or fortran:
        raise MapFileError(f"{info.filename} holds {dtype} (Fortran order: {fortran})")
    start = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise MapFileError(f"{info.filename} is not as long as its shape {shape} says")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _typed(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise MapFileError(f"its header holds {str(value)[:40]!r} in a wrong place")
    return value
