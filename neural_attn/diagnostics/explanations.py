"""A section for each code: its title, its messages, why, a wrong and a right example.

They are read from the `.md` files beside this one, and from those in packages that are
named under the entry-point group `neural_attn.diagnostics`; ours win.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import ModuleType

from neural_attn.extensions import load

__all__ = ["GROUP", "Explanation", "Message", "explanations", "message", "page"]

GROUP = "neural_attn.diagnostics"
_SECTION = re.compile(r"^## ([EW]\d{4}) (.+)$", re.MULTILINE)
_BLOCK = re.compile(
    r"^```(message|neural)[ ]?(\w*)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Message:
    """What is said, and what helps, with `{fields}` as in `str.format`."""

    text: str
    hint: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a code means.

    `messages` are by key, "" for one without. The examples are empty where no text
    could show it.
    """

    code: str
    title: str
    text: str
    messages: Mapping[str, Message]
    wrong: str = ""
    right: str = ""


def message(name: str) -> Message:
    """The message of a code, or `CODE.key` where it has several.

    Raises KeyError for one that is written nowhere.
    """
    code, _, key = name.partition(".")
    found = _own() if code in _own() else explanations()
    return found[code].messages[key]


@cache
def explanations() -> dict[str, Explanation]:
    """Every page, those of other packages too, in the order of the codes."""
    others = [package for _, package in load(GROUP, ModuleType)]
    pages = {code: one for other in others for code, one in _read(other).items()}
    return dict(sorted({**pages, **_own()}.items()))


@cache
def _own() -> dict[str, Explanation]:
    return _read(sys.modules[__package__])


def _read(package: ModuleType) -> dict[str, Explanation]:
    """The pages in a package's `.md` files."""
    pages: dict[str, Explanation] = {}
    for file in files(package).iterdir():
        if file.name.endswith(".md") and file.name != "README.md":
            _, *parts = _SECTION.split(file.read_text("utf-8"))
            sections = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
            pages |= {code: _page(code, *rest) for code, *rest in sections}
    return pages


def _page(code: str, title: str, text: str) -> Explanation:
    messages, examples = {}, {}
    for kind, key, inner in _BLOCK.findall(text):
        if kind == "message":
            said, _, hint = " ".join(inner.split()).partition(" hint: ")
            messages[key] = Message(said, hint)
        else:
            examples[key] = inner
    words = re.sub(r"\n{3,}", "\n\n", _BLOCK.sub("", text)).strip()
    return Explanation(code, title, words, messages, **examples)


def page(found: Explanation) -> str:
    """A page as text for a terminal."""
    parts = [f"{found.code}: {found.title}", found.text]
    for heading, example in (("Wrong:", found.wrong), ("Right:", found.right)):
        if example:
            lines = "".join(f"  {line}\n" for line in example.splitlines())
            parts.append(f"{heading}\n\n{lines.rstrip()}")
    return "\n\n".join(parts)
