"""Numbers of one head over texts, and whether they are more than chance."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEWEST_KEYS", "FEWEST_ROWS", "Evidence", "Statistic"]

# The rows that a sentence rests on, at least: of fewer it says that they are too few.
# A row in random order has its most on one of ten keys, as many as a short sentence
# has, in one case of ten: so have five rows in 1 of 100,000 cases, which is evidence
# even among the 1,000 heads of a large network. Four rows, 1 of 10,000, would be none.
FEWEST_ROWS = 5

# The keys that a sentence on a class of tokens rests on, at least, as many as rows:
# rows of a text that all look at one full stop tell of that token, not of punctuation.
# Of 200 heads at random that prefer some keys, in one text of 43 tokens, 10 of them
# punctuation, 32 were called by a class without this, 9 with 3 keys and 1 with 5.
FEWEST_KEYS = 5


@dataclass(frozen=True)
class Statistic:
    """One metric of one head over texts; `uniform` is that of uniform attention."""

    mean: float
    std: float | None
    least: float
    greatest: float
    texts: int
    uniform: float | None


@dataclass(frozen=True)
class Evidence:
    """One score against its baseline; `significant` after correction.

    It rests on so many `rows` of so many `texts`; fewer rows than `FEWEST_ROWS` are
    never significant. Where it is of a class of tokens, it rests on so many `keys` of
    that class, as if they had equal weight (`Tally.effective_keys`), and fewer than
    `FEWEST_KEYS` are never significant; else None.
    """

    chance: float
    z: float
    p: float
    p_corrected: float
    significant: bool
    rows: int
    texts: int
    keys: float | None = None

    @property
    def shown(self) -> bool:
        """Whether there is more than chance of it, beyond doubt."""
        return self.significant and self.z > 0
