"""Tokens as lists of texts: from arrays, and from ids with or without a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.foreign_arrays import as_array

__all__ = ["Texts", "token_texts"]

Texts = list[str] | list[list[str]]


def token_texts(tokens: Any, tokenizer: Any = None) -> Texts | None:
    """The texts of tokens: one list for all examples, or one for each.

    Parameters
    ----------
    tokens : texts, arrays of texts, or ids as integers, [keys] or [batch, keys]; None
    tokenizer : says what the text of an id is
        One of `transformers` or `tokenizers`, or a function of a list of ids. Without
        it an id is its own text.

    Raises NeuralError (E0432) for anything else.
    """
    if tokens is None:
        return None
    if isinstance(tokens, str | bytes):
        fail("E0432", what="one text")
    rows = _plain(tokens)
    if any(isinstance(row, list) for row in rows):
        return [_row(row, tokenizer) for row in rows]
    return _row(rows, tokenizer)


def _plain(tokens: Any) -> list[Any]:
    """Nested lists of what the tokens are made of."""
    if hasattr(tokens, "shape") or hasattr(tokens, "__dlpack__"):
        found = as_array(tokens).tolist()
        return found if isinstance(found, list) else [found]
    return [
        one if isinstance(one, str) or not _is_row(one) else _plain(one)
        for one in tokens
    ]


def _is_row(value: Any) -> bool:
    return isinstance(value, Iterable) and not (
        isinstance(value, np.generic) or getattr(value, "ndim", None) == 0
    )


def _row(row: Any, tokenizer: Any) -> list[str]:
    if not isinstance(row, list) or any(isinstance(one, list) for one in row):
        fail("E0432", what="texts beside lists of texts")
    if all(isinstance(one, str) for one in row):
        return [str(one) for one in row]
    try:
        ids = [int(one) for one in row]
    except (TypeError, ValueError):
        fail("E0432", what=f"a list with a {type(row[0]).__name__}")
    if any(float(one) != number for one, number in zip(row, ids, strict=True)):
        fail("E0432", what="numbers with fractions")
    return [str(one) for one in _texts_of(ids, tokenizer)]


def _texts_of(ids: list[int], tokenizer: Any) -> Sequence[Any]:
    if tokenizer is None:
        return ids
    if hasattr(tokenizer, "convert_ids_to_tokens"):  # transformers
        found: Sequence[Any] = tokenizer.convert_ids_to_tokens(ids)
        return found
    if hasattr(tokenizer, "id_to_token"):  # tokenizers
        return [tokenizer.id_to_token(one) or str(one) for one in ids]
    if not callable(tokenizer):
        fail("E0432.tokenizer", kind=type(tokenizer).__name__)
    return list(tokenizer(ids))
