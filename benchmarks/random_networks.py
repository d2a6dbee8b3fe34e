"""Random valid networks on three backends, against NumPy in float64.

    python benchmarks/random_networks.py --count 500

Prints each network that differs by more than 1e-5, and how many agreed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural_attn.compile import check_text
from tests.corpus import assert_backends_agree
from tests.fuzz.random_networks import text_of

BACKENDS = ["numpy", "pytorch", "tensorflow"]


def failure(seed: int, folder: Path) -> str:
    """What is wrong with the network of this seed, or ""."""
    text = text_of(seed)
    try:
        (checked,), _ = check_text(text, f"random_{seed}.neural")
        assert_backends_agree(checked, BACKENDS, folder)
    except Exception:  # noqa: BLE001 - every kind of failure is a finding
        return f"--- seed {seed}\n{text}{traceback.format_exc(limit=-2)}"
    return ""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    start, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first, options.first + options.count):
            if said := failure(seed, Path(folder)):
                failed += 1
                print(said, flush=True)
    spent = time.monotonic() - start
    agreed = options.count - failed
    print(f"{agreed} of {options.count} networks agree to 1e-5, in {spent:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
