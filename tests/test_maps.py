"""AttentionMaps: what it checks, finds, saves and refuses to load."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_attn.diagnostics.errors import NeuralError
from neural_attn.files import atomic_write, atomic_writer, safe_name, safe_names
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps, SelectionError
from neural_attn.maps.map_file import HEADER, MapFileError


def softmax(shape, seed=0):
    logits = np.exp(np.random.default_rng(seed).normal(size=shape))
    return (logits / logits.sum(-1, keepdims=True)).astype(np.float32)


def encoder_decoder():
    """Two encoder layers over 5 tokens, two decoder layers over 3."""
    padding = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)[:, None, None, :]
    maps = [
        AttentionMap(f"transformer_encoder_{i}", softmax((2, 4, 5, 5), i), mask=padding)
        for i in range(2)
    ]
    for i in range(2):
        own = np.tri(3, dtype=bool) & np.array([[1, 1, 1], [1, 1, 0]], bool)[:, None]
        maps += [
            AttentionMap(
                f"transformer_decoder_{i}.self_attention",
                softmax((2, 4, 3, 3)),
                "decoder_self",
                own[:, None],
                causal=True,
            ),
            AttentionMap(
                f"transformer_decoder_{i}.cross_attention",
                softmax((2, 4, 3, 5)),
                "cross",
                padding,
                query_tokens=["a", "b", "c"],
            ),
        ]
    return AttentionMaps(maps, trained=False, source="x.neural", backend="numpy")


# --- checks on construction -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones((2, 3, 3))}, r"\(2, 3, 3\)"),
        ({"weights": np.ones((1, 0, 3, 3))}, "at least one"),
        ({"weights": np.ones((1, 1, 2, 2), int)}, "int64, not floating"),
        ({"weights": np.full((1, 1, 2, 2), np.nan)}, "not all finite"),
        ({"weights": np.full((1, 1, 2, 2), 1e300)}, "not all finite"),
        ({"weights": np.full((1, 1, 2, 2), -0.5)}, "-0.5 < 0"),
        ({"kind": "self"}, "'self', not one of encoder_self"),
        ({"mask": np.ones((2, 2))}, "mask is float64, not bool"),
        ({"mask": np.ones((2, 2), int)}, r"\[batch, keys\] = \[1, 2\].*\(2, 2\)"),
        ({"mask": np.full((1, 2), -1)}, "1 or 0.* is -1 to -1"),
        ({"mask": np.ones((3, 2), bool)}, r"\(3, 2\).*\(1, 2, 2, 2\)"),
        ({"mask": np.ones((4, 1, 2, 2), bool)}, r"\(4, 1, 2, 2\)"),
        ({"query_tokens": ["a", "b", "c"]}, "3 query tokens.* 2 queries"),
        ({"key_tokens": [["a"]]}, "1 key tokens.* 2 keys"),
        ({"key_tokens": [["a", "b"], ["a", "b"]]}, "2 examples, but there are 1"),
        ({"head_indices": (0,)}, "1 different head numbers for 2 heads"),
        ({"name": ""}, "1 to 1000 characters"),
        ({"name": "a//b"}, "no empty or dots-only part"),
        ({"name": "/a"}, "no empty or dots-only part"),
        ({"name": "a/../b"}, "no empty or dots-only part"),
        ({"name": "..\\b"}, r"no \\"),
        ({"name": "neural_attn/mask/0"}, "does not begin with neural_attn/"),
        ({"name": "a\0"}, "printable"),
        ({"name": "\ud800"}, "printable"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(arguments, message):
    good = {"name": "layer", "weights": np.full((1, 2, 2, 2), 0.5)}
    with pytest.raises(ValueError, match=message):
        AttentionMap(**(good | arguments))


@pytest.mark.parametrize("tokens", ["ab", [1, 2], ["a", 2], [["a", None]]])
def test_tokens_that_are_no_texts_are_refused(tokens):
    with pytest.raises(TypeError, match="tokens are"):
        AttentionMap("layer", np.ones((1, 1, 2, 2)), query_tokens=tokens)


def test_a_map_is_float32_read_only_and_numbers_its_positions():
    one = AttentionMap("layer", np.full((2, 1, 2, 3), 1 / 3), "cross")
    assert one.weights.dtype == np.float32
    assert not one.weights.flags.writeable
    assert one.query_tokens == (("0", "1"),) * 2
    assert one.key_tokens == (("0", "1", "2"),) * 2
    assert one.head_indices == (0,)


def test_two_maps_of_one_name_are_refused():
    one = AttentionMap("layer", softmax((1, 1, 2, 2)))
    with pytest.raises(ValueError, match="same name: layer"):
        AttentionMaps([one, one])


def test_maps_are_a_mapping_in_layer_order():
    maps = encoder_decoder()
    assert list(maps)[::3] == [
        "transformer_encoder_0",
        "transformer_decoder_0.cross_attention",
    ]
    assert {name: w.shape for name, w in maps.items()}["transformer_encoder_1"] == (
        2,
        4,
        5,
        5,
    )
    assert "transformer_encoder_0" in maps
    assert maps.get("absent") is None
    assert len(maps) == 6


def test_from_arrays_puts_tokens_where_they_fit():
    arrays = {"a": softmax((2, 3, 3)), "b": softmax((1, 2, 4, 3)).astype(np.float64)}
    maps = AttentionMaps.from_arrays(arrays, ["x", "y", "z"], trained=True)
    assert maps["a"].shape == (1, 2, 3, 3)
    assert maps.get_map("b").kind == "cross"
    assert maps.get_map("b").key_tokens == (("x", "y", "z"),)
    assert maps.get_map("b").query_tokens == (("0", "1", "2", "3"),)


def test_an_array_alone_is_taken_and_what_has_no_names_is_told_where_it_goes():
    weights = softmax((1, 2, 5, 5))
    for maps in (AttentionMaps(weights), AttentionMaps(weights, axes="bhqk")):
        np.testing.assert_array_equal(maps["attention"], weights)
    with pytest.raises(TypeError, match=r"not a ndarray: AttentionMaps\(array\) takes"):
        AttentionMaps.from_arrays(weights)
    with pytest.raises(NeuralError, match="does not name the axes"):
        AttentionMaps(weights, axes=3)


def test_a_layer_of_one_map_has_a_number():
    maps = encoder_decoder()
    assert maps[1] is maps["transformer_encoder_1"]
    assert maps.get_map(np.int64(0)).name == "transformer_encoder_0"
    last = maps.layers[-1]
    with pytest.raises(SelectionError, match=f"layer -1 has {len(last)} maps: "):
        maps[-1]
    with pytest.raises(SelectionError, match=r"layer 9: .*\(layers 0 to 3"):
        maps[9]
    alone = AttentionMaps.from_arrays({"a": softmax((2, 3, 3))})
    with pytest.raises(SelectionError, match=r"there is a \(layer 0, or -1"):
        alone[1]


# --- choosing layers and heads ----------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (None, "E0 E1 D0s D0c D1s D1c"),
        (0, "E0"),
        ("1", "E1"),
        (-1, "D1s D1c"),
        ("-3", "E1"),
        ("2", "D0s D0c"),
        ("transformer_encoder_1", "E1"),
        ("transformer_decoder_0", "D0s D0c"),
        ("transformer_decoder", "D0s D0c D1s D1c"),
        ("transformer_enc", "E0 E1"),
        ("transformer_decoder_1.cross_attention", "D1c"),
    ],
)
def test_select_takes_a_name_a_prefix_or_an_index(layer, expected):
    short = {
        name: f"{name[12].upper()}{name[20]}{name[22:23]}" for name in encoder_decoder()
    }
    chosen = encoder_decoder().select(layer)
    assert " ".join(short[name] for name in chosen) == expected
    assert chosen.trained is False


def test_a_prefix_ends_at_a_border():
    maps = AttentionMaps.from_arrays(
        {f"encoder_{i}.attention": softmax((1, 2, 2)) for i in (1, 10)}
    )
    assert list(maps.select("encoder_1")) == ["encoder_1.attention"]


def test_layers_inside_one_block_are_counted_one_by_one():
    names = [f"bert_0.transformer_encoder_{i}" for i in range(3)]
    maps = AttentionMaps.from_arrays({name: softmax((1, 2, 2)) for name in names})
    assert list(maps.select(-1)) == [names[2]]


@pytest.mark.parametrize(
    ("layer", "head", "message"),
    [
        ("transformer_encoder_9", None, "did you mean 'transformer_encoder_"),
        ("", None, "no attention layer ''"),
        (4, None, "layers 0 to 3, or -1 for the last"),
        ("-5", None, "no attention layer -5: there are transformer_encoder_0, "),
        ("9" * 5000, None, "no attention layer"),
        (0, 4, "transformer_encoder_0 has no head 4: it has heads 0 to 3"),
        (0, -2, "no head -2"),
    ],
)
def test_a_choice_that_is_not_there_lists_what_is(layer, head, message):
    with pytest.raises(SelectionError, match=message) as caught:
        encoder_decoder().select(layer, head)
    assert isinstance(caught.value, LookupError)
    assert "\\n" not in str(caught.value)


def test_one_head_keeps_its_number_and_its_mask():
    mask = np.arange(4).reshape(4, 1, 1) > 1
    maps = AttentionMaps([AttentionMap("a", softmax((1, 4, 2, 2)), mask=mask)])
    one = maps.select(head=-1).get_map("a")
    assert one.head_indices == (3,)
    assert np.array_equal(one.weights, maps["a"][:, 3:])
    assert one.allowed.all()
    with pytest.raises(SelectionError, match="it has head 3"):
        maps.select(head=3).select(head=0)


def test_no_maps_at_all_is_said():
    with pytest.raises(SelectionError, match="no attention maps at all"):
        AttentionMaps([]).select(0)


# --- padding ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("transformer_encoder_0", (4, 3, 3)),
        ("transformer_decoder_0.self_attention", (4, 2, 2)),
        ("transformer_decoder_0.cross_attention", (4, 2, 3)),
    ],
)
def test_an_example_comes_without_its_padding(name, shape):
    item = encoder_decoder().item(name, 1)
    assert item.weights.shape == item.allowed.shape == shape
    assert (len(item.query_tokens), len(item.key_tokens)) == shape[1:]


def test_padding_on_the_left_is_left_out_too():
    visible = np.array([False, True, True])
    one = AttentionMap("a", softmax((1, 1, 3, 3)), mask=visible)
    item = AttentionMaps([one]).item("a")
    assert item.key_tokens == item.query_tokens == ("1", "2")
    assert np.array_equal(item.weights[0], one.weights[0, 0, 1:, 1:])


def test_where_everything_is_masked_everything_is_kept():
    one = AttentionMap("a", np.zeros((1, 1, 2, 2)), mask=np.zeros((1, 2), bool))
    assert AttentionMaps([one]).item("a").weights.shape == (1, 2, 2)


def test_causal_without_a_mask_hides_later_keys_aligned_at_the_end():
    one = AttentionMap("a", softmax((1, 1, 2, 3)), causal=True)
    assert one.allowed[0, 0].tolist() == [[True, True, False], [True, True, True]]


def test_an_example_that_is_not_there_is_refused():
    with pytest.raises(SelectionError, match="no example 2: it has 2"):
        encoder_decoder().item("transformer_encoder_0", 2)


# --- the file ---------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_a_saved_file_gives_everything_back(tmp_path, compress):
    maps = encoder_decoder().select(head=2)
    maps.save(tmp_path / "maps.npz", compress=compress)
    assert AttentionMaps.load(tmp_path / "maps.npz") == maps


names = st.text(min_size=1, max_size=20).filter(
    lambda s: s.isprintable() and not set(s) & set("/\\") and s not in (".", "..")
)


@given(
    st.lists(names, unique=True, max_size=4),
    st.lists(st.text(st.characters(), max_size=5), min_size=3, max_size=3),
)
def test_any_names_and_tokens_survive(tmp_path_factory, names, tokens):
    arrays = {name: softmax((1, 3, 3)) for name in names}
    maps = AttentionMaps.from_arrays(arrays, tokens)
    path = tmp_path_factory.mktemp("maps") / "maps.npz"
    maps.save(path)
    assert AttentionMaps.load(path) == maps


def test_lone_surrogates_in_tokens_survive(tmp_path):
    maps = AttentionMaps.from_arrays({"a": softmax((1, 1, 1))}, ["\ud800$"])
    maps.save(tmp_path / "a.npz")
    assert AttentionMaps.load(tmp_path / "a.npz").get_map("a").key_tokens == (
        ("\ud800$",),
    )


def test_plain_numpy_reads_each_map_under_its_name(tmp_path):
    arrays = {name: softmax((2, 3, 3)) for name in ("file", "args", "self", "a.npy")}
    AttentionMaps.from_arrays(arrays).save(tmp_path / "maps.npz")
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as stored:
        for name, array in arrays.items():
            assert np.array_equal(stored[name], array[np.newaxis])
            assert stored[name].dtype == np.float32
        assert json.loads(stored[HEADER].item())["maps"][0]["name"] == "file"


def test_the_same_maps_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        encoder_decoder().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def rewrite(path: Path, changes: dict[str, bytes | None]) -> None:
    """Replace, add (bytes) or drop (None) members of a zip file."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members |= changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)


