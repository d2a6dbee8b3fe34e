"""The catalogue in words: complete, and every example runs."""

import ast

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.catalogue import LAYERS
from neural_attn.catalogue.examples import EXAMPLES
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.language_help import describe, entries, functions, listing
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.resolve.wrappers import WRAPPERS
from tests.every_backend import EVERY

ENTRIES = entries()


def test_every_layer_and_block_has_an_example():
    assert set(EXAMPLES) == set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_example_runs_and_compiles_everywhere(name):
    (checked,), warnings = check_text(ENTRIES[name].example, f"{name}.neural")
    assert warnings == []
    assert name in _targets(checked.root)
    for backend in EVERY:
        ast.parse(emit(checked, get(backend)))
    loaded = load_model(checked, "numpy")
    values = {
        given.name: np.ones((2, *given.shape), "int64" if given.dtype == "int" else "f")
        for given in checked.network.inputs
    }
    inputs = values if len(values) > 1 else next(iter(values.values()))
    output, _ = run(loaded.model, loaded.backend, inputs)
    assert list(output.shape[1:]) == [dim.value for dim in checked.root.output.dims[1:]]


def _targets(instance):
    parts = [part for parts in instance.children.values() for part in parts]
    return {part.target.name for part in parts}.union(*map(_targets, parts))


@pytest.mark.parametrize("name", ENTRIES)
def test_description_names_every_parameter_and_the_shapes(name):
    text = describe(name.lower())
    for parameter in ENTRIES[name].parameters:
        assert f"  {parameter.name}" in text
    assert "Example, (batch, " in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("layer", LAYERS.values(), ids=lambda layer: layer.name)
def test_aliases_are_found(layer):
    for alias in layer.aliases:
        assert describe(alias).startswith(layer.name)


def test_listing_has_a_line_for_each():
    lines = listing().splitlines()
    headings = 3 + 2  # with the blank lines between the three groups
    assert len(lines) == len(ENTRIES) + len(WRAPPERS) + headings
    assert all(len(line.split()) > 1 for line in lines if line)


def test_functions_show_their_defaults():
    causal = functions()["attend"].parameters[4]
    assert (causal.name, causal.default) == ("causal", "false")


def test_unknown_layer_has_a_suggestion():
    with pytest.raises(NeuralError, match="did you mean `Dense`"):
        describe("Densse")
