"""Types of heads: planted heads of every type are recognized under noise."""

import collections
import functools

import numpy as np
import pytest

from neural_attn.analysis import Analyzer, analyze
from neural_attn.analysis.type_table import PATTERNS, above_chance
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.planted import PLANTED, planted_head, planted_tokens

# Under a causal mask these do not exist.
NOT_CAUSAL = {"next_token", "reverse_order", "delimiter", "suffix"}


def heads_of(patterns, tokens, noise, causal, seed):
    arrays = [
        planted_head(name, tokens, noise=noise, causal=causal, seed=seed)
        for name in patterns
    ]
    kind = "decoder_self" if causal else "encoder_self"
    one = AttentionMap("layer", np.stack([arrays]), kind, None, causal, tokens, tokens)
    analyzer = Analyzer()
    analyzer.add(AttentionMaps([one]))
    return analyzer.heads()


def parts_of(tokens):
    """The same in parts that end with [SEP]: a class of one key is a position."""
    return tuple("[SEP]" if token == "." else token for token in tokens)


def test_confusion_matrix_of_planted_heads():
    confusion = collections.Counter()
    for seed in range(20):
        tokens = planted_tokens(48 + 4 * seed, seed)
        for causal in (False, True):
            names = [n for n in PLANTED if not (causal and n in NOT_CAUSAL)]
            noise = 0.1 + 0.02 * (seed % 15)  # 10 % to 38 % of the attention
            found = heads_of(names, tokens, noise, causal, seed)
            for name, head in zip(names, found, strict=True):
                if name != "delimiter":
                    confusion[name, head.pattern.name] += 1
        (head,) = heads_of(["delimiter"], parts_of(tokens), noise, False, seed)
        confusion["delimiter", head.pattern.name] += 1
    for name in PLANTED:
        total = sum(n for (planted, _), n in confusion.items() if planted == name)
        assert confusion[name, name] >= 0.95 * total, name


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_clean_head_is_found_with_confidence_and_says_why(name):
    tokens = planted_tokens(48)
    tokens = parts_of(tokens) if name == "delimiter" else tokens
    (head,) = heads_of([name], tokens, 0.0, False, 1)
    pattern = head.pattern
    assert pattern.name == name
    if name != "mixed":
        assert pattern.confidence > 0.6
    assert all(np.isfinite(value) for value in pattern.decided_by.values())
    assert pattern.rule
    assert head.sentence.startswith("layer 0 head 0 ")


def test_confidence_falls_with_noise():
    tokens = planted_tokens(40)
    confidences = [
        heads_of(["previous_token"], tokens, noise, False, 1)[0].pattern.confidence
        for noise in (0.0, 0.1, 0.2, 0.3, 0.4)
    ]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == pytest.approx(1)


def test_random_attention_is_no_evidence_and_the_sentence_says_so():
    random = np.random.default_rng(7)
    scores = np.exp(1.2 * random.standard_normal((1, 30, 30)))
    analyzer = Analyzer()
    weights = scores / scores.sum(-1, keepdims=True)
    analyzer.add(AttentionMaps.from_arrays({"layer": weights}, planted_tokens(30)))
    (head,) = analyzer.heads()
    assert head.pattern.name == "mixed"
    assert "shows nothing special: no score is more than chance" in head.sentence
    assert head.sentence.endswith("30 rows of 1 text")


@pytest.mark.parametrize("stop", [True, False])
def test_the_verdict_follows_punctuation_and_not_the_end(stop):
    text = "she sat , as he said , by the old , red house , read , and , slept".split()
    tokens = ("[CLS]", *text, *["."] * stop, "[SEP]")
    marks = np.array([token in ",." for token in tokens], float)
    end = np.zeros(len(tokens))
    end[-2:] = 1
    last = np.arange(len(tokens)) == len(tokens) - 1.0
    columns = [0.8 * one / one.sum() + 0.2 / len(tokens) for one in (marks, end, last)]
    weights = np.stack([np.tile(one, (len(tokens), 1)) for one in columns])
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"layer": weights}, tokens))
    names = [head.pattern.name for head in analyzer.heads()]
    assert names == ["punctuation", "suffix", "sink"]


CLASSES = ("punctuation", "delimiters")


def test_rows_that_look_at_one_key_tell_nothing_of_its_class():
    text = "the old man , who lived by the sea , sold his boat last week ."
    tokens = ("[CLS]", *text.split(), "[SEP]")
    random = np.random.default_rng(1)
    logits = 2 * random.standard_normal((40, 1, 18))
    weights = np.exp(logits + random.standard_normal((40, 18, 18)) / 2)
    weights /= weights.sum(-1, keepdims=True)
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"layer": weights}, tokens))
    said = [head.sentence for head in analyzer.heads()]
    assert not [one for one in said if any(name in one for name in CLASSES)]


