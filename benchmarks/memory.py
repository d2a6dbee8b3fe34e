"""Memory that a forward pass takes, beyond the model and its inputs.

Each cell is a fresh process: what its resident memory peaks at in one pass, less what
it was before. Linux only. The rows are those of forward.py and attention.py at the
lengths where memory matters; "by hand" and "transformers" are what ours stands beside.

    python -m benchmarks.memory
"""

from __future__ import annotations

import argparse
import logging
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import attention, forward
from benchmarks.timing import report

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2
PROCESSES = 3

# what is asked for, peer, batch, length, padded
ROWS = (
    ("output", "by hand", 1, 2048, False),
    ("output", "by hand", 1, 2048, True),
    ("attention", "transformers", 1, 512, True),
    ("attention", "transformers", 8, 512, False),
    ("attention", "transformers", 8, 512, True),
)


def output_of(side: str, batch: int, length: int, padded: bool) -> Callable[[], object]:
    """A pass that gives the output alone, through the MiniLM-shaped stack."""
    generated, by_hand = forward.pair(forward.SHAPES["minilm"])
    x = torch.randn(batch, length, 384)
    mask = forward.padding(batch, length) if padded else None
    if side != "ours":
        return lambda: by_hand(x, mask)
    inputs = {"vectors": x} if mask is None else {"vectors": x, "attention_mask": mask}
    return lambda: generated(inputs)


def attention_of(
    side: str, batch: int, length: int, padded: bool
) -> Callable[[], object]:
    """A pass of MiniLM that gives all its attention weights."""
    ours, theirs = attention.pair(attention.minilm_folder())
    inputs = attention.random_inputs(batch, length, padded)
    if not padded:
        del inputs["attention_mask"]
    if side == "ours":
        return lambda: ours(inputs, return_attention=True)
    return lambda: theirs(**inputs, output_attentions=True)


WORKS = {"output": output_of, "attention": attention_of}


def peak(work: Callable[[], object]) -> float:
    """MiB of resident memory that one call needs at its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    with torch.inference_mode():
        work()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("this system does not tell the memory of a process")
    return int(found[1])


def in_fresh_process(what: str, side: str, size: list[str]) -> float:
    """The median MiB over a few processes."""
    module = [sys.executable, "-m", "benchmarks.memory"]
    arguments = [*module, "--cell", what, side, *size]
    found = []
    for _ in range(PROCESSES):
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found.append(float(done.stdout.split()[-1]))
    return round(statistics.median(found), 1)


def cell(what: str, side: str, batch: str, length: str, padded: str) -> None:
    """Print the MiB of one cell; what a fresh process does."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    print(peak(WORKS[what](side, int(batch), int(length), padded == "True")))


def main() -> None:
    """Measure all rows, or one cell of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cell", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        cell(*options.cell)
        return
    rows = []
    for what, peer, batch, length, padded in ROWS:
        size = [str(batch), str(length), str(padded)]
        ours, theirs = (in_fresh_process(what, side, size) for side in ("ours", peer))
        rows.append(
            {
                "asked for": what,
                "batch": batch,
                "length": length,
                "mask": "padding" if padded else "none",
                "peer": peer,
                "ours MiB": ours,
                "peer MiB": theirs,
                "ratio": round(ours / theirs, 3),
            }
        )
    report("memory", rows, torch=torch.__version__, threads=THREADS)


if __name__ == "__main__":
    main()
