"""The one way from an input to its pictures and numbers.

A `Request` says which model, on which inputs, and what is wanted; the rest is
input -> model -> maps -> numbers -> pictures. The commands, `AttentionVisualizer` and
`explore` differ only in where they stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neural_attn import backends
from neural_attn.analysis.analyze_maps import finish_example
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.analysis.induction_probe import measure_induction
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.analysis.steps import Steps
from neural_attn.diagnosis.diagnose import conclude
from neural_attn.diagnosis.faults import Diagnosis
from neural_attn.diagnosis.record import Record
from neural_attn.diagnostics.choices import check_options, keywords
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.explorer import page
from neural_attn.explorer.page import EXPLORER, ExplorerPage
from neural_attn.figures.look import PLAIN, Look
from neural_attn.files import atomic_write
from neural_attn.inputs.file_kinds import holds_arrays
from neural_attn.inputs.links import LinkedText, LinkRow, bring_texts, read_links
from neural_attn.inputs.mixtures import refuse_mixtures
from neural_attn.inputs.parses import Parser, spacy_parser, treebank
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.texts import as_paths, as_texts, batches, count_all
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.maps.validation import usable
from neural_attn.metrics.connections import THRESHOLD, spacy_tagger
from neural_attn.metrics.rollout import require_scipy
from neural_attn.models.attention_model import (
    AttentionModel,
    Captured,
    refuse_options,
)
from neural_attn.models.living.choice import Choice, Heads, Layers
from neural_attn.models.opening import is_handed_out, open_handed_out, open_model
from neural_attn.models.pytorch import ModuleModel
from neural_attn.pretrained.conversion.importing import import_folder
from neural_attn.promises import Rows
from neural_attn.selection import select_some

__all__ = [
    "OF_ANALYSES", "OF_PAGES", "OF_RUNS", "Batch", "Outcome", "Request", "attend",
    "collect", "diagnose", "explore", "refuse_lies", "run_analysis", "visualize",
]  # fmt: skip

Step = Callable[[str], None]  # what begins
Progress = Callable[[int, int], None]  # texts done, texts in all


@dataclass(frozen=True)
class Request:
    """What to run, on what, and what is wanted; the fields are options of commands.

    `model` is whatever `models.opening.open_model` takes, or the folder of a pretrained
    model, whose `.neural` file is kept in `output_dir`. `data` is an array, or a
    mapping of input name to array; `groups` maps a name to a file of texts. Texts run
    `batch_size` at a time (None: all together). `backend` may be "quickest", for one
    run.
    """

    model: Any
    network: str | None = None
    backend: str = "auto"
    checkpoint: Path | None = None
    tokenizer: Any = None  # a path, or an object of `transformers` or `tokenizers`
    seed: int = 0
    # inputs
    data: Any = None
    tokens: Tokens | None = None
    rows: Rows | None = None  # these four of plain arrays: see `maps.given.take`
    axes: str | None = None
    causal: bool | None = None
    mask: Any = None
    texts: Sequence[Text] = ()
    images: Sequence[Path] = ()
    sounds: Sequence[Path] = ()
    groups: Mapping[str, Path] = field(default_factory=dict)
    links: Path | None = None
    link_row: LinkRow = "token"  # these two as in `analysis.links.LinkFinder`
    link_kind: str | None = None
    batch_size: int | None = 16
    # numbers
    probe: bool = True
    threshold: float = THRESHOLD
    top: int | None = None
    spacy: str | None = None
    relations: bool = False  # by spaCy, unless there is a parse
    parse: Path | None = None  # CoNLL-U
    flow: bool = False
    rank: bool = False
    steps: bool = False  # also every step of what the network writes
    most_texts: int | None = None  # only this many texts, the first ones
    # pictures
    layer: str | int | None = None
    head: int | None = None
    examples: int = 3
    output_dir: Path = Path("attention_outputs")
    formats: tuple[str, ...] = ("png",)
    dpi: float = 150
    cmap: str | None = None
    look: Look | None = None
    save_maps: Path | None = None
    precision: str | None = None  # as in `neural_attn.explorer.page.explore`

    @property
    def files(self) -> list[Path]:
        """The files of texts."""
        return [*self.groups.values(), *([self.linked] if self.linked else [])]

    @property
    def linked(self) -> Path | None:
        """The links, if their file brings the texts; otherwise they are of the data."""
        return self.links if self.links and bring_texts(self.links) else None

    @property
    def media(self) -> Sequence[Path]:
        """The files of images or of sound."""
        return self.images or self.sounds

    @property
    def has_texts(self) -> bool:
        """Whether it runs on texts, not on arrays."""
        return bool(self.texts or self.files)


# The fields that say how a model runs on its inputs, and with those what is counted.
OF_RUNS = (
    *("network", "backend", "checkpoint", "seed", "tokens", "rows", "axes", "causal"),
    *("mask", "images", "sounds", "groups", "batch_size", "output_dir"),
)
OF_ANALYSES = (
    *(*OF_RUNS, "links", "link_row", "link_kind", "probe", "threshold", "top", "spacy"),
    *("relations", "parse", "flow", "rank", "steps", "most_texts"),
)


@dataclass(frozen=True)
class Batch:
    """One run, after `before` texts; `links` are those of each text, if any.

    `texts` is empty where it ran on anything else.
    """

    captured: Captured
    prepared: Prepared
    notes: Sequence[str]
    group: str = ""
    links: Sequence[LinkedText] = ()
    before: int = 0
    texts: Sequence[Text] = ()


def _find_files(
    request: Request, step: Step = lambda begins: None
) -> tuple[Request, list[str]]:
    """The same request with the files it does not name, and what to say of them."""
    found = import_folder(
        request.model,
        request.output_dir,
        checkpoint=request.checkpoint,
        network=request.network,
        step=step,
    ).or_beside()
    return replace(request, model=found.model, checkpoint=found.checkpoint), found.notes


def _choose_backend(request: Request) -> tuple[Request, list[str]]:
    """The request with the backend that "quickest" is, and a word on why."""
    if request.backend != "quickest":
        return request, []
    if not isinstance(request.model, Path) or holds_arrays(request.model):
        return replace(request, backend="auto"), []  # nothing is run
    why = "it needs no framework (--backend chooses another)"
    quickest = backends.QUICKEST
    return replace(request, backend=quickest), [f"run with {quickest}: {why}"]


def open_request(request: Request) -> AttentionModel:
    """The model of a request, not run yet."""
    if isinstance(request.model, PartialAnalysis):
        fail("E0445", counted=request.model.counted)
    return open_model(
        request.model,
        network=request.network,
        backend=request.backend,
        checkpoint=request.checkpoint,
        tokenizer=request.tokenizer,
        seed=request.seed,
        tokens=request.tokens,
        rows=request.rows,
        axes=request.axes,
        causal=request.causal,
        mask=request.mask,
    )


def attend(model: AttentionModel, request: Request) -> Iterator[Batch]:
    """Run a model on the inputs of a request, batch by batch; nothing is kept.

    Raises NeuralError for whatever the user can mend.
    """
    if request.media:
        yield from _attend_to_media(model, request)
        return
    if not request.has_texts:
        prepared = model.prepare(request.data, request.tokens, request.seed)
        # maps that are there already have the rows of their examples
        is_sample = request.data is None and not isinstance(prepared.inputs, range)
        if request.links is not None and is_sample:
            fail("E0414.sample")
        if is_sample and (request.relations or request.parse):
            fail("E0414.words", name=_parse_option(request))
        links = _links_of_data(request, prepared.batch)
        yield Batch(model.run(prepared), prepared, prepared.notes, links=links)
        return
    before = 0
    for group, texts, links in batches(
        request.texts,
        request.groups,
        request.linked,
        request.batch_size,
        request.most_texts,
    ):
        prepared = model.encode(texts)
        after = f"after {before:,} texts: " if before else ""
        notes = [after + note for note in prepared.cut]
        if prepared.written and not before:
            notes += prepared.notes  # that it wrote what is looked at
        captured = model.run(prepared)
        yield Batch(captured, prepared, notes, group, links, before, texts)
        before += len(texts)


def _attend_to_media(model: AttentionModel, request: Request) -> Iterator[Batch]:
    """Batches of images or sounds, each with the texts that stand beside them."""
    encode = model.encode_images if request.images else model.encode_sounds
    links = _links_of_data(request, len(request.media))
    size = request.batch_size or len(request.media)
    for start in range(0, len(request.media), size):
        some = slice(start, start + size)
        prepared = encode(request.media[some], request.texts[some])
        notes = [*prepared.cut, *prepared.notes]
        captured = model.run(prepared)
        yield Batch(captured, prepared, notes, links=links[some], before=start)


def _links_of_data(request: Request, count: int) -> list[LinkedText]:
    """The links of each of `count` examples; none if none are given."""
    if request.links is None:
        return []
    links = list(read_links(request.links))
    if len(links) != count:
        fail("E0422.count", given=len(links), texts=count)
    return links


def capture(request: Request, layers: Layers = None, heads: Heads = None) -> Batch:
    """Run all inputs of a request at once; keep some layers and heads.

    Raises NeuralError as `neural_attn.capture`.
    """
    Choice.of(layers, heads)  # before anything runs
    _check_inputs(request)
    request, notes = _find_files(request)
    model = open_request(request)
    if isinstance(model, ModuleModel):
        model = model.choosing(layers, heads, None)
    batch = next(attend(model, replace(request, batch_size=None)))
    captured = batch.captured
    if not isinstance(model, ModuleModel):
        maps = select_some(captured.maps, layers, heads)
        captured = replace(captured, maps=maps)
    return replace(batch, captured=captured, notes=[*notes, *batch.notes])


# --- numbers ------------------------------------------------------------------------


def run_analysis(
    request: Request, progress: Progress = lambda done, total: None
) -> tuple[Analysis, list[Diagnostic]]:
    """Collect, and finish; see `collect`."""
    part, warnings = collect(request, progress)
    return finish(part), warnings


def collect(
    request: Request, progress: Progress = lambda done, total: None
) -> tuple[PartialAnalysis, list[Diagnostic]]:
    """Run a model over its inputs and count the attention.

    `progress` is told how many texts are done. Texts pass in batches and are not kept.

    Returns
    -------
    part, warnings
        The part may be saved and merged with others before `finish` makes an analysis
        of it. Warnings are those of the model; what the input doctor found is in the
        part.

    Raises
    ------
    NeuralError
        For whatever the user can mend.
    """
    tagger = None if request.spacy is None else spacy_tagger(request.spacy)
    parser = _parser(request)
    if request.flow:
        require_scipy()
    _check_inputs(request)
    # First: a file without texts fails before any work is done.
    total = len(request.media) or count_all(
        request.texts, request.files, request.most_texts
    )
    request, notes = _find_files(request)
    model = open_request(request)
    finder = LinkFinder(request.link_row, request.link_kind)
    part = PartialAnalysis(Analyzer(rank=request.rank), finder)
    part.steps = Steps() if request.steps else None
    part.relations = None if parser is None else RelationFinder(_parser_name(request))
    part.note(notes)
    for batch in attend(model, request):
        _count(part, batch, request, model.outline)
        if part.relations is not None and parser is not None:
            captured = usable(batch.captured.maps, batch.captured.findings)
            part.relations.add_all(captured, parser, batch.texts)
        done = batch.before + batch.prepared.batch
        progress(done, total or done)
    if part.relations and part.relations.unparsed == part.analyzer.texts:
        fail("E0422.parse", path=request.parse, texts=part.analyzer.texts)
    part.network = model.identity
    if request.probe:
        probed = measure_induction(model, request.seed)
        if probed is not None:
            part.probe = probed[0]
            part.note([probed[1]])
    finish_example(
        part,
        threshold=request.threshold,
        top=request.top,
        tagger=tagger,
        flow=request.flow,
    )
    return part, list(model.warnings)


_PIPELINE = "en_core_web_sm"  # of spaCy, unless another is named


def _parser(request: Request) -> Parser | None:
    """What parses the texts; None where nobody asked."""
    if request.parse is None and not request.relations:
        return None
    if request.media:
        fail("E0414.words", name=_parse_option(request))
    if request.parse is not None:
        return treebank(request.parse)
    return spacy_parser(request.spacy or _PIPELINE)


def _parse_option(request: Request) -> str:
    return "--relations" if request.parse is None else "--parse"


def _parser_name(request: Request) -> str:
    if request.parse is not None:
        return "the parse given"
    return f"spaCy's {Path(request.spacy or _PIPELINE).name}"


def _count(
    part: PartialAnalysis, batch: Batch, request: Request, outline: AttentionMaps
) -> None:
    findings = batch.captured.findings
    if request.steps and not batch.captured.maps.written:
        fail("E0414", name="steps", what="a network that writes nothing here")
    maps = usable(batch.captured.maps, findings)
    part.take(maps, findings, batch.group, outline)
    part.note(batch.notes)
    for index, one in enumerate(batch.links):
        _find_links(part, maps, one, index, request.links)


def _find_links(
    part: PartialAnalysis,
    maps: AttentionMaps,
    one: LinkedText,
    index: int,
    path: Path | None,
) -> None:
    try:
        part.links.add(maps, one.links, index)
    except ValueError as error:
        fail("E0422.line", path=path, number=one.line, reason=error)


# --- faults -------------------------------------------------------------------------


def diagnose(
    request: Request, progress: Progress = lambda done, total: None
) -> tuple[Diagnosis, list[Diagnostic]]:
    """Run a model over its inputs, and say what is wrong with it.

    `progress` is told how many texts are done. Texts pass in batches and are not kept.
    The warnings are those of the model. Raises NeuralError for whatever the user can
    mend.
    """
    _check_inputs(request)
    total = len(request.media) or count_all(request.texts, request.files)
    request, notes = _find_files(request)
    model = open_request(request)
    record = Record()
    for batch in attend(model, request):
        record.add(batch.captured.maps, batch.captured.findings, model.outline)
        notes += [note for note in batch.notes if note not in notes]
        done = batch.before + batch.prepared.batch
        progress(done, total or done)
    return conclude(record, notes), list(model.warnings)


# --- pictures -----------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the maps, the files by name, and what to tell the user."""

    maps: AttentionMaps
    output: Any
    files: dict[str, Path]
    notes: list[str] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)


