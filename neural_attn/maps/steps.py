"""The maps that a generating model gives step by step, joined into one of all steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["join_steps"]

Array = NDArray[Any]


def join_steps(steps: Sequence[Array], *, own: bool) -> Array:
    """One map [batch, heads, queries, keys] of the maps of all steps.

    The first step has the rows of the prompt; each later one has its new row alone, or
    (without a cache) all rows anew, of which the last count.

    Parameters
    ----------
    steps : float [batch, heads, queries of the step, keys of the step]
    own : the keys are the positions so far, as in self-attention; else they stay

    Raises
    ------
    ValueError
        If the steps do not follow one another.
    """
    if any(one.ndim != 4 for one in steps):
        axes = ", ".join(sorted({str(one.ndim) for one in steps}))
        raise ValueError(f"the arrays of steps have {axes} axes, not 4")
    if len({one.shape[:2] for one in steps}) > 1:
        shapes = ", ".join(str(one.shape[:2]) for one in steps[:4])
        raise ValueError(f"the steps differ in [batch, heads]: {shapes}, …")
    rows = _new_rows(steps)
    if own:
        return _as_self(rows)
    if len({one.shape[3] for one in rows}) > 1:
        raise ValueError("the steps of cross-attention differ in their keys")
    return np.concatenate(rows, axis=2)


def _new_rows(steps: Sequence[Array]) -> list[Array]:
    rows: list[Array] = []
    done = 0
    for number, one in enumerate(steps):
        queries = one.shape[2]
        new = queries - done if number and queries > done else queries
        if number and 1 < queries <= done:
            raise ValueError(
                f"step {number} has {queries} queries after {done}: neither the new "
                "ones alone nor all"
            )
        rows.append(one[:, :, queries - new :])
        done += new
    return rows


def _as_self(rows: Sequence[Array]) -> Array:
    batch, heads = rows[0].shape[:2]
    before = _places_before(rows)
    total = before + sum(one.shape[2] for one in rows)
    whole = np.zeros((batch, heads, total - before, total), rows[0].dtype)
    done = 0
    for one in rows:
        first, done = done, done + one.shape[2]
        keys, seen = one.shape[3], before + done
        if keys > seen:  # a cache of fixed length: what is not filled has no weight
            _check_empty(one, seen)
            one, keys = one[..., :seen], seen
        whole[:, :, first:done, seen - keys : seen] = one  # a window keeps the last
    return whole


def _check_empty(step: Array, seen: int) -> None:
    # A row of padding, which sees nothing, is filled evenly by some libraries.
    even = step.max(axis=3) == step.min(axis=3)
    if (step[..., seen:].any(axis=3) & ~even).any():
        raise ValueError(f"a step of {seen} positions attends beyond them")


def _places_before(rows: Sequence[Array]) -> int:
    """How many positions stood in a cache before the first step."""
    lengths = [one.shape[3] for one in rows]
    if len(rows) > 1 and len(set(lengths)) == 1:
        return 0  # of fixed length: a cache that is filled, or a window
    return max(0, int(lengths[0] - rows[0].shape[2]))