def npy(array, **options) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def header(**changes) -> bytes:
    entry = {
        "name": "layer",
        "kind": "encoder_self",
        "causal": False,
        "mask": False,
        "head_indices": [0],
        "query_tokens": [["a", "b"]],
        "key_tokens": [["a", "b"]],
    }
    top = {"version": 1, "trained": None, "source": None, "backend": None}
    entry |= {k: v for k, v in changes.items() if k in (*entry, "layer")}
    top |= {k: v for k, v in changes.items() if k in top}
    return npy(np.array(json.dumps(top | {"maps": [entry]}).encode()))


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


WEIGHTS = np.full((1, 1, 2, 2), 0.5, np.float32)
HUGE = npy(WEIGHTS).replace(b"(1, 1, 2, 2), }", b"(1, 1, 2, 10000000000000), }")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer.npy": npy(np.array([Bomb()]), allow_pickle=True)}, "Fortran|object"),
        ({"layer.npy": pickle.dumps(Bomb())}, "does not begin as an array"),
        ({"layer.npy": npy(WEIGHTS.astype(np.float64))}, "float64, not float32"),
        ({"layer.npy": npy(WEIGHTS[0])}, r"shape \(1, 2, 2\)"),
        ({"layer.npy": npy(WEIGHTS)[:-4]}, "not as long as"),
        ({"layer.npy": HUGE}, "not as long as|array header|parse"),
        ({"layer.npy": None}, "no array 'layer'"),
        ({"layer.npy": npy(np.full_like(WEIGHTS, np.nan))}, "not all finite"),
        ({f"{HEADER}.npy": None}, "not written by AttentionMaps.save"),
        ({f"{HEADER}.npy": npy(np.array(b"{"))}, "not an attention map file"),
        ({f"{HEADER}.npy": npy(np.array(b"[" * 100_000))}, "not an attention map file"),
        ({f"{HEADER}.npy": npy(np.array(b"[]"))}, "not a description"),
        ({f"{HEADER}.npy": npy(np.arange(3))}, "not one text"),
        ({f"{HEADER}.npy": header(version=99)}, "version 99; this program reads 1"),
        ({f"{HEADER}.npy": header(name="../../evil")}, "dots-only part"),
        ({f"{HEADER}.npy": header(name="neural_attn/header")}, "does not begin"),
        ({f"{HEADER}.npy": header(layer="3")}, "'3' in a wrong place"),
        ({f"{HEADER}.npy": header(name=["x"])}, "a map's name is a text"),
        ({f"{HEADER}.npy": header(kind="sideways")}, "sideways"),
        ({f"{HEADER}.npy": header(causal="yes")}, "'yes' in a wrong place"),
        ({f"{HEADER}.npy": header(trained=3)}, "'3' in a wrong place"),
        ({f"{HEADER}.npy": header(mask=True)}, "no array 'neural_attn/mask/0'"),
        ({f"{HEADER}.npy": header(head_indices=None)}, "not an attention map file"),
        ({f"{HEADER}.npy": header(query_tokens=[["a"]])}, "1 query tokens"),
        ({f"{HEADER}.npy": header(query_tokens=[[1, 2]])}, "not all texts"),
        ({"../../evil.npy": npy(WEIGHTS)}, "'../../evil', which its header"),
        ({"run.sh": b"#!/bin/sh"}, "unexpected member 'run.sh'"),
    ],
)
def test_a_hostile_file_gives_one_clear_error(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "maps.npz"
    AttentionMaps.from_arrays({"layer": WEIGHTS}, ["a", "b"]).save(path)
    rewrite(path, changes)
    with pytest.raises(MapFileError, match=message) as caught:
        AttentionMaps.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["maps.npz"]


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("neural_attn.weighing.MOST_MEGABYTES", 100)
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("layer.npy", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(MapFileError, match=r"claims 314,\d+,\d+ bytes"):
        AttentionMaps.load(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", npy(WEIGHTS)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(MapFileError, match="not an attention map file"):
        AttentionMaps.load(tmp_path / "x.npz")


def test_a_cut_or_damaged_file_is_refused(tmp_path):
    path = tmp_path / "maps.npz"
    encoder_decoder().save(path, compress=True)
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(MapFileError):
            AttentionMaps.load(path)
    path.write_bytes(whole[:900] + bytes(20) + whole[920:])
    with pytest.raises(MapFileError):
        AttentionMaps.load(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        AttentionMaps.load(tmp_path / "absent.npz")


# --- writing files and naming them ------------------------------------------------


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = atomic_write(tmp_path / "new" / "a.txt", "öld")

    def interrupted():
        with atomic_writer(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "öld"
    assert list(path.parent.iterdir()) == [path]


def test_a_target_that_is_a_folder_is_an_os_error_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # which one depends on the system
        atomic_write(tmp_path / "folder", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_files_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        path = atomic_write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transformer_encoder_0", "transformer_encoder_0"),
        (
            "transformer_decoder_0.self_attention",
            "transformer_decoder_0.self_attention",
        ),
        ("../../x", "____x"),
        ("a\0b\nc", "a_b_c"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("", "_"),
        ("...", "_"),
        (".hidden", "hidden"),
        ("C:\\x y", "C__x_y"),
        ("주의", "주의"),
        ("\ud800", "_"),
    ],
)
def test_safe_names(text, expected):
    assert safe_name(text) == expected


@given(st.lists(st.text(st.characters(), max_size=300)))
def test_safe_names_are_components_of_their_own(texts):
    safe = safe_names(texts)
    assert set(safe) == set(texts)
    assert len({name.casefold() for name in safe.values()}) == len(safe)
    for name in safe.values():
        assert os.path.basename(name) == name
        assert name not in ("", ".", "..")
        assert len(os.fsencode(f"attention_heads_{name}.png")) <= 255
        assert not set(name) & set('\\:*?"<>|\0')


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b", "a_b", "a?b"], ["a_b_2", "a_b", "a_b_3"]),
        (["Layer", "layer"], ["Layer", "layer_2"]),
        (["x" * 300, "x" * 301], ["x" * 100, "x" * 100 + "_2"]),
    ],
)
def test_collisions_get_numbers(texts, expected):
    assert list(safe_names(texts).values()) == expected


def test_a_table_has_a_row_for_each_weight_and_none_of_padding():
    pytest.importorskip("pandas")
    weights = np.arange(2 * 2 * 2 * 3, dtype="float32").reshape(2, 2, 2, 3)
    weights /= weights.sum(-1, keepdims=True)
    one = AttentionMap(
        "cross", weights, "cross", query_tokens=["x", "y"], key_tokens=["a", "b", "c"]
    )
    table = AttentionMaps([one]).to_frame()
    assert len(table) == weights.size
    row = table[
        (table["example"] == 1)
        & (table["head"] == 1)
        & (table["query_token"] == "y")
        & (table["key_token"] == "c")
    ]
    assert row["weight"].item() == weights[1, 1, 1, 2]
    assert row["map"].item() == row["kind"].item() == "cross"
    sums = table.groupby(["example", "head", "query"])["weight"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-6)
    np.testing.assert_array_equal(
        table.pivot(index=["example", "head", "query"], columns="key", values="weight")
        .to_numpy()
        .reshape(weights.shape),
        weights,
    )