def visualize(request: Request, step: Step = lambda begins: None) -> Outcome:
    """Run a model, and draw its attention.

    `step` is told what begins, for a progress display. Raises NeuralError for
    whatever the user can mend; nothing is written then.
    """
    _check_inputs(request)
    _check_outputs(request)
    request, imported = _find_files(request, step)
    request, chosen = _choose_backend(request)
    step("checking the network")
    model = open_request(request)
    step("running it")
    batch = next(attend(model, replace(request, batch_size=None)))
    captured, count = batch.captured, _examples(batch)
    refuse_lies(captured, request.layer)
    _refuse_looks(captured.maps, request.look)
    files = _draw(captured.maps, request, min(count, request.examples), step)
    for name, text in model.code.items():
        files[name] = atomic_write(request.output_dir / name, text)
    if request.save_maps is not None:
        captured.maps.save(request.save_maps)
        files[request.save_maps.name] = request.save_maps
    notes = [*imported, *chosen, *batch.prepared.cut, *batch.prepared.notes]
    notes += _cut_notes(captured.maps, request.look)
    notes += _explorer_notes(request)
    if count > request.examples:
        notes.append(f"drew {request.examples} of {count} examples (--num-examples)")
    warnings = [*model.warnings, *(one.diagnostic for one in captured.findings)]
    return Outcome(captured.maps, captured.output, files, notes, warnings)


