"""Writes inputs for the example networks: token ids, embedded vectors, tokens.

    python generate_sample_data.py --output-dir sample_data

The numbers are random but always the same for the same --seed. Nothing is needed
besides NumPy.
"""

import argparse
from pathlib import Path

import numpy as np

SENTENCE = "the cat that I love sat on the mat because it was tired".split()
REVIEWS = [
    "what a fine film I would see it again",
    "too long",
    "the plot is thin but the actors are a joy to watch",
]


def main() -> None:
    """Write every file and print what can be done with it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output-dir", type=Path, default=Path("sample_data"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    folder = options.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in sample_arrays(options.seed).items():
        np.save(folder / f"{name}.npy", array)
        print(f"{folder / name}.npy: {array.dtype} {array.shape}")
    tokens = folder / "sentence_tokens.txt"
    tokens.write_text(",".join(SENTENCE) + "\n", encoding="utf-8")
    print(f"{tokens}: {len(SENTENCE)} tokens")

    networks = Path(__file__).parent
    print(f"""
Try, for instance:
  neural visualize {networks / "basic_transformer.neural"} --attention \\
    --data {folder / "basic_embedded.npy"}
  neural visualize {networks / "text_classification.neural"} --attention \\
    --data {folder / "sentence_ids.npy"} --tokens "$(cat {tokens})"
  neural visualize {networks / "text_classification.neural"} --attention \\
    --data {folder / "reviews_ids.npy"}""")


def sample_arrays(seed: int) -> dict[str, np.ndarray]:
    """Return {name: array}, with a batch axis in front of each array."""
    random = np.random.default_rng(seed)
    ids = words_to_ids([SENTENCE, *(review.split() for review in REVIEWS)])
    return {
        # for input: (24, 64) and (32, 64): ids, or vectors embedded already
        "basic_ids": random.integers(1, 1000, (1, 24)),
        "basic_embedded": random.standard_normal((1, 24, 64)).astype(np.float32),
        "multi_layer_ids": random.integers(1, 2000, (1, 32)),
        "multi_layer_embedded": random.standard_normal((1, 32, 64)).astype(np.float32),
        # for input: (none,): one sentence, and texts of different lengths
        "sentence_ids": padded(ids[:1]),
        "reviews_ids": padded(ids[1:]),
    }


def words_to_ids(texts: list[list[str]]) -> list[list[int]]:
    """Number the words in the order in which they come, from 1: 0 is padding."""
    numbers: dict[str, int] = {}
    return [
        [numbers.setdefault(word, len(numbers) + 1) for word in text] for text in texts
    ]


def padded(rows: list[list[int]]) -> np.ndarray:
    """Fill up lists of ids with 0 to the longest: int64 [texts, longest]."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, numbers in zip(ids, rows, strict=True):
        row[: len(numbers)] = numbers
    return ids


if __name__ == "__main__":
    main()
