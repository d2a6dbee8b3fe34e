"""A folder of a model: imported once, used again, never written over what is yours."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

pytest.importorskip("tokenizers", reason="tokenizers is not installed")

from neural_attn import AttentionVisualizer, explore
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.figures.heatmap import plot_heatmap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.pipeline import Request, capture
from neural_attn.pretrained import import_model
from tests.small_models import write_bert

TEXT = "the cats sat on the mat ."
MADE = {
    f"tiny-bert{end}"
    for end in (".neural", ".safetensors", ".tokenizer.json", ".origin.json")
}


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_bert(Path("tiny-bert"))


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def visualize(*arguments):
    """The maps of a run, and what was said on stderr."""
    called = ("visualize", *arguments, "--attention", "-b", "numpy")
    done = run(*called, "--save-maps", "maps.npz", "--dpi", 20)
    assert done.exit_code == 0, done.exception or done.output
    return AttentionMaps.load("maps.npz"), done.stderr


def test_a_folder_is_imported_once_and_used_again(model):
    maps, said = visualize(model, "--text", TEXT, "--layer", 0, "-o", "out")
    assert "imported tiny-bert: kept as" in said
    made = {path.name for path in Path("out").glob("tiny-bert*")}
    assert made == MADE
    import_model(model, "own.neural")
    own = visualize("own.neural", "--checkpoint", "own.safetensors", "--text", TEXT)[0]
    np.testing.assert_array_equal(maps[maps.maps[0].name], own[own.maps[0].name])

    before = {name: Path("out", name).stat().st_mtime_ns for name in MADE}
    done = run("analyze", model, "--text", TEXT, "-b", "numpy", "--no-probe",
               "-o", "out")  # fmt: skip
    assert done.exit_code == 0
    assert "used again" in done.output
    assert {n: Path("out", n).stat().st_mtime_ns for n in MADE} == before
    drawn = run("visualize", model, "-o", "out")
    assert "used again" in drawn.stderr
    assert Path("out/architecture_TinyBert.svg").is_file()


def network_of(model):
    return capture(Request(model, texts=[TEXT], backend="numpy")).captured.maps


def test_a_folder_that_changed_is_imported_anew(model):
    first = network_of(model)
    tensors = load_file(model / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    tensors[name] *= 2
    save_file(tensors, model / "model.safetensors")
    second = network_of(str(model))
    assert not np.allclose(first.maps[0].weights, second.maps[0].weights)
    assert {path.name for path in Path("attention_outputs").iterdir()} == MADE


@pytest.mark.parametrize("whose", ["another's", "changed", "of another folder"])
def test_what_is_not_ours_is_never_written_over(model, whose):
    file = Path("attention_outputs/tiny-bert.neural")
    file.parent.mkdir()
    if whose == "another's":
        file.write_text("mine")
    else:
        network_of(model)
    if whose == "changed":
        file.write_text(file.read_text() + "# tried by hand\n")
    if whose == "of another folder":
        Path("elsewhere").mkdir()
        model = model.rename("elsewhere/tiny-bert")
    before = file.read_bytes()
    network_of(model)
    assert file.read_bytes() == before
    assert file.with_name("tiny-bert_2.neural").is_file()
    network_of(model)
    assert not file.with_name("tiny-bert_3.neural").exists()


def test_a_broken_record_is_no_record(model):
    network_of(model)
    record = Path("attention_outputs/tiny-bert.origin.json")
    record.write_text(json.dumps({"source": 3, "made": []}))
    network_of(model)
    assert Path("attention_outputs/tiny-bert_2.neural").is_file()


@pytest.mark.parametrize(
    ("config", "words"),
    [(None, "config.json"), ('{"model_type": "what"}', "what")],
)
def test_another_folder_gets_the_message_of_import(config, words):
    Path("folder").mkdir()
    if config:
        Path("folder/config.json").write_text(config)
    for command in (("visualize", "folder", "--attention"), ("analyze", "folder")):
        done = run(*command)
        assert isinstance(done.exception, NeuralError)
        assert words in done.exception.diagnostics[0].message
    assert not Path("attention_outputs").exists()


def test_options_of_a_file_have_no_effect_on_a_folder(model):
    done = run("visualize", model, "--attention", "--checkpoint", "w.safetensors")
    assert "`checkpoint` has no effect" in str(done.exception)
    done = run("analyze", "some.neural", "-o", "out")
    assert done.exit_code == 2
    assert "--output-dir is for the folder" in done.output


def test_in_python_a_folder_is_a_model_too(model):
    found = AttentionVisualizer(backend="numpy").visualize_from_dsl(
        model, np.array([[2, 5, 3]]), layer_name=0, output_dir="out"
    )
    assert "kept as" in found.notes[0]
    page = explore(str(model), TEXT, backend="numpy")
    assert page.maps.trained
    assert page.maps.maps[0].key_tokens[0][2] == "cat"


def test_a_tokenizer_may_be_an_object(model):
    from tokenizers import Tokenizer

    import_model(model, "own.neural")
    Path("own.tokenizer.json").unlink()
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    how = {"checkpoint": "own.safetensors", "backend": "numpy"}
    page = explore("own.neural", TEXT, tokenizer=tokenizer, **how)
    assert page.maps.maps[0].key_tokens == network_of(model).maps[0].key_tokens
    with pytest.raises(NeuralError, match="dict is not a tokenizer"):
        explore("own.neural", TEXT, tokenizer={}, **how)


# --- pairs ---------------------------------------------------------------------------


PAIR = ("the cats sat", "on the mat .")


def test_a_pair_has_segments_and_the_separators_of_its_tokenizer(model):
    maps, said = visualize(model, "--pair", *PAIR, "--pair", "cat", "mat", "--layer", 0)
    first, second = maps.maps[0].key_tokens
    assert first == tuple("[CLS] the cat ##s sat [SEP] on the mat . [SEP]".split())
    assert second[:5] == ("[CLS]", "cat", "[SEP]", "mat", "[SEP]")
    assert "sets nothing" not in said
    ids = np.array([[2, 4, 5, 7, 6, 3, 8, 4, 9, 10, 3]])
    np.savez("ids.npz", input_ids=ids, token_type_ids=[[0] * 6 + [1] * 5],
             attention_mask=np.ones_like(ids))  # fmt: skip
    by_hand = visualize(model, "--data", "ids.npz")[0]
    name = maps.maps[0].name
    np.testing.assert_allclose(maps[name][:1], by_hand[name], atol=1e-6)
    part = run("analyze", model, "--pair", *PAIR, "--json", "-b", "numpy", "--no-probe")
    assert json.loads(part.stdout)["tokens"] == 11


def test_a_tokenizer_that_does_not_part_a_pair_is_named(model):
    from tokenizers import Tokenizer

    file = str(model / "tokenizer.json")
    plain = json.loads(Path(file).read_text()) | {"post_processor": None}
    Path(file).write_text(json.dumps(plain))
    assert "puts nothing between" in visualize(model, "--pair", *PAIR)[1]
    tokenizer = Tokenizer.from_file(file)
    page = explore(model, [PAIR, "cat"], tokenizer=tokenizer, backend="numpy")
    assert page.maps.maps[0].key_tokens[0] == (*"the cat ##s sat on the mat .".split(),)


def test_pieces_are_drawn_as_people_read_them():
    figure = plot_heatmap(np.eye(4), ["[CLS]", "cat", "##s", "[SEP]"])
    drawn = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in drawn] == ["[CLS]", "cat", "·s", "[SEP]"]
    colors = [label.get_color() for label in drawn]
    assert colors[0] == colors[3] != colors[1] == colors[2]
