"""The explorer's data: what is written, what is read back, and what it never says."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tracemalloc
import zlib
from html import unescape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import neural_attn
from neural_attn.analysis.analyzer import Analyzer
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.arrange import arrange, restore
from neural_attn.explorer.comparison import compare_maps
from neural_attn.explorer.extract import PageError, read_page
from neural_attn.explorer.frame import MODULES, frame
from neural_attn.explorer.measures import HeadMeasurer
from neural_attn.explorer.page import Detail, explore, write_explorer
from neural_attn.explorer.pyramid import group_head, reduce_head, tile_size
from neural_attn.explorer.quantize import PRECISIONS, dequantize, quantize
from neural_attn.figures.reading import read_tokens
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.metrics.measure import STATISTICS

ROOT = Path(__file__).resolve().parent.parent
BOUND = 1 / 255
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'&`${x}",
    "\u202egnirts",
    "\ud800",
    "x" * 10_000,
    "-->",
    "<!--<script>",
]


def softmax(shape, seed=0, sharp=2.0):
    scores = np.random.default_rng(seed).standard_normal(shape) * sharp
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def maps_of(shape=(1, 2, 6, 6), tokens=None, **more):
    tokens = tokens or [f"t{n}" for n in range(shape[-1])]
    one = AttentionMap("m_0", softmax(shape), query_tokens=tokens, key_tokens=tokens)
    return AttentionMaps([one], **more)


def header_of(html):
    found = re.search(r'id="header">([^<]*)</script>', html)
    return json.loads(found[1])


# --- numbers ---


@pytest.mark.parametrize("name", ["fine", "compact"])
@pytest.mark.parametrize("sharp", [0.0, 1.0, 4.0, 12.0])
def test_no_weight_is_off_by_more_than_stated(name, sharp):
    weights = softmax((40, 300), seed=3, sharp=sharp)
    precision = PRECISIONS[name]
    scales, codes = quantize(weights, precision)
    error = np.abs(dequantize(scales, codes, precision) - weights)
    share = (error / weights.max(-1, keepdims=True)).max()
    assert share <= precision.bound * (1 + 1e-6)
    assert precision.bound <= BOUND


def like_attention(rows, columns):
    """Codes of a head with a sink, a strong diagonal and dull rows."""
    random = np.random.default_rng(rows)
    scores = random.standard_normal((rows, columns))
    scores += 3 * random.standard_normal(columns)
    scores += 4 * (np.subtract.outer(np.arange(rows), np.arange(columns)) == 1)
    powers = np.exp(scores)
    weights = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return quantize(weights, PRECISIONS["compact"])[1]


SHARES = np.array(PRECISIONS["compact"].shares)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (90, 60), (60, 90)])
def test_codes_come_back_from_their_order(shape):
    codes = like_attention(*shape)
    np.testing.assert_array_equal(restore(*arrange(codes, SHARES)), codes)


def test_codes_in_order_pack_smaller():
    codes = like_attention(200, 200)
    ranks, ordered = arrange(codes, SHARES)
    packed = [zlib.compress(b"".join(part)) for part in ((*ranks, ordered), (codes,))]
    assert len(packed[0]) < 0.8 * len(packed[1])


def test_what_gains_nothing_is_not_ordered():
    codes = np.random.default_rng(0).integers(0, 129, (80, 80), np.uint8)
    ranks, ordered = arrange(codes, SHARES)
    assert not any(rank.any() for rank in ranks)
    np.testing.assert_array_equal(ordered, codes.reshape(-1))


def test_the_maximum_of_a_row_is_exact():
    weights = softmax((50, 64), seed=1)
    scales, codes = quantize(weights, PRECISIONS["fine"])
    decoded = dequantize(scales, codes, PRECISIONS["fine"])
    at = weights.argmax(-1)[:, np.newaxis]
    np.testing.assert_array_equal(
        np.take_along_axis(decoded, at, 1), np.take_along_axis(weights, at, 1)
    )


@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-30, 1e30])
def test_rows_of_any_size_are_kept(scale):
    weights = np.array([[1.0, 0.25, 0.0]], np.float32) * np.float32(scale)
    scales, codes = quantize(weights, PRECISIONS["fine"])
    decoded = dequantize(scales, codes, PRECISIONS["fine"])
    assert np.isfinite(decoded).all()
    assert np.abs(decoded - weights).max() <= BOUND * max(scale, 0.0)


@pytest.mark.parametrize(
    ("name", "small", "off"), [("compact", 0.002, 0.35), ("fine", 0.0002, 0.15)]
)
def test_a_small_weight_beside_a_sink_keeps_its_size(name, small, off):
    weights = np.full((1, 500), small, np.float32)
    weights[0, 0] = 0.9
    scales, codes = quantize(weights, PRECISIONS[name])
    decoded = dequantize(scales, codes, PRECISIONS[name])
    assert decoded[0, 1] == pytest.approx(small, rel=off)


@pytest.mark.parametrize("tile", [2, 8, 16])
def test_tiles_hold_maximum_and_mean(tile):
    weights = softmax((70, 45), seed=5)
    reduced = reduce_head(weights, tile)
    for row in range(0, 70, tile):
        for column in range(0, 45, tile):
            part = weights[row : row + tile, column : column + tile]
            at = row // tile, column // tile
            assert reduced.greatest[at] == part.max()
            assert reduced.mean[at] == pytest.approx(part.mean(), rel=1e-5)
    ranked = -np.sort(-weights, axis=1)[:, :8]
    np.testing.assert_array_equal(reduced.weights, ranked)
    kept = np.take_along_axis(weights, reduced.keys.astype(int), 1)
    np.testing.assert_array_equal(kept, ranked)


def test_groups_take_the_mean_of_queries_and_the_sum_of_keys():
    weights = softmax((5, 7))
    grouped = group_head(weights, np.array([0, 2]), np.array([0, 3, 4]))
    assert grouped.shape == (2, 3)
    assert grouped[1, 0] == pytest.approx(weights[2:, :3].sum(1).mean(), rel=1e-5)
    np.testing.assert_allclose(grouped.sum(1), 1, rtol=1e-5)


def test_blocks_of_rows_join_without_a_seam():
    weights = softmax((1100, 30))
    reduced = reduce_head(weights, 4)
    assert reduced.greatest.shape == (275, 8)
    assert reduced.greatest[128, 0] == weights[512:516, :4].max()
    assert tile_size(4096, 4096, 512) == 8
    assert tile_size(512, 100, 512) == 1


@pytest.mark.parametrize("causal", [False, True])
def test_quick_measures_are_those_of_the_analysis(causal):
    tokens = "[CLS] the cat sat . the cat ran [SEP]".split()
    weights = softmax((1, 3, 9, 9), seed=2)
    allowed = np.tri(9, dtype=bool) if causal else np.ones((9, 9), bool)
    weights = weights * allowed
    weights /= weights.sum(-1, keepdims=True)
    one = AttentionMap(
        "m", weights, causal=causal, query_tokens=tokens, key_tokens=tokens
    )
    maps = AttentionMaps([one])
    analyzer = Analyzer(rank=True)
    analyzer.add(maps)
    measurer = HeadMeasurer()
    exact = measurer.measure(maps.item("m"), slow=True)
    assert set(exact[0]) == set(STATISTICS)
    for found, quick, all_of in zip(
        analyzer.heads(), measurer.measure(maps.item("m")), exact, strict=True
    ):
        known = {key: value for key, value in all_of.items() if value is not None}
        means = {key: one.mean for key, one in found.statistics.items()}
        assert known == pytest.approx(means, rel=1e-12, abs=1e-15)
        del all_of["effective_rank"]  # it is slow
        assert quick == all_of


def test_a_head_that_attends_to_nothing_has_no_measures():
    maps = AttentionMaps([AttentionMap("m", np.zeros((1, 1, 3, 3), np.float32))])
    (empty,) = HeadMeasurer().measure(maps.item("m"), slow=True)
    assert set(empty.values()) == {None}


def test_a_long_text_is_measured_in_little_memory():
    count = 1500
    maps = maps_of((1, 1, count, count), ["a", "b", "."] * (count // 3))
    item = maps.item("m_0")
    tracemalloc.start()
    HeadMeasurer().measure(item)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # No float64 of a whole head for the weights, and none for any of the 14 scores.
    assert peak < 5 * item.weights.nbytes


# --- tokens ---


def test_word_pieces_are_words():
    reading = read_tokens("[CLS] the ke ##rb . it fell [SEP]".split())
    assert reading.scheme == "wordpiece"
    assert reading.words == (0, 1, 2, 2, 3, 4, 5, 6)
    assert reading.sentences == (0, 1, 1, 1, 1, 2, 2, 3)
    assert reading.shown[2:4] == ("ke", "·rb")
    assert reading.special == (True, *[False] * 6, True)


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ("[CLS] mari ##a ' s brother ; [SEP]", "[CLS] maria's brother; [SEP]"),
        ("we didn ' t ( really ) !", "we didn't (really)!"),
        ('< script > he said : " no " .', '<script> he said: "no".'),
        ("a well - known ' fact ' isn ’ t", "a well-known 'fact' isn’t"),
        ("3 . 14 of 1 , 000 , 5 % at 12 : 30", "3.14 of 1,000, 5% at 12:30"),
        ("我 爱 bert 。 l ' homme", "我爱 bert。 l'homme"),
        ('Ġthe Ġcats \' Ġ"food "', 'the cats\' "food"'),
        ("▁do n ' t ▁< s c > </s>", "don't <sc> </s>"),
    ],
)
def test_the_text_is_spaced_as_it_was_written(tokens, read):
    reading = read_tokens(tokens.split())
    parts = (
        " " * space + (shown if start else shown.removeprefix("·"))
        for space, shown, start in zip(
            reading.spaces,
            reading.shown,
            np.diff(reading.words, prepend=-1),
            strict=True,
        )
    )
    assert "".join(parts) == read


def byte_level(text, cuts):
    """Bytes of `text` as GPT-2 writes them, cut at byte positions."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {
        **{b: chr(b) for b in printable},
        **{b: chr(256 + n) for n, b in enumerate(others)},
    }
    data = text.encode()
    edges = [0, *cuts, len(data)]
    return ["".join(names[b] for b in data[a:z]) for a, z in pairwise(edges)]


