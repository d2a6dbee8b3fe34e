"""Fonts that have the characters: found among those installed, or their lack is said.

Matplotlib draws with DejaVu Sans unless told otherwise, which has no Korean, Chinese
or Japanese. A list of families is worked out from what the fonts really hold, so that
every character has a glyph wherever any installed font has one.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

__all__ = [
    "Fonts", "choose_fonts", "drawn_backwards", "line_height", "numbered", "text_width",
]  # fmt: skip

BASE_FAMILY = "DejaVu Sans"  # comes with Matplotlib

# Tried first, in this order: sans-serif fonts made for the screen. By script, because
# Korean, Japanese and Chinese write some of the same characters differently.
PREFERRED = {
    "HANGUL": ("Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", "AppleGothic"),
    "HIRAGANA": ("Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans"),
    "KATAKANA": ("Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans"),
    "CJK": ("Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC"),
    "SYMBOL": ("Noto Emoji", "Symbola", "Segoe UI Symbol"),  # emoji among them
    "": ("Noto Sans", "Segoe UI"),
}

# Fonts of coloured bitmaps, which Matplotlib cannot draw, and the one of empty boxes.
_UNUSABLE = ("color", "colour", "lastresort", "last resort")

PACKAGES = {
    "HANGUL": "fonts-noto-cjk",
    "HIRAGANA": "fonts-noto-cjk",
    "KATAKANA": "fonts-noto-cjk",
    "CJK": "fonts-noto-cjk",
    "SYMBOL": "fonts-symbola",
    "": "fonts-noto-core",
}

_log = logging.getLogger("neural_attn")


@dataclass(frozen=True)
class Fonts:
    """Families to draw with, in order, and the characters that none of them has."""

    families: tuple[str, ...]
    missing: frozenset[str]

    @property
    def hint(self) -> str | None:
        """One line that says what to install, or None where nothing is missing."""
        if not self.missing:
            return None
        shown = " ".join(sorted(self.missing)[:5])
        return (
            f"no installed font has {shown}{' …' if len(self.missing) > 5 else ''}: "
            "drawn as codes. Install one, for example with: "
            f"apt install {self.packages}"
        )

    @property
    def packages(self) -> str:
        """The packages of Debian and Ubuntu that have what is missing."""
        return " ".join(sorted({PACKAGES[_script(one)] for one in self.missing}))

    @property
    def title_weight(self) -> str:
        """Bold, where every family has it: of others, Matplotlib warns."""
        bold = {
            entry.name
            for entry in font_manager.fontManager.ttflist
            if entry.weight in (700, "bold")
        }
        return "bold" if bold.issuperset(self.families) else "normal"

    def drawable(self, text: str) -> str:
        """Give `text` with each character that has no glyph replaced by its code."""
        if self.missing.isdisjoint(text):
            return text
        return "".join(
            c.encode("unicode_escape").decode("ascii") if c in self.missing else c
            for c in text
        )


def drawn_backwards(texts: Iterable[str]) -> bool:
    """Whether there is Arabic, Hebrew or the like that Matplotlib cannot write.

    Before 3.11 it draws letter by letter from left to right, without joining them.
    """
    return not _writes_both_ways() and any(map(_has_right_to_left, texts))


def numbered(number: int, text: str) -> str:
    """Give `text` with its number before it: to the left, also of Arabic.

    Without the mark, the first letter would give the direction of all.
    """
    mark = _FROM_LEFT if _writes_both_ways() and _has_right_to_left(text) else ""
    return f"{mark}{number}: {text}"


_FROM_LEFT = "\u200e"  # drawn as nothing


def _writes_both_ways() -> bool:
    return matplotlib.__version_info__ >= (3, 11)


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)


def choose_fonts(texts: Iterable[str]) -> Fonts:
    """Choose font families that together have every character of `texts`.

    Characters that no installed font has are logged once, with a hint what to
    install.
    """
    characters = frozenset(c for text in texts for c in text)
    beyond = frozenset(c for c in characters if c.isprintable()) - _covered(
        BASE_FAMILY, characters
    )
    fonts = _complete(beyond)
    if fonts.hint:
        _say_once(fonts.hint)
    return fonts


def text_width(
    text: str, size: float, families: tuple[str, ...], weight: str = "normal"
) -> float:
    """Give the width in points of one line of `text`, drawn at `size` points."""
    return _extent(text, size, families, weight)[0]


def line_height(texts: Iterable[str], families: tuple[str, ...]) -> float:
    """Give the height of one line of any of `texts`, as a multiple of their size.

    Matplotlib gives each line at least the height of "lp".
    """
    characters = "".join(sorted({c for text in texts for c in text} | {"l", "p"}))
    return _extent(characters, _MEASURED, families)[1] / _MEASURED


_MEASURED = 20.0  # points, at which heights are measured


def _extent(
    text: str, size: float, families: tuple[str, ...], weight: str = "normal"
) -> tuple[float, float]:
    """Width and height in points."""
    renderer: Any = _renderer()
    properties = _properties(families, size, weight)
    found = renderer.get_text_width_height_descent(text, properties, ismath=False)
    return float(found[0]), float(found[1])


@lru_cache(maxsize=64)
def _properties(families: tuple[str, ...], size: float, weight: str) -> FontProperties:
    return FontProperties(family=list(families), size=size, weight=weight)


@lru_cache(maxsize=1)
def _renderer() -> RendererAgg:
    # 72 dots per inch: its pixels are points. Matplotlib does not annotate it.
    return RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=256)
def _complete(beyond: frozenset[str]) -> Fonts:
    """Add to the base family what is needed for the characters it does not have."""
    families = [BASE_FAMILY]
    missing = set(beyond)
    for refresh in (False, True):
        if missing and refresh and not _add_new_fonts():
            break
        for family in _candidates(beyond) if missing else ():
            found = _covered(family, frozenset(missing))
            if found:
                families.append(family)
                missing -= found
            if not missing:
                break
    return Fonts(tuple(families), frozenset(missing))


def _candidates(characters: frozenset[str]) -> list[str]:
    """List every usable family, those made for the scripts at hand first."""
    # Only families with an ordinary face: others would be drawn bold or condensed.
    installed = {
        entry.name
        for entry in font_manager.fontManager.ttflist
        if entry.weight in (400, "normal", "regular") and entry.style == "normal"
    }
    # Han characters beside Hangul or kana are Korean or Japanese: "CJK" goes last.
    scripts = {_script(character) for character in characters}
    preferred = [
        name
        for script in PREFERRED
        if script in scripts
        for name in PREFERRED[script]
        if name in installed
    ]
    others = sorted(
        installed - set(preferred),
        key=lambda name: ("Serif" in name, "Mono" in name, name),
    )
    return [
        name
        for name in [*preferred, *others]
        if not any(word in name.lower() for word in _UNUSABLE)
    ]


def _script(character: str) -> str:
    name = unicodedata.name(character, "")
    other = "SYMBOL" if unicodedata.category(character).startswith("S") else ""
    scripts = (script for script in PREFERRED if script not in ("SYMBOL", ""))
    return next((script for script in scripts if script in name), other)


def _covered(family: str, characters: frozenset[str]) -> frozenset[str]:
    codes = _charmap(family)
    return frozenset(c for c in characters if ord(c) in codes)


@lru_cache(maxsize=512)
def _charmap(family: str) -> frozenset[int]:
    try:
        path = font_manager.findfont(
            FontProperties(family=family), fallback_to_default=False
        )
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        # A font that is broken, or was removed since Matplotlib listed it, cannot be
        # used; the search goes on, and what stays missing is said.
        return frozenset()


def _add_new_fonts() -> bool:
    """Add fonts installed since Matplotlib last looked; it keeps its list for good."""
    known = {str(entry.fname) for entry in font_manager.fontManager.ttflist}
    added = False
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):
            continue  # not a font that Matplotlib can draw with
        added = True
    if added:
        _charmap.cache_clear()
    return added


@lru_cache(maxsize=64)
def _say_once(hint: str) -> None:
    _log.warning(hint)
