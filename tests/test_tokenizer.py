"""Texts become the ids that the model was trained on, and nothing is cut in silence."""

import json
import shutil
import sys

import numpy as np
import pytest

from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.tokenizer import Tokenizer, find_tokenizer, tokenizer_path

pytest.importorskip("tokenizers")

TEXTS = ["The cat sat.", "안녕하세요", "你好，世界！ 🙂", ""]


@pytest.fixture(scope="module")
def tokenizer(minilm_dir):
    return Tokenizer(minilm_dir / "tokenizer.json")


def write_tokenizer(path, **changes):
    """A tokenizer of six words, without special tokens in its output."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "c": 4, "<b>": 5}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    whole = {
        "version": "1.0",
        "model": model,
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "normalizer": None,
        "post_processor": None,
        "decoder": None,
        "padding": None,
        "truncation": None,
    }
    path.write_text(json.dumps(whole | changes), encoding="utf-8")
    return path


@pytest.mark.requires_transformers
def test_ids_are_those_of_transformers(tokenizer, minilm_dir, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers import AutoTokenizer

    texts = [*TEXTS, ("a pair of", "two texts")]
    theirs = AutoTokenizer.from_pretrained(minilm_dir)
    pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
    expected = [theirs(first, second) for first, second in pairs]
    encoded = tokenizer.encode(texts)
    for row, one in enumerate(expected):
        count = len(one["input_ids"])
        assert encoded.lengths[row] == count
        for name, values in encoded.inputs.items():
            assert values[row, :count].tolist() == one[name]


def test_batch_is_padded_to_its_longest_text(tokenizer):
    encoded = tokenizer.encode(["one two three", "one"])
    assert encoded.tokens == [
        ["[CLS]", "one", "two", "three", "[SEP]"],
        ["[CLS]", "one", "[SEP]", "[PAD]", "[PAD]"],
    ]
    assert encoded.inputs["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert encoded.inputs["input_ids"][1, 3:].tolist() == [0, 0]
    assert {v.dtype for v in encoded.inputs.values()} == {np.dtype(np.int64)}
    assert encoded.lengths == [5, 3]
    assert encoded.notes == []


def test_pieces_of_words_are_shown_as_they_are(tokenizer):
    assert tokenizer.encode(["tokenization"]).tokens == [
        ["[CLS]", "token", "##ization", "[SEP]"]
    ]


def test_a_batch_equals_its_texts_one_by_one(tokenizer):
    batch = tokenizer.encode(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = tokenizer.encode([text])
        for name, values in alone.inputs.items():
            assert (batch.inputs[name][row, : values.shape[1]] == values[0]).all()


def test_the_files_own_limit_of_128_tokens_is_not_used(tokenizer, minilm_dir):
    settings = json.loads((minilm_dir / "tokenizer.json").read_text(encoding="utf-8"))
    assert settings["truncation"]["max_length"] == 128
    assert settings["padding"]["strategy"] == {"Fixed": 128}
    assert tokenizer.encode(["cat " * 300]).lengths == [302]
    assert tokenizer.encode(["cat"]).inputs["input_ids"].shape == (1, 3)


def test_what_does_not_fit_is_cut_and_named(tokenizer):
    encoded = tokenizer.encode(["a b c d e", "a"], max_length=4)
    assert encoded.tokens[0] == ["[CLS]", "a", "b", "[SEP]"]
    assert encoded.tokens[1] == ["[CLS]", "a", "[SEP]", "[PAD]"]
    assert encoded.notes == [
        "text 1 has 7 tokens; the last 3 were cut off, as the network takes 4"
    ]
    # the next call is not affected
    assert tokenizer.encode(["a b c d e"]).lengths == [7]


def test_a_text_that_just_fits_is_whole(tokenizer):
    encoded = tokenizer.encode(["a b"], max_length=4)
    assert encoded.lengths == [4]
    assert encoded.notes == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_below_the_special_tokens_is_refused(tokenizer, limit):
    with pytest.raises(NeuralError, match="2 special tokens do not fit"):
        tokenizer.encode(["a"], max_length=limit)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "at least one text"),
        ("a text, not a list", "at least one text"),
        (["fine", "\ud800"], "text 2 is not valid Unicode"),
    ],
)
def test_bad_texts_are_refused(tokenizer, texts, message):
    with pytest.raises(NeuralError, match=message):
        tokenizer.encode(texts)


def test_a_text_without_any_token_is_refused(tmp_path):
    small = Tokenizer(write_tokenizer(tmp_path / "t.json"))
    assert small.encode(["a b"]).inputs["input_ids"].tolist() == [[2, 3]]
    with pytest.raises(NeuralError, match="text 1 gives no token"):
        small.encode([""])


def test_padding_token_is_the_files_own(tmp_path):
    padding = {
        "strategy": "BatchLongest",
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 5,
        "pad_type_id": 0,
        "pad_token": "<b>",
    }
    small = Tokenizer(write_tokenizer(tmp_path / "t.json", padding=padding))
    encoded = small.encode(["a b", "a"])
    assert encoded.tokens[1] == ["a", "<b>"]
    assert encoded.inputs["input_ids"][1].tolist() == [2, 5]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"version": "1.0"}',
        b'{"version":"1.0","model":{"type":"WordLevel","vocab":{"a":-1}}}',
    ],
)
def test_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(NeuralError, match="is not a tokenizer") as caught:
        Tokenizer(path)
    assert caught.value.diagnostics[0].code == "E0642"


def test_a_tokenizer_that_fails_later_is_refused(tmp_path):
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}
    small = Tokenizer(write_tokenizer(tmp_path / "t.json", model=model))
    with pytest.raises(NeuralError, match="cannot encode text 1"):
        small.encode(["zebra"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NeuralError, match=r"cannot read .*gone\.json"):
        Tokenizer(tmp_path / "gone.json")


def test_a_missing_package_is_named_with_the_command(minilm_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(NeuralError, match="pip install"):
        Tokenizer(minilm_dir / "tokenizer.json")


def test_search_order(tmp_path):
    network = tmp_path / "net" / "small.neural"
    weights = tmp_path / "weights" / "best.safetensors"
    ordered = [
        tmp_path / "net" / "small.tokenizer.json",
        tmp_path / "weights" / "best.tokenizer.json",
        tmp_path / "weights" / "tokenizer.json",
        tmp_path / "net" / "tokenizer.json",
    ]
    assert tokenizer_path(network) == ordered[0]
    assert find_tokenizer(network, weights) is None
    for path in reversed(ordered):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert find_tokenizer(network, weights) == path
    assert find_tokenizer(network) == ordered[0]


def test_an_explicit_tokenizer_wins(tmp_path, minilm_dir):
    network = tmp_path / "small.neural"
    tokenizer_path(network).touch()
    given = shutil.copy(minilm_dir / "tokenizer.json", tmp_path / "other.json")
    assert find_tokenizer(network, explicit=given) == tmp_path / "other.json"
    found = find_tokenizer(network, explicit=minilm_dir)
    assert found == minilm_dir / "tokenizer.json"
    with pytest.raises(NeuralError, match="there is no tokenizer at"):
        find_tokenizer(network, explicit=tmp_path / "none.json")
