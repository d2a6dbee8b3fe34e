"""Sound files as samples: WAV of whole numbers or floats, at any rate.

SciPy is imported only where the rate has to be changed.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason

__all__ = ["Samples", "open_sound"]

Samples = NDArray[np.float64]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# of an extensible format: its tag, then always this
_GUID_END = bytes.fromhex("000000001000800000aa00389b71")
_MOST_BYTES, _MOST_CHUNKS = 256 * 2**20, 1_000
_MOST_SECONDS = 600.0  # where the network does not say how much it takes
_LOUDEST = 1e9  # where it should be 1
_RATES = range(1_000, 400_001)


@dataclass(frozen=True)
class _Format:
    """What a sample is: its tag, and how many there are of it."""

    tag: int
    channels: int
    rate: int
    bits: int

    @property
    def step(self) -> int:
        """Bytes of the samples of one moment."""
        return self.channels * self.bits // 8


def open_sound(path: Path, rate: int, longest: float | None = None) -> Samples:
    """The samples of a WAV file, float64 [time], from -1 to 1, at `rate` a second.

    Channels are averaged. It lasts at most `longest` seconds (None: ten minutes).

    Raises NeuralError (E0439) for what is no such file, or too long, or where another
    rate is wanted and SciPy is not installed.
    """
    if path.exists() and not path.is_file():
        fail("E0439", path=path, reason="it is not a regular file")
    try:
        with path.open("rb") as stream:
            form, size = _find_samples(path, stream)
            _check_length(path, size // form.step / form.rate, longest)
            raw = stream.read(size)
    except OSError as error:
        fail("E0439", path=path, reason=reason(error))
    numbers = _numbers(raw, form)
    if not (abs(numbers) <= _LOUDEST).all():  # nor is NaN
        _refuse(path, "it holds numbers that are not sound")
    samples: Samples = numbers.reshape(-1, form.channels).mean(axis=1)
    return samples if form.rate == rate else _resampled(path, samples, form.rate, rate)


def _find_samples(path: Path, stream: BinaryIO) -> tuple[_Format, int]:
    """The format, and the bytes of samples, at whose first the stream then stands."""
    head = stream.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        _refuse(path, "it is not a WAV file")
    form = None
    for _ in range(_MOST_CHUNKS):
        start = stream.read(8)
        if len(start) < 8:
            break
        name, size = struct.unpack("<4sI", start)
        if name == b"data":
            if form is None:
                _refuse(path, "it does not say what its samples are")
            _check_size(path, size, os.fstat(stream.fileno()).st_size - stream.tell())
            if size < form.step or size % form.step:
                _refuse(path, f"{size:,} bytes do not hold a whole number of samples")
            return form, size
        at = stream.tell()
        if name == b"fmt ":
            form = _read_format(path, stream.read(min(size, 40)))
        stream.seek(at + size + size % 2)
    _refuse(path, "it has no samples")


def _read_format(path: Path, raw: bytes) -> _Format:
    if len(raw) < 16:
        _refuse(path, "it does not say what its samples are")
    tag, channels, rate, _, step, bits = struct.unpack("<HHIIHH", raw[:16])
    if tag == _EXTENSIBLE and len(raw) == 40 and raw[26:] == _GUID_END:
        tag = int.from_bytes(raw[24:26], "little")
    known = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(tag, ())
    if bits not in known:
        _refuse(path, f"its samples are of a kind ({tag}, {bits} bits) not known here")
    form = _Format(tag, channels, rate, bits)
    if not channels or step != form.step:
        _refuse(path, f"{channels} channels do not fill {step} bytes")
    if rate not in _RATES:
        _refuse(path, f"it has {rate:,} samples a second")
    return form


def _check_size(path: Path, size: int, there: int) -> None:
    if not size:
        _refuse(path, "it has no samples")
    if there < size:
        _refuse(path, f"it ends after {there:,} of {size:,} bytes of sound")
    if size > _MOST_BYTES:
        _refuse(path, f"it has {size:,} bytes of sound, which is too much")


def _check_length(path: Path, seconds: float, longest: float | None) -> None:
    most = _MOST_SECONDS if longest is None else longest
    if seconds > most:
        fail("E0439.long", path=path, seconds=f"{seconds:.2f}", most=f"{most:g}")


def _numbers(raw: bytes, form: _Format) -> Samples:
    if form.tag == _FLOAT:
        return np.frombuffer(raw, f"<f{form.bits // 8}").astype(np.float64)
    if form.bits == 8:  # the one that has no sign
        return (np.frombuffer(raw, np.uint8).astype(np.float64) - 128) / 128
    if form.bits == 24:  # as the upper bytes of 32 bits
        parts = np.zeros((len(raw) // 3, 4), np.uint8)
        parts[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return parts.view("<i4")[:, 0] / 2**31
    return np.frombuffer(raw, f"<i{form.bits // 8}") / 2.0 ** (form.bits - 1)


def _resampled(path: Path, samples: Samples, rate: int, wanted: int) -> Samples:
    try:
        from scipy.signal import resample_poly
    except ImportError:
        fail("E0439.rate", path=path, rate=rate, wanted=wanted)
    common = math.gcd(rate, wanted)
    found: Samples = resample_poly(samples, wanted // common, rate // common)
    return found


def _refuse(path: Path, why: str) -> NoReturn:
    fail("E0439", path=path, reason=why)
