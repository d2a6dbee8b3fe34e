"""Do it again whenever a file changes, until the user has enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from neural_attn.commands.options import say
from neural_attn.diagnostics.errors import NeuralError, printable

__all__ = ["SECONDS", "watch"]

SECONDS = 0.3  # between two looks

Stamp = tuple[int, int] | None


def watch(files: Sequence[Path], run: Callable[[bool], None]) -> None:
    """Call `run(first)` now and after each change of a file; Ctrl-C ends it.

    What is wrong with a file is said, as without watching, and ends nothing. A file
    that an editor is about to replace is waited for.
    """
    first = True
    while True:
        seen = [_stamp(file) for file in files]
        try:
            run(first)
        except NeuralError as error:
            say(error.diagnostics)
        first = False
        names = ", ".join(printable(file.name) for file in files)
        click.echo(f"watching {names}; Ctrl-C ends it", err=True)
        while (now := [_stamp(file) for file in files]) == seen or None in now:
            time.sleep(SECONDS)


def _stamp(file: Path) -> Stamp:
    """What changes with a file; None where there is none."""
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size
