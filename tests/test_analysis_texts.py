"""Connections, and comparison of groups."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from neural_attn.analysis import Analyzer, analyze
from neural_attn.analysis.groups import compare_groups, t_quantile, t_tail
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.parses import Arc, Parse
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.connections import (
    RULES,
    Rule,
    find_connections,
    spacy_tagger,
    tags_of,
)
from neural_attn.metrics.geometries import geometries

TOKENS = ["[CLS]", "the", "cat", "saw", "the", "red", "mat", "[SEP]"]


def maps_with(cells, tokens=TOKENS, heads=2):
    weights = np.full((heads, len(tokens), len(tokens)), 0.001)
    for (query, key), weight in cells.items():
        weights[:, query, key] = weight
    weights[:, range(len(tokens)), range(len(tokens))] += 1 - weights.sum(-1)
    return AttentionMaps.from_arrays({"layer": weights}, tokens)


CELLS = {
    (2, 3): 0.5,  # neighbours
    (3, 7): 0.4,  # special
    (4, 6): 0.3,  # determiner
    (1, 4): 0.2,  # the same word
    (6, 3): 0.15,  # other
    (5, 2): 0.05,  # too weak
}


def test_connections_above_the_threshold_with_the_rule_that_decided():
    found = find_connections(maps_with(CELLS))["layer"]
    assert [(c.query, c.key, c.category) for c in found] == [
        (2, 3, "positional"),
        (3, 7, "special_token"),
        (4, 6, "other"),
        (1, 4, "semantic"),
        (6, 3, "other"),
    ]
    assert found[2].rule == "determiner → any word (word list)"
    assert found[4].rule == "no rule applies"
    assert [c.weight for c in found] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.15])
    assert (found[0].query_token, found[0].key_token) == ("cat", "saw")


def test_the_number_of_a_place_is_no_word():
    weights = np.full((1, 2, 3), 0.3)
    cross = AttentionMaps.from_arrays({"layer": weights})  # places alone are known
    assert {c.category for c in find_connections(cross)["layer"]} == {"other"}
    (place, *_) = find_connections(cross)["layer"]
    assert (place.query_token, place.key_token) == ("0", "0")
    ((geometry, _),) = geometries([cross.item("layer", 0)])
    assert not geometry.same_text.any()
    years = AttentionMaps.from_arrays({"layer": np.eye(2)[None, ::-1]}, ["2024", "7"])
    assert [c.category for c in find_connections(years)["layer"]] == ["positional"] * 2


def test_top_and_threshold():
    maps = maps_with(CELLS)
    assert len(find_connections(maps, top=2)["layer"]) == 2
    assert len(find_connections(maps, threshold=0.25)["layer"]) == 3
    assert find_connections(maps, threshold=0.9)["layer"] == []


def test_a_category_of_ones_own():
    colour = Rule("colour", "a colour", lambda pair: pair.key == "red")
    maps = maps_with({(1, 5): 0.5, (2, 3): 0.4})
    found = find_connections(maps, rules=(colour, *RULES))["layer"]
    assert [c.category for c in found] == ["colour", "positional"]


def test_parts_of_speech_decide_where_there_is_a_tagger():
    known = {"the": "DET", "cat": "NOUN", "saw": "VERB", "red": "ADJ", "mat": "NOUN"}
    maps = maps_with({(6, 3): 0.5, (2, 6): 0.4, (4, 6): 0.3})
    found = find_connections(maps, tagger=lambda words: [known[w] for w in words])
    rules = [(c.category, c.rule) for c in found["layer"]]
    assert rules == [
        ("word_classes", "verb and noun"),
        ("semantic", "two content words (parts of speech)"),
        ("word_classes", "determiner and noun"),
    ]


def test_only_a_parse_makes_a_connection_syntactic():
    tags = {"the": "DET", "cat": "NOUN", "saw": "VERB", "red": "ADJ", "mat": "NOUN"}
    words = ("the", "cat", "saw", "the", "red", "mat")
    arcs = [(0, 1, "det"), (1, 2, "nsubj"), (3, 5, "det"), (4, 5, "amod")]
    arcs += [(5, 2, "dobj"), (5, 1, "coref"), (2, 2, "ROOT")]
    parse = Parse(words, tuple(Arc(*arc) for arc in arcs))
    cells = {(6, 3): 0.5, (2, 6): 0.4, (2, 5): 0.3, (1, 2): 0.25, (4, 3): 0.2}
    analysis = analyze(
        maps_with(cells),
        parser=lambda text: parse,
        tagger=lambda given: [tags[word] for word in given],
    )
    found = analysis.example.connections["layer"]
    assert [(c.query, c.key, c.category, c.rule) for c in found] == [
        (6, 3, "syntactic", "direct object"),
        (2, 6, "semantic", "two content words (parts of speech)"),
        (2, 5, "semantic", "two content words (parts of speech)"),
        (1, 2, "syntactic", "determiner"),
        (4, 3, "positional", "neighbouring tokens"),
    ]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["[CLS]", "play", "##ing", "it"], ["playing", "it"]),
        (["Ġplay", "ing", "Ġit"], ["playing", "it"]),
        (["▁play", "ing", "▁it", "</s>"], ["playing", "it"]),
    ],
)
def test_word_pieces_are_tagged_by_their_word(tokens, words):
    seen = []

    def tagger(given_words):
        seen.extend(given_words)
        return [word.upper() for word in given_words]

    tags = tags_of(tokens, tagger)
    assert seen == words
    assert tags[-2 if tokens[-1] == "</s>" else -1] == "IT"
    assert tags.count("PLAYING") == 2
    with pytest.raises(ValueError, match="0 tags for 2 words"):
        tags_of(tokens, lambda words: [])


def test_spacy_is_an_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    with pytest.raises(NeuralError, match="pip install spacy"):
        spacy_tagger()


def spacy_pipeline(folder, tags):
    """A blank pipeline that knows the parts of speech of these words, on disk."""
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    pipeline = spacy.blank("en")
    if tags:
        ruler = pipeline.add_pipe("attribute_ruler")
        for word, tag in tags.items():
            ruler.add([[{"LOWER": word}]], {"POS": tag})
    pipeline.to_disk(folder)
    return str(folder)


def test_spacy_tags_the_words_as_they_are(tmp_path):
    known = {"the": "DET", "playing": "VERB", "cat": "NOUN"}
    tagger = spacy_tagger(spacy_pipeline(tmp_path / "pipeline", known))
    tokens = ["[CLS]", "The", "cat", "play", "##ing", "x", "[SEP]"]
    tags = [None, "DET", "NOUN", "VERB", "VERB", "", None]
    assert tags_of(tokens, tagger) == tags
    maps = maps_with({(3, 1): 0.5, (2, 5): 0.4}, tokens)
    rules = [c.rule for c in find_connections(maps, tagger=tagger)["layer"]]
    assert rules == ["no rule applies"] * 2
    maps = maps_with({(4, 2): 0.5, (3, 1): 0.4}, tokens)
    rules = [c.rule for c in find_connections(maps, tagger=tagger)["layer"]]
    assert rules == ["verb and noun", "no rule applies"]


def test_the_command_takes_a_spacy_pipeline(tmp_path):
    pipeline = spacy_pipeline(tmp_path / "p", {"cat": "NOUN", "mat": "NOUN"})
    maps_with({(6, 2): 0.5}).save(tmp_path / "maps.npz")
    arguments = ["analyze", str(tmp_path / "maps.npz"), "--spacy", pipeline, "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["example"]["connections"]["layer"]
    assert found["rule"] == "two content words (parts of speech)"


def test_a_spacy_pipeline_without_parts_of_speech_is_refused(tmp_path):
    tagger = spacy_tagger(spacy_pipeline(tmp_path / "p", {}))
    assert tagger([]) == []
    with pytest.raises(NeuralError, match="gives no parts of speech"):
        tagger(["a", "cat"])


def softmax_maps(random, sharp, length=12):
    scores = np.exp(sharp * random.standard_normal((2, length, length)))
    return AttentionMaps.from_arrays(
        {"layer": scores / scores.sum(-1, keepdims=True)}, ["a", "b", ".", "c"] * 3
    )


def grouped(sharpness, texts=30, seed=0):
    random = np.random.default_rng(seed)
    analyzer = Analyzer()
    for group, sharp in sharpness.items():
        for _ in range(texts):
            analyzer.add(softmax_maps(random, sharp), group)
    return analyzer


def test_groups_that_differ_are_told_apart():
    stats = pytest.importorskip("scipy.stats")
    analyzer = grouped({"calm": 1.0, "sharp": 1.5})
    found = compare_groups(analyzer.groups["calm"], analyzer.groups["sharp"])
    best = {(d.head, d.metric): d for d in found}
    entropy = best[0, "entropy"]
    assert entropy.significant
    assert entropy.effect < -2
    assert entropy.low < entropy.difference < entropy.high < 0
    assert entropy.effect_low < entropy.effect < entropy.effect_high < 0
    # The same test by another implementation, on the same texts.
    values = {}
    random = np.random.default_rng(0)
    for group, sharp in (("calm", 1.0), ("sharp", 1.5)):
        values[group] = []
        for _ in range(30):
            one = Analyzer()
            one.add(softmax_maps(random, sharp))
            values[group].append(one.heads()[0].statistics["entropy"].mean)
    test = stats.ttest_ind(values["sharp"], values["calm"], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert entropy.p == pytest.approx(test.pvalue, rel=1e-6)
    assert (entropy.low, entropy.high) == pytest.approx(tuple(interval), rel=1e-6)


def test_equal_groups_are_not_told_apart():
    analyzer = grouped({"one": 1.0, "other": 1.0}, seed=3)
    found = compare_groups(analyzer.groups["one"], analyzer.groups["other"])
    assert found
    assert not any(d.significant for d in found)


def test_groups_of_one_text_have_no_comparison():
    analyzer = grouped({"one": 1.0, "other": 2.0}, texts=1)
    assert compare_groups(analyzer.groups["one"], analyzer.groups["other"]) == []


@given(st.floats(0, 50), st.floats(1, 500))
def test_student_is_that_of_scipy(t, freedom):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.t.sf(t, freedom)
    assert t_tail(t, freedom) == pytest.approx(expected, rel=1e-7, abs=1e-7)
    quantile = stats.t.ppf(0.975, freedom)
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-8)
