"""Writes which tokens of the English stand for which of the Korean, where it is sure.

    python examples/translation/make_links.py translation_trained

Placeholders and names in Latin letters that stand once on both sides of a held-out pair
are the same thing on both; of other words nothing is known. `neural analyze --links`
asks the heads of the cross-attention for them: links.npz has the ids, links.jsonl the
links, [from a token of the English, to those of the Korean].
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from neural_attn.trainer.pairs import read_pairs

SAME = re.compile(r"%\(\w+\)[sd]|\{\w+\}|[A-Za-z][A-Za-z0-9]+")


def links(korean: str, english: str, read: Encoding, written: Encoding) -> list[Any]:
    """Of each word that is the same: its first token, and the tokens of the Korean."""
    both = [
        {one[0]: one.span() for one in SAME.finditer(text) if text.count(one[0]) == 1}
        for text in (korean, english)
    ]
    return [
        [tokens(written, *span)[0], tokens(read, *both[0][word])]
        for word, span in both[1].items()
        if word in both[0]
    ]


def tokens(encoding: Encoding, begin: int, end: int) -> list[int]:
    """The tokens that have a letter between two places of the text."""
    return [
        number
        for number, (start, stop) in enumerate(encoding.offsets)
        if start < end and stop > begin
    ]


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `neural train` wrote")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the pairs")
    given = parser.parse_args()
    sides = [
        Tokenizer.from_file(str(given.folder / f"{side}.tokenizer.json"))
        for side in ("source", "target")
    ]
    lines, ids = [], []
    for korean, english in read_pairs(given.data / "held_out.tsv"):
        both = sides[0].encode(korean), sides[1].encode(english)
        if found := links(korean, english, *both):
            candidates = list(range(len(both[0]) - 1))  # all but the end
            lines.append(json.dumps({"links": found, "candidates": candidates}))
            ids.append([one.ids for one in both])
    arrays = {
        name: padded([row[side] for row in ids])
        for side, name in enumerate(("source", "target"))
    }
    np.savez(given.data / "links.npz", **arrays)
    (given.data / "links.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote the links of {len(lines)} pairs to links.npz and links.jsonl")


def padded(rows: list[list[int]]) -> Any:
    """Rows of ids as one array, with 0 behind short ones."""
    longest = max(map(len, rows))
    return np.array([row + [0] * (longest - len(row)) for row in rows])


if __name__ == "__main__":
    main()
