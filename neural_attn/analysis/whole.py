"""`analyze(maps)`: the whole analysis of maps that are at hand."""

from __future__ import annotations

from collections.abc import Iterable

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.connections import RULES, Rule, Tagger, find_connections
from neural_attn.analysis.doctor import Finding, examine, usable
from neural_attn.analysis.result import Analysis, finish
from neural_attn.maps.attention_maps import AttentionMaps

__all__ = ["analyze"]


def analyze(
    maps: AttentionMaps | Iterable[AttentionMaps],
    *,
    rules: tuple[Rule, ...] = RULES,
    tagger: Tagger | None = None,
) -> Analysis:
    """Examine maps, then say what each head does.

    Parameters
    ----------
    maps : one batch, or any number of them in turn
        Every example is one text. Batches are dropped when they are counted, so a
        generator runs in constant memory; the first text is looked at closely.
    rules, tagger : as in `find_connections`

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
    analyzer = Analyzer()
    findings: list[Finding] = []
    first: AttentionMaps | None = None
    for batch in batches:
        found = examine(batch)
        known = {(one.code, one.map) for one in findings}
        findings += [one for one in found if (one.code, one.map) not in known]
        good = usable(batch, found)
        analyzer.add(good, network=batch)
        first = good if first is None else first
    connections = (
        {} if first is None else find_connections(first, rules=rules, tagger=tagger)
    )
    return finish(analyzer, maps=first, connections=connections, findings=findings)
