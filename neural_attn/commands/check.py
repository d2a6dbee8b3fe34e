"""`neural check`: all problems of a file at once."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neural_attn.commands.options import FILE, by_kind, examples, say, show_diff
from neural_attn.commands.printing import write_json
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
@click.option(
    "--fix", is_flag=True, help="Apply all hints that are certain; show the change."
)
@click.option("--diff", is_flag=True, help="Show what --fix would change.")
@examples(
    "neural check model.neural",
    "neural check *.neural --json",
    "neural check model.neural --fix",
)
def check(
    files: Sequence[Path], as_json: bool, print_all: bool, fix: bool, diff: bool
) -> None:
    """Parse, resolve and infer shapes; show all problems at once.

    --fix changes only the characters that are wrong: misspelt names, commas, quotes,
    colons, a pooling before an output of classes. What is left is shown.
    """
    found: list[Diagnostic] = []
    lines: list[str] = []
    for file in files:
        if fix or diff:
            _fix(file, write=fix and not diff, quiet=as_json)
        networks, problems = _checked(file)
        found += problems
        lines += [f"{file}: {_summary(network)}" for network in networks]
    if as_json:
        write_json([d.as_dict() for d in found], indent=1)
    else:
        for line in lines:
            click.echo(printable(line))
        _say(found, print_all)
    sys.exit(1 if any(d.is_error for d in found) else 0)


def _fix(file: Path, *, write: bool, quiet: bool) -> None:
    """Mend a file as far as its hints are certain; one that cannot be read is left."""
    from neural_attn.files import atomic_write
    from neural_attn.fixes import mended
    from neural_attn.grammar.parser import decode, read_bytes

    try:
        data = read_bytes(file)
        text = decode(data, str(file))
    except NeuralError:
        return
    after, _ = mended(text, str(file))
    if after == text:
        return
    if not quiet:
        show_diff(text, after, str(file), "fixed")
    if write:
        # through links to the file itself, which a replacement would cut
        mark = BOM_UTF8 if data.startswith(BOM_UTF8) else b""
        atomic_write(file.resolve(), mark + after.encode("utf-8"))


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


def _say(found: Sequence[Diagnostic], every: bool) -> None:
    """Print the problems, errors before warnings where not all are printed."""
    if every:
        for one in found:
            click.echo(one.render(), err=True)
    else:
        kinds = sorted(by_kind(found), key=lambda kind: not kind[0].is_error)[:MOST]
        shown = {id(one) for kind in kinds for one in kind}
        say([one for one in found if id(one) in shown])
        if len(shown) < len(found):
            more = len(found) - len(shown)
            click.echo(f"… and {more:,} more (--all shows them)", err=True)
    errors = sum(d.is_error for d in found)
    if errors:
        click.echo(f"{errors:,} error{'' if errors == 1 else 's'}", err=True)
