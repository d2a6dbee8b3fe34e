"""Networks of `.neural` files as models: compiled, built, filled with weights."""

from __future__ import annotations

import hashlib
import itertools
import linecache
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn import backends
from neural_attn.backends.emit.emitter import emit
from neural_attn.check import check_file, choose
from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.inputs.arrays import prepare
from neural_attn.inputs.encoding import open_tokenizer, prepare_encoded
from neural_attn.inputs.image_batches import (
    prepare_images,
    refuse_image_input,
    require_text_input,
)
from neural_attn.inputs.images import ImagePreparation
from neural_attn.inputs.limits import id_limits, max_length
from neural_attn.inputs.mel import SoundPreparation
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.readers import read_texts
from neural_attn.inputs.sides import open_sides
from neural_attn.inputs.sound_batches import (
    own_start,
    prepare_sounds,
    refuse_sound_input,
    sound_input,
    start_alone,
    text_input,
)
from neural_attn.inputs.tokenizer import Encoded, Text
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models import capture, weights
from neural_attn.models.attention_model import (
    AttentionModel,
    Captured,
    Vocabulary,
    refuse_options,
)
from neural_attn.models.capture import LoadedModel
from neural_attn.models.writing import Writer, hide_padding, translates
from neural_attn.promises import SHARES, Rows
from neural_attn.shapes.instance import Checked

__all__ = [
    "BareModel",
    "GeneratedModel",
    "LoadedModel",
    "load_model",
    "load_source",
    "make",
]


