"""`neural explain`: the page of an error or warning code."""

from __future__ import annotations

import click

from neural_attn.commands.options import examples


@click.command()
@click.argument("code", required=False)
@examples("neural explain E0203", "neural explain")
def explain(code: str | None) -> None:
    """Say what a code means, with a wrong and a right example; list all codes."""
    from neural_attn.diagnostics.explanations import explanation, explanations, page

    if code is not None:
        click.echo(page(explanation(code)))
        return
    for found in explanations().values():
        click.echo(f"{found.code}  {found.title}")
