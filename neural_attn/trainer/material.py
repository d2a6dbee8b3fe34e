"""What a run learns from: data read, tokenizers made or found, examples encoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.backends.emit.training import masked_inputs
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.arrays import prepare, read_data
from neural_attn.inputs.texts import read_texts
from neural_attn.ir import Input
from neural_attn.models.attention_model import refuse_options
from neural_attn.shapes.instance import Checked
from neural_attn.trainer import encode, vocabulary
from neural_attn.trainer.encode import Limits
from neural_attn.trainer.examples import IGNORED, Examples, split
from neural_attn.trainer.pairs import Pair, read_pairs
from neural_attn.trainer.task import Task, task_of, vocabulary_size
from neural_attn.trainer.vocabulary import Role, Vocabulary

FILE_NAME = "tokenizer.json"
LABELS = "labels.json"
TARGETS = "targets"  # what the array of right answers is called in a .npz
DEFAULT_SHARE = 0.1  # of the examples, for validation, where nothing says another


@dataclass(frozen=True)
class Wishes:
    """Where the data are and how they are read.

    One of `pairs`, `data` and `texts` is given. `tokenizer` is bpe, word, char, or the
    path of a tokenizer.json; `validation` a share, or a file like that of the data.
    `kept` is the folder of weights to go on from, whose tokenizers serve.
    """

    pairs: Path | None = None
    data: Path | None = None
    texts: Path | None = None
    tokenizer: str | None = None
    vocabulary_size: int | None = None
    validation: float | Path | None = None
    limits: Limits = field(default_factory=Limits)
    kept: Path | None = None


@dataclass(frozen=True)
class Material:
    """Examples to learn from and to hold back, and what made them of texts."""

    task: Task
    learned: Examples
    held: Examples | None
    vocabularies: Mapping[str, Vocabulary]
    labels: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    def files(self) -> dict[str, str]:
        """The tokenizers and labels as files, by name."""
        found = {
            file_name(role): one.inner.to_str(pretty=True)
            for role, one in self.vocabularies.items()
        }
        if self.labels:
            found[LABELS] = json.dumps(list(self.labels), ensure_ascii=False) + "\n"
        return found


def file_name(role: str) -> str:
    """What the tokenizer of a side is called: of a network with one text, plainly."""
    return f"{role}.{FILE_NAME}" if role in ("source", "target") else FILE_NAME


def gather(checked: Checked, wishes: Wishes, seed: int) -> Material:
    """Read the data and make examples of them.

    Raises NeuralError for data that do not fit the network or each other.
    """
    task = task_of(checked)
    _refuse_unused(task, wishes)
    if wishes.data is not None:
        return _of_arrays(checked, task, wishes, seed)
    if (task.kind == "write") is (wishes.texts is None) or task.kind == "arrays":
        kind = "--data" if task.kind == "arrays" else "--pairs"
        kind = "--text" if task.kind == "write" else kind
        fail("E0702.data", network=checked.network.name, kind=kind)
    readers: dict[str, Callable[..., Material]] = {
        "translate": _of_translations,
        "write": _of_texts,
        "classify": _of_classes,
        "tag": _of_classes,
    }
    return readers[task.kind](checked, task, wishes, seed)


def _refuse_unused(task: Task, wishes: Wishes) -> None:
    """Refuse wishes that would change nothing (E0414)."""
    source = {"max-src": wishes.limits.source}
    target = {"max-trg": wishes.limits.target}
    if wishes.data is not None:
        own = {"tokenizer": wishes.tokenizer, "vocab-size": wishes.vocabulary_size}
        refuse_options({**own, **source, **target}, "arrays")
    elif task.kind == "write":
        refuse_options(source, "a network that reads no other text (--max-trg cuts)")
    elif task.kind in ("classify", "tag"):
        refuse_options(target, "a network that writes no text")


def _of_arrays(checked: Checked, task: Task, wishes: Wishes, seed: int) -> Material:
    assert wishes.data is not None
    examples = _arrays(checked, task, read_data(wishes.data), wishes.data)
    if isinstance(wishes.validation, Path):
        path = wishes.validation
        held = _arrays(checked, task, read_data(path), path)
        return Material(task, examples, held, {})
    learned, kept = split(examples, _share(checked, wishes), seed)
    return Material(task, learned, kept, {})


def _share(checked: Checked, wishes: Wishes) -> float:
    """The part of the data that is held back: the wish, the file's, or a tenth."""
    if isinstance(wishes.validation, float):
        return wishes.validation
    train = checked.network.train
    declared = 0.0 if train is None else train.validation_split
    return declared or DEFAULT_SHARE


