"""Every metric against loops that follow its definition, and its null baseline."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_attn.analysis import Analyzer, analyze_attention_patterns
from neural_attn.analysis.running_statistics import Tally
from neural_attn.analysis.significance import holm, p_values
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.geometry import Geometry, is_punctuation, is_special
from neural_attn.metrics.measure import BASED, COLUMNS, measure, plan_for
from neural_attn.metrics.pattern_scores import SCORES
from neural_attn.metrics.planted import planted_head, planted_tokens
from neural_attn.metrics.registry import MEASURES
from neural_attn.metrics.targets import reverse_order

NOT_CAUSAL = ("next_token", "reverse_order", "last_token", "suffix")
TOKENS = ("[CLS]", "a", "b", ".", "a", "b", "##b", "a", "!", "[SEP]")


def softmax(random, shape, allowed=True):
    exponential = np.where(allowed, np.exp(2 * random.standard_normal(shape)), 0.0)
    total = exponential.sum(-1, keepdims=True)
    return exponential / np.where(total > 0, total, 1)


def masks(count):
    holes = np.ones((count, count), dtype=bool)
    holes[:, 3] = False
    holes[5] = False
    return {
        "none": np.ones((count, count), dtype=bool),
        "causal": np.tri(count, dtype=bool),
        "holes": holes,
    }


def wanted(name, q, k, tokens):
    """The definition of each self-attention score, for one cell."""
    n = len(tokens)
    band = max(2, round(n / 8))
    parts = [0] * 4 + [1] * 5 + [2]  # "." and "!" end a part; so does "[SEP]"
    parts[9] = 1  # ... but "! [SEP]" ends only one
    same = tokens[q] == tokens[k] and not is_special(tokens[k])
    return {
        "previous_token": k == q - 1,
        "next_token": k == q + 1,
        "same_token": k == q,
        "reverse_order": q + k == n - 1 and 0 < q < n - 1,  # not of [CLS] and [SEP]
        "duplicate_token": same and k != q,
        "induction": 0 < k <= q
        and tokens[k - 1] == tokens[q]
        and not is_special(tokens[q]),
        "first_token": k == 0,
        "last_token": k == n - 1,
        "special_tokens": tokens[k] in ("[CLS]", "[SEP]"),
        "punctuation": tokens[k] in ".!",
        "delimiters": k > 0 and tokens[k] in ("[CLS]", "[SEP]"),
        "prefix": k < band,
        "suffix": k >= n - band,
        "local": abs(q - k) <= 2,
        "block": parts[q] == parts[k],
        "far_in_block": parts[q] == parts[k] and abs(q - k) > 2,
        "distance": abs(q - k),
    }[name]


@pytest.mark.parametrize("mask", ["none", "causal", "holes"])
@pytest.mark.parametrize("name", [n for n, s in SCORES.items() if s.where != "cross"])
def test_a_score_is_its_definition(name, mask):
    allowed = masks(len(TOKENS))[mask]
    random = np.random.default_rng(1)
    weights = softmax(random, (3, 10, 10), allowed)
    geometry = Geometry(allowed, TOKENS, TOKENS, True)
    found = measure(plan_for(geometry), [weights[:1], weights[1:]])
    at = COLUMNS.index(name)
    for head in range(3):
        rows = []
        for q in range(10):
            cells = [wanted(name, q, k, TOKENS) for k in range(10) if allowed[q, k]]
            if len(set(cells)) < 2:
                continue  # no choice
            keys = np.flatnonzero(allowed[q])
            rows.append(float(np.dot(weights[head, q, keys], cells)))
        if name in NOT_CAUSAL and mask == "causal":
            assert math.isnan(found.values[head, at])
        else:
            assert found.values[head, at] == pytest.approx(np.mean(rows), abs=1e-12)


@pytest.mark.parametrize("mask", ["none", "causal", "holes"])
def test_one_pass_gives_the_numbers_of_the_guide(mask):
    allowed = masks(10)[mask]
    weights = softmax(np.random.default_rng(2), (4, 10, 10), allowed)
    found = measure(plan_for(Geometry(allowed, TOKENS, TOKENS, True)), [weights])
    guide = analyze_attention_patterns(weights, allowed)
    names = [metric.name for metric in MEASURES]
    own = {name: found.values[:, COLUMNS.index(name)] for name in names}
    pairs = {
        "entropy": guide["attention_entropy"],
        "normalized_entropy": guide["normalized_entropy"],
        "max_weight": guide["max_attention_per_head"],
        "diagonal_strength": guide["diagonal_attention_strength"],
    }
    for key in ("mean", "std", "min", "max"):
        pairs[f"weight_{key}"] = [d[key] for d in guide["attention_distribution"]]
    for name, expected in pairs.items():
        assert own[name] == pytest.approx(np.array(expected, float), abs=1e-12), name


@pytest.mark.parametrize("mask", ["none", "causal", "holes"])
def test_content_entropy_is_its_definition(mask):
    allowed = masks(10)[mask]
    weights = softmax(np.random.default_rng(6), (3, 10, 10), allowed)
    found = measure(plan_for(Geometry(allowed, TOKENS, TOKENS, True)), [weights])
    for head, values in zip(weights, found.extra[:, 0], strict=True):
        above = below = 0.0
        for q in range(10):
            keys = [k for k in range(1, 9) if allowed[q, k]]  # not [CLS], not [SEP]
            mass = sum(head[q, k] for k in keys)
            if len(keys) > 1 and mass > 0:
                shares = [head[q, k] / mass for k in keys]
                entropy = -sum(p * math.log(p) for p in shares)
                above += mass * entropy / math.log(len(keys))
                below += mass
        assert values == pytest.approx(above / below, abs=1e-12)
    assert found.extra_uniform[0] == 1
    assert np.isnan(found.extra[:, 1]).all()  # the rank is not asked for


@pytest.mark.thorough(every=4)
@pytest.mark.parametrize("name", list(SCORES))
def test_null_moments_are_those_of_shuffled_rows(name):
    random = np.random.default_rng(3)
    cross = SCORES[name].where == "cross"
    allowed = masks(10)["holes"]
    weights = softmax(random, (1, 10, 10), allowed)
    plan = plan_for(Geometry(allowed, TOKENS, TOKENS, not cross))
    shuffled = []
    for _ in range(4000):
        one = weights.copy()
        for q in range(10):
            keys = np.flatnonzero(allowed[q])
            one[0, q, keys] = random.permutation(one[0, q, keys])
        shuffled.append(one[0])
    draws = measure(plan, [np.stack(shuffled)]).values[:, COLUMNS.index(name)]
    found = measure(plan, [weights])
    at = list(SCORES).index(name)
    mean, variance = found.expected[0, at], found.variance[0, at]
    error = math.sqrt(variance / 4000)
    assert abs(draws.mean() - mean) < 5 * error
    assert draws.var() == pytest.approx(variance, rel=0.15)
    # For rows that sum to 1 the mean is the score of uniform attention.
    assert mean == pytest.approx(found.uniform[COLUMNS.index(name)], abs=1e-12)


@pytest.mark.parametrize("mask", ["none", "causal", "holes"])
def test_the_baseline_of_the_greatest_column_is_a_bound(mask):
    random = np.random.default_rng(8)
    allowed = masks(10)[mask]
    weights = softmax(random, (1, 10, 10), allowed)
    plan = plan_for(Geometry(allowed, TOKENS, TOKENS, True))
    shuffled = []
    for _ in range(2000):
        one = weights.copy()
        for q in range(10):
            keys = np.flatnonzero(allowed[q])
            one[0, q, keys] = random.permutation(one[0, q, keys])
        shuffled.append(one[0])
    at = COLUMNS.index("top_key_share")
    found = measure(plan, np.stack(shuffled)[np.newaxis])
    draws = found.values[:, at]
    z = (draws - found.expected[:, -1]) / np.sqrt(found.variance[:, -1])
    assert draws.mean() <= found.expected[:, -1].mean() < 1.5 * draws.mean()
    assert np.mean(z > 1.645) < 0.05


def test_one_position_is_found_under_a_causal_mask():
    weights = np.tri(30) / np.arange(1, 31)[:, np.newaxis]
    weights[12:] *= 0.2
    weights[12:, 12] += 0.8
    one = AttentionMap("a", weights[None, None], "decoder_self", None, True)
    analyzer = Analyzer()
    analyzer.add(AttentionMaps([one]))
    (head,) = analyzer.heads()
    assert head.pattern.name == "sink"
    assert head.statistics["top_key_share"].mean > 0.8
    assert "one position from every query" in head.sentence


@pytest.mark.parametrize("tokens", [2, 3])
def test_a_few_tokens_are_no_evidence_of_a_sink(tokens):
    random = np.random.default_rng(9)
    weights = softmax(random, (20, tokens, tokens)) ** 3
    weights /= weights.sum(-1, keepdims=True)
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"a": weights}))
    assert not any(head.pattern.name == "sink" for head in analyzer.heads())


def test_uniform_values_are_those_of_uniform_attention():
    for allowed in masks(10).values():
        options = allowed.sum(1, keepdims=True)
        weights = (allowed / np.maximum(options, 1))[np.newaxis]
        found = measure(plan_for(Geometry(allowed, TOKENS, TOKENS, True)), [weights])
        known = ~np.isnan(found.uniform)
        assert known.sum() >= 15
        assert found.values[0, known] == pytest.approx(found.uniform[known], abs=1e-12)


def one_hot(random, shape):
    """Heads each of whose rows has all its weight on any one key."""
    return np.eye(shape[2])[random.integers(0, shape[2], shape[:2])]


@pytest.mark.parametrize("rows", [softmax, one_hot])
@pytest.mark.parametrize("length", [8, 40])
def test_random_heads_give_false_alarms_at_most_as_often_as_p_says(rows, length):
    # The normal tail would call 1 in 60 of the sharp heads of 8 tokens p < 0.0001.
    random = np.random.default_rng(4)
    tokens = planted_tokens(length)
    weights = rows(random, (400, length, length))
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"random": weights}, tokens))
    heads = analyzer.heads()
    p = np.array(
        [[e.p for n, e in h.evidence.items() if n != "distance"] for h in heads]
    )
    for limit in (0.05, 0.01, 0.001):
        assert np.mean(p < limit) <= limit
    # Corrected, hardly any of 400 heads is called significant for any score.
    assert sum(e.significant for h in heads for e in h.evidence.values()) <= 3


def test_uniform_attention_is_no_evidence_of_anything():
    tokens = planted_tokens(30)
    analyzer = Analyzer()
    weights = planted_head("uniform", tokens)[np.newaxis].astype(np.float32)
    analyzer.add(AttentionMaps.from_arrays({"layer": weights}, tokens))
    (head,) = analyzer.heads()
    assert [e.z for e in head.evidence.values()] == [0] * len(head.evidence)
    assert head.pattern.name == "uniform"


def test_monotonic_alignment_of_cross_attention():
    forward = np.eye(6, 9)[np.newaxis] + 1e-3
    arrays = np.concatenate([forward, forward[:, ::-1], np.full((1, 6, 9), 1 / 9)])
    arrays /= arrays.sum(-1, keepdims=True)
    plan = plan_for(Geometry(np.ones((6, 9), bool), ("q",) * 6, ("k",) * 9, False))
    found = measure(plan, [arrays])
    monotonicity = found.values[:, COLUMNS.index("monotonicity")]
    assert monotonicity == pytest.approx([1, -1, 0], abs=1e-6)
    assert math.isnan(found.values[0, COLUMNS.index("previous_token")])


def mirrored(query_tokens, key_tokens, *, self_attention=False):
    """The cells of the reverse order, as (query, key)."""
    shape = len(query_tokens), len(key_tokens)
    geometry = Geometry(np.ones(shape, bool), query_tokens, key_tokens, self_attention)
    return list(zip(*np.nonzero(reverse_order(geometry)), strict=True))


def test_the_reverse_order_counts_from_the_ends_without_special_tokens():
    source = ("a", "b", "c", "</s>")
    # a decoder's row counts as the token that it writes, the last row as none
    assert mirrored(("<s>", "z", "y", "x"), source) == [(0, 2), (1, 1), (2, 0)]
    assert mirrored(("<s>", "<ko>", "z", "y"), source) == [(1, 2), (2, 1)]
    # rows that are told by their own tokens, and more of them than keys
    assert mirrored(tuple("zyxwv"), source) == [(0, 2), (1, 1), (2, 0)]
    assert mirrored(("z", "</s>", "y"), source) == [(0, 2), (2, 1)]
    # with a cache the last query stands at the last key
    assert mirrored(("d", "e"), tuple("abcde"), self_attention=True) == [(0, 1), (1, 0)]
    assert mirrored(("<s>",), ("<s>", "</s>")) == []


def test_induction_on_repeated_tokens_is_the_prefix_matching_score():
    # Olsson et al. (2022): the mean attention from each token of the repetition to the
    # token after its first copy: one diagonal of the pattern, len - 1 positions back.
    count = 25
    tokens = tuple(str(number) for number in range(count)) * 2
    mask = np.tri(2 * count, dtype=bool)
    weights = softmax(np.random.default_rng(11), (3, 2 * count, 2 * count), mask)
    found = measure(plan_for(Geometry(mask, tokens, tokens, True)), [weights])
    diagonal = np.diagonal(weights, 1 - count, axis1=1, axis2=2)
    expected = diagonal[:, 1:].mean(axis=1)  # its first cell is of the first half
    at = COLUMNS.index("induction")
    assert found.values[:, at] == pytest.approx(expected, abs=1e-12)


def test_generation_with_a_cache_has_its_queries_at_the_end():
    weights = np.zeros((1, 2, 5))
    weights[0, 0, 2] = weights[0, 1, 3] = 1  # positions 3 and 4 look one back
    allowed = np.tri(2, 5, 3, dtype=bool)
    geometry = Geometry(allowed, ("d", "e"), tuple("abcde"), True)
    found = measure(plan_for(geometry), [weights])
    assert found.values[0, COLUMNS.index("previous_token")] == 1


def test_heads_with_masks_of_their_own_are_measured_under_them():
    tokens = tuple("abcdefgh")
    near = np.abs(np.subtract.outer(range(8), range(8))) <= 1
    mask = np.stack([np.ones((8, 8), bool), near])[np.newaxis]
    weights = mask / mask.sum(-1, keepdims=True)
    maps = AttentionMaps(
        [AttentionMap("layer", weights, "encoder_self", mask, False, tokens, tokens)]
    )
    analyzer = Analyzer()
    analyzer.add(maps)
    # Each head is uniform over what it may see: neither is local by choice.
    assert [head.pattern.name for head in analyzer.heads()] == ["uniform"] * 2


def test_holm_is_stepwise_and_ignores_what_is_not_there():
    p = np.array([[0.01], [np.nan], [0.04], [0.03], [0.005]])
    assert holm(p)[:, 0].tolist() == pytest.approx(
        [0.03, math.nan, 0.06, 0.06, 0.02], nan_ok=True
    )


def test_p_is_one_sided_for_shares_and_two_sided_for_distance():
    tally = Tally.empty(1)
    z = np.full((1, len(BASED)), -1.959964)
    p = dict(zip(BASED, p_values(z, tally)[0], strict=True))
    assert p["previous_token"] == 1
    assert p["distance"] == pytest.approx(0.05)


@pytest.mark.parametrize("rows", [1, 5, 20])
@pytest.mark.parametrize("hits", [0.2, 0.5, 1.0])
def test_p_is_above_the_exact_one_of_rows_with_all_weight_on_one_key(rows, hits):
    # Such rows hit a given one of 12 keys as a binomial variable does.
    found = math.ceil(hits * rows)
    chance = 1 / 12
    exact = sum(
        math.comb(rows, k) * chance**k * (1 - chance) ** (rows - k)
        for k in range(found, rows + 1)
    )
    tally = Tally.empty(1)
    tally.rows[:], tally.fewest[:] = rows, rows
    tally.expected[:] = chance
    tally.variance[:] = chance * (1 - chance) / rows
    z = (found / rows - chance) / np.sqrt(tally.variance)
    p = p_values(z, tally)[0, BASED.index("previous_token")]
    assert exact <= p * (1 + 1e-9)
    # all hits have the p of the binomial itself
    assert p == pytest.approx(exact) if hits == 1 else p < 1.01


@pytest.mark.parametrize(
    ("token", "special", "punctuation"),
    [
        ("[CLS]", True, False),
        ("</s>", True, False),
        ("<|endoftext|>", True, False),
        ("[", False, True),
        (".", False, True),
        ("Ġ,", False, True),
        ("##-", False, True),
        ("##", False, True),
        ("。", False, True),
        ("the", False, False),
        ("7", False, False),
        ("", False, False),
        ("[1]", False, False),
        ("[unused7]", True, False),
        ("[start]", True, False),
        ("[gMASK]", True, False),
        ("[nH]", False, False),  # atoms
        ("[SiH]", False, False),
        ("[NH2]", False, False),
    ],
)
def test_kinds_of_tokens(token, special, punctuation):
    assert is_special(token) == special
    assert is_punctuation(token) == punctuation


@st.composite
def texts(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=7))
    return [
        AttentionMaps.from_arrays(
            {"a": softmax(random, (3, n, n)), "b": softmax(random, (2, n, n))},
            [str(t) for t in random.choice(["x", "y", ".", "[SEP]"], n)],
        )
        for n in lengths
    ]


@settings(max_examples=40)
@given(texts(), st.integers(0, 7))
def test_parts_merge_into_the_whole(maps, cut):
    whole, left, right = Analyzer(), Analyzer(), Analyzer()
    for index, one in enumerate(maps):
        whole.add(one)
        (left if index < cut else right).add(one)
    for merged in (left.merge(right), right.merge(left)):
        assert (merged.texts, merged.tokens) == (whole.texts, whole.tokens)
        np.testing.assert_allclose(
            merged.divergences.distance, whole.divergences.distance, atol=1e-12
        )
        for name, tally in whole.tallies.items():
            other = merged.tallies[name]
            assert other.texts == tally.texts
            for field in ("count", "mean", "squares", "low", "high"):
                np.testing.assert_allclose(
                    getattr(other.values, field),
                    getattr(tally.values, field),
                    rtol=1e-12,
                    atol=1e-12,
                )
            np.testing.assert_allclose(other.variance, tally.variance, rtol=1e-12)
            np.testing.assert_allclose(other.expected, tally.expected, rtol=1e-12)
            assert (other.entropy_histogram == tally.entropy_histogram).all()
            assert (other.maximum_histogram == tally.maximum_histogram).all()


def test_mean_and_deviation_over_texts_are_those_of_numpy():
    random = np.random.default_rng(5)
    arrays = [softmax(random, (2, n, n)) for n in (4, 9, 17, 30)]
    analyzer = Analyzer()
    for one in arrays:
        analyzer.add(AttentionMaps.from_arrays({"layer": one}))
    entropies = np.array(
        [analyze_attention_patterns(a)["attention_entropy"] for a in arrays]
    )
    for head, column in zip(analyzer.heads(), entropies.T, strict=True):
        entropy = head.statistics["entropy"]
        assert entropy.mean == pytest.approx(column.mean(), abs=1e-6)
        assert entropy.std == pytest.approx(column.std(ddof=1), abs=1e-6)
        assert (entropy.least, entropy.greatest) == pytest.approx(
            (column.min(), column.max()), abs=1e-6
        )


def test_a_map_that_changes_its_heads_is_refused():
    analyzer = Analyzer()
    analyzer.add(AttentionMaps.from_arrays({"layer": np.ones((2, 3, 3)) / 3}))
    with pytest.raises(ValueError, match="with 2 heads, not layer 0 with 4"):
        analyzer.add(AttentionMaps.from_arrays({"layer": np.ones((4, 3, 3)) / 3}))