def _refuse_looks(maps: AttentionMaps, look: Look | None) -> None:
    """Raise NeuralError (E0414) for what changes no picture of these maps."""
    if look is None:
        return
    if look.row and not maps.written:
        fail("E0414", name="row", what="what the network did not write")
    for side, most in (("src", look.max_src), ("trg", look.max_trg)):
        if most is not None and not _lengths(maps, side):
            what = "source" if side == "src" else "target"
            fail("E0414", name=f"max-{side}", what=f"maps without a {what}")


def _lengths(maps: AttentionMaps, side: str) -> list[int]:
    """How many tokens of the source ("src") or of the target ("trg") each map has."""
    of_source = side == "src"
    return [
        one.weights.shape[3 if of_source else 2]
        for one in maps.maps
        if one.kind == "cross" or (one.kind == "encoder_self") == of_source
    ]


def _cut_notes(maps: AttentionMaps, look: Look | None) -> list[str]:
    """What pictures leave out: the explorer and saved maps have all of it."""
    notes = []
    sides = {} if look is None else {"src": look.max_src, "trg": look.max_trg}
    for side, most in sides.items():
        longest = max(_lengths(maps, side), default=0)
        if most is not None and longest > most:
            what = "source" if side == "src" else "target"
            notes.append(
                f"pictures show {most} of up to {longest} {what} tokens "
                f"(--max-{side}); the explorer and --save-maps have all"
            )
    return notes


