"""Whisper as CTranslate2 keeps it: one file, `model.bin`, of binary version 6.

It is read as the folder of a Hugging Face Whisper is: the values of its config.json,
and its tensors under their names there.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.tensors import Array, SafeTensor, StoredTensor

__all__ = ["FILE", "read_whisper"]

FILE = "model.bin"
VERSION = 6
SPEC = "WhisperSpec"

_DTYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")  # by their number in the file
_BYTES = (4, 1, 2, 4, 2, 2)
_MOST_VARIABLES, _MOST_AXES = 100_000, 8

# Scalars say how the network computes; these are what the family of Whisper does.
_PLAIN = {
    "decoder/activation": 3,  # the exact GELU
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
# Heads, which the shapes do not tell, and what only CTranslate2's own output needs.
_HEADS = ("encoder/num_heads", "decoder/num_heads")
_UNUSED = ("decoder/alignment_heads", "decoder/alignment_layer")

# module -> module, or modules that share its rows
_OUTER = {
    r"(en|de)coder/layer_norm": r"\1coder.layer_norm",
    r"(en|de)coder/position_encodings": r"\1coder.embed_positions",
    r"encoder/(conv[12])": r"encoder.\1",
    r"decoder/embeddings": "decoder.embed_tokens",
    r"decoder/projection": "proj_out",
}
_INNER = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_0": "self_attn.q_proj self_attn.k_proj self_attn.v_proj",
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_1": "encoder_attn.k_proj encoder_attn.v_proj",
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
_MODULES = _OUTER | {
    rf"(encoder|decoder)/layer_(\d+)/{theirs}": " ".join(
        rf"\1.layers.\2.{one}" for one in ours.split()
    )
    for theirs, ours in _INNER.items()
}
_WEIGHTS = {
    "weight": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "encodings": "weight",
}


@dataclass(frozen=True)
class _Rows:
    """An equal part of the rows of a tensor, as queries have of one with keys' too."""

    whole: StoredTensor
    place: int
    parts: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.whole.path

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        rows, *others = self.whole.shape
        return (rows // self.parts, *others)

    def read(self, name: str) -> Array:
        """The values as float32. Raises NeuralError (E0629) where they are none."""
        rows = self.shape[0]
        return self.whole.read(name)[self.place * rows : (self.place + 1) * rows]


def read_whisper(path: Path) -> tuple[Config, dict[str, StoredTensor]]:
    """The configuration and the tensors of a model.bin; no values are read yet.

    Raises NeuralError: E0622 where the file cannot be read, E0624 where it is of
    another version or of no Whisper, E0626 where it computes something else, E0627
    where it is not a valid file.
    """
    try:
        with path.open("rb") as stream:
            found = _Reader(path, stream).variables()
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    scalars = {name: one for name, one in found.items() if one.shape == ()}
    tensors = {name: one for name, one in found.items() if one.shape != ()}
    heads = [_whole(scalars, name, path) for name in _HEADS]
    for name in scalars:
        if name in _PLAIN and _whole(scalars, name, path) == _PLAIN[name]:
            continue
        if name not in (*_HEADS, *_UNUSED):
            fail("E0626.scalar", path=path, name=name)
    stored = _renamed(tensors, path)
    return Config(path, _config(stored, heads, path)), stored


def _whole(scalars: Mapping[str, SafeTensor], name: str, path: Path) -> int:
    """A whole number of the file."""
    one = scalars.get(name)
    if one is None or not one.dtype.startswith("I"):
        fail("E0627.ctranslate2", path=path, what=f"it has no number `{name}`")
    with path.open("rb") as stream:
        stream.seek(one.offset)
        size = _BYTES[_DTYPES.index(one.dtype)]
        return int.from_bytes(stream.read(size), "little", signed=True)


def _renamed(tensors: Mapping[str, SafeTensor], path: Path) -> dict[str, StoredTensor]:
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition("/")
        matches = ((re.fullmatch(p, module), t) for p, t in _MODULES.items())
        match, target = next((pair for pair in matches if pair[0]), (None, ""))
        if match is None or kind not in _WEIGHTS:
            fail("E0626.scalar", path=path, name=name)
        parts = [match.expand(part) for part in target.split()]
        if tensor.shape[0] % len(parts):
            fail("E0627.ctranslate2", path=path, what=f"`{name}` has no equal parts")
        for place, part in enumerate(parts):
            found[f"{part}.{_WEIGHTS[kind]}"] = (
                _Rows(tensor, place, len(parts)) if parts[1:] else tensor
            )
    return found


def _config(
    stored: Mapping[str, StoredTensor], heads: list[int], path: Path
) -> dict[str, Any]:
    """What config.json would say; the rest of Whisper's values are its defaults."""

    def size(name: str, axis: int) -> int:
        shape = stored[name].shape if name in stored else ()
        if axis >= len(shape):
            fail("E0627.ctranslate2", path=path, what=f"it has no valid `{name}`")
        return shape[axis]

    token, head = "decoder.embed_tokens.weight", stored.get("proj_out.weight")
    values: dict[str, Any] = {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": size(token, 0),
        "d_model": size(token, 1),
        "num_mel_bins": size("encoder.conv1.weight", 1),
        "max_source_positions": size("encoder.embed_positions.weight", 0),
        "max_target_positions": size("decoder.embed_positions.weight", 0),
        "tie_word_embeddings": head is None or head is stored[token],
    }
    for side, number in zip(("encoder", "decoder"), heads, strict=True):
        layers = {
            int(found[1])
            for name in stored
            if (found := re.match(rf"{side}\.layers\.(\d+)\.", name))
        }
        values[f"{side}_attention_heads"] = number
        values[f"{side}_layers"] = len(layers)
        values[f"{side}_ffn_dim"] = size(f"{side}.layers.0.fc1.weight", 0)
    return values


class _Reader:
    """The variables of a file; every size is checked against what is left of it."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path, self.stream = path, stream
        self.left = os.fstat(stream.fileno()).st_size

    def variables(self) -> dict[str, SafeTensor]:
        """Every variable by name, those under another name too."""
        version = self._number("<I")
        if version != VERSION:
            fail("E0624.version", path=self.path, version=version, known=VERSION)
        spec = self._text()
        self._number("<I")  # the revision of the spec: its names are checked instead
        if spec != SPEC:
            fail("E0624.spec", path=self.path, spec=spec, known=SPEC)
        found: dict[str, SafeTensor] = {}
        for _ in range(self._count()):
            name, tensor = self._variable()
            self._add(found, name, tensor)
        for _ in range(self._count()):
            name, other = self._text(), self._text()
            if other not in found:
                self._stop(f"`{name}` is to be `{other}`, which is not there")
            self._add(found, name, found[other])
        if self.left:
            self._stop(f"{self.left} bytes follow its end")
        return found

    def _variable(self) -> tuple[str, SafeTensor]:
        name, axes = self._text(), self._number("<B")
        if axes > _MOST_AXES:
            self._stop(f"`{name}` has {axes} axes")
        shape = tuple(self._number("<I") for _ in range(axes))
        dtype, size = self._number("<B"), self._number("<I")
        if dtype >= len(_DTYPES):
            self._stop(f"`{name}` is of type {dtype}, which does not exist")
        if math.prod(shape) * _BYTES[dtype] != size or size == 0:
            self._stop(f"`{name}` {shape} does not take {size} bytes")
        offset = self.stream.tell()
        self._take(size)
        self.stream.seek(size, os.SEEK_CUR)
        return name, SafeTensor(self.path, offset, _DTYPES[dtype], shape)

    def _add(self, found: dict[str, SafeTensor], name: str, tensor: SafeTensor) -> None:
        if name in found:
            self._stop(f"it has `{name}` twice")
        found[name] = tensor

    def _count(self) -> int:
        count = self._number("<I")
        if count > _MOST_VARIABLES:
            self._stop(f"it claims to have {count} variables")
        return count

    def _text(self) -> str:
        """A text that ends with a zero, after its length."""
        size = self._number("<H")
        self._take(size)
        raw = self.stream.read(size)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self._stop("a name in it is not text")
        if not text.endswith("\0"):
            self._stop("a name in it does not end")
        return text[:-1]

    def _number(self, form: str) -> int:
        size = struct.calcsize(form)
        self._take(size)
        return int(struct.unpack(form, self.stream.read(size))[0])

    def _take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            self._stop("it ends too early")

    def _stop(self, what: str) -> NoReturn:
        fail("E0627.ctranslate2", path=self.path, what=what)
