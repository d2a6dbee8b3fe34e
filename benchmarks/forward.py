"""A forward pass of the generated PyTorch code against the same network by hand.

Attention is not asked for. Both run on `scaled_dot_product_attention`, with the same
weights and inputs; their outputs are compared first. The bar: at most 1.05 times the
time.

    python -m benchmarks.forward [--shape minilm] [--length 128] [--rounds 9]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.command import begin, columns, options
from benchmarks.handwritten import Encoder, copy_weights
from benchmarks.timing import compare, report
from neural_attn.compile import check_text
from neural_attn.models.generated import load_model


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder."""

    depth: int
    width: int
    heads: int
    hidden: int

    @property
    def source(self) -> str:
        """The network as a `.neural` file."""
        return f"""\
network Stack {{
  input: {{
    vectors: (None, {self.width})
    attention_mask: (None,)
  }}
  layers:
    TransformerEncoder(
      num_heads={self.heads}, ff_dim={self.hidden}, activation="gelu"
    ) * {self.depth}
}}
"""


SHAPES = {
    "minilm": Shape(depth=6, width=384, heads=12, hidden=1536),
    "bert-base": Shape(depth=12, width=768, heads=12, hidden=3072),
}
LENGTHS = (128, 512, 2048)
STACK = "transformer_encoder_layers"


def pair(shape: Shape) -> tuple[Any, Encoder]:
    """The generated model and the one by hand, with the same weights."""
    generated = load_model(check_text(shape.source)[0][0], "pytorch").model
    by_hand = Encoder(shape.depth, shape.width, shape.heads, shape.hidden).eval()
    copy_weights(generated.state_dict(), by_hand, STACK)
    return generated, by_hand


def padding(batch: int, length: int) -> torch.Tensor:
    """A mask [batch, length] whose last quarter is padding."""
    mask = torch.ones(batch, length, dtype=torch.bool)
    mask[:, 3 * length // 4 :] = False
    return mask


def measure(
    name: str,
    models: tuple[Any, Encoder],
    length: int,
    padded: bool,
    clock: Callable[[], float],
    rounds: int,
) -> dict[str, object]:
    """One row of the table. Raises AssertionError where the outputs differ."""
    generated, by_hand = models
    x = torch.randn(1, length, SHAPES[name].width)
    mask = padding(1, length) if padded else None
    inputs = {"vectors": x} if mask is None else {"vectors": x, "attention_mask": mask}
    with torch.inference_mode():
        torch.testing.assert_close(
            generated(inputs), by_hand(x, mask), rtol=1e-5, atol=1e-5
        )
        times = compare(
            {"ours": lambda: generated(inputs), "by hand": lambda: by_hand(x, mask)},
            rounds,
            clock=clock,
        )
    return {"shape": name, "length": length, **columns(times, padded, "by hand")}


def main() -> None:
    """Measure all the shapes and lengths that were asked for."""
    parser = options(__doc__ or "")
    parser.add_argument("--shape", choices=SHAPES, action="append")
    chosen = parser.parse_args()
    clock = begin(chosen)
    rows = []
    for name in chosen.shape or SHAPES:
        models = pair(SHAPES[name])
        rows += [
            measure(name, models, length, padded, clock, chosen.rounds)
            for length in chosen.length or LENGTHS
            for padded in (False, True)
        ]
    report("forward", rows, torch=torch.__version__, threads=chosen.threads)


if __name__ == "__main__":
    main()
