"""What goes into a network: arrays are checked, named, completed and cast."""

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.arrays import prepare, read_data
from neural_attn.inputs.limits import max_length
from neural_attn.models.capture import capture
from neural_attn.models.generated import load_model

IDS = "input: ({length}) layers: Embedding(20, 8) TransformerEncoder(2, 8)"
NUMBERS = """
input: (6, 8)
layers: TransformerEncoder(2, 8) GlobalAveragePooling1D() Output(2)
"""
BERT = """
input: { input_ids: (none,) attention_mask: (none,) token_type_ids: (none,) }
layers: TransformerEmbedding(20, 8, max_len=12) TransformerEncoder(2, 8)
"""


def network(body):
    (checked,), _ = check_text(f"network N {{ {body} }}")
    return checked


def ids_network(length="6, 8"):
    return network(IDS.format(length=length))


@pytest.mark.parametrize(
    ("given", "dtype", "taken"),
    [
        (np.ones((2, 6), np.int32), "int64", (2, 6)),
        (np.ones((2, 6), np.uint8), "int64", (2, 6)),
        (np.ones((2, 6), bool), "int64", (2, 6)),
        (np.ones((2, 6), np.float64), "int64", (2, 6)),
        (np.ones(6, np.int64), "int64", (1, 6)),
        ([[1, 2, 3, 4, 5, 6]], "int64", (1, 6)),
        (np.ones((2, 6, 8), np.float64), "float32", (2, 6, 8)),
        (np.ones((2, 6, 8), np.float16), "float32", (2, 6, 8)),
    ],
)
def test_ids_become_int64_and_vectors_float32(given, dtype, taken):
    prepared = prepare(ids_network(), given)
    assert (prepared.inputs.dtype, prepared.inputs.shape) == (dtype, taken)
    assert prepared.batch == taken[0]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "bool"])
def test_numbers_become_float32(dtype):
    prepared = prepare(network(NUMBERS), np.ones((1, 6, 8), dtype))
    assert prepared.inputs.dtype == np.float32


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_of_any_precision_run_on_every_backend(backend, dtype, precision):
    loaded = load_model(network(NUMBERS), backend, dtype=precision)
    data = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(dtype)
    found = capture(loaded, data)
    assert found.output.dtype == precision
    assert found.maps["transformer_encoder_0"].shape == (2, 2, 6, 6)


@pytest.mark.parametrize(
    ("body", "array", "words"),
    [
        (NUMBERS, np.full((1, 6, 8), 1e300), "too large for float32"),
        (NUMBERS, np.zeros((1, 6, 9)), "(batch, 6, 8) numbers"),
        (NUMBERS, np.zeros((2, 3)), "(batch, 6, 8) numbers"),
        (NUMBERS, np.zeros((1, 6, 8), object), "holds object"),
        (IDS.format(length="6,"), np.zeros((1, 6, 8)), "(batch, 6) ids"),
    ],
)
def test_refused(body, array, words):
    with pytest.raises(NeuralError) as problem:
        prepare(network(body), array)
    assert words in str(problem.value)


def test_another_length_than_declared_is_said(backend):
    prepared = prepare(ids_network(), np.ones((1, 9), np.int64))
    assert any("declares 6 positions" in note for note in prepared.notes)
    loaded = load_model(ids_network(), backend)
    assert capture(loaded, prepared.inputs).output.shape == (1, 9, 8)


def test_another_length_is_refused_where_a_layer_needs_the_declared_one():
    fixed = network("input: (6,) layers: Embedding(20, 8) Flatten() Output(2)")
    with pytest.raises(NeuralError, match=r"cannot run on data of shape \(1, 9\)"):
        prepare(fixed, np.ones((1, 9), np.int64))


def test_longer_than_the_table_of_positions_is_refused():
    with pytest.raises(NeuralError, match="at most 12 steps"):
        prepare(network(BERT), {"input_ids": np.ones((1, 13), np.int64)})


