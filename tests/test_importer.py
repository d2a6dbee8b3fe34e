"""Importing a model folder: what is written, what is named, what is refused."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from neural_attn.compile import check_file
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_model
from neural_attn.pretrained import import_model
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.network_text import (
    model_title,
    name_for,
    one_line,
)
from tests.small_models import (
    CONFIG,
    VOCABULARY,
    WIDTH,
    bert_tensors,
    write_config,
)


@pytest.fixture
def model(tmp_path):
    """A folder with a tiny BERT."""
    folder = tmp_path / "tiny-Bert-v1"
    folder.mkdir()
    write_config(folder)
    save_file(bert_tensors(), folder / "model.safetensors")
    (folder / "tokenizer.json").write_text('{"model": "any bytes"}', encoding="utf-8")
    return folder


def refused(folder, *args, **options):
    """The one problem that the import of a folder ends with."""
    with pytest.raises(NeuralError) as caught:
        import_model(folder, folder.parent / "out" / "net.neural", *args, **options)
    assert not (folder.parent / "out" / "net.neural").exists()
    (problem,) = caught.value.diagnostics
    return problem


# --- what is written ------------------------------------------------------------------


def test_text_is_as_a_person_would_write_it(model, tmp_path):
    imported = import_model(model, tmp_path / "tiny.neural")
    assert imported.neural_path.read_text(encoding="utf-8") == (
        "# tiny-Bert-v1: BERT with 2 layers of 2 heads, imported from config.json\n"
        "network Tiny {\n"
        "  input: {\n"
        "    input_ids: (None,)\n"
        "    token_type_ids: (None,)\n"
        "    attention_mask: (None,)\n"
        "  }\n"
        "  layers:\n"
        "    TransformerEmbedding(\n"
        "      vocab_size=11, d_model=8, max_len=6, type_vocab_size=2, dropout=0.1, "
        "epsilon=1e-12\n"
        "    )\n"
        "    TransformerEncoder(\n"
        '      num_heads=2, ff_dim=12, dropout=0.1, activation="gelu", epsilon=1e-12\n'
        "    ) * 2\n"
        "}\n"
    )
    assert imported.name == "Tiny"
    assert imported.notes == []


def test_text_checks_without_a_warning(model, tmp_path):
    imported = import_model(model, tmp_path / "tiny.neural")
    (checked,), warnings = check_file(imported.neural_path)
    assert warnings == []
    assert list(checked.attentions) == [
        "transformer_encoder_0",
        "transformer_encoder_1",
    ]
    assert checked.root.parameter_count == imported.parameters
    assert imported.parameters == sum(t.size for t in bert_tensors().values())


def test_real_model_is_named_in_its_own_spelling(minilm_dir, tmp_path):
    imported = import_model(minilm_dir, tmp_path / "minilm.neural")
    assert imported.name == "MiniLM"
    assert imported.parameters == 22_565_376
    assert imported.notes == [
        "left out constants that are computed here: embeddings.position_ids",
        "left out the pooler, which comes after the last attention: "
        "pooler.dense.bias, pooler.dense.weight",
    ]
    text = imported.neural_path.read_text(encoding="utf-8")
    assert ") * 6\n" in text
    assert len(text.splitlines()) < 20


def test_weights_are_the_models_own(model, tmp_path):
    imported = import_model(model, tmp_path / "tiny.neural")
    written, source = load_file(imported.weights_path), bert_tensors()
    assert len(written) == len(source)
    layer = "transformer_encoder_layers.1."
    for ours, theirs in {
        "transformer_embedding_0.segment.weight": (
            "embeddings.token_type_embeddings.weight"
        ),
        f"{layer}attention.key_projection.bias": (
            "encoder.layer.1.attention.self.key.bias"
        ),
        f"{layer}attention_norm.weight": (
            "encoder.layer.1.attention.output.LayerNorm.weight"
        ),
        f"{layer}feed_forward_norm.bias": "encoder.layer.1.output.LayerNorm.bias",
        f"{layer}feed_forward.contract.weight": "encoder.layer.1.output.dense.weight",
    }.items():
        assert (written[ours] == source[theirs]).all(), ours
    # every value of the source, each once
    values = sorted(float(t.sum()) for t in source.values())
    assert sorted(float(t.sum()) for t in written.values()) == values
    assert {t.dtype for t in written.values()} == {np.dtype(np.float32)}


def test_files_can_be_run_and_the_model_may_move_away(model, tmp_path):
    imported = import_model(model, tmp_path / "net" / "tiny.neural")
    shutil.rmtree(model)
    loaded = load_model(imported.neural_path, "numpy", imported.weights_path)
    ids = np.array([[1, 2, 3]])
    inputs = {
        "input_ids": ids,
        "token_type_ids": ids * 0,
        "attention_mask": ids * 0 + 1,
    }
    assert loaded.model(inputs).shape == (1, 3, WIDTH)
    assert imported.tokenizer_path == tmp_path / "net" / "tiny.tokenizer.json"
    assert imported.tokenizer_path.read_bytes() == b'{"model": "any bytes"}'


def test_weights_and_name_can_be_chosen(model, tmp_path):
    weights = tmp_path / "elsewhere" / "w.safetensors"
    imported = import_model(model, tmp_path / "tiny.neural", weights, "Chosen")
    assert imported.weights_path == weights
    assert weights.is_file()
    assert not (tmp_path / "tiny.safetensors").exists()
    assert "network Chosen {" in imported.neural_path.read_text(encoding="utf-8")


def test_same_model_gives_same_bytes(model, tmp_path):
    first = import_model(model, tmp_path / "a" / "tiny.neural")
    second = import_model(model, tmp_path / "b" / "tiny.neural")
    for one, other in (
        (first.neural_path, second.neural_path),
        (first.weights_path, second.weights_path),
    ):
        assert one.read_bytes() == other.read_bytes()


def test_one_layer_is_not_repeated(model, tmp_path):
    write_config(model, num_hidden_layers=1)
    save_file(bert_tensors(1), model / "model.safetensors")
    imported = import_model(model, tmp_path / "tiny.neural")
    text = imported.neural_path.read_text(encoding="utf-8")
    assert "1 layer of 2 heads" in text
    assert " * " not in text
    assert load_model(imported.neural_path, "numpy", imported.weights_path).trained


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("relu", "relu")],
)
def test_activations_get_our_names(model, tmp_path, theirs, ours):
    write_config(model, hidden_act=theirs)
    text = import_model(model, tmp_path / "tiny.neural").neural_path.read_text()
    assert f'activation="{ours}"' in text


# --- how weights may be stored --------------------------------------------------------


def imported_weights(model, tmp_path):
    return load_file(import_model(model, tmp_path / "tiny.neural").weights_path)


@pytest.fixture
def plain(model, tmp_path):
    """The weights that the model gives in its plain form."""
    return imported_weights(model, tmp_path / "plain")


def same(left, right):
    return left.keys() == right.keys() and all(
        (left[k] == right[k]).all() for k in left
    )


def test_prefix_of_a_model_around_is_understood(model, tmp_path, plain):
    tensors = {f"bert.{name}": t for name, t in bert_tensors().items()}
    tensors["cls.predictions.bias"] = np.zeros(VOCABULARY, np.float32)
    tensors["bert.pooler.dense.bias"] = np.zeros(WIDTH, np.float32)
    tensors["my_own_head.weight"] = np.zeros(3, np.float32)
    save_file(tensors, model / "model.safetensors")
    imported = import_model(model, tmp_path / "tiny.neural")
    assert same(load_file(imported.weights_path), plain)
    assert sorted(imported.notes) == [
        "left out the heads of pretraining: cls.predictions.bias",
        "left out the pooler, which comes after the last attention: "
        "bert.pooler.dense.bias",
        "left out what is not part of this kind of model: my_own_head.weight",
    ]


def test_names_from_tensorflow_1_are_understood(model, tmp_path, plain):
    tensors = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): t
        for name, t in bert_tensors().items()
    }
    save_file(tensors, model / "model.safetensors")
    assert same(imported_weights(model, tmp_path), plain)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_float32(model, tmp_path, dtype):
    stored = {name: t.astype(dtype) for name, t in bert_tensors().items()}
    save_file(stored, model / "model.safetensors")
    name = "transformer_embedding_0.token.weight"
    found = imported_weights(model, tmp_path)[name]
    expected = stored["embeddings.word_embeddings.weight"].astype(np.float32)
    assert found.dtype == np.float32
    assert (found == expected).all()


@pytest.mark.requires_torch
def test_bfloat16_becomes_float32(model, tmp_path):
    import torch
    from safetensors.torch import save_file as save_torch

    stored = {n: torch.from_numpy(t).bfloat16() for n, t in bert_tensors().items()}
    save_torch(stored, model / "model.safetensors")
    found = imported_weights(model, tmp_path)["transformer_embedding_0.token.weight"]
    expected = stored["embeddings.word_embeddings.weight"].float().numpy()
    assert (found == expected).all()


def shard(model, names=("a.safetensors", "b.safetensors")):
    """Split the weights over two files with an index."""
    tensors = bert_tensors()
    (model / "model.safetensors").unlink()
    parts = [dict(list(tensors.items())[i::2]) for i in range(2)]
    index = {}
    for name, part in zip(names, parts, strict=True):
        save_file(part, model / name)
        index.update(dict.fromkeys(part, name))
    write_index(model, index)
    return index


def write_index(model, index):
    text = json.dumps({"weight_map": index})
    (model / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def test_shards_are_read(model, tmp_path, plain):
    shard(model)
    assert same(imported_weights(model, tmp_path), plain)


@pytest.mark.requires_torch
def test_pytorch_files_are_read(model, tmp_path, plain):
    import torch

    (model / "model.safetensors").unlink()
    tensors = {n: torch.from_numpy(t) for n, t in bert_tensors().items()}
    torch.save(tensors, model / "pytorch_model.bin")
    assert same(imported_weights(model, tmp_path / "one"), plain)
    # the form of before 2020
    torch.save(
        tensors, model / "pytorch_model.bin", _use_new_zipfile_serialization=False
    )
    assert same(imported_weights(model, tmp_path / "old"), plain)
    (model / "pytorch_model.bin").unlink()
    index = {}
    for number in range(2):
        part = dict(list(tensors.items())[number::2])
        torch.save(part, model / f"{number}.bin")
        index |= dict.fromkeys(part, f"{number}.bin")
    text = json.dumps({"weight_map": index})
    (model / "pytorch_model.bin.index.json").write_text(text, encoding="utf-8")
    assert same(imported_weights(model, tmp_path / "shards"), plain)


@pytest.mark.requires_torch
def test_pytorch_files_keep_their_precision_until_they_are_read(model, tmp_path):
    import torch

    (model / "model.safetensors").unlink()
    stored = {n: torch.from_numpy(t).bfloat16() for n, t in bert_tensors().items()}
    torch.save(stored, model / "pytorch_model.bin")
    name = "embeddings.word_embeddings.weight"
    found = imported_weights(model, tmp_path)["transformer_embedding_0.token.weight"]
    assert (found == stored[name].float().numpy()).all()
    torch.save(stored | {name: stored[name].int()}, model / "pytorch_model.bin")
    assert "holds int32" in refused(model).message


class Evil:
    def __reduce__(self):
        return os.makedirs, ("evil",)


@pytest.mark.requires_torch
@pytest.mark.parametrize(
    "content", [Evil(), {"a": Evil()}, {"a": 1}, [], b"no pickle", b"abc"]
)
def test_pytorch_files_run_nothing(model, content, monkeypatch, tmp_path):
    import torch

    monkeypatch.chdir(tmp_path)
    (model / "model.safetensors").unlink()
    path = model / "pytorch_model.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    problem = refused(model)
    assert problem.code == "E0627"
    assert "pytorch_model.bin" in problem.message
    assert not (tmp_path / "evil").exists()


def test_pytorch_files_need_pytorch(model, monkeypatch):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    monkeypatch.setitem(sys.modules, "torch", None)
    problem = refused(model)
    assert "only with PyTorch, which is not installed" in problem.message
    assert problem.hint.startswith("pip install torch")


def test_an_adapter_is_refused_by_name(model):
    text = json.dumps({"base_model_name_or_path": "some/base", "peft_type": "LORA"})
    (model / "adapter_config.json").write_text(text, encoding="utf-8")
    problem = refused(model)
    assert problem.code == "E0626"
    assert "an adapter of some/base" in problem.message


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a\\b"])
def test_an_index_cannot_name_files_elsewhere(model, name):
    write_index(model, shard(model) | {"x": name})
    problem = refused(model)
    assert problem.code == "E0623"
    assert "outside its folder" in problem.message


def test_a_missing_shard_is_named(model):
    shard(model)
    (model / "b.safetensors").unlink()
    problem = refused(model)
    assert problem.code == "E0622"
    assert "b.safetensors" in problem.message


def test_a_tensor_in_two_shards_is_refused(model):
    shard(model)
    shutil.copy(model / "a.safetensors", model / "b.safetensors")
    assert "both hold" in refused(model).message


# --- what is refused ------------------------------------------------------------------


def test_missing_folder(tmp_path):
    assert refused(tmp_path / "nowhere").code == "E0621"


def test_missing_config(model):
    (model / "config.json").unlink()
    problem = refused(model)
    assert problem.code == "E0622"
    assert "config.json: no such file" in problem.message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 200_000, b'{"a": ' + b"9" * 5000],
    ids=lambda content: content[:8].decode("latin-1"),
)
def test_broken_config(model, content):
    (model / "config.json").write_bytes(content)
    assert refused(model).code == "E0623"


def test_unknown_kind_of_model(model):
    write_config(model, model_type="mamba")
    problem = refused(model)
    assert problem.code == "E0624"
    assert "'mamba'" in problem.message
    assert problem.hint.startswith("supported types: ")


@pytest.mark.parametrize(
    "key",
    ["model_type", "vocab_size", "hidden_size", "num_hidden_layers"],
)
def test_missing_value(model, key):
    write_config(model, remove=[key])
    problem = refused(model)
    assert problem.code == "E0625"
    assert f"`{key}`" in problem.message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", ["bert"]),
        ("vocab_size", "11"),
        ("vocab_size", 0),
        ("vocab_size", -5),
        ("vocab_size", 10**30),
        ("vocab_size", True),
        ("vocab_size", 11.0),
        ("hidden_size", {"a": 1}),
        ("hidden_size", 9),
        ("num_hidden_layers", 10**9),
        ("num_attention_heads", 3),
        ("layer_norm_eps", "1e-12"),
        ("layer_norm_eps", float("nan")),
        ("layer_norm_eps", -1.0),
        ("hidden_dropout_prob", 2),
        ("hidden_dropout_prob", float("inf")),
        ("hidden_act", 5),
    ],
)
def test_wrong_value(model, key, value):
    write_config(model, **{key: value})
    problem = refused(model)
    assert problem.code == "E0625"
    assert key in problem.message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("quantization_config", {"bits": 4}),
        ("hidden_act", "gelu_fast"),
        ("hidden_act", '") * 9 # "'),
    ],
)
def test_unsupported_option(model, key, value):
    write_config(model, **{key: value})
    assert refused(model).code == "E0626"


def test_dropout_of_the_weights_alone_is_noted(model, tmp_path):
    write_config(model, attention_probs_dropout_prob=0.3)
    (note,) = import_model(model, tmp_path / "tiny.neural").notes
    assert "attention_probs_dropout_prob 0.3 became 0.1" in note


@pytest.mark.parametrize(
    ("file", "mentions"),
    [("tf_model.h5", "tf_model.h5"), ("notes.txt", "safetensors")],
)
def test_weights_in_no_known_format(model, file, mentions):
    (model / "model.safetensors").rename(model / file)
    problem = refused(model)
    assert problem.code == "E0622"
    assert mentions in problem.hint


def change(model, **changes):
    """Replace, add or (None) remove tensors."""
    tensors = bert_tensors() | changes
    kept = {name: t for name, t in tensors.items() if t is not None}
    save_file(kept, model / "model.safetensors")


def test_shape_that_differs_is_named_with_both(model):
    name = "encoder.layer.1.intermediate.dense.weight"
    change(model, **{name: np.zeros((13, WIDTH), np.float32)})
    problem = refused(model)
    assert problem.code == "E0630"
    assert f"`{name}` is [13, 8]" in problem.message
    assert "makes it [12, 8]" in problem.message


def test_huge_vocabulary_in_config_costs_no_memory(model):
    write_config(model, vocab_size=2**31 - 1)
    assert refused(model).code == "E0630"


def test_missing_tensor_is_named(model):
    change(model, **{"encoder.layer.1.output.dense.bias": None})
    problem = refused(model)
    assert problem.code == "E0628"
    own = "`encoder.layer.1.output.dense.bias` is missing from"
    assert problem.message.startswith(own)
    expected = "`transformer_encoder_layers.1.feed_forward.contract.bias` [8]"
    assert expected in problem.message


def test_weights_of_another_kind_of_model(model):
    tensors = {"transformer.h.0.attn.c_attn.weight": np.zeros((2, 2), np.float32)}
    save_file(tensors, model / "model.safetensors")
    problem = refused(model)
    assert problem.code == "E0628"
    assert "transformer.h.0.attn.c_attn.weight" in problem.hint


@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.2.output.dense.bias",
        "encoder.layer.1.attention.self.distance_embedding.weight",
        "embeddings.extra.weight",
        "bert.encoder.layer.0.output.dense.bias",
    ],
)
def test_a_tensor_that_would_change_the_result_is_never_left_out(model, name):
    change(model, **{name: np.zeros(WIDTH, np.float32)})
    problem = refused(model)
    assert problem.code == "E0631"
    assert f"`{name}`" in problem.message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(model, value):
    change(model, **{"embeddings.LayerNorm.bias": np.full(WIDTH, value, np.float32)})
    problem = refused(model)
    assert problem.code == "E0629"
    assert "`embeddings.LayerNorm.bias` holds NaN or infinity" in problem.message


def test_weights_that_are_integers(model):
    change(model, **{"embeddings.LayerNorm.bias": np.zeros(WIDTH, np.int32)})
    assert "holds I32" in refused(model).message


def header(entries, data=b""):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        struct.pack("<Q", 2**63) + b"{}",
        header(b"[" * 1000),
        header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
        header({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        header({"a": 5}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    ],
)
def test_hostile_weights(model, content):
    (model / "model.safetensors").write_bytes(content)
    assert refused(model).code == "E0627"


def test_truncated_weights(model):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert refused(model).code == "E0627"


# --- files are safe -------------------------------------------------------------------


def test_the_model_is_never_overwritten(model):
    before = (model / "model.safetensors").read_bytes()
    with pytest.raises(NeuralError, match="would be overwritten"):
        import_model(model, model / "model.neural")
    assert (model / "model.safetensors").read_bytes() == before
    # beside it, under another name, is fine
    assert import_model(model, model / "tiny.neural").weights_path.is_file()


def test_network_and_weights_need_two_files(model, tmp_path):
    with pytest.raises(NeuralError, match="both be written"):
        import_model(model, tmp_path / "tiny.safetensors")


def test_output_that_is_a_folder(model, tmp_path):
    with pytest.raises(NeuralError, match="is a folder"):
        import_model(model, tmp_path)


def test_output_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NeuralError) as caught:
        import_model(model, tmp_path / "file" / "tiny.neural")
    assert caught.value.diagnostics[0].code == "E0634"


def test_a_failed_import_leaves_earlier_files_alone(model, tmp_path):
    import_model(model, tmp_path / "tiny.neural")
    before = {p: p.read_bytes() for p in tmp_path.glob("tiny.*")}
    assert len(before) == 3
    # found only while the weights are being written
    last = "encoder.layer.1.output.LayerNorm.bias"
    change(model, **{last: np.full(WIDTH, np.nan, np.float32)})
    with pytest.raises(NeuralError):
        import_model(model, tmp_path / "tiny.neural")
    assert {p: p.read_bytes() for p in tmp_path.glob("tiny.*")} == before
    assert not list(tmp_path.glob(".*"))


def test_a_model_without_tokenizer(model, tmp_path):
    (model / "tokenizer.json").unlink()
    imported = import_model(model, tmp_path / "tiny.neural")
    assert imported.tokenizer_path is None
    assert "no tokenizer.json: give ids" in imported.notes[0]
    (model / "tokenizer.json").write_text("{}")
    imported = import_model(model, tmp_path / "other.neural")
    assert imported.tokenizer_path is None
    assert "holds no tokenizer: give ids" in imported.notes[0]
    (tmp_path / "tiny.tokenizer.json").touch()
    assert "stays as it was" in import_model(model, tmp_path / "tiny.neural").notes[0]


@pytest.mark.parametrize("name", ["9lives", "a b", "x}\nnetwork Y {", "class", "ñ"])
def test_names_that_are_none(model, name):
    assert refused(model, name=name).code == "E0632"


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such folder")
def test_the_folders_name_stays_in_its_comment(model, tmp_path):
    evil = tmp_path / 'x\n}\nnetwork Evil { # "\x1b[31m'
    model.rename(evil)
    imported = import_model(evil, tmp_path / "tiny.neural")
    text = imported.neural_path.read_text(encoding="utf-8")
    assert text.startswith("# x } network Evil {")
    assert text.splitlines()[1] == "network Tiny {"
    assert "\x1b" not in text
    assert len(check_file(imported.neural_path)[0]) == 1


@given(st.text())
def test_titles_are_one_printable_line(text):
    line = one_line(text)
    assert len(line) <= 80
    assert len(line.splitlines()) <= 1
    assert line.isprintable()


@pytest.mark.parametrize(
    ("file", "sources", "name"),
    [
        ("minilm.neural", ["all-MiniLM-L6-v2"], "MiniLM"),
        ("minilm.neural", [], "Minilm"),
        ("bert_base-v2.neural", ["bert"], "BertBaseV2"),
        ("7b.neural", [], "Model7b"),
        ("한국어.neural", [], "Model"),
        ("none.neural", [], "ModelNone"),
        ("tiny", ["some/tiny"], "Tiny"),
    ],
)
def test_names_come_from_the_file(tmp_path, file, sources, name):
    assert name_for(tmp_path / file, sources) == name


def test_title_in_the_hub_cache(tmp_path):
    folder = tmp_path / "models--org--Some-Model" / "snapshots" / "0123abc"
    folder.mkdir(parents=True)
    assert model_title(folder) == "Some-Model"
    assert model_title(tmp_path / "all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"
    assert model_title(tmp_path / "checkpoint-500") == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(key=st.sampled_from(sorted(CONFIG)), value=json_values)
def test_any_value_gives_a_plan_or_a_clear_error(tmp_path_factory, key, value):
    from neural_attn.pretrained.conversion.families import family_of
    from neural_attn.pretrained.conversion.network_text import network_text

    path = tmp_path_factory.getbasetemp() / "config.json"
    config = Config(path, CONFIG | {key: value})
    try:
        plan = family_of(config).plan(config)
        text = network_text(plan, "Net", "title")
    except NeuralError as error:
        code = error.diagnostics[0].code
    else:
        code = "" if text.count("\n") < 25 else text
    assert code in ("", "E0624", "E0625", "E0626")


def test_import_needs_no_framework(model, tmp_path):
    code = (
        "import sys; from neural_attn.pretrained import import_model; "
        f"import_model({str(model)!r}, {str(tmp_path / 'tiny.neural')!r}); "
        "print(*sorted({'torch', 'tensorflow', 'keras', 'transformers', 'tokenizers', "
        "'matplotlib', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A RoBERTa whose config.json says that it is a BERT."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("roberta")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.RobertaConfig(
        vocab_size=50, intermediate_size=16, max_position_embeddings=514,
        type_vocab_size=1, pad_token_id=1, **sizes,
    )  # fmt: skip
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def disguised(roberta, folder, **changes):
    shutil.copytree(roberta, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "bert", **changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "architectures names RobertaModel, which is no bert"),
        ({"architectures": None}, "514 positions and the padding token 1"),
        ({"architectures": None, "pad_token_id": 0}, "row 1 of the table of positions"),
    ],
)
def test_a_roberta_is_no_bert_whatever_its_type_says(
    roberta, tmp_path, changes, message
):
    # Its tensors have the names and shapes of BERT's, and positions that begin at 2.
    problem = refused(disguised(roberta, tmp_path / "model", **changes))
    assert problem.code == "E0626"
    assert message in problem.message


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("roberta-prelayernorm", ""),
        ("umt5", ""),
        ("xlm-roberta-xl", ""),
        ("XLM_RoBERTa", "xlm-roberta"),
    ],
)
def test_no_type_is_proposed_for_another(roberta, tmp_path, kind, meant):
    problem = refused(disguised(roberta, tmp_path / "model", model_type=kind))
    assert problem.code == "E0624"
    assert ("did you mean" in problem.hint) == bool(meant)
    assert meant in problem.hint


def test_a_name_is_fetched_from_the_hub(minilm_dir, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, allow_patterns, etag_timeout):
        asked.append((name, allow_patterns))
        return str(minilm_dir)

    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    imported = import_model("sentence-transformers/tiny", "tiny.neural")
    assert imported.neural_path == Path("tiny.neural")
    assert asked == [("sentence-transformers/tiny", ["*.json", "*.safetensors"])]


def test_a_hub_out_of_reach_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        NeuralError, match="could not be downloaded from the hub"
    ) as caught:
        import_model("nobody/nothing", "n.neural")
    assert caught.value.diagnostics[0].code == "E0621"
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(NeuralError, match="needs huggingface_hub"):
        import_model("nobody/nothing", "n.neural")
    assert not list(tmp_path.iterdir())


def test_an_imported_model_is_called_on_what_a_tokenizer_gives(model, tmp_path):
    imported = import_model(model, tmp_path / "tiny.neural")
    loaded = load_model(imported.neural_path, "numpy", imported.weights_path)
    ids = np.array([[1, 2, 3]])
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    whole = loaded(given | {"token_type_ids": np.zeros_like(ids)})
    for fewer in given, {"input_ids": ids}, ids:
        np.testing.assert_array_equal(loaded(fewer), whole)
    with pytest.raises(NeuralError, match="no input `ids`"):
        loaded({"ids": ids, "attention_mask": ids})
    with pytest.raises(NeuralError, match="`input_ids`"):
        loaded({"attention_mask": ids})