# options of pictures -> what the explorer has instead
_OF_PICTURES = {
    "cmap": "colours of its own",
    "annotate": "each value under the pointer",
    "figsize": "the size of its window",
    "row": "rows by the token that was fed",
}


def _explorer_notes(request: Request) -> list[str]:
    """What was asked for that the explorer does otherwise."""
    look = request.look or PLAIN
    given = {
        "cmap": request.cmap is not None, "annotate": look.annotate,
        "figsize": look.figsize is not None, "row": look.row is not None,
    }  # fmt: skip
    names = [name for name in _OF_PICTURES if given[name]]
    if not names:
        return []
    options = " and ".join(f"--{name}" for name in names)
    verb = "does" if len(names) == 1 else "do"
    has = " and ".join(_OF_PICTURES[name] for name in names)
    return [f"{options} {verb} not change the explorer, which has {has}"]


def _examples(batch: Batch) -> int:
    """How many examples all maps have: a module's first axis may be another."""
    of_maps = (len(one.weights) for one in batch.captured.maps.maps)
    return min(batch.prepared.batch, *of_maps, batch.prepared.batch)


def explore(
    model: Any,
    inputs: Any = None,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    axes: str | None = None,
    causal: bool | None = None,
    mask: Any = None,
    tokenizer: Any = None,
    checkpoint: str | Path | None = None,
    backend: str = "auto",
    layers: Layers = None,
    heads: Heads = None,
    **options: Any,
) -> ExplorerPage:
    """Make an offline page that shows every head of a model.

    A notebook displays the result; elsewhere `.save(path)` writes it.

    Parameters
    ----------
    model : AttentionMaps, a path, arrays, a PyTorch module, a Keras or another model
        Maps are shown as they are; anything else is opened and run first. Arrays are as
        a library returns them: `outputs.attentions`, or `outputs`. The `.neural` file
        of a pretrained model's folder is kept in `attention_outputs`.
    inputs : a text, a list of texts, an array, a mapping of them, a Path, or None
        In a list, a tuple of two texts is a pair. A Path is the file of an image, or of
        sound (.wav); a list may hold several. None takes a random sample, unless the
        model already holds its attention: of arrays, what the model that computed them
        was called with, by name, or its ids.
    tokens, rows, axes, causal, mask : for arrays, as in `neural_attn.maps.given.take`
    tokenizer, checkpoint, backend : as in `Request`
        The tokenizer of a module may be one of `transformers` or `tokenizers`.
    layers, heads : which are in the page, as in `neural_attn.capture`; None: all
        `layer` and `head`, of `options`, say which of them it opens on.
    options : as in `neural_attn.explorer.page.explore`

    Raises
    ------
    ValueError
        If there are no maps, or an option has no such value.
    TypeError
        If there is no such option.
    NeuralError
        If something is wrong with the model or its inputs, or a page would not be true.
    """
    check_options(explore, options, keywords(page.explore))
    if isinstance(model, AttentionMaps):
        given = {"inputs": inputs, "tokens": tokens, "rows": rows}
        given |= {"axes": axes, "causal": causal, "mask": mask}
        given |= {"tokenizer": tokenizer, "checkpoint": checkpoint, "backend": backend}
        refuse_options(given, "maps")
        return page.explore(select_some(model, layers, heads), **options)
    if inputs is not None and is_handed_out(model):
        model = open_handed_out(
            model, inputs, tokens=tokens, tokenizer=tokenizer,
            rows=rows, axes=axes, causal=causal, mask=mask,
        )  # fmt: skip
        inputs = tokens = tokenizer = rows = axes = causal = mask = None
    texts, paths = as_texts(inputs), as_paths(inputs)
    sounds = [path for path in paths if path.suffix.lower() == ".wav"]
    request = Request(
        model,
        data=inputs if texts is None and not paths else None,
        texts=texts or (),
        images=[path for path in paths if path not in sounds],
        sounds=sounds,
        tokens=tokens,
        rows=rows,
        axes=axes,
        causal=causal,
        mask=mask,
        tokenizer=Path(tokenizer) if isinstance(tokenizer, str) else tokenizer,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        backend=backend,
    )
    batch = capture(request, layers, heads)
    refuse_lies(batch.captured, None)
    maps = batch.captured.maps
    told = [*maps.notes, *batch.notes, *batch.captured.advice]
    said = tuple(dict.fromkeys(told))
    return page.explore(replace(maps, notes=said), **options)


