"""Findings in words: a format of the analysis is a file here and a row in FORMATS."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from neural_attn.analysis.result import Analysis

__all__ = ["FORMATS", "Format"]


class Format(NamedTuple):
    """A format that `neural analyze` has an option for; the terminal's needs none.

    The option, the module and, after `to_`, the function in it are called `name`. With
    `file`, the word for it in the help, the text is written to the file that the option
    names; without, it is printed.
    """

    name: str
    help: str
    file: str = ""

    def write(self, analysis: Analysis) -> str:
        """Give the analysis as text; its module is imported here."""
        module = import_module(f"{__name__}.{self.name}")
        text: str = getattr(module, f"to_{self.name}")(analysis)
        return text


# in the order of the options
FORMATS = (
    Format("json", "Print the analysis as JSON."),
    Format("markdown", "Print the report as Markdown."),
    Format("html", "Also write it as a page.", file="PAGE"),
)
