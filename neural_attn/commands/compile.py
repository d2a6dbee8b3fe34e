"""`neural compile`: a network as self-contained Python code."""

from __future__ import annotations

from pathlib import Path

import click

from neural_attn.commands.options import BACKEND, FILE, NETWORK, examples, say
from neural_attn.commands.printing import write


@click.command("compile")
@click.argument("file", type=FILE)
@BACKEND
@click.option("-o", "--output", type=FILE, help="Write here instead of printing.")
@click.option(
    "--library",
    type=FILE,
    help="Write what networks share (attention, writing, saving) here, beside -o.",
)
@NETWORK
@examples(
    "neural compile model.neural --backend pytorch -o model.py",
    "neural compile model.neural -b pytorch -o model.py --library layers.py",
    "neural compile model.neural --backend tensorflow | less",
)
def compile_command(
    file: Path,
    backend: str,
    output: Path | None,
    library: Path | None,
    network: str | None,
) -> None:
    """Write the network as self-contained Python code."""
    from neural_attn.compile import compile_with_warnings

    if output == Path("-"):  # as elsewhere on the command line
        output = None
    text, warnings, name = compile_with_warnings(
        file, backend, output, network, library
    )
    say(warnings)
    if output is None:
        write(text, nl=False)
    else:
        write(f"{output}: {name}, {text.count(chr(10))} lines")