def test_a_character_over_three_byte_tokens_is_read():
    tokens = byte_level("I 中 see", [1, 3, 4, 5])
    reading = read_tokens(tokens)
    assert reading.scheme == "byte-level"
    assert reading.shown == ("I", "中 1/3", "中 2/3", "中 3/3", "see")


@pytest.mark.parametrize(
    "tokens",
    [["Ġto", "ken", "Ġof", ".", "<|endoftext|>"], ["▁to", "ken", "▁of", ".", "</s>"]],
)
def test_what_goes_on_with_a_word_has_a_dot(tokens):
    assert read_tokens(tokens).shown == ("to", "·ken", "of", ".", tokens[-1])


def test_sentencepiece_bytes_are_read():
    reading = read_tokens(["▁I", "▁am", "<0xE4>", "<0xB8>", "<0xAD>", "</s>"])
    assert reading.shown == ("I", "am", "中 1/3", "中 2/3", "中 3/3", "</s>")
    assert reading.special[-1]


@pytest.mark.parametrize("tokens", [["Ārī", "é"], ["naïve", "Ö"], ["a", "b"], []])
def test_words_of_people_are_not_taken_for_bytes(tokens):
    reading = read_tokens(tokens)
    assert reading.scheme == "plain"
    assert reading.shown == tuple(tokens)


