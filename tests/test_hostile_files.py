"""Files of strangers, of every format: our errors alone, and never many gigabytes.

Ten thousand mutations of each format are `tests/fuzz/mutated_files.py`.
"""

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn import explore
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.extract import PageError, read_page
from neural_attn.folder_lock import alone_in
from neural_attn.inputs.parses import treebank
from neural_attn.inputs.tokenizer import Tokenizer
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.pickled_files import load_pickled
from neural_attn.weighing import TooLargeError
from tests.fuzz.mutated_files import (
    attack,
    forget_memory,
    most_memory,
    mutated,
    outcome,
)
from tests.fuzz.real_files import FORMATS, checkpoint_pt

# damaged weights may be so large that their sums are no numbers: findings say so
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")

PICKLED = [name for name in FORMATS if ".pt" in name or ".bin" in name]


NEEDS = {
    **{name: [pytest.mark.requires_torch] for name in PICKLED},
    "reader.keras": [pytest.mark.requires_tensorflow, pytest.mark.thorough],
}
EVERY = [pytest.param(name, marks=NEEDS.get(name, ())) for name in FORMATS]


@pytest.mark.parametrize("name", EVERY)
def test_damaged_files_give_our_errors(name, tmp_path):
    found, _ = attack(FORMATS[name](tmp_path), random.Random(f"quick {name}"), 4)
    assert sum(found.values()) >= 4


@pytest.mark.thorough
@pytest.mark.parametrize("name", EVERY)
def test_more_damaged_files_give_our_errors(name, tmp_path):
    found, _ = attack(FORMATS[name](tmp_path), random.Random(f"thorough {name}"), 60)
    assert sum(n for code, n in found.items() if code.startswith(("E", "exit"))) > 10


def test_mutations_change_the_file():
    draw = random.Random(0)
    for data in (b"some bytes", b'{"a": [1, 2]}'):
        assert len({mutated(draw, data) for _ in range(50)}) > 20


def test_memory_that_was_given_back_is_measured():
    before = forget_memory()
    made = b"x" * (100 * 2**20)  # zeros alone would take no memory yet
    del made
    assert 80 < most_memory() - before < 200
    assert forget_memory() - before < 80


# --- tensors that are no arrays ------------------------------------------------------


def unusual():
    import torch

    return {
        "on the device meta": lambda one: torch.empty_like(one, device="meta"),
        "sparse_coo": lambda one: one.to_sparse(),
    }


@pytest.mark.requires_torch
@pytest.mark.parametrize("form", ["on the device meta", "sparse_coo"])
def test_tensors_without_plain_numbers_are_refused_by_name(form, tmp_path):
    import torch

    real = checkpoint_pt(tmp_path)
    state = torch.load(real.path, weights_only=True)
    name = next(iter(state))
    state[name] = unusual()[form](state[name])
    torch.save(state, real.path)
    with pytest.raises(NeuralError, match=rf"tensor `{name}` is {form}"):
        CliRunner().invoke(cli, real.calls[0], catch_exceptions=False)


@pytest.mark.requires_torch
def test_a_tensor_of_one_number_that_claims_a_billion_is_not_made(tmp_path):
    import torch

    real = checkpoint_pt(tmp_path)
    state = torch.load(real.path, weights_only=True)
    name = next(iter(state))
    state[name] = torch.ones(1, dtype=torch.float16).expand(10**11)
    torch.save(state, real.path)
    assert outcome(real.calls[0]) == "E0602"


# --- bombs ---------------------------------------------------------------------------


@pytest.fixture
def most_10_megabytes(monkeypatch):
    monkeypatch.setattr("neural_attn.weighing.MOST_MEGABYTES", 10)


@pytest.mark.requires_torch
def test_a_deflated_pickle_is_weighed(tmp_path, most_10_megabytes):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data/0", bytes(20 * 2**20))
    with pytest.raises(TooLargeError, match=r"at most 10 MB .* \(NEURAL_MAX_MB=20 "):
        load_pickled(path)


