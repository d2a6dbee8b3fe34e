"""Sound into a network: a batch as it takes it, and when its steps are heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import lt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.arrays import prepare
from neural_attn.inputs.limits import only_input, parts_of
from neural_attn.inputs.mel import SoundPreparation
from neural_attn.inputs.prepared import Labels, Prepared
from neural_attn.inputs.sounds import open_sound
from neural_attn.inputs.tokenizer import Encoded
from neural_attn.ir import Block, Input, is_mask
from neural_attn.shapes.instance import Checked

__all__ = [
    "own_start",
    "prepare_sounds",
    "refuse_sound_input",
    "sound_input",
    "start_alone",
    "text_input",
]


def prepare_sounds(
    checked: Checked,
    paths: Sequence[Path],
    settings: SoundPreparation | None,
    encoded: Encoded | None = None,
) -> Prepared:
    """Sound files, and what was encoded of texts, as checked inputs of a network.

    Silence is added after them where the network takes so many frames. Without settings
    they are prepared as Whisper does it, at 16,000 Hz.

    Raises NeuralError (E0439) for a file that is no WAV, or too long, or files of
    different lengths where any is taken, and as `prepare` does.
    """
    given = sound_input(checked)
    frames, bands = given.shape
    notes = []
    if settings is None:
        settings = SoundPreparation(bands or SoundPreparation.bands)
        notes.append(
            "how sound is prepared is not known: done as in Whisper, "
            f"with {settings.bands} mel bands, at {settings.rate:,} Hz"
        )
    numbers, silent = _frames(paths, settings, frames)
    if len({len(one) for one in numbers}) > 1:
        fail("E0439.lengths", network=checked.network.name)
    if frames is not None and silent:
        until = settings.seconds(frames)
        notes.append(f"silence was added after the sound, up to {until:g} s")
    arrays: dict[str, NDArray[Any]] = {given.name: np.stack(numbers)}
    tokens: dict[str, Labels] = {given.name: _times(settings, len(numbers[0]))}
    steps = _times(settings, len(numbers[0]), 2) if _halves(checked) else ()
    name, real = text_input(checked), {}
    if encoded is not None and name is not None:
        real = _padded(checked, name, encoded)
        arrays[name], tokens[name] = encoded.inputs["input_ids"], encoded.tokens
    prepared = prepare(checked, arrays, tokens)
    notes += encoded.notes if encoded else []
    return replace(prepared, notes=[*notes, *prepared.notes], steps=steps, real=real)


def _padded(
    checked: Checked, name: str, encoded: Encoded
) -> dict[str, NDArray[np.bool_]]:
    """What is not padding in texts of different lengths; {} where all are as long.

    Raises NeuralError (E0439.texts) where a token would see the padding after it.
    """
    if min(encoded.lengths) == max(encoded.lengths):
        return {}
    maps = checked.attentions.values()
    if not all(one.causal for one in maps if one.keys == name):
        fail("E0439.texts")
    return {name: encoded.inputs["attention_mask"] != 0}


def _frames(
    paths: Sequence[Path], settings: SoundPreparation, count: int | None
) -> tuple[list[NDArray[np.float32]], bool]:
    """Of each file [frames, bands]; and whether silence stands behind some of them."""
    longest = None if count is None else settings.seconds(count)
    sounds = [open_sound(path, settings.rate, longest) for path in paths]
    frames = [settings.numbers(one, count) for one in sounds]
    samples = [len(one) * settings.hop for one in frames]
    return frames, any(map(lt, map(len, sounds), samples))


def start_alone(encoded: Encoded) -> Encoded:
    """Of empty texts: what stands before a text, without what ends it."""
    width = max(1, encoded.inputs["input_ids"].shape[1] - 1)
    note = f"no text given: the decoder reads only its first {width} tokens"
    return replace(_steps(encoded, slice(0, width)), notes=[note])


def own_start(encoded: Encoded) -> Encoded:
    """Of texts that bring their start (`<|startoftranscript|><|en|>`): that one alone.

    Tokenizers put theirs in front of it, as of any text.
    """
    ids, first = encoded.inputs["input_ids"], encoded.tokens[0][0]
    again = (ids[:, 1:] == ids[:, :1]).all(axis=0)
    if not (first.startswith("<|") and first.endswith("|>") and again.any()):
        return encoded
    return _steps(encoded, slice(int(again.argmax()) + 1, None))


def _steps(encoded: Encoded, some: slice) -> Encoded:
    inputs = {name: array[:, some] for name, array in encoded.inputs.items()}
    tokens = [row[some] for row in encoded.tokens]
    return replace(encoded, inputs=inputs, tokens=tokens)


def text_input(checked: Checked) -> str | None:
    """The name of the one input of ids beside the sound; None where there is none."""
    found = only_input(checked, _is_ids)
    return None if found is None else found.name


def refuse_sound_input(checked: Checked) -> None:
    """Raise NeuralError (E0439.alone) where a network does not take texts alone."""
    if any(map(_is_sound, checked.network.inputs)) and text_input(checked):
        fail("E0439.alone", network=checked.network.name)


def sound_input(checked: Checked) -> Input:
    """The input of a network that takes frames of sound.

    Raises NeuralError (E0439.model) where there is none, or there are several.
    """
    found = only_input(checked, _is_sound)
    if found is None:
        fail("E0439.model", network=checked.network.name)
    return found


def _is_sound(given: Input) -> bool:
    floats = given.dtype == "float" and not is_mask(given.name)
    return floats and len(given.shape) == 2


def _is_ids(given: Input) -> bool:
    return given.dtype == "int" and len(given.shape) == 1 and not is_mask(given.name)


def _times(settings: SoundPreparation, frames: int, every: int = 1) -> list[str]:
    """When each step is heard, of which there is one for `every` frames."""
    return [f"{settings.seconds(at):.2f}s" for at in range(0, frames, every)]


def _halves(checked: Checked) -> bool:
    """Whether two frames become a step, in the network's one `FrameEmbedding`."""
    names = [
        one.target.name
        for one in parts_of(checked.root)
        if isinstance(one.target, Block)
    ]
    return names.count("FrameEmbedding") == 1
