"""What the benchmarks of PyTorch models share: options, clock, columns."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from benchmarks.timing import milliseconds, ratio


def options(description: str) -> argparse.ArgumentParser:
    """The options for lengths, rounds, threads and the clock."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--length", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count processor time: for a busy machine, with --threads 1",
    )
    return parser


def begin(chosen: argparse.Namespace) -> Callable[[], float]:
    """Set threads and seed; returns the clock."""
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    return time.process_time if chosen.cpu_time else time.perf_counter


def columns(
    times: Mapping[str, Sequence[float]], padded: bool, theirs: str
) -> dict[str, object]:
    """Both times, their ratio, and what was asked for."""
    return {
        "mask": "padding" if padded else "none",
        "ours ms": milliseconds(times["ours"]),
        f"{theirs} ms": milliseconds(times[theirs]),
        "ratio": round(ratio(times, "ours", theirs), 3),
        "rounds": len(times["ours"]),
    }
