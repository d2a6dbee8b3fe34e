"""What the input doctor can find, and which of it stops a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neural_attn.diagnostics.errors import Diagnostic
from neural_attn.diagnostics.explanations import explanations

__all__ = ["ADVICE", "UNLABELLED", "Finding", "codes"]

# Where only these are found, a picture may be drawn all the same.
UNLABELLED = "W0807"
ADVICE = frozenset({UNLABELLED, "W0809", "W0810"})


def codes() -> dict[str, str]:
    """All that the doctor can find, by code, with the titles of their pages."""
    pages = explanations().values()
    return {page.code: page.title for page in pages if page.code.startswith("W08")}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one map, or with all (`map` is "")."""

    code: str
    map: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, name: str, where: str, /, **facts: Any) -> Finding:
        """The message `name` of the pages, of one map, or of all ("")."""
        said = Diagnostic.of(name, **facts)
        return cls(said.code, where, said.message, said.hint)

    @property
    def stops(self) -> bool:
        """Whether a picture of the map would lie."""
        return self.code not in ADVICE

    @property
    def diagnostic(self) -> Diagnostic:
        """The finding as the command line prints it."""
        message = f"{self.map}: {self.message}" if self.map else self.message
        return Diagnostic(self.code, message, hint=self.hint)