class GeneratedModel(AttentionModel):
    """The network of a file; it is built when it is first run."""

    def __init__(
        self,
        checked: Checked,
        *,
        backend: str = "auto",
        checkpoint: Path | None = None,
        tokenizer: Any = None,
        seed: int = 0,
        file: Path | None = None,
        warnings: Sequence[Diagnostic] = (),
    ) -> None:
        """Take a checked network; raises NeuralError where it has no attention."""
        capture.require_attention(checked)
        self.checked = checked
        self.file, self.checkpoint, self.tokenizer = file, checkpoint, tokenizer
        self.seed = seed
        self._backend = backend
        self._warnings = warnings
        self._trained = checkpoint is not None

    @classmethod
    def open(
        cls, file: Path, network: str | None = None, **options: Any
    ) -> GeneratedModel:
        """The network of a .neural file, or the one of several that is named."""
        networks, warnings = check_file(file)
        return cls(choose(networks, network), file=file, warnings=warnings, **options)

    @classmethod
    def of(cls, loaded: LoadedModel, tokenizer: Any = None) -> GeneratedModel:
        """A model that was loaded already."""
        model = cls(loaded.checked, tokenizer=tokenizer)
        model.loaded, model._trained = loaded, loaded.trained
        return model

    @cached_property
    def _reader(self) -> Any:
        """The tokenizer: an object as it was given, or that of a file."""
        given = self.tokenizer
        if given and isinstance(given, Mapping):
            fail("E0461.source")
        if given is None or isinstance(given, str | os.PathLike):
            return open_tokenizer(self.file, self.checkpoint, given)
        return given

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in its framework, with its weights."""
        return load_model(self.checked, self._backend, self.checkpoint, seed=self.seed)

    @property
    def outline(self) -> AttentionMaps:
        """Names, kinds and heads, from the file alone."""
        maps = [
            AttentionMap(
                name,
                np.ones((1, attention.heads or 1, 1, 1), np.float32),
                attention.kind,  # type: ignore[arg-type]
                rows=attention.rows,
            )
            for name, attention in self.checked.attentions.items()
        ]
        return AttentionMaps(maps)

    @property
    def trained(self) -> bool | None:
        """Whether its weights come from a checkpoint."""
        return self._trained

    @property
    def identity(self) -> str | None:
        """A digest of the file and the weights."""
        if self.file is None:
            return None
        digest = hashlib.sha256(f"{self.checked.network.name}\n".encode())
        for path in (self.file, self.checkpoint):
            if path is not None:
                with path.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
        if self.checkpoint is None:
            digest.update(f"random weights {self.seed}".encode())
        return digest.hexdigest()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Its ids, where it reads one sequence of them."""
        first, *others = self.checked.network.inputs
        size = id_limits(self.checked).get(first.name)
        if first.dtype != "int" or size is None or len(first.shape) != 1:
            return None
        if any(o.name not in ("token_type_ids", "attention_mask") for o in others):
            return None  # a second text
        return Vocabulary(size, max_length(self.checked))

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        """Those of the file."""
        return self._warnings

    @property
    def code(self) -> Mapping[str, str]:
        """What the network was compiled to."""
        name = f"compiled_model_{self.loaded.backend.name}.py"
        return {name: self.loaded.source}

    def prepare(
        self, data: Any = None, tokens: Tokens | None = None, seed: int = 0
    ) -> Prepared:
        """See `inputs.arrays.prepare`."""
        return prepare(self.checked, data, tokens, seed)

    @cached_property
    def _writer(self) -> Writer:
        """What writes the second text of a network that reads one."""
        given = self.tokenizer, self.checkpoint
        sides = open_sides(self.file, given[1], given[0], reads=True)
        return Writer(self.loaded, sides)

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Texts by the tokenizer that lies beside the file, or the one given.

        A network that reads one text and writes another writes it, greedily; of a pair
        the second text is what it is made to write.
        """
        if translates(self.checked):
            return self._writer.prepare(texts)
        refuse_image_input(self.checked)
        refuse_sound_input(self.checked)
        encoded = read_texts(self._reader, texts, max_length(self.checked))
        return prepare_encoded(self.checked, encoded)

    def encode_images(
        self, images: Sequence[Path], texts: Sequence[Text] = ()
    ) -> Prepared:
        """Images as it is said beside the file, and texts by the tokenizer."""
        settings = ImagePreparation.beside(self.file)
        encoded = None
        if texts:
            require_text_input(self.checked)
            encoded = read_texts(self._reader, texts, max_length(self.checked))
        return prepare_images(self.checked, images, settings, encoded)

    def encode_sounds(
        self, sounds: Sequence[Path], texts: Sequence[Text] = ()
    ) -> Prepared:
        """Sound as it is said beside the file, and texts by the tokenizer.

        Without texts a decoder gets what stands before any.
        """
        sound_input(self.checked)
        settings, encoded = SoundPreparation.beside(self.file), None
        if text_input(self.checked) is None and texts:
            fail("E0439.text", network=self.checked.network.name)
        if texts:
            encoded = own_start(read_texts(self._reader, texts))
        elif text_input(self.checked):
            encoded = start_alone(read_texts(self._reader, [""] * len(sounds)))
        return prepare_sounds(self.checked, sounds, settings, encoded)

    def encode_ids(self, ids: NDArray[Any]) -> Prepared:
        """Ids as the tokenizer would give them, without padding."""
        first = self.checked.network.inputs[0].name
        inputs = {
            "token_type_ids": np.zeros_like(ids),
            "attention_mask": np.ones_like(ids),
            "input_ids": ids,
            first: ids,
        }
        tokens = [[str(number) for number in row] for row in ids.tolist()]
        return prepare_encoded(self.checked, Encoded(inputs, tokens, []))

    def run(self, prepared: Prepared) -> Captured:
        """See `models.capture.capture`."""
        given = prepared.inputs, prepared.tokens, prepared.pictures, prepared.steps
        captured = capture.capture(self.loaded, *given, prepared.real)
        if not prepared.written:
            return captured
        maps = [hide_padding(one, prepared.written) for one in captured.maps.maps]
        whole = replace(captured.maps, maps=maps, written=prepared.written)
        return replace(captured, maps=whole)


class BareModel(AttentionModel):
    """A generated model about whose file nothing is known.

    Kinds are read off shapes: what is square counts as encoder self-attention. Only the
    mask that a layer itself used is known.
    """

    def __init__(self, model: Any) -> None:
        """Take the framework's object."""
        self.model = model
        self.backend = capture.backend_of(model)

    @property
    def outline(self) -> AttentionMaps:
        """Names alone: heads and kinds show when it runs."""
        dot = np.ones((1, 1, 1, 1), np.float32)
        layers = self.model.attention_layers()
        return AttentionMaps(
            [AttentionMap(n, dot, rows=_promise(one)) for n, one in layers.items()]
        )

    def prepare(
        self, data: Any = None, tokens: Tokens | None = None, seed: int = 0
    ) -> Prepared:
        """Arrays as they are: what the model takes is not known."""
        if data is None:
            fail("E0405.none")
        if isinstance(data, Mapping):
            return Prepared({n: np.asarray(array) for n, array in data.items()}, tokens)
        return Prepared(np.asarray(data), tokens)

    def run(self, prepared: Prepared) -> Captured:
        """Run the model; the tokens label all keys, and the queries of square maps."""
        output, found = capture.run(self.model, self.backend, prepared.inputs)
        if not found:
            fail("E0401.model", kind=type(self.model).__name__)
        tokens: Any = prepared.tokens
        layers = self.model.attention_layers()
        maps = []
        for name, (values, mask) in found.items():
            square = values.shape[2] == values.shape[3]
            kind: Any = "encoder_self" if square else "cross"
            queries = tokens if square else None
            maps.append(
                AttentionMap(
                    name,
                    values,
                    kind,
                    mask,
                    query_tokens=queries,
                    key_tokens=tokens,
                    rows=_promise(layers[name]),
                )
            )
        return Captured(output, AttentionMaps(maps, backend=self.backend.name))


