"""Writes lessons: a picture of each, and one interactive page of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from neural_attn.figures.choices import ThemeName
from neural_attn.figures.heatmap import save_figure
from neural_attn.files import atomic_write
from neural_attn.teaching.charts import Lesson
from neural_attn.teaching.draw import draw
from neural_attn.teaching.page import build_page

__all__ = ["PAGE", "write_lessons"]

PAGE = "teaching.html"


def write_lessons(
    lessons: Sequence[Lesson],
    folder: Path,
    name: str,
    *,
    formats: Sequence[str] = ("png",),
    dpi: float = 150,
    theme: ThemeName = "light",
    step: Callable[[str], None] = lambda begins: None,
) -> dict[str, Path]:
    """Write `masks.png` and the like, and `teaching.html`, into a folder.

    `name` is what the page calls the file; `step` is told what begins. Returns paths
    by file name, in the order of writing. Raises OSError where one cannot be written.
    """
    files: dict[str, Path] = {}
    for lesson in lessons:
        step(f"drawing {lesson.name}")
        figure = draw(lesson, theme)
        for kind in formats:
            path = save_figure(figure, folder / f"{lesson.name}.{kind}", dpi, kind)
            files[path.name] = path
    step("writing the page")
    files[PAGE] = atomic_write(folder / PAGE, build_page(lessons, name, theme))
    return files
