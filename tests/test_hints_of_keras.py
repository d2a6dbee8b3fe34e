"""Hints about models of Keras, followed."""

import sys

import numpy as np
import pytest

from neural_attn import capture
from tests.following import follow, is_among, said_by

pytestmark = [
    pytest.mark.requires_tensorflow,
    pytest.mark.thorough,
]
X = np.ones((1, 3, 8), "float32")
FOLLOWED = {"E0441.keras", "W0901.keras", "E0626.keras", "E0622.h5py"}


@pytest.fixture
def eagerly():
    import tensorflow as tf

    yield tf.config.run_functions_eagerly
    tf.config.run_functions_eagerly(False)


def traced(with_first):
    """A model that attends in a graph, and, if told, outside of it before."""
    import tensorflow as tf

    from tests.test_capture_keras import Traced, keras

    class InGraph(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.MultiHeadAttention(2, 4)
            self.graph = tf.function(lambda x: self.layer(x, x))

        def call(self, x):
            return self.graph(x)

    return Traced() if with_first else InGraph()


@pytest.mark.parametrize(
    ("name", "with_first"), [("E0441.keras", False), ("W0901.keras", True)]
)
def test_what_a_graph_hides_is_seen_when_it_runs_eagerly(name, with_first, eagerly):
    model = traced(with_first)

    def mended():
        eagerly(True)
        capture(model, X)

    follow(name, lambda: capture(model, X), mended)


def test_an_archive_of_other_layers_is_refused_and_one_of_these_is_not(tmp_path):
    from tests.test_keras_archive import edited, keras_model, setting

    good = tmp_path / "reader.keras"
    keras_model()[0].save(good)
    bad = edited(good, tmp_path, setting("GRU", reset_after=False))
    out = tmp_path / "out.neural"
    follow("E0626.keras", f"import {bad} -o {out}", f"import {good} -o {out}")


def test_an_archive_is_read_once_its_package_is_there(tmp_path, monkeypatch):
    from tests.test_keras_archive import keras_model

    keras_model()[0].save(tmp_path / "reader.keras")
    call = f"import {tmp_path / 'reader.keras'} -o {tmp_path / 'out.neural'}"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "h5py", None)
        said = said_by(call)
    assert is_among(said, "E0622.h5py"), said
    assert said_by(call) == []
