"""Maps of what a model of `transformers` returned, read by the names of its fields.

Nothing of that library is needed: its outputs are mappings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import as_array, is_array
from neural_attn.maps.given import take_layers
from neural_attn.maps.map_of_array import Claims, Taken
from neural_attn.maps.named_arrays import Found, Steps, find_arrays
from neural_attn.maps.token_texts import token_texts

__all__ = ["by_name", "is_outputs", "take_outputs"]

FIELDS = ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions")

Ids = NDArray[Any] | None


def is_outputs(given: Any) -> bool:
    """Whether it looks like the outputs of a model, with or without attention."""
    if not isinstance(given, Mapping):
        return False
    return any(key in given for key in FIELDS) or hasattr(given, "to_tuple")


@dataclass(frozen=True)
class _Side:
    """The texts of an encoder or a decoder: ids and padding, [batch, positions]."""

    ids: Ids = None
    mask: Ids = None

    def of_length(self, length: int, batch: int, *, grows: bool) -> _Side:
        """What is known of so many positions; a prompt is the start of all."""
        return _Side(
            _cut(self.ids, length, batch),
            _grown(_cut(self.mask, length, batch, grows=grows), length),
        )


def take_outputs(
    outputs: Any,
    tokenizer: Any = None,
    inputs: Any = None,
    *,
    tokens: Any = None,
    causal: bool | None = None,
    rows: Any = None,
) -> Taken:
    """Take the attention of a model's outputs for maps.

    Parameters
    ----------
    outputs : what the model or its `generate` returned, as a mapping
    tokenizer : as in `token_texts`; it says what the ids are
    inputs : the model's inputs by name, or its ids alone
        `input_ids`, `attention_mask`, `decoder_input_ids` and
        `decoder_attention_mask` are used.
    tokens : texts of the keys, where there are no ids
    causal, rows : as in `take`

    Raises NeuralError for what holds no attention that can be read.
    """
    given = by_name(inputs)
    if outputs.get("beam_indices") is not None:
        fail("E0434")
    claims = Claims(token_texts(tokens, tokenizer), causal=causal, rows=rows)
    taken = Taken()
    for layers, of in _groups(outputs, given):
        filled = _claims(layers, of, claims, tokenizer)
        if isinstance(filled, Finding):
            taken.names += [(found.name, found.layer) for found in layers]
            taken.findings += [replace(filled, map=found.name) for found in layers]
        else:
            taken.add(take_layers(layers, filled))
    _put_in_order(taken)
    for key, value in outputs.items():
        if key.endswith("_output") and is_outputs(value):
            taken.add(_inside(key.removesuffix("_output"), value, given, tokenizer))
    return taken


def _inside(name: str, outputs: Any, given: Mapping[str, Any], tokenizer: Any) -> Taken:
    """The attention of a model that is a part of another, as CLIP's towers are."""
    own = {} if "vision" in name or "image" in name else given
    inner = take_outputs(outputs, tokenizer, own)
    named = {old: f"{name}/{old}" for old, _ in inner.names}
    return Taken(
        [replace(one, name=named[one.name]) for one in inner.maps],
        [(named[old], number) for old, number in inner.names],
        [replace(one, map=named.get(one.map, "")) for one in inner.findings],
        {what: [named[old] for old in names] for what, names in inner.said.items()},
    )


def by_name(inputs: Any) -> dict[str, Any]:
    """The inputs of a model by name; what has no names is taken for its ids."""
    if inputs is None:
        return {}
    return dict(inputs) if isinstance(inputs, Mapping) else {"input_ids": inputs}


@dataclass(frozen=True)
class _Of:
    """Of what a group of layers is: whose queries, whose keys."""

    own: bool
    queries: _Side
    keys: _Side
    texts: int | None = None  # how many, where the inputs say it
    generated: bool = False


