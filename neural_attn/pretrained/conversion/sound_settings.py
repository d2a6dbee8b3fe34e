"""How a model prepares sound: its preprocessor_config.json, in our words."""

from __future__ import annotations

from pathlib import Path

from neural_attn.inputs.mel import SoundPreparation
from neural_attn.pretrained.conversion.preprocessor import preprocessor_config

__all__ = ["sound_settings"]

_EXTRACTOR = "WhisperFeatureExtractor"
_USUAL = SoundPreparation()


def sound_settings(folder: Path) -> SoundPreparation | None:
    """How the model in `folder` prepares sound; None where no file says it.

    How long a sound may be is not read: the network says it.

    Raises NeuralError (E0622 to E0626) for a file that is broken, or that asks for
    something else.
    """
    config = preprocessor_config(folder, "feature_extractor")
    if config is None:
        return None
    config.refuse(
        "feature_extractor_type", (_EXTRACTOR,), "sound is prepared as Whisper does it"
    )
    config.refuse("dither", (0,), "no noise is added here")
    config.refuse("padding_value", (0,), "silence is added after a sound")
    found = SoundPreparation(
        config.size("feature_size", _USUAL.bands, 1_000),
        config.size("sampling_rate", _USUAL.rate, 400_000),
        config.size("hop_length", _USUAL.hop, 100_000),
        config.size("n_fft", _USUAL.window, 100_000),
    )
    config.check(found.window > 1, "n_fft", "2 or more")
    return found
