"""What several commands share: options, examples in help, messages, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from neural_attn.diagnostics.errors import Diagnostic
from neural_attn.promises import ROWS as PROMISED

FILE = click.Path(path_type=Path)

BACKEND = click.option(
    "-b",
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="numpy, pytorch (torch), tensorflow (tf, keras), or auto: "
    "tensorflow, else pytorch, else numpy, whichever is installed.",
)
NETWORK = click.option(
    "--network", metavar="NAME", help="Which network, where the file holds several."
)
ROWS = click.option(
    "--rows", type=click.Choice(PROMISED), metavar="PROMISE",
    help="What rows of plain arrays are: shares (they sum to 1, the default), parts "
    "(at most 1), gates (0 or more) or signed.",
)  # fmt: skip


def examples(*lines: str) -> Callable[[Any], Any]:
    """Add examples to a command's help, as they are typed."""
    text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

    def add(function: Any) -> Any:
        function.__doc__ = f"{function.__doc__}\n\n{text}"
        return function

    return add


def say(diagnostics: Sequence[Diagnostic]) -> None:
    """Print problems to stderr."""
    for diagnostic in diagnostics:
        click.echo(diagnostic.render(), err=True)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is going on; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield lambda text: status.update(f"{text} …")
