"""How well networks write: what they wrote against what was right, with intervals.

Exact match is counted here; BLEU (Papineni et al., 2002) is that of `sacrebleu`, which
is imported when it is needed. Intervals of BLEU and of differences are made by
resampling the texts (Koehn, 2004), those of shares are Wilson's (1927).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis.significance import wilson
from neural_attn.diagnostics.errors import fail

__all__ = ["BLEU", "EXACT", "Difference", "Score", "compare", "is_match", "score"]

EXACT, BLEU = "exact_match", "bleu"
RESAMPLED = 2000  # times that the texts are resampled
_TAILS = (2.5, 97.5)  # percent: what lies between is the interval of 95 %

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One number from 0 to 100 over `texts` texts, with its interval of 95 %.

    `signature` says how BLEU was computed, as `sacrebleu` has it.
    """

    metric: str
    value: float
    low: float
    high: float
    texts: int
    signature: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """Of one metric: what the first network has more than another, on the same texts.

    `low` to `high` is the interval of 95 %: the same texts are drawn for both.
    """

    metric: str
    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside the interval."""
        return not self.low <= 0 <= self.high

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "is_clear": self.is_clear}


def is_match(written: str, right: str) -> bool:
    """Whether two texts are the same but for white space.

    Not every tokenizer knows where spaces were, so they cannot tell texts apart.
    """
    return "".join(written.split()) == "".join(right.split())


def score(
    written: Sequence[str], right: Sequence[str], *, tokenize: str = "13a"
) -> list[Score]:
    """Exact match and BLEU of texts, against one right text for each.

    BLEU counts up to four words in a row: where no right text has four, it is left out.

    Parameters
    ----------
    written, right : texts, as many of each
    tokenize : how BLEU splits texts into words: a name that `sacrebleu` knows, such as
        13a, char, intl, zh, ko-mecab

    Raises
    ------
    ValueError
        For no texts, or not as many of both.
    NeuralError
        Where `sacrebleu` is not installed (E0502), or does not know `tokenize` (E0414).
    """
    counted = _count(written, right, tokenize)
    drawn = _draws(len(right))
    found = []
    for name, one in counted.items():
        value = one.of(one.rows.sum(axis=0))
        if name == EXACT:
            low, high = (100 * end for end in wilson(value / 100, len(right)))
        else:
            low, high = np.percentile(_over(one, drawn), _TAILS).tolist()
        found.append(Score(name, value, low, high, len(right), one.signature))
    return found


def compare(
    first: Sequence[str],
    other: Sequence[str],
    right: Sequence[str],
    *,
    tokenize: str = "13a",
) -> list[Difference]:
    """What the first texts score more than the others; as in `score`."""
    ours, theirs = _count(first, right, tokenize), _count(other, right, tokenize)
    drawn = _draws(len(right))
    found = []
    for name, one in ours.items():
        value = one.of(one.rows.sum(axis=0)) - one.of(theirs[name].rows.sum(axis=0))
        apart = _over(one, drawn) - _over(theirs[name], drawn)
        found.append(Difference(name, value, *np.percentile(apart, _TAILS).tolist()))
    return found


@dataclass(frozen=True)
class _Counted:
    """What a metric counts in each text, [texts, counts], and what sums of it make."""

    rows: Float
    of: Any
    signature: str = ""


def _count(
    written: Sequence[str], right: Sequence[str], tokenize: str
) -> Mapping[str, _Counted]:
    if not right or len(written) != len(right):
        raise ValueError(f"{len(written)} texts but {len(right)} references")
    hits = [is_match(a, b) for a, b in zip(written, right, strict=True)]
    ones = np.stack([np.array(hits, np.float64), np.ones(len(hits))], axis=1)
    exact = _Counted(ones, lambda sums: float(100 * sums[0] / sums[1]))
    bleu = _count_bleu(written, right, tokenize)
    return {EXACT: exact} if bleu is None else {EXACT: exact, BLEU: bleu}


def _count_bleu(
    written: Sequence[str], right: Sequence[str], tokenize: str
) -> _Counted | None:
    """BLEU's counts of n-grams in each text: those found, those there are, lengths.

    None where no right text has as many words as the longest n-gram: it would be 0.
    """
    sacrebleu = _library()
    metric = _metric(sacrebleu, tokenize)
    texts = [metric.sentence_score(a, [b]) for a, b in zip(written, right, strict=True)]
    rows = [[*t.counts, *t.totals, t.sys_len, t.ref_len] for t in texts]
    whole = sacrebleu.BLEU(tokenize=tokenize)
    whole.corpus_score(list(written), [list(right)])  # without it, no signature
    order = metric.max_ngram_order
    if max(text.ref_len for text in texts) < order:
        return None

    def bleu(sums: Float) -> float:
        counts = [round(one) for one in sums.tolist()]
        found = whole.compute_bleu(counts[:order], counts[order:-2], *counts[-2:])
        return float(found.score)

    return _Counted(np.array(rows, np.float64), bleu, str(whole.get_signature()))


def _metric(sacrebleu: Any, tokenize: str) -> Any:
    """BLEU of single texts, which may be shorter than its longest n-gram."""
    if tokenize not in sacrebleu.BLEU.TOKENIZERS:
        there = ", ".join(sacrebleu.BLEU.TOKENIZERS)
        fail("E0464", tokenize=tokenize, hint=f"there are {there}")
    try:
        return sacrebleu.BLEU(tokenize=tokenize, effective_order=True)
    except (ImportError, RuntimeError) as error:  # it needs a package of its own
        fail("E0464", tokenize=tokenize, hint=" ".join(str(error).split()))


def _library() -> Any:
    try:
        import sacrebleu
    except ImportError:
        fail("E0502.sacrebleu")
    return sacrebleu


def _draws(texts: int) -> Float:
    """How often each text is drawn, [RESAMPLED, texts]; the same in every run."""
    random = np.random.default_rng(0)
    return random.multinomial(texts, [1 / texts] * texts, RESAMPLED).astype(np.float64)


def _over(one: _Counted, drawn: Float) -> Float:
    """A metric of each set of texts that was drawn."""
    return np.array([one.of(sums) for sums in drawn @ one.rows])
