"""What a file declares, read as lessons: opens it, and runs what has to be run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neural_attn.check import check_file, choose
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.inputs.mixtures import refuse_mixtures
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_maps import SelectionError
from neural_attn.models.attention_model import AttentionModel
from neural_attn.models.files import ModelFiles
from neural_attn.models.opening import load_network, open_model
from neural_attn.pretrained.conversion.importing import import_folder
from neural_attn.shapes.instance import Checked
from neural_attn.teaching import loss, masks, positions, schedule
from neural_attn.teaching.charts import Lesson

__all__ = ["KINDS", "Source"]

REFEREE = "numpy"  # the backend that others are compared with, and always there


@dataclass(frozen=True)
class Source:
    """A file, and what its network runs on for its masks.

    Fields are as `pipeline.Request` has them.
    """

    model: str | os.PathLike[str]
    network: str | None = None
    checkpoint: Path | None = None
    tokenizer: Any = None
    seed: int = 0
    data: Any = None
    tokens: Tokens | None = None
    texts: Sequence[Text] = ()
    images: Sequence[Path] = ()
    sounds: Sequence[Path] = ()
    layer: str | int | None = None
    output_dir: Path = Path("attention_outputs")

    @cached_property
    def files(self) -> ModelFiles:
        """The file and its weights; of a model's folder, what it becomes."""
        if not isinstance(self.model, str | os.PathLike):
            fail("E0481.file", kind=type(self.model).__name__)
        return import_folder(
            Path(self.model),
            self.output_dir,
            checkpoint=self.checkpoint,
            network=self.network,
        ).or_beside()

    @cached_property
    def checked_file(self) -> tuple[list[Checked], list[Diagnostic]]:
        """All networks of the file, and its warnings."""
        return check_file(self.files.model)

    @cached_property
    def checked(self) -> Checked:
        """The network that is asked for."""
        return choose(self.checked_file[0], self.network)

    def masks(self) -> Lesson:
        """See `teaching.masks`."""
        refuse_mixtures(self.data, self.texts, self.images, self.sounds, self.tokens)
        model = open_model(
            self.files.model,
            network=self.network,
            backend=REFEREE,
            checkpoint=self.files.checkpoint,
            tokenizer=self.tokenizer,
            seed=self.seed,
        )
        prepared = self._prepared(model)
        captured = model.run(prepared)
        wrong = [one.diagnostic for one in captured.findings if one.stops]
        if wrong:
            raise NeuralError([*wrong, Diagnostic.of("E0421")])
        try:
            maps = captured.maps.select(self.layer)
        except SelectionError as error:
            fail("E0412", reason=str(error))
        return masks.lesson(maps, [*prepared.cut, *prepared.notes])

    def _prepared(self, model: AttentionModel) -> Prepared:
        if self.images:
            return model.encode_images(self.images, self.texts)
        if self.sounds:
            return model.encode_sounds(self.sounds, self.texts)
        if self.texts:
            return model.encode(self.texts)
        prepared = model.prepare(self.data, self.tokens, self.seed)
        if self.data is not None:
            return prepared
        return masks.pad_sample(self.checked, prepared)

    def positions(self, length: int | None = None) -> Lesson:
        """See `teaching.positions`."""
        weights = self.files.checkpoint
        loaded = load_network(self.checked, REFEREE, weights, seed=self.seed)
        return positions.lesson(loaded, length)

    def schedule(self, steps: int | None = None) -> Lesson:
        """See `teaching.schedule`; of all networks of the file, or the one named."""
        networks = self.checked_file[0]
        return schedule.lesson([self.checked] if self.network else networks, steps)

    def loss(self) -> Lesson:
        """See `teaching.loss`."""
        return loss.lesson(self.checked)

    def read(self, kinds: Iterable[str]) -> tuple[list[Lesson], list[str]]:
        """The lessons of some of KINDS, and why others are missing, with what helps.

        Raises NeuralError for whatever is wrong with the file, and where nothing that
        is asked for is there.
        """
        _ = self.checked_file  # what is wrong with it is wrong with all lessons
        read = [self._read(kind) for kind in kinds]
        missing = [one for _, problems in read for one in problems]
        found = [lesson for lesson, _ in read if lesson is not None]
        if not found:
            raise NeuralError(missing)
        said = [f"not drawn: {one.message} ({one.hint})" for one in missing]
        return found, [text.removesuffix(" ()") for text in said]

    def notes(self, lessons: Iterable[Lesson]) -> list[str]:
        """What to tell the user of the file, and of lessons that were read."""
        return [*self.files.notes, *(note for one in lessons for note in one.notes)]

    def _read(self, kind: str) -> tuple[Lesson | None, list[Diagnostic]]:
        try:
            return KINDS[kind](self), []
        except NeuralError as error:
            return None, error.diagnostics


# what can be asked for, in the order in which it is drawn
KINDS: dict[str, Callable[[Source], Lesson]] = {
    "masks": Source.masks,
    "positions": Source.positions,
    "schedule": Source.schedule,
    "loss": Source.loss,
}
