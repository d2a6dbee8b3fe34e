"""Writes the pages of metrics and types, and their pictures.

Run it after a change: python docs/analysis/make.py. A test runs `pages()` and compares,
so that numbers and pictures cannot fall behind the code.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from facts import LIMITS, TYPES  # these two are beside this file
from held_out import HELD_OUT, HeldOut, held_out_heads
from numpy.typing import NDArray

from neural_attn.analysis import THRESHOLDS, analyze
from neural_attn.analysis.example import look_closely
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, Kind
from neural_attn.maps.validation import ADVICE, codes
from neural_attn.metrics.connections import RULES
from neural_attn.metrics.pattern_scores import Score
from neural_attn.metrics.planted import PLANTED, planted_head, planted_tokens
from neural_attn.metrics.registry import REGISTRY, STATISTICS, Metric
from neural_attn.reports.elements import Squares
from neural_attn.reports.sections import layer_pictures
from neural_attn.reports.svg import squares_svg

FOLDER = Path(__file__).resolve().parent
LENGTH, SEED, NOISE = 18, 3, 0.15
HELD_OUT_HEADS = 40  # of each type


def pages() -> dict[str, str]:
    """Every generated file, path below docs/analysis to text."""
    tokens = planted_tokens(LENGTH, SEED)
    files = {f"images/{name}.svg": _picture(name, tokens) for name in PLANTED}
    return {
        **files,
        **({"images/layers.svg": _layers(tokens)} if find_spec("scipy") else {}),
        "metrics.md": metrics_page(),
        "patterns.md": _patterns(),
        "doctor.md": _doctor(),
        "connections.md": _connections(),
    }


def _head(name: str, tokens: tuple[str, ...]) -> NDArray[np.float64]:
    return planted_head(name, tokens, noise=NOISE, seed=SEED)


def _picture(name: str, tokens: tuple[str, ...]) -> str:
    head = _head(name, tokens)
    caption = f"a planted head: {name}"
    rows = (((name, tuple(map(tuple, head.tolist()))),),)
    return _on_white(
        Squares(rows, tokens, caption, float(head.max()), even=1 / len(tokens))
    )


def _layers(tokens: tuple[str, ...]) -> str:
    """Four layers of one local head each, as the report shows them."""
    heads = {
        f"layer_{seed}": planted_head("local", tokens, noise=NOISE, seed=seed)[None]
        for seed in range(4)
    }
    example = look_closely(AttentionMaps.from_arrays(heads, tokens), flow=True)
    assert example is not None
    return _on_white(layer_pictures(example)[0])


def _on_white(squares: Squares) -> str:
    """As a picture of its own, which cannot know how dark the page around it is."""
    return squares_svg(squares).replace("<svg ", '<svg style="background:#fff" ', 1)


def metrics_page() -> str:
    """The page of the metrics."""
    tokens = planted_tokens(LENGTH, SEED)
    parts = [METRICS_PAGE.format(noise=f"{NOISE:.0%}", length=LENGTH)]
    for name in STATISTICS:
        metric = REGISTRY[name]
        pattern = metric.picture
        parts.append(
            f"\n## {name}\n\n- **Formula**: {metric.formula}.\n"
            f"- **Range**: {metric.range}.\n"
            f"- **Reading**: {metric.reading}\n- **Rows**: {_rows(metric)}.\n"
            f"- **Source**: {metric.source}.\n\n"
            f"![a head with the pattern {pattern}](images/{pattern}.svg)\n\n"
            f"{_value(name, pattern, tokens)}\n"
        )
    return "".join(parts)


def _rows(metric: Metric | Score) -> str:
    """What rows a metric is for, in words."""
    names = ", ".join(metric.rows)
    divided = "each divided by its sum" if metric.divided else "as they are"
    return f"{names}; {divided}"


def _value(name: str, pattern: str, tokens: tuple[str, ...]) -> str:
    weights = _head(pattern, tokens)[np.newaxis, np.newaxis]
    cross = name in ("monotonicity", "diagonal")
    kind: Kind = "cross" if cross else "encoder_self"
    one = AttentionMap("a", weights, kind, None, False, tokens, tokens)
    maps = AttentionMaps([one])
    statistic = analyze(maps, rank=True).heads[0].statistics[name]
    known = statistic.uniform is not None
    uniform = f", of uniform attention {statistic.uniform:.3f}" if known else ""
    taken = ", taken as cross-attention" if cross else ""
    return f"{name} of this head{taken}: {statistic.mean:.3f}{uniform}."


def _patterns() -> str:
    limits = [f"| `{n}` | {value:g} | {LIMITS[n]} |" for n, value in THRESHOLDS.items()]
    types = [
        f"\n## {name}\n\n{words}\n\n![{name}](images/{name}.svg)\n"
        for name, words in TYPES.items()
    ]
    return PATTERNS_PAGE.format(
        limits="\n".join(limits),
        types="".join(types),
        matrix=_confusion(),
        heads=HELD_OUT_HEADS,
    )


def _confusion() -> str:
    """What heads were taken for: types as planted by what they were found to be."""
    found = {
        name: Counter(_found(head) for head in held_out_heads(name, HELD_OUT_HEADS))
        for name in HELD_OUT
    }
    lines = [
        f"| planted | right | {' | '.join(HELD_OUT)} |",
        "| --- |" + " ---: |" * (len(HELD_OUT) + 1),
    ]
    for name, counts in found.items():
        cells = (str(counts[other] or "") for other in HELD_OUT)
        right = f"{counts[name] / HELD_OUT_HEADS:.0%}"
        lines.append(f"| {name} | {right} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _found(head: HeldOut) -> str:
    kind: Kind = "decoder_self" if head.causal else "encoder_self"
    weights, tokens = head.weights[np.newaxis, np.newaxis], head.tokens
    one = AttentionMap("a", weights, kind, None, head.causal, tokens, tokens)
    return analyze(AttentionMaps([one])).heads[0].pattern.name


def _doctor() -> str:
    rows = [
        f"| {code} | {title} | {'no' if code in ADVICE else 'yes'} |"
        for code, title in codes().items()
    ]
    return DOCTOR_PAGE.format(rows="\n".join(rows))


def _connections() -> str:
    rows = [f"| {rule.category} | {rule.name} |" for rule in RULES]
    return CONNECTIONS_PAGE.replace("ROWS", "\n".join(rows))


METRICS_PAGE = """\
# The metrics

