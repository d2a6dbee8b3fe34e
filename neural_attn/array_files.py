"""Reads `.npy` and `.npz` files of strangers: weighed first, never executed.

`np.load` trusts what a header claims, and unpacks an archive to whatever size it says.
Here the claims are held against the bytes that are there before anything is made of
their size.
"""

from __future__ import annotations

import errno
import io
import lzma
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.weighing import TooLargeError, weigh_members

__all__ = ["ArrayFileError", "read_array", "read_member", "reading", "weigh"]

OBJECTS = "holds Python objects, which are not loaded for safety"

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class ArrayFileError(ValueError):
    """A file holds no arrays, or more than it should; says why, in one line."""


@contextmanager
def reading(otherwise: str) -> Iterator[None]:
    """Turn whatever a broken file makes of its readers into an ArrayFileError.

    `otherwise` says what the file is not, where the reader's own words do not.
    """
    try:
        yield
    except ArrayFileError:
        raise
    except TooLargeError as error:
        raise ArrayFileError(str(error)) from None
    except OSError as error:
        # a place before the file's start, or what a decompressor cannot read
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ArrayFileError(f"{otherwise}: {error.strerror or error}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,  # of array headers, of JSON, of names that are not text
        TypeError,
        AttributeError,  # of JSON that holds something else in a place
        LookupError,
        RecursionError,
        MemoryError,
        ArithmeticError,
        SyntaxError,  # these two of headers, which are Python literals
        tokenize.TokenError,
        struct.error,
        lzma.LZMAError,
        RuntimeError,  # a password, or a compression this Python cannot undo
    ) as error:
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        raise ArrayFileError(f"{otherwise}: {reason}") from None


def weigh(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Index the members of an `.npz` by array name; refuse what claims too much."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename or name in members:
            raise ArrayFileError(f"holds an unexpected member {info.filename!r}")
        members[name] = info
    weigh_members(members.values())
    return members


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of an archive, without a copy."""
    data = archive.read(info)
    return read_array(io.BytesIO(data), len(data), info.filename, data)


def read_array(
    stream: IO[bytes], size: int, name: str, data: bytes | None = None
) -> NDArray[Any]:
    """One array of `size` bytes with its header; `data` are the same bytes, if at hand.

    The shape is checked against the bytes that are there before anything is made of
    that shape. Nothing is ever unpickled.
    """
    start = stream.tell()
    pickled = stream.read(1) == b"\x80"
    stream.seek(start)
    if pickled:
        raise ArrayFileError(f"{name} does not begin as an array does: it {OBJECTS}")
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ArrayFileError(f"{name} is of array format {version}")
    with warnings.catch_warnings():  # of a header that Python 2 wrote
        warnings.simplefilter("ignore", UserWarning)
        shape, fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ArrayFileError(f"{name} {OBJECTS}")
    start = stream.tell()
    if math.prod(shape) * dtype.itemsize != size - start:
        raise ArrayFileError(f"{name} is not as long as its shape {shape} says")
    if data is None:
        data = stream.read()
        start = 0
    array = np.frombuffer(data, dtype, offset=start)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
