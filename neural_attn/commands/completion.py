"""How a shell completes values that are names: a command makes their list when asked.

Options with a `click.Choice` complete by themselves, and those with a path as files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

__all__ = ["Complete", "completes"]

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completes(names: Callable[[], Iterable[str]], *, files: bool = False) -> Complete:
    """Complete words that begin as a name does, whatever its case.

    With `files`, what begins as no name does is completed as a file. `names` is called
    when a shell asks, and so may import what takes long.
    """

    def complete(
        context: click.Context, parameter: click.Parameter, word: str
    ) -> list[CompletionItem]:
        begins = word.lower()
        found = [
            CompletionItem(name) for name in names() if name.lower().startswith(begins)
        ]
        return found or [CompletionItem(word, type="file")] * files

    return complete