def test_signs_are_shown_as_people_see_them():
    family = "\U0001f469\u200d\U0001f467"
    reading = read_tokens([family, "\u200d", "a\u202eb", "中", "ab", "\u2764\ufe0f"])
    assert reading.shown == (
        family, "\\u200d", "a\\u202eb", "中", "ab", "\u2764\ufe0f"
    )  # fmt: skip


def test_bytes_that_are_no_text_do_not_stop_the_page():
    reading = read_tokens(["Ġok", "ä", "¸", "Ġend"])
    assert len(reading.shown) == 4
    assert reading.shown[0] == "ok"


# --- the page ---


def test_the_page_without_maps_is_small():
    assert sum(map(len, frame("Title"))) <= 160_000


def test_the_pictures_of_the_docs_are_small():
    script = (ROOT / "docs" / "make_explorer.py").read_text("utf-8")
    views = re.findall(r'^    "(\w+)": \("', script, re.MULTILINE)
    images = ROOT / "docs" / "images"
    ends = [f"{size}-{s}.webp" for size in ("", "-phone") for s in ("light", "dark")]
    wanted = {f"explorer-{view}{end}" for view in views for end in ends}
    assert len(wanted) == 32
    assert {path.name for path in images.glob("explorer-*")} == wanted
    for name in wanted:
        assert (images / name).stat().st_size <= 60_000, name


