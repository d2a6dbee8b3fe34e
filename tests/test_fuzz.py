"""A share of the fuzzing: hostile texts, and random networks on every backend.

The whole runs are `tests.fuzz.fuzz_language` and `benchmarks.random_networks`.
"""

import subprocess
import sys

import pytest
from neural_attn.grammar import parse
from neural_attn.grammar.format import format_text

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.corpus import assert_backends_agree
from tests.fuzz import random_forwards
from tests.fuzz.random_networks import text_of


def run(root, script, *options):
    """The lines of a run, as its own text and docs/safety.md have it."""
    command = [sys.executable, "-m", f"tests.fuzz.{script}", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout.splitlines()


def test_damaged_files_are_counted(project_root):
    lines = run(project_root, "mutated_files", "--count", "3", "--only", "ids.npy")
    assert [line.partition(":")[0] for line in lines] == ["ids.npy"]


@pytest.mark.thorough("2")
@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_texts_give_diagnostics(seed, project_root):
    # in a process of its own: the limit on memory is not about the frameworks
    options = ("--count", "4000", "--seed", str(seed))
    lines = run(project_root, "fuzz_language", *options)
    assert lines[0].startswith("4,000 inputs")
    assert any(line.endswith("accepted") for line in lines)
    assert len(lines) > 30  # many kinds of problems


def test_settings_nested_as_deeply_as_the_parser_takes_are_formatted_or_refused():
    text = f"network A {{ input: (4,) {'a: { ' * 98}b: 3{' }' * 98} layers: Dense(3) }}"
    assert parse(text)
    with pytest.raises(NeuralError, match="E0105"):
        format_text(text)


# drawn networks may well apply softmax to a single number
@pytest.mark.thorough(every=3)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.parametrize("seed", range(15))
def test_random_networks_agree_on_every_backend(seed, available_backends, tmp_path):
    (checked,), _ = check_text(text_of(seed), f"random_{seed}.neural")
    assert_backends_agree(checked, available_backends, tmp_path)


# some of those that `check` accepts; each run costs a second
FORWARDS = (13, 14, 24, 28, 36, 38, 61, 71, 79, 102, 111, 132)


@pytest.mark.thorough(every=4)
@pytest.mark.parametrize("seed", FORWARDS)
def test_random_equations_that_check_accepts_run_and_agree(
    seed, available_backends, tmp_path
):
    (checked,), _ = check_text(random_forwards.text_of(seed))
    assert_backends_agree(checked, available_backends, tmp_path)


def test_hardly_any_random_equation_is_refused_without_a_reason():
    told = []
    for seed in range(60):
        try:
            check_text(random_forwards.text_of(seed))
        except NeuralError as error:
            told += [d.code for d in error.diagnostics if d.is_error]
    assert set(told) <= {"E0301", "E0236"}
    assert len(told) < 60  # a third at least is accepted
