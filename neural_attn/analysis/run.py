"""From a network and texts to an analysis: what `neural analyze` does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn import backends
from neural_attn.analysis.analyze_maps import finish_example
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.induction_probe import measure_induction
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.result import Analysis, finish
from neural_attn.analysis.shard import PartialAnalysis
from neural_attn.compile import LoadedModel, check_file, choose, load_model
from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.inputs.arrays import max_length, prepare
from neural_attn.inputs.encoding import open_tokenizer, prepare_encoded
from neural_attn.inputs.texts import batches, count_all, of_every_input
from neural_attn.inputs.tokens import Tokens
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.validation import usable
from neural_attn.metrics.connections import THRESHOLD, spacy_tagger
from neural_attn.metrics.rollout import require_scipy
from neural_attn.models.capture import Captured, capture, require_attention
from neural_attn.models.saved import read_saved
from neural_attn.shapes.infer import Checked

__all__ = ["AnalysisRequest", "collect", "run_analysis"]

Progress = Callable[[int, int], None]  # texts done, texts in all


@dataclass(frozen=True)
class AnalysisRequest:
    """What to analyse; the fields are the options of the command.

    `file` is a .neural file, or an .npz file of maps, for which only `tokens`, `flow`,
    `rank` and what belongs to connections (`threshold`, `top`, `spacy`) matter.
    `groups` maps a name to a file of texts, one a line.
    """

    file: Path
    backend: str = "auto"
    network: str | None = None
    checkpoint: Path | None = None
    data: Any = None
    tokens: Tokens | None = None
    texts: Sequence[str] = ()
    groups: Mapping[str, Path] = field(default_factory=dict)
    links: Path | None = None
    tokenizer: Path | None = None
    batch_size: int = 16
    seed: int = 0
    probe: bool = True
    threshold: float = THRESHOLD
    top: int | None = None
    spacy: str | None = None
    flow: bool = False
    rank: bool = False


def run_analysis(
    request: AnalysisRequest, progress: Progress = lambda done, total: None
) -> tuple[Analysis, list[Diagnostic]]:
    """Collect, and finish; see `collect`."""
    part, warnings = collect(request, progress)
    return finish(part), warnings


def collect(
    request: AnalysisRequest, progress: Progress = lambda done, total: None
) -> tuple[PartialAnalysis, list[Diagnostic]]:
    """Run a network over texts, or read saved maps, and count the attention.

    `progress` is told how many texts are done. Texts pass in batches and are not kept.

    Returns
    -------
    part, warnings
        The part may be saved and merged with others before `finish` makes an analysis
        of it. Warnings are those of the network; what the input doctor found is in the
        part.

    Raises
    ------
    NeuralError
        For whatever the user can mend.
    """
    tagger = None if request.spacy is None else spacy_tagger(request.spacy)
    if request.flow:
        require_scipy()
    part = PartialAnalysis(Analyzer(rank=request.rank))
    warnings: list[Diagnostic] = []
    if request.file.suffix == ".npz":
        saved = read_saved(request.file, request.tokens)
        part.take(saved.maps, saved.findings, network=saved.network)
    else:
        warnings = _run_network(request, part, progress)
    finish_example(
        part,
        threshold=request.threshold,
        top=request.top,
        tagger=tagger,
        flow=request.flow,
    )
    return part, warnings


def _run_network(
    request: AnalysisRequest, part: PartialAnalysis, progress: Progress
) -> list[Diagnostic]:
    files = [*request.groups.values(), *([request.links] if request.links else [])]
    # First: a file without texts fails before any work is done.
    total = count_all(request.texts, files)
    networks, warnings = check_file(request.file)
    checked = choose(networks, request.network)
    require_attention(checked)
    name = backends.choose(request.backend).name
    loaded = load_model(checked, name, request.checkpoint, seed=request.seed)
    network = _outline(checked)
    part.network = _fingerprint(request, checked.network.name)
    if total:
        _run_texts(request, loaded, part, network, total, progress)
    else:
        prepared = prepare(checked, request.data, request.tokens, request.seed)
        part.note(prepared.notes)
        _take(part, capture(loaded, prepared.inputs, prepared.tokens), "", network)
        progress(prepared.batch, prepared.batch)
    if request.probe:
        probed = measure_induction(loaded, network, request.seed)
        if probed is not None:
            part.probe = probed[0]
            part.note([probed[1]])
    return warnings


def _take(
    part: PartialAnalysis, captured: Captured, group: str, network: AttentionMaps
) -> AttentionMaps:
    """Count one batch; gives the maps that can be trusted."""
    maps = usable(captured.maps, captured.findings)
    part.take(maps, captured.findings, group, network)
    return maps


def _fingerprint(request: AnalysisRequest, name: str) -> str:
    """A digest of the network and its weights: parts of another one do not merge."""
    digest = hashlib.sha256(f"{name}\n".encode())
    for path in (request.file, request.checkpoint):
        if path is not None:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    if request.checkpoint is None:
        digest.update(f"random weights {request.seed}".encode())
    return digest.hexdigest()


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
    part: PartialAnalysis,
    network: AttentionMaps,
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
        part.note(_numbered(encoded.notes, done))
        tokens = of_every_input(loaded.checked, encoded.tokens)
        captured = capture(loaded, prepared.inputs, tokens)
        maps = _take(part, captured, group, network)
        for index, one in enumerate(links):
            _count_links(part.links, maps, one, index, done)
        done += len(texts)
        progress(done, total)


def _numbered(notes: Sequence[str], before: int) -> list[str]:
    """Notes of the tokenizer, with the batch that its numbers of texts are within."""
    return [f"after {before:,} texts: {note}" if before else note for note in notes]


def _count_links(
    finder: LinkFinder,
    maps: AttentionMaps,
    links: Sequence[Any],
    index: int,
    before: int,
) -> None:
    try:
        finder.add(maps, [(int(a), int(b)) for a, b in links], index)
    except (ValueError, TypeError) as error:
        fail("E0422", f"text {before + index + 1}: {error}")