def test_a_page_is_weighed_by_what_its_maps_claim(tmp_path, most_10_megabytes):
    path = tmp_path / "page.html"
    maps = AttentionMaps([AttentionMap("a", np.full((1, 1, 2, 2), 0.5, np.float32))])
    explore(maps).save(path)
    text = path.read_text("ascii")
    path.write_text(text.replace('"queries":2', '"queries":2000000'), "ascii")
    with pytest.raises(PageError, match="claims 16,000,000 bytes of weights"):
        read_page(path)


def test_texts_that_become_objects_are_weighed(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"[" * (2**20 + 1))
    monkeypatch.setattr("neural_attn.inputs.tokenizer.TEXT_MEGABYTES", 1)
    with pytest.raises(NeuralError, match="at most 1 MB are read"):
        Tokenizer(path)
    monkeypatch.setenv("NEURAL_MAX_MB", "2")
    with pytest.raises(NeuralError, match="is not a tokenizer"):
        Tokenizer(path)


def test_a_treebank_is_weighed(tmp_path, monkeypatch):
    path = tmp_path / "texts.conllu"
    path.write_bytes(b"#\n" * (2**19 + 1))
    monkeypatch.setattr("neural_attn.inputs.parses.TEXT_MEGABYTES", 1)
    with pytest.raises(NeuralError, match="at most 1 MB are read"):
        treebank(path)


# --- what is printed -----------------------------------------------------------------

STEERING = "\x9b31m\u202e\x7f\U0001f642é"


def printed(tmp_path):
    tokens = [["a", STEERING]]
    one = AttentionMap("a", np.full((1, 2, 2, 2), 0.5, np.float32),
        query_tokens=tokens, key_tokens=tokens)  # fmt: skip
    AttentionMaps([one]).save(tmp_path / "maps.npz")
    call = ["analyze", str(tmp_path / "maps.npz"), "--json"]
    return CliRunner().invoke(cli, call).stdout


def test_json_is_ascii_on_a_terminal_and_text_in_a_file(tmp_path, monkeypatch):
    in_a_file = printed(tmp_path)
    assert STEERING in in_a_file
    monkeypatch.setattr("neural_attn.commands.printing.to_terminal", lambda: True)
    on_a_terminal = printed(tmp_path)
    assert on_a_terminal.isascii()
    assert "\x7f" not in on_a_terminal
    assert json.loads(on_a_terminal) == json.loads(in_a_file)


def test_every_command_prints_json_by_what_escapes_it(project_root):
    folder = project_root / "neural_attn" / "commands"
    texts = {path.name: path.read_text("utf-8") for path in folder.glob("*.py")}
    assert [name for name in texts if "json.dumps" in texts[name]] == ["printing.py"]


def test_text_on_a_terminal_steers_nothing(monkeypatch, capsys):
    from neural_attn.commands import printing

    monkeypatch.setattr(printing, "to_terminal", lambda: True)
    printing.write(f"\ta{STEERING}\nb")
    out = capsys.readouterr().out
    assert out == "\ta\\u{9b}31m\\u{202e}\\u{7f}\U0001f642é\nb\n"


def test_a_closed_pipe_ends_the_command_as_the_shell_expects():
    call = [sys.executable, "-c", "from neural_attn.cli import main; main()", "explain"]
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_behind_the_output_is_named(project_root):
    call = [sys.executable, "-c", "from neural_attn.cli import main; main()", "explain"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error[E0440]: the standard output cannot be written")


# --- folders -------------------------------------------------------------------------


def test_two_runs_do_not_share_a_folder(tmp_path):
    folder, same = tmp_path / "out", tmp_path / "x" / ".." / "out"
    refused = pytest.raises(NeuralError, match="another run is writing into")
    with alone_in(folder), alone_in(tmp_path / "other"), refused, alone_in(same):
        pass
    with alone_in(same):
        assert not folder.exists(), "a lock leaves nothing where files go"
