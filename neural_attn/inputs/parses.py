"""Parses of texts: words and the arcs between them, from spaCy or a CoNLL-U file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes

__all__ = [
    "COREFERENCE",
    "Arc",
    "Parse",
    "Parser",
    "joined",
    "letters",
    "read_conllu",
    "spacy_parser",
    "spacy_pipeline",
    "treebank",
]

COREFERENCE = "coref"
_COLUMNS = 10


@dataclass(frozen=True)
class Arc:
    """A word, the one that it belongs to, by their numbers in the text, and how."""

    word: int
    head: int
    relation: str


@dataclass(frozen=True)
class Parse:
    """The words of one text in their order, and arcs between them.

    A word that does not stand in the text as it is written ("de" of "du") is empty.
    """

    words: tuple[str, ...]
    arcs: tuple[Arc, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if an arc leaves the text."""
        count = len(self.words)
        for arc in self.arcs:
            if not (0 <= arc.word < count and 0 <= arc.head < count):
                raise ValueError(f"{arc} is outside a text of {count} words")


# None: it has no parse of this text
Parser = Callable[[str], Parse | None]


def letters(text: str) -> str:
    """What is left of a text without case, accents, spaces and invisible characters."""
    whole = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in whole if unicodedata.category(c)[0] not in "MZC")


def joined(parses: list[Parse]) -> Parse:
    """One text of several sentences."""
    words: list[str] = []
    arcs: list[Arc] = []
    for one in parses:
        start = len(words)
        arcs += [Arc(a.word + start, a.head + start, a.relation) for a in one.arcs]
        words += one.words
    return Parse(tuple(words), tuple(arcs))


def spacy_pipeline(model: str) -> Any:
    """An installed pipeline of spaCy, or that of a folder.

    Raises NeuralError (E0502) if spaCy or the pipeline is not installed, or the folder
    holds none.
    """
    try:
        import spacy
    except ImportError:
        fail("E0502.spacy", model=model)
    try:
        return spacy.load(model)
    except (ImportError, OSError) as error:
        if Path(model).exists():
            fail("E0502.folder", model=model, reason=error)
        others = ", ".join(spacy.util.get_installed_models())
        installed = f", or --spacy with one that is installed: {others}" * bool(others)
        fail("E0502.pipeline", model=model, installed=installed)


def spacy_parser(model: str = "en_core_web_sm") -> Parser:
    """A parser that is an installed spaCy pipeline, or the folder of one.

    Raises
    ------
    NeuralError
        (E0502) if spaCy or the pipeline is not installed, or it has no parser.
    """
    pipeline = spacy_pipeline(model)
    if "parser" not in pipeline.pipe_names:
        fail(
            "E0502.parser",
            model=model,
            parts=", ".join(pipeline.pipe_names) or "nothing",
        )

    def parse(text: str) -> Parse:
        document = pipeline(text)
        arcs = [Arc(token.i, token.head.i, token.dep_) for token in document]
        return Parse(tuple(token.text for token in document), tuple(arcs))

    return parse


def treebank(path: Path) -> Parser:
    """A parser that looks texts up in a CoNLL-U file; they may have several sentences.

    A text is found by its letters: spaces, case and accents may differ.

    Raises NeuralError as `read_conllu`.
    """
    known = {letters(text): parse for text, parse in read_conllu(path)}
    lengths = sorted({len(one) for one in known if one}, reverse=True)

    def parse(text: str) -> Parse | None:
        rest, found = letters(text), []
        while rest:
            # sentence by sentence, the longest that the text goes on with
            length = next((n for n in lengths if rest[:n] in known), None)
            if length is None:
                return None
            found.append(known[rest[:length]])
            rest = rest[length:]
        return joined(found)

    return parse


def read_conllu(path: Path) -> Iterator[tuple[str, Parse]]:
    """The sentences of a CoNLL-U file, each as written and parsed.

    Of the enhanced dependencies (the column DEPS) only coreference is taken, as
    `5:coref`: a mention and the earlier one that it goes back to.

    Raises
    ------
    NeuralError
        If the file cannot be read (E0403, E0103), or is no CoNLL-U (E0422.conllu), with
        the line and the reason.
    """
    sentence = _Sentence()
    for number, line in enumerate([*_lines(path), ""], 1):
        with _told(path, number):
            if line.strip():
                sentence.add(line)
                continue
            if sentence.words:
                yield sentence.text, sentence.parse()
            sentence = _Sentence()


@contextmanager
def _told(path: Path, number: int) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        fail("E0422.conllu", path=path, number=number, reason=error)


def _lines(path: Path) -> list[str]:
    try:
        text = read_text_bytes(path, TEXT_MEGABYTES).decode("utf-8-sig")
        return text.replace("\r\n", "\n").split("\n")
    except TooLargeError as error:
        fail("E0403", path=path, reason=error)
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except UnicodeDecodeError:
        fail("E0103.text", path=path)


class _Sentence:
    """The lines of one sentence, as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.surface: list[str] = []  # what is written
        self.arcs: list[tuple[int, int, str]] = []  # numbers from 1, 0 being the root
        self.inside: range = range(0)  # words of a form that is written as one

    def add(self, line: str) -> None:
        """Take one line. Raises ValueError for what is none of CoNLL-U."""
        if line.startswith("#"):
            return
        columns = line.split("\t")
        if len(columns) != _COLUMNS:
            raise ValueError(f"it has {len(columns)} columns, not {_COLUMNS}")
        number, form, *_, head, relation, enhanced, _misc = columns
        if "." in number:  # an empty node, which is not written
            return
        if "-" in number:
            first, last = (_number(one, "ID") for one in number.split("-", 1))
            self.inside = range(first, last + 1)
            self.surface.append(form)
            return
        if _number(number, "ID") != len(self.words) + 1:
            raise ValueError(f"word {number} follows word {len(self.words)}")
        at = len(self.words) + 1
        self.words.append(form)
        if at not in self.inside:
            self.surface.append(form)
        else:
            self._check_inside(at)
        self.arcs.append((at, _number(head, "HEAD"), relation))
        for one in enhanced.split("|"):
            to, _, name = one.partition(":")
            if name == COREFERENCE:
                self.arcs.append((at, _number(to, "DEPS"), name))

    def _check_inside(self, at: int) -> None:
        """Empty the words of a form that is not written as they are, after its last."""
        if at != self.inside[-1]:
            return
        own = slice(self.inside[0] - 1, at)
        if letters("".join(self.words[own])) != letters(self.surface[-1]):
            self.words[own] = [""] * len(self.inside)

    @property
    def text(self) -> str:
        return " ".join(self.surface)

    def parse(self) -> Parse:
        """The sentence. Raises ValueError if an arc leads nowhere."""
        arcs = (Arc(w - 1, h - 1, name) for w, h, name in self.arcs if h)
        return Parse(tuple(self.words), tuple(arcs))


def _number(text: str, column: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{column} {text[:20]!r} is not a number")
    return int(text)
