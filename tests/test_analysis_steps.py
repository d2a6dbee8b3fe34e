"""`analyze --steps`: how focused every step of every head was."""

import csv
import json
import math
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from neural_attn.analysis.steps import Steps
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.figures.palette import DARK
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.written import Likely, Step, Written


def written(tokens):
    steps = tuple(Step(Likely(7, token, 0.5), ()) for token in tokens)
    return Written("a b", "", (4, 5), ("a", "b"), (1,), ("<s>",), steps)


def maps_of(cross, own):
    """Two texts of one step and of two; the second row of the first is padding."""
    rows = [["<s>", "[PAD]"], ["<s>", "y"]]
    mask = np.ones((2, 1, 2, 4), bool)
    mask[0, :, 1] = False
    keys = ["a", "b", "c", "d"]
    self_mask = np.tril(np.ones((2, 1, 2, 2), bool))
    self_mask[0, :, 1] = False
    maps = [
        AttentionMap("d.self", own, "decoder_self", self_mask, True, rows, rows),
        AttentionMap("d.cross", cross, "cross", mask, False, rows, keys),
    ]
    return AttentionMaps(maps, written=[written(["x"]), written(["y", "</s>"])])


@pytest.fixture
def steps():
    cross = np.zeros((2, 1, 2, 4), np.float32)
    cross[0, 0, 0] = [0.25, 0.25, 0.25, 0.25]
    cross[1, 0, 0] = [0, 0.5, 0.5, 0]
    cross[1, 0, 1] = [0, 0, 0, 1]
    own = np.zeros((2, 1, 2, 2), np.float32)
    own[:, 0, 0, 0] = 1
    own[1, 0, 1] = [0.5, 0.5]
    found = Steps()
    found.add(maps_of(cross, own))
    return found


def test_every_row_is_that_of_its_own_step(steps):
    cross = [row for row in steps.rows if row.kind == "cross"]
    assert [(r.text, r.step, r.fed, r.token) for r in cross] == [
        (0, 0, "<s>", "x"),
        (1, 0, "<s>", "y"),
        (1, 1, "y", "</s>"),
    ]
    entropies = [math.log(4), math.log(2), 0]
    assert [r.entropy for r in cross] == pytest.approx(entropies, abs=1e-6)
    assert [r.normalized_entropy for r in cross] == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert [r.max_weight for r in cross] == [0.25, 0.5, 1]
    assert [(r.attended, r.position) for r in cross[1:]] == [("b", 1), ("d", 3)]
    own = [row for row in steps.rows if row.kind == "decoder_self"]
    assert [r.keys for r in own] == [1, 1, 2]
    assert math.isnan(own[0].normalized_entropy)  # there was no choice


def test_means_and_spreads_are_over_steps(steps):
    found = {(s.kind, s.map, s.metric): s for s in steps.spreads()}
    one = found["cross", None, "max_weight"]
    assert (one.mean, one.steps) == (pytest.approx(1.75 / 3), 3)
    assert one.std == pytest.approx(np.std([0.25, 0.5, 1], ddof=1))
    assert found["cross", "d.cross", "max_weight"].mean == one.mean
    assert found["decoder_self", None, "normalized_entropy"].std is None  # of one step


def test_merged_texts_are_numbered_on(steps):
    both = steps.merge(steps)
    assert both.texts == 4
    assert sorted({row.text for row in both.rows}) == [0, 1, 2, 3]
    assert len(both.rows) == 2 * len(steps.rows)


def test_csv_and_frame_have_every_value(steps, monkeypatch):
    rows = list(csv.DictReader(steps.to_csv().splitlines()))
    assert [float(r["entropy"]) for r in rows] == [r.entropy for r in steps.rows]
    assert rows[0]["normalized_entropy"] == ""
    pytest.importorskip("pandas")
    frame = steps.to_frame()
    assert frame.shape == (len(steps.rows), len(rows[0]))
    assert frame[frame.kind == "cross"].max_weight.mean() == pytest.approx(1.75 / 3)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(NeuralError, match="E0502"):
        steps.to_frame()


def test_the_command_writes_picture_csv_and_json(tmp_path, project_root):
    pytest.importorskip("tokenizers")
    network = project_root / "examples/annotated_transformer/reverse.neural"
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("abc\tcba\nhello\tolleh\nno\ton\n", "utf-8")
    folder = tmp_path / "out"
    call = ["analyze", str(network), "-b", "numpy", "--file", str(pairs)]
    call += ["--num-examples", "2", "--steps", str(folder), "--no-probe", "--json"]
    call += ["--theme", "dark"]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["texts"] == found["steps"]["texts"] == 2
    rows = list(csv.DictReader((folder / "steps.csv").read_text("utf-8").splitlines()))
    # two maps of two heads; the letters and the end
    assert len(rows) == found["steps"]["rows"] == 4 * (4 + 6)
    cross = [r for r in rows if r["kind"] == "cross" and r["text"] == "1"]
    assert "".join(r["token"] for r in cross[:5]) == "olleh"
    # the mean over steps of a text is what the analysis has for the head
    mean = np.mean([float(r["entropy"]) for r in rows if r["head"] == "0"
                    and r["kind"] == "cross" and r["text"] == "0"])  # fmt: skip
    head = next(h for h in found["heads"] if h["label"] == "L1H0.cross")
    ends = (
        head["statistics"]["entropy"]["least"],
        head["statistics"]["entropy"]["greatest"],
    )
    assert any(mean == pytest.approx(end, abs=1e-5) for end in ends)
    picture = Image.open(folder / "attention_entropy_analysis.png")
    assert picture.getpixel((2, 2))[:3] == tuple(bytes.fromhex(DARK.ground[1:]))
    assert len(picture.getcolors(1 << 16)) > 50


def test_a_theme_of_no_picture_is_refused(project_root):
    network = project_root / "examples/attention_examples/basic_transformer.neural"
    done = CliRunner().invoke(cli, ["analyze", str(network), "--theme", "dark"])
    assert done.exit_code == 2
    assert "--theme is of --grid, --pictures and --steps" in done.output


def test_a_network_that_writes_nothing_has_no_steps(tmp_path, project_root):
    network = project_root / "examples/attention_examples/basic_transformer.neural"
    call = ["analyze", str(network), "-b", "numpy", "--steps", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, call)
    assert isinstance(done.exception, NeuralError)
    assert "steps" in str(done.exception)
    assert not (tmp_path / "out").exists()
