"""One analysis in four formats: the same numbers, escaped, with a stable schema."""

import html
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from neural_attn.analysis import Analyzer, analyze
from neural_attn.analysis.example import look_closely
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relation_finder import RelationFinder
from neural_attn.analysis.result import SCHEMA, SCHEMA_VERSION
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.analysis.steps import StepRow, Steps
from neural_attn.analysis.type_table import PATTERNS
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.parses import Arc, Parse
from neural_attn.inputs.texts import read_texts
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.validation import Finding
from neural_attn.metrics.connections import Rule, find_connections
from neural_attn.metrics.planted import PLANTED, planted_head, planted_tokens
from neural_attn.reports import FORMATS
from neural_attn.reports.document import document
from neural_attn.reports.elements import (
    Table,
    columns_of_words,
    legend_lines,
    number,
    spark,
)
from neural_attn.reports.html import to_html
from neural_attn.reports.json import to_json
from neural_attn.reports.markdown import to_markdown
from neural_attn.reports.sections import layer_pictures
from neural_attn.reports.svg import squares_svg
from neural_attn.reports.terminal import print_analysis
from neural_attn.reports.type_map import FAMILIES, LETTERS, type_map
from neural_attn.reports.unbroken import UNBROKEN, wrapped

pytestmark = pytest.mark.usefixtures("undrawn")
A_STEP = StepRow(0, 0, "<s>", "x", 0.5, "cross", "a", 0, 2, 0.5, 0.7, 0.8, "y", 1)
HOSTILE = "</script><script>alert(1)</script>|*_`$x$`\x1b[31m"


def planted_maps(tokens=None, trained=None):
    tokens = tokens or planted_tokens(24)
    arrays = {
        f"encoder_{layer}": np.stack(
            [planted_head(name, tokens, noise=0.2, seed=layer) for name in PLANTED]
        ).astype(np.float32)
        for layer in range(2)
    }
    return AttentionMaps.from_arrays(arrays, tokens, trained=trained)


@pytest.fixture(scope="module")
def analysis():
    return analyze(planted_maps())


def sentences_of(page):
    """A page without what keeps numbers on one line."""
    return re.sub(r'<span class="n">([^<]*)</span>', r"\1", page)


def terminal(analysis, width=80, **options):
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    print_analysis(analysis, console, **options)
    return stream.getvalue()


