"""PyTorch modules as they are: their attention is seen while they run.

PyTorch is imported by whoever has a module; nothing here is loaded before. Models of
other libraries that are run and watched are a `ModuleModel` too, by their `Library`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any, Protocol

import numpy as np

from neural_attn.diagnostics.errors import Diagnostic, NeuralError, fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_map import AttentionMap, Kind
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import examine
from neural_attn.models.attention_model import (
    AttentionModel,
    Captured,
    Vocabulary,
    refuse_options,
)
from neural_attn.models.living.budget import default_budget
from neural_attn.models.living.choice import Choice
from neural_attn.models.living.inputs import labels_of
from neural_attn.models.living.names import Named, Paths
from neural_attn.models.living.recorder import Library as Watched
from neural_attn.models.living.recorder import Measurer, Recorder
from neural_attn.promises import Rows

__all__ = ["Living", "Module", "ModuleModel", "make"]


class Library(Watched, Protocol):
    """What a library knows of its modules: their parts, and how they are fed."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The ids that it can be probed with."""

    def prepare(self, data: Any, tokens: Tokens | None) -> Prepared:
        """Inputs by name, positions by number."""

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Texts as inputs."""

    @property
    def backend(self) -> str:
        """What runs the module."""

    def require_still(self) -> None:
        """Raise NeuralError for a module that drops weights at random, or learns."""

    def watching(self, listener: Recorder) -> AbstractContextManager[object]:
        """A context in which the listener is told of all attention."""

    def call(self, inputs: Any) -> Any:
        """Run the module."""

    def generating(self, options: Mapping[str, Any]) -> Library:
        """The same, run by `generate`. Raises NeuralError where it cannot be."""

    def written(self, prepared: Prepared, output: Any) -> tuple[Any, Any]:
        """Rows of tokens of both inputs, as far as a generation has come."""

    def unseen(self, parts: str, *, nothing: bool = False) -> Diagnostic:
        """Say that these parts were not seen, or that nothing was."""


@dataclass
class ModuleModel(AttentionModel):
    """A module that is run and watched; `choice` and `budget` say what is kept of it.

    Without a `budget` in bytes it is half of the memory that is free.
    """

    module: Any
    library: Library
    choice: Choice = field(default_factory=Choice)
    budget: int | None = None
    steps: bool = False  # calls of one part are the steps of a generation

    def __post_init__(self) -> None:
        self._seen: list[tuple[str, Kind, tuple[int, ...], Rows, int | None]] = []
        self._warnings: list[Diagnostic] = []

    def choosing(self, layers: Any, heads: Any, budget: int | None) -> ModuleModel:
        """The same module, of which only some attention is computed and kept.

        Raises NeuralError for layers, heads or a number of bytes that are none.
        """
        if budget is not None and not _is_size(budget):
            fail("E0443.budget", given=repr(budget)[:40])
        return replace(self, choice=Choice.of(layers, heads), budget=budget)

    def generating(self, options: Mapping[str, Any]) -> ModuleModel:
        """The same module, which is run by its `generate` with these options.

        Raises NeuralError for a module without, and for what is not one answer after
        another.
        """
        return replace(self, library=self.library.generating(options), steps=True)

    @property
    def outline(self) -> AttentionMaps:
        """The maps of the last run; before it, what attends is not known."""
        return AttentionMaps([_dot(*one) for one in self._seen])

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        """After a run, which parts attended and could not be seen."""
        return self._warnings

    @property
    def vocabulary(self) -> Vocabulary | None:
        """As its library knows."""
        return self.library.vocabulary

    def prepare(
        self, data: Any = None, tokens: Tokens | None = None, seed: int = 0
    ) -> Prepared:
        """One input, a tuple of several, or a mapping of their names.

        Arrays become tensors where the module is, in its precision.
        """
        return self.library.prepare(data, tokens)

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Texts by the tokenizer that was given with the module."""
        return self.library.encode(texts)

    def run(self, prepared: Prepared) -> Captured:
        """Call the module without gradients, and examine what was seen."""
        output, maps = self.watch(prepared)
        return Captured(output, maps, tuple(examine(maps)))

    def watch(self, prepared: Prepared) -> tuple[Any, AttentionMaps]:
        """Call the module without gradients; its output, and its maps as they are.

        Raises NeuralError for a module in training mode, one in which no attention was
        seen, a layer or head that does not exist, or maps beyond the budget.
        """
        return self._run(prepared, None)[:2]

    def measure(
        self, prepared: Prepared, measure: Measurer
    ) -> tuple[AttentionMaps, list[Any]]:
        """Call the module, and keep what `measure` says of each map, and no weights.

        Returns the maps without weights, and what was measured of each. Raises as
        `watch`.
        """
        return self._run(prepared, measure)[1:]

    def _run(
        self, prepared: Prepared, measure: Measurer | None
    ) -> tuple[Any, AttentionMaps, list[Any]]:
        self.library.require_still()
        choice = self.choice
        output, recorder = self._watched(prepared, choice, measure)
        loosely = recorder.unmet()
        if loosely:  # the beginning of a name, which no border follows
            choice = replace(choice, layers=(*(choice.layers or ()), *loosely))
            output, recorder = self._watched(prepared, choice, measure)
        source, backend = type(self.module).__name__, self.library.backend
        said = [one.diagnostic for one in recorder.unlabelled]
        maps = recorder.maps(
            source=source,
            backend=backend,
            notes=[*(one.message for one in said), *prepared.notes],
            pictures=prepared.pictures,
        )
        self._warnings += said
        self._seen = [
            (m.name, m.kind, m.head_indices, m.rows, m.layer) for m in maps.maps
        ]
        for one in self._warnings:  # whoever runs it must not take a part for the whole
            warnings.warn(f"{one.message} ({one.hint})", stacklevel=4)
        return output, maps, recorder.measured

    def _watched(
        self, prepared: Prepared, choice: Choice, measure: Measurer | None
    ) -> tuple[Any, Recorder]:
        budget = default_budget() if self.budget is None else self.budget
        labels = labels_of(prepared.tokens)
        recorder = Recorder(
            self.library, choice, budget, labels, measure, steps=self.steps
        )
        with self.library.watching(recorder):
            output = self.library.call(prepared.inputs)
        recorder.finish()
        if self.steps:
            recorder.label(self.library.written(prepared, output))
        parts = ", ".join(dict.fromkeys(recorder.unseen))
        if not recorder.saw_any:
            raise NeuralError([self.library.unseen(parts, nothing=True)])
        self._warnings = [self.library.unseen(parts)] if parts else []
        return output, recorder


