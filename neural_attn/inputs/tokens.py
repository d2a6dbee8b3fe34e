"""Tokens: labels of the positions of a network's inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.prepared import Labels, Tokens
from neural_attn.ir import is_mask
from neural_attn.shapes.instance import Checked

_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=")


def parse_tokens(texts: Sequence[str]) -> Tokens | None:
    """What `--tokens` says: `The,cat` for the first input, `NAME=The,cat` for others.

    Raises NeuralError where it is not said which tokens are whose.
    """
    if not texts:
        return None
    named = [_NAMED.match(text) for text in texts]
    if len(texts) == 1 and named[0] is None:
        return _split(texts[0])
    found: dict[str, list[str]] = {}
    for text, name in zip(texts, named, strict=True):
        if name is None or name[1] in found:
            why = "without the name" if name is None else f"twice for `{name[1]}`"
            hint = "write each as NAME=The,cat, with the name of an input"
            fail("E0411.several", hint=hint, why=why)
        found[name[1]] = _split(text[name.end() :])
    return found


def _split(text: str) -> list[str]:
    return [token.strip() for token in text.split(",")]


def by_input(checked: Checked, tokens: Tokens | None) -> dict[str, Labels]:
    """The tokens of each input that has some.

    Raises NeuralError for a name that no input has.
    """
    names = [i.name for i in checked.network.inputs if not is_mask(i.name)]
    if tokens is None or not names:
        return {}
    if not isinstance(tokens, Mapping):
        return {names[0]: tokens}
    for name in tokens:
        if name not in names:
            fail("E0411.input", name=name, names=", ".join(names))
    return dict(tokens)


def count(labels: Labels) -> int:
    """How many positions the tokens of the first example label."""
    return len(rows(labels)[0])


def rows(labels: Labels) -> list[Sequence[str]]:
    """The tokens of each example; one list stands for all of them."""
    found = [row for row in labels if not isinstance(row, str)]
    return found or [[token for token in labels if isinstance(token, str)]]


def check_count(name: str, labels: Labels, array: NDArray[Any]) -> None:
    """Refuse another number of tokens than the array has positions."""
    length = array.shape[1]
    for row in rows(labels):
        if len(row) != length:
            fail("E0411", count=len(row), length=length, name=name)
