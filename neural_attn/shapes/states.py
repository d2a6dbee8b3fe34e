"""States of recurrent layers: those that a call starts from, and those behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neural_attn.catalogue.base import INITIAL_STATE, NativeLayer
from neural_attn.catalogue.types import (
    Dim,
    ShapeError,
    Static,
    Tensor,
    Value,
    same,
)
from neural_attn.ir import LayerUse, call_parameters


def states_behind(
    use: LayerUse,
    native: NativeLayer,
    given: Mapping[str, Static],
    inputs: Sequence[Value | None],
) -> tuple[Tensor, ...]:
    """The states of a layer [batch, 1, units] after the last step; () for most layers.

    Raises ShapeError where the call gives other states to start from.
    """
    x = inputs[0] if native.states else None
    if not isinstance(x, Tensor):
        return ()
    units = given["units"]
    width = Dim(units.value if isinstance(units.value, int) else None, units.expr)
    state = Tensor((x.dims[0], Dim(1), width), roots=x.roots)
    start = dict(zip(call_parameters(use), inputs, strict=True))[INITIAL_STATE]
    if start is not None and start != Static(None, getattr(start, "expr", None)):
        _check_start(use, native.states, start, state)
    return (state,) * len(native.states)


def _check_start(
    use: LayerUse, names: Sequence[str], start: Value, state: Tensor
) -> None:
    """Refuse states that are not as many, or not of the shape that the layer has."""
    listed = start.value if isinstance(start, Static) else None
    found = listed if isinstance(listed, tuple) else (start,)
    if len(found) != len(names) or isinstance(listed, tuple) is (len(names) == 1):
        written = f"({', '.join(names)})" if len(names) > 1 else names[0]
        wanted = f"{len(names)} states" if len(names) > 1 else "one state"
        raise ShapeError(
            f"`{use.name}` starts from {wanted}, each {state}",
            f"write `{INITIAL_STATE}={written}` with the tensors to start from",
        )
    for name, one in zip(names, found, strict=True):
        if not isinstance(one, Tensor) or one.dtype != "float" or not _fits(one, state):
            what = one if isinstance(one, Tensor) else "a value of another kind"
            is_flat = isinstance(one, Tensor) and one.rank == 2
            raise ShapeError(
                f"the {name.replace('_', ' ')} state of `{use.name}` is {state}, not "
                f"{what}",
                "states are sequences of one step: "
                f"`reshape(state, (-1, 1, {state.width}))`"
                if is_flat
                else "",
            )


def _fits(one: Tensor, state: Tensor) -> bool:
    """Whether a tensor can be a state; one of [1, …] serves all of the batch."""
    if one.rank != state.rank or not all(map(same, one.dims[1:], state.dims[1:])):
        return False
    mine, theirs = one.dims[0], state.dims[0]
    if mine.value is None and theirs.value is None:
        return mine.label in ("?", theirs.label)
    return mine.value == 1 or same(mine, theirs)
