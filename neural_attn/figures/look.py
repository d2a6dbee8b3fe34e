"""How matrices are drawn: their rows' names, their size, their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from neural_attn.diagnostics.choices import check_choice, check_options
from neural_attn.figures.choices import (
    DEFAULT_SCALE,
    ROW_NAMES,
    SCALES,
    THEME_NAMES,
    RowName,
    Scale,
    ThemeName,
    check_figsize,
)
from neural_attn.figures.filters import Filters
from neural_attn.figures.reading import read_tokens
from neural_attn.maps.attention_map import AttentionItem
from neural_attn.maps.written import Written, tells_rows

__all__ = ["PLAIN", "Look", "Shown", "look_of"]

_ROW_TITLES = {
    "fed": "Query: the token that was fed",
    "predicted": "Query: the token that it predicts",
    "both": "Query: token fed→token predicted",
}


_NAMES: dict[str, tuple[str | None, ...]] = {
    "row": (None, *ROW_NAMES), "scale": SCALES, "theme": THEME_NAMES,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What is drawn of matrices, and how.

    Parameters
    ----------
    row : "both", "fed" or "predicted"
        Which token names a row of a decoder that wrote: an alignment looks right, or
        off by one, depending on it. None is both.
    max_src, max_trg : int or None
        At most so many tokens of the source and of the target.
    figsize : width and height in inches, 2 to 60 each, or None
    annotate : bool
        Whether values are written into all cells that have room for them.
    hide_special, hide_sinks, renormalize : bool
        As in `neural_attn.figures.filters.Filters`.
    scale : "sqrt", "log", "shared", "layer" or "head"
        What a colour stands for: the square root of a weight, its logarithm, or the
        weight itself, with one scale for all layers, for each layer, or for each head.
    theme : "light" or "dark"

    Raises
    ------
    ValueError
        If there is no such row, scale or theme, or a size is out of its limits.
    """

    row: RowName | None = None
    max_src: int | None = None
    max_trg: int | None = None
    figsize: tuple[float, float] | None = None
    annotate: bool = False
    hide_special: bool = False
    hide_sinks: bool = False
    renormalize: bool = False
    scale: Scale = DEFAULT_SCALE
    theme: ThemeName = "light"

    def __post_init__(self) -> None:
        for name, known in _NAMES.items():
            check_choice(name, getattr(self, name), known)
        check_figsize(self.figsize)
        for name in ("max_src", "max_trg"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise ValueError(f"{name} is {given}: at least 1 token is drawn")

    @property
    def filters(self) -> Filters:
        """What is taken out of matrices."""
        return Filters(self.hide_special, self.hide_sinks, self.renormalize)

    @property
    def style(self) -> dict[str, Any]:
        """What every picture is drawn with."""
        return {"filters": self.filters, "scale": self.scale, "theme": self.theme}

    def show(self, item: AttentionItem, written: Written | None = None) -> Shown:
        """An item as it is drawn: rows told by their tokens, and long sides cut."""
        how: dict[str, Any] = {**self.style, "annotate": self.annotate or None}
        how["figsize"] = self.figsize
        if tells_rows(item, written):
            assert written is not None
            item = replace(item, query_tokens=self._rows(item, written))
            how["query_title"] = _ROW_TITLES[self.row or "both"]
        sides = {"encoder_self": "ss", "decoder_self": "tt", "cross": "ts"}[item.kind]
        limits = {"s": self.max_src, "t": self.max_trg}
        rows, columns = item.weights.shape[1:]
        most = [
            min(size, limits[side] or size)
            for side, size in zip(sides, (rows, columns), strict=True)
        ]
        if most == [rows, columns]:
            return Shown(item, how)
        sizes = zip(most, (rows, columns), ("rows", "columns"), strict=True)
        cut = [
            f"{shown} of {size} {what}" for shown, size, what in sizes if shown < size
        ]
        how["cut"] = f"the first {' and '.join(cut)}"
        return Shown(_cut(item, *most), how)

    def _rows(self, item: AttentionItem, written: Written) -> tuple[str, ...]:
        count = len(item.query_tokens)
        if self.row == "fed":
            return item.query_tokens
        if self.row == "predicted":
            return tuple(written.predicted[:count])
        # read as one text, as marks of a spelling mean nothing beside an arrow
        shown = read_tokens([*written.fed, written.predicted[-1]]).shown
        return tuple(f"{shown[at]}→{shown[at + 1]}" for at in range(count))


PLAIN = Look()


def look_of(function: Callable[..., Any], given: Mapping[str, Any]) -> Look:
    """The look that a function was given as further options.

    Raises TypeError, which names the function, where there is no such option.
    """
    check_options(function, given, Look.__dataclass_fields__)
    return Look(**given)


@dataclass(frozen=True)
class Shown:
    """An item, and how it is drawn: options of the functions that draw."""

    item: AttentionItem
    how: dict[str, Any]


def _cut(item: AttentionItem, rows: int, columns: int) -> AttentionItem:
    return replace(
        item,
        weights=item.weights[:, :rows, :columns],
        allowed=item.allowed[:, :rows, :columns],
        query_tokens=item.query_tokens[:rows],
        key_tokens=item.key_tokens[:columns],
    )