One section for each number of `heads[].statistics`. A *score* (from `previous_token`
on) is a mean over the queries that have a choice: those whose allowed keys are neither
all inside nor all outside the pattern. Scores have a baseline, z and p; see [the
analysis](README.md#more-than-chance). Padding and rows that may attend to nothing are
not counted. Pictures are planted heads ({length} tokens, {noise} noise), and the value
is that of the head in the picture.
"""

PATTERNS_PAGE = """\
# Types of heads

A score decides by c, the part of the way from chance to 1: c = (score - chance) / (1 -
chance), where chance is uniform attention under the same mask. It must have evidence
(corrected p < 0.01). Narrow types (previous, next, same, reverse, duplicate, induction,
punctuation, delimiter, sink) are tried before wide ones (local, prefix, suffix, block,
diagonal), then uniform; a wide type that is mostly one narrow type inside it does not
count. What is left is sparse if nothing explains its few keys, and mixed otherwise. The
confidence is the distance of the deciding number from its threshold, from 0 to 1: a
margin, not a probability. All thresholds are in `neural_attn.analysis.THRESHOLDS`:

| threshold | value | of what |
| --- | ---: | --- |
{limits}
{types}
## diagonal

Cross-attention along the diagonal of relative positions, as in a translation that keeps
the order of words.

![along the diagonal](images/same_token.svg)

## undefined

No query has a choice: each may attend to only one key. Or the weights are signed
(`undefined: signed`), and so not shares of attention.

## How often it is right

{heads} heads of each type, planted by `held_out.py`, and what they were taken for. They
share nothing with the heads on which the thresholds were set: they have tokens,
lengths, strengths, targets and noise of their own (rows of a Dirichlet distribution, or
logits with normal noise and a random low-rank part). These were drawn after the last
change of a threshold. About a third are causal; mixed heads mix two types, 30 % to 40 %
each.

{matrix}
"""

DOCTOR_PAGE = """\
# The input doctor

It looks at captured weights before anything is drawn or counted. A finding that stops
leaves its map out of the analysis, and `neural visualize` then draws nothing.

| code | finds | stops |
| --- | --- | --- |
{rows}

Sums of rows may be off by 0.01, which is what float16 and bfloat16 do. W0809 is a
guess: a trained network may attend evenly on purpose.

```python
from neural_attn.maps.validation import admit

maps, findings = admit(())  # what a fused kernel returns
assert findings[0].code == "W0808"
print(findings[0].hint)
```
"""

CONNECTIONS_PAGE = """\
# Strong connections

Weights above 0.1 in the mean over a layer's heads (for signed weights also those below
-0.1), without those of tokens on themselves, each with a category and the rule that
gave it. Rules are tried in this order, and the first that applies decides:

| category | rule |
| --- | --- |
ROWS
| other | no rule applies |

`--threshold` and `--top` (`threshold=`, `top=` in Python) say which weights are strong,
and how many are taken.

Only a parse makes a connection syntactic (`--relations`, `--parse`, or `parser=`):
where its tree links two words, the rule is the name of the relation (direct object,
determiner), or the parser's label for it. Without one, `word_classes` only says what
kinds of words they are, as `--spacy` has them (adjective and noun), not that one
depends on the other; with one it is not used.

The word list is English and crude: a, an, the, this, that, these and those. It names no
relation: the category is `other`, and the rule says determiner → any word. With parts
of speech (`--spacy en_core_web_sm`, or any `tagger=` of yours) it is not used. A strong
weight alone does not make two words related, so what no rule covers is called other.

![weights on other copies of the same word](images/duplicate_token.svg)

The head above has connections of the category semantic, by the rule `the same word`;
a head that looks one token back has positional ones, a sink those of special_token.

Your own categories:

```python
from neural_attn.metrics.connections import RULES, Rule, find_connections
from neural_attn.metrics.planted import planted_head, planted_tokens
from neural_attn.maps.attention_maps import AttentionMaps

tokens = planted_tokens(12)
weights = planted_head("sink", tokens)[None]
maps = AttentionMaps.from_arrays({"a": weights}, tokens)
rest = Rule("rest", "attends to [CLS]", lambda pair: pair.key == "[CLS]")
found = find_connections(maps, rules=(rest, *RULES), top=3)["a"]
assert {one.category for one in found} == {"rest"}
```
"""


def main() -> None:
    """Write every generated file."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
