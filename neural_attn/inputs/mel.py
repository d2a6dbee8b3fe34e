"""Samples of sound as a log-mel spectrogram, as Whisper takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.preparation import Preparation

__all__ = ["SoundPreparation"]

Float = NDArray[np.float64]

_HIGHEST = 8_000.0  # Hz, of the bands
_FLOOR, _RANGE = 1e-10, 8.0  # of power; of its logarithm, below the loudest cell

# The mel scale of Slaney's Auditory Toolbox (1998): linear up to 1,000 Hz, which are
# 15 mel, and logarithmic above.
_LINEAR, _BREAK = 200 / 3, 1_000.0
_GROWTH = np.log(6.4) / 27


@dataclass(frozen=True)
class SoundPreparation(Preparation):
    """How samples become frames (Radford et al., 2022, Whisper, 2.2).

    Parameters
    ----------
    bands : int
        Mel bands, from 0 to 8,000 Hz.
    rate : int
        Samples a second.
    hop : int
        Samples from one frame to the next.
    window : int
        Samples that a frame is computed of, weighted by Hann's window.
    """

    KIND: ClassVar[str] = "audio"

    bands: int = 80
    rate: int = 16_000
    hop: int = 160
    window: int = 400

    @classmethod
    def refuse(cls, path: Path) -> NoReturn:
        """See `Preparation.refuse`."""
        fail("E0439.settings", path=path)

    def check(self) -> None:
        """See `Preparation.check`."""
        sizes = (self.bands, self.rate, self.hop, self.window)
        ends = (1_000, 400_000, 100_000, 100_000)
        for size, end in zip(sizes, ends, strict=True):
            if type(size) is not int or not 1 <= size <= end:
                raise ValueError(size)
        if self.window < 2 or self.rate < 2:
            raise ValueError(self.window)

    def seconds(self, frames: int) -> float:
        """How long so many frames last."""
        return frames * self.hop / self.rate

    def numbers(self, samples: Float, frames: int | None) -> NDArray[np.float32]:
        """Samples [time] as float32 [frames, bands], with silence after them.

        The log of the power of each band, no more than 8 powers of ten below the
        loudest, moved to about -1 to 1. `frames` is None where any number will do.
        """
        count = -(-len(samples) // self.hop) if frames is None else frames
        missing = count * self.hop - len(samples)
        power = self._power(np.pad(samples, (0, max(0, missing))), count)
        found = np.log10(np.maximum(power @ self._filters(), _FLOOR))
        found = np.maximum(found, found.max() - _RANGE)
        numbers: NDArray[np.float32] = ((found + 4) / 4).astype(np.float32)
        return numbers

    def _power(self, samples: Float, count: int) -> Float:
        """[frames, frequencies]; a frame lies around its first sample."""
        padded = np.pad(samples, self.window // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.window)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        found = np.fft.rfft(windows[:: self.hop][:count] * hann)
        power: Float = found.real**2 + found.imag**2
        return power

    def _filters(self) -> Float:
        """Triangles of one area each [frequencies, bands]."""
        heard = np.linspace(0, self.rate // 2, self.window // 2 + 1)[:, None]
        edges = _hertz(np.linspace(0, _mel(_HIGHEST), self.bands + 2))
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising = (heard - low) / (middle - low)
        falling = (high - heard) / (high - middle)
        filters: Float = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
        return filters


def _mel(hertz: float) -> float:
    """Of a frequency above 1,000 Hz."""
    return float(_BREAK / _LINEAR + np.log(hertz / _BREAK) / _GROWTH)


def _hertz(mel: Any) -> Float:
    above = np.maximum(0, mel - _BREAK / _LINEAR)
    linear = mel * _LINEAR
    found: Float = np.where(above > 0, _BREAK * np.exp(_GROWTH * above), linear)
    return found