def _promise(layer: Any) -> Rows:
    """What the rows of an attention layer's map promise; most layers need not say."""
    rows: Rows = getattr(layer, "rows", SHARES)
    return rows


def make(
    given: Any,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    network: str | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    **options: Any,
) -> AttentionModel | None:
    """A model of a .neural file, a LoadedModel, or a generated model without either."""
    if isinstance(given, str | os.PathLike):
        claims = {name: options.pop(name, None) for name in ("axes", "causal", "mask")}
        claims["rows"] = rows
        refuse_options(claims, "a .neural file, whose networks say this themselves")
        options |= {"tokenizer": tokenizer, "seed": seed}
        return GeneratedModel.open(Path(given), network, **options)
    options |= {"network": network, "rows": rows}
    if isinstance(given, LoadedModel):
        model: Any = GeneratedModel.of(given, tokenizer)
        own, what = given.backend, "a model that is already loaded"
    elif callable(getattr(given, "attention_layers", None)):
        model, options["tokenizer"] = BareModel(given), tokenizer
        own, what = model.backend, "a model without its file"
    else:
        return None
    if options.get("backend") == own.name:
        del options["backend"]
    refuse_options(options, what)
    return model  # type: ignore[no-any-return]


def load_model(
    path: str | Path | Checked,
    backend: str = "auto",
    checkpoint: str | Path | None = None,
    *,
    network: str | None = None,
    dtype: str = "float32",
    seed: int = 0,
) -> LoadedModel:
    """Compile a network, build it in its framework and load its weights.

    Without `checkpoint` (.safetensors, .pt, .pth) the weights are random, drawn with
    `seed` and the same for every backend. `dtype` is "float32" or "float64".

    Raises NeuralError if the file has problems, the framework is not installed or the
    weights do not fit.
    """
    checked = (
        path if isinstance(path, Checked) else choose(check_file(path)[0], network)
    )
    target = backends.choose(backend)
    source = emit(checked, target)
    if checkpoint is None:
        tensors: Mapping[str, Any] = weights.initial(checked, seed)
    else:
        tensors = weights.read_checkpoint(checked, Path(checkpoint))
    target.start()
    module = load_source(source, f"compiled_model_{target.name}")
    model = target.make(module, dtype)
    _fill(model, tensors)
    trained = checkpoint is not None
    return LoadedModel(model, checked, target, source, trained, dtype, module)


def _fill(model: Any, tensors: Mapping[str, Any]) -> None:
    """Load arrays through the generated file's own load_weights."""
    from safetensors.numpy import save_file

    if not tensors:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(dict(tensors), path)
        model.load_weights(str(path))


_loaded = itertools.count()


def load_source(source: str, name: str) -> ModuleType:
    """Run generated source as a module; tracebacks into it show its lines."""
    filename = f"<{name} {next(_loaded)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    module = ModuleType(name)
    module.__file__ = filename
    exec(compile(source, filename, "exec"), module.__dict__)  # noqa: S102 - our own text
    return module
