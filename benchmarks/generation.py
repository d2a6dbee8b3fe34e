"""One more token of a generated PyTorch model, with what it keeps and without.

Behind prompts of several lengths, 16 tokens are written; beside them, the whole text is
read again for each. The tokens are compared first. The bar: the time of a token grows
less than the length does, where reading anew grows more.

    python -m benchmarks.generation [--length 64] [--length 1024] [--rounds 7]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.command import begin, options
from benchmarks.timing import compare, milliseconds, ratio, report
from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

LENGTHS = (64, 256, 1024)
TOKENS = 16
NETWORK = """
network Writer {
  input: (none,)
  layers:
    Embedding(1000, 256)
    PositionalEncoding(2048, "learned")
    TransformerDecoder(8, 1024, activation="gelu", norm_first=true) * 4
    LayerNormalization()
    Output(1000)
}
"""


def again(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The likeliest tokens, the whole text read anew for each."""
    with torch.no_grad():
        for _ in range(TOKENS):
            token = model(ids)[:, -1].argmax(dim=-1, keepdim=True)
            ids = torch.cat([ids, token], dim=1)
    return ids


def main() -> None:
    """Compare at each length, and print."""
    chosen = options(__doc__ or "").parse_args()
    clock = begin(chosen)
    (checked,), _ = check_text(NETWORK)
    model: Any = load_model(checked, "pytorch").model
    rows = []
    for length in chosen.length or LENGTHS:
        ids = torch.randint(0, 1000, (1, length))
        works: dict[str, Callable[[], object]] = {
            "kept": lambda ids=ids: model.generate(ids, TOKENS),
            "prompt": lambda ids=ids: model.generate(ids, 1),
            "anew": lambda ids=ids: again(model, ids),
        }
        if not torch.equal(model.generate(ids, TOKENS), again(model, ids)):
            raise SystemExit("the two write different texts")
        times = compare(works, chosen.rounds, clock=clock)
        pairs = zip(times["kept"], times["prompt"], strict=True)
        each = [(whole - first) / (TOKENS - 1) for whole, first in pairs]
        rows.append(
            {
                "prompt": length,
                "ms a token, kept": milliseconds(each),
                "ms a token, anew": milliseconds([t / TOKENS for t in times["anew"]]),
                "text, kept / anew": round(ratio(times, "kept", "anew"), 3),
            }
        )
    report("generation", rows, threads=chosen.threads)


if __name__ == "__main__":
    main()