def _is_size(given: object) -> bool:
    """Whether it is a number of bytes."""
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    return is_number and bool(given >= 0)  # type: ignore[operator]


def _dot(
    name: str, kind: Kind, heads: tuple[int, ...], rows: Rows, layer: int | None
) -> AttentionMap:
    """A map of one cell, which has the name, kind and heads of another."""
    dots = np.ones((1, len(heads), 1, 1), np.float32)
    return AttentionMap(name, dots, kind, head_indices=heads, rows=rows, layer=layer)


@dataclass
class Living:
    """What a library says that knows nothing of its modules but how they run."""

    module: Any
    tokenizer: Any = None

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Not known."""
        return None

    def generating(self, options: Mapping[str, Any]) -> Library:
        """Refuse."""
        fail("E0414", name="generate", what=f"a {type(self.module).__name__}")

    def written(self, prepared: Prepared, output: Any) -> tuple[Any, Any]:
        """As it was given."""
        return labels_of(prepared.tokens)

    def returned(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """Nothing: what an unknown part returns may be anything."""

    def attends(self, module: Any) -> bool:
        """Not known of a part that is not the framework's own."""
        return False

    def unpacked(self, module: Any, scores: Any) -> Any:
        """As it is."""
        return scores


@dataclass
class Module(Living):
    """What all PyTorch modules have in common: how they are watched."""

    backend: str = "pytorch"

    @cached_property
    def parts(self) -> Mapping[str, Any]:
        """All modules in it by their paths, as they are in one run."""
        return dict(self.module.named_modules())

    def require_still(self) -> None:
        """Refuse training mode, and weights that were never loaded."""
        for found_before in ("parts", "named"):  # it may have been changed since
            vars(self).pop(found_before, None)
        for part in self.parts.values():
            if part._parameters and _is_empty(part):
                fail("E0447", kind=type(self.module).__name__)
        if any(getattr(part, "training", False) for part in self.parts.values()):
            fail("E0444", kind=type(self.module).__name__)

    @contextmanager
    def watching(self, listener: Recorder) -> Iterator[None]:
        """Without gradients."""
        import torch

        from neural_attn.models.living.watch import Watch

        with torch.no_grad(), Watch(self.parts, listener):
            yield

    def unseen(self, parts: str, *, nothing: bool = False) -> Diagnostic:
        """What was not seen, and what may help."""
        kind = type(self.module).__name__
        if not nothing:
            return Diagnostic.of("W0901", kind=kind, parts=parts)
        inside = next((n for n, m in self.parts.items() if _is_model(m)), "")
        if inside:
            return Diagnostic.of("E0441.inside", kind=kind, inside=inside)
        return Diagnostic.of("E0441", kind=kind)


