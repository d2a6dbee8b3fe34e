"""From a file to its teaching pictures: opens it, reads what is asked for, draws it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_attn import pipeline
from neural_attn.check import check_file, choose
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.files import atomic_write
from neural_attn.inputs.prepared import Tokens
from neural_attn.inputs.texts import as_texts
from neural_attn.maps.attention_maps import SelectionError
from neural_attn.models.opening import load_network
from neural_attn.pipeline import Request
from neural_attn.pretrained.conversion.importing import import_folder
from neural_attn.shapes.instance import Checked
from neural_attn.teaching import loss, masks, positions, schedule
from neural_attn.teaching.charts import Lesson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "KINDS", "Source", "Taught", "plot_loss", "plot_masks", "plot_positions",
    "plot_schedule", "read_lessons", "teach",
]  # fmt: skip

REFEREE = "numpy"  # the backend that others are compared with, and always there
PAGE = "teaching.html"
PathLike = str | os.PathLike[str]


class Source:
    """A file: its networks, and what runs them."""

    def __init__(self, request: Request) -> None:
        found = import_folder(
            request.model,
            request.output_dir,
            checkpoint=request.checkpoint,
            network=request.network,
        ).or_beside()
        if not isinstance(found.model, str | os.PathLike):
            fail("E0481.file", kind=type(found.model).__name__)
        self.request = replace(
            request, model=found.model, checkpoint=found.checkpoint, backend=REFEREE
        )
        self.notes = list(found.notes)
        self.networks, self.warnings = check_file(found.model)

    @cached_property
    def checked(self) -> Checked:
        """The network that is asked for."""
        return choose(self.networks, self.request.network)

    @property
    def compared(self) -> list[Checked]:
        """The networks that share one picture: all of the file, or the one named."""
        return self.networks if self.request.network is None else [self.checked]

    def masks(self) -> Lesson:
        """See `teaching.masks`."""
        request = self.request
        model = pipeline.open_request(request)
        said: list[str] = []
        if request.data is None and not request.has_texts and not request.media:
            prepared = model.prepare(None, request.tokens, request.seed)
            prepared = masks.pad_sample(self.checked, prepared)
            captured, said = model.run(prepared), list(prepared.notes)
        else:
            batch = pipeline.capture(request)
            captured, said = batch.captured, list(batch.notes)
        pipeline.refuse_lies(captured, request.layer)
        try:
            maps = captured.maps.select(request.layer)
        except SelectionError as error:
            fail("E0412", reason=str(error))
        return masks.lesson(maps, said)

    def positions(self, length: int | None = None) -> Lesson:
        """See `teaching.positions`."""
        request = self.request
        loaded = load_network(
            self.checked, REFEREE, request.checkpoint, seed=request.seed
        )
        return positions.lesson(loaded, length)

    def schedule(self, steps: int | None = None) -> Lesson:
        """See `teaching.schedule`."""
        return schedule.lesson(self.compared, steps)

    def loss(self) -> Lesson:
        """See `teaching.loss`."""
        return loss.lesson(self.checked)


# what can be asked for, in the order in which it is drawn
KINDS: dict[str, Callable[[Source], Lesson]] = {
    "masks": Source.masks,
    "positions": Source.positions,
    "schedule": Source.schedule,
    "loss": Source.loss,
}


@dataclass(frozen=True)
class Taught:
    """What was drawn: the lessons, files by name, and what to tell the user.

    `missing` says of each that was asked for and is not there why, and what helps.
    """

    lessons: Sequence[Lesson]
    files: dict[str, Path]
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; what charts are of, not their numbers."""
        return {
            "pictures": {
                lesson.name: [[one.title, one.about] for one in lesson.charts]
                for lesson in self.lessons
            },
            "missing": list(self.missing),
            "files": {name: str(path) for name, path in self.files.items()},
        }


def read_lessons(
    request: Request, kinds: Iterable[str]
) -> tuple[Source, list[Lesson], list[Diagnostic]]:
    """What a file declares of some of KINDS, and why others are missing.

    Raises NeuralError with all of that where nothing is left to draw.
    """
    source = Source(request)
    read = [_read(source, kind) for kind in kinds]
    missing = [one for _, problems in read for one in problems]
    found = [lesson for lesson, _ in read if lesson is not None]
    if not found:
        raise NeuralError(missing)
    return source, found, missing


def _read(source: Source, kind: str) -> tuple[Lesson | None, list[Diagnostic]]:
    try:
        return KINDS[kind](source), []
    except NeuralError as error:
        return None, error.diagnostics