def _groups(
    outputs: Mapping[str, Any], given: Mapping[str, Any]
) -> list[tuple[list[Found], _Of]]:
    """The layers of each field, and what they are of."""
    first = _Side(_array(given, "input_ids"), _array(given, "attention_mask"))
    ids = _array(given, "decoder_input_ids")
    second = _Side(ids, _array(given, "decoder_attention_mask"))
    written = _array(outputs, "sequences")
    texts = _texts(first.ids, given)
    decodes = bool(outputs.get("decoder_attentions"))
    if written is not None:
        second = replace(second, ids=written)
        first = first if decodes else replace(first, ids=written)
    alone = first if not decodes else second
    of = partial(_Of, texts=texts, generated=written is not None)
    crossed = bool(outputs.get("cross_attentions"))
    fields = {
        "encoder_attentions": ("encoder_layer_{}", of(True, first, first)),
        "attentions": (
            "decoder_layer_{}.self_attention" if crossed else "layer_{}",
            of(True, alone, alone),
        ),
        "decoder_attentions": (
            "decoder_layer_{}.self_attention",
            of(True, second, second),
        ),
        "cross_attentions": (
            "decoder_layer_{}.cross_attention",
            # a decoder alone, with the states of another model: of no known text
            of(False, second, first) if decodes else of(False, first, _Side()),
        ),
    }
    return [
        (_layers(outputs[name], pattern), about)
        for name, (pattern, about) in fields.items()
        if outputs.get(name)
    ]


def _layers(value: Any, pattern: str) -> list[Found]:
    found = find_arrays(value)
    return [
        replace(one, name=pattern.format(number)) for number, one in enumerate(found)
    ]


def _claims(
    layers: Sequence[Found], of: _Of, claims: Claims, tokenizer: Any
) -> Claims | Finding:
    """What is known of a group; or that its examples are not texts of the inputs."""
    there = [one.value for one in layers if one.value is not None]
    if not there:
        return replace(claims, own=of.own)
    one = there[0]
    shapes = [a.shape for a in one.arrays] if isinstance(one, Steps) else [one.shape]
    if len(shapes[0]) != 4:
        return replace(claims, own=of.own)
    batch, keys = shapes[0][0], max(shape[3] for shape in shapes)
    pieces = of.texts is not None and batch > of.texts and batch % of.texts == 0
    if pieces and not of.generated:
        return Finding.of("W0811.windows", "", count=batch, expected=of.texts)
    queries = shapes[0][2] if len(shapes) == 1 else _rows_of(shapes)
    if of.own and len(shapes) > 1 and len({shape[3] for shape in shapes}) == 1:
        keys = queries  # a cache of fixed length
    elif of.own:
        keys = max(queries, keys)  # fewer keys are those of local windows
    asking = of.queries.of_length(queries, batch, grows=of.own)
    asked = of.keys.of_length(keys, batch, grows=of.own)
    return Claims(
        claims.tokens or token_texts(asked.ids, tokenizer),
        causal=claims.causal if of.own else False,
        mask=asked.mask,
        rows=claims.rows,
        own=of.own,
        query_tokens=None if of.own else token_texts(asking.ids, tokenizer),
        query_mask=None if of.own else asking.mask,
    )


def _rows_of(shapes: Sequence[tuple[int, ...]]) -> int:
    """How many positions the steps of a generation come to."""
    done = 0
    for shape in shapes:
        done = shape[2] if shape[2] > done else done + shape[2]
    return done


def _array(given: Mapping[str, Any], name: str) -> Ids:
    value = given.get(name)
    array = None if value is None or not is_array(value) else as_array(value)
    if array is None or array.ndim not in (2, 3) or array.dtype.kind not in "iub":
        return None
    # several answers to choose from are so many texts
    return array.reshape(-1, array.shape[-1]).astype(np.int64)


def _texts(ids: Ids, given: Mapping[str, Any]) -> int | None:
    """How many texts, or pictures, the inputs are."""
    if ids is not None:
        return len(ids)
    arrays = (as_array(value) for value in given.values() if is_array(value))
    return next((len(array) for array in arrays if array.ndim), None)


def _cut(values: Ids, length: int, batch: int, *, grows: bool = False) -> Ids:
    """The first so many positions of each text; None where there are fewer.

    Where several answers were generated to one text, each has its row.
    """
    if values is None or batch % len(values):
        return None
    if values.shape[1] < length and not grows:
        return None
    return np.repeat(values[:, :length], batch // len(values), axis=0)


def _grown(mask: Ids, length: int) -> Ids:
    if mask is None or mask.shape[1] == length:
        return mask
    more = length - mask.shape[1]  # what was generated is not padding
    return np.pad(mask, ((0, 0), (0, more)), constant_values=1)


def _put_in_order(taken: Taken) -> None:
    """Put the parts of each decoder layer beside each other."""

    def place(name: str) -> tuple[int, int]:
        stem, _, part = name.partition(".")
        number = int(stem.rpartition("_")[2])
        return (1, number) if part else (0, 0)

    taken.maps.sort(key=lambda one: place(one.name))
    taken.names.sort(key=lambda named: place(named[0]))
