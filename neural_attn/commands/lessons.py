"""What `neural visualize` draws of what a file declares: --masks and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.diagnostics.errors import printable

if TYPE_CHECKING:
    from neural_attn.teaching.charts import Lesson

__all__ = [
    "chosen", "lesson_options", "lessons_as_dict", "meaningful", "report_lessons",
]  # fmt: skip

_HELP = {
    "masks": "Draw which keys each query sees.",
    "positions": "Draw how positions are encoded.",
    "schedule": "Draw the learning rate of each step.",
    "loss": "Draw what the loss asks for, and what an error costs.",
}
# what else has a meaning for each, and for all
_OF_EACH: dict[str, tuple[str, ...]] = {
    "masks": (
        "data", "tokens", "tokens_file", "texts", "pairs", "images", "sounds",
        "texts_file", "tokenizer", "source_tokenizer", "target_tokenizer",
        "checkpoint", "layer", "seed",
    ),
    "positions": ("checkpoint", "seed"),
    "schedule": (),
    "loss": (),
}  # fmt: skip
_OF_ALL = ("network", "output_dir", "formats", "dpi", "show", "as_json", "theme")


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


def report_lessons(lessons: Sequence[Lesson]) -> None:
    """Print what was drawn, a line for each chart."""
    for lesson in lessons:
        for chart in lesson.charts:
            click.echo(printable(f"{lesson.name}: {chart.title}: {chart.about}"))


def lessons_as_dict(
    lessons: Sequence[Lesson], missing: Sequence[str], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The same for machines: what charts are of, not their numbers."""
    pictures = {
        lesson.name: [{"title": one.title, "about": one.about} for one in lesson.charts]
        for lesson in lessons
    }
    written = {name: str(path) for name, path in files.items()}
    return {"pictures": pictures, "missing": list(missing), "files": written}
