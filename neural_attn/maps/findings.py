"""What the input doctor can find, by code, and which of it stops a picture."""

from __future__ import annotations

from dataclasses import dataclass

from neural_attn.diagnostics.errors import Diagnostic

__all__ = ["CODES", "STOPS", "Finding"]

CODES = {
    "W0801": "weights that are NaN or infinite",
    "W0802": "negative weights",
    "W0803": "rows that do not sum to 1",
    "W0804": "attention to the future under a causal mask",
    "W0805": "attention to masked keys",
    "W0806": "axes that look transposed",
    "W0807": "token counts that do not fit",
    "W0808": "no weights at all",
    "W0809": "weights that look untrained",
    "W0810": "attention to padding that no mask hides",
    "W0811": "an array that is no attention",
}
STOPS = frozenset(CODES) - {"W0807", "W0809", "W0810"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one map, or with all (`map` is "")."""

    code: str
    map: str
    message: str
    hint: str = ""

    @property
    def stops(self) -> bool:
        """Whether a picture of the map would lie."""
        return self.code in STOPS

    @property
    def diagnostic(self) -> Diagnostic:
        """The finding as the command line prints it."""
        message = f"{self.map}: {self.message}" if self.map else self.message
        return Diagnostic(self.code, message, hint=self.hint)
