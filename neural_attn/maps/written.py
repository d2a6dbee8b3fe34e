"""What a network wrote, token by token: what each cost, and what else it might be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neural_attn.maps.attention_map import AttentionItem

__all__ = ["Likely", "Step", "Written", "tells_rows"]


@dataclass(frozen=True)
class Likely:
    """A token that may come next, and the probability that the network gives it."""

    id: int
    token: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"id": self.id, "token": self.token, "probability": self.probability}


@dataclass(frozen=True)
class Step:
    """One token of a text, and the likeliest of the others, the best of them first."""

    chosen: Likely
    rivals: tuple[Likely, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        rivals = [one.to_dict() for one in self.rivals]
        return {**self.chosen.to_dict(), "rivals": rivals}


@dataclass(frozen=True)
class Written:
    """A text that a network wrote, or was made to read, step by step.

    Probabilities are those of the network itself: a temperature does not change them.
    A decoder row of the maps was fed one token and predicts the next: row `i` was fed
    token `i` of `fed`, and predicts token `i` of `predicted`.

    Parameters
    ----------
    source : str
        What it was given: the text to translate, or the beginning to continue.
    text : str
        What it wrote, without the tokens that only start or end a text.
    source_ids, source_tokens : of the text that was read; empty where there is one text
    given_ids, given_tokens : what stood before the first token that it wrote
    steps : the tokens that it wrote, in order
    forced : bool
        Whether the tokens were given, and the network only asked how likely they are.
    """

    source: str
    text: str
    source_ids: tuple[int, ...]
    source_tokens: tuple[str, ...]
    given_ids: tuple[int, ...]
    given_tokens: tuple[str, ...]
    steps: tuple[Step, ...]
    forced: bool = False

    @property
    def ids(self) -> list[int]:
        """The ids that it wrote."""
        return [step.chosen.id for step in self.steps]

    @property
    def tokens(self) -> list[str]:
        """The tokens that it wrote."""
        return [step.chosen.token for step in self.steps]

    @property
    def fed(self) -> list[str]:
        """The token that each decoder row was fed."""
        return [*self.given_tokens, *self.tokens][:-1]

    @property
    def predicted(self) -> list[str]:
        """The token that each decoder row predicts."""
        return [*self.given_tokens, *self.tokens][1:]

    @property
    def first(self) -> int:
        """The decoder row that predicts the first token that was written."""
        return len(self.given_ids) - 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "source": self.source,
            "text": self.text,
            "source_ids": list(self.source_ids),
            "source_tokens": list(self.source_tokens),
            "given_ids": list(self.given_ids),
            "given_tokens": list(self.given_tokens),
            "ids": self.ids,
            "tokens": self.tokens,
            "steps": [step.to_dict() for step in self.steps],
            "forced": self.forced,
        }


def tells_rows(item: AttentionItem, written: Written | None) -> bool:
    """Whether the rows of an item are those of what was written."""
    if written is None or item.kind == "encoder_self":
        return False
    return len(item.query_tokens) == len(written.fed)
