"""`neural extract`: the attention maps back out of a page of the explorer."""

from __future__ import annotations

from pathlib import Path

import click

from neural_attn.commands.options import FILE, examples
from neural_attn.diagnostics.errors import fail, printable


@click.command()
@click.argument("page", type=FILE)
@click.option(
    "-o", "--output", type=FILE, required=True, help="The .npz file to write."
)
@click.option(
    "--model", type=click.IntRange(0), default=0, show_default=True,
    help="Which model, on a page that compares two: 0 or 1.",
)  # fmt: skip
@examples(
    "neural extract attention_outputs/attention_explorer.html -o maps.npz",
    "neural extract compared.html --model 1 -o second.npz",
)
def extract(page: Path, output: Path, model: int) -> None:
    """Read the numbers of an attention_explorer.html back, as .npz."""
    from neural_attn.explorer.extract import PageError, read_page

    try:
        maps = read_page(page, model)
    except PageError as error:
        fail("E0420", reason=str(error))
    maps.save(output)
    click.echo(printable(str(output)))