def test_every_module_is_in_the_page():
    folder = ROOT / "neural_attn" / "explorer"
    own = {path.stem for path in folder.glob("*.js")}
    assert own - {"widget"} == set(MODULES)  # which is outside, in the notebook
    for path in folder.glob("*.js"):
        assert len(path.read_text("utf-8").splitlines()) <= 300, path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_modules_in_node():
    version = subprocess.run(["node", "--version"], capture_output=True, text=True)
    numbers = tuple(map(int, version.stdout.strip("v\n").split(".")[:2]))
    if numbers < (18, 19):
        pytest.skip(f"node {version.stdout.strip()} is older than Debian 12's")
    # Before 20.19 node takes every .js for CommonJS unless it is told.
    told = "" if numbers >= (20, 19) else "--experimental-default-type=module"
    files = sorted(map(str, (ROOT / "tests" / "explorer").glob("*.test.mjs")))
    done = subprocess.run(
        ["node", "--test", *files],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NODE_OPTIONS": told},
    )
    assert files
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_policy_lets_only_the_page_s_own_script_run():
    html = explore(maps_of()).html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    # Names of XML namespaces are no addresses.
    assert "://" not in re.sub(r"http://www\.w3\.org/[\w/]*", "", html)


def test_hostile_tokens_stay_data():
    maps = maps_of((1, 1, 8, 8), HOSTILE, source="</title><script>alert(3)</script>")
    html = explore(maps).html
    assert html.isascii()
    assert "alert(1)</script>" not in html
    assert "<img" not in html
    assert html.count("<script>") == 1
    assert html.partition("<body>")[0].count("</title>") == 1
    assert header_of(html)["texts"][0]["tokens"] == HOSTILE


def test_the_page_says_what_it_is_made_of():
    header = header_of(explore(maps_of(trained=False, backend="numpy")).html)
    (source,) = header["sources"]
    assert (source["trained"], source["backend"]) == (False, "numpy")
    assert header["precision"]["bound"] <= BOUND
    (found, _) = HeadMeasurer().measure(maps_of().item("m_0"), slow=True)
    known = {key for key, value in found.items() if value is not None}
    assert {m["key"] for m in header["measures"]} == known
    assert [m["key"] for m in header["measures"] if m["main"]] == ["normalized_entropy"]
    assert source["maps"][0]["sentences"][1].startswith("layer 0 head 1")


def padded_batch():
    mask = np.ones((2, 1, 1, 5), bool)
    mask[1, 0, 0, 3:] = False
    weights = softmax((2, 2, 5, 5)) * mask
    weights /= weights.sum(-1, keepdims=True)
    tokens = [list("abcde"), ["f", "g", "h", "[PAD]", "[PAD]"]]
    return AttentionMap("m", weights, "encoder_self", mask, False, tokens, tokens)


def causal_map():
    weights = softmax((1, 2, 5, 5)) * np.tri(5, dtype=np.float32)
    weights /= weights.sum(-1, keepdims=True)
    return AttentionMap("m", weights, "decoder_self", None, True, head_indices=[3, 9])


def cross_map():
    return AttentionMap("m", softmax((1, 2, 3, 7)), "cross", key_tokens=list("abcdefg"))