class Cells(HTMLParser):
    """The table cells of a page, and everything it would load or run."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.active, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if tag == "script" and names.get("type") != "application/json":
            self.active.append(tag)
        if {"src", "onload", "onerror"} & set(names):
            self.active.append(tag)

    def handle_data(self, data):
        if self.inside:
            self.rows[-1].append(data)
            self.inside = False


def test_all_formats_show_the_same_numbers(analysis):
    data = json.loads(to_json(analysis))
    written = to_html(analysis)
    page, sentences = [tuple(r) for r in Cells(written).rows], sentences_of(written)
    plain = to_markdown(analysis).replace("\\", "")
    printed = terminal(analysis, heads=True)
    markdown = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in plain.splitlines()
        if line.startswith("|")
    ]
    text = [tuple(re.split(r"\s{2,}", line.strip())) for line in printed.splitlines()]
    table = next(
        part for part in document(analysis) if isinstance(part, Table) and part.anchor
    )
    assert len(table.rows) == len(data["heads"]) == 2 * len(PLANTED)
    for head, row in zip(data["heads"], table.rows, strict=True):
        assert row[0] == head["label"]
        assert row[2] == number(head["pattern"]["confidence"])
        for name, cell in zip(table.header[3:], row[3:], strict=True):
            assert cell == number(head["statistics"][name]["mean"])
        assert row in page
        assert row in markdown
        assert row in text
        for shown in (sentences, plain, printed):
            assert head["sentence"] in shown.replace("&lt;", "<")


def test_each_format_is_a_row_of_one_table(analysis):
    written = {one.name: one.write(analysis) for one in FORMATS}
    assert written == {
        "json": to_json(analysis),
        "markdown": to_markdown(analysis),
        "html": to_html(analysis),
    }


def test_every_sentence_carries_a_number(analysis):
    data = analysis.to_dict()
    assert 1 <= len(data["highlights"]) <= 5
    labels = {head["label"] for head in data["heads"]}
    for one in data["highlights"]:
        assert re.search(r"\d\.\d\d", one["sentence"]) or re.search(
            r"\d+ of \d+ heads", one["sentence"]
        )
        assert set(one["heads"]) <= labels
    for head in data["heads"]:
        assert re.search(r"\d\.\d", head["sentence"])


def test_the_page_leads_with_sentences_and_types_and_folds_the_rest(analysis):
    page = to_html(analysis)
    first = page[: page.index("<nav")]
    said = re.sub(r"</?a\b[^>]*>", "", sentences_of(first))
    assert all(html.escape(one.sentence) in said for one in analysis.highlights)
    letters = re.findall(r'aria-label="(L\dH\d+): ([\w ]+)">', first)
    assert [label for label, _ in letters] == [h.label for h in analysis.heads]
    for (label, words), head in zip(letters, analysis.heads, strict=True):
        mixed = head.pattern.name == "mixed"
        assert words == head.pattern.name or (mixed and "partly" in words), label
    folded = page[page.index("<nav") :]
    assert folded.count("<h2>") == folded.count("<details>") == 6
    assert " open>" not in folded


def test_the_legend_has_each_colour_and_letter_that_is_there_and_no_other(analysis):
    first = to_html(analysis).partition("<nav")[0]
    cells = re.findall(r'<a class="(\w+ \w+)"[^>]*: ([\w ]+)">(.)</a>', first)
    legend = first[first.index('<ul class="legend">') :]
    keys = re.findall(r'<i class="(\w+ \w+)">(.)</i> ([\w ]+) (\d+)<', legend)
    assert len(cells) == len(analysis.heads)
    assert {
        (look, letter, words): int(count) for look, letter, words, count in keys
    } == Counter((look, letter, words) for look, words, letter in cells)
    colours = {look.split()[1] for look, *_ in keys}
    assert legend.count("<li>") == len(colours) > 2
    lines = legend_lines(type_map(analysis.heads))
    assert all(f"\n    {line}\n" in terminal(analysis) for line in lines)
    (only,) = legend_lines(type_map(analysis.heads[:1]))
    assert only == "keys by their place: P previous_token 1"


def test_every_type_has_a_letter_and_a_colour():
    kinds = [kind for _, kinds in FAMILIES.values() for kind in kinds]
    assert sorted(kinds) == sorted(PATTERNS)
    assert {*LETTERS, "mixed", "undefined"} == set(PATTERNS)


def test_a_pattern_in_part_is_not_called_nothing():
    weights = np.random.default_rng(0).random((1, 14, 14)) ** 2
    weights[..., 0] = weights[..., 1:].sum(-1)  # half of it for the first token
    weights /= weights.sum(-1, keepdims=True)
    words = [f"w{index}" for index in range(14)]
    analysis = analyze(AttentionMaps.from_arrays({"layer": weights}, words))
    (only,) = analysis.highlights
    assert only.sentence.startswith("no head has one clear pattern; the most: layer 0")
    assert only.heads == ("L0H0",)


def test_no_evidence_is_one_sentence_and_not_a_table_of_it():
    random = np.random.default_rng(0)
    probe = Analyzer()
    tokens = [f"t{n % 25}" for n in range(50)]
    weights = random.dirichlet(np.ones(50), (12, 50))
    probe.add(AttentionMaps.from_arrays({"a": weights}, tokens))
    part = PartialAnalysis(probe=probe)
    part.take(planted_maps(), ())
    shown = terminal(finish(part), heads=True)
    assert "no head of 12 attends to what followed the same token before more" in shown
    assert "no evidence" not in shown


def test_layers_that_are_alike_are_not_ranked():
    tokens = planted_tokens(24)
    heads = np.stack([planted_head(n, tokens, noise=0.2) for n in PLANTED])
    equal = {f"l{n}": heads for n in range(3)}
    for layers in (equal, {"a": heads[:1], "b": heads[1:2]}):
        analysis = analyze(AttentionMaps.from_arrays(layers, tokens))
        assert not any("most focused" in one.sentence for one in analysis.highlights)
    random = np.random.default_rng(0)
    sharp, even = (random.dirichlet(np.full(24, a), (8, 24)) for a in (0.2, 2.0))
    analysis = analyze(AttentionMaps.from_arrays({"a": sharp, "b": even}, tokens))
    assert any(
        one.sentence.startswith("layer 0 is the most focused and layer 1 the least")
        for one in analysis.highlights
    )


def test_links_of_the_page_lead_to_its_heads(analysis):
    page = to_html(analysis)
    targets = set(re.findall(r'<(?:tr|div class="folded") id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links
    assert links <= targets


def key_paths(value, path=""):
    """Every place of a JSON value: lists as [], maps with free keys as *."""
    free = ("statistics", "evidence", "histograms", "decided_by", "connections",
            "differences", "scores[]")  # fmt: skip
    if isinstance(value, dict):
        for key, one in value.items():
            name = "*" if path.rpartition(".")[2] in free else key
            yield from key_paths(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for one in value:
            yield from key_paths(one, path + "[]")
    else:
        yield path


def test_the_schema_is_documented(project_root):
    pytest.importorskip("scipy", reason="attention flow needs SciPy")
    analyzer, finder = Analyzer(), LinkFinder()
    relations = RelationFinder("a parser")
    for group in ("a", "b"):
        for seed in range(3):
            maps = planted_maps(planted_tokens(20 + seed, seed))
            analyzer.add(maps, group)
            finder.add(maps, [(2, 5), (3, 1)])
            words = tuple(planted_tokens(20 + seed, seed)[1:])
            relations.add(maps, Parse(words, (Arc(1, 3, "det"),)))
    first = planted_maps()
    full = finish(
        PartialAnalysis(
            analyzer,
            finder,
            probe=analyzer,
            steps=Steps([A_STEP], texts=1),
            relations=relations,
            example=look_closely(first, find_connections(first), flow=True),
            findings=[Finding("W0809", "", "even", "were weights loaded?")],
            notes=["a note"],
        )
    )
    data = json.loads(to_json(full))
    assert (data["schema"], data["schema_version"]) == (SCHEMA, SCHEMA_VERSION)
    text = (project_root / "docs/analysis/json.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    found = {re.sub(r"(\[\])+$", "", path) for path in key_paths(data)}
    known = {re.sub(r"(\[\])+$", "", path) for path in documented}
    assert found == known, sorted(found ^ known)
    assert SCHEMA_VERSION in text


def test_what_tokens_hold_is_text_everywhere():
    tokens = [*planted_tokens(22), HOSTILE, "x\n# y"]
    analysis = analyze(planted_maps(tuple(tokens)))
    page = to_html(analysis)
    assert Cells(page).active == []
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page + to_markdown(analysis) + terminal(analysis)
    assert "<script>" not in to_markdown(analysis)
    data = re.search(r'id="analysis">(.*)</script>', page).group(1)
    assert HOSTILE in json.loads(data)["example"]["tokens"]


def test_lone_surrogates_are_written_in_every_format():
    tokens = [*planted_tokens(10), "x\ud800", "y"]
    rule = Rule("odd \udfff", "all of them", lambda pair: True)
    analysis = analyze(planted_maps(tuple(tokens)), rules=(rule,))
    for shown in (terminal(analysis), to_markdown(analysis), to_html(analysis)):
        assert shown.encode("utf-8")
    assert json.loads(to_json(analysis).encode())["example"]["tokens"] == tokens


def test_a_category_may_have_any_name():
    rule = Rule("[bold]x[/]|<b>", "all of them", lambda pair: True)
    analysis = analyze(planted_maps(), rules=(rule,))
    assert "[bold]x[/]|<b>" in terminal(analysis, heads=True)
    assert "<b>" not in to_html(analysis).partition("<script")[0]


SENTENCE = (
    "  26 of 72 heads are sinks; the clearest: layer 4 head 5 attends to the first "
    "token: 0.85, chance 0.07, p 9e-99, 151 rows of 10 texts (L4H5), from -0.5 to 1"
)


@pytest.mark.parametrize("width", [24, 60, 80, 100])
def test_lines_break_between_words_and_keep_numbers_whole(width):
    lines = wrapped(SENTENCE, width)
    assert " ".join(line.strip() for line in lines) == SENTENCE.strip()
    assert max(map(len, lines)) <= width
    assert all(line.startswith("    ") for line in lines[1:])
    joined = "\n".join(lines)
    for whole in (
        "26 of 72 heads",
        "layer 4 head 5",
        "p 9e-99",
        "151 rows",
        "10 texts",
    ):
        assert whole in joined
    assert wrapped(SENTENCE, 400) == [SENTENCE]
    assert wrapped("  " + 30 * "x", 10) == ["  " + 30 * "x"]


def test_only_numbers_and_what_belongs_to_them_are_kept_together():
    found = [one[0] for one in UNBROKEN.finditer(
        "p < 1e-300, z -3.1, 1,200 tokens, 0.21–1.00, 95 % of L4H5, a_0, B12, v1.2"
    )]  # fmt: skip
    assert found == [
        "p < 1e-300", "z -3.1", "1,200 tokens", "0.21–1.00", "95 %",
    ]  # fmt: skip


@pytest.mark.parametrize("color", [None, "standard"])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_terminal_breaks_the_report_between_words(analysis, width, color):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=color)
    print_analysis(analysis, console)
    shown = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert (shown != stream.getvalue()) is (color is not None)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.split() == terminal(analysis).split()


def test_a_narrow_terminal_cuts_no_number(analysis):
    assert terminal(analysis, 40, heads=True) == terminal(analysis, 200, heads=True)


def test_untrained_weights_are_said_first():
    analysis = analyze(planted_maps(trained=False))
    for shown in (terminal(analysis), to_markdown(analysis), to_html(analysis)):
        assert "untrained" in shown
        assert shown.index("untrained") < shown.index("What stands out")


def test_layers_may_differ_in_heads_and_one_may_be_bad():
    tokens = planted_tokens(12)
    good = planted_head("sink", tokens)[np.newaxis, np.newaxis]
    maps = AttentionMaps(
        [
            AttentionMap("a", good, "encoder_self", None, False, tokens, tokens),
            AttentionMap("b", good * 3, "encoder_self", None, False, tokens, tokens),
            AttentionMap(
                "c", good.repeat(3, axis=1), "encoder_self", None, False, tokens, tokens
            ),
        ]
    )
    analysis = analyze(maps)
    assert [head.label for head in analysis.heads] == ["L0H0", "L2H0", "L2H1", "L2H2"]
    assert [finding.code for finding in analysis.findings] == ["W0803"]
    assert "W0803" in terminal(analysis)
    to_json(analysis)


def test_parts_of_decoder_layers_have_labels_of_their_own():
    weights = np.tri(5)[np.newaxis, np.newaxis] / np.arange(1, 6)[:, np.newaxis]
    cross = np.full((1, 1, 5, 7), 1 / 7)
    maps = AttentionMaps(
        [
            AttentionMap("d.self_attention", weights, "decoder_self", None, True),
            AttentionMap("d.cross_attention", cross, "cross"),
        ]
    )
    labels = [head.label for head in analyze(maps).heads]
    assert labels == ["L0H0.self", "L0H0.cross"]


def test_one_token_is_analysed():
    analysis = analyze(AttentionMaps.from_arrays({"a": np.ones((2, 1, 1))}, ["x"]))
    assert "no choice" in analysis.heads[0].sentence
    for shown in (terminal(analysis), to_markdown(analysis), to_html(analysis)):
        assert "nothing special was found: no head of 2 has a choice" in shown
    to_json(analysis)


def test_a_long_text_has_its_agreement_but_no_matrices():
    analysis = analyze(planted_maps(planted_tokens(65)))
    assert analysis.example.raw == analysis.example.rollout == []
    assert len(analysis.example.agreement) == 2
    assert "correlation" in terminal(analysis, heads=True)
    everything = terminal(analysis, heads=True)
    assert "it has 65 tokens: layers are shown up to 64" in everything


def test_no_maps_at_all():
    analysis = analyze(AttentionMaps([]))
    assert "no attention to analyse" in terminal(analysis)
    assert json.loads(to_json(analysis))["heads"] == []


def test_many_batches_are_one_analysis():
    whole = analyze(planted_maps(planted_tokens(20, s)) for s in range(4))
    assert whole.texts == 4
    assert whole.heads[0].statistics["entropy"].texts == 4
    assert whole.head("L1H3").map == "encoder_1"
    with pytest.raises(KeyError, match="L9H9"):
        whole.head("L9H9")


def test_maps_of_the_first_text_share_one_scale_whose_bar_marks_an_even_row():
    example = analyze(planted_maps(planted_tokens(20))).example
    large, layers = layer_pictures(example)
    assert large.top == layers.top == max(map(np.max, (example.raw, example.rollout)))
    for drawn in map(squares_svg, (large, layers)):
        assert re.search(r">0\.05</text>", drawn)  # 1/20
        assert drawn.count(">even</text>") == 1
        assert f">{large.top:.2f}".rstrip("0") in drawn


def test_columns_of_words_begin_at_the_left():
    rows = (("L0H0", "sink", "–", "p < 1e-300"), ("L0H1", "rest", "-0.2", "p 0.10"))
    table = Table(("head", "type", "gain", "corrected"), rows, "a caption")
    assert columns_of_words(table) == [True, True, False, False]
    assert columns_of_words(Table(("head", "gain"), (), "no rows")) == [True, True]


def test_spark():
    assert spark([0, 1, 4, 8]) == " ▁▄█"
    assert spark([0, 0]) == "  "


def test_texts_of_json_lines(tmp_path):
    path = tmp_path / "data.jsonl"
    rows = [{"text": "a b", "label": 1}, {"label": 0, "text": "c"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", "utf-8")
    assert list(read_texts(path)) == ["a b", "c"]


@pytest.mark.parametrize("line", ["a text", "[]", '{"text": 1}', "{}", "[" * 100_000])
def test_a_json_line_without_a_text_is_named(tmp_path, line):
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a"}\n' + line, "utf-8")
    with pytest.raises(NeuralError, match="text 2 is not a text"):
        list(read_texts(path))
