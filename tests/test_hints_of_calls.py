"""Hints of the functions of the package, on what is no framework's, followed."""

from pathlib import Path

import numpy as np
import pytest

from neural_attn import (
    AttentionMaps,
    AttentionVisualizer,
    analyze,
    capture,
    load_model,
    plot,
)
from neural_attn.compile import compile_with_warnings
from neural_attn.folder_lock import alone_in
from neural_attn.inputs.readers import read_texts
from neural_attn.models.opening import open_model
from tests.following import follow
from tests.laboratory import lay_out

SIX = np.random.default_rng(0).dirichlet(np.full(6, 0.3), (1, 2, 6)).astype("f4")
IDS = np.array([[1, 2, 3, 4]])
LINKS = [[(0, 1)]]


def loaded(name="small"):
    return load_model(f"{name}.neural", "numpy")


def maps():
    return AttentionMaps([SIX])


def metrics():
    return capture([SIX], keep="metrics")


def see(*images, texts=(), network="images"):
    return open_model(f"{network}.neural", backend="numpy").encode_images(
        [Path(one) for one in images], texts
    )


def hear(*sounds, texts=(), network="sounds", **options):
    return open_model(f"{network}.neural", backend="numpy", **options).encode_sounds(
        [Path(one) for one in sounds], texts
    )


# message -> (the call that shows it, the call changed as its hint says)
FOLLOWED = {
    "E0401.decoder": (
        lambda: loaded().decoder,
        lambda: capture(loaded(), IDS),
    ),
    "E0401.kind": (
        lambda: loaded("writer").decoder.layers[0].cross_attn_weights,
        lambda: capture(loaded("writer"), IDS),
    ),
    "E0402": (lambda: open_model(object()), lambda: open_model([SIX])),
    "E0405.none": (
        lambda: open_model(loaded().model).prepare(),
        lambda: open_model(loaded().model).prepare(IDS),
    ),
    "E0412.example": (
        lambda: plot(maps(), example="first"),
        lambda: plot(maps(), example=0),
    ),
    "E0414.keep": (lambda: capture([SIX], keep="all"), lambda: metrics() and None),
    "E0415.model": (
        lambda: capture(loaded().model, "a b"),
        lambda: capture(loaded().model, IDS),
    ),
    "E0415.kind": (lambda: read_texts(3, ["a"]), lambda: read_texts("t.json", ["a"])),
    "E0415.object": (
        lambda: read_texts(None, ["a"]),
        lambda: read_texts("t.json", ["a"]),
    ),
    "E0416": (
        lambda: AttentionVisualizer().extract_attention_weights(IDS),
        lambda: AttentionVisualizer(loaded().model).extract_attention_weights(IDS),
    ),
    "E0433.batch": (
        lambda: analyze([maps(), 3]),
        lambda: analyze([maps(), AttentionMaps([SIX])]),
    ),
    "E0438.other": (
        lambda: open_model(loaded("images").model).encode_images(["six.png"]),
        lambda: open_model(loaded("images").model).prepare(
            np.zeros((1, 6, 6, 3), "f4")
        ),
    ),
    "E0438.settings": (
        lambda: see("six.png", network="prepared"),
        lambda: (
            Path("prepared.image.json").unlink(),
            see("six.png", network="prepared"),
        ),
    ),
    "E0439.other": (
        lambda: open_model(loaded("sounds").model).encode_sounds(["short.wav"]),
        lambda: open_model(loaded("sounds").model).prepare(np.ones((1, 9, 8), "f4")),
    ),
    "E0439.long": (
        lambda: hear("longer.wav", network="short"),
        lambda: hear("short.wav", network="short"),
    ),
    "E0439.settings": (
        lambda: hear("short.wav", network="tuned"),
        lambda: (Path("tuned.audio.json").unlink(), hear("short.wav", network="tuned")),
    ),
    "E0442.layers": (
        lambda: capture([SIX], layers=1.5),
        lambda: capture([SIX], layers=[0, -1]),
    ),
    "E0442.heads": (
        lambda: capture([SIX], heads="1"),
        lambda: capture([SIX], heads=[0, -1]),
    ),
    "W0114": (
        lambda: compile_with_warnings("trained.neural", "numpy", None, None)[1],
        lambda: compile_with_warnings("trained.neural", "pytorch", None, None)[1],
    ),
    "W0115": (
        lambda: compile_with_warnings("relu.neural", "pytorch", None, None)[1],
        lambda: compile_with_warnings("trained.neural", "pytorch", None, None)[1],
    ),
    "E0445": (
        lambda: AttentionVisualizer(metrics()).visualize(None),
        lambda: analyze(metrics()),
    ),
}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    images = (folder / "images.neural").read_text("utf-8")
    sounds = (folder / "sounds.neural").read_text("utf-8")
    texts = {
        "prepared.neural": images,
        "prepared.image.json": '{"colour": 3}',
        "tuned.neural": sounds,
        "tuned.audio.json": '{"pitch": 3}',
        "short.neural": sounds.replace("none", "6"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_call(name, laboratory, monkeypatch):
    monkeypatch.chdir(laboratory)
    follow(name, *FOLLOWED[name])


def test_a_folder_that_is_busy_is_free_once_the_other_run_has_ended(tmp_path):
    def write(folder):
        with alone_in(folder):
            pass

    with alone_in(tmp_path / "out"):
        follow(
            "E0418.busy",
            lambda: write(tmp_path / "out"),
            lambda: write(tmp_path / "other"),
        )
    write(tmp_path / "out")
