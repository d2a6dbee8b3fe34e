"""The layers of a network that write, by the names that guides of translators use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_attn.diagnostics.errors import fail

__all__ = ["Decoder", "DecoderLayer"]


@dataclass
class DecoderLayer:
    """One layer: its attention to what was written, and to what is read."""

    name: str
    parts: dict[str, Any] = field(default_factory=dict)  # kind -> attention layer

    @property
    def self_attn_weights(self) -> Any:
        """Tensor [batch, heads, target, target] of the last run; None: not stored."""
        return self._weights("decoder_self")

    @property
    def cross_attn_weights(self) -> Any:
        """Tensor [batch, heads, target, source] of the last run; None: not stored."""
        return self._weights("cross")

    def _weights(self, kind: str) -> Any:
        part = self.parts.get(kind)
        if part is None:
            fail("E0401.kind", layer=self.name, kind=kind.removesuffix("_self"))
        return part.attention_weights


@dataclass(frozen=True)
class Decoder:
    """All layers that attend to what was written, or to another input, in order."""

    layers: Sequence[DecoderLayer]

    @classmethod
    def of(
        cls, network: str, attending: Mapping[str, Any], kinds: Mapping[str, str]
    ) -> Decoder:
        """Group attention layers by the layer that they stand in.

        `attending` has them by the names of their maps, `kinds` what these are. Raises
        NeuralError where none belongs to a decoder.
        """
        layers: dict[str, DecoderLayer] = {}
        for name, layer in attending.items():
            if kinds[name] != "encoder_self":
                own = name.rpartition(".")[0] or name
                layers.setdefault(own, DecoderLayer(own)).parts[kinds[name]] = layer
        if not layers:
            fail("E0401.decoder", network=network)
        return cls(tuple(layers.values()))

    def set_store_attention(self, flag: bool) -> None:
        """Keep the weights of later runs on each layer, or drop them.

        While nothing is kept, fused kernels run and no weights are made.
        """
        for layer in self.layers:
            for part in layer.parts.values():
                part.store_attention = bool(flag)
                if not flag:
                    part.attention_weights = part.attention_mask = None
