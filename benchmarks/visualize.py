"""The main command, the whole process: from a `.neural` file to pictures and a page.

    neural visualize basic_transformer.neural --attention --backend numpy

Once with matplotlib's font cache made and once without, as on a fresh machine. The
bar: under 10 s.

    python -m benchmarks.visualize [--backend numpy] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import compare, milliseconds, report

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/attention_examples/basic_transformer.neural"


def run(backend: str, scratch: Path, fresh: bool) -> None:
    """Run the command; a `fresh` one finds no font cache."""
    cache = scratch / ("fresh" if fresh else "kept")
    if fresh:
        shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "neural_attn", "visualize", str(EXAMPLE)]
    options = ["--attention", "--backend", backend]
    subprocess.run(
        [*command, *options, "--output-dir", str(scratch / "pictures")],
        check=True,
        capture_output=True,
        env={**os.environ, "MPLCONFIGDIR": str(cache), "PYTHONPATH": str(ROOT)},
    )


def main() -> None:
    """Measure one backend."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=7, help="at least 7")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        works = {
            "first run": lambda: run(options.backend, scratch, True),
            "later runs": lambda: run(options.backend, scratch, False),
        }
        times = compare(works, options.rounds)
    row = {f"{name} ms": milliseconds(seconds) for name, seconds in times.items()}
    report("visualize", [{"backend": options.backend, **row}])


if __name__ == "__main__":
    main()
