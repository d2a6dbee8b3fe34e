"""The terminal, Markdown, JSON, HTML and the explorer show the same numbers."""

import html
import io
import json
import re

import pytest
from rich.console import Console

from neural_attn import AttentionMaps, analyze
from neural_attn.explorer.measures import HeadMeasurer
from neural_attn.maps.attention_maps import AttentionMap
from neural_attn.metrics.guide import analyze_attention_patterns
from neural_attn.metrics.planted import planted_head, planted_tokens
from neural_attn.metrics.registry import REGISTRY, TABLE
from neural_attn.reports.elements import number
from neural_attn.reports.html import to_html
from neural_attn.reports.json import to_json
from neural_attn.reports.markdown import to_markdown
from neural_attn.reports.terminal import print_analysis


@pytest.fixture(scope="module")
def maps():
    tokens = planted_tokens(14, 2)
    weights = [planted_head(name, tokens, noise=0.2) for name in ("sink", "induction")]
    one = AttentionMap("a", [weights], query_tokens=tokens, key_tokens=tokens)
    return AttentionMaps([one], trained=True)


@pytest.fixture(scope="module")
def means(maps):
    """Head -> metric -> mean, from the JSON."""
    data = json.loads(to_json(analyze(maps, rank=True)))
    return {
        head["label"]: {n: s["mean"] for n, s in head["statistics"].items()}
        for head in data["heads"]
    }


def table(rows):
    """Head -> column -> cell, of the table whose first columns are head and type."""
    at = next(i for i, row in enumerate(rows) if row[:2] == ["head", "type"])
    found = {}
    for row in rows[at + 1 :]:
        if not re.fullmatch(r"L\d+H\d+", row[0]):
            if found:
                break
            continue
        found[row[0]] = dict(zip(rows[at], row, strict=True))
    return found


def of_markdown(text):
    lines = [line for line in text.replace("\\_", "_").splitlines() if "|" in line]
    return table([[c.strip() for c in line.strip("|").split("|")] for line in lines])


def of_html(text):
    rows = [
        [html.unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in cells]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
        for cells in [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        if cells
    ]
    return table(rows)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("write", "read"), [(to_markdown, of_markdown), (to_html, of_html)]
)
def test_reports_show_the_numbers_of_the_json(maps, means, write, read):
    found = read(write(analyze(maps, rank=True)))
    assert set(found) == set(means)
    for head, cells in found.items():
        columns = [name for name in TABLE if name in means[head]]
        assert [name for name in cells if name in REGISTRY] == columns
        for name in columns:
            assert cells[name] == number(means[head][name]), (head, name)


def test_the_terminal_shows_them(maps, means):
    out = io.StringIO()
    console = Console(file=out, width=400, force_terminal=False)
    print_analysis(analyze(maps, rank=True), console=console, heads=True)
    lines = out.getvalue().splitlines()
    for head, values in means.items():
        row = next(x for x in lines if x.strip().startswith(head) and "(" not in x)
        for name in TABLE:
            if name in values:
                assert number(values[name]) in row.split(), (head, name)


def test_the_explorer_has_them_unrounded(maps, means):
    found = HeadMeasurer().measure(maps.item("a"), slow=True)
    for head, values in zip(means.values(), found, strict=True):
        known = {name: value for name, value in values.items() if value is not None}
        assert known == pytest.approx(head, rel=1e-12, abs=1e-15)


def test_the_guide_has_them_under_its_own_keys(maps, means):
    found = analyze_attention_patterns(maps["a"])
    keys = {
        "attention_entropy": "entropy",
        "normalized_entropy": "normalized_entropy",
        "max_attention_per_head": "max_weight",
        "diagonal_attention_strength": "diagonal_strength",
    }
    for theirs, ours in keys.items():
        expected = [values[ours] for values in means.values()]
        assert found[theirs] == pytest.approx(expected, rel=1e-12)
    for index, values in enumerate(means.values()):
        for name, value in found["attention_distribution"][index].items():
            assert value == pytest.approx(values[f"weight_{name}"], rel=1e-12)