OF_PAGES = (*keywords(explore), *keywords(page.explore))  # what `explore` takes by name


def _draw(
    maps: AttentionMaps, request: Request, count: int, step: Step
) -> dict[str, Path]:
    """Write the pictures of `count` examples, and the explorer of them.

    Raises NeuralError if the maps have no such layer or head; nothing is written then.
    """
    from neural_attn.figures.pictures import write_pictures

    try:
        maps.select(request.layer).select(head=request.head)
    except SelectionError as error:
        fail("E0412", reason=str(error))
    files: dict[str, Path] = {}
    for index in range(count):
        step(f"drawing example {index + 1} of {count}" if count > 1 else "drawing")
        folder = request.output_dir
        folder = folder / f"example_{index + 1}" if count > 1 else folder
        written = write_pictures(
            maps,
            folder,
            layer=request.layer,
            head=request.head,
            batch_index=index,
            formats=request.formats,
            dpi=request.dpi,
            cmap=request.cmap,
            examples_dir=request.output_dir,
            **({} if request.look is None else {"look": request.look}),
        )
        prefix = f"{folder.name}/" if count > 1 else ""
        files.update({prefix + name: path for name, path in written.items()})
    step("writing the explorer")
    explorer = page.explore(
        maps,
        precision=request.precision,
        examples=count,
        layer=request.layer,
        head=request.head,
        **_look_of_page(request.look or PLAIN),
    )
    files[EXPLORER] = explorer.save(request.output_dir / EXPLORER)
    return files


