"""`analyze(maps)`: the whole analysis of maps that are at hand."""

from __future__ import annotations

from collections.abc import Iterable

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.example import has_signed, look_closely, why_no_flow
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import examine, usable
from neural_attn.metrics.connections import (
    RULES,
    THRESHOLD,
    Rule,
    Tagger,
    find_connections,
)

__all__ = ["analyze", "finish_example"]


def analyze(
    maps: AttentionMaps | Iterable[AttentionMaps],
    *,
    threshold: float = THRESHOLD,
    top: int | None = None,
    rules: tuple[Rule, ...] = RULES,
    tagger: Tagger | None = None,
    flow: bool = False,
    rank: bool = False,
) -> Analysis:
    """Examine maps, then say what each head does.

    Parameters
    ----------
    maps : one batch, or any number of them in turn
        Every example is one text. Batches are dropped when they are counted, so a
        generator runs in constant memory; the first text is looked at closely.
    threshold, top, rules, tagger : as in `find_connections`
    flow : also attention flow of the first text, which needs SciPy
    rank : also the effective rank of every head, which takes far longer than the rest

    Returns
    -------
    Analysis
        `.heads`, `.highlights`, `.to_dict()`. Maps that the input doctor stops are left
        out; `.findings` says which and why.

    Raises
    ------
    ValueError
        If batches hold maps of one name with different heads.
    """
    batches = [maps] if isinstance(maps, AttentionMaps) else maps
    part = PartialAnalysis(Analyzer(rank=rank))
    for batch in batches:
        found = examine(batch)
        part.take(usable(batch, found), found, network=batch)
    finish_example(
        part, threshold=threshold, top=top, rules=rules, tagger=tagger, flow=flow
    )
    return finish(part)


def finish_example(
    part: PartialAnalysis,
    *,
    threshold: float = THRESHOLD,
    top: int | None = None,
    rules: tuple[Rule, ...] = RULES,
    tagger: Tagger | None = None,
    flow: bool = False,
) -> None:
    """Look closely at the first text of a part, and note what cannot be had of it."""
    if part.maps is None or not len(part.maps):
        return
    connections = find_connections(
        part.maps, threshold=threshold, top=top, rules=rules, tagger=tagger
    )
    part.example = look_closely(part.maps, connections, flow=flow)
    if has_signed(part.maps):
        part.note(["no rollout: nothing flows through layers of signed weights"])
    reason = why_no_flow(part.maps) if flow else None
    part.note([reason] if reason else [])
