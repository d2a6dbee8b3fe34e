"""Models of `transformers` as they are, in the attention implementation they have.

Kernels are seen below the model, where it calls them; what the eager implementation
computes is taken from what its modules return. Nothing is registered with the library.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from typing import Any

from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Text
from neural_attn.models.attention_model import Vocabulary
from neural_attn.models.living.names import Family, Named
from neural_attn.models.pytorch import Module, ModuleModel, is_module, of_library
from neural_attn.promises import Rows

__all__ = ["make"]


@dataclass
class _Transformers(Module):
    """What the library's models say of themselves: a configuration, names of inputs.

    With options of `generate`, it is run by that.
    """

    generate: Mapping[str, Any] | None = None

    @cached_property
    def named(self) -> Named:
        return Family.of(self.module.config, self.parts)

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The ids of a model that reads one text."""
        config = self.module.config.get_text_config()
        size = getattr(config, "vocab_size", None)
        reads = self.module.main_input_name == "input_ids"
        if not reads or size is None or self._has_decoder:
            return None
        return Vocabulary(size, self._longest)

    @property
    def _has_decoder(self) -> bool:
        return bool(getattr(self.module.config, "is_encoder_decoder", False))

    @property
    def _longest(self) -> int | None:
        for path, part in self.parts.items():
            first = getattr(part, "padding_idx", None)
            if path.endswith("position_embeddings") and first is not None:
                return int(part.num_embeddings) - int(first) - 1  # as RoBERTa counts
        config = self.module.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        return int(longest) if longest and longest > 0 else None

    def prepare(self, data: Any, tokens: Tokens | None) -> Prepared:
        """The first input, or several by name, as a tokenizer gives them."""
        from neural_attn.models.living import inputs

        given = inputs.in_batches(inputs.by_name(data, self.module.main_input_name))
        prepared = inputs.prepare(self.module, given, tokens)
        if tokens is None and self.tokenizer is not None:
            prepared = replace(prepared, tokens=self._tokens(prepared.inputs))
        return self._with_patches(prepared) if tokens is None else prepared

    def _with_patches(self, prepared: Prepared) -> Prepared:
        """The same with labels of patches, and the images as far as they can be drawn.

        As it is where the model does not read images alone, or cuts them in a way that
        is not known.
        """
        from neural_attn.models.living.patches import DRAWN, pictures_of, tokens_of

        first = self.module.main_input_name
        pixels = prepared.inputs.get(first) if first == "pixel_values" else None
        labels = tokens_of(self.module.config, pixels)
        if labels is None:
            return prepared
        pictures = pictures_of(self.module.config, pixels)
        notes = [*prepared.notes, *([DRAWN] if pictures else [])]
        return replace(prepared, tokens=list(labels), pictures=pictures, notes=notes)

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Texts, padded on the right; a decoder sees its start token."""
        import numpy as np

        from neural_attn.inputs.readers import read_texts

        encoded = read_texts(self.tokenizer, texts, self._longest)
        taken = signature(self.module.forward).parameters
        arrays = {name: a for name, a in encoded.inputs.items() if name in taken}
        tokens: dict[str, Any] = {"input_ids": encoded.tokens}
        notes = list(encoded.notes)
        if self.generate is not None:
            arrays = arrays if self._has_decoder else _padded_on_the_left(arrays)
            return replace(self.prepare(arrays, tokens), cut=notes)
        start = getattr(self.module.config, "decoder_start_token_id", None)
        if self._has_decoder and start is not None:
            first = np.full((len(texts), 1), start, np.int64)
            arrays["decoder_input_ids"] = first
            tokens["decoder_input_ids"] = self._words(first)
            notes.append(
                "the decoder saw only its start token: for more, give input_ids and "
                "decoder_input_ids as data"
            )
        return replace(self.prepare(arrays, tokens), cut=notes)

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """Run the model; one that keeps eager weights to itself is asked for them."""
        from neural_attn.models.living.inputs import call

        if self.generate is not None:
            more = {"output_attentions": True} if self._is_eager else {}
            asks = {"return_dict_in_generate": True, **more}
            return self.module.generate(**{**inputs, **self.generate, **asks})
        can_be_asked = "output_attentions" in signature(self.module.forward).parameters
        asks = {"output_attentions": True} if self._is_eager and can_be_asked else {}
        return call(self.module, {**inputs, **asks})

    def generating(self, options: Mapping[str, Any]) -> _Transformers:
        """By `generate`, one token after the other.

        Raises NeuralError for a model without it, and for beams and whatever else does
        not take each token as the continuation of the row before.
        """
        if not getattr(self.module, "can_generate", lambda: False)():
            fail("E0414", name="generate", what=f"a {type(self.module).__name__}")
        if not isinstance(options, Mapping):
            fail("E0446.options", given=type(options).__name__)
        named = options.get("generation_config") or self.module.generation_config
        settings = copy.deepcopy(named)
        settings.update(**options)
        mode = settings.get_generation_mode(options.get("assistant_model"))
        if "beam" in mode.value:
            fail("E0434")
        told = mode.value if mode.value not in ("greedy_search", "sample") else ""
        # these run a text twice, or in parts, or by other code
        guided = getattr(settings, "guidance_scale", None) not in (None, 1)
        told = told or ("guidance_scale" if guided else "")
        others = ("prefill_chunk_size", "custom_generate")
        told = told or next((n for n in others if getattr(settings, n, None)), "")
        told = told or ("custom_generate" if "custom_generate" in options else "")
        if told:
            fail("E0446", mode=told)
        return replace(self, generate=options)

    def written(self, prepared: Prepared, output: Any) -> tuple[Any, Any]:
        """The words of all positions that ran: the last that was written did not."""
        if self.tokenizer is None:
            return None, None
        words = self._words(output.sequences[:, :-1])
        if not self._has_decoder:
            return words, None
        return self._words(prepared.inputs.get("input_ids")), words

    def unseen(self, parts: str, *, nothing: bool = False) -> Diagnostic:
        """What was not seen; what helps depends on the implementation it has."""
        kind = type(self.module).__name__
        used = str(getattr(self.module.config, "_attn_implementation", "eager"))
        if used in ("eager", "sdpa"):
            if not nothing:
                return Diagnostic.of("W0901", kind=kind, parts=parts)
            parts = parts or "none is called attention"
            return Diagnostic.of("E0441.returned", kind=kind, parts=parts)
        if nothing:
            return Diagnostic.of("E0441.implementation", kind=kind, used=used)
        return Diagnostic.of("W0901.implementation", kind=kind, parts=parts, used=used)

    @property
    def _is_eager(self) -> bool:
        """Whether any part of it is."""
        parts = (vars(part).get("config") for part in self.parts.values())
        configs = {id(one): one for one in parts if one is not None}.values()
        return any(getattr(c, "_attn_implementation", "") == "eager" for c in configs)

    def returned(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """Weights [batch, heads, queries, keys] among what an attention returned."""
        from neural_attn.models.living.returned import weights_in

        return weights_in(module, args, kwargs, output)

    def attends(self, module: Any) -> bool:
        """Whether the library calls it an attention."""
        return type(module).__name__.endswith("Attention")

    def unpacked(self, module: Any, scores: Any) -> Any:
        """Undo the layout that the library gives to a single query of grouped heads."""
        from neural_attn.models.living.returned import unpacked

        return unpacked(module, scores)

    # --- labels ---------------------------------------------------------------------

    def _tokens(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The words of the ids that the encoder, and those that the decoder reads."""
        first = inputs.get("input_ids")
        second = inputs.get("decoder_input_ids")
        if second is None and inputs.get("labels") is not None:
            shift = getattr(self.module, "prepare_decoder_input_ids_from_labels", None)
            second = None if shift is None else shift(labels=inputs["labels"])
        return {
            "input_ids": self._words(first),
            "decoder_input_ids": self._words(second),
        }

    def _words(self, ids: Any) -> list[list[str]] | None:
        import numpy as np

        from neural_attn.inputs.readers import tokens_of

        if ids is None:
            return None
        return tokens_of(self.tokenizer, np.asarray(getattr(ids, "cpu", lambda: ids)()))


def _padded_on_the_left(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Texts whose padding stands before them, so that each goes on where it ends."""
    import numpy as np

    mask = arrays.get("attention_mask")
    if mask is None:
        return dict(arrays)
    order = np.argsort(mask, axis=1, kind="stable")
    return {n: np.take_along_axis(one, order, axis=1) for n, one in arrays.items()}


def make(
    given: Any,
    *,
    tokens: Tokens | None = None,
    rows: Rows | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    **options: Any,
) -> ModuleModel | None:
    """A model of a model of `transformers`."""
    kinds = {kind.__name__ for kind in type(given).__mro__}
    if not is_module(given) or "PreTrainedModel" not in kinds:
        return None
    return of_library(lambda: _Transformers(given, tokenizer), given, rows, options)
