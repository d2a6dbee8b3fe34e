"""From a network and texts to an analysis: what `neural analyze` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn import backends
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.connections import Tagger, find_connections, spacy_tagger
from neural_attn.analysis.doctor import Finding, examine, usable
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.probe import measure_induction
from neural_attn.analysis.result import Analysis, finish
from neural_attn.analysis.texts import batches, count_all
from neural_attn.capture.data import max_length, prepare
from neural_attn.capture.run import Captured, capture, require_attention
from neural_attn.capture.texts import open_tokenizer, prepare_encoded
from neural_attn.compile import LoadedModel, check_file, choose, load_model
from neural_attn.errors import Diagnostic, fail
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.shapes.infer import Checked

__all__ = ["AnalysisRequest", "run_analysis"]

_MOST_NOTES = 5

Progress = Callable[[int, int], None]  # texts done, texts in all


@dataclass(frozen=True)
class AnalysisRequest:
    """What to analyse; the fields are the options of the command.

    `file` is a .neural file, or an .npz file of saved maps, for which only `links` and
    `tagger` matter. `groups` maps a name to a file of texts, one a line.
    """

    file: Path
    backend: str = "auto"
    network: str | None = None
    checkpoint: Path | None = None
    data: Any = None
    tokens: Sequence[str] | None = None
    texts: Sequence[str] = ()
    groups: Mapping[str, Path] = field(default_factory=dict)
    links: Path | None = None
    tokenizer: Path | None = None
    batch_size: int = 16
    seed: int = 0
    probe: bool = True
    spacy: str | None = None


@dataclass
class _Run:
    """What is collected while texts pass by."""

    analyzer: Analyzer = field(default_factory=Analyzer)
    links: LinkFinder = field(default_factory=LinkFinder)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    first: AttentionMaps | None = None
    network: AttentionMaps | None = None

    def take(self, captured: Captured, group: str) -> AttentionMaps:
        """Count one batch; gives the maps that can be trusted."""
        known = {(one.code, one.map) for one in self.findings}
        for one in captured.findings:
            if (one.code, one.map) not in known:
                self.findings.append(one)
        maps = usable(captured.maps, captured.findings)
        self.analyzer.add(maps, group, self.network)
        self.first = maps if self.first is None else self.first
        return maps

    def note(self, notes: Sequence[str]) -> None:
        """Keep the first few notes, and count the others."""
        for note in notes:
            if note in self.notes:
                continue
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(note)
            else:
                self.left_out += 1


def run_analysis(
    request: AnalysisRequest, progress: Progress = lambda done, total: None
) -> tuple[Analysis, list[Diagnostic]]:
    """Run a network over texts, or read saved maps, and analyse the attention.

    `progress` is told how many texts are done. Texts pass in batches and are not kept.

    Returns
    -------
    analysis, warnings
        Warnings are those of the network; what the input doctor found is in the
        analysis.

    Raises
    ------
    NeuralError
        For whatever the user can mend.
    """
    tagger = None if request.spacy is None else spacy_tagger(request.spacy)
    if request.file.suffix == ".npz":
        return _of_saved_maps(request, tagger), []
    files = [*request.groups.values(), *([request.links] if request.links else [])]
    # First: a file without texts fails before any work is done.
    total = count_all(request.texts, files)
    networks, warnings = check_file(request.file)
    checked = choose(networks, request.network)
    require_attention(checked)
    name = backends.choose(request.backend).name
    loaded = load_model(checked, name, request.checkpoint, seed=request.seed)
    run = _Run(network=_outline(checked))
    if total:
        _run_texts(request, loaded, run, total, progress)
    else:
        prepared = prepare(checked, request.data, request.tokens, request.seed)
        run.note(prepared.notes)
        run.take(capture(loaded, prepared.inputs, prepared.tokens), "")
        progress(prepared.batch, prepared.batch)
    probed = None
    if request.probe:
        probed = measure_induction(loaded, run.network, request.seed)
    if probed is not None:
        run.note([probed[1]])
    return _finished(run, tagger, probed[0] if probed else None), warnings


def _finished(run: _Run, tagger: Tagger | None, probe: Analyzer | None) -> Analysis:
    connections = {}
    if run.first is not None and len(run.first):
        connections = find_connections(run.first, tagger=tagger)
    if run.left_out:
        run.notes.append(f"and {run.left_out:,} more notes like these")
    return finish(
        run.analyzer,
        maps=run.first,
        probe=probe,
        links=run.links.scores(),
        connections=connections,
        findings=run.findings,
        notes=run.notes,
    )


def _of_saved_maps(request: AnalysisRequest, tagger: Tagger | None) -> Analysis:
    try:
        maps = AttentionMaps.load(request.file)
    except OSError as error:
        fail("E0403", f"cannot read {request.file}: {(error.strerror or '').lower()}")
    except ValueError as error:
        fail("E0419", str(error), hint="AttentionMaps.save and --save-maps write them")
    run = _Run(network=maps)
    run.take(Captured(np.empty(0), maps, tuple(examine(maps))), "")
    return _finished(run, tagger, None)


def _outline(checked: Checked) -> AttentionMaps:
    """Maps of one weight each: the layers and heads of the network, all of them."""
    maps = [
        AttentionMap(
            name,
            np.ones((1, attention.heads or 1, 1, 1), np.float32),
            attention.kind,  # type: ignore[arg-type]
        )
        for name, attention in checked.attentions.items()
    ]
    return AttentionMaps(maps)


# --- texts --------------------------------------------------------------------------


def _run_texts(
    request: AnalysisRequest,
    loaded: LoadedModel,
    run: _Run,
    total: int,
    progress: Progress,
) -> None:
    tokenizer = open_tokenizer(request.file, request.checkpoint, request.tokenizer)
    done = 0
    for group, texts, links in batches(
        request.texts, request.groups, request.links, request.batch_size
    ):
        encoded = tokenizer.encode(texts, max_length(loaded.checked))
        prepared = prepare_encoded(loaded.checked, encoded)
        run.note(_numbered(encoded.notes, done))
        maps = run.take(capture(loaded, prepared.inputs, prepared.tokens), group)
        for index, one in enumerate(links):
            _count_links(run, maps, one, index, done)
        done += len(texts)
        progress(done, total)


def _numbered(notes: Sequence[str], before: int) -> list[str]:
    """Notes of the tokenizer, with the batch that its numbers of texts are within."""
    return [f"after {before:,} texts: {note}" if before else note for note in notes]


def _count_links(
    run: _Run, maps: AttentionMaps, links: Sequence[Any], index: int, before: int
) -> None:
    try:
        run.links.add(maps, [(int(a), int(b)) for a, b in links], index)
    except (ValueError, TypeError) as error:
        fail("E0422", f"text {before + index + 1}: {error}")
