"""Networks that are damaged on purpose, and what `diagnose` says of them.

Small encoder-decoders learn to copy and to reverse letters. Each is then damaged in one
way at a time, and diagnosed on texts that it has not seen; so is the healthy one. The
table goes to docs/diagnosis.md. The seeds are not those on which limits were set.

    python -m benchmarks.damaged_models [--seeds 2]
"""

from __future__ import annotations

import argparse
import runpy
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from neural_attn import diagnose
from neural_attn.compile import check_text
from neural_attn.models.generated import load_model

Weights = dict[str, torch.Tensor]

FIRST_SEED = 100
LETTERS, HEADS, STEPS, BATCH = "abcdefghijklm", 4, 700, 64
SHORT, LONG = (4, 10), (40, 60)  # letters of a text: as in training, and beyond
EARLY = (0, 30, 60)  # steps after which training is broken off
NETWORK = """
network Letters {
  input: { source: (none,) target: (none,) }
  layers:
    source: {
      Embedding(16, 32, mask_zero=true)
      PositionalEncoding()
      TransformerEncoder(num_heads=4, ff_dim=64, dropout=0.0)
    }
    target: {
      Embedding(16, 32, mask_zero=true)
      PositionalEncoding()
      TransformerDecoder(num_heads=4, ff_dim=64, dropout=0.0, memory=source)
      Output(16, activation="linear")
    }
}
"""
# damage -> what is replaced in the file, which takes the same weights
EDITS = {
    "healthy": ("", ""),
    "padding is not masked": ("mask_zero=true", "mask_zero=false"),
    "the decoder is not causal": ("memory=source", "memory=source, causal=false"),
    "positions removed": ("PositionalEncoding()", ""),
}
# damage -> the kinds that say it
TRUE = {
    "healthy": (),
    "padding is not masked": ("masking",),
    "the decoder is not causal": ("masking",),
    "positions removed": ("positions",),
    "heads of each layer tied": ("redundancy",),
    "not trained": ("untrained",),
    "trained for 30 steps": ("untrained", "hallucination"),
    "trained for 60 steps": ("untrained", "hallucination"),
    "texts six times as long": ("long_inputs",),
}
# what follows from a damage, beside what says it
FOLLOWS = {
    "not trained": ("hallucination",),
    "positions removed": ("hallucination", "redundancy"),
    "heads of each layer tied": ("hallucination",),
    "texts six times as long": ("hallucination",),
}


def texts(
    random: np.random.Generator, count: int, task: str, lengths: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sources, targets that are fed and targets that are due, int [count, time]."""
    longest, at = lengths[1], np.arange(lengths[1])
    length = random.integers(lengths[0], longest + 1, count)
    inside = at < length[:, np.newaxis]
    source = np.where(inside, random.integers(3, 16, (count, longest)), 0)
    turned = np.maximum(length[:, np.newaxis] - 1 - at, 0)
    order = turned if task == "reverse" else np.broadcast_to(at, source.shape)
    letters = np.where(inside, np.take_along_axis(source, order, axis=1), 0)
    fed, due = np.zeros((2, count, longest + 1), dtype=np.int64)
    fed[:, 0], fed[:, 1:] = 1, letters
    due[:, :-1] = letters
    due[np.arange(count), length] = 2
    return source, fed, due


def train(task: str, seed: int) -> tuple[dict[int, Weights], float]:
    """Weights after some numbers of steps, and the share of texts that are right."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    (checked,), _ = check_text(NETWORK)
    model: Any = load_model(checked, "pytorch", seed=seed).model.train()
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    kept: dict[int, Weights] = {}
    for step in range(STEPS + 1):
        if step in (*EARLY, STEPS):
            kept[step] = {k: v.clone() for k, v in model.state_dict().items()}
        source, fed, due = map(torch.tensor, texts(random, BATCH, task, SHORT))
        scores = model({"source": source, "target": fed})
        loss = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), due.flatten(), ignore_index=0
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    right = ((scores.argmax(-1) == due) | (due == 0)).all(1).float().mean()
    return kept, float(right)


