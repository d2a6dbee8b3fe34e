"""docs/coming_from.md: what stands in each row runs, or the row says why there is none.

What runs in a row are commands on a file and Python calls, in the order of the row; the
blocks above the tables come first. Pictures that the left column names are there then.
"""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from neural_attn.cli import cli
from tests.test_readme import ROOT, blocks, copy_examples

PAGE = ROOT / "docs" / "coming_from.md"
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.M)
# how a row begins in which nothing runs
EXCUSES = ("not yet", "cannot be", "not needed", "the same call", "counted")
SLOW = ("--attention", "--no-probe", "neural diagnose", "neural train", "pytorch")


def rows():
    """Pairs of cells, each with the number of its line."""
    text = PAGE.read_text("utf-8")
    for match in ROW.finditer(text):
        there, here = match.groups()
        if there not in ("There", "---"):
            yield text.count("\n", 0, match.start()) + 1, there, here


def runnable(here):
    """The commands and calls among the code in a cell."""
    for code in re.findall(r"`([^`]+)`", here):
        if code.startswith("neural ") and ".neural " in f"{code} ":
            yield code
        elif not code.startswith(("neural", "-")):
            tree = ast.parse(code)
            if any(isinstance(node, ast.Call) for node in ast.walk(tree)):
                yield code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which the blocks of the page have run, and their names."""
    folder, names = tmp_path_factory.mktemp("coming"), {}
    copy_examples(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for language, code, where in blocks(PAGE):
            if language == "bash":
                done = subprocess.run(
                    ["bash", "-ec", code.replace("python ", f"{sys.executable} ")],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
            else:
                exec(compile(code, where, "exec"), names)
        teaching = ROOT / "docs" / "teaching.md"
        (noam,) = (c for kind, c, _ in blocks(teaching) if kind == "neural")
        Path("noam.neural").write_text(noam, "utf-8")
    return folder, names


def cases():
    for line, there, here in rows():
        codes = list(runnable(here))
        if codes:
            slow = any(word in code for code in codes for word in SLOW)
            marks = [pytest.mark.thorough] if slow else []
            if any("pytorch" in code for code in codes):
                marks.append(pytest.mark.requires_torch)
            yield pytest.param(there, codes, id=f"line-{line}", marks=marks)


@pytest.mark.parametrize(("there", "codes"), list(cases()))
def test_what_stands_in_a_row_runs(there, codes, place, monkeypatch):
    folder, names = place
    monkeypatch.chdir(folder)
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    for code in codes:
        if code.startswith("neural "):
            done = CliRunner().invoke(cli, shlex.split(code)[1:])
            assert done.exit_code == 0, (code, done.output, done.exception)
            assert bool(opened) == ("--show" in code)
        else:
            exec(compile(code, PAGE.name, "exec"), dict(names))
    for name in re.findall(r"`(\w+(?:\{N\})?\.png)`", there):
        assert any(folder.rglob(name.replace("{N}", "0"))), name


def test_a_row_in_which_nothing_runs_says_why():
    for line, _, here in rows():
        excused = here.startswith(EXCUSES) and len(here) > 25
        assert any(runnable(here)) or excused, f"line {line}: {here}"


def test_the_tables_have_their_rows():
    assert len(list(rows())) >= 50
    assert len(list(cases())) >= 40
