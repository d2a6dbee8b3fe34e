"""Texts to ids by whatever tokenizer somebody has: an object, or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.tokenizer import Encoded, Text, Tokenizer, find_tokenizer

__all__ = ["read_texts", "tokens_of"]


def read_texts(
    tokenizer: Any, texts: Sequence[Text], longest: int | None = None
) -> Encoded:
    """Encode texts, or pairs of texts, into one batch, padded on the right.

    Parameters
    ----------
    tokenizer : a tokenizer of `transformers` or `tokenizers`, a path, or a `Tokenizer`
        A path is that of a `tokenizer.json` or of its folder.
    longest : int or None
        Texts are cut to so many tokens, and `notes` says so.

    Raises
    ------
    NeuralError
        Without a tokenizer or texts, or for a text that gives no token.
    """
    if tokenizer is None:
        fail("E0415.object")
    if isinstance(tokenizer, str | os.PathLike):
        path = find_tokenizer(None, None, tokenizer)
        assert path is not None  # an explicit path is found or refused
        tokenizer = Tokenizer(path)
    if isinstance(tokenizer, Tokenizer):
        return tokenizer.encode(list(texts), longest)
    if not (callable(tokenizer) or hasattr(tokenizer, "encode")):
        fail("E0415.kind", kind=type(tokenizer).__name__)
    if isinstance(texts, str) or not texts:
        fail("E0643.list")
    read = [_read(tokenizer, text) for text in texts]
    for number, one in enumerate(read, 1):
        if not one["input_ids"]:
            fail("E0643", number=number)
    notes = []
    if longest is not None and any(len(one["input_ids"]) > longest for one in read):
        notes = [f"texts were cut off at {longest} tokens, as the model takes no more"]
        read = [_read(tokenizer, text, longest) for text in texts]
    return _batch(tokenizer, read, notes)


def tokens_of(tokenizer: Any, ids: NDArray[Any]) -> list[list[str]] | None:
    """The tokens of ids [batch, time]; None where a tokenizer cannot tell them."""
    if isinstance(tokenizer, str | os.PathLike):
        path = find_tokenizer(None, None, tokenizer)
        assert path is not None
        return Tokenizer(path).tokens_of(ids)
    name = "convert_ids_to_tokens"
    name = name if hasattr(tokenizer, name) else "id_to_token"
    if not hasattr(tokenizer, name):
        return None
    one = getattr(tokenizer, name)
    return [[_shown(one, number) for number in row] for row in ids.tolist()]


def _shown(token: Any, number: int) -> str:
    """A token, or its number where it has no text (labels of -100)."""
    return str(token(number) or number) if number >= 0 else str(number)


def _read(tokenizer: Any, text: Text, longest: int | None = None) -> Mapping[str, Any]:
    """One text without padding, by the names that models give their inputs."""
    parts = text if isinstance(text, tuple) else (text,)
    if callable(tokenizer):
        options = {} if longest is None else {"truncation": True, "max_length": longest}
        return dict(tokenizer(*parts, **options))
    encoding = tokenizer.encode(*parts)
    if longest is not None:
        encoding.truncate(longest)
    return {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}


def _batch(
    tokenizer: Any, read: Sequence[Mapping[str, Any]], notes: list[str]
) -> Encoded:
    """Rows of one length. What padding is has no effect, as it is masked."""
    ids = [list(one["input_ids"]) for one in read]
    width = max(map(len, ids))
    padding = getattr(tokenizer, "pad_token_id", None) or 0
    inputs = {
        "input_ids": _padded(ids, width, padding),
        "attention_mask": _padded([[1] * len(row) for row in ids], width, 0),
    }
    if all("token_type_ids" in one for one in read):
        types = [list(one["token_type_ids"]) for one in read]
        inputs["token_type_ids"] = _padded(types, width, 0)
    tokens = tokens_of(tokenizer, inputs["input_ids"])
    assert tokens is not None  # what encodes also decodes
    for row, own in zip(tokens, ids, strict=True):
        row[len(own) :] = ["[PAD]"] * (width - len(own))
    return Encoded(inputs, tokens, notes)


def _padded(rows: list[list[int]], width: int, value: int) -> NDArray[np.int64]:
    return np.array([row + [value] * (width - len(row)) for row in rows], np.int64)