@pytest.mark.parametrize("precision", ["fine", "compact", "full"])
@pytest.mark.parametrize("make", [padded_batch, causal_map, cross_map])
def test_a_page_gives_its_numbers_back(tmp_path, make, precision):
    one = make()
    maps = AttentionMaps([one], trained=True, source="a.neural", backend="numpy")
    path = explore(maps, precision=precision).save(tmp_path / "page.html")
    back = read_page(path)
    other = back.get_map("m")
    bound = PRECISIONS[precision].bound * (1 + 1e-4)
    kept = one.allowed.any(axis=(1, 2))[:, np.newaxis, np.newaxis, :]
    if one.kind != "cross":
        kept = kept & one.allowed.any(axis=(1, 2))[:, np.newaxis, :, np.newaxis]
    error = np.abs(other.weights - one.weights) * kept
    assert (error <= bound * one.weights.max(-1, keepdims=True)).all()
    assert not other.weights[~np.broadcast_to(kept, other.weights.shape)].any()
    assert (other.allowed <= one.allowed).all()
    assert (other.query_tokens, other.key_tokens) == (one.query_tokens, one.key_tokens)
    assert (other.kind, other.causal) == (one.kind, one.causal)
    assert other.head_indices == one.head_indices
    assert (back.trained, back.source, back.backend) == (True, "a.neural", "numpy")


def test_a_page_of_a_page_is_the_same_page(tmp_path):
    maps = AttentionMaps([padded_batch()])
    first = explore(maps, precision="full").save(tmp_path / "first.html")
    second = explore(read_page(first), precision="full").save(tmp_path / "second.html")
    assert read_page(first) == read_page(second)


def test_both_of_two_models_come_back(tmp_path):
    first, second = maps_of(), maps_of()
    second = AttentionMaps([causal_map()])
    page = explore(first, other=second, labels=["one", "two"]).save(tmp_path / "p.html")
    assert list(read_page(page, 0)) == ["m_0"]
    assert list(read_page(page, 1)) == ["m"]
    with pytest.raises(PageError, match="has no maps number 2"):
        read_page(page, 2)


def test_models_are_compared_where_they_fit():
    first, second = (
        maps_of(),
        AttentionMaps([AttentionMap("m_0", softmax((1, 2, 6, 6), 9))]),
    )
    (same,) = compare_maps(first, first)
    assert same["examples"][0] == {"largest": [0, 0], "divergence": [0, 0]}
    (other,) = compare_maps(first, second)
    largest = np.abs(first["m_0"] - second["m_0"])[0].max(axis=(1, 2))
    assert other["examples"][0]["largest"] == pytest.approx(largest.tolist())
    assert all(0 < value < np.log(2) for value in other["examples"][0]["divergence"])
    (shorter,) = compare_maps(first, maps_of((1, 2, 4, 4)))
    assert shorter["reason"] == "they differ in length"


def test_long_texts_keep_the_strongest(tmp_path):
    weights = softmax((1, 1, 1700, 1700), sharp=0.1)
    weights[0, 0, 1234, 77] = 0.5
    maps = [AttentionMap("m", weights)]
    detail = Detail(longest=1000, rows=[3])
    path = write_explorer(maps, tmp_path / "long.html", detail=detail)
    header = header_of(path.read_text())
    (example,) = header["sources"][0]["maps"][0]["examples"]
    assert (example["form"], example["tile"], example["exact_rows"]) == (
        "reduced",
        4,
        [3],
    )
    with pytest.raises(PageError, match="less detail"):
        read_page(path)
    kept = write_explorer(
        maps, tmp_path / "kept.html", detail=Detail(longest=1000, heads=[("m", 0)])
    )
    assert np.abs(read_page(kept)["m"] - weights).max() <= BOUND * weights.max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "<p>hello</p>", "it has no header"),
        (lambda t: t.replace('"version":2', '"version":1'), "version 1 of the format"),
        (lambda t: t.replace('"rows":6', '"rows":5'), "does not hold"),
        (lambda t: t.replace('"queries":6', '"queries":999999999'), "refused"),
        (lambda t: re.sub(r'id="b1">[^<]*', 'id="b1">AAAA', t), "not a page"),
        (lambda t: t.replace('"blocks":[0,1]', '"blocks":[0,7]'), "not a page"),
    ],
)
def test_a_damaged_page_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "page.html"
    path.write_text(change(explore(maps_of()).html))
    with pytest.raises(PageError, match=message) as caught:
        read_page(path)
    assert "\n" not in str(caught.value)


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="no attention maps"):
        explore(AttentionMaps([]))
    with pytest.raises(ValueError, match="compact, fine, full"):
        explore(maps_of(), precision="exact")
    with pytest.raises(ValueError, match="1 labels for 2"):
        _ = explore(maps_of(), other=maps_of(), labels=["a"]).html


