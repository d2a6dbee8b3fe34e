"""Makes docs/language.md from language.template, the catalogue and the prelude.

Run it from anywhere after a change of a layer, block or function:

    python docs/make_language.py
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from neural_attn.files import atomic_write  # noqa: E402
from neural_attn.language_help import Entry, Parameter, entries, functions  # noqa: E402
from neural_attn.promises import PROMISES  # noqa: E402
from neural_attn.templates import summary, templates  # noqa: E402

MOST_CHOICES = 8  # more of them are left to `neural layers`


def page() -> str:
    """The whole page."""
    known = entries().values()
    parts = {
        "functions": function_table(),
        "promises": promise_table(),
        "templates": "\n".join(
            f"- `{name}`: {summary(text)}" for name, text in templates().items()
        ),
        "blocks": "\n".join(section(entry) for entry in known if entry.is_block),
        "layers": "\n".join(section(entry) for entry in known if not entry.is_block),
    }
    text = (DOCS / "language.template").read_text("utf-8")
    for name, made in parts.items():
        text = text.replace(f"{{{name}}}", made)
    return text.rstrip() + "\n"


def function_table() -> str:
    """A row for each function that equations may call."""
    rows = ["| Function | Meaning |", "|---|---|"]
    for found in functions().values():
        names = ", ".join(parameter.name for parameter in found.parameters)
        rows.append(
            f"| `{found.name}({names})` | {cell(found.doc).replace(chr(96), '')} |"
        )
    return "\n".join(rows)


def promise_table() -> str:
    """A row for each word that `observe` may be told of rows."""
    rows = ["| `rows` | Weights are |", "|---|---|"]
    rows += [f'| `"{name}"` | {words} |' for name, words in PROMISES.items()]
    return "\n".join(rows)


def section(entry: Entry) -> str:
    """A layer or block: what it does, its parameters, its shapes, an example."""
    lines = [f"### {entry.name}", "", entry.doc.replace("|", "\\|"), ""]
    if entry.aliases:
        lines += [f"Also written {', '.join(f'`{a}`' for a in entry.aliases)}.", ""]
    if entry.parameters:
        meaning = not entry.is_block
        lines += [f"| Parameter | Default |{' Meaning |' if meaning else ''}"]
        lines += [f"|---|---|{'---|' if meaning else ''}"]
        lines += [row(parameter, meaning) for parameter in entry.parameters] + [""]
    lines += [f"From {entry.shapes()}:", "", "```neural", entry.example + "```", ""]
    return "\n".join(lines)


def row(parameter: Parameter, meaning: bool) -> str:
    """A parameter as a row of a table."""
    kind, _, choices = parameter.kind.partition(" one of ")
    if choices and len(names := choices.split(", ")) <= MOST_CHOICES:
        kind = ", ".join(f"`{name}`" for name in names)
    facts = [part for part in (parameter.doc, kind) if part]
    facts += [f"also `{alias}`" for alias in parameter.aliases]
    default = f"`{parameter.default}`" if parameter.default else "must be given"
    cells = [f"`{parameter.name}`", default, *[cell("; ".join(facts))][:meaning]]
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    atomic_write(DOCS / "language.md", page())
