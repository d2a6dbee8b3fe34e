"""From a network and texts to an analysis: what `neural analyze` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn import backends
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.connections import Tagger, find_connections, spacy_tagger
from neural_attn.analysis.doctor import Finding, examine, usable
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.result import Analysis, finish
from neural_attn.capture import Captured, capture, require_attention
from neural_attn.compile import LoadedModel, check_file, choose, load_model
from neural_attn.data import id_limits, max_length, prepare
from neural_attn.errors import Diagnostic, fail
from neural_attn.maps import AttentionMap, AttentionMaps
from neural_attn.shapes import Checked
from neural_attn.tokenizer import Tokenizer, find_tokenizer

__all__ = ["AnalysisRequest", "read_links", "run_analysis"]

PROBE_LENGTH = 25  # random tokens, then the same again (Olsson et al., 2022)
PROBES = 4  # such sequences
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
    networks, warnings = check_file(request.file)
    checked = choose(networks, request.network)
    require_attention(checked)
    name = backends.choose(request.backend).name
    loaded = load_model(checked, name, request.checkpoint, seed=request.seed)
    run = _Run(network=_outline(checked))
    if request.texts or request.groups or request.links:
        _run_texts(request, loaded, run, progress)
    else:
        prepared = prepare(checked, request.data, request.tokens, request.seed)
        run.note(prepared.notes)
        run.take(capture(loaded, prepared.inputs, prepared.tokens), "")
        progress(prepared.batch, prepared.batch)
    probe = _probe(request, loaded, run) if request.probe else None
    return _finished(run, tagger, probe), warnings


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
    request: AnalysisRequest, loaded: LoadedModel, run: _Run, progress: Progress
) -> None:
    path = find_tokenizer(request.file, request.checkpoint, request.tokenizer)
    if path is None:
        fail(
            "E0415",
            f"there is no tokenizer for {request.file.name}",
            hint="give one with --tokenizer tokenizer.json, or ids with --data",
        )
    tokenizer = Tokenizer(path)
    total = len(request.texts) + sum(map(count_texts, request.groups.values()))
    total += 0 if request.links is None else count_texts(request.links)
    done = 0
    for group, texts, links in _batches(request):
        encoded = tokenizer.encode(texts, max_length(loaded.checked))
        inputs = _inputs(loaded.checked, encoded.inputs)
        prepared = prepare(loaded.checked, inputs, encoded.tokens)
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


def _inputs(
    checked: Checked, given: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    names = [one.name for one in checked.network.inputs]
    if len(names) == 1:
        return {names[0]: given["input_ids"]}
    return {name: array for name, array in given.items() if name in names}


def _batches(
    request: AnalysisRequest,
) -> Iterator[tuple[str, list[str], list[Sequence[Any]]]]:
    """Groups, texts and their links (none, or one list per text), batch by batch."""
    size = request.batch_size
    sources: list[tuple[str, Iterator[str]]] = []
    if request.texts:
        sources.append(("", iter(request.texts)))
    sources += [(name, read_texts(path)) for name, path in request.groups.items()]
    for group, lines in sources:
        while batch := list(islice(lines, size)):
            yield group, batch, []
    if request.links is not None:
        pairs = read_links(request.links)
        while chunk := list(islice(pairs, size)):
            yield "", [text for text, _ in chunk], [links for _, links in chunk]


def count_texts(path: Path) -> int:
    """The number of texts in a file; raises NeuralError (E0408) if there is none."""
    count = sum(1 for _ in read_texts(path))
    if not count:
        fail("E0408", f"{path} holds no text")
    return count


def read_texts(path: Path) -> Iterator[str]:
    """The lines of a file that hold more than spaces, one at a time."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                if line.strip():
                    yield line.rstrip("\r\n")
    except OSError as error:
        fail("E0403", f"cannot read {path}: {(error.strerror or '').lower()}")
    except UnicodeDecodeError:
        fail("E0103", f"{path} is not UTF-8 text")


def read_links(path: Path) -> Iterator[tuple[str, Sequence[Any]]]:
    """Lines of JSON: {"text": "…", "links": [[from, to], …]}, positions of tokens."""
    for number, line in enumerate(read_texts(path), 1):
        try:
            row = json.loads(line)
            text, links = row["text"], row["links"]
        except (ValueError, KeyError, TypeError):
            text, links = None, None
        if not isinstance(text, str) or not isinstance(links, list):
            fail(
                "E0422",
                f"{path}, text {number} is not a text with links",
                hint='write {"text": "…", "links": [[2, 5]]} on each line',
            )
        yield text, links


# --- induction ----------------------------------------------------------------------


def _probe(request: AnalysisRequest, loaded: LoadedModel, run: _Run) -> Analyzer | None:
    """Random tokens, twice: what a head makes of a repetition that it cannot know."""
    checked = loaded.checked
    first = checked.network.inputs[0]
    limit = id_limits(checked).get(first.name)
    if first.dtype != "int" or limit is None or len(first.shape) != 1:
        return None
    longest = max_length(checked) or 2 * PROBE_LENGTH
    length = min(PROBE_LENGTH, longest // 2)
    # The first ids are often reserved: special tokens, unused rows.
    low = limit // 10
    if length < 4 or limit - low < length:
        return None
    random = np.random.default_rng(request.seed)
    rows = [
        random.choice(limit - low, length, replace=False) + low for _ in range(PROBES)
    ]
    ids = np.concatenate([np.stack(rows)] * 2, axis=1).astype(np.int64)
    inputs = {first.name: ids}
    for other in checked.network.inputs[1:]:
        if other.name not in ("token_type_ids", "attention_mask"):
            return None  # a second text: what would be repeated?
        flag = other.name == "attention_mask"
        inputs[other.name] = np.full_like(ids, int(flag))
    prepared = prepare(checked, inputs)
    tokens = [[str(number) for number in row] for row in ids.tolist()]
    captured = capture(loaded, prepared.inputs, tokens)
    probe = Analyzer()
    probe.add(usable(captured.maps, captured.findings), network=run.network)
    run.note(
        [
            f"induction is measured on {PROBES} sequences of {length} random tokens, "
            f"each twice (seed {request.seed})"
        ]
    )
    return probe
