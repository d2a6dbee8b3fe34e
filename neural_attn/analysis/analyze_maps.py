"""`analyze(maps)`: the whole analysis of maps that are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.example import has_signed, look_closely, why_no_flow
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.diagnostics.choices import check_options
from neural_attn.diagnostics.errors import NeuralError, fail
from neural_attn.inputs.links import LinkRow
from neural_attn.inputs.parses import Parser
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import Finding
from neural_attn.maps.foreign_arrays import is_array
from neural_attn.maps.validation import admit, examine, usable
from neural_attn.metrics.connections import (
    RULES,
    THRESHOLD,
    Rule,
    Tagger,
    find_connections,
)

__all__ = ["CLAIMS", "analyze", "finish_example"]

# what may be said of arrays, beside their tokens
CLAIMS = ("tokenizer", "axes", "causal", "mask", "rows", "trained")


def analyze(
    maps: Any,
    tokens: Any = None,
    *,
    threshold: float = THRESHOLD,
    top: int | None = None,
    rules: tuple[Rule, ...] = RULES,
    tagger: Tagger | None = None,
    flow: bool = False,
    rank: bool = False,
    links: Iterable[Any] | None = None,
    link_row: LinkRow = "token",
    link_kind: str | None = None,
    parser: Parser | None = None,
    **claims: Any,
) -> Analysis:
    """Examine maps, then say what each head does.

    Parameters
    ----------
    maps : AttentionMaps, or any number of them in turn; or arrays
        Every example is one text. Batches are dropped when they are counted, so a
        generator runs in constant memory; the first text is looked at closely. Arrays
        come as a library hands them out: `outputs.attentions`, or `outputs`.
    tokens, claims : of arrays, as in `neural_attn.maps.given.take`
    threshold, top, rules, tagger : as in `find_connections`
    flow : also attention flow of the first text, which needs SciPy
    rank : also the effective rank of every head, which takes far longer than the rest
    links : of each text, in turn, what heads are to find: [(from, to), …], or a mapping
        with `links` and `candidates`, as `neural_attn.inputs.links.take_links` has them
    parser : gives the words of each text and the arcs between them, so that relations
        are found; see `neural_attn.inputs.parses`. The texts are made of the tokens.
    link_row, link_kind : as `row` and `kind` of `neural_attn.analysis.links.LinkFinder`

    Returns
    -------
    Analysis
        `.heads`, `.highlights`, `.to_dict()`. Maps that the input doctor stops are left
        out; `.findings` says which and why.

    Raises
    ------
    ValueError
        If batches hold maps of one name with different heads, or there is no such
        `link_row` or `link_kind`.
    NeuralError
        If nothing in the arrays is attention, for claims that cannot be, or links that
        do not fit their text.
    TypeError
        If there is no such claim.
    """
    check_options(analyze, claims, CLAIMS)
    part = PartialAnalysis(Analyzer(rank=rank), LinkFinder(link_row, link_kind))
    finder = part.relations = parser and RelationFinder("a given parser")
    given = None if links is None else list(links)
    texts = 0
    for batch, found in _batches(maps, tokens, claims):
        trusted = usable(batch, found)
        part.take(trusted, found, network=batch)
        part.note(batch.notes)
        if finder is not None and parser is not None:
            finder.add_all(trusted, parser)
        examples = max((len(one.weights) for one in batch.maps), default=0)
        if given is not None:
            for index, one in enumerate(given[texts : texts + examples]):
                _find_links(part.links, trusted, one, index, texts + index + 1)
        texts += examples
    if given is not None and len(given) != texts:
        fail("E0422.count", given=len(given), texts=texts)
    finish_example(
        part, threshold=threshold, top=top, rules=rules, tagger=tagger, flow=flow
    )
    return finish(part)


def _find_links(
    finder: LinkFinder, maps: AttentionMaps, links: Any, index: int, number: int
) -> None:
    try:
        finder.add(maps, links, index)
    except ValueError as error:
        fail("E0422.links", number=number, reason=error)


def _batches(
    given: Any, tokens: Any, claims: dict[str, Any]
) -> Iterator[tuple[AttentionMaps, list[Finding]]]:
    """The maps of each batch, and what is wrong with them."""
    if _are_batches(given):
        _refuse_claims({"tokens": tokens, **claims})
        batches = [given] if isinstance(given, AttentionMaps) else given
        for batch in batches:
            if not isinstance(batch, AttentionMaps):
                fail("E0433.batch", kind=type(batch).__name__)
            yield batch, examine(batch)
        return
    maps, found = admit(given, tokens, **claims)
    if not len(maps):
        raise NeuralError([one.diagnostic for one in found])
    yield maps, found


def _are_batches(given: Any) -> bool:
    if isinstance(given, AttentionMaps):
        return True
    if isinstance(given, Sequence):
        return any(isinstance(one, AttentionMaps) for one in given)
    # whatever else gives one thing after another, as a generator does
    others = isinstance(given, Mapping) or is_array(given)
    return isinstance(given, Iterable) and not others


def _refuse_claims(claims: Mapping[str, Any]) -> None:
    for name, value in claims.items():
        if value is not None:
            fail("E0414", name=name, what="maps")


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
    finder = part.relations
    connections = find_connections(
        part.maps,
        threshold=threshold,
        top=top,
        rules=rules,
        tagger=tagger,
        relations=None if finder is None else finder.linked(part.maps),
    )
    part.example = look_closely(part.maps, connections, flow=flow)
    if has_signed(part.maps):
        part.note(["no rollout: nothing flows through layers of signed weights"])
    reason = why_no_flow(part.maps) if flow else None
    part.note([reason] if reason else [])
