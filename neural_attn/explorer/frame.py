"""The parts of the page that are the same for all maps: HTML, style, script, policy."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

__all__ = ["frame", "inert_json", "script"]

# In this order, so that each module comes after those it imports.
MODULES = """
    payload state colors transform dom scene table axes model pointer matrix head token
    measures compare image steps cards reading svg export keyboard controls embed
    main
""".split()


def inert_json(value: object) -> str:
    """JSON in ASCII that no browser takes for markup, whatever tokens it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def frame(title: str, theme: str | None = None) -> tuple[bytes, bytes]:
    """What stands before the blocks, and what after them.

    Without a `theme`, "light" or "dark", it is the one of the reader's system.
    """
    code, style = script(), _style()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(code)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    before, after = _unindented("explorer.html").split("<!-- blocks -->\n")
    values = {
        "<!-- theme -->": f' data-theme="{theme}"' if theme else "",
        "<!-- title -->": html.escape(title),
        "<!-- policy -->": policy,
        "/* style */": style,
        "/* script */": code,
    }
    for mark, value in values.items():
        before, after = before.replace(mark, value), after.replace(mark, value)
    return _ascii(before), _ascii(after)


def _ascii(text: str) -> bytes:
    return text.encode("ascii", errors="xmlcharrefreplace")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def script() -> str:
    """All modules as one classic script: a page from a file may not import."""
    lines = ["(() => {", '"use strict";']
    for name in MODULES:
        lines.extend(_plain_lines(_part(f"{name}.js")))
    code = "\n".join([*lines, "})();", ""])
    # The page is ASCII, so that no server or editor can garble it. In a script only
    # the escapes of JavaScript are read; they stand in texts alone.
    return re.sub(r"[^\x00-\x7f]", _js_escape, code)


def _js_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _plain_lines(module: str) -> Iterator[str]:
    """The module without imports, export marks and comments that fill lines."""
    skipping = ""
    for line in module.splitlines():
        text = line.strip()
        if skipping:
            skipping = "" if text.endswith(skipping) else skipping
        elif text.startswith("/**"):
            skipping = "" if text.endswith("*/") else "*/"
        elif text.startswith("import "):
            skipping = "" if text.endswith(";") else ";"
        elif text and not text.startswith("//"):
            yield _tight(text.removeprefix("export "))


def _tight(line: str) -> str:
    # A line that could hold a pattern, or a text within a text, keeps its spaces.
    if re.search(r"['`/\\]", line):
        return line
    code_and_texts = line.split('"')
    code_and_texts[::2] = [_without_spaces(code) for code in code_and_texts[::2]]
    return '"'.join(code_and_texts)


def _without_spaces(code: str) -> str:
    return re.sub(r"\s*(=>|===|!==|&&|\|\||\?\?|[=,;{}?:*<>])\s*", r"\1", code)


def _style() -> str:
    # No text in the style holds a space that this takes.
    return re.sub(r"(?<=[{};:,])\s+|\s+(?=[{}])", "", _part("explorer.css"))


def _unindented(name: str) -> str:
    return "".join(f"{line.strip()}\n" for line in _part(name).splitlines())


def _part(name: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath(name).read_text("utf-8")
