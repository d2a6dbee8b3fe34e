"""`neural layers`: the layers and blocks in words."""

from __future__ import annotations

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import examples
from neural_attn.commands.printing import write


def _layers() -> list[str]:
    from neural_attn.language_help import entries
    from neural_attn.resolve.wrappers import WRAPPERS

    return [*entries(), *WRAPPERS]


@click.command()
@click.argument("name", required=False, shell_complete=completes(_layers))
@examples("neural layers", "neural layers TransformerEncoder")
def layers(name: str | None) -> None:
    """List the layers and blocks; with NAME, its parameters."""
    from neural_attn.language_help import describe, listing

    write(listing() if name is None else describe(name))