Encoder = Callable[[Sequence[Any]], tuple[Examples, list[str]]]


def _divided(
    checked: Checked,
    wishes: Wishes,
    seed: int,
    lines: Sequence[Any],
    held: Sequence[Any] | None,
    encoder: Encoder,
) -> tuple[Examples, Examples | None, list[str]]:
    examples, notes = encoder(lines)
    if held is None:
        return (*split(examples, _share(checked, wishes), seed), notes)
    further, more = encoder(held)
    return examples, further, notes + [f"validation: {note}" for note in more]


def _of_translations(
    checked: Checked, task: Task, wishes: Wishes, seed: int
) -> Material:
    assert wishes.pairs is not None
    assert task.source is not None
    assert task.target is not None
    pairs = read_pairs(wishes.pairs)
    held = _held_pairs(wishes, ("source", "target"))
    sides: dict[Role, tuple[Input, list[str]]] = {
        "source": (task.source, [left for left, _ in pairs]),
        "target": (task.target, [right for _, right in pairs]),
    }
    vocabularies = {
        str(role): _vocabulary(checked, given, lines, wishes, role)
        for role, (given, lines) in sides.items()
    }

    def encoder(lines: Sequence[Pair]) -> tuple[Examples, list[str]]:
        return encode.translation(checked, task, lines, vocabularies, wishes.limits)

    found = _divided(checked, wishes, seed, pairs, held, encoder)
    return Material(task, *found[:2], vocabularies, notes=found[2])


def _held_pairs(wishes: Wishes, sides: tuple[str, str]) -> list[Pair] | None:
    if isinstance(wishes.validation, Path):
        return read_pairs(wishes.validation, sides)
    return None


def _of_texts(checked: Checked, task: Task, wishes: Wishes, seed: int) -> Material:
    assert wishes.texts is not None
    assert task.target is not None
    lines = list(read_texts(wishes.texts))
    if not lines:
        fail("E0408.text", path=wishes.texts)
    held = wishes.validation
    further = list(read_texts(held)) if isinstance(held, Path) else None
    vocabulary = _vocabulary(checked, task.target, lines, wishes, "write")

    def encoder(lines: Sequence[str]) -> tuple[Examples, list[str]]:
        return encode.texts(checked, task, lines, vocabulary, wishes.limits)

    found = _divided(checked, wishes, seed, lines, further, encoder)
    return Material(task, *found[:2], {"": vocabulary}, notes=found[2])


def _of_classes(checked: Checked, task: Task, wishes: Wishes, seed: int) -> Material:
    assert wishes.pairs is not None
    assert task.source is not None
    tagged = task.kind == "tag"
    sides = ("text", "tags" if tagged else "label")
    pairs = read_pairs(wishes.pairs, sides)
    held = _held_pairs(wishes, sides)
    if tagged:
        _check_tags(wishes.pairs, pairs)
    labels = _labels(checked, [right for _, right in (*pairs, *(held or []))], tagged)
    words = [left for left, _ in pairs]
    vocabulary = _vocabulary(checked, task.source, words, wishes, "read", tagged)
    work = encode.tags if tagged else encode.classes

    def encoder(lines: Sequence[Pair]) -> tuple[Examples, list[str]]:
        return work(checked, task, lines, labels, vocabulary, wishes.limits)

    found = _divided(checked, wishes, seed, pairs, held, encoder)
    return Material(task, *found[:2], {"": vocabulary}, labels, found[2])


