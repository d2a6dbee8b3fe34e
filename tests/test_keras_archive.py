"""A recurrent encoder and decoder from Keras' own archive; hostile archives."""

import io
import json
import zipfile

import numpy as np
import pytest

from neural_attn.diagnostics.errors import NeuralError
from neural_attn.pipeline import Request, capture
from neural_attn.pretrained import import_model

pytestmark = pytest.mark.requires_tensorflow
SOURCE = np.array([[1, 4, 2, 0, 0], [3, 3, 1, 2, 5]])
TARGET = np.array([[1, 6, 2, 3], [1, 5, 5, 2]])


def keras_model(use_scale=True, merge_mode="concat", **gru):
    """A small model of the kind, and one that gives its weights of attention."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    source, target = keras.Input((None,)), keras.Input((None,))
    memory = layers.Embedding(7, 4)(source)
    reader = layers.GRU(3, return_sequences=True, dropout=0.2, **gru)
    memory = layers.Bidirectional(reader, merge_mode=merge_mode)(memory)
    memory = layers.TimeDistributed(layers.Dense(5))(memory)
    query = layers.Dropout(0.1)(layers.Embedding(8, 4)(target))
    query, _ = layers.GRU(5, return_sequences=True, return_state=True)(query)
    attention = layers.AdditiveAttention(use_scale=use_scale)
    context = attention([query, memory])
    y = layers.Concatenate()([query, context])
    y = layers.Dense(8, activation="softmax")(layers.Dense(6, activation="relu")(y))
    model = keras.Model([source, target], y)
    for weights in model.weights:  # biases too
        if "seed" not in weights.path:
            weights.assign(np.random.default_rng(len(weights.path)).normal(
                size=weights.shape))  # fmt: skip
    parts = keras.Model([source, target], [query, memory])

    def scores(inputs):
        return attention(parts(inputs), return_attention_scores=True)[1]

    return model, scores


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "reader.keras"
    keras_model()[0].save(path)
    return path


@pytest.mark.thorough("options1", "options2")
@pytest.mark.parametrize(
    "options", [{}, {"use_scale": False, "merge_mode": "sum"}, {"unroll": False}]
)
def test_outputs_and_maps_are_those_of_keras(options, tmp_path):
    model, scores = keras_model(**options)
    model.save(tmp_path / "reader.keras")
    imported = import_model(tmp_path / "reader.keras", tmp_path / "reader.neural")
    data = {"source": SOURCE, "target": TARGET}
    captured = capture(Request(
        imported.neural_path, backend="numpy", checkpoint=imported.weights_path,
        data=data,
    )).captured  # fmt: skip
    theirs = [np.asarray(one([SOURCE, TARGET])) for one in (model, scores)]
    np.testing.assert_allclose(captured.output, theirs[0], atol=1e-5)
    (one,) = captured.maps.maps
    assert one.kind == "cross"
    np.testing.assert_allclose(one.weights[:, 0], theirs[1], atol=1e-5)
    assert imported.parameters == model.count_params()


def edited(saved, folder, edit=None, weights=None):
    """A copy of the archive with another config.json, or other weights."""
    path = folder / "edited.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        config = json.loads(old.read("config.json"))
        raw = json.dumps(config if edit is None else edit(config) or config)
        new.writestr("config.json", raw)
        new.writestr("model.weights.h5", weights or old.read("model.weights.h5"))
    return path


def layer(config, kind):
    return next(one for one in config["config"]["layers"] if one["class_name"] == kind)


def setting(kind, **values):
    def edit(config):
        layer(config, kind)["config"].update(values)

    return edit


def training(config):
    layer(config, "GRU")["inbound_nodes"][0]["kwargs"]["training"] = True


def twice(config):
    one = layer(config, "Embedding")
    one["inbound_nodes"] *= 2


def backwards(config):
    inner = layer(config, "Bidirectional")["config"]["backward_layer"]["config"]
    inner["units"] = 4


@pytest.mark.parametrize(
    ("edit", "code", "message"),
    [
        (lambda c: c | {"class_name": "Sequential"}, "E0626", "a Sequential model"),
        (setting("Embedding", mask_zero=True), "E0626", "mask_zero true"),
        (setting("GRU", reset_after=False), "E0626", "reset_after false"),
        (setting("GRU", activation="relu"), "E0626", "activation relu"),
        (setting("GRU", anything=1), "E0626", "anything 1"),
        (setting("GRU", dtype="mixed_float16"), "E0626", "GRU in mixed_float16"),
        (setting("Dense", activation={"class_name": "x"}), "E0626", "activation"),
        (setting("Bidirectional", merge_mode=None), "E0626", "merge_mode None"),
        (training, "E0626", "called with"),
        (twice, "E0626", "called twice"),
        (backwards, "E0626", "two directions that differ"),
        (lambda c: layer(c, "Dropout").update(class_name="Lambda"), "E0626", "Lambda"),
        (lambda c: layer(c, "AdditiveAttention").update(class_name="Dropout"),
         "E0626", "0 layers AdditiveAttention"),
        (setting("GRU", units=6), "E0626", "different widths"),
        (setting("Embedding", input_dim=9), "E0630", "embedding"),
        (setting("Embedding", input_dim="9"), "E0627", "not that of a network"),
        (lambda c: {"class_name": "Functional"}, "E0627", "not that of a network"),
        (lambda c: [1], "E0627", "not that of a network"),
    ],
)  # fmt: skip
def test_what_would_compute_something_else_is_refused(
    saved, tmp_path, edit, code, message
):
    path = edited(saved, tmp_path, edit)
    with pytest.raises(NeuralError) as caught:
        import_model(path, tmp_path / "out.neural")
    found = caught.value.diagnostics[0]
    assert found.code == code
    assert message in found.message
    assert not (tmp_path / "out.neural").exists()


def with_datasets(**datasets):
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("layers")
        for name, make in datasets.items():
            make(group, name)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("weights", "code", "message"),
    [
        (lambda: b"no HDF5", "E0627", "not a valid HDF5 file"),
        (lambda: with_datasets(), "E0628", "fills"),
        (lambda: with_datasets(x=lambda g, n: g.create_dataset(
            n, (10**6, 10**6), "f4", chunks=(1, 1))), "E0627", "not a plain array"),
        (lambda: with_datasets(x=lambda g, n: g.create_dataset(
            n, (4,), "f4", external=[("/etc/hostname", 0, 16)])),
         "E0627", "not a plain array"),
        (lambda: with_datasets(x=lambda g, n: g.create_dataset(n, (4,), "i4")),
         "E0627", "not a plain array"),
        (lambda: with_datasets(x=lambda g, n: g.create_dataset(n, (4,), "f4")),
         "E0631", "layers/x"),
    ],
)  # fmt: skip
def test_weights_that_are_none_are_refused(saved, tmp_path, weights, code, message):
    path = edited(saved, tmp_path, weights=weights())
    with pytest.raises(NeuralError) as caught:
        import_model(path, tmp_path / "out.neural")
    assert caught.value.diagnostics[0].code == code
    assert message in caught.value.diagnostics[0].message


def test_a_size_that_is_no_number_of_bytes_is_refused(saved, tmp_path):
    with zipfile.ZipFile(saved) as archive:
        whole = archive.read("model.weights.h5")
    said = slice(168, 176)  # how much of the file holds the names in `layers`
    assert int.from_bytes(whole[said], "little") < len(whole)
    damaged = whole[: said.start] + b"\xff" * 8 + whole[said.stop :]
    path = edited(saved, tmp_path, weights=damaged)
    with pytest.raises(NeuralError, match="not a valid HDF5 file"):
        import_model(path, tmp_path / "out.neural")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "x.keras"
    path.write_bytes(content)
    with pytest.raises(NeuralError, match="not an archive"):
        import_model(path, tmp_path / "out.neural")


def test_an_archive_without_its_parts_is_refused(tmp_path):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(NeuralError, match=r"it has no config\.json"):
        import_model(path, tmp_path / "out.neural")
