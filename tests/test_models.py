"""Something that gives attention: a toy model goes every way that a real one does."""

import json
import sys

import numpy as np
import pytest

from neural_attn import AttentionMaps, AttentionVisualizer, explore, pipeline
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.explorer.extract import read_page
from neural_attn.inputs.prepared import Prepared
from neural_attn.maps.attention_maps import AttentionMap
from neural_attn.models.attention_model import AttentionModel, Captured, Vocabulary
from neural_attn.models.generated import load_model
from neural_attn.models.opening import open_model

NETWORK = """
network Tiny {
  input: (8)
  layers:
    Embedding(40, 16)
    TransformerEncoder(num_heads=2, ff_dim=16)
}
"""


class Previous(AttentionModel):
    """Every head attends to the token before, by what the tokens are."""

    trained = True
    identity = "previous"
    vocabulary = Vocabulary(100)

    @property
    def outline(self):
        return AttentionMaps([AttentionMap("before", np.ones((1, 2, 1, 1), "f"))])

    def prepare(self, data=None, tokens=None, seed=0):
        ids = np.arange(6)[None] if data is None else np.asarray(data)
        return Prepared(ids, tokens, ["toy"])

    def encode(self, texts):
        rows = [text.split() for text in texts]
        width = max(map(len, rows))
        rows = [row + ["[PAD]"] * (width - len(row)) for row in rows]
        return Prepared(np.zeros((len(rows), width)), rows)

    def run(self, prepared):
        batch, length = prepared.inputs.shape
        one = np.eye(length, k=-1, dtype=np.float32)
        one[0, 0] = 1
        weights = np.broadcast_to(one, (batch, 2, length, length))
        made = AttentionMap(
            "before", weights, query_tokens=prepared.tokens, key_tokens=prepared.tokens
        )
        return Captured(None, AttentionMaps([made], True, "toy"))


def test_a_toy_model_is_analysed_with_its_probe():
    request = pipeline.Request(Previous(), texts=["a b c d e f", "g h i j k l"])
    analysis, warnings = pipeline.run_analysis(request)
    assert not warnings
    assert [head.label for head in analysis.heads] == ["L0H0", "L0H1"]
    assert {head.pattern.name for head in analysis.heads} == {"previous_token"}
    assert any("induction is measured" in note for note in analysis.notes)


def test_a_toy_model_is_drawn(tmp_path):
    request = pipeline.Request(Previous(), texts=["the cat sat"], output_dir=tmp_path)
    outcome = pipeline.visualize(request)
    assert outcome.maps.get_map("before").key_tokens == (("the", "cat", "sat"),)
    assert (tmp_path / "attention_explorer.html").is_file()
    assert not list(tmp_path.glob("compiled_model*"))  # it has no code of its own


def test_a_toy_model_is_explored_and_seen_by_the_visualizer(tmp_path):
    page = explore(Previous(), "the cat sat").save(tmp_path / "page.html")
    found = read_page(page)
    assert found.get_map("before").key_tokens == (("the", "cat", "sat"),)
    weights = AttentionVisualizer(Previous()).extract_attention_weights(None)
    assert weights["before"].shape == (1, 2, 6, 6)


def test_a_package_adds_models_by_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "others.py").write_text(
        "class Other: pass\n"
        "def open_other(thing):\n"
        "    from test_models_toy import Previous\n"
        "    return Previous() if isinstance(thing, Other) else None\n"
    )
    info = tmp_path / "others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[neural_attn.models]\nother = others:open_other\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "test_models_toy", sys.modules[__name__])
    import others

    assert isinstance(open_model(others.Other()), Previous)
    assert "before" in explore(others.Other()).html


WEIGHTS = np.full((1, 2, 3, 3), 1 / 3, np.float32)


