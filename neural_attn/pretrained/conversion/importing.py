"""From the folder of a pretrained model to a `.neural` file, weights and tokenizer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_attn.check import check_text
from neural_attn.diagnostics.errors import fail, reason
from neural_attn.files import atomic_write
from neural_attn.inputs.borders import Borders
from neural_attn.inputs.images import ImagePreparation
from neural_attn.inputs.mel import SoundPreparation
from neural_attn.inputs.preparation import Preparation
from neural_attn.inputs.tokenizer import FILE_NAME, tokenizer_path
from neural_attn.models.attention_model import refuse_options
from neural_attn.models.files import ModelFiles
from neural_attn.pretrained.conversion import ctranslate2, hub, keras_archive
from neural_attn.pretrained.conversion.border_settings import border_settings
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.families import family_of
from neural_attn.pretrained.conversion.family import Family, Plan
from neural_attn.pretrained.conversion.heads import head_of
from neural_attn.pretrained.conversion.image_settings import image_settings
from neural_attn.pretrained.conversion.kept import kept_in
from neural_attn.pretrained.conversion.matching import match
from neural_attn.pretrained.conversion.network_text import (
    checked_name,
    model_title,
    name_for,
    network_text,
)
from neural_attn.pretrained.conversion.sound_settings import sound_settings
from neural_attn.pretrained.conversion.tensors import (
    StoredTensor,
    stored_tensors,
    weight_files,
    write_weights,
)
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes


@dataclass(frozen=True)
class ImportedModel:
    """What an import wrote, and what its author should know.

    `tokenizer_path` is None where the model's folder has no tokenizer.json, and
    `preparation_path` where it takes no images or sound, or does not say how they are
    prepared.
    `parameters` is the number of weights; `notes` names everything left out.
    """

    name: str
    summary: str
    parameters: int
    neural_path: Path
    weights_path: Path
    tokenizer_path: Path | None
    notes: list[str]
    preparation_path: Path | None = None


def import_folder(
    model: Any,
    output_dir: Path,
    *,
    checkpoint: Path | None = None,
    network: str | None = None,
    step: Callable[[str], None] = lambda begins: None,
) -> ModelFiles:
    """Take for the folder of a pretrained model the `.neural` file that it becomes.

    That is kept in `output_dir`, and used again; the notes say where it is, and what an
    import left out. `step` is told when an import begins. What is not a folder stays as
    it is. Raises NeuralError where the folder cannot be imported.
    """
    if not isinstance(model, str | os.PathLike) or not Path(model).is_dir():
        return ModelFiles(model, checkpoint, [])
    own = {"checkpoint": checkpoint, "network": network}
    refuse_options(own, "the folder of a pretrained model")
    kept = kept_in(output_dir, Path(model))
    if kept.is_made:
        notes = [f"{kept.neural} is that of {model}: it is used again"]
        return ModelFiles(kept.neural, kept.weights, notes)
    step("importing the model")
    imported = import_model(model, kept.neural)
    kept.record()
    notes = [f"imported {model}: kept as {kept.neural}", *imported.notes]
    return ModelFiles(kept.neural, kept.weights, notes)


def import_model(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> ImportedModel:
    """Turn a Hugging Face folder into a network, its weights and its tokenizer.

    folder: a name on the hub or in its cache, or a folder: it holds config.json,
    model.safetensors or pytorch_model.bin (or their shards) and, for text,
    tokenizer.json; for images and sound, preprocessor_config.json; or a Whisper's
    model.bin of CTranslate2. It may also be a `.keras` archive (see `keras_archive`).
    output: the `.neural` file to write; its tokenizer goes beside it
    (`minilm.tokenizer.json`), where `find_tokenizer` looks first, and so does how
    images or sound are prepared.
    weights: the safetensors file to write, float32; beside `output` unless given.
    name: that of the network; taken from the file's unless given.

    Every weight of the network is filled and every tensor of the model is used or
    named in the notes. Neither PyTorch nor transformers is needed, but PyTorch for
    pytorch_model.bin. The `.neural` file
    is written last, so that one that is there is complete.

    Raises NeuralError (E0621 to E0634) where the folder, its config or its weights
    are missing, broken, unsupported or do not fit each other, or a file cannot be
    written.
    """
    folder = Path(folder)
    if hub.is_name(folder):
        folder = hub.fetch(folder.as_posix())
    source = _read_archive(folder) if _is_archive(folder) else _read_folder(folder)
    plan, family, stored = source.plan, source.family, source.stored
    output = Path(output)
    target = _Target(output, Path(weights or output.with_suffix(".safetensors")))
    target.check(source.files)

    title = source.titles[0]
    name = checked_name(name) if name else name_for(output, source.titles)
    text = network_text(plan, name, title or name)
    checked = check_text(text, str(output))[0][0]
    expected = {key: weight.shape for key, weight in checked.root.named_weights()}
    fillings, unused = match(plan, family, expected, stored)
    notes = [*plan.notes, *unused]
    beside = folder.with_name(FILE_NAME) if _is_archive(folder) else folder / FILE_NAME
    tokenizer = _read_tokenizer(beside, target.tokenizer, notes, plan)
    preparation = _preparation(folder, source)
    borders = border_settings(folder) if plan.takes("source") else None
    try:
        write_weights(target.weights, fillings)
        if tokenizer is not None:
            atomic_write(target.tokenizer, tokenizer)
        for one in filter(None, (preparation, borders)):
            atomic_write(one.path_for(output), one.text)
        atomic_write(output, text)
    except OSError as error:
        where = error.filename2 or error.filename or output
        fail("E0634", where=where, reason=reason(error))
    return ImportedModel(
        name,
        plan.summary,
        checked.root.parameter_count,
        output,
        target.weights,
        target.tokenizer if tokenizer is not None else None,
        notes,
        preparation.path_for(output) if preparation is not None else None,
    )


@dataclass(frozen=True)
class _Source:
    """A model that was opened; `titles` are what people may call it."""

    plan: Plan
    family: Family
    stored: dict[str, StoredTensor]
    files: list[Path]
    titles: list[str]
    model_type: str = ""


def _is_archive(path: Path) -> bool:
    return path.suffix == keras_archive.SUFFIX and path.is_file()


def _read_archive(path: Path) -> _Source:
    plan, stored = keras_archive.read_archive(path)
    family = Family(("keras",), lambda _: plan)
    return _Source(plan, family, stored, [path], [path.stem])


def _read_folder(folder: Path) -> _Source:
    if not folder.is_dir():
        fail("E0621", path=folder)
    _refuse_adapter(folder / "adapter_config.json")
    config, family, files, stored = _read(folder)
    origin = config.text("_name_or_path", "").replace("\\", "/").rpartition("/")[2]
    names = {family.plain_name(name) for name in stored}
    plan = family.plan(config.with_head(head_of(config, family, names), names))
    files = [folder / "config.json", folder / FILE_NAME, *files]
    titles = [model_title(folder), origin]
    return _Source(plan, family, stored, files, titles, config.text("model_type"))


def _read(
    folder: Path,
) -> tuple[Config, Family, list[Path], dict[str, StoredTensor]]:
    """The configuration, the files of weights, and the tensors, none read yet.

    A family that is not known is said before weights are missed.
    """
    config = Config.read(folder / "config.json")
    single = folder / ctranslate2.FILE
    if config.lacks("model_type") and single.is_file():
        config, stored = ctranslate2.read_whisper(single)
        return config, family_of(config), [single], stored
    family = family_of(config)
    files = weight_files(folder)
    return config, family, files, stored_tensors(files)


def _refuse_adapter(path: Path) -> None:
    """Stop (E0626) where the folder holds what was learned beside a model's weights."""
    if path.is_file():
        base = Config.read(path).text("base_model_name_or_path", "another model")
        fail("E0626.adapter", path=path, base=base)


