"""Training steps of a translator, beside a loop by hand on nn.Transformer.

Both have the sizes, optimizer and loss of the template `encoder_decoder.neural` or of
the example of translation, dropout 0.1, and the same batches of ids; the numbers of
weights are compared first. The bar: at least 0.95 of the speed.

    python -m benchmarks.train_seq2seq [--network translation] [--rounds 7]
        [--threads 1 --cpu-time]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.command import begin, options
from benchmarks.timing import compare, milliseconds, ratio, report
from neural_attn.check import check_file, choose
from neural_attn.models.generated import load_model

BATCH, LENGTHS = 32, (12, 32)


@dataclass(frozen=True)
class Network:
    """A file, and what the loop by hand has to have for it."""

    path: str
    ids: int
    optimizer: Callable[..., Any]
    smoothing: float


NETWORKS = {
    "template": Network(
        "neural_attn/templates/encoder_decoder.neural", 8000, torch.optim.Adam, 0.0
    ),
    "translation": Network(
        "examples/translation/translation.neural", 4000, torch.optim.AdamW, 0.1
    ),
}


class ByHand(nn.Module):
    """As an author would write it: two embeddings, positions, nn.Transformer."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(ids, 128), nn.Embedding(ids, 128)
        angles = torch.arange(256)[:, None] * torch.exp(
            torch.arange(0, 128, 2) * (-math.log(10000.0) / 128)
        )
        places = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        self.register_buffer("places", places, persistent=False)
        self.dropout = nn.Dropout(0.1)
        self.body = nn.Transformer(128, 4, 2, 2, 512, 0.1, batch_first=True)
        self.body.encoder.norm = self.body.decoder.norm = None  # as in the paper
        self.output = nn.Linear(128, ids)

    def forward(self, source: Any, target: Any) -> Any:
        """Logits [batch, time, ids]."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.size(1)) < 0
        padding = source == 0
        x = self.dropout(self.source(source) + self.places[: source.size(1)])
        y = self.dropout(self.target(target) + self.places[: target.size(1)])
        y = self.body(
            x,
            y,
            tgt_mask=mask,
            src_key_padding_mask=padding,
            tgt_key_padding_mask=target == 0,
            memory_key_padding_mask=padding,
        )
        return self.output(y)


def batch(length: int, most: int) -> tuple[dict[str, Any], Any]:
    """Sources and targets of about this length, padded; their ids are below `most`."""
    rng = np.random.default_rng(length)
    lengths = rng.integers(length - 3, length + 1, BATCH)
    lengths[0] = length
    ids = rng.integers(4, most, (2, BATCH, length)) * (
        np.arange(length) < lengths[:, None]
    )
    answers = np.where(ids[1] == 0, -100, np.roll(ids[1], -1, axis=1))
    return {"source": ids[0], "target": ids[1]}, answers.astype(np.int64)


def main() -> None:
    """Compare at each length, and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--network", choices=NETWORKS, default="template")
    chosen = parser.parse_args()
    clock, network = begin(chosen), NETWORKS[chosen.network]
    checked = choose(check_file(network.path)[0], None)
    loaded = load_model(checked, "pytorch")
    assert loaded.backend.learner is not None
    learner = loaded.backend.learner(checked, loaded.module, loaded.model, 0, "cpu")
    hand = ByHand(network.ids).train()
    adam = network.optimizer(hand.parameters(), lr=0.0005, eps=1e-7)
    loss_of = nn.CrossEntropyLoss(label_smoothing=network.smoothing)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (hand, loaded.model)]
    if sizes[0] != sizes[1]:
        raise SystemExit(f"the two have different numbers of weights: {sizes}")
    rows = []
    for length in chosen.length or LENGTHS:
        inputs, answers = batch(length, network.ids)
        pair = [torch.from_numpy(inputs[name]) for name in ("source", "target")]
        right = torch.from_numpy(answers)

        def step(pair: Any = pair, right: Any = right) -> None:
            logits = hand(*pair).flatten(0, 1)
            loss = loss_of(logits, right.flatten())
            adam.zero_grad()
            loss.backward()
            adam.step()

        works = {
            "ours": lambda i=inputs, a=answers: learner.step(i, a),
            "by hand": step,
        }
        times = compare(works, chosen.rounds, clock=clock)
        rows.append(
            {
                "length": length,
                "ms a step, ours": milliseconds(times["ours"]),
                "ms a step, by hand": milliseconds(times["by hand"]),
                "speed, ours / by hand": round(ratio(times, "by hand", "ours"), 3),
            }
        )
    report(f"train_seq2seq {chosen.network}", rows, threads=chosen.threads)


if __name__ == "__main__":
    main()
