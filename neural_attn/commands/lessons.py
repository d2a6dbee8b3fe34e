"""What `neural visualize` draws of what a file declares: --masks and the like."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.options import note, progress, say
from neural_attn.diagnostics.errors import printable

if TYPE_CHECKING:
    from neural_attn.pipeline import Request
    from neural_attn.teaching.lessons import Taught

__all__ = ["chosen", "draw_lessons", "lesson_options", "meaningful", "report_lessons"]

_HELP = {
    "masks": "Draw which keys each query sees.",
    "positions": "Draw how positions are told apart.",
    "schedule": "Draw the learning rate of each step.",
    "loss": "Draw what the loss asks for, and what an error costs.",
}
# what else has a meaning for each, and for all
_OF_EACH: dict[str, tuple[str, ...]] = {
    "masks": (
        "data", "tokens", "tokens_file", "text", "pairs", "images", "sounds",
        "texts_file", "tokenizer", "source_tokenizer", "target_tokenizer",
        "checkpoint", "layer", "seed",
    ),
    "positions": ("checkpoint", "seed"),
    "schedule": (),
    "loss": (),
}  # fmt: skip
_OF_ALL = ("network", "output_dir", "formats", "dpi", "show", "as_json")


def lesson_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each picture."""
    for name, text in reversed(_HELP.items()):
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


def chosen(options: Mapping[str, Any]) -> list[str]:
    """The pictures that are asked for, in the order in which they are drawn."""
    return [name for name in _HELP if options[name]]


def meaningful(lessons: Sequence[str]) -> list[str]:
    """The options that have an effect on these pictures."""
    return [*_OF_ALL, *(n for one in lessons for n in (one, *_OF_EACH[one]))]


def draw_lessons(request: Request, lessons: Sequence[str]) -> Taught:
    """See `teaching.lessons.teach`; says on a terminal what is going on."""
    from neural_attn.teaching.lessons import teach

    with progress() as step:
        return teach(request, lessons, step)


def report_lessons(taught: Taught, *, as_json: bool) -> None:
    """Print what was drawn, and what was not."""
    say(taught.warnings)
    note([*taught.missing, *taught.notes])
    if as_json:
        click.echo(json.dumps(taught.to_dict(), ensure_ascii=False))
        return
    for lesson in taught.lessons:
        for chart in lesson.charts:
            click.echo(printable(f"{lesson.name}: {chart.title}: {chart.about}"))
