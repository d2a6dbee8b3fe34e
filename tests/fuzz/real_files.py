"""A small real file of each format that commands read, and the commands that read it.

`FORMATS[name]` makes the file in an empty folder, and gives the bytes to change, where
they lie, and the calls of `neural` that read them.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from click.testing import CliRunner
from safetensors.numpy import save, save_file

from neural_attn.cli import cli
from neural_attn.compile import check_file
from neural_attn.explorer.page import explore
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.weights import initial
from tests.small_models import CONFIG, bert_tensors

NETWORK = """
network Small {
  input: (4,)
  layers:
    Embedding(8, 4, mask_zero=true)
    TransformerEncoder(num_heads=2, ff_dim=4)
    GlobalAveragePooling1D()
    Output(3, "softmax")
}
"""
IMAGES = """
network Seer {
  input: (6, 6, 3)
  layers:
    Conv2D(4, 3, strides=3)
    Reshape((4, 4))
    TransformerEncoder(num_heads=2, ff_dim=4)
    GlobalAveragePooling1D()
    Output(3, "softmax")
}
"""
SOUNDS = """
network Hears {
  input: (none, 8)
  layers: TransformerEncoder(num_heads=2, ff_dim=4)
}
"""
TRANSLATOR = """
network Translates {
  input: { source: (none,) target: (none,) }
  layers:
    source: { Embedding(16, 8, mask_zero=true) TransformerEncoder(2, 8) }
    target: { Embedding(16, 8, mask_zero=true) TransformerDecoder(2, 8) Output(16) }
  loss: "sparse_categorical_crossentropy"
}
"""
ON_NUMPY = ("-b", "numpy", "--json", "--no-probe")


class Real(NamedTuple):
    """A file that is read: `calls` are the arguments of `neural`.

    What they make in the folder `output` is removed before each.
    """

    path: Path
    calls: list[tuple[str, ...]]
    output: Path | None = None


def _maps() -> AttentionMaps:
    weights = np.full((2, 2, 3, 3), 1 / 3, np.float32)
    mask = np.ones((2, 1, 3, 3), bool)
    tokens = [["a", "b", "c"], ["d", "e", "f"]]
    return AttentionMaps([AttentionMap("layer_0", weights, mask=mask,
        query_tokens=tokens, key_tokens=tokens)], trained=True)  # fmt: skip


def _network(folder: Path, text: str = NETWORK) -> str:
    file = folder / "small.neural"
    file.write_text(text, "utf-8")
    return str(file)


def _of_maps(path: Path) -> Real:
    calls = [("analyze", str(path), "--json"), ("diagnose", str(path), "--json")]
    return Real(path, calls)


def _as_data(folder: Path, name: str, content: bytes) -> Real:
    path = folder / name
    path.write_bytes(content)
    call = ("analyze", _network(folder), "--data", str(path), *ON_NUMPY)
    return Real(path, [call])


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def maps(folder: Path, compress: bool = False) -> Real:
    """Maps as `AttentionMaps.save` writes them."""
    _maps().save(folder / "maps.npz", compress=compress)
    return _of_maps(folder / "maps.npz")


def plain_maps(folder: Path) -> Real:
    """Arrays that another library saved."""
    np.savez_compressed(folder / "maps.npz", a=np.full((1, 2, 3, 3), 1 / 3, np.float32))
    return _of_maps(folder / "maps.npz")


def safetensors_maps(folder: Path) -> Real:
    """The same as safetensors."""
    save_file(
        {"a": np.full((1, 2, 3, 3), 1 / 3, np.float32)}, folder / "maps.safetensors"
    )
    return _of_maps(folder / "maps.safetensors")


def ids_npy(folder: Path) -> Real:
    """Token ids of a network."""
    return _as_data(folder, "ids.npy", _npy(np.array([[1, 2, 3, 4]])))


def ids_npz(folder: Path) -> Real:
    """The same in an archive."""
    stream = io.BytesIO()
    np.savez_compressed(stream, input=np.array([[1, 2, 3, 4]]))
    return _as_data(folder, "ids.npz", stream.getvalue())


def _weights(folder: Path) -> dict[str, np.ndarray]:
    return initial(check_file(_network(folder))[0][0])


def _checkpoint(folder: Path, path: Path) -> Real:
    call = ("analyze", _network(folder), "--checkpoint", str(path), *ON_NUMPY)
    return Real(path, [call])


def checkpoint(folder: Path) -> Real:
    """Weights of a network."""
    path = folder / "w.safetensors"
    path.write_bytes(save(_weights(folder)))
    return _checkpoint(folder, path)


def checkpoint_pt(folder: Path, old: bool = False) -> Real:
    """The same as PyTorch pickles them, today or before its version 1.6."""
    import torch

    path = folder / "w.pt"
    state = {n: torch.from_numpy(values) for n, values in _weights(folder).items()}
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    return _checkpoint(folder, path)


def page(folder: Path, precision: str = "compact") -> Real:
    """A page of the explorer."""
    path = folder / "page.html"
    explore(_maps(), precision=precision).save(path)
    call = ("extract", str(path), "-o", str(folder / "out.npz"))
    return Real(path, [call])


def tokenizer(folder: Path) -> Real:
    """A tokenizer.json."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}
    whole = {
        "version": "1.0",
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "normalizer": {"type": "Lowercase"},
        "post_processor": None,
        "decoder": None,
        "padding": None,
        "truncation": None,
    }
    path = folder / "t.json"
    path.write_text(json.dumps(whole), "utf-8")
    call = ("analyze", _network(folder), "--tokenizer", str(path), "--text", "a b")
    return Real(path, [(*call, *ON_NUMPY)])


