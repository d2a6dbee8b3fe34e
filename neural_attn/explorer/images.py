"""Images on the page: as PNG, with rollout over the layers that saw them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.picture import Picture
from neural_attn.metrics.rollout import attention_rollout, stack_of

__all__ = ["Images"]


@dataclass
class Images:
    """The images that maps of a page are of, each kept once."""

    described: list[dict[str, Any]] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)  # by id of a picture
    _rollouts: dict[tuple[int, int], NDArray[Any] | None] = field(default_factory=dict)

    def number(self, picture: Picture) -> int:
        """Where a picture stands among those of the page."""
        if id(picture) not in self._numbers:
            self._numbers[id(picture)] = len(self.described)
            rows, columns = picture.grid
            self.described.append(
                {
                    "png": _png(picture.pixels),
                    "rows": rows,
                    "columns": columns,
                    "before": len(picture.before),
                    "stretched": picture.stretched,
                }
            )
        return self._numbers[id(picture)]

    def rollout(
        self, maps: AttentionMaps, one: AttentionMap, batch_index: int
    ) -> NDArray[np.float32] | None:
        """Rollout up to the layer of a map, float32 [queries, keys].

        None where the layers make no stack; see `neural_attn.metrics.rollout`.
        """
        key = (id(maps), batch_index)
        if key not in self._rollouts:
            stack = stack_of(maps, batch_index=batch_index)
            self._rollouts[key] = None if stack is None else attention_rollout(stack)
        layers = [other.name for other in maps.maps if other.kind == "encoder_self"]
        rollouts = self._rollouts[key]
        if rollouts is None or one.name not in layers:
            return None
        found: NDArray[np.float32] = rollouts[layers.index(one.name)].astype(np.float32)
        return found


def _png(pixels: NDArray[np.uint8]) -> str:
    """A data address of the image."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