# --- which layers and heads are in it ---


def test_a_page_that_opens_with_tokens_hidden_keeps_what_is_left_of_them(tmp_path):
    weights = np.array([[[0.98, 0.013, 0.007]] * 3], np.float32)
    maps = AttentionMaps.from_arrays({"m": weights}, ["[CLS]", "a", "b"])
    for option in ("hide_special", "hide_sinks", "renormalize"):
        page = explore(maps, **{option: True}).save(tmp_path / "left.html")
        np.testing.assert_array_equal(read_page(page)["m"][0], weights)
    assert explore(maps).precision == "compact"
    assert explore(maps, hide_sinks=True, precision="compact").precision == "compact"
    many = AttentionMaps.from_arrays({"m": np.full((1, 1025, 1024), 1 / 1024)})
    assert explore(many, renormalize=True).precision == "fine"


def test_a_page_of_some_layers_and_heads_has_their_own_numbers():
    shares = {f"a{n}": np.full((1, 4, 3, 3), 1 / 3, np.float32) for n in range(5)}
    maps = AttentionMaps.from_arrays(shares)
    page = neural_attn.explore(maps, layers=[1, -1], heads=[0, 3], layer=4, head=3)
    header = header_of(page.html)
    kept = header["sources"][0]["maps"]
    assert [(one["name"], one["layer"]) for one in kept] == [("a1", 1), ("a4", 4)]
    assert [one["heads"] for one in kept] == [[0, 3]] * 2
    assert header["opens"] == [1, 1]
    with pytest.raises(NeuralError, match="E0442"):
        neural_attn.explore(maps, layers=5)


def test_a_model_runs_for_the_layers_and_heads_of_its_page():
    torch = pytest.importorskip("torch", reason="PyTorch is missing")
    layer = torch.nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    page = neural_attn.explore(model, torch.zeros(1, 4, 8), layers=1, heads=1)
    (one,) = page.maps.maps
    assert (page.maps.layer_numbers, one.head_indices) == ((1,), (1,))


# --- where it is shown ---


def test_a_notebook_gets_a_frame_of_its_own():
    shown = explore(maps_of())._repr_html_()
    assert shown.startswith("<iframe ")
    assert 'sandbox="allow-scripts allow-downloads"' in shown
    assert "allow-same-origin" not in shown
    page = unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    assert header_of(page)["format"] == "neural-attn explorer"


def test_a_page_too_large_for_a_notebook_says_so(monkeypatch):
    monkeypatch.setattr("neural_attn.explorer.page.MOST_INLINE_BYTES", 1000)
    assert ".save(" in explore(maps_of())._repr_html_()


def test_saved_maps_are_drawn_and_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maps_of().save("maps.npz")
    run = CliRunner().invoke
    options = ["--precision", "full", "--layer", "-1", "--head", "1"]
    drawn = run(cli, ["visualize", "maps.npz", "-o", "out", *options])
    assert drawn.exit_code == 0, drawn.output
    assert Path("out/attention_heatmap.png").is_file()
    page = Path("out/attention_explorer.html")
    assert header_of(page.read_text())["opens"] == [len(maps_of()) - 1, 1]
    back = run(cli, ["extract", str(page), "-o", "back.npz"])
    assert (back.exit_code, back.output) == (0, "back.npz\n")
    assert AttentionMaps.load("back.npz") == AttentionMaps.load("maps.npz")


def test_options_without_effect_on_saved_maps_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maps_of().save("maps.npz")
    done = CliRunner().invoke(cli, ["visualize", "maps.npz", "--text", "Hi"])
    assert done.exit_code == 2
    assert "no effect on saved maps" in done.output
