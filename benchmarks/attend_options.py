"""What each option of `attend` adds to an encoder in PyTorch, no map asked for.

Two layers of width 512 with 8 heads; each row is the same network with one option,
beside the plain one in the same run: the ratio of their times, and the memory that a
pass needs at its peak, each in a fresh process. The bar: 32 MiB more than the plain
one; 1.3 times its time where a fused kernel serves (all but the cap), 3 times else.

    python -m benchmarks.attend_options [--length 3000] [--rounds 9] [--causal]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.command import begin, options
from benchmarks.memory import ROOT, peak
from benchmarks.timing import compare, milliseconds, ratio, report
from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

PROCESSES = 3
WIDTH, HEADS = 512, 8

NETWORK = """
define Encoder(num_heads, d_model = width(x)) {{
  layers:
    query = Dense(d_model)
    key = Dense(d_model)
    value = Dense(d_model)
    mix = Dense(d_model)
    sinks = Dense(num_heads)
    distances = RelativePositionBias(num_heads)
    attention_norm = LayerNormalization()
    feed_forward = FeedForward(4 * d_model, "gelu")
    feed_forward_norm = LayerNormalization()

  forward(x, attention_mask = none):
    normed = attention_norm(x)
    q = split_heads(query(normed), num_heads)
    k = split_heads(key(normed), num_heads)
    v = split_heads(value(normed), num_heads)
    heads = arange(num_heads, x) + 1
    slopes = reshape(exp(heads * (-8 * log(2) / num_heads)), (num_heads, 1))
    alibi = -slopes * abs(relative_positions(q, k))
    sink = reshape(sinks(reshape(0 * arange(1, x), (1, 1))), (num_heads,))
    context = attend(q, k, v, attention_mask, causal={causal}{option})
    x = x + mix(merge_heads(context))
    return x + feed_forward(feed_forward_norm(x))
}}
network Long {{
  input: {{ x: (none, {width})  attention_mask: (none,) }}
  layers: Encoder({heads}) * 2
}}
"""
OPTIONS = {
    "plain": "",
    "window": ", window=256",
    "ALiBi": ", bias=alibi",
    "T5's bias": ", bias=distances(q, k)",
    "sink": ", sink=sink",
    "window and sink": ", window=256, sink=sink",
    "cap": ", cap=50",
}


def network(name: str, causal: bool) -> Any:
    """The generated model of an option."""
    text = NETWORK.format(
        option=OPTIONS[name], causal=str(causal).lower(), width=WIDTH, heads=HEADS
    )
    return load_model(check_text(text)[0][0], "pytorch").model


def given(length: int, padded: bool) -> Mapping[str, torch.Tensor]:
    """Random vectors; with padding, the last quarter is hidden."""
    values = {"x": torch.randn(1, length, WIDTH)}
    if padded:
        values["attention_mask"] = torch.ones(1, length, dtype=torch.bool)
        values["attention_mask"][:, 3 * length // 4 :] = False
    return values


def in_fresh_process(name: str, chosen: argparse.Namespace) -> float:
    """The least MiB over a few processes that a pass needs."""
    size = [str(chosen.length[0]), str(chosen.causal), str(chosen.padded)]
    module = [sys.executable, "-m", "benchmarks.attend_options", "--cell", name, *size]
    found = []
    for _ in range(PROCESSES):
        done = subprocess.run(module, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found.append(float(done.stdout.split()[-1]))
    return min(found)


def cell(name: str, length: str, causal: str, padded: str) -> None:
    """Print the MiB of one cell; what a fresh process does."""
    torch.set_num_threads(2)
    model, values = (
        network(name, causal == "True"),
        given(int(length), padded == "True"),
    )
    with torch.inference_mode():
        model(given(8, padded == "True"))  # what the libraries set up is none of it
    print(peak(lambda: model(values)))


def main() -> None:
    """Measure all options, or one cell of them."""
    parser = options(__doc__ or "")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.cell:
        cell(*chosen.cell)
        return
    chosen.length = chosen.length or [3000]
    clock = begin(chosen)
    values = given(chosen.length[0], chosen.padded)
    models = {name: network(name, chosen.causal) for name in OPTIONS}
    with torch.inference_mode():
        times = compare(
            {name: lambda model=model: model(values) for name, model in models.items()},
            chosen.rounds,
            clock=clock,
        )
    memory = {name: in_fresh_process(name, chosen) for name in OPTIONS}
    rows = [
        {
            "option": name,
            "ms": milliseconds(times[name]),
            "ratio": round(ratio(times, name, "plain"), 3),
            "MiB": round(memory[name], 1),
            "added MiB": round(memory[name] - memory["plain"], 1),
        }
        for name in OPTIONS
    ]
    report(
        "attend_options",
        rows,
        length=chosen.length[0],
        causal=chosen.causal,
        padded=chosen.padded,
        torch=torch.__version__,
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
