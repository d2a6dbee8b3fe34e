"""How many strings a trained network writes backwards without a mistake.

    python examples/annotated_transformer/score.py reverse_trained [--count 500]

The strings are drawn with another seed than those of make_pairs.py; any that stands
there too is left out. Written greedily, by the code that `neural compile` gives.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from make_pairs import make
from neural_attn.backends import get
from tokenizers import Tokenizer

from neural_attn import load_model

HERE = Path(__file__).resolve().parent


def exact_matches(folder: Path, backend: str, count: int) -> float:
    """The share of unseen strings that come out right to the last letter."""
    weights = folder / "reverse.safetensors"
    loaded = load_model(HERE / "reverse.neural", backend, weights)
    read = Tokenizer.from_file(str(folder / "source.tokenizer.json"))
    write = Tokenizer.from_file(str(folder / "target.tokenizer.json"))
    start, end = write.token_to_id("<s>"), write.token_to_id("</s>")
    seen = set(make(2000))
    texts = [text for text in make(count, seed=1) if text not in seen]
    read.enable_padding(pad_id=0)
    source = np.array([one.ids for one in read.encode_batch(texts)])
    target = np.full((len(texts), 1), start)
    tensor, array = get(backend).tensor, get(backend).array
    ids = loaded.model.generate(tensor(source), tensor(target), 10, end=end)
    ids = np.asarray(ids) if isinstance(ids, np.ndarray) else array(ids)
    found = [write.decode([i for i in row if i > 3]) for row in ids.tolist()]
    return float(np.mean([a == b[::-1] for a, b in zip(found, texts, strict=True)]))


def main() -> None:
    """Print the share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--count", type=int, default=500)
    given = parser.parse_args()
    share = exact_matches(given.folder, given.backend, given.count)
    print(f"{100 * share:.1f} % of unseen strings are right to the last letter")


if __name__ == "__main__":
    main()
