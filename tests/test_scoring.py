"""`neural score`: exact match and BLEU, their intervals, and what differs."""

import json

import pytest
from click.testing import CliRunner

from neural_attn import scoring
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError

sacrebleu = pytest.importorskip("sacrebleu")

RIGHT = [
    "return the value of the key",
    "def is_open ( self ) : return self . _open",
    "a cat sat on the mat .",
    "x",
] * 10
NEAR = [
    "return the value of a key",
    "def is_open ( self ) : return self . _open",
    "a dog sat on the mat .",
    "y",
] * 10


def test_the_numbers_are_those_of_sacrebleu_and_of_counting():
    exact, bleu = scoring.score(NEAR, RIGHT)
    assert exact.value == pytest.approx(25)
    truth = sacrebleu.corpus_bleu(NEAR, [RIGHT])
    assert bleu.value == pytest.approx(truth.score, abs=1e-9)
    assert bleu.low < bleu.value < bleu.high
    assert "tok:13a" in bleu.signature
    # Wilson's interval of 10 in 40, by hand: (0.25 + z²/80 ± …) / (1 + z²/40)
    assert exact.low == pytest.approx(14.187, abs=0.01)
    assert exact.high == pytest.approx(40.194, abs=0.01)


def test_texts_that_are_all_right_are_not_taken_for_certain():
    exact, bleu = scoring.score(RIGHT, RIGHT)
    assert (exact.value, exact.high) == pytest.approx((100, 100))
    assert exact.low < 95  # 40 of 40
    assert bleu.value == pytest.approx(100)


def test_white_space_is_no_mistake_and_anything_else_is():
    assert scoring.is_match("2021 - 05 - 14", "2021-05-14")
    assert not scoring.is_match("2021-05-14", "2021-05-41")


def test_a_network_differs_from_another_and_not_from_itself():
    exact, bleu = scoring.compare(RIGHT, NEAR, RIGHT)
    assert exact.value == pytest.approx(75)
    assert exact.is_clear
    assert bleu.is_clear
    assert exact.low < 75 < exact.high
    same = scoring.compare(NEAR, NEAR, RIGHT)
    assert [(one.value, one.low, one.high, one.is_clear) for one in same] == [
        (0, 0, 0, False),
        (0, 0, 0, False),
    ]


def test_bleu_of_unknown_words_and_without_its_package_are_errors(monkeypatch):
    with pytest.raises(NeuralError, match="E0464"):
        scoring.score(NEAR, RIGHT, tokenize="klingon")
    with pytest.raises(ValueError, match="1 texts but 2 references"):
        scoring.score(["a"], ["a", "b"])
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(NeuralError, match="E0502"):
        scoring.score(NEAR, RIGHT)


def test_bleu_of_texts_shorter_than_it_counts_is_left_out():
    scores = scoring.score(["abc", "one two"], ["abc", "one two"])
    assert [one.metric for one in scores] == ["exact_match"]
    letters = scoring.score(["abcd", "ab"], ["abcd", "ab"], tokenize="char")
    assert [one.value for one in letters] == [100, pytest.approx(100)]
    assert len(scoring.compare(["abc"], ["abd"], ["abc"])) == 1


def test_the_command_scores_networks_and_their_difference(tmp_path, project_root):
    pytest.importorskip("tokenizers")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("12.5.1990\t1990-05-12\n3 May 2001\t2001-05-03\n", "utf-8")
    dates = project_root / "examples" / "dates"
    arguments = ["score", dates / "dates.neural", dates / "without_attention.neural"]
    arguments += ["--pairs", pairs, "-b", "numpy"]
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    first = found["networks"][0]
    assert first["texts"] == ["1990-05-12", "2001-05-03"]
    assert first["scores"][0]["value"] == 100
    assert [one["metric"] for one in found["differences"]] == ["exact_match", "bleu"]
    shown = CliRunner().invoke(cli, list(map(str, arguments)))
    assert "exact match, %   100.0" in shown.stdout
    wrong = CliRunner().invoke(cli, [*map(str, arguments), "--checkpoint", "a"])
    assert wrong.exit_code == 2
    assert "give one for each" in wrong.output