def _check_tags(path: Path, pairs: Sequence[Pair]) -> None:
    for number, (text, line) in enumerate(pairs, 1):
        words, tags = len(text.split()), len(line.split())
        if words != tags:
            fail("E0701.tags", path=path, number=number, words=words, tags=tags)


def _labels(checked: Checked, found: Sequence[str], tagged: bool) -> list[str]:
    """The labels in the order of their numbers: numbers as they are, else by letter."""
    labels = {one for line in found for one in (line.split() if tagged else (line,))}
    output = checked.root.output
    assert output is not None
    places = output.width.value
    if places == 1 and not tagged:
        places = 2  # a sigmoid of one unit tells two labels apart
    if places is not None and len(labels) > places:
        fail("E0703.labels", count=len(labels), places=places)
    if all(one.isdecimal() for one in labels):
        highest = max(map(int, labels))
        if places is None or highest < places:
            return [str(number) for number in range(highest + 1)]
    return sorted(labels)


def _vocabulary(
    checked: Checked,
    given: Input,
    lines: Sequence[str],
    wishes: Wishes,
    role: Role,
    tagged: bool = False,
) -> Vocabulary:
    """The tokenizer of an input: that of the run, the one given, or one made anew."""
    places, wanted = vocabulary_size(checked, given), wishes.vocabulary_size
    if wanted is not None and wanted > places:
        fail("E0703.wanted", wanted=wanted, name=given.name, places=places)
    size = wanted or places
    own = None if wishes.kept is None else wishes.kept / file_name(role)
    kind = wishes.tokenizer or ("word" if tagged else "bpe")
    if own is not None and own.is_file():
        found = vocabulary.read(own)
        if kind not in vocabulary.KINDS:
            if vocabulary.read(Path(kind)).digest != found.digest:
                fail("E0703.other", path=kind, own=own)
    elif kind not in vocabulary.KINDS:
        found = vocabulary.read(Path(kind))
        _check_padding(checked, given, found)
    elif tagged and kind == "word":
        found = vocabulary.of_words(lines, size)
    else:
        found = vocabulary.trained(lines, kind, size, role)
    if found.size > places:
        fail("E0703", size=found.size, name=given.name, places=places)
    return found


def _check_padding(checked: Checked, given: Input, found: Vocabulary) -> None:
    """Refuse one whose id 0 is a token where the network takes it for padding."""
    token = found.inner.id_to_token(vocabulary.PAD_ID) or vocabulary.PAD
    if given.name in masked_inputs(checked.network.block) and (
        "pad" not in token.lower() and not token.startswith(("<", "["))
    ):
        fail("E0703.padding", token=token)


def _arrays(checked: Checked, task: Task, data: Any, path: Path) -> Examples:
    """Arrays by the names of the inputs, and `targets`.

    Without `targets` a network that writes learns the next id of its target.
    """
    given = dict(data) if isinstance(data, Mapping) else {}
    answers = given.pop(TARGETS, None)
    if answers is None:
        if task.target is None or task.target.name not in given:
            fail("E0701.targets", path=path, names=", ".join(_names(checked)))
        ids = given[task.target.name]
        given[task.target.name], answers = ids[:, :-1], ids[:, 1:].astype(np.int64)
        real = (given[task.target.name] != 0) & (answers != 0)
        answers = np.where(real, answers, IGNORED)
    prepared = prepare(checked, given).inputs
    inputs = (
        prepared if isinstance(prepared, Mapping) else {_names(checked)[0]: prepared}
    )
    counts = {name: len(array) for name, array in (*inputs.items(), (TARGETS, answers))}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        fail("E0701.counts", path=path, counts=found)
    kind = np.int64 if answers.dtype.kind in "iub" else np.float32
    return Examples(dict(inputs), answers.astype(kind))


def _names(checked: Checked) -> list[str]:
    return [given.name for given in checked.network.inputs]
