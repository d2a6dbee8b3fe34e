"""`neural explain`: the page of an error or warning code."""

from __future__ import annotations

from collections.abc import Iterable

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import examples
from neural_attn.commands.printing import write


def _codes() -> Iterable[str]:
    from neural_attn.diagnostics.explanations import explanations

    return explanations()


@click.command()
@click.argument("code", required=False, shell_complete=completes(_codes))
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
