"""Hints of `neural generate` and of the teaching pictures, followed."""

import pytest

from neural_attn import plot_masks, plot_positions
from tests.following import follow
from tests.laboratory import lay_out

WRITES = "generate writer.neural -b numpy --max-new-tokens 2 --tokenizer"
TRANSLATES = "generate translator.neural -b numpy --max-new-tokens 2"
ENDS = f"{TRANSLATES} --tokenizer ends.json"
TEACHES = "visualize {}.neural -f svg -o out {}"
# message -> (the call that shows it, the call changed as its hint says)
FOLLOWED = {
    "E0461": (
        "generate small.neural -b numpy --tokenizer t.json --text a",
        f"{WRITES} t.json --text a",
    ),
    "E0461.source": (
        f"{WRITES} t.json --source-tokenizer t.json --text a",
        f"{WRITES} t.json --text a",
    ),
    "E0461.pair": (f"{WRITES} t.json --pair a b", f"{WRITES} t.json --text a"),
    "E0461.sound": (
        "generate says.neural -b numpy --tokenizer ends.json --text a",
        f"{ENDS} --text a",
    ),
    "E0462": (f"{WRITES} large.json --text a", f"{WRITES} ends.json --text a"),
    "E0462.start": (
        f"{TRANSLATES} --tokenizer t.json --text a",
        f"{TRANSLATES} --tokenizer t.json --text a --start b",
    ),
    "E0462.token": (f"{ENDS} --text a --start zz", f"{ENDS} --text a --start 3"),
    "E0462.padding": (
        f"{ENDS} --text a --start [PAD]",
        f"{ENDS} --text a --start b",
    ),
    "E0462.borders": (
        "generate bordered.neural -b numpy --tokenizer ends.json --text a",
        "generate bounded.neural -b numpy --tokenizer ends.json --text a",
    ),
    "E0462.empty": (f"{WRITES} t.json --text ''", f"{WRITES} t.json --text a"),
    "E0481.optimizer": (
        TEACHES.format("writer", "--schedule"),
        TEACHES.format("scheduled", "--schedule"),
    ),
    "E0481.schedule": (
        TEACHES.format("flat_rate", "--schedule"),
        TEACHES.format("scheduled", "--schedule"),
    ),
    "E0481.loss": (
        TEACHES.format("small", "--loss"),
        TEACHES.format("smooth", "--loss"),
    ),
    "E0481.positions": (
        TEACHES.format("small", "--positions"),
        TEACHES.format("placed", "--positions"),
    ),
    "E0481.length": (
        lambda: plot_positions("placed.neural", length=30),
        lambda: plot_positions("placed.neural", length=20),
    ),
    "E0481.file": (lambda: plot_masks(3), lambda: plot_masks("small.neural")),
}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    writer = (folder / "writer.neural").read_text("utf-8")
    translator = (folder / "translator.neural").read_text("utf-8")
    smooth = "loss: SparseCategoricalCrossentropy(label_smoothing=0.1)"
    texts = {
        "scheduled": writer[:-1] + "optimizer: Adam(CosineDecay(0.001, 10000)) }",
        "flat_rate": writer[:-1] + "optimizer: Adam(0.001) }",
        "smooth": writer.replace('loss: "sparse_categorical_crossentropy"', smooth),
        "placed": writer.replace("8, mask_zero=true)", "8) PositionalEncoding(20)"),
        "says": translator.replace("source: (none,)", "source: (none, 8)").replace(
            "source: { Embedding(16, 8, mask_zero=true)", "source: {"
        ),
        "bordered": translator,
        "bounded": translator,
    }
    for name, text in texts.items():
        (folder / f"{name}.neural").write_text(text, "utf-8")
    (folder / "bordered.borders.json").write_text('{"begin": 1}', "utf-8")
    (folder / "bounded.borders.json").write_text('{"start": 4, "end": null}', "utf-8")
    return folder


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_call(name, laboratory, monkeypatch):
    monkeypatch.chdir(laboratory)
    follow(name, *FOLLOWED[name])
