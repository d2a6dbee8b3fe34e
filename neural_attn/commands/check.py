"""`neural check`: all problems of a file at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neural_attn.commands.options import FILE, examples, say
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, printable

if TYPE_CHECKING:
    from neural_attn.shapes.infer import Checked

MOST = 20  # problems that are printed unless all are asked for


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print all problems as JSON.")
@click.option(
    "--all", "print_all", is_flag=True, help=f"Print all problems, not only {MOST}."
)
@examples("neural check model.neural", "neural check *.neural --json")
def check(files: Sequence[Path], as_json: bool, print_all: bool) -> None:
    """Parse, resolve and infer shapes; show all problems at once."""
    found: list[Diagnostic] = []
    lines: list[str] = []
    for file in files:
        networks, problems = _checked(file)
        found += problems
        lines += [f"{file}: {_summary(network)}" for network in networks]
    if as_json:
        click.echo(
            json.dumps([d.as_dict() for d in found], ensure_ascii=False, indent=1)
        )
    else:
        for line in lines:
            click.echo(printable(line))
        _say(found, len(found) if print_all else MOST)
    sys.exit(1 if any(d.is_error for d in found) else 0)


def _checked(file: Path) -> tuple[list[Checked], list[Diagnostic]]:
    """The networks of a file and its problems; that it cannot be read is one too."""
    from neural_attn import language_service
    from neural_attn.grammar.parser import decode, read_bytes

    try:
        text = decode(read_bytes(file), str(file))
    except NeuralError as error:
        return [], error.diagnostics
    return language_service.check(text, str(file))


def _summary(checked: Checked) -> str:
    count, maps = checked.root.parameter_count, len(checked.attentions)
    return (
        f"{checked.network.name}: ok, {count:,} parameters, {maps} attention "
        f"map{'' if maps == 1 else 's'}"
    )


def _say(found: Sequence[Diagnostic], most: int) -> None:
    """Print the problems, errors before warnings where not all are printed."""
    first = sorted(range(len(found)), key=lambda i: not found[i].is_error)[:most]
    say([found[i] for i in sorted(first)])
    if len(found) > most:
        click.echo(f"… and {len(found) - most:,} more (--all shows them)", err=True)
    errors = sum(d.is_error for d in found)
    if errors:
        click.echo(f"{errors:,} error{'' if errors == 1 else 's'}", err=True)