def teach(
    request: Request,
    kinds: Sequence[str],
    step: Callable[[str], None] = lambda begins: None,
) -> Taught:
    """Write a picture of each kind, and one interactive page of all.

    The files are `masks.png`, `positions.png`, `schedule.png`, `loss.png` (or in the
    formats of the request) and `teaching.html`, in the folder of the request. Raises
    NeuralError for whatever the user can mend; nothing is written then.
    """
    from neural_attn.figures.heatmap import save_figure
    from neural_attn.teaching.draw import draw
    from neural_attn.teaching.page import build_page

    step("reading what the file declares")
    source, lessons, missing = read_lessons(request, kinds)
    files: dict[str, Path] = {}
    for lesson in lessons:
        step(f"drawing {lesson.name}")
        figure = draw(lesson)
        for kind in request.formats:
            path = request.output_dir / f"{lesson.name}.{kind}"
            files[path.name] = save_figure(figure, path, request.dpi, kind)
    step("writing the page")
    text = build_page(lessons, str(source.request.model))
    files[PAGE] = atomic_write(request.output_dir / PAGE, text)
    said = [*source.notes, *(note for one in lessons for note in one.notes)]
    absent = [f"not drawn: {one.message} ({one.hint})" for one in missing]
    return Taught(lessons, files, said, absent, source.warnings)


# --- in Python ----------------------------------------------------------------------


def plot_masks(
    source: PathLike,
    inputs: Any = None,
    *,
    layer: str | int | None = None,
    tokens: Tokens | None = None,
    checkpoint: PathLike | None = None,
    network: str | None = None,
    tokenizer: Any = None,
) -> Figure:
    """Draw which keys each layer lets each query see, as the network computes it.

    Parameters
    ----------
    source : a .neural file, or the folder of a pretrained model
    inputs : a text, a list of texts, an array, or a mapping of arrays by input name
        None takes a random sample whose last steps are padding, where the network masks
        padding. Of several examples, the one of which most is hidden is drawn.
    layer : a name, the beginning of one, or an index, as in `AttentionMaps.select`
    tokens : labels, as `capture` has them
    checkpoint, network, tokenizer : as the options of `neural visualize`

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each mask; layers that have the same share one.

    Raises
    ------
    NeuralError
        For whatever is wrong with the file or the inputs, or without any attention.
    """
    texts = as_texts(inputs)
    request = _request(source, checkpoint, network)
    request = replace(
        request,
        data=inputs if texts is None else None,
        texts=texts or (),
        layer=layer,
        tokens=tokens,
        tokenizer=Path(tokenizer) if isinstance(tokenizer, str) else tokenizer,
    )
    return _figure(Source(request).masks())


def plot_positions(
    source: PathLike,
    length: int | None = None,
    *,
    checkpoint: PathLike | None = None,
    network: str | None = None,
) -> Figure:
    """Draw how the layers of a network tell positions apart.

    Sinusoidal and learned encodings as they are added, rotary angles, and biases by
    distance (ALiBi, T5), all measured on what the layers give.

    Parameters
    ----------
    source : a .neural file, or the folder of a pretrained model
    length : how many positions; None: 100, or as many as the network takes
    checkpoint, network : as the options of `neural visualize`
        Learned ones without weights are random, and the picture says so.

    Raises
    ------
    NeuralError
        If no layer tells positions apart (E0481), or the file has problems.
    """
    request = _request(source, checkpoint, network)
    return _figure(Source(request).positions(length))


def plot_schedule(
    source: PathLike, steps: int | None = None, *, network: str | None = None
) -> Figure:
    """Draw the learning rate of each training step, as the optimizer gets it.

    Of a file with several networks there is a curve for each, unless `network` names
    one. `steps` is how many steps are drawn; None shows the schedule whole.

    Raises
    ------
    NeuralError
        If a network declares no schedule (E0481), or the file has problems.
    """
    return _figure(Source(_request(source, None, network)).schedule(steps))


def plot_loss(source: PathLike, *, network: str | None = None) -> Figure:
    """Draw what the loss of a network asks for, and what an error costs.

    Of cross-entropy the target distribution, smoothed as the file says, and the loss
    over the probability that the right class gets.

    Raises
    ------
    NeuralError
        If the network declares no loss (E0481), or the file has problems.
    """
    return _figure(Source(_request(source, None, network)).loss())


def _request(
    source: PathLike, checkpoint: PathLike | None, network: str | None
) -> Request:
    return Request(
        source,
        network=network,
        checkpoint=None if checkpoint is None else Path(checkpoint),
    )


def _figure(lesson: Lesson) -> Figure:
    from neural_attn.teaching.draw import draw

    return draw(lesson)