@pytest.mark.parametrize("thing", [{"layer_0": WEIGHTS}, [WEIGHTS]])
def test_arrays_at_hand_are_a_model(thing):
    model = open_model(thing, tokens=["a", "b", "c"])
    maps = model.run(model.prepare()).maps
    assert maps.get_map("layer_0").key_tokens == (("a", "b", "c"),)
    analysis, _ = pipeline.run_analysis(pipeline.Request(thing))
    assert len(analysis.heads) == 2


def test_plain_arrays_of_a_file_are_drawn_with_their_tokens(tmp_path):
    np.savez(tmp_path / "maps.npz", one=WEIGHTS)
    request = pipeline.Request(
        tmp_path / "maps.npz", tokens=["a", "b", "c"], output_dir=tmp_path / "out"
    )
    assert pipeline.visualize(request).maps.get_map("one").key_tokens == (
        ("a", "b", "c"),
    )


def test_saved_scores_are_not_drawn_as_attention(tmp_path):
    np.savez(tmp_path / "maps.npz", one=WEIGHTS * 30)
    request = pipeline.Request(tmp_path / "maps.npz", output_dir=tmp_path / "out")
    with pytest.raises(NeuralError) as caught:
        pipeline.visualize(request)
    assert [d.code for d in caught.value.diagnostics] == ["W0803", "E0421"]
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.neural"
    path.write_text(NETWORK)
    return path


def test_every_maker_gives_the_same_maps(tiny, tmp_path):
    ids = np.arange(8)[None]
    loaded = load_model(tiny, "numpy")
    makers = {
        "file": (tiny, ids),
        "loaded": (loaded, ids),
        "generated": (loaded.model, ids),
    }
    found = {
        name: pipeline.capture(
            pipeline.Request(thing, data=data, backend="numpy")
        ).captured.maps
        for name, (thing, data) in makers.items()
    }
    found["file"].save(tmp_path / "maps.npz")
    np.savez(tmp_path / "plain.npz", **found["file"])
    for name in ("maps.npz", "plain.npz"):
        saved = pipeline.Request(tmp_path / name)
        found[name] = pipeline.capture(saved).captured.maps
    for maps in found.values():
        assert list(maps) == list(found["file"])
        for name in maps:
            np.testing.assert_array_equal(maps[name], found["file"][name])


def test_the_outline_knows_names_and_heads_before_a_run(tiny):
    model = open_model(tiny, backend="numpy")
    assert {n: a.shape for n, a in model.outline.items()} == {
        "transformer_encoder_0": (1, 2, 1, 1)
    }
    assert model.vocabulary == Vocabulary(40, None)
    assert model.trained is False
    assert "loaded" not in vars(model)  # nothing was built for that


def test_maps_take_no_other_inputs():
    model = open_model({"one": WEIGHTS})
    for refuse in (lambda: model.prepare(WEIGHTS), lambda: model.encode(["a"])):
        with pytest.raises(NeuralError) as caught:
            refuse()
        assert caught.value.diagnostics[0].code == "E0414"


def test_a_thing_without_attention_is_refused():
    with pytest.raises(NeuralError) as caught:
        open_model(json)
    assert caught.value.diagnostics[0].code == "E0402"


@pytest.mark.parametrize("option", [{"checkpoint": "w.pt"}, {"backend": "pytorch"}])
def test_an_option_without_an_effect_is_refused(option, tiny, tmp_path):
    maps = pipeline.capture(pipeline.Request(tiny)).captured.maps
    maps.save(tmp_path / "maps.npz")
    loaded = load_model(tiny, backend="numpy")
    things = (loaded, loaded.model, maps, {"one": WEIGHTS}, tmp_path / "maps.npz")
    for thing in things:
        with pytest.raises(NeuralError, match="has no effect") as caught:
            open_model(thing, **option)
        assert caught.value.diagnostics[0].code == "E0414"
    with pytest.raises(NeuralError, match="`tokens` has no effect on maps"):
        pipeline.explore(maps, tokens=["a"])
