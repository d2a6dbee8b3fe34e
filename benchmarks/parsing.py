"""Parsing and checking 1,000 layers, beside the published neural-dsl 0.2.9.

    python benchmarks/parsing.py --peer /path/to/venv-with-neural-dsl/bin/python

Each parser runs in a process of its own, after its grammar is loaded and once warm;
the figures are medians. `parse` of ours gives the typed tree, `check` also names,
parameters and shapes; `parse` of 0.2.9 gives a bare parse tree, `all` its model. The
last column is its `all` over our `parse`. Without --peer only ours is printed.

The `mixed` file has the three kinds in turn. What a layer costs 0.2.9 depends on its
kind: it checks the arguments of Dense and LSTM and takes those of an encoder as read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = 1_000
LINES = {
    "Dense": ("(16,)", 'Dense(16, activation="relu")'),
    "LSTM": ("(8, 16)", "LSTM(16, return_sequences=true)"),
    "Encoder": ("(8, 16)", "TransformerEncoder(num_heads=4, ff_dim=32)"),
}

_OURS = """
import json, statistics, sys, time
from neural_attn.compile import check_tree
from neural_attn.grammar import parse
def timed(work, count):
    work()
    spent = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
found = {}
for path in sys.argv[2:]:
    text = open(path).read()
    count = int(sys.argv[1])
    found[path] = [timed(lambda: parse(text), count),
                   timed(lambda: check_tree(parse(text)), count)]
print(json.dumps(found))
"""
_PEER = """
import json, statistics, sys, time
out, sys.stdout = sys.stdout, sys.stderr
import logging
from neural.parser.parser import ModelTransformer, create_parser
logging.disable(logging.CRITICAL)
found = {}
parser = create_parser("network")
for path in sys.argv[2:]:
    text = open(path).read()
    spent = []
    for number in range(int(sys.argv[1]) + 1):
        start = time.perf_counter()
        tree = parser.parse(text)
        middle = time.perf_counter()
        try:
            ModelTransformer().transform(tree)
            whole = time.perf_counter() - start
        except Exception:
            whole = float("nan")
        if number:
            spent.append((middle - start, whole))
    found[path] = [statistics.median(column) for column in zip(*spent)]
print(json.dumps(found), file=out)
"""


def write_files(folder: Path) -> dict[str, Path]:
    """One file of 1,000 layers of each kind, and one of all of them in turn."""
    paths = {}
    lines = [line for _, line in LINES.values()]
    kinds = {name: (shape, [line]) for name, (shape, line) in LINES.items()}
    kinds["mixed"] = ("(8, 16)", lines)
    for name, (shape, lines) in kinds.items():
        paths[name] = folder / f"{name}.neural"
        layers = "".join(f"    {lines[i % len(lines)]}\n" for i in range(LAYERS))
        tail = '  loss: "mse"\n  optimizer: "Adam"\n'
        head = f"network Many {{\n  input: {shape}\n  layers:\n"
        paths[name].write_text(f"{head}{layers}{tail}}}\n", "utf-8")
    return paths


def measured(python: str, code: str, count: int, paths: list[Path]) -> dict[str, list]:
    """What a script prints that is run by another interpreter."""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [python, "-c", code, str(count), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root if python == sys.executable else paths[0].parent,
    )
    if done.returncode:
        sys.exit(f"{python} failed:\n{done.stderr[-2_000:]}")
    return json.loads(done.stdout)


def help_time(command: list[str], count: int = 5) -> float:
    """The median wall time of a command, in seconds."""
    spent = []
    for _ in range(count):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a Python that has neural-dsl 0.2.9")
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder))
        files = list(paths.values())
        ours = measured(sys.executable, _OURS, options.count, files)
        peer = (
            measured(options.peer, _PEER, options.count, files) if options.peer else {}
        )
    print(f"{LAYERS:,} layers, median of {options.count}, in milliseconds")
    print(
        f"{'':>9}{'parse':>8}{'check':>8}{'0.2.9 parse':>13}{'0.2.9 all':>11}{'x':>7}"
    )
    for name, path in paths.items():
        mine = [1_000 * value for value in ours[str(path)]]
        line = f"{name:>9}{mine[0]:>8.0f}{mine[1]:>8.0f}"
        if peer:
            other = [1_000 * value for value in peer[str(path)]]
            line += f"{other[0]:>13.0f}{other[1]:>11.0f}{other[1] / mine[0]:>7.1f}"
        print(line)
    mine_help = help_time([sys.executable, "-m", "neural_attn", "--help"])
    line = f"--help: {1_000 * mine_help:.0f} ms"
    if options.peer:
        command = str(Path(options.peer).parent / "neural")
        line += f", 0.2.9: {1_000 * help_time([command, '--help']):.0f} ms"
    print(line)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