def test_inputs_that_are_left_out_have_a_meaning(backend):
    checked = network(BERT)
    prepared = prepare(checked, {"input_ids": np.ones((2, 5), np.int64)})
    assert set(prepared.inputs) == {"input_ids", "token_type_ids"}
    assert (prepared.inputs["token_type_ids"] == 0).all()
    loaded = load_model(checked, backend)
    assert capture(loaded, prepared.inputs).output.shape == (2, 5, 8)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_max_len_bounds_the_input_of_the_tool_and_of_the_generated_code(kind, backend):
    found = network(
        "input: (none, 4) "
        f'layers: PositionalEncoding(max_len=6, encoding_type="{kind}")'
    )
    assert max_length(found) == 6
    prepare(found, np.ones((1, 6, 4)))
    with pytest.raises(NeuralError, match="at most 6 steps"):
        prepare(found, np.ones((1, 7, 4)))
    loaded = load_model(found, backend)
    for steps in (6, 7):
        inputs = loaded.backend.tensor(np.ones((1, steps, 4), np.float32))
        if steps == 7:
            with pytest.raises(ValueError, match="7 steps are more than max_len, 6"):
                loaded.model(inputs)
        else:
            assert loaded.model(inputs).shape == (1, 6, 4)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"attention_mask": np.ones((1, 5))}, "no array for the input `input_ids`"),
        ({"input_ids": np.ones((1, 5)), "ids": np.ones(3)}, "no input `ids`"),
        (
            {"input_ids": np.ones((1, 5)), "attention_mask": np.ones((2, 5))},
            "different numbers of examples (input_ids: 1, attention_mask: 2",
        ),
    ],
)
def test_inputs_by_name_are_checked(arrays, words):
    with pytest.raises(NeuralError) as problem:
        prepare(network(BERT), arrays)
    assert words in str(problem.value)


@pytest.mark.parametrize("body", [IDS.format(length="6, 8"), NUMBERS, BERT])
def test_a_sample_fits_is_reproducible_and_is_said(body, backend):
    checked = network(body)
    first, again, other = (prepare(checked, seed=seed) for seed in (0, 0, 1))
    assert "no data given" in first.notes[0]
    if isinstance(first.inputs, dict):
        first, again, other = (p.inputs["input_ids"] for p in (first, again, other))
    else:
        first, again, other = (p.inputs for p in (first, again, other))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    prepared = prepare(checked)
    assert capture(load_model(checked, backend), prepared.inputs).maps


@pytest.mark.parametrize("body", [IDS.format(length="6"), NUMBERS])
def test_equal_tokens_are_equal_in_a_sample(body):
    found = prepare(network(body), tokens="the cat saw the dog .".split())
    (one,) = found.inputs
    assert (one[0] == one[3]).all()
    assert not (one[0] == one[1]).all()
    assert any("only labels: no text was read" in note for note in found.notes)


def test_a_sample_is_as_long_as_the_tokens():
    prepared = prepare(ids_network(), tokens=["a", "b", "c"])
    assert prepared.inputs.shape == (1, 3)
    assert prepared.tokens == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("tokens", "fits"),
    [
        (["a"] * 6, True),
        ([["a"] * 6, ["b"] * 6], True),
        (["a"] * 5, False),
        ([["a"] * 6, ["b"] * 7], False),
        ([], False),
    ],
)
def test_tokens_are_counted(tokens, fits):
    data = np.ones((2, 6), np.int64)
    if fits:
        assert prepare(ids_network(), data, tokens).tokens == tokens
    else:
        with pytest.raises(NeuralError, match="tokens do not fit the 6 positions"):
            prepare(ids_network(), data, tokens)


def test_files_hold_one_array_or_one_per_input(tmp_path):
    arrays = {"input_ids": np.ones((1, 5), np.int64), "token_type_ids": np.ones((1, 5))}
    np.save(tmp_path / "one.npy", arrays["input_ids"])
    np.savez(tmp_path / "all.npz", **arrays)
    np.testing.assert_array_equal(read_data(tmp_path / "one.npy"), arrays["input_ids"])
    found = read_data(str(tmp_path / "all.npz"))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
