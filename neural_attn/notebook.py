"""The explorer as a widget of Jupyter: Python reads and sets what is selected."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from neural_attn.diagnostics.choices import check_options, no_such
from neural_attn.explorer.page import INLINE_HEIGHT, ExplorerPage
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.pipeline import OF_PAGES, explore

__all__ = ["VIEWS", "widget"]

_SELECTED = ("model", "example", "layer", "kind", "head", "query", "key", "view")

# The views of a page, by their names in its links.
VIEWS = ("model", "matrix", "head", "token", "measures", "compare", "image", "steps")


def widget(given: Any, inputs: Any = None, **options: Any) -> Any:
    """Show the explorer in a notebook, with a selection that Python shares.

    Parameters
    ----------
    given, inputs, options : as in `neural_attn.explore`

    Returns
    -------
    An anywidget
        `.selection` is a dict of what is selected: `layer` and `head` as the network
        numbers them, `query` and `key` (a token's place; None: none) and `example`
        from 0, and `view`; `kind` where a layer has several maps, and `model` where the
        page has two. Setting it, whole or in part, moves the page;
        `.observe(f, "selection")` hears of clicks. Setting `.inputs` runs the model on
        other inputs and draws the page anew; `.maps` are the maps shown, and `.height`
        is in pixels.
    Without anywidget, the page of `explore`, after a warning.

    Raises
    ------
    NeuralError, ValueError
        As `neural_attn.explore`; an input that fails leaves the page as it was. A
        ValueError too if a selection names what the page does not have.
    TypeError
        If there is no such option.
    """
    check_options(widget, options, OF_PAGES)
    try:
        kind = _kind()
    except ImportError:
        warnings.warn(
            "anywidget is not installed, so this is the page alone, without "
            '`.selection`: pip install "neural-attn[widget]"',
            stacklevel=2,
        )
        return explore(given, inputs, **options)
    return kind(given, inputs, options)


@cache
def _kind() -> type:
    """The class, which cannot be written before anywidget is imported."""
    import anywidget
    import traitlets

    class ExplorerWidget(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
        """See `widget`."""

        _esm = files("neural_attn.explorer").joinpath("widget.js").read_text("utf-8")
        page = traitlets.Unicode().tag(sync=True)
        selection = traitlets.Dict().tag(sync=True)
        height = traitlets.Int(INLINE_HEIGHT).tag(sync=True)
        inputs = traitlets.Any()

        def __init__(self, given: Any, inputs: Any, options: dict[str, Any]) -> None:
            self._given, self._options = given, options
            super().__init__(page=self._drawn(inputs))

        def _drawn(self, inputs: Any) -> str:
            made = explore(self._given, inputs, **self._options)
            self.maps, self._made = made.maps, made
            return made.html

        @traitlets.validate("selection")
        def _check(self, proposal: Any) -> Any:
            _check_selection(proposal["value"], self._made)
            return proposal["value"]

        @traitlets.validate("inputs")
        def _redraw(self, proposal: Any) -> Any:
            # Before the value is taken: what fails leaves widget and page as they were.
            if proposal["value"] is not None:
                self.page = self._drawn(proposal["value"])
            return proposal["value"]

    return ExplorerWidget


def _check_selection(selection: Mapping[str, Any], page: ExplorerPage) -> None:
    """Refuse a selection of what a page does not have.

    Raises
    ------
    ValueError
        It says what there is.
    """
    given = {name: value for name, value in selection.items() if value is not None}
    for name in given:
        if name not in _SELECTED:
            raise ValueError(no_such("part of a selection", name, _SELECTED))
    sources = [maps for maps in (page.maps, page.other) if maps is not None]
    _refuse_others(given, "model", range(len(sources)))
    maps = sources[given.get("model", 0)]
    absent = {
        "compare": page.other is None, "image": not maps.pictures,
        "steps": not maps.written,
    }  # fmt: skip
    _refuse_others(given, "view", [one for one in VIEWS if not absent.get(one)])

    def choices(name: str, number: int, one: AttentionMap) -> Collection[Any]:
        if name in ("query", "key"):
            shape = maps.item(one.name, given.get("example", 0)).weights.shape
            return range(shape[1] if name == "query" else shape[2])
        return {
            "layer": (number,), "kind": (one.kind,), "head": one.head_indices,
            "example": range(len(one.weights)),
        }[name]  # fmt: skip

    numbered = zip(maps.layer_numbers, maps.layers, strict=True)
    left = [(number, one) for number, layer in numbered for one in layer]
    # Each narrows down which maps may be meant, and so what the next may be.
    for name in ("layer", "kind", "head", "example", "query", "key"):
        if name in given:
            every = [(one, choices(name, *one)) for one in left]
            there = sorted({choice for _, some in every for choice in some})
            _refuse_others(given, name, there)
            left = [one for one, some in every if given[name] in some]


def _refuse_others(given: Mapping[str, Any], name: str, there: Sequence[Any]) -> None:
    """Raise ValueError where what is given under a name is not among what there is."""
    one = given.get(name, there[0])
    if one in there and not isinstance(one, bool):
        return
    if len(there) > 2 and list(there) == list(range(len(there))):
        said = f"0 to {there[-1]}"
    else:
        said = ", ".join(map(str, there))
    raise ValueError(f"in a selection {name} is {one!r}; it may be {said}")
