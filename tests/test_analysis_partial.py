"""Parts of an analysis: merged, they are the whole; strangers' files are refused."""

import json
import math
import re

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn.analysis import analyze
from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.shard import PartialAnalysis, finish, merge_files
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.planted import PLANTED, planted_head, planted_tokens
from neural_attn.pretrained import import_model


def planted_maps(seed):
    tokens = planted_tokens(16 + seed, seed)
    arrays = {
        name: np.stack(
            [planted_head(p, tokens, noise=0.2, seed=seed) for p in PLANTED]
        ).astype(np.float32)
        for name in ("a", "b")
    }
    return AttentionMaps.from_arrays(arrays, tokens)


def part_of(seeds):
    part = PartialAnalysis(source="net.neural", network="n", notes=["the same note"])
    for seed in seeds:
        maps = planted_maps(seed)
        part.take(maps, (), "odd" if seed % 2 else "even")
        part.links.add(maps, [(2, 5), (3, 1)])
    return part


def assert_same(one, other, path=""):
    """Plain data: numbers agree to 1e-12, of themselves or of 1, and all else fully."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert list(one) == list(other), path
        for key, value in one.items():
            assert_same(value, other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{path}[{index}]")
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12), path
    else:
        assert one == other, path


def run(*arguments):
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)])


def run_json(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_a_file_keeps_every_number(tmp_path):
    part = part_of(range(5))
    part.maps = None
    again = PartialAnalysis.load(part.save(tmp_path / "part.json"))
    assert finish(again).to_dict() == finish(part).to_dict()
    one, other = part.analyzer.divergences, again.analyzer.divergences
    assert (one.total == other.total).all()
    assert (one.count == other.count).all()


@pytest.mark.thorough("4")
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_merged_files_are_the_whole(tmp_path, cut):
    whole = part_of(range(5))
    paths = [
        part_of(seeds).save(tmp_path / f"{number}.json")
        for number, seeds in enumerate((range(cut), range(cut, 5)))
    ]
    merged = merge_files(paths)
    assert_same(finish(merged).to_dict(), finish(whole).to_dict())


def test_saved_maps_become_parts_that_the_command_merges(tmp_path):
    files = []
    for seed in range(3):
        planted_maps(seed).save(tmp_path / f"{seed}.npz")
        files.append(tmp_path / f"part{seed}.json")
        run_json(tmp_path / f"{seed}.npz", "--part", files[-1], "--rank")
    whole = analyze((planted_maps(seed) for seed in range(3)), rank=True).to_dict()
    whole = json.loads(json.dumps(whole))
    assert_same(run_json("--merge", *files), whole)
    # Parts of parts: the first two on one machine, and so on.
    run_json("--merge", *files[:2], "--part", tmp_path / "both.json")
    assert_same(run_json("--merge", tmp_path / "both.json", files[2]), whole)


@pytest.fixture(scope="module")
def minilm(minilm_dir, tmp_path_factory):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    folder = tmp_path_factory.mktemp("minilm")
    import_model(minilm_dir, folder / "minilm.neural")
    return folder


SENTENCES = [
    "Return the number of items.",
    "The cat sat on the mat.",
    "A generator yields values, one at a time.",
    "word " * 600,
]


@pytest.mark.thorough
def test_parts_of_texts_are_the_whole_by_command(minilm):
    network = [minilm / "minilm.neural", "--checkpoint", minilm / "minilm.safetensors",
               "--backend", "numpy", "--batch-size", 1]  # fmt: skip
    for name, texts in (("a", SENTENCES[:2]), ("b", SENTENCES[2:]), ("", SENTENCES)):
        (minilm / f"{name}.txt").write_text("\n".join(texts), "utf-8")
    files = [minilm / "a.json", minilm / "b.json"]
    for file in files:
        run_json(*network, "--file", file.with_suffix(".txt"), "--part", file)
    merged = run_json("--merge", *files)
    whole = run_json(*network, "--file", minilm / ".txt")
    cut, probe = merged.pop("notes"), "induction is measured on 4 sequences"
    assert any(note.startswith("b.json: after 1 texts:") for note in cut)
    assert len([note for note in cut if note.startswith(probe)]) == 1
    assert len(whole.pop("notes")) == 2
    assert merged["texts"] == 4
    assert_same(merged, whole)


def test_parts_of_another_network_do_not_merge(tmp_path):
    part_of([0]).save(tmp_path / "one.json")
    other = part_of([1])
    other.network = "m"
    other.save(tmp_path / "other.json")
    result = run("--merge", tmp_path / "one.json", tmp_path / "other.json")
    assert isinstance(result.exception, NeuralError)
    message = str(result.exception)
    assert re.search(r"other.json does not fit \S*one.json: .*different", message)


def test_layers_with_other_heads_do_not_merge(tmp_path):
    part = PartialAnalysis()
    part.take(AttentionMaps.from_arrays({"a": np.eye(5)[np.newaxis]}), ())
    paths = [part.save(tmp_path / "x.json"), part_of([1]).save(tmp_path / "y.json")]
    with pytest.raises(ValueError, match="a is not the same layer in both parts"):
        merge_files(paths)


def edited(path, *keys, value):
    data = json.loads(path.read_text())
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(data))


UNKNOWN = {"code": "W9", "map": "", "message": "", "hint": ""}
LINKS_OF = {"heads": [0], "found": [1], "squares": [1], "products": [1],
            "chance": [0.5], "links": 1, "link_squares": 1, "texts": 1}  # fmt: skip
TALLY = ("analyzer", "groups", "even", "a")
HOSTILE = [
    ("another schema", ("schema",), "x", "its schema is another"),
    ("a later version", ("schema_version",), 6, "version 6; this program reads 5"),
    ("other metrics", ("layout", "scores"), [], "other metrics"),
    ("a text for a number", (*TALLY, "texts"), "1", "not a whole number"),
    ("a negative count", (*TALLY, "texts"), -1, "not a whole number"),
    ("a huge count", ("analyzer", "texts"), 10**400, "not a whole number"),
    ("truth for a number", ("left_out",), True, "not a whole number"),
    ("a wrong shape", (*TALLY, "expected"), [[1.0]], "numbers belong"),
    ("ragged rows", (*TALLY, "variance"), [[1.0], [1.0, 2.0]], "inhomogeneous|form"),
    ("nan", (*TALLY, "values", "mean", 0, 0), math.nan, "no analysis can give"),
    ("a text in numbers", (*TALLY, "values", "mean", 0, 0), "1", "numbers belong"),
    ("a negative square", (*TALLY, "values", "squares", 0, 0), -1.0, "no analysis"),
    ("half a query", (*TALLY, "entropy_histogram", 0, 0), 0.5, "not a whole number"),
    ("another kind", ("analyzer", "places", "a", "kind"), "x", "no network has"),
    ("one head twice", ("analyzer", "places", "a", "head_indices", 0), 1, "no network"),
    ("a group of a map that is not there", ("analyzer", "places"), {}, "has no 'a'"),
    ("null", ("analyzer",), None, "the form of one"),
    ("markup for notes", ("notes",), [1], "in a wrong place"),
    ("an unknown code", ("findings",), [UNKNOWN], "input doctor"),
    ("more keys", ("findings",), [{"x": 1}], "the form of one"),
    ("links that are not there", ("links", "links"), 99, "another number"),
    ("links of another map", ("links", "maps"), {"z": LINKS_OF}, "contradict"),
    ("links of other heads", ("links", "maps", "a"), LINKS_OF, "contradict"),
    ("more found than given", ("links", "maps", "a", "found", 0), 9, "another number"),
    ("no text of links", ("links", "maps", "a", "texts"), 0, "another number of"),
    ("an unknown row", ("links", "row"), "x", "not one of"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value", "message"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE]
)
def test_what_is_no_part_is_refused(tmp_path, keys, value, message):
    path = part_of([0]).save(tmp_path / "part.json")
    edited(path, *keys, value=value)
    with pytest.raises(ValueError, match=message) as caught:
        PartialAnalysis.load(path)
    assert str(caught.value).startswith(f"{path} is not a part of an analysis: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "form of one|not JSON"),
        (b"\xff\xfe", "form of one|not JSON"),
        (b"[]", "form of one"),
        (b"{}", "has no 'schema'"),
        (b'{"schema": NaN}', "another one"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(tmp_path, content, message):
    path = tmp_path / "part.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        PartialAnalysis.load(path)
    result = run("--merge", path)
    assert isinstance(result.exception, NeuralError)
    assert result.exception.diagnostics[0].code == "E0419"


@pytest.mark.usefixtures("undrawn")
def test_markup_in_a_part_is_text_in_the_page(tmp_path):
    path = part_of([0]).save(tmp_path / "part.json")
    edited(path, "notes", value=["<script>alert(1)</script>"])
    page = tmp_path / "page.html"
    assert run("--merge", path, "--html", page).exit_code == 0
    assert "<script>alert" not in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.json", "b.json"], "only --merge takes several"),
        (["--merge", "a.json", "--text", "x"], "--text was decided"),
        (["--merge", "a.json", "--flow"], "--flow was decided"),
    ],
)
def test_usage(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_missing_part_is_named(tmp_path):
    result = run("--merge", tmp_path / "none.json")
    assert "cannot read" in str(result.exception)


def test_no_links_merge():
    assert LinkFinder().merge(LinkFinder()).scores() == []
