"""Hints of `neural train`, followed."""

import numpy as np
import pytest

from tests.following import follow
from tests.laboratory import LOSS, lay_out, neural, with_words

pytestmark = pytest.mark.requires_torch
READER = """network Reads {{
  input: (none,)
  layers: {embedding} {rest}
  loss: "{loss}"
}}"""
POOLED = "GlobalAveragePooling1D() Output({})"
IDS = "sparse_categorical_crossentropy"
EMBEDDING = "Embedding(32, 8, mask_zero=true)"
TEXTS = {
    "reader.neural": READER.format(
        embedding=EMBEDDING, rest=POOLED.format(2), loss=IDS
    ),
    "third.neural": READER.format(embedding=EMBEDDING, rest=POOLED.format(3), loss=IDS),
    "tagger.neural": READER.format(
        embedding=EMBEDDING, rest="Dense(4) Output(2)", loss=IDS
    ),
    "distance.neural": READER.format(
        embedding=EMBEDDING, rest=POOLED.format(2), loss="mse"
    ),
    "lossless.neural": READER.format(
        embedding=EMBEDDING, rest=POOLED.format(2), loss=IDS
    ).replace(f'loss: "{IDS}"', ""),
    "wide.neural": READER.format(
        embedding="Embedding(64, 8, mask_zero=true)", rest=POOLED.format(2), loss=IDS
    ),
    "narrow.neural": READER.format(
        embedding="Embedding(4, 8)", rest=POOLED.format(2), loss=IDS
    ),
    "numbers.neural": f"network N {{ input: (3,) layers: Dense(4) Output(2) {LOSS} }}",
    "pairs.tsv": "ab\tba\nabc\tcba\nb\tb\nca\tac\n" * 2,
    "tabless.tsv": "ab ba\n",
    "half.tsv": "ab\t\n",
    "labels.tsv": "a b\tX\nb a\tY\n" * 4,
    "three.tsv": "a b\tX\nb a\tY\nb\tZ\n" * 4,
    "tags.tsv": "a b\tX Y\nb\tX\n" * 4,
    "uneven.tsv": "a b\tX\nb\tX\n" * 4,
}


def trains(
    file="translator", data="--pairs pairs.tsv", out="o", rest="--tokenizer char"
):
    return f"train {file}.neural -b pytorch --epochs 1 {data} -o {out} {rest}"


def both(name, **wrong_and_mended):
    """The two calls, which differ in one thing and write into two folders."""
    (key, (wrong, mended)), *_ = wrong_and_mended.items()
    out = {"out": f"out/{name}"}
    return trains(**{**out, key: wrong}), trains(**{**out, key: mended})


READS = {"file": "reader", "data": "--pairs labels.tsv"}


def reads(out, **options):
    return trains(**{**READS, "out": f"out/{out}", **options})


AGAIN = trains(out="done") + " --resume"
# message -> (the command that shows it, the command changed as its hint says)
FOLLOWED = {
    "E0603": (
        reads("a", rest="--checkpoint pairs.tsv"),
        reads("a", rest="--checkpoint read/reader.safetensors"),
    ),
    "E0642": (
        reads("b", rest="--tokenizer noise.json"),
        reads("b", rest="--tokenizer read/tokenizer.json"),
    ),
    "E0642.text": (
        reads("c", rest="--tokenizer six.png"),
        reads("c", rest="--tokenizer read/tokenizer.json"),
    ),
    "E0701": both("d", data=("--pairs tabless.tsv", "--pairs pairs.tsv")),
    "E0701.empty": both("e", data=("--pairs half.tsv", "--pairs pairs.tsv")),
    "E0701.none": both("f", data=("--pairs empty.txt", "--pairs pairs.tsv")),
    "E0701.tags": (
        reads("g", file="tagger", data="--pairs uneven.tsv"),
        reads("g", file="tagger", data="--pairs tags.tsv"),
    ),
    "E0701.targets": (
        trains("numbers", "-d untold.npz", "out/h", ""),
        trains("numbers", "-d told.npz", "out/h", ""),
    ),
    "E0702": (reads("i", file="lossless"), reads("i")),
    "E0702.data": (reads("j", data="--text abab.txt"), reads("j")),
    "E0702.classes": (reads("l", file="distance"), reads("l")),
    "E0703": (
        reads("m", rest="--tokenizer forty.json"),
        reads("m", file="wide", rest="--tokenizer forty.json"),
    ),
    "E0703.wanted": (
        reads("n", rest="--vocab-size 64"),
        reads("n", rest="--vocab-size 20"),
    ),
    "E0703.small": (reads("o", file="narrow"), reads("o")),
    "E0703.labels": (
        reads("p", data="--pairs three.tsv"),
        reads("p", data="--pairs three.tsv", file="third"),
    ),
    "E0703.ends": both("q", rest=("--tokenizer t.json", "--tokenizer bpe")),
    "E0703.other": (
        f"{AGAIN} --tokenizer forty.json",
        AGAIN.replace("--tokenizer char", ""),
    ),
    "E0703.padding": (
        reads("r", rest="--tokenizer unpadded.json"),
        reads("r", rest="--tokenizer t.json"),
    ),
    "E0704": (trains(out="done"), trains(out="done") + " --resume"),
    "E0705.none": (
        trains(out="damaged") + " --resume",
        trains(out="done") + " --resume",
    ),
    "E0705.setting": (f"{AGAIN} --seed 3", f"{AGAIN} --seed 0"),
    "E0705.other": (f"{AGAIN} --validation 0.5", AGAIN),
    "E0707": (
        "train translator.neural -b numpy --pairs pairs.tsv -o out/s",
        "train translator.neural -b pytorch --epochs 1 --pairs pairs.tsv -o out/s",
    ),
    "E0708": (
        f"{trains(out='out/t')} --epochs 9 --learning-rate 1e30",
        f"{trains(out='out/t2')} --epochs 9 --learning-rate 0.01",
    ),
}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    for name, text in TEXTS.items():
        (folder / name).write_text(text, "utf-8")
    numbers = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    np.savez(folder / "untold.npz", inputs=numbers)
    np.savez(folder / "told.npz", inputs=numbers, targets=np.arange(8) % 2)
    word = (folder / "t.json").read_text("utf-8")
    (folder / "unpadded.json").write_text(word.replace("[PAD]", "the"), "utf-8")
    with_words(folder, "forty.json", *(f"w{n}" for n in range(36)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        neural(*trains(out="done").split())
        neural(*trains(out="damaged").split())
        neural(*trains("reader", "--pairs labels.tsv", "read").split())
    (folder / "damaged/checkpoint/last.safetensors").write_bytes(b"no")
    return folder


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_training(name, laboratory, monkeypatch):
    monkeypatch.chdir(laboratory)
    follow(name, *FOLLOWED[name])
