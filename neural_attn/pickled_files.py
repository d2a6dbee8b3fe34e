"""Files of tensors that PyTorch has pickled: read without running any of their code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from neural_attn.weighing import TooLargeError, weigh_members

__all__ = ["form_of", "load_pickled"]


def load_pickled(path: Path) -> Any:
    """What a `.pt`, `.pth` or `.bin` holds, on the CPU: tensors, numbers, texts.

    Of a file of PyTorch 1.6 or newer no numbers are read before they are used.

    Raises
    ------
    ImportError
        Where PyTorch is not installed.
    OSError
        As the system gives it.
    TooLargeError
        Where its members claim more than may be unpacked.
    ValueError
        Where it is damaged, or holds what could run code.
    """
    import torch

    try:
        is_archive = zipfile.is_zipfile(path)
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                weigh_members(archive.infolist())
        return torch.load(path, "cpu", weights_only=True, mmap=is_archive)
    except (OSError, TooLargeError):
        raise
    except Exception as error:  # noqa: BLE001 - torch raises many kinds, in words for others
        raise ValueError(type(error).__name__) from None


def form_of(tensor: Any) -> str:
    """How a tensor is kept if it is not a plain array in memory; else ""."""
    import torch

    if tensor.device.type != "cpu":  # meta: a shape without numbers
        return f"on the device {tensor.device}"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "nested" if tensor.is_nested else str(tensor.layout)[len("torch.") :]
    return "quantized" if tensor.is_quantized else ""
