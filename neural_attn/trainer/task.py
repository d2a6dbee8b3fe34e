"""What a network learns, told from its inputs, its output and its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neural_attn.backends.emit.generation import generation
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.limits import id_limits, max_length
from neural_attn.ir import Input, is_mask
from neural_attn.shapes.instance import Checked

Kind = Literal["translate", "write", "classify", "tag", "arrays"]
_IDS = "sparse_categorical_crossentropy"
SEGMENTS = "token_type_ids"


@dataclass(frozen=True)
class Task:
    """What is learned, and from which inputs.

    `kind` is translate (one text from another), write (the next token), classify (a
    label for a text), tag (one for each word), or arrays where none of these holds.
    `source` is the input that is read, `target` the one that is written, each where
    there is one; `others` are masks and segments, which follow from the source.
    """

    kind: Kind
    source: Input | None
    target: Input | None = None
    others: tuple[Input, ...] = ()


def task_of(checked: Checked) -> Task:
    """What a network learns. Raises NeuralError (E0702) where it has no loss."""
    network, output = checked.network, checked.root.output
    if network.loss is None:
        fail("E0702", network=network.name)
    writes = generation(checked)
    others = tuple(i for i in network.inputs if _follows(i))
    texts = [i for i in network.inputs if not _follows(i)]
    if writes is not None and network.loss.name == _IDS:
        if writes.source is None:
            return Task("write", None, writes.target, others)
        if _is_text(writes.source):
            return Task("translate", writes.source, writes.target)
        return Task("arrays", writes.source, writes.target)
    if len(texts) != 1 or not _is_text(texts[0]) or output is None:
        return Task("arrays", None)
    if output.rank == 2:
        return Task("classify", texts[0], None, others)
    position = network.inputs.index(texts[0])
    along = output.along == checked.root.inputs[position].uid
    if output.rank == 3 and along and network.loss.name == _IDS:
        return Task("tag", texts[0], None, others)
    return Task("arrays", None)


def _follows(given: Input) -> bool:
    return is_mask(given.name) or given.name == SEGMENTS


def _is_text(given: Input) -> bool:
    return given.dtype == "int" and len(given.shape) == 1


def vocabulary_size(checked: Checked, given: Input) -> int:
    """The number of ids that an input may hold: the rows of its embedding.

    Raises NeuralError where nothing says it.
    """
    size = id_limits(checked).get(given.name)
    if size is None:
        fail("E0702.embedding", name=given.name, network=checked.network.name)
    return size


def longest(checked: Checked, given: Input, wanted: int | None) -> int | None:
    """The most steps an input is given: those wanted, or what the network takes."""
    limits = (max_length(checked), given.shape[0], wanted)
    return min((n for n in limits if n is not None), default=None)