def tied(weights: Weights) -> Weights:
    """The same with the queries and keys of each layer's first head in all heads."""
    result = {name: one.clone() for name, one in weights.items()}
    for name, one in result.items():
        if "query_projection" in name or "key_projection" in name:
            size = len(one) // HEADS
            for head in range(1, HEADS):
                one[head * size : (head + 1) * size] = one[:size]
    return result


def kinds(
    folder: Path, text: str, weights: Weights, task: str, lengths: tuple[int, int]
) -> tuple[str, ...]:
    """The kinds of fault that are found in a network on 20 texts."""
    file, checkpoint = folder / "letters.neural", folder / "letters.safetensors"
    file.write_text(text, encoding="utf-8")
    save_file(weights, checkpoint)
    source, fed, _ = texts(np.random.default_rng(7), 20, task, lengths)
    names = ["<pad>", "<s>", "</s>", *LETTERS]
    inputs: Mapping[str, NDArray[Any]] = {"source": source, "target": fed}
    tokens = {k: [[names[i] for i in row] for row in v] for k, v in inputs.items()}
    found = diagnose(
        file, inputs, checkpoint=checkpoint, backend="pytorch", tokens=tokens
    )
    return found.kinds


def damaged(
    look: Callable[[str, Weights, tuple[int, int]], tuple[str, ...]],
    kept: Mapping[int, Weights],
) -> dict[str, tuple[str, ...]]:
    """What is found of one network under each damage."""
    whole = kept[STEPS]
    found = {
        name: look(NETWORK.replace(*edit), whole, SHORT) if edit[0] else
        look(NETWORK, whole, SHORT)
        for name, edit in EDITS.items()
    }  # fmt: skip
    found["heads of each layer tied"] = look(NETWORK, tied(whole), SHORT)
    for step in EARLY:
        name = f"trained for {step} steps" if step else "not trained"
        found[name] = look(NETWORK, kept[step], SHORT)
    found["texts six times as long"] = look(NETWORK, whole, LONG)
    return found


def table(found: list[dict[str, tuple[str, ...]]], right: list[float]) -> str:
    """The counts, as Markdown: recall by damage, and what else was said."""
    lines = [
        f"{len(found)} networks of {HEADS} heads a layer, half of which copy letters "
        f"and half reverse them, trained for {STEPS} steps "
        f"({min(right):.0%} to {max(right):.0%} of the texts of the last step right), "
        "each damaged in one way at a time and diagnosed on 20 texts. The seeds are "
        "not those on which limits were set; the tasks are.\n",
        "| damage | found | as | also said | false |",
        "| --- | ---: | --- | --- | --- |",
    ]
    hits = wrong = said = 0
    for name, true in TRUE.items():
        hit = sum(bool(set(one[name]) & set(true)) for one in found)
        counts = Counter(kind for one in found for kind in one[name])
        also = FOLLOWS.get(name, ())
        false = {k: n for k, n in counts.items() if k not in (*true, *also)}
        hits, wrong = hits + hit, wrong + sum(false.values())
        said += sum(counts.values())
        cells = [
            ", ".join(f"{k} {n}" for k, n in counts.items() if k in group) or "–"
            for group in (true, also, false)
        ]
        share = f"{hit} of {len(found)}" if true else "–"
        lines.append(f"| {name} | {share} | {' | '.join(cells)} |")
    damages = len(found) * (len(TRUE) - 1)
    lines.append(
        f"\nRecall: {hits} of {damages} damaged networks were found by a kind that "
        f"says the damage. Precision: {said - wrong} of {said} kinds that were named "
        "say it or follow from it; what is “also said” is true of the damaged network, "
        "and not the cause."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, damage, diagnose, and write the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2, help="networks of each task")
    seeds = options.parse_args().seeds
    found, right = [], []
    with TemporaryDirectory() as folder:
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            for task in ("copy", "reverse"):
                kept, share = train(task, seed)
                right.append(share)

                def look(
                    text: str, weights: Weights, size: tuple[int, int], task: str = task
                ) -> tuple[str, ...]:
                    return kinds(Path(folder), text, weights, task, size)

                found.append(damaged(look, kept))
                print(task, seed, f"{share:.2f}", found[-1], flush=True)
    made = runpy.run_path("docs/make_diagnosis.py")
    text = table(found, right)
    made["PAGE"].write_text(made["replaced"]("rates", text), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