def _model(folder: Path, name: str) -> Real:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    if name == "pytorch_model.bin":
        import torch

        state = {n: torch.from_numpy(v) for n, v in bert_tensors().items()}
        torch.save(state, model / name)
    else:
        save_file(bert_tensors(), model / "model.safetensors")
    call = ("import", str(model), "-o", str(folder / "out.neural"))
    return Real(model / name, [call])


def keras(folder: Path) -> Real:
    """A Keras archive: of all that a layer may say, this network's is allowed."""
    from tests.test_keras_archive import keras_model

    path = folder / "reader.keras"
    keras_model()[0].save(path)
    return Real(path, [("import", str(path), "-o", str(folder / "out.neural"))])


def part(folder: Path) -> Real:
    """A part of an analysis."""
    path = folder / "part.json"
    made = (*maps(folder).calls[0], "--part", str(path))
    assert CliRunner().invoke(cli, made).exit_code == 0
    return Real(path, [("analyze", "--merge", str(path), "--json")])


def image(folder: Path, kind: str) -> Real:
    """A picture."""
    from PIL import Image

    path = folder / f"picture.{kind}"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    call = ("analyze", _network(folder, IMAGES), "--image", str(path), *ON_NUMPY)
    return Real(path, [call])


def tokens(folder: Path) -> Real:
    """Labels in JSON, beside ids."""
    data = _as_data(folder, "ids.npy", _npy(np.array([[1, 2, 3, 4]])))
    path = folder / "tokens.json"
    path.write_text('["a", "b", "c", "\\u202ed"]', "utf-8")
    return Real(path, [(*data.calls[0], "--tokens-file", str(path))])


def drawn(folder: Path) -> Real:
    """Maps, as a picture."""
    path = maps(folder).path
    call = ("visualize", str(path), "--attention", "--format", "svg", "--json")
    return Real(path, [(*call, "-o", str(folder / "out"))])


def texts(folder: Path, name: str, content: str, *options: str) -> Real:
    """Texts to run on, beside a tokenizer of two words."""
    path = folder / name
    path.write_text(content, "utf-8")
    call = [*tokenizer(folder).calls[0]]
    at = call.index("--text")
    call[at : at + 2] = [option.format(path) for option in options]
    return Real(path, [tuple(call)])


