"""A model looked at as it is, against the eager model of `transformers`.

`capture` of a BERT of random weights in its default implementation, beside the same
weights run eagerly with `output_attentions=True`, the library's own way; one head of
one layer beside the plain forward pass. Maps are compared first. Of longer texts the
memory of metrics alone, `keep="metrics"`, stands beside that of every map. Memory is
the peak of a fresh process above the model. Linux only.

    python -m benchmarks.capture [--length 512] [--rounds 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.command import begin, options
from benchmarks.memory import ROOT
from benchmarks.timing import compare, milliseconds, ratio, report
from neural_attn import capture

LENGTHS = (128, 512)
LAYERS = 12
# length and layers of models that are measured without their matrices
LONG = ((2048, LAYERS), (8192, 1))


# what is compared: the implementation of the model, and what is done with it
WORKS: dict[str, tuple[str, Callable[[Any, Any], object]]] = {
    "plain": ("sdpa", lambda model, ids: model(ids)),
    "eager, all": ("eager", lambda model, ids: model(ids, output_attentions=True)),
    "captured, all": ("sdpa", lambda model, ids: capture(model, ids)),
    "captured, one head": (
        "sdpa",
        lambda model, ids: capture(model, ids, layers=6, heads=3),
    ),
}
METRICS: dict[str, tuple[str, Callable[[Any, Any], object]]] = {
    "captured, all": WORKS["captured, all"],
    "captured, metrics": (
        "sdpa",
        lambda model, ids: capture(model, ids, keep="metrics"),
    ),
}


def build(implementation: str, layers: int = LAYERS) -> Any:
    """A model of BERT-base's shape."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        max_position_embeddings=8192, num_hidden_layers=layers
    )
    config._attn_implementation = implementation
    return transformers.BertModel(config, add_pooling_layer=False).eval()


def works(names: Iterable[str], length: int) -> dict[str, Callable[[], object]]:
    """What is compared, on one text of random ids."""
    models = {kind: build(kind) for kind in {WORKS[name][0] for name in names}}
    ids = torch.randint(1000, 30000, (1, length))
    return {
        name: partial(WORKS[name][1], models[WORKS[name][0]], ids) for name in names
    }


def check(length: int = 64) -> None:
    """Raise AssertionError where the maps differ."""
    model, eager = build("sdpa"), build("eager")
    ids = torch.randint(1000, 30000, (1, length))
    maps = capture(model, ids)
    with torch.no_grad():
        expected = eager(ids, output_attentions=True).attentions
    for found, wanted in zip(maps.values(), expected, strict=True):
        torch.testing.assert_close(
            torch.from_numpy(found.copy()), wanted, rtol=0, atol=1e-5
        )


def peak(work: Callable[[], object]) -> float:
    """MiB that one call needs at its peak, as a thread sees it every millisecond."""
    done, before, most = threading.Event(), resident(), 0.0

    def look() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, resident())

    looker = threading.Thread(target=look)
    looker.start()
    result = work()
    done.set()
    looker.join()
    most = max(most, resident())
    del result
    return most - before


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(name: str, length: int, layers: int = LAYERS) -> float:
    """MiB that a work takes above its model, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.capture", "--peak-of", name]
    command += ["--length", str(length), "--layers", str(layers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout.strip().splitlines()[-1])


def measure(
    length: int, clock: Callable[[], float], rounds: int
) -> list[dict[str, object]]:
    """The rows of one length."""
    with torch.no_grad():
        times = compare(works(WORKS, length), rounds, clock=clock)
    beside = {"captured, all": "eager, all", "captured, one head": "plain"}
    rows: list[dict[str, object]] = []
    for name, taken in times.items():
        other = beside.get(name, name)
        rows.append(
            {
                "what": name,
                "length": length,
                "ms": milliseconds(taken),
                "MiB": round(memory(name, length)),
                "beside": "" if other == name else other,
                "ratio": round(ratio(times, name, other), 3),
            }
        )
    return rows


def measure_long(length: int, layers: int) -> list[dict[str, object]]:
    """Memory with and without the matrices."""
    found = {name: memory(name, length, layers) for name in METRICS}
    whole = found["captured, all"]
    return [
        {
            "what": f"{name}, {layers} layer{'s'[: layers != 1]}",
            "length": length,
            "ms": "",
            "MiB": round(taken),
            "beside": "" if name == "captured, all" else "MiB of captured, all",
            "ratio": round(taken / whole, 3),
        }
        for name, taken in found.items()
    ]


def main() -> None:
    """Measure all lengths."""
    parser: argparse.ArgumentParser = options(__doc__ or "")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--layers", type=int, default=LAYERS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    clock = begin(chosen)
    logging.disable(logging.WARNING)
    lengths = chosen.length or LENGTHS
    if chosen.peak_of:
        kind, run = (WORKS | METRICS)[chosen.peak_of]
        model = build(kind, chosen.layers)
        ids = torch.randint(1000, 30000, (1, lengths[0]))
        # what is loaded at the first call is no memory of the second
        small = transformers.BertConfig(
            hidden_size=24, num_hidden_layers=7, vocab_size=9, intermediate_size=8
        )
        small._attn_implementation = kind
        run(transformers.BertModel(small).eval(), torch.ones(1, 8, dtype=torch.long))
        with torch.no_grad():
            print(peak(lambda: run(model, ids)))
        return
    check()
    rows = [row for one in lengths for row in measure(one, clock, chosen.rounds)]
    longer = (
        [] if chosen.length else [row for one in LONG for row in measure_long(*one)]
    )
    report(
        "capture",
        rows + longer,
        torch=torch.__version__,
        transformers=transformers.__version__,
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
