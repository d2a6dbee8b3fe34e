"""Names that generated code cannot use, compared with the real classes."""

import ast
import keyword
from pathlib import Path

import pytest

from neural_attn.resolve.names import (
    RESERVED_ATTRIBUTES,
    RESERVED_GLOBALS,
    snake_case,
    trouble_with_attribute,
    trouble_with_variable,
)
from tests.every_backend import EVERY

BACKENDS = Path(__file__).resolve().parent.parent / "backends"


def public(cls):
    """The names that a subclass must not overwrite; not what transformers added."""
    theirs = {n for n, x in vars(cls).items() if "transformers" in str(_module(x))}
    return {name for name in dir(cls) if not name.startswith("_")} - theirs


def _module(value):
    return getattr(value, "__module__", "")


@pytest.mark.requires_torch
def test_modules_of_torch_keep_their_attributes():
    import torch

    assert public(torch.nn.Module) <= RESERVED_ATTRIBUTES
    # instances hold more than the class does
    held = {name for name in vars(torch.nn.Module()) if not name.startswith("_")}
    assert held <= RESERVED_ATTRIBUTES


@pytest.mark.requires_tensorflow
def test_layers_and_models_of_keras_keep_their_attributes():
    import keras

    for cls in (keras.layers.Layer, keras.Model):
        assert public(cls) <= RESERVED_ATTRIBUTES
        held = {name for name in vars(cls()) if not name.startswith("_")}
        assert held <= RESERVED_ATTRIBUTES


# What a native layer holds is its own; only what blocks inherit can be overwritten.
BASES = (
    "Layer",
    "AttentionLayer",
    "CausalAttentionLayer",
    "BlockwiseAttentionLayer",
    "Network",
)


def held_by(node):
    """The methods of a class, and what it stores on itself."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef) and inner in node.body:
            yield inner.name
        stored = isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store)
        if stored and isinstance(inner.value, ast.Name) and inner.value.id == "self":
            yield inner.attr


@pytest.mark.parametrize("name", EVERY)
def test_base_classes_of_blocks_keep_their_attributes(name):
    folder = BACKENDS / name / "runtime"
    files = [folder / "core.py", folder / "attention.py"]
    tree = ast.parse("\n".join(file.read_text("utf-8") for file in files))
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in BASES]
    assert {"AttentionLayer", "Network"} <= {node.name for node in classes}
    held = {held for node in classes for held in held_by(node)}
    assert {name for name in held if not name.startswith("_")} <= RESERVED_ATTRIBUTES


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TransformerEncoder", "transformer_encoder"),
        ("MultiHeadAttention", "multi_head_attention"),
        ("GlobalAveragePooling1D", "global_average_pooling1d"),
        ("Conv2D", "conv2d"),
        ("LSTM", "lstm"),
        ("FNet", "f_net"),
        ("dense", "dense"),
        ("RMSNorm", "rms_norm"),
        ("my_block", "my_block"),
    ],
)
def test_snake_case(kind, name):
    assert snake_case(kind) == name


@pytest.mark.parametrize("word", keyword.kwlist)
def test_words_of_python_are_no_names(word):
    assert trouble_with_variable(word)
    assert trouble_with_attribute(word)


@pytest.mark.parametrize("word", sorted(RESERVED_GLOBALS))
def test_names_of_generated_modules_are_taken(word):
    assert trouble_with_variable(word)


@pytest.mark.parametrize("word", ["__init__", "__class__", "__dict__"])
def test_names_of_pythons_own_are_taken(word):
    assert trouble_with_variable(word)
    assert trouble_with_attribute(word)


@pytest.mark.parametrize("word", ["_modules", "_parameters", "forward", "weights"])
def test_names_of_framework_layers_are_taken(word):
    assert "taken by the layers" in trouble_with_attribute(word)


@pytest.mark.parametrize("word", ["query", "x", "attention", "norm", "hidden", "gate"])
def test_plain_names_are_free(word):
    assert trouble_with_attribute(word) == trouble_with_variable(word) == ""
