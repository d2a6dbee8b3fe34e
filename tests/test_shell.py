"""The command at a shell: watching files, opening results, completion, no colours."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from neural_attn.cli import cli

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "alibi_attention.neural"
COLOR = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])\b[0-9;]*m")


def test_open_opens_what_was_drawn(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    arguments = ["visualize", str(EXAMPLE), "--open", "-f", "html", "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert opened
    assert all(Path(path).is_file() for path in opened)


def test_it_says_where_nothing_can_open_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # which has no xdg-open
    arguments = ["visualize", str(EXAMPLE), "--open", "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert re.search(r"note: .+\.svg was not opened", done.stderr)


@pytest.fixture
def watched(tmp_path):
    file = tmp_path / "model.neural"
    shutil.copy(EXAMPLE, file)
    command = [sys.executable, "-m", "neural_attn", "visualize", str(file)]
    process = subprocess.Popen(
        [*command, "--watch", "-o", str(tmp_path / "out")],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield file, process
    process.kill()
    process.communicate()


def until_watching(process):
    """What is said before the next wait."""
    said = []
    for line in process.stderr:
        if line.startswith("watching "):
            return "".join(said)
        said.append(line)
    raise AssertionError("it ended: " + "".join(said))


def test_watching_survives_a_mistake_and_ends_in_one_line(watched, tmp_path):
    file, process = watched
    assert "error" not in until_watching(process)
    picture = next((tmp_path / "out").glob("*.svg"))
    picture.unlink()
    good = file.read_text("utf-8")
    file.write_text(good.replace("network", "netwrok", 1), "utf-8")
    assert "error[" in until_watching(process)
    assert not picture.exists()
    file.unlink()  # as some editors do
    time.sleep(0.4)
    file.write_text(good, "utf-8")
    assert "error" not in until_watching(process)
    assert picture.exists()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said == "stopped: what was written is whole\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_what_completes(shell, monkeypatch):
    done = CliRunner().invoke(
        cli, [], prog_name="neural", env={"_NEURAL_COMPLETE": f"{shell}_source"}
    )
    if shell != "bash" or done.exit_code == 0:  # an old bash is told that it is
        assert "neural" in done.output
    words = {"COMP_WORDS": "neural visualize --wat", "COMP_CWORD": "2"}
    if shell == "fish":
        words["COMP_CWORD"] = "--wat"
    found = CliRunner().invoke(
        cli,
        [],
        prog_name="neural",
        env={"_NEURAL_COMPLETE": f"{shell}_complete", **words},
    )
    assert "--watch" in found.output


OFFERED = {
    "visualize a.neural -b ": "auto numpy np pytorch torch tensorflow tf keras",
    "visualize a.neural --backend t": "torch tensorflow tf",
    "train a.neural -b n": "",
    "train a.neural --tokenizer ": "bpe word char",
    "visualize a.neural --cmap mag": "magma magma_r",
    "visualize a.neural --scale s": "shared sqrt",
    "analyze a.neural --rows ": "shares parts gates signed",
    "diagnose a.neural --fail-on ma": "masking",
    "new gp": "gpt",
    "explain w081": "W0810 W0811 W0812",
    "layers multihead": "MultiHeadAttention",
}


@pytest.mark.parametrize("words", OFFERED)
def test_the_shell_completes_values(words):
    line = f"neural {words}".split(" ")
    where = {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
    found = CliRunner().invoke(
        cli, [], prog_name="neural", env={"_NEURAL_COMPLETE": "bash_complete", **where}
    )
    names = [line.removeprefix("plain,") for line in found.output.split()]
    assert names == OFFERED[words].split()


def in_a_terminal(arguments, **variables):
    """What a command writes where both its streams are a terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "neural_attn", *arguments],
        cwd=ROOT, env=environment, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so where nobody holds the other end any more
            break
        if not part:
            break
        written += part
    process.wait()
    os.close(leader)
    return written.decode("utf-8", "replace")


COMMANDS = {
    "check": ["check", str(EXAMPLE)],
    "explain": ["explain", "E0101"],
    "analyze": ["analyze", str(EXAMPLE), "-b", "numpy"],
    "visualize": ["visualize", str(EXAMPLE), "--attention", "-b", "numpy"],
}


@pytest.mark.thorough("visualize", "analyze")
@pytest.mark.parametrize("name", COMMANDS)
def test_no_colours_where_nobody_wants_them(name, tmp_path):
    arguments = list(COMMANDS[name])
    if name == "visualize":
        arguments += ["-o", str(tmp_path)]
    said = in_a_terminal(arguments, NO_COLOR="1")
    assert len(said) > 20
    assert not COLOR.search(said)
    piped = subprocess.run(
        [sys.executable, "-m", "neural_attn", *arguments],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert "\x1b" not in piped.stdout + piped.stderr
