"""`neural layers`: the layers and blocks in words."""

from __future__ import annotations

import click

from neural_attn.commands import completion
from neural_attn.commands.options import examples
from neural_attn.commands.printing import write


@click.command()
@click.argument("name", required=False, shell_complete=completion.layers)
@examples("neural layers", "neural layers TransformerEncoder")
def layers(name: str | None) -> None:
    """List the layers and blocks; with NAME, its parameters."""
    from neural_attn.language_help import describe, listing

    write(listing() if name is None else describe(name))
