"""Writes pairs to learn from: strings of letters, and the same strings backwards.

    python examples/annotated_transformer/make_pairs.py pairs.tsv [--count 2000]

No string stands there twice, so what a run holds back was never seen by it.
"""

from __future__ import annotations

import argparse
import random
import string
from pathlib import Path


def make(count: int, seed: int = 0, shortest: int = 3, longest: int = 8) -> list[str]:
    """`count` different strings of small letters."""
    rng = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    found: dict[str, None] = {}
    while len(found) < count:
        length = rng.randint(shortest, longest)
        found["".join(rng.choices(string.ascii_lowercase, k=length))] = None
    return list(found)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    lines = [f"{text}\t{text[::-1]}" for text in make(given.count, given.seed)]
    given.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {len(lines)} pairs to {given.file}")


if __name__ == "__main__":
    main()
