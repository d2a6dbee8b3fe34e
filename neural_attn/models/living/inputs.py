"""Inputs of a PyTorch module: by position and by name, where the module is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokens import rows

__all__ = [
    "by_name",
    "call",
    "in_batches",
    "is_numbers",
    "labels_of",
    "prepare",
    "takes_mapping",
]


def by_name(data: Any, first: str = "0") -> dict[str, Any]:
    """One input, several by position (a tuple), or a mapping of their names.

    Positions are named by their numbers; `first` is the name of a single input.
    """
    if data is None:
        fail("E0405.none")
    if isinstance(data, Mapping):
        return {str(name): value for name, value in data.items()}
    if isinstance(data, tuple):
        return {str(number): value for number, value in enumerate(data)}
    return {first: data}


def prepare(module: Any, given: Mapping[str, Any], tokens: Tokens | None) -> Prepared:
    """Arrays as tensors where the module is; all else as it is."""
    tensors = {name: _tensor(value, module) for name, value in given.items()}
    if _takes_whole(module, tensors):
        tensors = {"0": tensors}
    return Prepared(tensors, tokens)


def _takes_whole(module: Any, given: Mapping[str, Any]) -> bool:
    """Whether a mapping is the one input of a module, and does not name its inputs.

    So it is where a single one must be given, which no name is that of.
    """
    if not given or any(name.isdecimal() for name in given):
        return False
    parameters = _parameters(module)
    needed = [one.name for one in parameters.values() if one.default is one.empty]
    return len(needed) == 1 and parameters.keys().isdisjoint(given)


def takes_mapping(module: Any) -> bool:
    """Whether a module says of its first input that it is a mapping."""
    first = next(iter(_parameters(module).values()), None)
    said = "" if first is None else str(first.annotation)
    return bool(re.search(r"([Dd]ict|Mapping)\b", said.partition("[")[0]))


def _parameters(module: Any) -> dict[str, inspect.Parameter]:
    """What a module is called with by position or name."""
    found = inspect.signature(module.forward).parameters
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return {name: one for name, one in found.items() if one.kind in kinds}


# what `transformers` calls ids and what goes along with them, [batch, time]
_OF_TOKENS = (
    *("input_ids", "attention_mask", "token_type_ids"),
    *("decoder_input_ids", "decoder_attention_mask", "labels"),
)


def in_batches(given: Mapping[str, Any]) -> dict[str, Any]:
    """Ids of one text, as a tokenizer gives them, as a batch of one.

    Raises NeuralError where the ids are no numbers.
    """
    return {
        name: _in_batch(one) if name in _OF_TOKENS else one
        for name, one in given.items()
    }


def _in_batch(ids: Any) -> Any:
    if isinstance(ids, list | tuple):
        wrong = [one for one in ids if one is None or isinstance(one, str)]
        if wrong:
            fail("E0405.inputs", kind=f"{type(wrong[-1]).__name__}, in a list,")
        return [ids] if ids and not hasattr(ids[0], "__len__") else ids
    if ids is not None and not hasattr(ids, "shape"):
        fail("E0405.inputs", kind=type(ids).__name__)
    return ids[None] if ids is not None and len(ids.shape) == 1 else ids


def call(module: Any, inputs: Mapping[str, Any]) -> Any:
    """Call a module on what is named by position, then by name."""
    args = [value for name, value in inputs.items() if name.isdecimal()]
    named = {n: value for n, value in inputs.items() if not n.isdecimal()}
    return module(*args, **named)


def labels_of(tokens: Tokens | None) -> tuple[Any, Any]:
    """Rows of tokens of the first input and of the second."""
    if tokens is None:
        return None, None
    # what a tokenizer did not tell is None
    given: list[Any] = [*tokens.values()] if isinstance(tokens, Mapping) else [tokens]
    read = [None if one is None else rows(one) for one in given]
    first, second = (*read, None, None)[:2]
    return first, second


def _tensor(value: Any, module: Any) -> Any:
    """An array or a list of numbers in the module's precision; a tensor as it is."""
    import torch

    own = next(iter(module.parameters()), None)
    if _is_ragged(value):
        fail("E0405.ragged")
    if isinstance(value, np.ndarray | np.generic) or is_numbers(value):
        value = torch.as_tensor(np.asarray(value))
        if value.is_floating_point() and own is not None:
            value = value.to(own.dtype)
    if isinstance(value, torch.Tensor) and own is not None:
        return value.to(own.device)
    return value


def _is_ragged(value: Any) -> bool:
    """Whether it is a list of lists of numbers that are not as long."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return False
    return len({len(row) for row in value}) > 1


def is_numbers(value: Any) -> bool:
    """Whether it is a list of numbers, however nested."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | tuple)
        and bool(value)
        and np.asarray(value).dtype.kind in "iufb"
    )
