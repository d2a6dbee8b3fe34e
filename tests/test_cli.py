"""The command line: what it prints and writes, and what it says about bad input.

Every problem is one clear message on stderr, an exit code (1: the work failed, 2: the
call is wrong) and never a traceback.
"""

import json
import os
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path

import click.testing
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neural_attn.cli
from neural_attn import explore
from neural_attn.compile import check_file
from neural_attn.language_service import diagnose
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.weights import initial
from tests.every_backend import EVERY, TRAINING

NETWORK = """
network Small {
  input: (8, 16)
  layers:
    Embedding(input_dim=30, output_dim=16)
    TransformerEncoder(num_heads=2, ff_dim=16) * 2
    GlobalAveragePooling1D()
    Output(units=3)
}
"""
SEQUENCE = """
network Numbers {
  input: (8, 16)
  layers:
    TransformerEncoder(num_heads=2, ff_dim=16)
    Flatten()
    Output(units=3)
}
"""
FILES = {
    "small.neural": NETWORK,
    "numbers.neural": SEQUENCE,
    "syntax.neural": NETWORK.replace("Output(units=3)", "Output(units=3"),
    "unknown.neural": NETWORK.replace(
        "GlobalAveragePooling1D", "GlobalAvragePooling1D"
    ),
    "plain.neural": """
network Plain {
  input: (4,)
  layers: Dense(8) Output(2)
}
""",
    "two.neural": NETWORK + NETWORK.replace("Small", "Other"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with networks, and a weights file that fits `small.neural`."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text, encoding="utf-8")
    checked = check_file("small.neural")[0][0]
    save_file(initial(checked), "small.safetensors")
    return tmp_path


@pytest.fixture
def neural(monkeypatch, capsys):
    """neural(*arguments) -> (exit code, stdout, stderr), run in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["neural", *map(str, arguments)])
        code = 0
        try:
            neural_attn.cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def attention(*arguments):
    """A call of the main command that is quick: on the NumPy backend."""
    return ("visualize", "--attention", "--backend", "numpy", *arguments)


def assert_refused(result, code, *words):
    exit_code, out, err = result
    assert exit_code == code, err
    assert "Traceback" not in err + out
    lines = [line for line in err.splitlines() if line.strip()]
    assert 0 < len(lines) <= 8, "short"
    for word in words:
        assert word in err


def nothing_written(folder):
    return not (folder / "attention_outputs").exists()


# --- bad files -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "compile", "visualize"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("missing.neural", ["missing.neural", "no such file"]),
        ("syntax.neural", ["syntax.neural:9:1", "E01"]),
        (
            "unknown.neural",
            ["unknown.neural:7:5", "did you mean `GlobalAveragePooling1D`", "^^^^"],
        ),
    ],
)
def test_bad_file(neural, folder, command, file, words):
    assert_refused(neural(command, file), 1, *words)
    assert_refused(neural(*attention(file)), 1, *words)
    assert nothing_written(folder)


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_folder_is_no_file(neural, command):
    assert_refused(neural(command, "."), 1, "directory")


def test_not_text(neural, folder):
    Path("binary.neural").write_bytes(b"\xff\xfe\x00\x80 network")
    assert_refused(neural("check", "binary.neural"), 1, "UTF-8")


def test_a_network_without_attention_is_told_what_would_give_some(neural, folder):
    result = neural(*attention("plain.neural"))
    assert_refused(
        result, 1, "Plain has no attention", "TransformerEncoder", "MultiHeadAttention"
    )
    assert nothing_written(folder)


def test_two_networks_need_a_choice(neural):
    assert_refused(neural(*attention("two.neural")), 1, "Small, Other", "--network")
    wrong = neural(*attention("two.neural", "--network", "Othr"))
    assert_refused(wrong, 1, "no network `Othr`", "did you mean `Other`")
    code, out, _ = neural(*attention("two.neural", "--network", "Other", "--json"))
    assert code == 0
    assert json.loads(out)["layers"]


# --- bad data ------------------------------------------------------------------------


class Bomb:
    """Pickled, it makes a file when it is loaded."""

    def __reduce__(self):
        return (Path("exploded").touch, ())


def ids(**changes):
    array = np.ones((1, 8), np.int64)
    for index, value in changes.items():
        array[0, int(index[1:])] = value
    return array


ARRAYS = {
    "wrong width": (np.zeros((1, 8, 12), np.float32), ["(1, 8, 12)", "16"]),
    "too many axes": (np.zeros((1, 8, 16, 2), np.float32), ["(1, 8, 16, 2)"]),
    "strings": (np.array([["a", "b"]]), ["<U1", "numbers"]),
    "bytes": (np.array([[b"a", b"b"]]), ["|S1", "numbers"]),
    "complex": (np.ones((1, 8), complex), ["complex128", "numbers"]),
    "dates": (np.zeros((1, 8), "M8[s]"), ["datetime64", "numbers"]),
    "fractions as ids": (np.full((1, 8), 1.5), ["whole", "fractions"]),
    "id too large": (ids(_3=30), ["id 30", "0 to 29"]),
    "id below zero": (ids(_3=-1), ["id -1", "0 to 29"]),
    "nan": (np.full((1, 8), np.nan), ["NaN", "[0, 0]"]),
    "infinity": (np.full((1, 8, 16), np.inf, np.float32), ["NaN or infinity"]),
    "nothing": (np.zeros((0, 8), np.int64), ["empty", "(0, 8)"]),
    "no tokens": (np.zeros((1, 0), np.int64), ["empty", "(1, 0)"]),
    "a number": (np.int64(3), ["()"]),
    "huge whole numbers": (np.full((1, 8), 1e300), ["not a token id"]),
    "unsigned": (np.full((1, 8), 2**64 - 1, np.uint64), ["not a token id"]),
}


@pytest.mark.parametrize(("array", "words"), ARRAYS.values(), ids=ARRAYS)
def test_bad_array(neural, folder, array, words):
    np.save("data.npy", array)
    assert_refused(neural(*attention("small.neural", "--data", "data.npy")), 1, *words)
    assert nothing_written(folder)


def written(name, data):
    Path(name).write_bytes(data)
    return name


def objects():
    np.save("objects.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    return "objects.npy"


def truncated_npy():
    np.save("whole.npy", np.ones((1, 8), np.int64))
    return written("cut.npy", Path("whole.npy").read_bytes()[:-9])


def truncated_npz():
    np.savez("whole.npz", inputs=np.ones((1, 8), np.int64))
    return written("cut.npz", Path("whole.npz").read_bytes()[:-30])


def hostile_npy():
    """A header that promises 8 exabytes."""
    text = (
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1000000000000000000)}"
    )
    text = text.ljust(117) + b"\n"
    return written("huge.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text)


def two_arrays():
    np.savez("two.npz", inputs=np.ones((1, 8), np.int64), other=np.ones(3))
    return "two.npz"


DATA_FILES = {
    "missing": (lambda: "none.npy", ["none.npy", "no such file"]),
    "a folder": (lambda: ".", ["directory"]),
    "objects": (objects, ["Python objects", "safety"]),
    "a pickle": (lambda: written("p.npy", pickle.dumps(Bomb())), ["p.npy", "objects"]),
    "no array": (lambda: written("t.npy", b"The,cat"), ["t.npy is not a NumPy array"]),
    "no bytes": (lambda: written("e.npy", b""), ["e.npy is not a NumPy array"]),
    "cut off": (truncated_npy, ["cut.npy is not a NumPy array"]),
    "cut off archive": (truncated_npz, ["cut.npz is not a NumPy array"]),
    "huge header": (hostile_npy, ["huge.npy"]),
    "array too many": (two_arrays, ["no input `other`", "inputs"]),
}


@pytest.mark.parametrize(("make", "words"), DATA_FILES.values(), ids=DATA_FILES)
def test_bad_data_file(neural, folder, make, words):
    path = make()
    assert_refused(neural(*attention("small.neural", "--data", path)), 1, *words)
    assert not Path("exploded").exists()
    assert nothing_written(folder)


def test_numbers_where_the_network_takes_ids_only(neural):
    text = NETWORK.replace("(8, 16)", "(8,)")
    Path("ids.neural").write_text(text, encoding="utf-8")
    np.save("data.npy", np.zeros((1, 8, 16), np.float32))
    result = neural(*attention("ids.neural", "--data", "data.npy"))
    assert_refused(result, 1, "(1, 8, 16)", "token ids", "input: (time, width)")


# --- bad options ---------------------------------------------------------------------


def folder_without_permission():
    path = Path("locked")
    path.mkdir()
    path.chmod(0o500)
    return path


REFUSED = {
    "token count": (["--data", "ids.npy", "--tokens", "a,b,c"], ["3 tokens", "8"]),
    "tokens of no input": (["--tokens", "a=b,c"], ["no input `a`", "inputs"]),
    "tokens of whom": (["-t", "a", "-t", "b"], ["without the name", "NAME="]),
    "tokens twice": (["-t", "a=a", "-t", "a=b"], ["twice for `a`"]),
    "layer": (["--layer", "transformer_encoder_7"], ["transformer_encoder_1"]),
    "layer index": (["--layer", "2"], ["layers 0 to 1"]),
    "layer below": (["--layer", "-3"], ["layers 0 to 1"]),
    "head": (["--head", "2"], ["head", "2"]),
    "colours": (["--cmap", "virdis"], ["virdis", "viridis"]),
    "backend": (["-b", "pytorhc"], ["pytorhc", "did you mean `pytorch`"]),
    "no tokenizer": (["--text", "The cat"], ["no tokenizer", "--tokenizer"]),
    "text and data": (["--text", "x", "--data", "ids.npy"], ["both"]),
    "text and tokens": (["--text", "x", "--tokens", "x"], ["both"]),
    "text and file": (["--text", "x", "--file", "lines.txt"], ["both"]),
    "missing texts": (["--file", "none.txt"], ["none.txt", "no such file"]),
    "missing tokenizer": (
        ["--text", "x", "--tokenizer", "none.json"],
        ["no tokenizer at none.json"],
    ),
    "output is a file": (["-o", "ids.npy"], ["ids.npy"]),
    "output below a file": (["-o", "ids.npy/out"], ["ids.npy"]),
    "maps into a folder": (["--save-maps", "."], ["directory"]),
    "network": (["--network", "Smal"], ["did you mean `Small`"]),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_option(neural, folder, options, words):
    np.save("ids.npy", ids())
    assert_refused(neural(*attention("small.neural", *options)), 1, *words)


WRONG_CALLS = {
    "unknown command": (["visualise", "small.neural"], ["did you mean `visualize`"]),
    "unknown option": (["check", "small.neural", "--jsn"], ["--jsn", "--json"]),
    "no file": (["check"], ["FILE"]),
    "head is no number": (["visualize", "small.neural", "--head", "x"], ["--head"]),
    "examples": (["visualize", "small.neural", "--num-examples", "0"], ["examples"]),
    "format": (["visualize", "small.neural", "--format", "gif"], ["gif", "png"]),
    "dpi": (["visualize", "small.neural", "--dpi", "0"], ["--dpi"]),
    "attention is off": (
        ["visualize", "small.neural", "--data", "ids.npy"],
        ["--data", "--attention"],
    ),
}


@pytest.mark.parametrize(("call", "words"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_call(neural, call, words):
    assert_refused(neural(*call), 2, *words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_without_permission(neural, folder):
    path = folder_without_permission()
    assert_refused(neural(*attention("small.neural", "-o", path)), 1, "locked")


# --- backends that are not installed -------------------------------------------------


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize(
    ("name", "install"),
    [(name, EVERY[name].install) for name in TRAINING],
)
def test_a_backend_that_is_not_installed(folder, name, install):
    code = (
        "import sys\n"
        "class Without:\n"
        "    def __init__(self, finder):\n"
        "        self.finder = finder\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'tensorflow', 'keras'):\n"
        "            return None\n"
        "        return self.finder.find_spec(name, path, target)\n"
        "    def __getattr__(self, name):\n"
        "        return getattr(self.finder, name)\n"
        "sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]\n"
        "from neural_attn.cli import main\n"
        "main()\n"
    )
    call = ["visualize", "small.neural", "--attention", "--backend"]
    run = subprocess.run(
        [sys.executable, "-c", code, *call, name], capture_output=True, text=True
    )
    assert_refused(
        (run.returncode, run.stdout, run.stderr), 1, "not installed", install
    )
    assert nothing_written(folder)
    run = subprocess.run(
        [sys.executable, "-c", code, *call, "auto"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "backend numpy" in run.stdout


# --- bad weights ---------------------------------------------------------------------


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def fitting_header(**changes):
    """The header of a file that fits, with one entry changed; and its data."""
    data = Path("small.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["output_0.bias"].update(changes)
    return safetensors(header, data[8 + size :])


WEIGHTS = {
    "missing": (None, ["no such file"]),
    "empty": (lambda: b"", ["not a safetensors file"]),
    "text": (lambda: b"not weights at all", ["not a safetensors file"]),
    "header too long": (
        lambda: struct.pack("<Q", 2**63) + b"{}",
        ["not a safetensors"],
    ),
    "header cut": (lambda: struct.pack("<Q", 90) + b'{"a":', ["not a safetensors"]),
    "header is a list": (lambda: safetensors([1, 2]), []),
    "header is a number": (lambda: safetensors(b"17"), []),
    "deep header": (lambda: safetensors(b"[" * 100_000), ["not a safetensors"]),
    "entry is a number": (lambda: safetensors({"w": 1}), ["`w`", "broken"]),
    "no shape": (lambda: safetensors({"w": {"dtype": "F32"}}), ["`w`", "broken"]),
    "negative shape": (lambda: safetensors({"w": entry(shape=[-2])}), ["broken"]),
    "true as a size": (lambda: safetensors({"w": entry(shape=[True])}), ["broken"]),
    "no dtype": (lambda: safetensors({"w": {"shape": [2]}}), ["broken"]),
    "nothing in it": (lambda: safetensors({}), ["no tensor `embedding_0.weight`"]),
    "offsets outside": (
        lambda: fitting_header(data_offsets=[10**9, 10**9 + 12]),
        ["damaged"],
    ),
    "offsets reversed": (lambda: fitting_header(data_offsets=[12, 0]), ["damaged"]),
    "cut off": (lambda: Path("small.safetensors").read_bytes()[:-5], ["damaged"]),
    "whole numbers": (lambda: fitting_header(dtype="I32"), ["I32", "output_0.bias"]),
    "other shape": (
        lambda: fitting_header(shape=[4]),
        ["Small", "`output_0.bias` is [4]", "needs [3]"],
    ),
}


@pytest.mark.parametrize(("make", "words"), WEIGHTS.values(), ids=WEIGHTS)
def test_bad_weights(neural, folder, make, words):
    if make is not None:
        written("w.safetensors", make())
    result = neural(*attention("small.neural", "--checkpoint", "w.safetensors"))
    assert_refused(result, 1, "w.safetensors", *words)
    assert nothing_written(folder)


def changed_weights(change):
    tensors = load_file("small.safetensors")
    change(tensors)
    save_file(tensors, "w.safetensors")


MISFITS = {
    "first of two": (
        lambda t: t.update(
            {
                "embedding_0.weight": np.zeros((30, 8), np.float32),
                "output_0.bias": np.zeros(9, np.float32),
            }
        ),
        ["`embedding_0.weight` is [30, 8]", "needs [30, 16]"],
    ),
    "one is missing": (
        lambda t: t.pop("output_0.bias"),
        ["no tensor `output_0.bias` [3]"],
    ),
    "one too many": (
        lambda t: t.update(extra=np.zeros((2, 5), np.float32)),
        ["no place for", "`extra` [2, 5]"],
    ),
    "not a number": (
        lambda t: t["output_0.weight"].fill(np.nan),
        ["`output_0.weight`", "NaN"],
    ),
}


@pytest.mark.parametrize(("change", "words"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit(neural, folder, change, words):
    changed_weights(change)
    result = neural(*attention("small.neural", "--checkpoint", "w.safetensors"))
    assert_refused(result, 1, "w.safetensors", *words)
    assert nothing_written(folder)


@pytest.mark.requires_torch
def test_a_checkpoint_of_pytorch(neural, folder):
    import torch

    tensors = {
        n: torch.from_numpy(t) for n, t in load_file("small.safetensors").items()
    }
    for name, state in {"plain": tensors, "wrapped": {"state_dict": tensors}}.items():
        torch.save(state, f"{name}.pt")
        code, _, err = neural(*attention("small.neural", "--checkpoint", f"{name}.pt"))
        assert code == 0, err
    torch.save({**tensors, "bomb": Bomb()}, "bomb.pt")
    result = neural(*attention("small.neural", "--checkpoint", "bomb.pt"))
    assert_refused(result, 1, "bomb.pt")
    assert not Path("exploded").exists()
    for name, data in {
        "cut.pt": Path("plain.pt").read_bytes()[:900],
        "no.pth": b"",
    }.items():
        result = neural(*attention("small.neural", "--checkpoint", written(name, data)))
        assert_refused(result, 1, name)


# --- what is printed and written -----------------------------------------------------


def test_weights_beside_the_file_are_used_and_said(folder, neural):
    code, out, err = neural(*attention("small.neural"))
    assert code == 0
    said = "the weights are those beside the file: small.safetensors"
    assert said in err
    assert "untrained" not in out
    assert said in explore("small.neural", backend="numpy").maps.notes
    (folder / "small.safetensors").unlink()
    _, out, err = neural(*attention("small.neural"))
    assert "beside" not in err
    assert "untrained (random)" in out


def test_options_without_effect_are_refused(folder, neural):
    code, out, err = neural(*attention("small.neural", "--max-trg", "3"))
    assert_refused((code, out, err), 1, "max-trg", "maps without a target")
    code, out, err = neural("diagnose", "small.neural", "-o", "there")
    assert_refused((code, out, err), 2, "--output-dir is for the folder of a model")


def test_a_run_in_a_pipe_is_quiet_and_plain(folder):
    (folder / "small.safetensors").unlink()
    run = subprocess.run(
        [sys.executable, "-m", "neural_attn", *attention("small.neural")],
        capture_output=True, text=True, env={**os.environ, "FORCE_COLOR": ""},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr
    assert "\r" not in run.stdout + run.stderr
    assert run.stderr.splitlines() == [
        "note: no data given: made a random sample of shape (1, 8) (seed 0)"
    ]
    assert "untrained (random)" in run.stdout


def test_json_is_all_that_stdout_holds(neural):
    code, out, _ = neural(*attention("small.neural", "--json"))
    report = json.loads(out)
    assert code == 0
    assert set(report["files"]) == set(os.listdir("attention_outputs"))
    code, out, err = neural("check", "unknown.neural", "small.neural", "--json")
    problems = json.loads(out)
    assert code == 1
    assert err == ""
    (problem,) = problems
    assert problem["line"] == 7
    assert problem["code"] == "E0204"


def test_check_prints_twenty_problems_errors_first_and_all_when_asked(neural, folder):
    layers = "\n".join(['Dense(8) @ "gpu"'] * 15 + ["Dense(0)"] * 25)
    text = f"network N {{ input: (8,) layers:\n{layers}\n}}"
    (folder / "many.neural").write_text(text, "utf-8")
    code, out, err = neural("check", "many.neural")
    assert (code, out) == (1, "")
    assert (err.count("error[E0217]"), err.count("warning[W0101]")) == (20, 0)
    assert "… and 20 more (--all shows them)\n25 errors\n" in err
    assert neural("check", "many.neural", "--all")[2].count("W0101") == 15
    found = json.loads(neural("check", "many.neural", "--json")[1])
    assert found == [d.as_dict() for d in diagnose(text, "many.neural")]
    assert [d["line"] for d in found] == list(range(2, 42))


def test_tokens_of_several_inputs_are_given_by_name(neural, folder):
    encode = "Embedding(9, 4) TransformerEncoder(2, 6)"
    decode = "Embedding(9, 4) TransformerDecoder(2, 6)"
    (folder / "translate.neural").write_text(
        "network T { input: { source: (none,) target: (none,) } "
        f"layers: source: {{ {encode} }} target: {{ {decode} }} }}"
    )
    tokens = ["-t", "source= The, cat=x", "-t", "target=Le,chat,."]
    options = attention("translate.neural", *tokens, "--save-maps", "maps.npz")
    assert neural(*options)[0] == 0
    maps = AttentionMaps.load("maps.npz")
    cross = maps.item("transformer_decoder_0.cross_attention")
    assert cross.query_tokens == ("Le", "chat", ".")
    assert cross.key_tokens == ("The", "cat=x")


def test_the_kinds_of_file_and_the_report(neural):
    code, out, _ = neural(*attention("small.neural"))
    assert code == 0
    assert sorted(os.listdir("attention_outputs")) == [
        "attention_explorer.html",
        "attention_heads_transformer_encoder_0.png",
        "attention_heads_transformer_encoder_1.png",
        "attention_heatmap.png",
        "attention_interactive.html",
        "compiled_model_numpy.py",
    ]
    assert "Layers with attention: 2" in out


def test_several_examples_have_a_folder_each(neural):
    np.save("ids.npy", np.ones((5, 8), np.int64))
    call = ("--data", "ids.npy", "--num-examples", "2", "--save-maps", "maps.npz")
    code, _, err = neural(*attention("small.neural", *call))
    assert code == 0
    assert "drew 2 of 5 examples" in err
    assert sorted(os.listdir("attention_outputs")) == [
        "attention_explorer.html",
        "compiled_model_numpy.py",
        "example_1",
        "example_2",
    ]
    with np.load("maps.npz", allow_pickle=False) as maps:
        assert maps["transformer_encoder_1"].shape == (5, 2, 8, 8)
        assert maps["transformer_encoder_1"].dtype == np.float32


def test_the_same_call_gives_the_same_numbers(neural):
    first = neural(*attention("small.neural", "--json", "-o", "out"))
    assert neural(*attention("small.neural", "--json", "-o", "out")) == first
    other = neural(*attention("small.neural", "--json", "-o", "out", "--seed", "1"))
    assert other != first


def test_names_cannot_leave_the_output_folder(neural, folder):
    text = NETWORK.replace("TransformerEncoder(num", "a = TransformerEncoder(num")
    Path("évil..neural").write_text(text.replace("* 2", ""), encoding="utf-8")
    before = set(folder.rglob("*"))
    code, _, err = neural(*attention("évil..neural", "-o", "out"))
    assert code == 0, err
    added = set(folder.rglob("*")) - before
    assert all(path.is_relative_to(folder / "out") for path in added)


@pytest.mark.parametrize("name", ["../up", "a/b", "é", "a-b", "1st", "", "a b"])
def test_network_names_are_identifiers(neural, name):
    Path("named.neural").write_text(NETWORK.replace("Small", name), encoding="utf-8")
    assert_refused(neural("check", "named.neural"), 1, "named.neural:2:", "E01")


def test_a_failing_write_leaves_the_old_file(neural, folder, monkeypatch):
    neural(*attention("small.neural"))
    old = {p.name: p.read_bytes() for p in Path("attention_outputs").iterdir()}

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("neural_attn.files.os.replace", full)
    result = neural(*attention("small.neural", "--seed", "1"))
    assert_refused(result, 1, "No space left on device")
    found = {p.name: p.read_bytes() for p in Path("attention_outputs").iterdir()}
    assert found == old


def test_a_full_disk_names_the_file_and_what_was_written(neural, monkeypatch):
    from neural_attn import files

    usage = files.shutil.disk_usage(".")

    def small(folder):
        return usage._replace(free=100_000)

    def full(page, stream):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neural_attn.explorer.page.ExplorerPage._write", full)
    result = neural(*attention("small.neural", "--dpi", "20"))
    said = ("error[E0440]: cannot write attention_outputs/attention_explorer.html",
            "No space left on device; what was there is unchanged, and written before:",
            ".png")  # fmt: skip
    assert_refused(result, 1, *said)
    assert not list(Path("attention_outputs").glob(".*"))

    monkeypatch.setattr(files.shutil, "disk_usage", small)
    with pytest.raises(OSError, match="takes 200,000 bytes, 100,000 are free"):
        files.atomic_write("large.bin", bytes(200_000))
    assert not Path("large.bin").exists()


ALIASES = [alias for backend in EVERY.values() for alias in backend.aliases]


@pytest.mark.parametrize("backend", [*EVERY, *ALIASES])
def test_compile_needs_no_framework_and_writes_python(neural, backend):
    call = ("compile", "small.neural", "--backend", backend)
    code, out, _ = neural(*call)
    assert code == 0
    compile(out, "model.py", "exec")
    code, said, _ = neural(*call, "-o", "model.py")
    assert code == 0
    assert said.startswith("model.py: ")
    assert Path("model.py").read_text("utf-8") == out
    assert neural(*call, "-o", "-") == (0, out, "")


def test_every_command_has_help_with_examples():
    runner = click.testing.CliRunner()
    main = runner.invoke(neural_attn.cli.cli, ["--help"])
    assert main.exit_code == 0
    for name in neural_attn.cli.COMMANDS:
        found = runner.invoke(neural_attn.cli.cli, [name, "--help"])
        assert found.exit_code == 0
        assert "Examples:" in found.output
        about = found.output.partition("Examples:")[0]
        assert not re.search(r"\S {2,}|^ {3,}", about, re.M), "paragraphs are filled"
        assert re.search(rf"^  +{name} ", main.output, re.M)


def test_layers_are_listed_and_described(neural):
    code, out, _ = neural("layers")
    assert code == 0
    assert "TransformerEncoder" in out
    code, out, _ = neural("layers", "transformerencoder")
    assert code == 0
    assert "num_heads" in out
    assert_refused(neural("layers", "Densse"), 1, "did you mean `Dense`")


def test_interrupting_is_no_failure_of_the_program(neural, folder, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("neural_attn.models.generated.load_model", interrupted)
    assert_refused(neural(*attention("small.neural")), 130, "stopped: what was")
    assert nothing_written(folder)
