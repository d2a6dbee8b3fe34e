"""Maps of whatever a library handed out: what each axis is taken for, and why not.

Here only what single arrays say is looked at; the doctor (`validation.py`) goes on with
the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from neural_attn.maps.array_findings import examine_array
from neural_attn.maps.attention_map import check_name
from neural_attn.maps.axes import WHOLE, arrange, check_axes, guess, in_words
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import as_array, is_array
from neural_attn.maps.local_windows import is_window, unroll
from neural_attn.maps.map_of_array import Claims, Taken, as_map
from neural_attn.maps.named_arrays import Found, Steps, find_arrays
from neural_attn.maps.steps import join_steps
from neural_attn.maps.token_texts import token_texts
from neural_attn.promises import SHARES, Rows

__all__ = ["MASK", "TOKENS", "take", "take_layers"]

# members of a mapping or a file that are not layers
MASK, TOKENS = "attention_mask", "tokens"


def take(
    given: Any,
    tokens: Any = None,
    *,
    tokenizer: Any = None,
    axes: str | None = None,
    causal: bool | None = None,
    mask: Any = None,
    rows: Rows | None = None,
) -> Taken:
    """Take arrays of any library for maps.

    Parameters
    ----------
    given : an array, a list of layers or of steps, or a mapping of them
        See `find_arrays`. A mapping may also hold `attention_mask`, integers [batch,
        keys], and `tokens`.
    tokens, tokenizer : as in `token_texts`
    axes : a letter for each axis; None: [queries, keys], [batch, heads, queries,
        keys], or three axes where it shows what they are
    causal : whether later keys are hidden; None: where no weight goes to them
    mask : as in `AttentionMap`
    rows : what rows promise; None: shares, or parts where they say so

    Raises
    ------
    NeuralError
        For arguments that cannot be. What is wrong with an array is a finding.
    ValueError
        For a name that no map may have.
    """
    if isinstance(given, Mapping):
        given = dict(given)
        own_mask, own_tokens = (_popped(given, key) for key in (MASK, TOKENS))
        mask = own_mask if mask is None else mask
        tokens = own_tokens if tokens is None else tokens
    claims = Claims(
        token_texts(tokens, tokenizer),
        None if axes is None else check_axes(axes),
        causal,
        None if mask is None else as_array(mask),
        rows,
    )
    return take_layers(find_arrays(given, axes), claims)


def _popped(given: dict[str, Any], name: str) -> Any:
    value = given.get(name)
    if value is None or (is_array(value) and as_array(value).dtype.kind == "f"):
        return None
    return given.pop(name)


def take_layers(layers: Sequence[Found], claims: Claims) -> Taken:
    """Take layers that were found for maps; see `take`."""
    taken = Taken(names=[(found.name, found.layer) for found in layers])
    for found in layers:
        check_name(found.name)
    there = [found for found in layers if found.value is not None]
    for found in layers:
        if found.value is None and there:
            taken.say("no attention (None), so no map", found.name)
        elif found.value is None:
            taken.findings.append(Finding.of("W0808", found.name))
    found_arrays = [(found, _array_of(found, claims, taken)) for found in there]
    arrays = [(found, array) for found, array in found_arrays if array is not None]
    batches = [*claims.batches, *(len(array) for _, array in arrays if array.ndim == 4)]
    for found, array in arrays:
        whole = _whole(found.name, array, claims, batches, taken)
        if whole is not None:
            number = found.layer if len(there) < len(layers) else None
            taken.maps.append(as_map(found.name, whole, claims, taken, number))
    return taken


def _array_of(found: Found, claims: Claims, taken: Taken) -> NDArray[Any] | None:
    """The array of a layer, its steps joined; None, and a finding, if it has none."""
    value = found.value
    try:
        if not isinstance(value, Steps):
            return as_array(value)
        own = claims.own
        if own is None:
            own = len({one.shape[-1] for one in value.arrays}) > 1
        joined = join_steps(value.arrays, own=own)
    except (ValueError, TypeError, IndexError) as error:
        taken.findings.append(Finding.of("W0811.reason", found.name, reason=error))
        return None
    taken.say(f"{len(value.arrays)} steps of a generation, joined", found.name)
    return joined


def _whole(
    name: str, array: NDArray[Any], claims: Claims, batches: list[int], taken: Taken
) -> NDArray[Any] | None:
    """An array as [batch, heads, queries, keys]; None, and a finding, if it is none."""
    if not array.size:
        taken.findings.append(Finding.of("W0808", name))
        return None
    axes = claims.axes and claims.axes.replace("l", "")
    if axes is None:
        axes = guess(array.shape, batches)
    if axes is None:
        if array.ndim == 3:
            taken.findings.append(Finding.of("W0812", name, shape=array.shape))
            return None
        axes = WHOLE
    try:
        array = arrange(array, axes)
    except ValueError as error:
        if claims.axes is not None:
            taken.findings.append(Finding.of("W0811.reason", name, reason=error))
            return None
        # and what has too few axes, or too many, is said with its type
    wrong = examine_array(name, array, claims.rows or SHARES)
    if wrong is not None:
        taken.findings.append(wrong)
        return None
    if axes != WHOLE or claims.axes is not None:
        taken.say(f"taken as {in_words(axes)}", name)
    return _without_windows(name, array, claims, taken)


def _without_windows(
    name: str, array: NDArray[Any], claims: Claims, taken: Taken
) -> NDArray[Any] | None:
    queries, keys = array.shape[2:]
    if queries == keys or claims.own is False:
        return array
    if is_window(array):
        taken.say(f"local windows of {keys} keys, put in their places", name)
        return unroll(array)
    if claims.own and keys < queries:
        found = Finding.of("W0812.window", name, queries=queries, keys=keys)
        taken.findings.append(found)
        return None
    return array
