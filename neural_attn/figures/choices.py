"""The names and limits of looks, where nothing need be loaded: also for options."""

from __future__ import annotations

from typing import Any, Literal, get_args

__all__ = [
    "DEFAULT_SCALE", "INCHES", "ROW_NAMES", "SCALES", "THEME_NAMES", "RowName", "Scale",
    "ThemeName", "check_figsize",
]  # fmt: skip

RowName = Literal["both", "fed", "predicted"]
ROW_NAMES: tuple[RowName, ...] = get_args(RowName)

# What a colour stands for; `docs/figures.md` says why the square root is taken.
Scale = Literal["shared", "layer", "head", "sqrt", "log"]
SCALES: tuple[Scale, ...] = get_args(Scale)
DEFAULT_SCALE: Scale = "sqrt"

ThemeName = Literal["light", "dark"]
THEME_NAMES: tuple[ThemeName, ...] = get_args(ThemeName)

INCHES = (2, 60)  # the least and the most of a picture's width and height


def check_figsize(given: Any) -> None:
    """Raise ValueError where a size is neither None nor two numbers within `INCHES`."""
    if given is None:
        return
    least, most = INCHES
    try:
        width, height = map(float, given)
    except (TypeError, ValueError):
        raise ValueError(
            f"figsize is {given!r}, not a width and a height in inches"
        ) from None
    if not all(least <= side <= most for side in (width, height)):
        raise ValueError(
            f"figsize is {given!r}: width and height are {least} to {most} inches"
        )
