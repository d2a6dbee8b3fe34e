"""Where lines of words may break: never inside a number, nor between it and its name.

So "p 3e-34", "chance 0.07" and "layer 4 head 5" each stay on one line, in a terminal
and on a page.
"""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["UNBROKEN", "print_line", "wrapped"]

_NUMBER = r"[-+±]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"
_BEFORE, _AFTER = "p|p <|z|chance|head", "%|heads?|keys?|nats|rows?|texts?|tokens?"
UNBROKEN = re.compile(
    rf"(?<![\w.-])(?:layer \d+ head \d+|\d+ of \d+ \w+"
    rf"|(?:(?:{_BEFORE}) )?{_NUMBER}(?:–{_NUMBER})?(?: (?:{_AFTER}))?)(?![\w%])"
)
_HANGING = 2  # columns by which a line stands in that goes on with the one above


def print_line(out: Console, line: Text) -> None:
    """Print a line, on a terminal in as many as its width asks for.

    A line of data stays one line when it goes to a file or a pipe.
    """
    lines = wrapped(line.plain, out.width) if out.is_terminal else [line.plain]
    for one in lines:
        out.print(Text(one, line.style), soft_wrap=True, highlight=False)


def wrapped(text: str, width: int) -> list[str]:
    """A line as lines of at most `width` columns, but for words that are longer.

    All keep its indentation.
    """
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines, line = [], ""
    for word in _words(text[len(indent) :]):
        longer = f"{line} {word}" if line else indent + word
        if cell_len(longer) <= width or not line.strip():
            line = longer
        elif word:  # of spaces in a row, none begins a line
            lines.append(line.rstrip(" "))
            line = indent + " " * _HANGING + word
    return [*lines, line.rstrip(" ")]


def _words(text: str) -> list[str]:
    """What no line may break; texts that are printed hold no zero."""
    joined = UNBROKEN.sub(lambda found: found[0].replace(" ", "\0"), text)
    return [word.replace("\0", " ") for word in joined.split(" ")]
