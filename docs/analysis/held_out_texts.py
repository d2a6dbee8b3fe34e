"""Sentences that no rule was made on: prose of the docstrings of Python's own library.

python docs/analysis/held_out_texts.py 200 > texts.txt
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

__all__ = ["sentences", "some"]

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
# Words, commas and the like: no code, no list, no sign-off.
_PROSE = re.compile(r"[A-Z][A-Za-z,;:' -]*[a-z][.!?]")
FEWEST_WORDS, MOST_WORDS = 8, 30


def sentences() -> list[str]:
    """The prose sentences of all modules, in the order of their files, none twice."""
    library = Path(sysconfig.get_path("stdlib"))
    found = (one for path in sorted(library.glob("*.py")) for one in _of_file(path))
    return list(dict.fromkeys(found))


def _of_file(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                for one in _SENTENCE.split(" ".join(paragraph.split())):
                    if FEWEST_WORDS <= len(one.split()) <= MOST_WORDS:
                        yield from _PROSE.findall(one) if _PROSE.fullmatch(one) else ()


def some(count: int) -> list[str]:
    """So many of the sentences, as far apart as they can be."""
    known = sentences()
    return known[:: max(1, len(known) // count)][:count]


if __name__ == "__main__":
    sys.stdout.writelines(f"{one}\n" for one in some(int(sys.argv[1])))
