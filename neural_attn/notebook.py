"""The explorer as a widget of Jupyter: Python reads and sets what is selected."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.resources import files
from typing import Any

from neural_attn.explorer.page import INLINE_HEIGHT
from neural_attn.pipeline import explore

__all__ = ["widget"]


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
        As `neural_attn.explore`; an input that fails leaves the page as it was.
    """
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
            self.maps = made.maps
            return made.html

        @traitlets.validate("inputs")
        def _redraw(self, proposal: Any) -> Any:
            # Before the value is taken: what fails leaves widget and page as they were.
            if proposal["value"] is not None:
                self.page = self._drawn(proposal["value"])
            return proposal["value"]

    return ExplorerWidget
