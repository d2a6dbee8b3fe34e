"""Writes pairs to learn from: dates as people write them, and as ISO 8601 has them.

    python examples/dates/make_dates.py dates.tsv [--count 8000] [--unseen]

No day stands there twice, so what a run holds back was never seen by it, in any form.
`--unseen` writes days that the default file has in no form: to score a network on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
LEARNED = 8000


def _ordinal(day: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if day in (11, 12, 13) else ends.get(day % 10, 'th')}"


# Month and weekday names are those of the C locale, English.
FORMS: tuple[Callable[[date], str], ...] = (
    lambda d: f"{d.day} {d:%B} {d.year}",
    lambda d: f"{d:%B} {d.day}, {d.year}",
    lambda d: f"{d:%A}, {d.day} {d:%B} {d.year}",
    lambda d: f"{d:%a} {d:%b} {d.day} {d.year}",
    lambda d: f"{_ordinal(d.day)} of {d:%B}, {d.year}",
    lambda d: f"{d:%A} the {_ordinal(d.day)} of {d:%B} {d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year}",
    lambda d: f"{d.year}, {d:%b} {d.day}",
)


def make(count: int, seed: int = 0, *, unseen: bool = False) -> list[tuple[str, str]]:
    """So many days, each once, in one of the forms: what is read, and ISO 8601.

    `unseen` are the days behind the first `LEARNED` of the same order.
    """
    rng = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    rng.shuffle(days)
    chosen = days[LEARNED:] if unseen else days[:LEARNED]
    return [(rng.choice(FORMS)(day), day.isoformat()) for day in chosen[:count]]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=LEARNED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unseen", action="store_true")
    given = parser.parse_args()
    pairs = make(given.count, given.seed, unseen=given.unseen)
    lines = [f"{read}\t{written}\n" for read, written in pairs]
    given.file.write_text("".join(lines), encoding="utf-8")
    print(f"wrote {len(lines)} dates to {given.file}")


if __name__ == "__main__":
    main()
