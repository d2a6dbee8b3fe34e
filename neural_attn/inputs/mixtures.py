"""Inputs that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.prepared import Tokens
from neural_attn.inputs.tokenizer import Text

__all__ = ["refuse_mixtures"]


def refuse_mixtures(
    data: Any,
    texts: Sequence[Text],
    images: Sequence[Path],
    sounds: Sequence[Path],
    tokens: Tokens | None,
    files: Sequence[Path] = (),
) -> None:
    """Raise NeuralError (E0414) for arrays beside texts or media, and the like.

    `files` are those of texts; `tokens` label arrays alone.
    """
    has_more = data is not None or bool(files)
    if images and has_more:
        fail("E0414.images")
    if sounds and has_more:
        fail("E0414.sounds")
    if images and sounds:
        fail("E0414.media")
    has_texts = bool(texts or files)
    if has_texts and data is not None:
        fail("E0414.data")
    if (has_texts or images or sounds) and tokens is not None:
        fail("E0414.texts")
