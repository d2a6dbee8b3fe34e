"""What a command prints on stdout: nothing in it can steer a terminal.

A file or a pipe gets the bytes as they are, JSON in UTF-8.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from neural_attn.diagnostics.errors import printable

__all__ = ["to_terminal", "write", "write_json"]

_NO_PLAIN_ASCII = re.compile(r"[^\n -~]")


def to_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout.isatty()


def write(text: str, *, nl: bool = True) -> None:
    """Print lines of text; on a terminal, what would steer it is made visible."""
    if to_terminal():
        text = "\t".join(map(printable, text.split("\t")))
    click.echo(text, nl=nl)


def write_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value, or a text that is JSON already; on a terminal, as ASCII."""
    is_text = isinstance(value, str)
    text = value if is_text else json.dumps(value, ensure_ascii=False, indent=indent)
    if to_terminal():
        text = _NO_PLAIN_ASCII.sub(lambda found: _escaped(found[0]), text)
    click.echo(text)


def _escaped(char: str) -> str:
    """A character as JSON has it in ASCII; DEL, which is ASCII, likewise."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(rf"\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
