"""What the attention does of what is often said of it, in numbers.

    python examples/docstring_to_code/claims.py test.tsv [--checkpoint WEIGHTS]

The network is made to read the right function of each pair, token by token, and each
claim is asked of the steps that it is about: is the greatest weight where it says?
Beside it stands how often the other steps of the same texts look there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neural_attn import generate
from neural_attn.analysis.significance import wilson
from neural_attn.metrics.geometry import bare
from neural_attn.trainer.pairs import read_pairs

HERE = Path(__file__).resolve().parent
TRAINED = Path("docstring_to_code_trained") / "docstring_to_code.safetensors"
Where = Callable[[str, Sequence[str]], set[int]]


def verb(written: str, source: Sequence[str]) -> set[int]:
    """`return` comes from the verb, where the docstring begins with it."""
    returns = source[0].startswith("return")
    return {0} if written == "return" and returns else set()


def beginning(written: str, source: Sequence[str]) -> set[int]:
    """`def` comes from the first two tokens."""
    return {0, 1} if written == "def" and len(source) > 3 else set()


def same_word(written: str, source: Sequence[str]) -> set[int]:
    """A word that stands in the docstring comes from there."""
    if len(written) < 3 or not written.isalpha() or written == "return":
        return set()
    return {place for place, one in enumerate(source) if one == written}


def end(written: str, source: Sequence[str]) -> set[int]:
    """Every step looks at the end: the last token of the docstring, or what ends it."""
    return {len(source) - 2, len(source) - 1}


CLAIMS: dict[str, Where] = {
    "`return` looks at the verb Return": verb,
    "`def` looks at the beginning": beginning,
    "a word looks at the same word": same_word,
    "any step looks at the last two tokens": end,
}


@dataclass
class Count:
    """How often steps look where a claim says, and other steps at the same place."""

    steps: int = 0
    hits: int = 0
    others: int = 0
    other_hits: int = 0
    texts: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        if not self.steps:
            return "no such step"
        low, high = wilson(self.hits / self.steps, self.steps)
        found = f"{100 * self.hits / self.steps:.0f} %"
        interval = f"[{100 * low:.0f}, {100 * high:.0f}]"
        beside = f"{100 * self.other_hits / self.others:.0f} %" if self.others else "–"
        return f"{found} {interval} of {self.steps} steps; others: {beside}"

    def add(
        self, tokens: Sequence[str], source: Sequence[str], at: list[int], where: Where
    ) -> None:
        """Count the steps of one text, each of which looks `at` a place."""
        places = [where(token, source) for token in tokens]
        for step, own in enumerate(places):
            if own:
                others = [a for a, p in zip(at, places, strict=True) if not p]
                self.steps += 1
                self.hits += at[step] in own
                self.others += len(others)
                self.other_hits += sum(one in own for one in others)


def words(tokens: Sequence[str]) -> list[str]:
    """Tokens without the mark of a space, in small letters."""
    return [bare(token).lower() for token in tokens]


def count(pairs: Sequence[tuple[str, str]], checkpoint: Path) -> dict[str, Count]:
    """Every claim over all pairs."""
    network = HERE / "docstring_to_code.neural"
    made = generate(
        network, list(pairs), checkpoint=checkpoint, backend="pytorch", attention=True
    )
    found = {name: Count() for name in CLAIMS}
    for written, maps in zip(made.written, made.maps, strict=True):
        (weights,) = maps.values()  # [1, 1, steps, tokens of the docstring]
        at = weights[0, 0].argmax(axis=-1)[written.first :].tolist()
        for name, where in CLAIMS.items():
            tokens, source = words(written.tokens), words(written.source_tokens)
            found[name].add(tokens, source, at, where)
    return found


def main() -> None:
    """Print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--checkpoint", type=Path, default=TRAINED)
    given = parser.parse_args()
    pairs = read_pairs(given.pairs)
    for name, one in count(pairs, given.checkpoint).items():
        print(f"{name}: {one}")
    said = sum("maxim" in line.lower() for line, _ in pairs)
    print(f"docstrings with a word such as maximum: {said} of {len(pairs)}")


if __name__ == "__main__":
    main()
