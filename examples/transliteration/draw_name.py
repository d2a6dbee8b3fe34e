"""Writes a name in Khmer letters, and draws where each letter looked.

    python examples/transliteration/draw_name.py sokha

It needs what `neural import` wrote, as README.md has it, and the package
netra-transliterate, whose letters are looked at.
"""

from __future__ import annotations

import argparse
import importlib.util
import pickletools
import unicodedata
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from neural_attn.figures.heatmap import plot_heatmap, save_figure
from neural_attn.models.generated import GeneratedModel

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "transliteration"
START, END = "\t", "\n"
PADDED, LONGEST = 25, 24  # max_eng_len and max_khm_len of the package


def constants(path: Path) -> Iterator[Any]:
    """The texts and numbers of a pickle in order; it is not unpickled, nothing runs."""
    kept: list[Any] = []  # what the pickle may name again by its number
    last = None
    for operation, value, _ in pickletools.genops(path.read_bytes()):
        name = operation.name
        if name == "MEMOIZE":
            kept.append(last)
        last = kept[value] if name in ("BINGET", "LONG_BINGET") else value
        if isinstance(last, str | int) and name not in ("PROTO", "FRAME"):
            yield last


def letters(path: Path) -> list[dict[str, int]]:
    """The ids of English letters, and of Khmer letters, as Keras numbered them."""
    values, found = constants(path), []
    while "word_index" in values:  # reads up to it
        pairs = list(takewhile(lambda one: one != "index_word", values))
        found.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))
    return found


def main() -> None:
    """Write the name letter by letter, the likeliest each time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--folder", type=Path, default=BUILD)
    parser.add_argument("-o", "--picture", type=Path, default=Path("name.png"))
    args = parser.parse_args()
    spec = importlib.util.find_spec("khmer_transliterator")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs: pip install --no-deps netra-transliterate==1.0.1")
    weights = Path(spec.submodule_search_locations[0]) / "weights"
    english, khmer = letters(weights / "gru_transliteration_assets.pkl")
    network = args.folder / "khmer.neural"
    checkpoint = network.with_suffix(".safetensors")
    model = GeneratedModel.open(network, backend="numpy", checkpoint=checkpoint)
    source = np.zeros((1, PADDED), int)  # 0 is padding, which the network sees
    source[0, : len(args.name)] = [english[letter] for letter in args.name]
    ids = [khmer[START]]
    while ids[-1] != khmer[END] and len(ids) < LONGEST:
        given = {"source": source, "target": np.array([ids])}
        captured = model.run(model.prepare(given))
        ids.append(int(captured.output[0, -1].argmax()))
    written = [next(one for one, n in khmer.items() if n == number) for number in ids]
    names = [unicodedata.name(one, "END").replace("KHMER ", "") for one in written[1:]]
    figure = plot_heatmap(
        captured.maps.maps[0].weights[0, 0],
        [name.replace("VOWEL ", "").lower().replace(" ", "_") for name in names],
        [*args.name, *"○" * (PADDED - len(args.name))],
        f"{args.name}: each row writes one Khmer letter",
        subtitle="the row that predicts the letter",
    )
    save_figure(figure, args.picture)
    print("".join(written[1:]).strip(), f"wrote {args.picture}")


if __name__ == "__main__":
    main()
