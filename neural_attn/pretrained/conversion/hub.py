"""Models by their names on the Hugging Face hub, or in its cache."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from neural_attn.diagnostics.errors import fail

__all__ = ["fetch", "is_name"]

_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_FILES = ["*.json", "*.safetensors"]
_TIMEOUT = 5.0  # seconds; whoever is offline is to hear of it at once


def is_name(path: Path) -> bool:
    """Whether it is nothing on this machine, and may be called so on the hub."""
    return not path.exists() and _NAME.fullmatch(path.as_posix()) is not None


def fetch(name: str) -> Path:
    """The folder of a model in the cache of huggingface_hub, downloaded if need be.

    Raises NeuralError (E0621) where there is no such model, or it cannot be reached.
    """
    try:
        hub = import_module("huggingface_hub")
    except ImportError:
        fail("E0621.hub", name=name)

    def folder_with(patterns: list[str]) -> Path:
        found = hub.snapshot_download(
            name, allow_patterns=patterns, etag_timeout=_TIMEOUT
        )
        return Path(found)

    try:
        folder = folder_with(_FILES)
        if not list(folder.glob("*.safetensors")):
            folder = folder_with([*_FILES, "pytorch_model*.bin"])
    except (OSError, ValueError, hub.utils.HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        fail("E0621.unreachable", name=name, reason=reason)
    return folder
