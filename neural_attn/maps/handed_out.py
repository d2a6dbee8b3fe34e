"""Maps of whatever a library handed out: its outputs, or arrays however they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.findings import Finding
from neural_attn.maps.given import take
from neural_attn.maps.map_of_array import Taken, listed
from neural_attn.maps.transformers_outputs import by_name, is_outputs, take_outputs

__all__ = ["take_any", "take_returned", "usable"]


def take_any(given: Any, tokens: Any = None, **claims: Any) -> Taken:
    """Take the outputs of a model, or arrays, for maps.

    `tokens` are as in `take`, or the model's inputs by name. `claims` are those of
    `take`, or of `take_outputs`, whose fields say what the axes are. Raises as they do.
    """
    told = {} if claims.get("mask") is None else {"attention_mask": claims["mask"]}
    inputs = {**tokens, **told} if isinstance(tokens, Mapping) else None
    if not is_outputs(given):
        if inputs is None:
            return take(given, tokens, **claims)
        others = {name: claims[name] for name in claims if name != "mask"}
        return take_returned(given, inputs=inputs, **others)
    known = {key: claims.get(key) for key in ("tokenizer", "causal", "rows")}
    if inputs is None:
        return take_outputs(given, inputs=told, tokens=tokens, **known)
    return take_outputs(given, inputs=inputs, **known)


def take_returned(
    returned: Any, tokenizer: Any = None, inputs: Any = None, **claims: Any
) -> Taken:
    """Take what a model returned, whole, or the tuple of one of its fields.

    `inputs` are the model's, by name, or its ids; `claims` and the rest as in
    `take_outputs`. Of a tuple, the shapes alone say what its axes are.
    """
    if is_outputs(returned):
        return take_outputs(returned, tokenizer, inputs, **claims)
    given = by_name(inputs)
    if any(name.startswith("decoder_") for name in given):
        fail("E0433.side")
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    return take(returned, ids, tokenizer=tokenizer, mask=mask, **claims)


def _refusals(taken: Taken) -> list[str]:
    """Why something handed out is not among the maps, a line each."""
    found = [one for one in taken.findings if one.stops]
    if not taken.names:
        found.append(Finding.of("W0808.model", ""))
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(f"{one.message}; {one.hint}", []).append(one.map)
    return [
        f"{listed(maps)}: {said}" if any(maps) else said for said, maps in names.items()
    ]


def usable(taken: Taken) -> tuple[list[AttentionMap], list[str]]:
    """The maps that were taken, and what there is to say of them and of the rest.

    Raises ValueError, with the reasons, where there are none.
    """
    refused = _refusals(taken)
    if not taken.maps:
        raise ValueError("; ".join(refused))
    advice = [one.diagnostic.message for one in taken.findings if not one.stops]
    return taken.maps, [*taken.notes, *refused, *advice]
