"""`neural explain`: the page of an error or warning code."""

from __future__ import annotations

import click

from neural_attn.commands import completion
from neural_attn.commands.options import examples
from neural_attn.commands.printing import write


@click.command()
@click.argument("code", required=False, shell_complete=completion.codes)
@examples("neural explain E0203", "neural explain")
def explain(code: str | None) -> None:
    """Say what a code means, with a wrong and a right example; list all codes."""
    from neural_attn.diagnostics.errors import did_you_mean, fail
    from neural_attn.diagnostics.explanations import explanations, page

    pages = explanations()
    if code is None:
        for found in pages.values():
            click.echo(f"{found.code}  {found.title}")
    elif code.upper() in pages:
        write(page(pages[code.upper()]))
    else:
        fail("E0125", hint=did_you_mean(code, pages), code=code)
