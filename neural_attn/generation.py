"""A network writes: `generate` opens it, lets it write, and keeps its attention."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neural_attn.check import check_file, choose
from neural_attn.diagnostics.choices import check_options
from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.explorer.page import EXPLORER, ExplorerPage, explore
from neural_attn.files import atomic_write
from neural_attn.inputs.sides import Given, open_sides
from neural_attn.inputs.texts import as_texts
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.written import Written
from neural_attn.models.capture import LoadedModel, require_attention
from neural_attn.models.opening import load_network
from neural_attn.models.writing import Writer, options_of, writing_of
from neural_attn.pretrained.conversion.importing import import_folder

__all__ = ["Generated", "generate"]

Step = Callable[[str], None]


@dataclass(frozen=True)
class Generated:
    """What a network wrote.

    `written` has one entry for each text, `maps` their attention, if it was asked for:
    each for one text, whose decoder rows are those of `written.fed`. `checkpoint` is
    where the weights came from; without it they are random and what is written means
    nothing. `notes` are for people, `warnings` are those of the file.
    """

    written: Sequence[Written]
    maps: Sequence[AttentionMaps] = ()
    checkpoint: Path | None = None
    trained: bool = False
    notes: Sequence[str] = ()
    warnings: Sequence[Diagnostic] = field(default=(), repr=False)

    @property
    def texts(self) -> list[str]:
        """What was written for each text."""
        return [one.text for one in self.written]

    def explore(self, index: int = 0) -> ExplorerPage:
        """A page of one text that shows its generation step by step.

        Raises ValueError where its attention was not kept.
        """
        if not self.maps:
            raise ValueError("no attention was kept: generate(…, attention=True)")
        return explore(self.maps[index])

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "trained": self.trained,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            "texts": self.texts,
            "written": [one.to_dict() for one in self.written],
            "notes": list(self.notes),
        }

    def save(self, folder: Path) -> dict[str, Path]:
        """Write `generation.json`, and for each text its page and its maps.

        Returns the written files, by name. If there are several texts, each has a
        folder of its own. Raises OSError where a file cannot be written.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        files = {"generation.json": atomic_write(folder / "generation.json", text)}
        for index, maps in enumerate(self.maps):
            prefix = f"example_{index + 1}/" if len(self.maps) > 1 else ""
            files[prefix + EXPLORER] = explore(maps).save(folder / prefix / EXPLORER)
            path = folder / prefix / "attention_maps.npz"
            maps.save(path)
            files[prefix + path.name] = path
        return files


def generate(
    model: Any,
    inputs: str | Sequence[Text],
    *,
    tokenizer: Given = None,
    checkpoint: str | Path | None = None,
    network: str | None = None,
    backend: str = "auto",
    attention: bool = False,
    output_dir: str | Path = "attention_outputs",
    step: Step = lambda begins: None,
    **how: Any,
) -> Generated:
    """Let a network continue texts, or write one for each that it reads.

    Parameters
    ----------
    model : the path of a .neural file, the folder of a pretrained model, or LoadedModel
        For a file without `checkpoint`, the weights beside it (`name.safetensors`, or
        those in `name_trained`) are used; without any they are random. What a folder is
        converted to is kept in `output_dir`.
    inputs : a text, or a list of texts
        A tuple of two is a source and the target that the network is made to write
        (teacher forcing): the result says how likely each of its tokens is.
    tokenizer : a path or a `Tokenizer`, or a mapping of "source" and "target" to them
        By default those beside the file: `source.tokenizer.json` and
        `target.tokenizer.json`, or `tokenizer.json`.
    network, backend : as in `load_model`
    attention : whether the attention of every step is kept
    how : max_new_tokens=50, beams=1, temperature=0, top_k, start, end, seed=0
        As in `neural_attn.models.writing.How`: greedy search, beam search with `beams`,
        sampling with a `temperature`. `start` and `end` are tokens.

    Raises
    ------
    NeuralError
        If the network does not write text, a tokenizer or weights do not fit, a text is
        empty, or an option cannot be used.
    TypeError
        If there is no such option.
    """
    check_options(generate, how, _HOW)
    texts = as_texts(inputs)
    if not texts:
        fail("E0643.list")
    told = options_of(how)
    where = (checkpoint, network, backend, told.seed, output_dir, step)
    loaded, found = _open(model, *where)
    if attention:
        require_attention(loaded.checked)
    sides = open_sides(
        found.file,
        found.checkpoint,
        tokenizer,
        reads=writing_of(loaded.checked).source is not None,
    )
    writer = Writer(loaded, sides, told)
    step("writing")
    written = writer.write(texts)
    maps = []
    if attention:
        step("keeping its attention")
        maps = [_attention(writer, one, at) for at, one in enumerate(written, 1)]
    notes = [*found.notes, *dict.fromkeys(writer.notes)]
    return Generated(
        written, maps, found.checkpoint, loaded.trained, notes, found.warnings
    )


_HOW = ("max_new_tokens", "beams", "temperature", "top_k", "start", "end", "seed")


@dataclass(frozen=True)
class _Found:
    """Where a model came from."""

    file: Path | None = None
    checkpoint: Path | None = None
    notes: Sequence[str] = ()
    warnings: Sequence[Diagnostic] = ()


def _open(
    model: Any,
    checkpoint: str | Path | None,
    network: str | None,
    backend: str,
    seed: int,
    output_dir: str | Path,
    step: Step,
) -> tuple[LoadedModel, _Found]:
    if isinstance(model, LoadedModel):
        return model, _Found()
    files = import_folder(
        model,
        Path(output_dir),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        network=network,
        step=step,
    ).or_beside()
    step("checking the network")
    networks, warnings = check_file(files.model)
    checked = choose(networks, network)
    writing_of(checked)
    weights = files.checkpoint
    notes = [*files.notes, RANDOM] if weights is None else files.notes
    step("loading it")
    loaded = load_network(checked, backend, weights, seed=seed)
    return loaded, _Found(Path(files.model), weights, notes, warnings)


RANDOM = "the weights are random, so what is written means nothing: give --checkpoint"


def _attention(writer: Writer, written: Written, number: int) -> AttentionMaps:
    if not written.fed:
        fail("E0462.nothing", number=number)
    captured = writer.attention(written)
    wrong = [finding.diagnostic for finding in captured.findings if finding.stops]
    if wrong:
        raise NeuralError([*wrong, Diagnostic.of("E0421")])
    source = written.source if len(written.source) < 80 else f"{written.source[:79]}…"
    return replace(captured.maps, source=source)
