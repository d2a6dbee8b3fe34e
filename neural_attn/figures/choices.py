"""The names of looks, where nothing need be loaded: for options and their help."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "DEFAULT_SCALE", "ROW_NAMES", "SCALES", "THEME_NAMES", "RowName", "Scale",
    "ThemeName",
]  # fmt: skip

RowName = Literal["both", "fed", "predicted"]
ROW_NAMES: tuple[RowName, ...] = get_args(RowName)

# What a colour stands for; `docs/figures.md` says why the square root is taken.
Scale = Literal["shared", "layer", "head", "sqrt", "log"]
SCALES: tuple[Scale, ...] = get_args(Scale)
DEFAULT_SCALE: Scale = "sqrt"

ThemeName = Literal["light", "dark"]
THEME_NAMES: tuple[ThemeName, ...] = get_args(ThemeName)
