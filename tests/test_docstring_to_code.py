"""Pairs of docstrings and functions: what becomes one, and what a claim counts."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests import warm_python
from tests.example_scripts import scripts_of

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "docstring_to_code"


@pytest.fixture(scope="module")
def scripts():
    names = ("make_pairs", "claims")
    with scripts_of(FOLDER, *names) as load:
        yield [load(name) for name in names]


def test_a_function_with_a_docstring_is_a_pair(scripts):
    source = '''
class A:
    @property
    def size(self, least: int = 0) -> int:
        """Return the   size.

        More of it."""
        return max(least, self.n)  # of all

    def empty(self):
        """Only this."""

    def other(self):
        return 1
'''
    assert list(scripts[0].pairs(source)) == [
        (
            "Return the size.",
            "def size ( self , least = 0 ) : return max ( least , self . n )",
        )
    ]


def test_long_functions_are_left_out_and_no_module_is_on_two_sides(scripts, tmp_path):
    make = scripts[0]
    body = "; ".join(["x = 1"] * 20)
    assert list(make.pairs(f'def f():\n    """Do it."""\n    {body}\n')) == []
    for number in range(30):
        text = f'def f{number}():\n    """Give {number}."""\n    return {number}\n'
        (tmp_path / f"m{number}.py").write_text(text, "utf-8")
    copy = (tmp_path / "m1.py").read_text("utf-8")
    (tmp_path / "m99.py").write_text(copy, "utf-8")  # the same pair twice
    found = make.gather(tmp_path)
    everything = [pair for side in found.values() for pair in side]
    assert len(everything) == len(set(everything)) == 30
    assert all(found.values())


def test_a_claim_is_counted_beside_the_other_steps(scripts):
    claims = scripts[1]
    source = ["return", "the", "size", "</s>"]
    one = claims.Count()
    tokens = ["def", "size", "return", "size"]
    one.add(tokens, source, [0, 2, 0, 1], claims.same_word)
    # of two steps that write "size" one looks at it, of the other two none
    assert (one.steps, one.hits, one.others, one.other_hits) == (2, 1, 4, 0)
    assert str(one).startswith("50 % [")
    verb = claims.Count()
    verb.add(tokens, source, [0, 2, 0, 1], claims.verb)
    assert (verb.steps, verb.hits, verb.others, verb.other_hits) == (1, 1, 3, 1)


@pytest.mark.thorough
@pytest.mark.requires_torch
def test_the_commands_of_the_page_run_on_a_few_pairs(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "examples" / FOLDER.name)
    page = (FOLDER / "README.md").read_text("utf-8").replace("\\\n", " ")
    page = page.replace("--max-new-tokens 80", "--max-new-tokens 4")
    commands = re.findall(r"^ {4}((?:python|neural) .+)$", page, re.M)
    assert len(commands) >= 7
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "neural":
            arguments = ["-m", "neural_attn", *arguments]
        if "train" in arguments:
            arguments += ["--epochs", "1"]
        done = warm_python.run(*arguments, cwd=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
        for path in (tmp_path / "pairs").glob("*.tsv"):
            lines = path.read_text("utf-8").splitlines(keepends=True)
            few = lines[: 4 if path.stem == "test" else 40]
            path.write_text("".join(few), "utf-8")
    assert (tmp_path / "steps" / "steps.csv").is_file()