@dataclass(frozen=True)
class _Target:
    """The files to be written."""

    neural: Path
    weights: Path

    @property
    def tokenizer(self) -> Path:
        return tokenizer_path(self.neural)

    def check(self, sources: list[Path]) -> None:
        """Stop (E0633) where one file would overwrite another, or the model itself."""
        kinds = (ImagePreparation, SoundPreparation, Borders)
        ours = [self.neural, self.weights, self.tokenizer]
        ours += [kind.path_for(self.neural) for kind in kinds]
        for path in ours:
            if path.is_dir():
                fail("E0633", path=path)
        places = [path.resolve() for path in ours]
        if len(set(places)) < len(places):
            fail("E0633.same", path=self.neural)
        for path, place in zip(ours, places, strict=True):
            if place in {source.resolve() for source in sources}:
                fail("E0633.model", path=path)


def _preparation(folder: Path, source: _Source) -> Preparation | None:
    """How images or sound are prepared; None where that is not said."""
    if source.plan.takes("image"):
        return image_settings(folder, source.model_type)
    return sound_settings(folder) if source.plan.takes("frames") else None


def _read_tokenizer(
    source: Path, target: Path, notes: list[str], plan: Plan
) -> bytes | None:
    """The bytes of tokenizer.json; None, and a note, where there is none."""
    if not plan.takes("input_ids") and plan.takes("image"):
        return None  # it reads no texts
    try:
        found = read_text_bytes(source, TEXT_MEGABYTES)
        lack = f"{FILE_NAME} of the model holds no tokenizer"
    except FileNotFoundError:
        found, lack = b"", f"the model has no {FILE_NAME}"
    except TooLargeError as error:
        fail("E0623.large", path=source, reason=error)
    except OSError as error:
        fail("E0622", path=source, reason=reason(error))
    if b'"model"' in found:
        return found
    stays = f"; {target} stays as it was, and is used"
    else_ = ": give ids as data, or --tokenizer PATH"
    notes.append(lack + (stays if target.is_file() else else_))
    return None
