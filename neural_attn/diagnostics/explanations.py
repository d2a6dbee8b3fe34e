"""A page for each code: what it says, why, a wrong and a right example.

They are sections of the `.md` files beside this one, and of those in packages that are
named under the entry-point group `neural_attn.diagnostics`; ours win.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import ModuleType

from neural_attn.diagnostics.errors import did_you_mean, fail
from neural_attn.extensions import load

GROUP = "neural_attn.diagnostics"
_SECTION = re.compile(r"^## ([EW]\d{4}) (.+)$", re.MULTILINE)
_EXAMPLE = re.compile(
    r"^```neural (wrong|right)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Explanation:
    """What a code means. The examples are empty where no text could show it."""

    code: str
    title: str
    text: str
    wrong: str = ""
    right: str = ""


@cache
def explanations() -> dict[str, Explanation]:
    """Every page, by its code, in the order of the codes."""
    pages: dict[str, Explanation] = {}
    packages = [package for _, package in load(GROUP, ModuleType)]
    for file in (f for one in (*packages, __package__) for f in files(one).iterdir()):
        if file.name.endswith(".md") and file.name != "README.md":
            _, *parts = _SECTION.split(file.read_text("utf-8"))
            for code, title, text in zip(
                parts[::3], parts[1::3], parts[2::3], strict=True
            ):
                examples = dict(_EXAMPLE.findall(text))
                words = re.sub(r"\n{3,}", "\n\n", _EXAMPLE.sub("", text)).strip()
                pages[code] = Explanation(code, title, words, **examples)
    return dict(sorted(pages.items()))


def explanation(code: str) -> Explanation:
    """The page of a code; case does not matter. Raises NeuralError where none is."""
    pages = explanations()
    found = pages.get(code.upper())
    if found is None:
        hint = did_you_mean(code, pages) or "codes look like E0203 or W0101"
        fail("E0125", f"there is no code `{code}`", hint=hint)
    return found


def page(found: Explanation) -> str:
    """A page as text for a terminal."""
    parts = [f"{found.code}: {found.title}", found.text]
    for heading, example in (("Wrong:", found.wrong), ("Right:", found.right)):
        if example:
            lines = "".join(f"  {line}\n" for line in example.splitlines())
            parts.append(f"{heading}\n\n{lines.rstrip()}")
    return "\n\n".join(parts)
