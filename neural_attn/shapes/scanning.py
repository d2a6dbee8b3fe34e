"""Shapes of `scan(step, x, state, …)`: a layer that is called at each step of x.

At each step the layer is given x [batch, 1, …] and states, and gives its output
[batch, 1, …] and as many states, of the same shapes. One that gives a single tensor
has that as output and state. A step that a mask hides keeps the states, and gives 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neural_attn.catalogue.types import (
    Dim,
    Several,
    ShapeError,
    Tensor,
    Value,
    last_state,
    same,
)
from neural_attn.ir import LayerUse, call_parameters
from neural_attn.shapes.instance import Instance

Inputs = Sequence[Value | None]


def one_step(use: LayerUse, inputs: Inputs) -> Tensor:
    """The sequence as the layer sees it. Raises ShapeError where it is none."""
    x = inputs[0] if inputs else None
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"scan gives `{use.name}` the steps of (batch, time, …)")
    if len(inputs) < 2 or not isinstance(inputs[1], Tensor):
        raise ShapeError(
            f"`{use.name}` has no state: it takes a step and at least one state",
            "a layer that needs no state takes all steps at once",
        )
    return x.like(x.dims[0], Dim(1), *x.dims[2:]).at(x.along)


def of_batch(given: Value | None, x: Tensor) -> Value | None:
    """What may be a state: one of [1, …] is one for each of the batch of x."""
    if not isinstance(given, Tensor) or given.rank < 3 or given.dims[0].value != 1:
        return given
    return replace(given, dims=(x.dims[0], *given.dims[1:]))


def starting_states(
    use: LayerUse, x: Tensor, inputs: Inputs, results: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The states before the first step, one for each of the batch.

    Raises ShapeError where the layer gives other states than it takes.
    """
    after = results[1:] or results
    names = call_parameters(use)[1:]
    states: list[Tensor] = []
    for name, state, new in zip(names, inputs[1:], after, strict=False):
        if not isinstance(state, Tensor):
            raise ShapeError(f"the state `{name}` of `{use.name}` is not a tensor")
        fits = state.rank == new.rank and all(map(same, state.dims[1:], new.dims[1:]))
        if not fits or state.dtype != new.dtype:
            raise ShapeError(
                f"the state `{name}` of `{use.name}` goes in as {state} but comes out "
                f"as {new}",
                "a step returns its output, then its states in the order it takes them"
                + _start_of(new),
            )
        fits = str(state.dims[0]) == str(x.dims[0]) and state.along == x.along
        # what attends from a state is a row of the step at hand
        placed = replace(state, dims=(x.dims[0], *state.dims[1:]), along=x.along)
        states.append(state if fits else placed)
    if len(states) < len(after):
        raise ShapeError(
            f"`{use.name}` gives {len(after)} states but takes {len(states)}"
        )
    return tuple(states)


def _start_of(state: Tensor) -> str:
    """How a state begins that has the shape of one that a step gives."""
    sizes = [dim.value for dim in state.dims[1:]]
    if None in sizes:
        return ""
    return f"; one that starts so is `zeros({(1, *sizes)}, x)`"


def one_map_each(use: LayerUse, parts: Sequence[Instance]) -> None:
    """Refuse a step that attends twice with one layer: its rows would be one map's.

    Raises ShapeError.
    """
    paths = [place.path for part in parts for place in part.attentions()]
    if len(set(paths)) < len(paths):
        raise ShapeError(
            f"`{use.name}` attends several times with one layer at each step",
            "give each of its calls a layer of its own",
        )


def over_time(
    use: LayerUse, inputs: Inputs, states: Sequence[Tensor], results: Sequence[Tensor]
) -> Value:
    """What all steps give together: the outputs in a row, then the last states."""
    whole, step = inputs[0], results[0]
    assert isinstance(whole, Tensor)
    if step.rank < 2 or step.dims[1].value != 1:
        _blame_start(use, step, states)
        raise ShapeError(
            f"`{use.name}` gives {step} at one step, but these are joined along time",
            "it takes a sequence of one step, (batch, 1, …), and returns one too",
        )
    dims = (whole.dims[0], whole.dims[1], *step.dims[2:])
    output = Tensor(dims, step.dtype, step.roots).at(whole.along)
    if len(results) == 1:
        return output
    after = zip(results[1:], states, strict=True)
    last = (Tensor(s.dims, r.dtype, r.roots) for r, s in after)
    return Several((output, *(last_state(state, whole) for state in last)))


def _blame_start(use: LayerUse, step: Tensor, states: Sequence[Tensor]) -> None:
    """Raise ShapeError where a step gives many steps, as a state starts from many."""
    for name, state in zip(call_parameters(use)[1:], states, strict=False):
        if step.rank == state.rank > 2 and str(step.dims[1]) == str(state.dims[1]):
            raise ShapeError(
                f"the state `{name}` of `{use.name}` starts as {state}, many steps, "
                f"so `{use.name}` gives {step} at each",
                "a state is a sequence of one step, (batch, 1, …): "
                "`slice(state, -1, axis=1)` is the last one",
            )
