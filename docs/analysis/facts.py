"""What is said of each metric and each type of head; `make.py` makes pages of it."""

from __future__ import annotations

__all__ = ["FACTS", "LIMITS", "TYPES"]

VIG = "Vig and Belinkov 2019, arXiv:1906.04284"
CLARK = "Clark et al. 2019, arXiv:1906.04341"
OLSSON = "Olsson et al. 2022, arXiv:2209.11895"
GUIDE = "the attention visualization guide of this project"

# metric -> formula, range, how to read it, source, planted head that has it
FACTS: dict[str, tuple[str, str, str, str, str]] = {
    "entropy": (
        "mean over queries of -Σ_k w ln w, with 0 ln 0 = 0",
        "0 to ln(allowed keys), in nats",
        "Low: few keys. It grows with the length of the text, so compare only texts "
        "of one length.",
        f"{CLARK}; {GUIDE}",
        "uniform",
    ),
    "normalized_entropy": (
        "mean over queries with a choice of (-Σ_k w ln w) / ln(allowed keys)",
        "0 to 1",
        "0: one key. 1: uniform over what the mask allows. Comparable between texts "
        "and masks.",
        "entropy as a share of its maximum (Pielou 1966)",
        "uniform",
    ),
    "max_weight": (
        "mean over queries of max_k w",
        "1 / allowed keys to 1",
        "High: each query has one key that it prefers.",
        GUIDE,
        "previous_token",
    ),
    "effective_keys": (
        "mean over queries of exp(entropy of the row)",
        "1 to allowed keys",
        "The number of keys that a uniform head of the same entropy would use.",
        "perplexity; Hill 1973",
        "sparse",
    ),
    "top_key_share": (
        "max_k of the mean of w[q, k] over the queries that may attend to k; only keys "
        "that at least half of the queries may attend to",
        "1 / keys to 1",
        "High: all queries attend to one position, whichever it is. Its chance is a "
        "bound on the greatest of so many columns in shuffled rows, so z is too small "
        "rather than too great.",
        "attention sinks: Xiao et al. 2023, arXiv:2309.17453",
        "sink",
    ),
    "diagonal_strength": (
        "mean of w[i, i] / mean of w",
        "0 to keys",
        "1 for uniform attention without a mask; a causal mask alone raises it, so "
        "compare with `uniform`.",
        GUIDE,
        "same_token",
    ),
    "weight_mean": (
        "mean of all weights in rows that have any",
        "0 to 1",
        "1 / keys by construction: a check of the input, no finding.",
        GUIDE,
        "uniform",
    ),
    "weight_std": (
        "standard deviation (population) of all weights",
        "0 to 0.5",
        "0: uniform. High: few large weights.",
        GUIDE,
        "previous_token",
    ),
    "weight_min": (
        "least weight",
        "0 to 1",
        "0 where anything is masked.",
        GUIDE,
        "uniform",
    ),
    "weight_max": (
        "greatest weight",
        "0 to 1",
        "One strong link anywhere makes it high; `max_weight` says whether it is the "
        "rule.",
        GUIDE,
        "sparse",
    ),
    "monotonicity": (
        "correlation over queries of q with Σ_k w k / Σ_k w; cross-attention only",
        "-1 to 1",
        "1: later queries attend to later keys, as in translation or speech.",
        "monotonic alignment: Raffel et al. 2017, arXiv:1704.00784",
        "same_token",
    ),
    "previous_token": (
        "share of attention on k = q - 1",
        "0 to 1",
        "Above 0.5 the head looks one back.",
        f"{CLARK}; Voita et al. 2019, arXiv:1905.09418",
        "previous_token",
    ),
    "next_token": (
        "share of attention on k = q + 1",
        "0 to 1",
        "Above 0.5 the head looks one ahead; impossible under a causal mask.",
        CLARK,
        "next_token",
    ),
    "same_token": (
        "share of attention on k = q",
        "0 to 1",
        "Above 0.5 the head keeps the token's own content.",
        f"{CLARK}; {GUIDE}",
        "same_token",
    ),
    "duplicate_token": (
        "share of attention on other positions with the same token (special ones not)",
        "0 to 1",
        "Only queries whose token comes again count.",
        "Wang et al. 2022, arXiv:2211.00593",
        "duplicate_token",
    ),
    "induction": (
        "share of attention on tokens that follow an earlier copy of the query's token",
        "0 to 1",
        "On texts it is confounded with what tokens mean. The probe measures it on 4 "
        "sequences of 25 random tokens, each twice; there it is the prefix-matching "
        "score.",
        OLSSON,
        "induction",
    ),
    "first_token": (
        "share of attention on the first key",
        "0 to 1",
        "High: the first token ([CLS], <s>) is a sink.",
        f"{CLARK}; Xiao et al. 2023, arXiv:2309.17453",
        "sink",
    ),
    "last_token": (
        "share of attention on the last key; not under a causal mask",
        "0 to 1",
        "High: the last token ([SEP]) is a sink.",
        CLARK,
        "suffix",
    ),
    "special_tokens": (
        "share of attention on tokens written like [CLS], <s>, <|endoftext|>",
        "0 to 1",
        "High: the head rests there when it has nothing else to do.",
        CLARK,
        "sink",
    ),
    "punctuation": (
        "share of attention on tokens of punctuation or symbols alone",
        "0 to 1",
        "High: sentence marks are the sink.",
        CLARK,
        "block",
    ),
    "prefix": (
        "share of attention on the first eighth of the keys, at least two",
        "0 to 1",
        "High: a vertical band at the left.",
        GUIDE,
        "prefix",
    ),
    "suffix": (
        "share of attention on the last eighth of the keys, at least two",
        "0 to 1",
        "High: a vertical band at the right.",
        GUIDE,
        "suffix",
    ),
    "local": (
        "share of attention on |q - k| ≤ 2",
        "0 to 1",
        "High: a band along the diagonal.",
        GUIDE,
        "local",
    ),
    "block": (
        "share of attention inside the query's own sentence or part; needs two of them",
        "0 to 1",
        "Parts end with . ! ? … 。 or a special token.",
        "block-diagonal heads: Kovaleva et al. 2019, arXiv:1908.08593",
        "block",
    ),
    "far_in_block": (
        "share of attention inside the query's own sentence or part, on |q - k| > 2",
        "0 to 1",
        "Tells a block from a window: it is at chance or below in a local head.",
        "this project; `block` and `local` overlap",
        "block",
    ),
    "diagonal": (
        "Σ_k w exp(-(q/(Q-1) - k/(K-1))² / (2 · 0.2²)), mean over queries; "
        "cross-attention only",
        "0 to 1",
        "High: alignment runs along the diagonal.",
        "guided attention: Tachibana et al. 2017, arXiv:1710.08969",
        "same_token",
    ),
    "distance": (
        "mean over queries of Σ_k w |q - k|",
        "0 to keys - 1, in tokens",
        "Low: near tokens. Its p is two-sided.",
        VIG,
        "local",
    ),
    "content_entropy": (
        "Σ_q m_q H_q / Σ_q m_q, where m_q is the attention of query q to ordinary keys "
        "(not the first, not special) and H_q the normalized entropy within them",
        "0 to 1",
        "What a head does beside resting on a sink: near 1 it spreads the rest evenly, "
        "near 0 it picks a key.",
        "entropy without [CLS] and [SEP], as Clark et al. 2019 set them aside",
        "mixed",
    ),
    "effective_rank": (
        "exp(-Σ s ln s), where s are the singular values divided by their sum; only "
        "with `--rank`",
        "1 to min(queries, keys)",
        "1: all queries attend alike; low rank: what the query is hardly matters. It "
        "takes far longer than all else.",
        "Roy and Vetterli 2007",
        "sink",
    ),
}

