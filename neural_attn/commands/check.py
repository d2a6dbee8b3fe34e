"""`neural check`: all problems of a file at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from neural_attn.commands.options import FILE, examples, say
from neural_attn.errors import Diagnostic, NeuralError, printable


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@examples("neural check model.neural", "neural check *.neural --json")
def check(files: Sequence[Path], as_json: bool) -> None:
    """Parse, resolve and infer shapes; show all problems at once."""
    from neural_attn.compile import check_file

    found: list[Diagnostic] = []
    lines: list[str] = []
    for file in files:
        try:
            networks, warnings = check_file(file)
        except NeuralError as error:
            found += error.diagnostics
            continue
        found += warnings
        for checked in networks:
            count = checked.root.parameter_count
            name = checked.network.name
            maps = len(checked.attentions)
            lines.append(
                f"{file}: {name}: ok, {count:,} parameters, {maps} attention "
                f"map{'' if maps == 1 else 's'}"
            )
    if as_json:
        click.echo(
            json.dumps([d.as_dict() for d in found], ensure_ascii=False, indent=1)
        )
    else:
        for line in lines:
            click.echo(printable(line))
        say(found)
    errors = sum(d.is_error for d in found)
    if errors and not as_json:
        click.echo(f"{errors} error{'' if errors == 1 else 's'}", err=True)
    sys.exit(1 if errors else 0)
