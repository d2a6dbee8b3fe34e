"""The trained network in the box writes letters backwards; its attention shows it."""

from pathlib import Path

import numpy as np
import pytest

from neural_attn import generate, load_model
from neural_attn.analysis import analyze
from tests.example_scripts import scripts_of

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "annotated_transformer"


@pytest.fixture
def unseen():
    """Strings of eight letters that training has not seen."""
    with scripts_of(FOLDER, "make_pairs") as load:
        make = load("make_pairs").make
    seen = set(make(2000))
    return [text for text in make(100, seed=1, shortest=8) if text not in seen]


def test_letters_come_out_backwards_and_each_attends_to_its_own(unseen):
    tokenizers = pytest.importorskip("tokenizers")
    read = tokenizers.Tokenizer.from_file(str(FOLDER / "source.tokenizer.json"))
    write = tokenizers.Tokenizer.from_file(str(FOLDER / "target.tokenizer.json"))
    weights = FOLDER / "reverse.safetensors"
    model = load_model(FOLDER / "reverse.neural", "numpy", weights).model
    source = np.array([one.ids for one in read.encode_batch(unseen)])
    start = np.full((len(unseen), 1), write.token_to_id("<s>"))
    end = write.token_to_id("</s>")
    ids, maps = model.generate(source, start, 9, end=end, return_attention=True)
    letters = [[write.id_to_token(i) for i in row[1:9]] for row in ids.tolist()]
    right = [
        "".join(row) == text[::-1] for row, text in zip(letters, unseen, strict=True)
    ]
    assert np.mean(right) >= 0.99
    cross = maps["transformer_decoder_0.cross_attention"].mean(axis=1)
    places = cross[:, :8, :8].argmax(axis=-1)  # of the rows that predict a letter
    assert np.mean(places == np.arange(8)[::-1]) >= 0.9


def test_the_analysis_says_that_its_letters_are_in_reverse_order():
    file = FOLDER / "reverse.neural"
    made = generate(file, "alphabet", backend="numpy", attention=True)
    found = analyze(made.maps[0])
    assert [h.pattern.name for h in found.heads[-2:]] == ["reverse_order"] * 2
    told = [one.sentence for one in found.highlights]
    reverse = "(cross) head 1 attends to the tokens in reverse order: 0.79,"
    assert any(reverse in sentence for sentence in told)
