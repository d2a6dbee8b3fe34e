"""Heads whose pattern is known: to check scores, and to show what one looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.choices import no_such
from neural_attn.metrics.geometry import Geometry
from neural_attn.metrics.one_pass import plan_for
from neural_attn.metrics.pattern_scores import SCORES

__all__ = ["PLANTED", "planted_head", "planted_tokens"]

Float = NDArray[np.float64]

_WORDS = "the cat sat on a mat and saw one dog run to its red house by day".split()


def planted_tokens(length: int, seed: int = 0) -> tuple[str, ...]:
    """Give tokens as of a BERT: sentences of words that come again and again."""
    random = np.random.default_rng(seed)
    tokens = [str(word) for word in random.choice(_WORDS, length)]
    for end in range(int(random.integers(5, 8)), length - 2, 7):
        tokens[end] = "."
    tokens[0], tokens[-1] = "[CLS]", "[SEP]"
    return tuple(tokens)


def _follow(name: str) -> Callable[[Geometry, np.random.Generator], Float]:
    def make(geometry: Geometry, random: np.random.Generator) -> Float:
        (cells,) = plan_for(geometry, {name: SCORES[name]}).cells(slice(None))
        return np.asarray(cells, dtype=np.float64)

    return make


def _uniform(geometry: Geometry, random: np.random.Generator) -> Float:
    return np.ones((geometry.queries, geometry.keys))


def _sink(geometry: Geometry, random: np.random.Generator) -> Float:
    cells = np.zeros((geometry.queries, geometry.keys))
    cells[:, 0] = 1
    return cells


def _local(geometry: Geometry, random: np.random.Generator) -> Float:
    return (np.abs(geometry.offset) <= 2).astype(np.float64)


def _sparse(geometry: Geometry, random: np.random.Generator) -> Float:
    """Mark two keys in each row, anywhere."""
    order = random.random((geometry.queries, geometry.keys))
    order = np.where(geometry.allowed, order, 2.0)
    chosen = np.argsort(order, axis=1)[:, :2]
    cells = np.zeros((geometry.queries, geometry.keys))
    np.put_along_axis(cells, chosen, 1.0, axis=1)
    return cells


def _mixed(geometry: Geometry, random: np.random.Generator) -> Float:
    """Half on the previous token, a third on the first one, the rest anywhere."""
    previous = (geometry.offset == -1).astype(np.float64)
    cells: Float = 0.45 * previous + 0.35 * _sink(geometry, random)
    return cells + 0.2 / geometry.keys


PLANTED: dict[str, Callable[[Geometry, np.random.Generator], Float]] = {
    "previous_token": _follow("previous_token"),
    "next_token": _follow("next_token"),
    "same_token": _follow("same_token"),
    "reverse_order": _follow("reverse_order"),
    "duplicate_token": _follow("duplicate_token"),
    "induction": _follow("induction"),
    "punctuation": _follow("punctuation"),
    "delimiter": _follow("delimiters"),
    "local": _local,
    "uniform": _uniform,
    "sink": _sink,
    "prefix": _follow("prefix"),
    "suffix": _follow("suffix"),
    "block": _follow("block"),
    "sparse": _sparse,
    "mixed": _mixed,
}


def planted_head(
    pattern: str,
    tokens: Sequence[str],
    *,
    noise: float = 0.0,
    causal: bool = False,
    seed: int = 0,
) -> Float:
    """Make one head of a known type, float64 [length, length]; rows sum to 1.

    `noise` is the share of attention that goes anywhere instead, as a softmax of
    random numbers. Rows in which the pattern has no cell are uniform.

    Raises
    ------
    KeyError
        If there is no such pattern.
    """
    if pattern not in PLANTED:
        raise KeyError(no_such("pattern", pattern, PLANTED))
    random = np.random.default_rng(seed)
    count = len(tokens)
    allowed = np.tri(count, dtype=bool) if causal else np.ones((count, count), bool)
    geometry = Geometry(allowed, tuple(tokens), tuple(tokens), True)
    cells = np.where(allowed, PLANTED[pattern](geometry, random), 0.0)
    cells = np.where(cells.any(axis=1, keepdims=True), cells, allowed)
    cells = cells / cells.sum(axis=1, keepdims=True)
    other = np.where(allowed, np.exp(random.standard_normal(cells.shape)), 0.0)
    other /= other.sum(axis=1, keepdims=True)
    mixed: Float = (1 - noise) * cells + noise * other
    return mixed
