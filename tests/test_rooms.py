"""The import graph: how deep it is, what goes in circles, and its picture."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
DEEPEST = 16


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(DOCS / "make_rooms.py"))


def test_no_cycle_has_more_than_two_files(made):
    assert [c for c in made["cycles"](made["imports"]()) if len(c) > 2] == []


def test_no_folders_import_each_other_in_a_circle(made):
    assert made["cycles"](made["rooms"]()) == []


def test_the_graph_is_not_deep(made):
    chain = made["longest_chain"](made["imports"]())
    assert len(chain) <= DEEPEST, " > ".join(chain)


def test_the_picture_is_up_to_date(made):
    assert made["PICTURE"].read_text("utf-8") == made["picture"](made["rooms"]()), (
        "run: python docs/make_rooms.py"
    )


def test_the_graph_sees_what_the_code_imports(made):
    graph = made["imports"]()
    assert "neural_attn.grammar.tree" in graph["neural_attn.ir"]
    assert "neural_attn.figures.pictures" in graph["neural_attn.pipeline"]  # lazily


def test_cycles_and_chains_of_a_known_graph(made):
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": {"e"}, "e": set()}
    assert made["cycles"](graph) == [{"b", "c"}]
    assert made["longest_chain"](graph) == ["a", "b", "d", "e"]
