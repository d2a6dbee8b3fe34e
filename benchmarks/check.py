"""`neural check` on files of 1,000 layers, and what `neural --help` takes.

The bar: a check under 1 s, the whole process. With `--peer PYTHON`, the interpreter
of an environment that holds the published implementation of the language
(`pip install neural-dsl==0.2.9 plotly`), its parser reads the same files and its
`neural --help` is timed too.

    python -m benchmarks.check [--peer /tmp/peer/bin/python] [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import compare, milliseconds, ratio, report

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    "Dense": 'Dense(units=32, activation="relu")',
    "LSTM": "LSTM(units=32, return_sequences=true)",
    "TransformerEncoder": "TransformerEncoder(num_heads=4, ff_dim=64)",
}
DEPTH = 1000
MIXED = "all three in turn"

FILE = """\
network Deep {{
  input: (20, 32)
  layers:
{layers}
    Output(units=2, activation="softmax")
  loss: "mse"
  optimizer: Adam(learning_rate=0.001)
}}
"""

# Each reads sys.argv[1] after its imports, with its grammar made, and prints the
# seconds to a tree, then those to what it knows of the whole network.
OURS = """\
import sys, time
from pathlib import Path
from neural_attn.compile import check_text, check_tree
from neural_attn.grammar import parse
check_text("network A { input: (2,) layers: Dense(2) }")
text = Path(sys.argv[1]).read_text()
start = time.perf_counter()
tree = parse(text)
parsed = time.perf_counter()
check_tree(tree)
print("seconds", parsed - start, time.perf_counter() - start)
"""
THEIRS = """\
import sys, time
from pathlib import Path
from neural.parser.parser import ModelTransformer, create_parser
parser = create_parser("network")
text = Path(sys.argv[1]).read_text()
start = time.perf_counter()
tree = ModelTransformer().transform(parser.parse(text))
seconds = time.perf_counter() - start
assert len(tree["layers"]) > 1000
print("seconds", seconds, seconds)
"""


def in_process(python: str, script: str, file: Path) -> tuple[float, float]:
    """The two numbers that a fresh interpreter prints."""
    done = subprocess.run(
        [python, "-c", script, str(file)], capture_output=True, text=True, cwd=ROOT
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("seconds ")]
    if done.returncode or not lines:
        raise SystemExit(f"{python} failed on {file.name}:\n{done.stderr[-2000:]}")
    _, tree, network = lines[-1].split()
    return float(tree), float(network)


def command(python: str, module: str, *arguments: str) -> Callable[[], None]:
    """A whole process: `python -m module arguments`, its output thrown away."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run() -> None:
        subprocess.run(
            [python, "-m", module, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    return run


def parsing(file: Path, peer: str | None, rounds: int) -> dict[str, object]:
    """Milliseconds inside the process; the two sides take turns."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(in_process(sys.executable, OURS, file))
        if peer is not None:
            theirs.append(in_process(peer, THEIRS, file))
    row: dict[str, object] = {
        "layer": file.stem,
        "parse ms": milliseconds([tree for tree, _ in ours]),
        "check ms": milliseconds([network for _, network in ours]),
    }
    if theirs:
        pairs = zip(ours, theirs, strict=True)
        row["peer parse ms"] = milliseconds([tree for tree, _ in theirs])
        row["peer / ours"] = round(statistics.median(b[0] / a[0] for a, b in pairs), 2)
    return row


def process_of_check(file: Path, rounds: int) -> float:
    """Milliseconds of `neural check FILE`, from start to exit."""
    work = command(sys.executable, "neural_attn", "check", str(file))
    return milliseconds(compare({"check": work}, rounds)["check"])


def help_text(peer: str | None, rounds: int) -> dict[str, object]:
    """Milliseconds of `neural --help`, from start to exit."""
    works = {
        "bare Python": command(sys.executable, "this"),
        "ours": command(sys.executable, "neural_attn", "--help"),
    }
    if peer is not None:
        works["peer"] = command(peer, "neural", "--help")
    times = compare(works, rounds)
    facts: dict[str, object] = {n: milliseconds(t) for n, t in times.items()}
    if peer is not None:
        facts["peer / ours"] = round(ratio(times, "peer", "ours"), 2)
    return facts


def main() -> None:
    """Measure the layers that were asked for, then `neural --help`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layer", choices=[*LAYERS, MIXED], action="append")
    parser.add_argument("--peer", help="a Python that has neural-dsl 0.2.9")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.layer or [*LAYERS, MIXED]:
            file = Path(scratch) / f"{name}.neural"
            kinds = list(LAYERS.values()) if name == MIXED else [LAYERS[name]]
            lines = (f"    {kinds[i % len(kinds)]}\n" for i in range(DEPTH))
            file.write_text(FILE.format(layers="".join(lines)))
            row = parsing(file, options.peer, options.rounds)
            row["whole process ms"] = process_of_check(file, options.rounds)
            rows.append(row)
    report("check", rows, depth=DEPTH)
    report("help", [help_text(options.peer, options.rounds)])


if __name__ == "__main__":
    main()
