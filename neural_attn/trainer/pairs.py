"""Files of pairs: two texts, or a text and its label, with a tab between."""

from __future__ import annotations

from pathlib import Path

from neural_attn.diagnostics.errors import fail, reason

Pair = tuple[str, str]


def read_pairs(path: Path, sides: tuple[str, str] = ("source", "target")) -> list[Pair]:
    """The pairs of a file in their order; `sides` name the columns in messages.

    Columns after the second are ignored. Raises NeuralError, with the number of the
    line, for one without a tab or with an empty side; lines of spaces alone count for
    nothing.
    """
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    found.append(_pair(path, number, line.rstrip("\r\n"), sides))
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except UnicodeDecodeError:
        fail("E0103.text", path=path)
    if not found:
        fail("E0701.none", path=path)
    return found


def _pair(path: Path, number: int, line: str, sides: tuple[str, str]) -> Pair:
    left, tab, rest = line.partition("\t")
    if not tab:
        fail("E0701", path=path, number=number, sides="<TAB>".join(sides))
    right = rest.partition("\t")[0]
    for side, text in zip(sides, (left, right), strict=True):
        if not text.strip():
            fail("E0701.empty", path=path, number=number, side=side)
    return left, right
