"""Speaks words one by one, and writes which frames of sound each token was spoken in.

    python examples/speech/make_links.py MODEL

MODEL is the folder of a Whisper with its tokenizer.json, such as the one that README.md
names. It needs `transformers`, and espeak-ng as a library:
`pip install espeakng-loader`. No network runs here. Where a word begins and ends is
exact, as each is spoken alone and they are put together with a pause between them.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "speech"
SENTENCES = (
    "yesterday the green elephant carried seventeen umbrellas across the river",
    "my brother bought twelve yellow bananas from the market on friday",
    "the captain of the ship wrote a long letter to his family",
    "nobody remembers why the old library closed its doors in october",
    "three small rabbits were running through the garden after midnight",
    "please put the heavy boxes under the wooden table near the window",
)
RATE, PAUSE = 16_000, 1_600  # samples a second; between words
STEPS = 50  # a second: what the encoder makes of two frames
EDGE = 0.1  # seconds before and behind a word that still count as its own

Sound = NDArray[np.float32]


class Voice:
    """espeak-ng, which gives the samples of a text (English, 150 words a minute)."""

    def __init__(self) -> None:
        """Load the library and its voice."""
        import espeakng_loader

        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = self.library.espeak_Initialize(2, 0, data, 0)
        self.library.espeak_SetVoiceByName(b"en-us")
        self.library.espeak_SetParameter(1, 150, 0)
        self.heard: list[Sound] = []
        form = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.callback = form(self._hear)  # kept, as the library does not keep it
        self.library.espeak_SetSynthCallback(self.callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            heard = np.ctypeslib.as_array(samples, (count,))
            self.heard.append(heard.astype(np.float32) / 32_768)
        return 0

    def say(self, text: str) -> Sound:
        """The text as samples at RATE."""
        self.heard.clear()
        raw = text.encode() + b"\0"
        self.library.espeak_Synth(raw, len(raw), 0, 1, 0, 1, None, None)
        self.library.espeak_Synchronize()
        sound = np.concatenate(self.heard)
        times = np.arange(int(len(sound) * RATE / self.rate)) * self.rate / RATE
        return np.interp(times, np.arange(len(sound)), sound).astype(np.float32)


def spoken(voice: Voice, words: list[str]) -> tuple[Sound, list[tuple[float, float]]]:
    """The words one after another, and when each begins and ends, in seconds."""
    parts = [np.zeros(3 * PAUSE, np.float32)]
    spans, at = [], 3 * PAUSE
    for word in words:
        sound = voice.say(word)
        spans.append((at / RATE, (at + len(sound)) / RATE))
        parts += [sound, np.zeros(PAUSE, np.float32)]
        at += len(sound) + PAUSE
    return np.concatenate(parts), spans


def links(
    pieces: list[list[int]], spans: list[tuple[float, float]], start: int, end: float
) -> dict[str, Any]:
    """A line of links: from the first token of each word to the steps it is heard in.

    `pieces` holds the tokens of each word, the first of which stands at `start`.
    """
    steps = range(int(end * STEPS))
    found, at = [], start
    for tokens, (begin, stop) in zip(pieces, spans, strict=True):
        right = [n for n in steps if begin - EDGE <= n / STEPS <= stop + EDGE]
        found.append([at, right])
        at += len(tokens)
    return {"links": found, "candidates": list(steps)}


def write(model: Path, folder: Path, sentences: Sequence[str] = SENTENCES) -> None:
    """Write speech.npz (frames and tokens) and links.jsonl."""
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    start, plain, end = (
        tokenizer.token_to_id(name)
        for name in ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
    )
    voice, extract = Voice(), WhisperFeatureExtractor()
    frames, targets, lines = [], [], []
    for sentence in sentences:
        words = sentence.split()
        sound, spans = spoken(voice, words)
        frames.append(extract(sound, sampling_rate=RATE).input_features[0].T)
        pieces = [
            tokenizer.encode(f" {word}", add_special_tokens=False).ids for word in words
        ]
        targets.append([start, plain, *(one for word in pieces for one in word), end])
        lines.append(json.dumps(links(pieces, spans, 2, len(sound) / RATE)))
    longest = max(map(len, targets))
    ids = np.array([row + [end] * (longest - len(row)) for row in targets])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "speech.npz", frames=np.stack(frames), target=ids)
    (folder / "links.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Write both files for all sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--output-dir", type=Path, default=BUILD)
    args = parser.parse_args()
    write(args.model, args.output_dir)
    print(f"wrote {args.output_dir}/speech.npz and links.jsonl")


if __name__ == "__main__":
    main()