def _look_of_page(look: Look) -> dict[str, Any]:
    """Of how pictures look what the explorer opens with: what differs from the usual.

    Its theme is then that of the reader's system.
    """
    names = ("hide_special", "hide_sinks", "renormalize", "scale", "theme")
    asked = {name: getattr(look, name) for name in names}
    return {name: one for name, one in asked.items() if one != getattr(PLAIN, name)}


# --- what cannot be -----------------------------------------------------------------


def refuse_lies(captured: Captured, layer: str | int | None) -> None:
    """Raise NeuralError with all findings where a picture would not be true."""
    stopping = {finding.map for finding in captured.findings if finding.stops}
    if stopping <= set(captured.maps):
        try:
            stopping &= set(captured.maps.select(layer))
        except SelectionError:
            return  # reported as such by the caller
    if stopping:
        problem = Diagnostic.of("E0421")
        raise NeuralError([*(f.diagnostic for f in captured.findings), problem])


def _check_inputs(request: Request) -> None:
    """Refuse inputs that exclude each other."""
    media = request.images, request.sounds
    refuse_mixtures(request.data, request.texts, *media, request.tokens, request.files)
    has_data = request.media or not request.has_texts
    if request.links and not request.linked and not has_data:
        fail("E0414.links")


def _check_outputs(request: Request) -> None:
    """Refuse what could only fail after the work is done."""
    from neural_attn.figures import palette

    try:
        palette.colormap(request.cmap)
    except ValueError as error:
        fail("E0413", reason=str(error))
    folder, maps = request.output_dir, request.save_maps
    if folder.exists() and not folder.is_dir():
        fail("E0418.folder", path=folder)
    if maps is not None and maps.is_dir():
        fail("E0418.maps", path=maps)
