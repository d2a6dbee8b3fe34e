"""From a .neural file to pictures: what the command line and the API share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_attn import backends
from neural_attn.compile import LoadedModel, check_file, choose, load_model
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.files import atomic_write
from neural_attn.inputs.arrays import Prepared, Tokens, max_length, prepare
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.models.capture import Captured, capture, require_attention
from neural_attn.shapes.infer import Checked

EXPLORER = "attention_explorer.html"


@dataclass(frozen=True)
class Request:
    """What to run and what to draw; the fields are the options of the command."""

    file: Path
    backend: str = "auto"
    network: str | None = None
    checkpoint: Path | None = None
    data: Any = None
    tokens: Tokens | None = None
    texts: Sequence[str] = ()
    tokenizer: Path | None = None
    layer: str | int | None = None
    head: int | None = None
    output_dir: Path = Path("attention_outputs")
    formats: tuple[str, ...] = ("png",)
    dpi: float = 150
    cmap: str | None = None
    seed: int = 0
    examples: int = 3
    save_maps: Path | None = None
    precision: str = "compact"


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the maps, the files by name, and what to tell the user."""

    maps: AttentionMaps
    output: Any
    files: dict[str, Path]
    loaded: LoadedModel
    notes: list[str] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)


Step = Callable[[str], None]


def _quiet(step: str) -> None:
    pass


def visualize(request: Request, step: Step = _quiet) -> Outcome:
    """Compile, run, and draw the attention of a .neural file.

    `step` is told what begins, for a progress display. Raises NeuralError for
    whatever the user can mend; nothing is written then.
    """
    step("checking the network")
    networks, warnings = check_file(request.file)
    checked = choose(networks, request.network)
    require_attention(checked)
    _check_options(request)
    prepared = _prepare(request, checked)
    backend = backends.choose(request.backend)
    step(f"building the network ({backend.name})")
    loaded = load_model(checked, backend.name, request.checkpoint, seed=request.seed)
    step("running it")
    captured = capture(loaded, prepared.inputs, prepared.tokens)
    _refuse_lies(captured, request.layer)
    files = draw(captured.maps, request, prepared.batch, step)
    source = request.output_dir / f"compiled_model_{backend.name}.py"
    files[source.name] = atomic_write(source, loaded.source)
    if request.save_maps is not None:
        captured.maps.save(request.save_maps)
        files[request.save_maps.name] = request.save_maps
    notes = list(prepared.notes)
    if prepared.batch > request.examples:
        notes.append(
            f"drew {request.examples} of {prepared.batch} examples (--num-examples)"
        )
    warnings += [finding.diagnostic for finding in captured.findings]
    return Outcome(captured.maps, captured.output, files, loaded, notes, warnings)


def draw(
    maps: AttentionMaps, request: Request, batch: int, step: Step = _quiet
) -> dict[str, Path]:
    """Write the pictures of some of the `batch` examples, and the explorer of them.

    Raises NeuralError if the maps have no such layer or head; nothing is written then.
    """
    from neural_attn.explorer.page import explore
    from neural_attn.figures.pictures import write_pictures

    try:
        maps.select(request.layer).select(head=request.head)
    except SelectionError as error:
        fail("E0412", str(error))
    files: dict[str, Path] = {}
    count = min(batch, request.examples)
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
        )
        prefix = f"{folder.name}/" if count > 1 else ""
        files.update({prefix + name: path for name, path in written.items()})
    step("writing the explorer")
    page = request.output_dir / EXPLORER
    files[page.name] = explore(maps, precision=request.precision, examples=count).save(
        page
    )
    return files


def _refuse_lies(captured: Captured, layer: str | int | None) -> None:
    """Raise NeuralError with all findings where a picture would not be true."""
    stopping = {finding.map for finding in captured.findings if finding.stops}
    if stopping <= set(captured.maps):
        try:
            stopping &= set(captured.maps.select(layer))
        except SelectionError:
            return  # reported as such by the caller
    if stopping:
        problem = Diagnostic("E0421", "no picture is drawn, as it would not be true")
        raise NeuralError([*(f.diagnostic for f in captured.findings), problem])


def _check_options(request: Request) -> None:
    """Refuse what could only fail after the work is done."""
    from neural_attn.figures import palette

    try:
        palette.colormap(request.cmap)
    except ValueError as error:
        fail("E0413", str(error))
    folder, maps = request.output_dir, request.save_maps
    if folder.exists() and not folder.is_dir():
        fail("E0418", f"the output folder {folder} is a file")
    if maps is not None and maps.is_dir():
        fail("E0418", f"{maps} is a directory", hint="give --save-maps a file name")
    given = [request.data is not None, bool(request.texts)]
    if all(given):
        fail("E0414", "both data and a text are given", hint="give one of them")
    if request.texts and request.tokens is not None:
        fail(
            "E0414",
            "both a text and tokens are given",
            hint="a text brings its own tokens",
        )


def _prepare(request: Request, checked: Checked) -> Prepared:
    if not request.texts:
        return prepare(checked, request.data, request.tokens, request.seed)
    from neural_attn.inputs.encoding import open_tokenizer, prepare_encoded

    tokenizer = open_tokenizer(request.file, request.checkpoint, request.tokenizer)
    encoded = tokenizer.encode(list(request.texts), max_length(checked))
    prepared = prepare_encoded(checked, encoded)
    return Prepared(prepared.inputs, prepared.tokens, [*encoded.notes, *prepared.notes])
