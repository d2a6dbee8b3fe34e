"""The page on safety names tests that there are."""

import ast
import re

import pytest


@pytest.fixture(scope="module")
def promises(project_root):
    text = (project_root / "docs" / "safety.md").read_text("utf-8")
    rows = re.findall(r"^\| (?!Promise|---)(.+?) \|(.*)\|(.*)\|$", text, re.M)
    return {promise: re.findall(r"`(\w+\.py)::(\w+)`", tests)
            for promise, _, tests in rows}  # fmt: skip


def test_every_promise_has_a_test_that_there_is(promises, project_root):
    assert len(promises) > 20
    for promise, named in promises.items():
        assert named, promise
        for file, name in named:
            tree = ast.parse((project_root / "tests" / file).read_text("utf-8"))
            there = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            assert name in there, f"{promise}: {file} has no {name}"
