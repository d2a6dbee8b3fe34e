"""A folder of tiny files that calls of `neural` run on, as its names say."""

import json
import os
import wave
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import save_file

from neural_attn.cli import cli
from tests.fuzz import real_files
from tests.fuzz.real_files import IMAGES, NETWORK, SOUNDS, TRANSLATOR

LOSS = 'loss: "sparse_categorical_crossentropy"'
WRITER = f"""network Writes {{
  input: (none,)
  layers: Embedding(16, 8, mask_zero=true) TransformerDecoder(2, 8) Output(16)
  {LOSS}
}}"""
PLAIN = 'network Plain { input: (4,) layers: Dense(3) Output(2, "softmax") }'
SIZED = """network Sized {
  input: (6, none, 3)
  layers: Conv2D(4, 3, strides=3) Reshape((-1, 4)) TransformerEncoder(2, 4) Output(3)
}"""
SHOWS = """network Shows {
  input: { input_ids: (none,) pixels: (6, 6, 3) }
  layers:
    pixels: { Conv2D(4, 3, strides=3) Reshape((4, 4)) }
    input_ids: { Embedding(8, 4) TransformerDecoder(2, 4, memory=pixels) }
}"""
SAYS = """network Says {
  input: { sound: (none, 8) target: (none,) }
  layers:
    sound: { TransformerEncoder(2, 8) }
    target: { Embedding(16, 8, mask_zero=true) TransformerDecoder(2, 8) Output(16) }
  loss: "sparse_categorical_crossentropy"
}"""
# the parse of "a b a b"
PARSE = "".join(
    f"{at}\t{word}\t_\t_\t_\t_\t{at // 2 * 2}\tdet\t_\t_\n"
    for at, word in enumerate("abab", 1)
)
LINKS = '{"text": "a b", "links": [[0, 1]]}\n'
TEXTS = {
    "small.neural": NETWORK,
    "padded.neural": NETWORK.replace("(4,)", "(none,)"),
    "unpadded.neural": NETWORK.replace("(4,)", "(none,)").replace(
        ", mask_zero=true", ""
    ),
    "images.neural": IMAGES,
    "sounds.neural": SOUNDS,
    "translator.neural": TRANSLATOR,
    "writer.neural": WRITER,
    "shows.neural": SHOWS,
    "says.neural": SAYS,
    "talks.neural": SAYS.replace("TransformerDecoder", "MultiHeadAttention"),
    "trained.neural": PLAIN[:-1] + LOSS + "}",
    "relu.neural": PLAIN[:-1].replace("softmax", "relu") + LOSS + "}",
    "sized.neural": SIZED,
    "sized.image.json": '{"resize": 6}',
    "flat.neural": NETWORK.replace("GlobalAveragePooling1D", "Flatten"),
    "abab.txt": "a b a b\n",
    "plain.neural": PLAIN,
    "two.neural": NETWORK + PLAIN,
    "latin.neural": NETWORK,
    "texts.txt": "a b\nb a\n",
    "tokens.txt": "a\nb\na\nb\n",
    "empty.txt": "",
    "links.jsonl": LINKS,
    "texts.conllu": PARSE,
    "other.conllu": PARSE.replace("b", "c"),
    "cut.conllu": PARSE[:8],
    "links_alone.jsonl": '{"links": [[0, 1]]}\n',
    "links_two.jsonl": '{"links": [[0, 1]]}\n' * 2,
    "links_cut.jsonl": LINKS[:-3],
    "links_none.jsonl": "\n",
    "pairs.jsonl": '{"text": "a"}\n{"pair": 3}\n',
    "noise.png": "this is no picture",
    "noise.wav": "this is no sound",
    "noise.json": "{",
    "noise.npy": "no array",
    "ids.csv": "1,2,3,4",
}
DATA = {
    "ids.npy": np.array([[1, 2, 3, 4]]),
    "fractions.npy": np.array([[1.5, 2.0, 3.0, 4.0]]),
    "pixels.npy": np.zeros((1, 6, 6, 3), np.float32),
    "large.npy": np.zeros((1, 9, 6, 3), np.float32),
    "long.npy": np.array([[1, 2, 3, 4, 5, 6]]),
    "frames.npy": np.ones((1, 9, 8), np.float32),
    "wide.npy": np.ones((1, 4, 5), np.int64),
}
ARCHIVES = {
    "named.npz": {"wrong": np.array([[1, 2]]), "source": np.array([[1, 2]])},
    "source.npz": {"source": np.array([[1, 2]])},
    "both.npz": {"source": np.array([[1, 2]]), "target": np.array([[1, 2]])},
}


def lay_out(folder: Path) -> None:
    """Write all of it, and what the makers of `real_files` write."""
    for name, text in TEXTS.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "utf16.neural").write_text(NETWORK, "utf-16")
    for name, array in DATA.items():
        np.save(folder / name, array)
    for name, arrays in ARCHIVES.items():
        np.savez(folder / name, **arrays)
    for name, width in {"six.png": 6, "wide.png": 9}.items():
        pixels = np.full((6, width, 3), 99, np.uint8)
        Image.fromarray(pixels).save(folder / name)
    for name, (count, rate) in {
        "short.wav": (800, 16_000),
        "longer.wav": (1600, 16_000),
        "slow.wav": (800, 8_000),
    }.items():
        with wave.open(str(folder / name), "wb") as made:
            made.setparams((1, 2, rate, 0, "NONE", ""))
            made.writeframes(np.arange(count, dtype=np.int16).tobytes())
    real_files.tokenizer(folder)
    with_words(folder, "ends.json", "<s>", "</s>")
    with_words(folder, "large.json", "<s>", "</s>", *map(str, range(20)))
    real_files.maps(folder)
    plain = {"a": np.random.default_rng(0).dirichlet(np.ones(3), (1, 2, 3))}
    np.savez(folder / "plain.npz", **plain)
    np.savez(folder / "empty.npz")
    weights = {"a.weight": np.ones((3, 3), np.float32)}
    save_file(weights, folder / "weights.safetensors")
    os.mkfifo(folder / "pipe")
    (folder / "a folder").mkdir()
    (folder / "small.neural").write_text(NETWORK, "utf-8")
    (folder / "alone").mkdir()
    for name in ("small.neural", "translator.neural"):
        (folder / "alone" / name).write_text(TEXTS[name], "utf-8")
    whole = (folder / "maps.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole.replace(b"version", b"versoin"))
    neural("analyze", str(folder / "maps.npz"), "--part", str(folder / "part.json"))


def neural(*arguments: str) -> None:
    """Run a command that must succeed."""
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output


def with_words(folder: Path, name: str, *words: str) -> None:
    """A tokenizer like t.json that knows more words."""
    whole = json.loads((folder / "t.json").read_text("utf-8"))
    known = whole["model"]["vocab"]
    known |= {word: len(known) + n for n, word in enumerate(words)}
    (folder / name).write_text(json.dumps(whole), "utf-8")
