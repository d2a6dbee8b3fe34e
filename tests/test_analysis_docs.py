"""docs/analysis: made by the code it describes; its examples run."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from neural_attn.analysis import analyze
from neural_attn.analysis.type_table import PATTERNS
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.registry import REGISTRY, STATISTICS
from tests import warm_python

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "analysis"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(FOLDER.glob("*.md"))


def examples():
    for page in PAGES:
        for language, code in BLOCK.findall(page.read_text("utf-8")):
            if language == "python":
                yield pytest.param(page.name, code, id=page.stem)


@pytest.fixture(scope="module")
def make():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("make")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("make", "facts", "held_out"):
            sys.modules.pop(name, None)


def test_generated_pages_are_up_to_date(make):
    stale = [
        name
        for name, text in make.pages().items()
        if (FOLDER / name).read_text("utf-8") != text
    ]
    assert stale == [], "run python docs/analysis/make.py"


def test_every_metric_and_type_has_a_section(make):
    assert list(REGISTRY) == list(STATISTICS)
    metrics = (FOLDER / "metrics.md").read_text("utf-8")
    types = (FOLDER / "patterns.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)$", metrics, re.MULTILINE) == list(STATISTICS)
    assert set(re.findall(r"^## (\S+)$", types, re.MULTILINE)) == set(PATTERNS)


def test_held_out_heads_are_recognized(make):
    page = (FOLDER / "patterns.md").read_text("utf-8")
    rates = re.findall(r"^\| (\w+) \| (\d+)% \|", page, re.MULTILINE)
    assert [name for name, _ in rates] == list(make.HELD_OUT)
    assert all(int(rate) >= 95 for _, rate in rates)


def test_mixed_heads_name_what_they_mix(make):
    right = []
    for head in make.held_out_heads("mixed", 60):
        kind = "decoder_self" if head.causal else "encoder_self"
        tokens, weights = head.tokens, head.weights[None, None]
        one = AttentionMap("a", weights, kind, None, head.causal, tokens, tokens)
        pattern = analyze(AttentionMaps([one])).heads[0].pattern
        right.append({part.name for part in pattern.parts[:2]} == set(head.parts))
        shown = [part.name for part in pattern.parts[:2]]
        assert pattern.title == f"mixed: {' + '.join([*shown, 'rest'][:2])}"
    assert sum(right) >= 0.95 * len(right)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize(("page", "code"), list(examples()))
def test_an_example_runs(page, code):
    if "attention_flow" in code:
        pytest.importorskip("scipy", reason="attention flow needs SciPy")
    exec(compile(code, page, "exec"), {"__name__": "example"})


def test_the_commands_of_the_first_page_run(tmp_path):
    text = (FOLDER / "README.md").read_text("utf-8")
    (block,) = [code for language, code in BLOCK.findall(text) if language == "bash"]
    for line in block.splitlines():
        command, _, output = line.removeprefix("neural ").partition(" > ")
        command = command.replace("report.html", f"{tmp_path}/report.html")
        # The backend is another than the page's, to save the time to load it.
        command = command.replace(".neural", ".neural -b numpy")
        arguments = shlex.split(command)
        found = warm_python.run("-m", "neural_attn", *arguments, cwd=ROOT)
        assert found.returncode == 0, found.stderr
        if output:
            (tmp_path / output).write_text(found.stdout, encoding="utf-8")
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "analysis.json").stat().st_size > 1000
