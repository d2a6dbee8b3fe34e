"""Texts to analyse, read line by line: a file of any length passes in batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from neural_attn.errors import fail

__all__ = ["batches", "count_all", "read_links", "read_texts"]


def count_all(texts: Sequence[str], files: Iterable[Path]) -> int:
    """The number of all texts; raises NeuralError for a file without any."""
    return len(texts) + sum(map(count_texts, files))


def batches(
    texts: Sequence[str], groups: Mapping[str, Path], links: Path | None, size: int
) -> Iterator[tuple[str, list[str], list[Sequence[Any]]]]:
    """Groups, texts and their links (none, or one list per text), batch by batch."""
    sources: list[tuple[str, Iterator[str]]] = []
    if texts:
        sources.append(("", iter(texts)))
    sources += [(name, read_texts(path)) for name, path in groups.items()]
    for group, lines in sources:
        while batch := list(islice(lines, size)):
            yield group, batch, []
    if links is not None:
        pairs = read_links(links)
        while chunk := list(islice(pairs, size)):
            yield "", [text for text, _ in chunk], [given for _, given in chunk]


def count_texts(path: Path) -> int:
    """The number of texts in a file; raises NeuralError (E0408) if there is none."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        fail(
            "E0403",
            f"cannot read {path}: it is no ordinary file",
            hint="texts are counted, then read: a pipe can be read once only",
        )
    count = sum(1 for _ in read_texts(path))
    if not count:
        fail("E0408", f"{path} holds no text")
    return count


def read_texts(path: Path) -> Iterator[str]:
    """The lines of a file that hold more than spaces, one at a time."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                if line.strip():
                    yield line.rstrip("\r\n")
    except OSError as error:
        fail("E0403", f"cannot read {path}: {(error.strerror or '').lower()}")
    except UnicodeDecodeError:
        fail("E0103", f"{path} is not UTF-8 text")


def read_links(path: Path) -> Iterator[tuple[str, Sequence[Any]]]:
    """Lines of JSON: {"text": "…", "links": [[from, to], …]}, positions of tokens."""
    for number, line in enumerate(read_texts(path), 1):
        try:
            row = json.loads(line)
            text, links = row["text"], row["links"]
        except (ValueError, KeyError, TypeError):
            text, links = None, None
        if not isinstance(text, str) or not isinstance(links, list):
            fail(
                "E0422",
                f"{path}, text {number} is not a text with links",
                hint='write {"text": "…", "links": [[2, 5]]} on each line',
            )
        yield text, links
