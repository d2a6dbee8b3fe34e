"""Weights of a model folder, read one tensor at a time, and written likewise.

No framework is needed for safetensors, and never more than one tensor is in memory.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.files import atomic_writer
from neural_attn.pretrained.conversion.config import read_json
from neural_attn.pretrained.conversion.torch_files import pickled_tensors
from neural_attn.weighing import TooLargeError, weigh_text

Array = NDArray[np.float32]

# the names of weights in one file, or of the index of many; the first found is read
SINGLE = "model.safetensors"
_FILES = (SINGLE, "pytorch_model.bin")
_OTHERS = ("tf_model.h5", "flax_model.msgpack")
# bfloat16, which NumPy does not have, is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class StoredTensor(Protocol):
    """A tensor in a file of the model."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    def read(self, name: str) -> Array:
        """The values as float32. Raises NeuralError (E0629) where they are none."""


@dataclass(frozen=True)
class Constant:
    """A weight that the model does without: a bias of 0, a scale of 1."""

    shape: tuple[int, ...]
    value: float
    path: Path = Path()

    def read(self, name: str) -> Array:
        """The value, everywhere."""
        return np.full(self.shape, self.value, np.float32)


@dataclass(frozen=True)
class SafeTensor:
    """A tensor in a safetensors file: where it lies, its dtype there and its shape."""

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def read(self, name: str) -> Array:
        """The values as float32.

        Raises NeuralError (E0629) where they are not floating-point numbers, or hold
        NaN or infinity.
        """
        if self.dtype not in _DTYPES:
            fail(
                "E0629",
                path=self.path,
                name=name,
                dtype=self.dtype,
                dtypes=", ".join(_DTYPES),
            )
        count = math.prod(self.shape)
        raw = np.fromfile(
            self.path, np.dtype(_DTYPES[self.dtype]), count, offset=self.offset
        )
        if self.dtype == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # found on the next line
            values = raw.astype(np.float32, copy=False).reshape(self.shape)
        if not np.isfinite(values).all():
            fail("E0629.nan", path=self.path, name=name)
        return values


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a model folder: one, or those its index names.

    Raises NeuralError: E0622 where there are none, E0623 where the index is broken.
    """
    for name in _FILES:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return _indexed(folder / f"{name}.index.json")
    others = [name for name in _OTHERS if (folder / name).is_file()]
    hint = "weights are read from safetensors or .bin files, shards by their index"
    if others:
        hint = (
            f"{others[0]} is in another format; transformers turns it into this "
            "one: AutoModel.from_pretrained(DIR).save_pretrained(NEW_DIR)"
        )
    fail("E0622.weights", hint=hint, path=folder, names=" or ".join(_FILES))


def _indexed(index: Path) -> list[Path]:
    mapping = read_json(index).get("weight_map")
    values = list(mapping.values()) if isinstance(mapping, dict) else []
    if not values or not all(isinstance(value, str) for value in values):
        fail("E0623.index", path=index)
    names = sorted(set(values))
    for name in names:
        # A stranger's index must not read files elsewhere.
        if name in ("", ".", "..") or any(c in name for c in "/\\:\0"):
            fail("E0623.outside", path=index, name=name)
    return [index.with_name(name) for name in names]


def stored_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of the files, by name; only headers are read.

    Raises NeuralError: E0622 where a file cannot be read, E0627 where it is no
    sound file of tensors or two hold a tensor of one name.
    """
    found: dict[str, StoredTensor] = {}
    for path in files:
        tensors: Mapping[str, StoredTensor] = (
            pickled_tensors(path) if path.suffix == ".bin" else _header(path)
        )
        for name, tensor in tensors.items():
            if name in found:
                fail("E0627.twice", path=path, other=found[name].path, name=name)
            found[name] = tensor
    return found


def _header(path: Path) -> dict[str, SafeTensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            start = stream.read(8).ljust(8, b"\0")
            weigh_text(min(struct.unpack("<Q", start)[0], path.stat().st_size))
        # It checks that sizes, offsets and the length of the file fit together.
        with path.open("rb") as stream, safe_open(path, "np"):
            (size,) = struct.unpack("<Q", stream.read(8))
            entries = json.loads(stream.read(size))
    except TooLargeError as error:
        fail("E0627.large", path=path, reason=error)
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    except SafetensorError as error:
        fail("E0627.place", path=path, reason=error)
    except (ValueError, RecursionError):
        fail("E0627", path=path)
    entries.pop("__metadata__", None)
    return {
        name: SafeTensor(
            path,
            8 + size + entry["data_offsets"][0],
            entry["dtype"],
            (*entry["shape"],),
        )
        for name, entry in entries.items()
    }


class Source(Protocol):
    """A weight that is computed when it is written."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what `read` gives."""

    def read(self) -> Array:
        """The values, float32."""


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Source]) -> None:
    """Write a safetensors file of float32 tensors, atomically.

    The library's own writer needs all tensors in memory at once.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, source in weights.items():
        end = offset + 4 * math.prod(source.shape)
        header[name] = {
            "dtype": "F32",
            "shape": list(source.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    with atomic_writer(path, 8 + len(text) + offset) as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for source in weights.values():
            values = np.ascontiguousarray(source.read(), "<f4")
            assert values.shape == source.shape
            stream.write(values.data)
