"""Words about the numbers of a layer, none of which a threshold on a ratio chooses."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from statistics import fmean

from neural_attn.analysis.evidence import FEWEST_ROWS
from neural_attn.analysis.heads import Head
from neural_attn.analysis.sentences import NOTHING, TOO_FEW, p_text, rests_on

__all__ = ["entropy_words", "greatest_words", "own_position_words"]


def entropy_words(average: float | None, heads: Sequence[Head]) -> str | None:
    """What an average entropy, in nats, amounts to: so many keys that share evenly.

    The exponential of the average, as `average` is printed beside it; `effective_keys`,
    the mean of the exponentials of rows, is more.
    """
    found = _means(heads, "entropy")
    if average is None or found is None:
        return None
    keys, uniform = exp(average), exp(found[1])
    return f"as if {keys:.1f} keys shared it evenly (uniform attention: {uniform:.1f})"


def greatest_words(heads: Sequence[Head]) -> str | None:
    """What uniform attention would give instead."""
    found = _means(heads, "max_weight")
    return found and f"uniform attention would give {found[1]:.3f}"


def _means(heads: Sequence[Head], metric: str) -> tuple[float, float] | None:
    """A metric over heads that have a choice, and that of uniform attention."""
    known = [h.statistics[metric] for h in heads if h.queries]
    even = [one.uniform for one in known if one.uniform is not None]
    return (fmean(one.mean for one in known), fmean(even)) if even else None


def own_position_words(heads: Sequence[Head]) -> str | None:
    """Which heads attend to their own position more than chance, if any does."""
    known = [head for head in heads if "same_token" in head.evidence]
    if not known:
        return None
    best = max(known, key=lambda head: head.statistics["same_token"].mean)
    found = best.evidence["same_token"]
    rest = rests_on(found.rows, found.texts)
    if found.rows < FEWEST_ROWS:
        return f"{TOO_FEW}: {rest}"
    shown = [head for head in known if head.evidence["same_token"].shown]
    mean = fmean(head.statistics["same_token"].mean for head in known)
    if not shown:
        share = f"each token gives itself {mean:.2f}, chance {found.chance:.2f}"
        return f"{NOTHING}: {share}, {rest}"
    best = max(shown, key=lambda head: head.statistics["same_token"].mean)
    found = best.evidence["same_token"]
    rest = rests_on(found.rows, found.texts)
    verb = "attends" if len(shown) == 1 else "attend"
    return (
        f"{len(shown)} of {len(heads)} heads {verb} to the query's own position more "
        f"than chance, most of all head {best.head}: "
        f"{best.statistics['same_token'].mean:.2f}, chance {found.chance:.2f}, "
        f"{p_text(found.p_corrected)}, {rest}"
    )
