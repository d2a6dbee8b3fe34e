"""`neural new`: every template is sound, runs on every backend, and attends."""

import numpy as np
import pytest
from click.testing import CliRunner
from neural_attn.grammar.format import format_text

from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.templates import template, templates

NAMES = list(templates())
LENGTH = 5


def inputs_of(checked):
    random = np.random.default_rng(5)
    values = {}
    for given in checked.network.inputs:
        shape = [2, *(size or LENGTH for size in given.shape)]
        if given.name == "attention_mask":
            values[given.name] = np.ones(shape, "int64")
        elif given.dtype == "int":
            values[given.name] = random.integers(1, 2, shape)
        else:
            values[given.name] = random.normal(size=shape).astype("f")
    return values if len(values) > 1 else next(iter(values.values()))


def test_the_templates():
    assert NAMES == [
        "bert", "encoder-decoder", "gpt", "llama", "lstm-attention",
        "recurrent-translator", "text-classifier", "vit",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_template_is_sound_and_in_canonical_form(name):
    (checked,), warnings = check_text(template(name), f"{name}.neural")
    assert warnings == []
    assert checked.attentions
    assert format_text(template(name)) == template(name)


@pytest.mark.thorough("tensorflow", "pytorch-llama", "numpy-llama", but="lstm")
@pytest.mark.parametrize("name", NAMES)
def test_template_runs(name, backend):
    (checked,), _ = check_text(template(name), f"{name}.neural")
    loaded = load_model(checked, backend)
    output, maps = run(loaded.model, loaded.backend, inputs_of(checked))
    assert np.isfinite(output).all()
    assert len(maps) == len(checked.attentions)
    for weights, _ in maps.values():
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def neural(*arguments):
    return CliRunner().invoke(cli, ["new", *map(str, arguments)])


def test_command_writes_a_file_that_checks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = neural("text-classifier", "--name", "Reviews")
    assert done.exit_code == 0
    text = (tmp_path / "text_classifier.neural").read_text("utf-8")
    assert check_text(text)[0][0].network.name == "Reviews"


def test_nothing_is_overwritten_unless_forced(tmp_path):
    path = tmp_path / "a.neural"
    path.write_text("mine")
    refused = neural("gpt", "-o", path)
    assert isinstance(refused.exception, NeuralError)
    assert path.read_text() == "mine"
    assert neural("gpt", "-o", path, "--force").exit_code == 0
    assert path.read_text("utf-8") == template("gpt")


def test_list_and_print():
    listed = neural().output.splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert neural("vit", "-o", "-").output == template("vit")


@pytest.mark.parametrize(
    "arguments", [("gtp",), ("gpt", "--name", "a b"), ("gpt", "--name", "class")]
)
def test_bad_names_are_messages(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(neural(*arguments).exception, NeuralError)
    assert list(tmp_path.iterdir()) == []
