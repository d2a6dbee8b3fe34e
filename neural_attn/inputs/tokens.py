"""Tokens: labels of the positions of a network's inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.inputs.prepared import Labels, Tokens
from neural_attn.ir import is_mask
from neural_attn.shapes.instance import Checked
from neural_attn.weighing import TooLargeError, read_text_bytes

_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=")


def parse_tokens(texts: Sequence[str]) -> Tokens | None:
    """What `--tokens` says: `The,cat` for the first input, `NAME=The,cat` for others.

    Without a comma and a quote, words are taken, between spaces. Raises NeuralError
    where it is not said which tokens are whose.
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


# up to a comma, or to the second quote: "," is a comma, and """" a quote
_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)')


def are_words(text: str) -> bool:
    """Whether tokens were given as words with spaces between, not commas."""
    return not {",", '"'} & set(text) and len(text.split()) > 1


def _split(text: str) -> list[str]:
    if are_words(text):
        return text.split()
    tokens = []
    place = 0
    while place <= len(text):
        found = _TOKEN.match(text, place)
        assert found is not None  # the second way takes anything
        quoted, plain = found.groups()
        tokens.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        place = found.end() + (not found[0].endswith(","))
    return tokens


def read_tokens(path: Path) -> Tokens:
    """The tokens in a file: one a line, with an empty line between texts; or JSON.

    JSON is a list of texts, a list of such lists, or a mapping of input names to them.
    Raises NeuralError where there are none.
    """
    try:
        text = read_text_bytes(path).decode("utf-8-sig")
    except OSError as error:
        fail("E0403", path=path, reason=reason(error))
    except TooLargeError as error:
        fail("E0436", path=path, reason=error)
    except UnicodeDecodeError:
        fail("E0436", path=path, reason="it is not UTF-8 text")
    if path.suffix == ".json":
        return _from_json(path, text)
    lines = text.split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    groups = [list(group) for full, group in groupby(lines, key=bool) if full]
    if not groups:
        fail("E0436", path=path, reason="it is empty")
    return groups if len(groups) > 1 else groups[0]


def _from_json(path: Path, text: str) -> Tokens:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        fail("E0436", path=path, reason="it is not JSON")
    lists = found.values() if isinstance(found, dict) else [found]
    if not all(_are_texts(one) for one in lists) or not found:
        fail("E0436", path=path, reason="its JSON holds no list of tokens")
    return found  # type: ignore[no-any-return]


def _are_texts(given: Any) -> bool:
    if not isinstance(given, list) or not given:
        return False
    return all(isinstance(one, str) for one in given) or all(
        isinstance(one, list) and _are_texts(one) for one in given
    )


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
