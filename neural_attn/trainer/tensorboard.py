"""Logs for TensorBoard, where its package is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.trainer.checkpoint import Row


def writer(folder: Path) -> Any:
    """What writes logs into a folder. Raises NeuralError (E0502) if it is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            fail("E0502.tensorboard")
    return SummaryWriter(str(folder))


def add(logs: Any, row: Row) -> None:
    """Write the numbers of an epoch."""
    for name, value in row.items():
        if name != "epoch":
            logs.add_scalar(name, value, int(row["epoch"]))
    logs.flush()