def sound(folder: Path) -> Real:
    """A WAV of 50 ms."""
    path = folder / "sound.wav"
    samples = np.random.default_rng(0).integers(-9000, 9000, 800, np.int16)
    with wave.open(str(path), "wb") as made:
        made.setparams((1, 2, 16_000, 0, "NONE", ""))
        made.writeframes(samples.tobytes())
    call = ("analyze", _network(folder, SOUNDS), "--audio", str(path), *ON_NUMPY)
    return Real(path, [call])


def ctranslate2(folder: Path) -> Real:
    """A Whisper as CTranslate2 keeps it."""
    from tests.test_ctranslate2 import random_whisper, save_ctranslate2

    path = folder / "model" / "model.bin"
    save_ctranslate2(random_whisper(), path.parent)
    return Real(path, [("import", str(path.parent), "-o", str(folder / "out.neural"))])


def pairs(folder: Path) -> Real:
    """Pairs to learn from."""
    path = folder / "pairs.tsv"
    path.write_text("ab\tba\nabc\tcba\nb\tb\nca\tac\n", "utf-8")
    call = ("train", _network(folder, TRANSLATOR), "--pairs", str(path), "--json")
    options = ("-b", "pytorch", "--tokenizer", "char", "--epochs", "1")
    output = folder / "out"
    return Real(path, [(*call, *options, "-o", str(output))], output)


def training(folder: Path) -> Real:
    """The state that a training goes on from."""
    (call,) = pairs(folder).calls
    assert CliRunner().invoke(cli, call).exit_code == 0
    path = folder / "out" / "checkpoint" / "last.safetensors"
    return Real(path, [(*call, "--resume")])


def network(folder: Path) -> Real:
    """A network."""
    return Real(Path(_network(folder)), [("check", str(folder / "small.neural"))])


TREEBANK = (
    "# text = a b\n1\ta\t_\t_\t_\t_\t2\tdet\t2:coref\t_\n"
    "2\tb\t_\t_\t_\t_\t0\troot\t_\t_\n\n"
)
FORMATS: dict[str, Callable[[Path], Real]] = {
    "maps.npz": maps,
    "maps.npz, deflated": lambda folder: maps(folder, True),
    "plain maps.npz": plain_maps,
    "maps.safetensors": safetensors_maps,
    "ids.npy": ids_npy,
    "ids.npz": ids_npz,
    "checkpoint.safetensors": checkpoint,
    "checkpoint.pt": checkpoint_pt,
    "checkpoint.pt of old": lambda folder: checkpoint_pt(folder, True),
    "page": page,
    "page, full": lambda folder: page(folder, "full"),
    "tokenizer.json": tokenizer,
    "config.json": lambda folder: _model(folder, "config.json"),
    "model.safetensors": lambda folder: _model(folder, "model.safetensors"),
    "pytorch_model.bin": lambda folder: _model(folder, "pytorch_model.bin"),
    "reader.keras": keras,
    "part.json": part,
    "picture.png": lambda folder: image(folder, "png"),
    "picture.jpg": lambda folder: image(folder, "jpg"),
    "tokens.json": tokens,
    "network": network,
    "texts.txt": lambda folder: texts(folder, "t.txt", "a b\nb a b\n", "--file", "{}"),
    "texts.jsonl": lambda folder: texts(
        folder, "t.jsonl", '{"text": "a b"}\n{"text": "b"}\n', "--file", "{}"
    ),
    "links.jsonl": lambda folder: texts(
        folder, "l.jsonl", '{"text": "a b", "links": [[0, 1]]}\n', "--links", "{}"
    ),
    "texts.conllu": lambda folder: texts(
        folder, "t.conllu", TREEBANK, "--text", "a b", "--parse", "{}"
    ),
    "sound.wav": sound,
    "model.bin of CTranslate2": ctranslate2,
    "maps.npz, drawn": drawn,
    "pairs.tsv": pairs,
    "state of a training": training,
}
