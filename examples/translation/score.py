"""How well a trained network translates the pairs that were held out.

    python examples/translation/score.py translation_trained [--num-examples 100]

Needs sacrebleu: BLEU (Papineni et al., 2002) and chrF (Popović, 2015), from 0 to 100.
Beside the network stands a translation memory, which translates nothing: it answers
with the English of the pair in pairs.tsv whose Korean is most like the one asked for.
The pairs for which it has little, below FAR in common, are also counted alone.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

from make_pairs import Known
from sacrebleu import corpus_bleu, corpus_chrf

from neural_attn import generate
from neural_attn.trainer.pairs import Pair, read_pairs

HERE = Path(__file__).resolve().parent
FAR = 0.3  # of the letter triples; nothing held out has make_pairs.ALIKE
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


def remembered(
    pairs: Sequence[Pair], texts: Sequence[str]
) -> tuple[list[str], list[bool]]:
    """The English of the pair most like each text, and whether even that is far."""
    memory = Known(korean for korean, _ in pairs)
    found = [memory.like(text) for text in texts]
    return [pairs[number][1] for _, number in found], [
        share < FAR for share, _ in found
    ]


def placeholders(text: str) -> list[str]:
    """Those of a text, sorted; a tokenizer may have put spaces into them."""
    return sorted(PLACEHOLDER.findall(text))


def scores(written: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF; percent of texts that are right to the letter.

    `placeholders` is the percent that has all placeholders and no others, of the texts
    that should have any.
    """
    both = list(zip(written, right, strict=True))
    kept = [
        placeholders(a) == placeholders(b) for a, b in both if PLACEHOLDER.search(b)
    ]
    return {
        "BLEU": corpus_bleu(written, [right]).score,
        "chrF": corpus_chrf(written, [right]).score,
        "exact": 100 * sum(a == b for a, b in both) / len(both),
        "placeholders": 100 * sum(kept) / max(len(kept), 1),
    }


def main() -> None:
    """Print the scores, and some of the texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `neural train` wrote")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the pairs")
    parser.add_argument("--backend", default="pytorch")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--num-examples", type=int)
    given = parser.parse_args()
    pairs = read_pairs(given.data / "held_out.tsv")[: given.num_examples]
    korean, english = [list(side) for side in zip(*pairs, strict=True)]
    made = generate(
        HERE / "translation.neural",
        korean,
        checkpoint=given.folder / "translation.safetensors",
        backend=given.backend,
        beams=given.beams,
    )
    memory, is_far = remembered(read_pairs(given.data / "pairs.tsv"), korean)
    groups = {"all": [True] * len(pairs)} | ({"far": is_far} if any(is_far) else {})
    for group, chosen in groups.items():
        right = list(compress(english, chosen))
        print(f"{group}: {len(right)} pairs")
        for name, texts in (("network", made.texts), ("memory", memory)):
            found = scores(list(compress(texts, chosen)), right).items()
            print(f"  {name}: {', '.join(f'{n} {v:.1f}' for n, v in found)}")
    for source, text, right in list(zip(korean, made.texts, english, strict=True))[:12]:
        print(f"  {source}\n    written: {text}\n    right:   {right}")


if __name__ == "__main__":
    main()