def _is_empty(part: Any) -> bool:
    """Whether a part has weights without values, which nobody loads while it runs."""
    own = part._parameters.values()
    empty = any(one is not None and one.is_meta for one in own)
    return empty and not hasattr(part, "_hf_hook")  # as `accelerate` loads them


def _is_model(module: Any) -> bool:
    """Whether a module is a model of `transformers`, which is not imported for it."""
    return any(kind.__name__ == "PreTrainedModel" for kind in type(module).__mro__)


def _is_of_transformers(module: Any) -> bool:
    return type(module).__module__.startswith("transformers.")


@dataclass
class _Plain(Module):
    """A module of which nothing is known but its parts."""

    @cached_property
    def named(self) -> Named:
        return Paths.of(self.parts)

    def attends(self, module: Any) -> bool:
        """Whether it is called an attention: one that shows nothing is to be named."""
        return type(module).__name__.endswith("Attention")

    def returned(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """The weights of a part that is of `transformers`."""
        if not _is_of_transformers(module):
            return None
        from neural_attn.models.living.returned import weights_in

        return weights_in(module, args, kwargs, output)

    def unpacked(self, module: Any, scores: Any) -> Any:
        """In the usual layout, where a part of `transformers` attends."""
        if not _is_of_transformers(module):
            return scores
        from neural_attn.models.living.returned import unpacked

        return unpacked(module, scores)

    def prepare(self, data: Any, tokens: Tokens | None) -> Prepared:
        from neural_attn.models.living import inputs

        return inputs.prepare(self.module, inputs.by_name(data), tokens)

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Ids for the first input; texts of unequal lengths need an attention_mask.

        A module whose input is a mapping, as of `sentence_transformers`, gets all.
        """
        from inspect import signature

        from neural_attn.inputs.readers import read_texts
        from neural_attn.models.living.inputs import takes_mapping

        encoded = read_texts(self.tokenizer, texts)
        arrays = {"0": encoded.inputs["input_ids"]}
        mask = encoded.inputs["attention_mask"]
        if takes_mapping(self.module):
            arrays = dict(encoded.inputs)
        elif "attention_mask" in signature(self.module.forward).parameters:
            arrays["attention_mask"] = mask
        elif not mask.all():
            fail("E0409.padding")
        return replace(self.prepare(arrays, encoded.tokens), cut=encoded.notes)

    def call(self, given: Any) -> Any:
        from neural_attn.models.living.inputs import call

        return call(self.module, given)


def is_module(given: Any) -> bool:
    """Whether something is a PyTorch module; PyTorch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.nn.Module)


def of_library(
    library: Callable[[], Library],
    given: Any,
    rows: Rows | None,
    options: dict[str, Any],
) -> ModuleModel:
    """A model of a module; refuses what has no effect on one."""
    if hasattr(given, "_orig_mod"):
        fail("E0441.compiled")
    if options.get("backend") == "pytorch":
        del options["backend"]
    refuse_options({"rows": rows, **options}, "a PyTorch module")
    return ModuleModel(given, library())


def make(
    given: Any,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    **options: Any,
) -> ModuleModel | None:
    """A model of a PyTorch module."""
    if not is_module(given):
        return None
    return of_library(lambda: _Plain(given, tokenizer), given, rows, options)
