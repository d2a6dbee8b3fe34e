"""Times two or more ways of doing the same thing, so that they can be compared."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Work = Callable[[], object]

# A sample below this is repeated within itself: timer and scheduler are then noise.
_SHORTEST_SAMPLE = 0.02


def compare(
    works: Mapping[str, Work],
    rounds: int = 9,
    longest: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each work, one for each round.

    The works take turns (A B, B A, A B, ...), so that what else the machine does
    meets them alike; where it does much, `clock` may be time.process_time, for works
    of one thread. After `longest` seconds no round above the seventh is begun.
    """
    repeats = {name: _repeats(work, clock) for name, work in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    begin = time.perf_counter()
    for number in range(max(rounds, 7)):
        if number >= 7 and time.perf_counter() - begin > longest:
            break
        for name in order:
            start = clock()
            for _ in range(repeats[name]):
                works[name]()
            times[name].append((clock() - start) / repeats[name])
        order.reverse()
    return times


def _repeats(work: Work, clock: Callable[[], float]) -> int:
    work()  # the first call pays for caches and lazy set-up
    start = clock()
    work()
    return max(1, round(_SHORTEST_SAMPLE / max(clock() - start, 1e-6)))


def ratio(times: Mapping[str, Sequence[float]], ours: str, theirs: str) -> float:
    """How many times the seconds of `theirs` ours took: the median over the rounds.

    Rounds are compared within themselves, so a slow minute of the machine cancels.
    """
    pairs = zip(times[ours], times[theirs], strict=True)
    return statistics.median(a / b for a, b in pairs)


def milliseconds(times: Sequence[float]) -> float:
    """The median, in milliseconds."""
    return round(1000 * statistics.median(times), 3)


def report(name: str, rows: Sequence[Mapping[str, object]], **facts: object) -> None:
    """Print the rows as a table, then everything as one line of JSON."""
    columns = list(rows[0])
    cells = [columns] + [[_cell(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        padded = (c.rjust(w) for c, w in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
    record = {"benchmark": name, "python": platform.python_version(), **facts}
    print(json.dumps({**record, "rows": list(rows)}), flush=True)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
