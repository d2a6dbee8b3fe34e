"""`neural check --fix`: hints that are followed mend the file, and nothing else."""

import re

import pytest
from click.testing import CliRunner

from neural_attn.cli import cli
from neural_attn.diagnostics.explanations import explanations
from neural_attn.fixes import mended
from neural_attn.language_service import diagnose
from tests.corpus import INVALID

MENDED = {
    "E0107", "E0108", "E0110", "E0111", "E0113", "E0123", "E0130",
    "E0132", "E0134", "E0137",
    "E0203", "E0204", "E0221", "E0223", "E0240", "E0242", "E0243", "E0244",
    "W0105", "W0116", "W0119", "W0122", "W0123",
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(MENDED))
def test_a_certain_hint_mends_its_example(code):
    wrong = explanations()[code].wrong
    assert code in {found.code for found in diagnose(wrong)}
    text, done = mended(wrong)
    assert code in {problem.code for problem in done}
    assert code not in {found.code for found in diagnose(text)}


def test_no_other_example_is_mended():
    """All that is changed is listed: a hint with a choice is the author's to follow."""
    pages = explanations().values()
    assert {
        page.code
        for page in pages
        if page.code in {problem.code for problem in mended(page.wrong)[1]}
    } == MENDED


FULL = """# a classifier
network Digits {
  input: (28, 28, 1)   # pictures
  layers
    Conv2d(4, kernel_size=3 activaton="relu)   # first
    Dens(8) & Dropout(0.1)
    Output(10, "softmax")  # the digits
  loss = "sparse_categorical_crossentropy"
  optimizer: Adam(learnin_rate=0.1)
  train { epoch: 3 batch_size: 1_000 }
"""
RIGHT = """# a classifier
network Digits {
  input: (28, 28, 1)   # pictures
  layers:
    Conv2d(4, kernel_size=3, activation="relu")   # first
    Dense(8)   Dropout(0.1)
    GlobalAveragePooling2D()
    Output(10, "softmax")  # the digits
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.1)
  train { epochs: 3 batch_size: 1000 }
}
"""


def test_a_text_full_of_slips_becomes_a_network():
    text, done = mended(FULL)
    assert text == RIGHT
    assert len(done) == 12
    assert diagnose(text) == []
    assert mended(text) == (text, [])


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_no_comment_and_no_line_is_lost(path):
    try:
        before = path.read_text("utf-8")
    except UnicodeDecodeError:
        return
    after, _ = mended(before)
    comments = re.findall(r"#.*", before)
    assert [c for c in comments if c not in after] == []
    assert len(after.splitlines()) >= len(before.splitlines())
    assert len(diagnose(after)) <= len(diagnose(before)) + 3  # what a mistake hid


@pytest.mark.parametrize("last", ["dense(10)", "classes = Output(10)"])
def test_a_layer_is_known_however_it_is_written(last):
    text = f"""network A {{
  input: (28, 28, 1)
  layers:
    Conv2D(4, 3)
    {last}
  loss: "sparse_categorical_crossentropy"
}}
"""
    (found,) = diagnose(text)
    assert found.code == "W0123"
    assert "TimeDistributed(classes =" not in found.hint
    pooled = text.replace(last, f"GlobalAveragePooling2D()\n    {last}")
    assert mended(text)[0] == pooled


def test_a_near_name_that_the_value_does_not_fit_is_not_taken():
    text = """network A {
  input: (10, 16)
  layers:
    TransformerDecoder(num_heads=2, ff_dim=8, mode="cross")
}
"""
    (found,) = diagnose(text)
    assert found.hint == "did you mean `d_model`?"
    assert mended(text) == (text, [])


def test_line_ends_and_the_mark_of_a_file_stay(tmp_path):
    path = tmp_path / "a.neural"
    text = "network A {\r\n  input: (4,)\r\n  layers:\r\n    Dens(8)\r\n}\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert CliRunner().invoke(cli, ["check", str(path), "--fix"]).exit_code == 0
    assert path.read_bytes() == b"\xef\xbb\xbf" + text.replace("Dens", "Dense").encode()


def test_the_command_shows_the_change_and_writes_it_once(tmp_path):
    path = tmp_path / "digits.neural"
    path.write_text(FULL, encoding="utf-8")
    shown = CliRunner().invoke(cli, ["check", str(path), "--diff"])
    assert shown.exit_code == 1
    assert path.read_text("utf-8") == FULL
    fixed = CliRunner().invoke(cli, ["check", str(path), "--fix"])
    assert fixed.exit_code == 0
    assert path.read_text("utf-8") == RIGHT
    assert "-    Dens(8) & Dropout(0.1)\n" in fixed.output
    assert "ok," in fixed.output
    (tmp_path / "bad.neural").write_bytes(b"\xff\xfe\x00")
    done = CliRunner().invoke(cli, ["check", str(tmp_path / "bad.neural"), "--fix"])
    assert done.exit_code == 1
    assert "E0103" in done.output


def test_a_kind_of_warning_is_told_once_for_a_file(tmp_path):
    spaces = "\n".join(f"    Dense(HPO(choice({n}, 99)))" for n in range(1, 9))
    path = tmp_path / "spaces.neural"
    path.write_text(f"network S {{\n  input: (4,)\n  layers:\n{spaces}\n}}\n")
    done = CliRunner().invoke(cli, ["check", str(path)])
    assert done.output.count("W0103") == 1
    assert "and 7 more: lines 5, 6, 7, 8, 9, …" in done.output
