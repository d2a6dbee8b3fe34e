"""Writes docs/reference/cli.md: the help of every command, as it prints it.

python docs/make_cli.py
"""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from neural_attn.cli import cli

PAGE = Path(__file__).resolve().parent / "reference" / "cli.md"


def page() -> str:
    """The whole page."""
    parts = [
        "# Commands",
        "Made by `python docs/make_cli.py` from the help of each command.\n"
        "[The options of `visualize`](visualize.md) stand in a table of their own.",
        "The shell completes commands and options:\n"
        'in Bash by `eval "$(_NEURAL_COMPLETE=bash_source neural)"`; with `zsh_source` '
        "in Zsh,\n`fish_source` in Fish.",
    ]
    for name in ("", *cli.list_commands(None)):  # type: ignore[arg-type]
        call = f"neural {name}".rstrip()
        said = help_of(name.split())
        parts.append(f"## {call}\n\n```text\n{said}\n```")
    return "\n\n".join(parts) + "\n"


def help_of(command: list[str]) -> str:
    """What `--help` prints."""
    call = [*command, "--help"]
    done = CliRunner().invoke(cli, call, prog_name="neural", terminal_width=80)
    lines = done.output.rstrip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
