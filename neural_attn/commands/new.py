"""`neural new`: start from a whole network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import FILE, examples
from neural_attn.commands.printing import write
from neural_attn.diagnostics.errors import fail, printable


def _templates() -> Iterable[str]:
    from neural_attn.templates import templates

    return templates()


@click.command()
@click.argument("template", required=False, shell_complete=completes(_templates))
@click.option("-o", "--output", type=FILE, help="Write here; `-` prints.")
@click.option("--name", help="The name of the network.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@examples("neural new", "neural new text-classifier", "neural new gpt -o my.neural")
def new(
    template: str | None, output: Path | None, name: str | None, force: bool
) -> None:
    """Write a template as a starting file; without one, list the templates."""
    from neural_attn.files import atomic_write
    from neural_attn.templates import summary, templates
    from neural_attn.templates import template as text_of

    if template is None:
        width = max(map(len, templates())) + 2
        for known, text in templates().items():
            click.echo(f"{known:<{width}}{summary(text)}")
        return
    text = text_of(template, name)
    if str(output) == "-":
        write(text, nl=False)
        return
    base = template.lower().replace("-", "_")
    path = output or Path(f"{base}.neural")
    if path.exists() and not force:
        fail("E0128", path=path)
    atomic_write(path, text)
    click.echo(printable(f"{path}: try `neural check {path}`"))
