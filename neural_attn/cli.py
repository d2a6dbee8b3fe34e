"""The `neural` command: finds the command that is called, and reports what fails.

Each command is a file in `neural_attn/commands`, imported when it is called, and
imports what it needs when it runs; tests/test_imports.py holds the budget. Other
packages add commands through the entry-point group `neural_attn.commands`.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from neural_attn.commands.options import say
from neural_attn.diagnostics.errors import (
    Diagnostic,
    NeuralError,
    did_you_mean,
    printable,
)
from neural_attn.extensions import load, names
from neural_attn.files import Writes, recorded
from neural_attn.version import __version__

# as the shell has it for what SIGPIPE and SIGINT end
PIPE_CLOSED, INTERRUPTED = 128 + 13, 128 + 2

GROUP = "neural_attn.commands"

# command -> module in neural_attn.commands and the name in it
COMMANDS = {
    "check": "check:check",
    "fmt": "fmt:fmt",
    "explain": "explain:explain",
    "compile": "compile:compile_command",
    "train": "train:train",
    "visualize": "visualize:visualize",
    "generate": "generate:generate",
    "score": "score:score",
    "analyze": "analyze:analyze",
    "diagnose": "diagnose:diagnose",
    "import": "import_model:import_command",
    "layers": "layers:layers",
    "new": "new:new",
    "extract": "extract:extract",
}


class _Commands(click.Group):
    """Our commands, then those that other packages add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(name for name in names(GROUP) if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name].partition(":")
            loaded = import_module(f"neural_attn.commands.{module}")
            own: click.Command = getattr(loaded, attribute)
            return own
        return next((added for _, added in load(GROUP, click.Command, name)), None)

    def invoke(self, ctx: click.Context) -> Any:
        """Run; end as the shell expects where the reader or the user has enough."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # what is still to be flushed goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except KeyboardInterrupt:
            click.echo("stopped: what was written is whole", err=True)
            sys.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            hint = did_you_mean(args[0], known) or "there are " + ", ".join(known)
            ctx.fail(f"there is no command `{args[0]}`; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="neural")
def cli() -> None:
    """Write a network once as a .neural file; see where it attends.

    \b
    Examples:
      neural check model.neural
      neural visualize model.neural --attention
      neural compile model.neural --backend pytorch -o model.py
    """  # noqa: D301 - click reads the backspace that `\b` makes


def main() -> None:
    """Run the command line; problems go to stderr, one exit code for each kind."""
    warnings.showwarning = _tell  # type: ignore[assignment]
    with recorded() as writes:
        try:
            cli()
        except NeuralError as error:
            say(error.diagnostics)
            sys.exit(1)
        except OSError as error:
            _say_failed(error, writes)
            sys.exit(1)


_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)  # of a stream, which has no name


def _say_failed(error: OSError, writes: Writes) -> None:
    """Say which file could not be written, or read, and what was written before."""
    if writes.failed is None and error.filename is None and error.errno in _FULL:
        said, written = str(error.strerror), _named(writes.done)
        say([Diagnostic.of("E0440.output", reason=said, written=written)])
        return
    if writes.failed is None:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(printable(f"error: {place}{error.strerror or error}"), err=True)
        return
    said, written = error.strerror or str(error), _named(writes.done)
    say([Diagnostic.of("E0440", path=writes.failed, reason=said, written=written)])


def _named(done: list[Path]) -> str:
    if not done:
        return "nothing else was written"
    names = ", ".join(map(str, done[:5])) + (", …" if done[5:] else "")
    return f"written before: {names}"


def _tell(message: Warning | str, *_: object) -> None:
    """A warning of Python as one line: whose code it is helps no user."""
    click.echo(f"warning: {printable(str(message))}", err=True)


if __name__ == "__main__":
    main()
