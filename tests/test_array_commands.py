"""`neural analyze` and `neural visualize` on files of arrays, and what they refuse."""

import json
import pickle

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.tokens import parse_tokens, read_tokens
from neural_attn.maps.attention_maps import AttentionMaps

N = 6


def softmax(*shape):
    scores = np.exp(2 * np.random.default_rng(0).standard_normal(shape))
    return (scores / scores.sum(-1, keepdims=True)).astype(np.float32)


def analysis(*arguments):
    done = CliRunner().invoke(cli, ["analyze", *map(str, arguments), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def refused(*arguments):
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert isinstance(done.exception, NeuralError), done.output
    (problem,) = done.exception.diagnostics
    return problem


@pytest.fixture
def file(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "maps.safetensors"
    save_file({f"layer_{number}": softmax(2, N, N) for number in range(11)}, path)
    return path


def test_a_file_of_tensors_in_the_order_of_its_layers(file):
    found = analysis(file, "--axes", "hqk")
    assert [head["map"] for head in found["heads"][::2]] == [
        f"layer_{number}" for number in range(11)
    ]
    assert (
        "layer_0, layer_1 … layer_10 (11): taken as [heads, queries, keys]"
        in (found["notes"])
    )
    assert analysis(file, "--axes", "bqk")["texts"] == 2


@pytest.mark.requires_torch
def test_half_precision_tensors_are_read(tmp_path):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "maps.safetensors"
    save_file({"a": torch.tensor(softmax(1, 2, N, N)).bfloat16()}, path)
    found = analysis(path)["heads"][0]["statistics"]["weight_max"]["mean"]
    assert found == pytest.approx(softmax(1, 2, N, N)[0, 0].max(), rel=1e-2)


def test_arrays_are_drawn_as_they_are_analysed(file, tmp_path):
    np.save(tmp_path / "one.npy", softmax(N, N))
    np.savez(
        tmp_path / "maps.npz", **{"model/a": softmax(2, N, N), "b": softmax(1, 2, N, N)}
    )
    for name in ("one.npy", "maps.npz"):
        folder = tmp_path / name.partition(".")[0]
        arguments = ["visualize", tmp_path / name, "-o", folder, "--json"]
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == 0, done.exception
        assert (folder / "attention_explorer.html").is_file()
    assert (folder / "attention_heads_model_a.png").is_file()
    assert "note: model/a: taken as [heads, queries, keys]" in done.stderr


def test_causal_attention_is_said_and_undone(tmp_path):
    even = np.tri(N) / np.arange(1, N + 1)[:, None]
    np.savez(tmp_path / "maps.npz", a=even[None, None])
    found = analysis(tmp_path / "maps.npz")
    assert found["heads"][0]["pattern"]["name"] == "uniform"
    assert found["notes"][0].startswith("a: taken as causal")
    undone = analysis(tmp_path / "maps.npz", "--no-causal")
    assert undone["heads"][0]["pattern"]["name"] != "uniform"
    assert undone["notes"] == []


@pytest.mark.parametrize("command", ["analyze", "visualize"])
@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("maps.pt", b"PK\x03\x04", "a file that PyTorch wrote"),
        ("maps.pkl", pickle.dumps([1.0]), "a Python pickle, which could run any code"),
        ("maps", pickle.dumps([1.0]), "a Python pickle, which could run any code"),
        ("maps.h5", b"\x89HDF\r\n", "an HDF5 file"),
        ("maps.dat", b"\x93NUMPY\x01", "a NumPy array"),
        (
            "maps.csv",
            b"0.5,0.5\n",
            "a table, and weights are read from files of arrays",
        ),
        ("cat.png", b"\x89PNG", "a picture"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, command, name, content, what):
    path = tmp_path / name
    path.write_bytes(content)
    problem = refused(command, path)
    assert problem.code == "E0435"
    assert what in problem.message
    assert problem.hint


def test_the_weights_of_a_model_are_no_attention(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    save_file({"dense.weight": softmax(3, 3), "dense.bias": softmax(3)}, path)
    assert "weights of a model (`dense.bias`)" in refused("analyze", path).message
    path.write_bytes(b"nonsense")
    assert refused("analyze", path).code == "E0404"


def test_saved_maps_refuse_what_is_of_arrays(tmp_path):
    AttentionMaps.from_arrays({"a": softmax(2, N, N)}).save(tmp_path / "maps.npz")
    for options in (["--axes", "bqk"], ["--no-causal"]):
        assert refused("analyze", tmp_path / "maps.npz", *options).code == "E0414"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The,cat", ["The", "cat"]),
        ('Yes,",",he', ["Yes", ",", "he"]),
        ('Yes, "," ,he', ["Yes", ",", "he"]),
        ('"""",a', ['"', "a"]),
        ('say,",ok', ["say", '"', "ok"]),  # one quote alone stands for itself
        ("a,", ["a", ""]),
        ('a,""', ["a", ""]),
        ("", [""]),
    ],
)
def test_a_token_may_be_a_comma(text, tokens):
    assert parse_tokens([text]) == tokens


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("t.txt", "The\n,\ncat sat\n", ["The", ",", "cat sat"]),
        ("t.txt", "a\r\nb\r\n\r\n\r\nc\r\nd", [["a", "b"], ["c", "d"]]),
        ("t.json", '["a", "\\n"]', ["a", "\n"]),
        ("t.json", '{"source": ["a"], "target": ["b"]}', None),
    ],
)
def test_tokens_of_a_file(tmp_path, name, text, tokens):
    (tmp_path / name).write_bytes(text.encode())
    found = read_tokens(tmp_path / name)
    assert found == (json.loads(text) if tokens is None else tokens)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.txt", b"\n"), ("t.txt", b"\xff"), ("t.json", b"{"), ("t.json", b"[1]")],
)
def test_a_file_without_tokens(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NeuralError, match="E0436"):
        read_tokens(tmp_path / name)


def test_a_file_of_tokens_labels_arrays(file, tmp_path):
    (tmp_path / "t.txt").write_text("I\nsaw\n,\nthen\nleft\n.\n")
    found = analysis(file, "--axes", "hqk", "--tokens-file", tmp_path / "t.txt")
    assert found["example"]["tokens"] == ["I", "saw", ",", "then", "left", "."]
    both = ["--tokens-file", tmp_path / "t.txt", "--tokens", "a,b"]
    assert refused("analyze", file, *both).code == "E0414"


def test_an_option_is_named_as_people_write_it(file):
    done = CliRunner().invoke(cli, ["visualize", str(file), "--text", "a b c"])
    assert "--text has no effect on saved maps" in done.output
