"""Whether each part of a date that is written comes from where it stands in the source.

    python examples/dates/alignment.py [--count 200]

For unseen dates it asks of each step that writes a digit of the year, the month or the
day: is the source letter with the greatest weight one of those that say it? Chance is
the share of the source's letters that do.
"""

from __future__ import annotations

import argparse
import re
from datetime import date
from pathlib import Path

import numpy as np
from make_dates import make

from neural_attn import generate

HERE = Path(__file__).resolve().parent
PARTS = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}


def spans(text: str, day: date) -> dict[str, range]:
    """Where a text says the year, the month and the day, as ranges of its letters."""
    year = re.search(str(day.year), text)
    month = re.search(f"{day:%b}[a-z]*|(?<=[.]){day.month}(?=[.])", text)
    number = re.search(rf"(?<!\d){day.day}(?!\d)(st|nd|rd|th)?", text)
    assert year
    assert month
    assert number
    found = {"year": year, "month": month, "day": number}
    return {name: range(*one.span()) for name, one in found.items()}


def shares(count: int, backend: str = "numpy") -> dict[str, tuple[float, float]]:
    """Of each part: which share of its digits attends to it most, and chance."""
    pairs = make(count, unseen=True)
    sources = [source for source, _ in pairs]
    made = generate(HERE / "dates.neural", sources, backend=backend, attention=True)
    hits: dict[str, list[bool]] = {name: [] for name in PARTS}
    chance: dict[str, list[float]] = {name: [] for name in PARTS}
    for (source, iso), maps in zip(pairs, made.maps, strict=True):
        (weights,) = maps.values()  # [1, 1, steps, letters and the end]
        places = weights[0, 0].argmax(axis=-1)
        for name, where in spans(source, date.fromisoformat(iso)).items():
            hits[name] += [place in where for place in places[PARTS[name]].tolist()]
            chance[name].append(len(where) / weights.shape[-1])
    return {
        name: (float(np.mean(hits[name])), float(np.mean(chance[name])))
        for name in PARTS
    }


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    for name, (share, chance) in shares(parser.parse_args().count).items():
        print(f"{name:<6} {100 * share:5.1f} % (chance {100 * chance:.1f} %)")


if __name__ == "__main__":
    main()
