"""Texts that a generated network writes: by greedy or beam search, or by sampling."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.backends.emit.base import Generation
from neural_attn.backends.emit.generation import generation
from neural_attn.backends.emit.training import padding_id
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.limits import id_limits, max_length
from neural_attn.inputs.prepared import Prepared
from neural_attn.inputs.sides import SOURCE, TARGET, Sides
from neural_attn.inputs.tokenizer import Text, Tokenizer
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.written import Likely, Step, Written
from neural_attn.models.attention_model import Captured
from neural_attn.models.capture import LoadedModel, capture
from neural_attn.shapes.instance import Checked

__all__ = ["How", "Writer", "hide_padding", "translates", "writing_of"]

RIVALS = 5
TOGETHER = 32  # texts of one length that are written at a time


@dataclass(frozen=True)
class How:
    """How a text is written.

    `beams` keeps so many continuations and takes the best per token. A `temperature`
    of 0 takes the likeliest token; any other draws, with `seed`, of the `top_k`
    likeliest (None: of all). `start` and `end` are tokens, or ids; None are those of
    the tokenizer.
    """

    max_new_tokens: int = 50
    beams: int = 1
    temperature: float = 0.0
    top_k: int | None = None
    start: str | int | None = None
    end: str | int | None = None
    seed: int = 0


GREEDY = How()


def writing_of(checked: Checked) -> Generation:
    """How a network writes text; raises NeuralError (E0461) where it writes none."""
    found, network = generation(checked), checked.network
    if found is None:
        fail("E0461", network.block.span, network=network.name)
    source = found.source
    if source is not None and (source.dtype != "int" or len(source.shape) != 1):
        fail("E0461.sound", network=network.name, input=source.name)
    return found


def translates(checked: Checked) -> bool:
    """Whether a network reads one text of ids and writes another."""
    found = generation(checked)
    source = None if found is None else found.source
    return source is not None and source.dtype == "int" and len(source.shape) == 1


@dataclass(frozen=True)
class _Given:
    """A text as it is written from: ids that are read, and those that are continued.

    `forced` are the ids that it is made to write.
    """

    text: str
    source: list[int]
    start: list[int]
    forced: list[int] | None = None


class Writer:
    """A network that writes, with its tokenizers.

    `notes` says what was cut and what does not quite fit, for people.
    """

    def __init__(self, loaded: LoadedModel, sides: Sides, how: How = GREEDY) -> None:
        """Raises NeuralError for a network that writes none, or what does not fit."""
        self.loaded, self.sides, self.how = loaded, sides, how
        self.way = writing_of(loaded.checked)
        self.notes: list[str] = []
        self._longest = max_length(loaded.checked)
        self._check_sizes()
        self.start, self.end = self._borders()

    # --- what is given ---------------------------------------------------------------

    def _check_sizes(self) -> None:
        checked, way = self.loaded.checked, self.way
        limits = id_limits(checked)
        output = checked.root.output
        size = None if output is None else output.width.value
        limits |= {way.target.name: size} if isinstance(size, int) else {}
        given = [(TARGET, way.target, self.sides.target)]
        if way.source is not None and self.sides.source is not None:
            given.append((SOURCE, way.source, self.sides.source))
        for side, one, tokenizer in given:
            size, known = limits.get(one.name), tokenizer.vocabulary_size
            if size is not None and known > size:
                fail("E0462", side=side, known=known, size=size, input=one.name)

    def _borders(self) -> tuple[int | None, int | None]:
        """The ids that start and end what is written."""
        start, end = self.sides.borders
        start = start if self.how.start is None else self._id_of(self.how.start)
        end = end if self.how.end is None else self._id_of(self.how.end)
        if self.way.source is not None and start is None:
            start = self._padding()
        if start == 0 and self.way.pads and self.way.source is not None:
            fail("E0462.padding", token=self.sides.target([0])[0])
        if end is None:
            self.notes.append(
                "no token ends a text: each is as long as it may be (--end names one)"
            )
        return start, end

    def _padding(self) -> int:
        """The padding token, with which T5 and Marian start a text."""
        found = None if self.way.pads else self.sides.target.padding
        if found is None:
            fail("E0462.start")
        token = self.sides.target([found])[0]
        self.notes.append(
            f"a target starts with {token}, as no other token starts a text (--start)"
        )
        return found

    def _id_of(self, token: str | int) -> int:
        text = str(token)
        found = token if isinstance(token, int) else self.sides.target.id_of(text)
        if found is None and text.isascii() and text.isdigit():
            found = int(text)
        output = self.loaded.checked.root.output
        size = None if output is None else output.width.value
        if found is None or (isinstance(size, int) and found >= size):
            fail("E0462.token", token=token)
        return found

    def read(self, texts: Sequence[Text]) -> list[_Given]:
        """Encode texts; a pair is a source and the target that it is made to write."""
        if not texts:
            fail("E0643.list")
        return [self._read(text, number) for number, text in enumerate(texts, 1)]

    def _read(self, text: Text, number: int) -> _Given:
        if self.sides.source is None:
            if isinstance(text, tuple):
                fail("E0461.pair", number=number)
            return _Given(text, [], self._prompt(text, number))
        first, *given = text if isinstance(text, tuple) else (text,)
        source = self._encode(self.sides.source, first, number)
        assert self.start is not None  # `_borders` refuses a network without
        forced = None
        if given:
            if not given[0].strip():
                fail("E0462.empty", number=number)
            ids = self.sides.target.ids_of(given[0], number)
            forced = [*ids, *([] if self.end is None else [self.end])]
            if self._longest is not None and len(forced) > self._longest:
                cut = len(forced) - self._longest
                self.notes.append(
                    f"the target of text {number} is too long: {cut} tokens cut off"
                )
                forced = forced[: self._longest]
        return _Given(first, source, [self.start], forced)

    def _encode(self, tokenizer: Tokenizer, text: str, number: int) -> list[int]:
        if not text.strip():
            fail("E0462.empty", number=number)
        encoded = tokenizer.encode([text], self._longest)
        self.notes += [
            note.replace("the text", f"text {number}") for note in encoded.notes
        ]
        ids: list[int] = encoded.inputs["input_ids"][0].tolist()
        return ids

    def _prompt(self, text: str, number: int) -> list[int]:
        """A text to continue: without the token that ends it."""
        if not text:
            if self.start is None:
                fail("E0462.empty", number=number)
            return [self.start]
        ids = self._encode(self.sides.target, text, number)
        _, end = self.sides.target.borders
        return ids[:-1] if len(ids) > 1 and ids[-1] == end else ids

    # --- writing ---------------------------------------------------------------------

    def write(self, texts: Sequence[Text]) -> list[Written]:
        """Write a text for each, in their order.

        Texts of one length are written together: nothing is padded, so that each is
        what it is alone. Raises NeuralError for what cannot be read or asked for.
        """
        read = self.read(texts)
        produced: dict[int, list[int]] = {
            at: one.forced for at, one in enumerate(read) if one.forced is not None
        }
        groups: dict[tuple[int, int], list[int]] = {}
        for at, one in enumerate(read):
            if one.forced is None:
                lengths = (len(one.source), len(one.start))
                groups.setdefault(lengths, []).append(at)
        for rows in groups.values():
            for begin in range(0, len(rows), TOGETHER):
                some = rows[begin : begin + TOGETHER]
                ids = self._generate([read[at] for at in some])
                produced |= dict(zip(some, ids, strict=True))
        return [self._told(one, produced[at]) for at, one in enumerate(read)]

    def _generate(self, some: Sequence[_Given]) -> list[list[int]]:
        """The ids that follow, of texts of one length."""
        loaded, how = self.loaded, self.how
        begin = np.array([one.start for one in some], np.int64)
        given = [loaded.backend.tensor(begin)]
        if self.way.source is not None:
            source = np.array([one.source for one in some], np.int64)
            given.insert(0, loaded.backend.tensor(source))
        count = self._count(begin.shape[1])
        options: dict[str, Any] = {"beams": how.beams, "temperature": how.temperature}
        if self.end is not None:
            options["end"] = self.end
        if how.top_k is not None:
            options["top_k"] = how.top_k
        generate = loaded.model.generate
        if "seed" in inspect.signature(generate).parameters:
            options["seed"] = how.seed
        try:
            with loaded.backend.seeded(how.seed):
                ids = generate(*given, count, **options)
        except ValueError as error:
            fail("E0463", reason=error)
        rows = np.asarray(loaded.backend.array(ids))[:, begin.shape[1] :]
        return [_until(row, self.end) for row in rows.tolist()]

    def _count(self, given: int) -> int:
        """How many tokens may follow: the last one is not read, so needs no place."""
        count = self.how.max_new_tokens
        if self._longest is not None and count > self._longest - given + 1:
            count = self._longest - given + 1
            note = f"the network takes {self._longest} tokens: at most {count} new ones"
            self.notes += [note] if note not in self.notes else []
        return count

    # --- what was written ------------------------------------------------------------

    def _told(self, given: _Given, ids: list[int]) -> Written:
        """What was written, with what each token cost."""
        target = self.sides.target
        if any(one >= target.vocabulary_size for one in ids):
            self.notes.append(
                "the target tokenizer has no token for some ids that were written: "
                "they are shown as numbers"
            )
        source_tokens = self.sides.source(given.source) if self.sides.source else []
        text_ids = ids[:-1] if ids and ids[-1] == self.end else ids
        bare = Written(
            source=given.text,
            text=target.text_of(text_ids),
            source_ids=tuple(given.source),
            source_tokens=tuple(source_tokens),
            given_ids=tuple(given.start),
            given_tokens=tuple(target(given.start)),
            steps=(),
            forced=given.forced is not None,
        )
        if not ids:
            return bare
        rows = self._scores(self._arrays(bare, ids))[len(given.start) - 1 :]
        shares = rows if self.way.gives_probabilities else _softmax(rows)
        return replace(bare, steps=tuple(self._steps(shares, ids)))

    def _scores(self, arrays: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        """What the network puts out for one text [time, ids]."""
        backend = self.loaded.backend
        tensors = {name: backend.tensor(array) for name, array in arrays.items()}
        (first, *others) = tensors.values()
        with backend.inference():
            output = self.loaded.model(tensors if others else first)
            scores: NDArray[np.float64] = np.asarray(backend.array(output))[0]
        return scores.astype(np.float64)

    def _steps(self, shares: NDArray[np.float64], ids: list[int]) -> Iterator[Step]:
        for row, chosen in zip(shares, ids, strict=True):
            best = np.argsort(-row, kind="stable")[: RIVALS + 1].tolist()
            others = [one for one in best if one != chosen][:RIVALS]
            tokens = self.sides.target([chosen, *others])
            likely = [
                Likely(one, token, float(row[one]))
                for one, token in zip([chosen, *others], tokens, strict=True)
            ]
            yield Step(likely[0], tuple(likely[1:]))

    def _arrays(
        self, written: Written, ids: Sequence[int]
    ) -> dict[str, NDArray[np.int64]]:
        """What the network reads where it is fed all of a text but its last token."""
        fed = np.array([[*written.given_ids, *ids][:-1]], np.int64)
        arrays = {self.way.target.name: fed}
        if self.way.source is not None:
            arrays[self.way.source.name] = np.array([written.source_ids], np.int64)
        if self.way.mask is not None:
            arrays[self.way.mask.name] = np.ones_like(fed)
        given = self.loaded.checked.network.inputs
        return {one.name: arrays[one.name] for one in given}

    def attention(self, written: Written) -> Captured:
        """The attention of all layers, of a text that was written.

        A decoder row is that of a token that it was fed, and predicts the next; there
        is none for the last token, which is fed to nothing.
        """
        arrays = self._arrays(written, written.ids)
        tokens = {self.way.target.name: written.fed}
        if self.way.source is not None:
            tokens[self.way.source.name] = list(written.source_tokens)
        inputs: Any = arrays if len(arrays) > 1 else arrays[self.way.target.name]
        captured = capture(self.loaded, inputs, tokens)
        return replace(captured, maps=replace(captured.maps, written=[written]))

    def prepare(self, texts: Sequence[Text]) -> Prepared:
        """One batch of texts and of what is written for each, padded on the right.

        Raises NeuralError (E0409) where sources of different length meet a network
        that cannot tell padding.
        """
        written = self.write(texts)
        for number, one in enumerate(written, 1):
            if not one.fed:
                fail("E0462.empty", number=number)
        rows = {
            TARGET: [[*one.given_ids, *one.ids][:-1] for one in written],
            SOURCE: [list(one.source_ids) for one in written],
        }
        labels = {
            TARGET: [one.fed for one in written],
            SOURCE: [list(one.source_tokens) for one in written],
        }
        assert self.way.source is not None  # it is for networks of two texts
        names = {TARGET: self.way.target.name, SOURCE: self.way.source.name}
        padding = padding_id(self.loaded.checked, names[SOURCE])
        if len(set(map(len, rows[SOURCE]))) > 1 and padding is None:
            fail("E0409.padding")
        fill = {TARGET: 0, SOURCE: padding or 0}
        inputs = {names[side]: _padded(rows[side], fill[side]) for side in fill}
        tokens = {names[side]: _filled(labels[side]) for side in (SOURCE, TARGET)}
        notes = []
        if not all(one.forced for one in written):
            most = self.how.max_new_tokens
            begin = self.sides.target([self.start or 0])[0]
            notes = [
                f"the network wrote the target: greedily, from {begin}, "
                f"at most {most} tokens"
            ]
        cut, self.notes = list(dict.fromkeys(self.notes)), []  # said once
        return Prepared(inputs, tokens, notes, cut, written=written)


def hide_padding(one: AttentionMap, written: Sequence[Written]) -> AttentionMap:
    """The same map, in which rows after the end of what was written are hidden.

    Where texts of a batch are of different length and the network cannot tell padding,
    such rows are of nothing that was fed.
    """
    batch, _, queries, keys = one.weights.shape
    lengths = np.array([len(w.fed) for w in written])
    if one.kind == "encoder_self" or batch != len(written) or queries != max(lengths):
        return one
    real = np.arange(queries) < lengths[:, None]
    allowed = one.allowed & real[:, None, :, None]
    if one.kind == "decoder_self" and keys == queries:
        allowed = allowed & real[:, None, None, :]
    if (allowed == one.allowed).all():
        return one
    return replace(one, weights=np.where(allowed, one.weights, 0), mask=allowed)


def _until(ids: list[int], end: int | None) -> list[int]:
    """Ids up to the one that ends a text, that one included."""
    return ids[: ids.index(end) + 1] if end is not None and end in ids else ids


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _padded(rows: Sequence[Sequence[int]], value: int) -> NDArray[np.int64]:
    width = max(map(len, rows))
    return np.array([[*row, *[value] * (width - len(row))] for row in rows], np.int64)


def _filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    width = max(map(len, rows))
    return [[*row, *["[PAD]"] * (width - len(row))] for row in rows]


def options_of(given: Mapping[str, Any]) -> How:
    """`How` from options by the names of its fields; what is None stays as it is."""
    names = How.__dataclass_fields__
    return How(**{n: v for n, v in given.items() if n in names and v is not None})
