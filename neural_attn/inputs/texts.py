"""Texts to analyse, read line by line: a file of any length passes in batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.inputs.links import LinkedText, read_links
from neural_attn.inputs.tokenizer import Text

__all__ = ["as_paths", "as_texts", "batches", "count_all", "read_texts"]


def as_texts(given: Any) -> list[Text] | None:
    """Inputs that are texts: one, or several, which may be pairs (tuples) of them.

    Several are a list, a tuple, an array or what makes them one after the other. None
    where they are something else.

    Raises NeuralError for a generator of anything else, as nothing of it is left.
    """
    texts = [given] if isinstance(given, str) else given
    holds_words = getattr(getattr(given, "dtype", None), "kind", None) in ("U", "O")
    if isinstance(given, tuple) or (holds_words and given.ndim):
        texts = [*given]
    if isinstance(given, Iterator):
        texts = [*given]
        if not all(map(_is_text, texts)):
            fail("E0405.inputs", kind=type(given).__name__)
    is_text = isinstance(texts, list) and all(map(_is_text, texts))
    return texts if is_text else None


def as_paths(given: Any) -> list[Path]:
    """Inputs that are files of images or sound, a Path or a list of them; else none."""
    paths = [given] if isinstance(given, Path) else given
    is_paths = isinstance(paths, list) and all(isinstance(p, Path) for p in paths)
    return paths if is_paths else []


def _is_text(given: Any) -> bool:
    is_pair = isinstance(given, tuple) and len(given) == 2
    parts = given if is_pair else (given,)
    return all(isinstance(part, str) for part in parts)


def count_all(
    texts: Sequence[Text], files: Iterable[Path], most: int | None = None
) -> int:
    """The number of all texts, at most so many of a file.

    Raises NeuralError for a file without any.
    """
    counts = [count_texts(path) for path in files]
    return len(texts) + sum(min(n, most or n) for n in counts)


def batches(
    texts: Sequence[Text],
    groups: Mapping[str, Path],
    links: Path | None,
    size: int | None,
    most: int | None = None,
) -> Iterator[tuple[str, list[Text], list[LinkedText]]]:
    """Groups, texts and their links (none, or those of each), batch by batch.

    A batch holds `size` texts; None: all of a group. Of each file the first `most` are
    taken; None: all.
    """
    sources: list[tuple[str, Iterator[Text]]] = []
    if texts:
        sources.append(("", iter(texts)))
    sources += [(name, islice(read_texts(path), most)) for name, path in groups.items()]
    for group, lines in sources:
        while batch := list(islice(lines, size)):
            yield group, batch, []
    if links is not None:
        pairs = islice(read_links(links), most)
        while chunk := list(islice(pairs, size)):
            yield "", [one.text or "" for one in chunk], chunk


def count_texts(path: Path) -> int:
    """The number of texts in a file; raises NeuralError (E0408) if there is none."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        fail("E0403.ordinary", path=path)
    count = sum(1 for _ in read_texts(path))
    if not count:
        fail("E0408.text", path=path)
    return count


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a file, one at a time: its lines, or `text` of each JSON line.

    Lines of spaces alone are left out. Files of JSON lines end in .jsonl; of pairs,
    which end in .tsv, the first column is the text.
    """
    if path.suffix == ".tsv":
        yield from (line.partition("\t")[0] for line in _lines(path))
        return
    if path.suffix != ".jsonl":
        yield from _lines(path)
        return
    for number, line in enumerate(_lines(path), 1):
        text = _field(line, "text")
        if not isinstance(text, str):
            _refuse(path, number, "a text", '{"text": "…"}')
        yield text


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                if line.strip():
                    yield line.rstrip("\r\n")
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except UnicodeDecodeError:
        fail("E0103.text", path=path)


def _field(line: str, name: str) -> Any:
    """A field of a JSON object; None where there is no such thing."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row.get(name) if isinstance(row, dict) else None


def _refuse(path: Path, number: int, what: str, example: str) -> NoReturn:
    fail("E0422", path=path, number=number, what=what, example=example)