TYPES = {
    "previous_token": "Looks one token back.",
    "next_token": "Looks one token ahead.",
    "same_token": "Looks at the token itself.",
    "duplicate_token": "Looks at other copies of the token.",
    "induction": "Looks at what followed the token before.",
    "sink": "Rests on one position, special tokens or punctuation.",
    "local": "Looks at a narrow band around the token.",
    "prefix": "Looks at the beginning, at more than its first token.",
    "suffix": "Looks at the end, at more than its last token.",
    "block": "Looks inside its own sentence or part.",
    "uniform": "Looks everywhere alike (the guide's global attention).",
    "sparse": "Looks at few keys that neither position nor token explains.",
    "mixed": (
        "Several patterns partly, or none clearly: no evidence is an answer. The\n"
        "title names the two strongest parts (`mixed: sink + local`), at least 0.15\n"
        "of the way from chance to 1 each; beside a single part stands `uniform`,\n"
        "if what a sink leaves goes evenly to ordinary tokens (`content_entropy` at\n"
        "least 0.9), else `rest`. Many heads of trained networks are mixed: they\n"
        "rest on a sink and do something else with what is left."
    ),
}

# threshold -> what it limits
LIMITS = {
    "clear": "c of the pattern that names a head, at least",
    "inside": "c of a narrow pattern inside a wide one, relative to the wide one's, "
    "at most: above it the wide one does not count",
    "part": "c of a pattern that is one of the parts of a head, at least",
    "known": "c of a known token (the first, the last, special ones, punctuation), "
    "relative to that of any one position, at least: it then names the sink",
    "far": "c of `far_in_block`, relative to that of `block`, at least: below it the "
    "head is local",
    "uniform": "normalized entropy of a uniform head or rest, at least",
    "sparse": "effective keys of a sparse head, relative to uniform attention, at most",
    "untrained": "normalized entropy of every layer above which the input doctor asks "
    "whether weights were loaded",
}
