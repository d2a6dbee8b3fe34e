"""`neural fmt`: one canonical form for .neural files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from neural_attn.commands.options import FILE, examples, say, show_diff
from neural_attn.commands.printing import to_terminal, write
from neural_attn.diagnostics.errors import NeuralError, printable

STDIN = Path("-")


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--check", is_flag=True, help="Write nothing; fail if a file would change."
)
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@examples(
    "neural fmt model.neural",
    "neural fmt --check *.neural",
    "neural fmt - < model.neural",
)
def fmt(files: Sequence[Path], check: bool, diff: bool) -> None:
    """Rewrite files in the one canonical form; `-` reads stdin, writes stdout.

    Comments stay where they are, and the meaning does not change. Exit code 1 if a
    file has a syntax error, or, with --check or --diff, is not in that form.
    """
    failed = changes = 0
    for file in files:
        try:
            before, after = _formatted(file)
        except NeuralError as error:
            say(error.diagnostics)
            failed += 1
            continue
        changes += before != after
        _deliver(file, before, after, check, diff)
    sys.exit(1 if failed or (changes and (check or diff)) else 0)


def _formatted(file: Path) -> tuple[bytes, bytes]:
    """What a file (or stdin) holds, and its canonical form."""
    from neural_attn.grammar.format import format_text
    from neural_attn.grammar.parser import decode, read_bytes

    if file == STDIN:
        name, data = "<stdin>", sys.stdin.buffer.read()
    else:
        name, data = str(file), read_bytes(file)
    return data, format_text(decode(data, name), name).encode("utf-8")


def _deliver(file: Path, before: bytes, after: bytes, check: bool, diff: bool) -> None:
    from neural_attn.files import atomic_write

    if diff:
        show_diff(before.decode(), after.decode(), str(file), "formatted")
    elif check:
        if before != after:
            click.echo(printable(f"would change {file}"), err=True)
    elif file == STDIN:
        if to_terminal():
            write(after.decode(), nl=False)
        else:
            sys.stdout.buffer.write(after)
            sys.stdout.flush()
    elif before != after:
        # through links to the file itself, which a replacement would cut
        atomic_write(file.resolve(), after)
        click.echo(printable(f"formatted {file}"), err=True)