def test_a_class_rests_on_its_keys_over_all_texts():
    tokens = ("[CLS]", *"the cat sat on a mat and saw a dog run by".split(), ".")
    weights = np.full((1, 13, 13), 0.2 / 13)
    weights[..., -1] += 0.8
    parts = [Analyzer() for _ in range(6)]
    for count, one in enumerate(parts):
        place = count + 4  # not the end alone
        moved = (*tokens[1:place], ".", *tokens[place:-1])
        order = np.argsort(np.array([token == "." for token in moved]), kind="stable")
        columns = np.empty_like(weights)
        columns[..., order] = weights
        one.add(AttentionMaps.from_arrays({"layer": columns}, moved))
    (alone,) = parts[0].heads()
    assert alone.evidence["punctuation"].keys == pytest.approx(1)
    assert alone.evidence["first_token"].keys is None
    assert alone.pattern.name == "sink"
    assert "one position from every query" in alone.sentence
    (head,) = functools.reduce(Analyzer.merge, parts).heads()
    assert head.pattern.name == "punctuation"
    assert head.sentence.endswith("78 rows of 6 texts, as if on 6.0 keys")


def test_special_tokens_and_sinks_are_told_by_name():
    tokens = ("[CLS]", *"the cat sat on a mat".split(), "[SEP]")
    places = ([0], [7], [0, 7], [3])
    weights = np.full((4, 8, 8), 0.01)
    for head, some in zip(weights, places, strict=True):
        head[:, some] = (0.92 + 0.01 * (len(some) - 1)) / len(some)
    maps = AttentionMaps.from_arrays({"layer": weights}, tokens)
    analysis = analyze(maps)
    told = [head.sentence.partition(": ")[0] for head in analysis.heads]
    assert told == [
        "layer 0 head 0 attends to [CLS]",
        "layer 0 head 1 attends to [SEP]",
        "layer 0 head 2 attends to [CLS] and [SEP]",
        "layer 0 head 3 attends to one position from every query",
    ]
    count = "4 of 4 heads are sinks (1 on [CLS], 1 on [SEP], 1 on [CLS] and [SEP], "
    assert analysis.highlights[0].sentence.startswith(f"{count}1 on one position)")
    other = AttentionMaps.from_arrays({"layer": weights}, ["<s>", *tokens[1:-1], "."])
    (first, *_) = analyze([maps, other]).heads
    assert "attends to the first token: 0.9" in first.sentence
    odd = analyze(weights[None], tokens=["<|\x1b[2J|>", *tokens[1:]]).heads[0]
    assert "attends to the first token: 0.9" in odd.sentence


def test_every_type_can_be_named():
    meant = "there is no pattern 'sinks'; did you mean 'sink'"
    with pytest.raises(KeyError, match=meant):
        planted_head("sinks", ["a", "b"])
    assert set(PLANTED) | {"diagonal", "undefined"} == set(PATTERNS)


def test_a_diagonal_cross_attention_is_named():
    weights = np.eye(20, 30)[np.newaxis] * 0
    for query in range(20):
        weights[0, query, round(query * 29 / 19)] = 1
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"cross": weights}))
    (head,) = analyzer.heads()
    assert head.pattern.name == "diagonal"
    assert head.statistics["monotonicity"].mean > 0.99


def reversed_head(padding):
    """Cross-attention to the tokens in reverse order, and a head at random."""
    random = np.random.default_rng(5)
    source, target = (*"abcdefgh", "</s>"), ("<s>", *"hgfedcb")
    random_rows = random.dirichlet(np.ones(9), size=8)
    ordered = 0.3 * random.dirichlet(np.ones(9), size=8)
    ordered[range(8), range(7, -1, -1)] += 0.7
    weights = np.zeros((1, 2, 8, 9 + sum(padding)))
    there = slice(padding[0], padding[0] + 9)
    weights[0, :, :, there] = ordered, random_rows
    mask = np.zeros((1, 1, 1, weights.shape[-1]), bool)
    mask[..., there] = True
    keys = (*["<pad>"] * padding[0], *source, *["<pad>"] * padding[1])
    return AttentionMap("x", weights, "cross", mask, None, (target,), (keys,))


NAMED = ["reverse_order", "mixed"]
REVERSED = (
    "layer 0 head 0 attends to the tokens in reverse order: 0.75, chance 0.11, "
    "p 7e-04, 7 rows of 1 text"
)


@pytest.mark.parametrize("padding", [(0, 0), (0, 4), (3, 0)])
def test_a_reverse_order_is_named_wherever_padding_and_its_head_stand(padding):
    one = reversed_head(padding)
    for order in ([0, 1], [1, 0]):
        analyzer = Analyzer()
        analyzer.add(AttentionMaps([one.take_heads(order)]))
        found = {head.head: head for head in analyzer.heads()}
        assert [found[head].pattern.title for head in (0, 1)] == NAMED
        assert found[0].sentence == REVERSED


def test_one_token_has_no_choice():
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"layer": np.ones((2, 1, 1))}))
    assert [head.pattern.name for head in analyzer.heads()] == ["undefined"] * 2


def test_chance():
    assert above_chance(0.75, 0.5) == 0.5
    assert above_chance(0.5, 0.5) == 0
    assert np.isnan(above_chance(1.0, 1.0))
