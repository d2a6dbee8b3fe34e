"""From texts to examples: what a network is given, and what it should say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.ir import Input, is_mask
from neural_attn.shapes.instance import Checked
from neural_attn.trainer.examples import IGNORED, Column, Examples
from neural_attn.trainer.pairs import Pair
from neural_attn.trainer.task import Task, longest
from neural_attn.trainer.vocabulary import Vocabulary


@dataclass(frozen=True)
class Limits:
    """The most tokens of a source and of a target; None: what the network takes."""

    source: int | None = None
    target: int | None = None


def translation(
    checked: Checked,
    task: Task,
    pairs: Sequence[Pair],
    vocabularies: Mapping[str, Vocabulary],
    limits: Limits,
) -> tuple[Examples, list[str]]:
    """Pairs for teacher forcing: each token of the target from those before it."""
    assert task.source is not None
    assert task.target is not None
    most = longest(checked, task.source, limits.source)
    read, cut = vocabularies["source"].encode([left for left, _ in pairs], most)
    notes = _cut("source", cut, most)
    sources = [np.array(one.ids, np.int64) for one in read]
    most = longest(checked, task.target, limits.target)
    right = [right for _, right in pairs]
    inputs, targets, cut = _shifted(vocabularies["target"], right, most)
    notes += _cut("target", cut, most)
    widths = {task.source.name: task.source.shape[0]}
    widths |= {task.target.name: task.target.shape[0], "": task.target.shape[0]}
    columns: dict[str, Column] = {task.source.name: sources, task.target.name: inputs}
    return Examples(columns, targets, widths), notes


def _shifted(
    vocabulary: Vocabulary, texts: Sequence[str], most: int | None
) -> tuple[list[NDArray[Any]], list[NDArray[Any]], int]:
    """What is given and what comes next, of each text from its start to its end."""
    if vocabulary.start is None or vocabulary.end is None:
        fail("E0703.ends")
    found, cut = vocabulary.encode(texts, None if most is None else most + 1)
    ids = [_whole(one.ids, vocabulary.start, vocabulary.end) for one in found]
    ids = [row[: None if most is None else most + 1] for row in ids]
    return [row[:-1] for row in ids], [row[1:] for row in ids], cut


def _whole(ids: list[int], start: int, end: int) -> NDArray[np.int64]:
    """Ids from start to end, which not every tokenizer adds."""
    before = [] if ids[:1] == [start] else [start]
    behind = [] if len(ids) > 1 and ids[-1] == end else [end]
    return np.array([*before, *ids, *behind], np.int64)


def texts(
    checked: Checked,
    task: Task,
    lines: Sequence[str],
    vocabulary: Vocabulary,
    limits: Limits,
) -> tuple[Examples, list[str]]:
    """Lines for a language model; one that is too long for it goes on in pieces."""
    assert task.target is not None
    if vocabulary.start is None or vocabulary.end is None:
        fail("E0703.ends")
    most = longest(checked, task.target, limits.target)
    found, _ = vocabulary.encode(lines)
    ids = [_whole(one.ids, vocabulary.start, vocabulary.end) for one in found]
    step = most or max(map(len, ids))
    pieces = [
        row[i : i + step + 1] for row in ids for i in range(0, len(row) - 1, step)
    ]
    notes = []
    if most is not None and len(pieces) > len(ids):
        parted = sum(len(row) - 1 > step for row in ids)
        notes = [
            f"{parted} texts are longer than {most} tokens: they are cut into pieces"
        ]
    inputs: Column = [piece[:-1] for piece in pieces]
    targets = [piece[1:] for piece in pieces]
    width = task.target.shape[0]
    widths = {task.target.name: width, "": width}
    columns = {task.target.name: inputs, **_following(task.others, inputs)}
    return Examples(columns, targets, widths), notes


def classes(
    checked: Checked,
    task: Task,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    vocabulary: Vocabulary,
    limits: Limits,
) -> tuple[Examples, list[str]]:
    """Texts and the numbers of their labels, as the loss takes them."""
    read = _read(checked, task, pairs, vocabulary, limits)
    numbers = {label: number for number, label in enumerate(labels)}
    targets = np.array([numbers[label] for _, label in pairs], np.int64)
    answers = _as_loss_takes(checked, targets)
    return Examples(read.columns, answers, read.widths), read.notes


@dataclass(frozen=True)
class _Read:
    """Texts as a network reads them: what `tokenizers` found, and their columns."""

    found: Sequence[Any]
    columns: dict[str, Column]
    widths: dict[str, int | None]
    notes: list[str]


def _read(
    checked: Checked,
    task: Task,
    pairs: Sequence[Pair],
    vocabulary: Vocabulary,
    limits: Limits,
    *,
    words: bool = False,
) -> _Read:
    """The texts of pairs, with the masks and segments that follow from them."""
    assert task.source is not None
    most = longest(checked, task.source, limits.source)
    found, cut = vocabulary.encode([text for text, _ in pairs], most, words=words)
    ids: Column = [np.array(one.ids, np.int64) for one in found]
    columns = {task.source.name: ids, **_following(task.others, ids)}
    widths: dict[str, int | None] = dict.fromkeys(columns, task.source.shape[0])
    return _Read(found, columns, widths, _cut("text", cut, most))


def _as_loss_takes(checked: Checked, targets: NDArray[np.int64]) -> NDArray[Any]:
    loss, output = checked.network.loss, checked.root.output
    assert loss is not None
    assert output is not None
    width = output.width.value
    assert width is not None  # an Output has units
    if loss.name == "categorical_crossentropy":
        return np.eye(width, dtype=np.float32)[targets]
    if loss.name == "binary_crossentropy" and width == 1:
        return targets[:, None].astype(np.float32)
    if loss.name != "sparse_categorical_crossentropy":
        fail("E0702.classes", loss=loss.name)
    return targets


def tags(
    checked: Checked,
    task: Task,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    vocabulary: Vocabulary,
    limits: Limits,
) -> tuple[Examples, list[str]]:
    """Words and their tags; the first token of a word has its tag, the rest none."""
    assert task.source is not None
    read = _read(checked, task, pairs, vocabulary, limits, words=True)
    numbers = {label: number for number, label in enumerate(labels)}
    targets: Column = [
        _tags_of(one.word_ids, [numbers[tag] for tag in line.split()])
        for one, (_, line) in zip(read.found, pairs, strict=True)
    ]
    widths = {**read.widths, "": task.source.shape[0]}
    return Examples(read.columns, targets, widths), read.notes


def _tags_of(words: Sequence[int | None], tags: Sequence[int]) -> NDArray[np.int64]:
    """The tag of each token, by the number of the word that it is of."""
    before = (None, *words[:-1])
    found = [
        IGNORED if word is None or word == last else tags[word]
        for word, last in zip(words, before, strict=True)
    ]
    return np.array(found, np.int64)


def _following(others: Sequence[Input], ids: Column) -> dict[str, Column]:
    """Masks and segments of texts: all is real, and all is of one segment."""
    return {
        given.name: [np.full(len(row), is_mask(given.name), np.int64) for row in ids]
        for given in others
    }


def _cut(what: str, count: int, most: int | None) -> list[str]:
    if not count:
        return []
    verb = "was" if count == 1 else "were"
    return [f"{count} of the {what}s {verb} cut off at {most} tokens"]
