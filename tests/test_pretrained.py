"""A real BERT, imported: every backend gives the attention that transformers gives.

The weights are those of all-MiniLM-L6-v2, from a package that CI installs.
"""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from neural_attn.inputs.tokenizer import Tokenizer
from neural_attn.models.generated import load_model
from neural_attn.pretrained import import_model
from tests.every_backend import EVERY, parameters

pytest.importorskip("tokenizers")

SENTENCES = [
    "Hi",
    "The cat that I love sat on the mat because it was tired.",
    "The animal didn't cross the street because it was too wide.",
    "Colorless green ideas sleep furiously.",
    "Antidisestablishmentarianism, floccinaucinihilipilification & co.",
    "E = mc^2, pi is 3.14159 and e^(i*pi) + 1 = 0!",
    "def f(x):\n    return x ** 2  # tabs\tand newlines",
    "naïve café, Ångström, Dvořák and straße",
    "나는 어제 서점에서 책을 세 권 샀다.",
    "안녕하세요, 세계!",
    "고양이는 피곤해서 매트 위에 앉았다.",
    "我昨天在书店买了三本书。",
    "你好，世界",
    "猫坐在垫子上，因为它累了。",
    "🙂",
    "Good morning ☀️🌍 everyone 👩‍👩‍👧‍👦!",
    "Mixed: 고양이 and 猫 and cat 🐈.",
    "<b>not bold</b> $x_1$ [MASK] [SEP]",
    "one two three four five six seven eight nine ten " * 3,
    "Attention is all you need, said the authors; others asked what it explains, "
    "how far a weight tells what mattered, and whether the picture can be trusted. "
    * 4,
]
BACKENDS = parameters()


@pytest.fixture(scope="module")
def imported(minilm_dir, tmp_path_factory):
    return import_model(minilm_dir, tmp_path_factory.mktemp("minilm") / "minilm.neural")


@pytest.fixture(scope="module")
def encoded(imported):
    return Tokenizer(imported.tokenizer_path).encode(SENTENCES, max_length=512)


@pytest.fixture(scope="module")
def theirs(minilm_dir, encoded):
    """Last hidden state and attentions of transformers, eager, by precision."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        from transformers import BertModel

        model = BertModel.from_pretrained(minilm_dir, attn_implementation="eager")
    tensors = {name: torch.from_numpy(a) for name, a in encoded.inputs.items()}
    known = {}
    for dtype in ("float32", "float64"):
        with torch.no_grad():
            network = model.eval().to(getattr(torch, dtype))
            result = network(**tensors, output_attentions=True)
        attentions = [one.numpy() for one in result.attentions]
        known[dtype] = result.last_hidden_state.numpy(), attentions
    return known


@pytest.fixture(scope="module")
def run(imported, encoded):
    """Output and attention maps of a backend at a precision; each is run once.

    In float32 also the output without attention.
    """
    known = {}

    def run_once(name, dtype="float32"):
        if (name, dtype) not in known:
            loaded = load_model(
                imported.neural_path, name, imported.weights_path, dtype=dtype
            )
            backend = loaded.backend
            inputs = {key: backend.tensor(a) for key, a in encoded.inputs.items()}
            with backend.inference():
                output, maps = loaded.model(inputs, return_attention=True)
                plain = loaded.model(inputs) if dtype == "float32" else None
            maps = {key: backend.array(value) for key, value in maps.items()}
            plain = None if plain is None else backend.array(plain)
            known[name, dtype] = backend.array(output), maps, plain
        return known[name, dtype]

    return run_once


def real(encoded):
    """Where tokens are, not padding: [batch, time]."""
    return encoded.inputs["attention_mask"] == 1


def test_the_batch_is_what_it_claims_to_be(encoded):
    assert len(SENTENCES) == len(set(SENTENCES)) == 20
    assert len(set(encoded.lengths)) >= 12
    assert min(encoded.lengths) == 3
    assert max(encoded.lengths) > 128  # where tokenizer.json itself would cut
    assert encoded.notes == []


# What padding attends to, and becomes, is of no use, but computed like the rest: the
# mask hides keys only, there as here. Its values are larger, and so is their rounding
# in float32, so that it is held to 1e-4 there.
def assert_close(ours, expected, real, tolerance):
    """Compare arrays; `real` [batch, time] says where tokens are."""
    assert ours.shape == expected.shape
    error = np.abs(ours - expected)  # in one pass over some ten million numbers
    assert error[real].max() <= tolerance
    assert error.max() <= 10 * tolerance


def by_query(weights):
    """[batch, heads, queries, keys] as [batch, queries, heads, keys]."""
    return np.swapaxes(weights, 1, 2)


PRECISIONS = [("float32", 1e-5), ("float64", 1e-10)]


@pytest.mark.thorough("numpy-float64", "tensorflow-float64", "pytorch-float64")
@pytest.mark.requires_transformers
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_attention_is_that_of_transformers(
    name, dtype, tolerance, run, theirs, encoded
):
    _, maps, _ = run(name, dtype)
    assert list(maps) == [f"transformer_encoder_{i}" for i in range(6)]
    for ours, expected in zip(maps.values(), theirs[dtype][1], strict=True):
        assert ours.dtype == dtype
        assert ours.shape[:2] == (20, 12)
        assert_close(by_query(ours), by_query(expected), real(encoded), tolerance)


@pytest.mark.thorough("numpy-float64", "tensorflow-float64")
@pytest.mark.requires_transformers
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_hidden_states_are_those_of_transformers(
    name, dtype, tolerance, run, theirs, encoded
):
    output, _, _ = run(name, dtype)
    rows = real(encoded)
    expected = theirs[dtype][0]
    np.testing.assert_allclose(output[rows], expected[rows], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", BACKENDS)
def test_rows_sum_to_one_and_padding_gets_nothing(name, run, encoded):
    padding = ~real(encoded)[:, None, None, :]
    for weights in run(name)[1].values():
        assert weights.dtype == np.float32
        sums = weights.sum(axis=-1, dtype=np.float64)
        np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-6)
        assert (weights[np.broadcast_to(padding, weights.shape)] == 0.0).all()
        assert (weights >= 0).all()


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("numpy", *PRECISIONS[0]),  # the other one is the referee
        *(
            pytest.param(*backend.values, *precision, marks=backend.marks)
            for backend in BACKENDS[1:]
            for precision in PRECISIONS
        ),
    ],
)
def test_backends_agree_with_numpy_in_float64(name, dtype, tolerance, run, encoded):
    output, maps, _ = run(name, dtype)
    referee, expected, _ = run("numpy", "float64")
    assert output.dtype == dtype
    rows = real(encoded)
    np.testing.assert_allclose(output[rows], referee[rows], rtol=0, atol=tolerance)
    assert list(maps) == list(expected)
    for key, weights in maps.items():
        assert_close(by_query(weights), by_query(expected[key]), rows, tolerance)


@pytest.mark.parametrize("name", BACKENDS)
def test_output_is_the_same_without_attention(name, run, encoded):
    output, _, plain = run(name)
    rows = real(encoded)
    np.testing.assert_allclose(plain[rows], output[rows], rtol=0, atol=1e-5)


def test_a_sentence_in_the_batch_is_as_alone(imported, run):
    index = 11
    alone = Tokenizer(imported.tokenizer_path).encode([SENTENCES[index]])
    loaded = load_model(imported.neural_path, "numpy", imported.weights_path)
    _, maps = loaded.model(dict(alone.inputs), return_attention=True)
    length = alone.lengths[0]
    for key, weights in run("numpy")[1].items():
        inside = weights[index, :, :length, :length]
        np.testing.assert_allclose(inside, maps[key][0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_generated_code_is_formatted(name, imported, tmp_path):
    from neural_attn.compile import compile_file

    path = tmp_path / "model.py"
    source = compile_file(imported.neural_path, name, path)
    assert "neural_attn" not in source
    pytest.importorskip("ruff")
    for command in (["format", "--check"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", str(path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# --- small models that transformers itself has saved, in float64; see test_families ---


def small_model(folder, model_class, **options):
    """Save a tiny model with random weights of a size that makes attention uneven."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 24,
        "max_position_embeddings": 20,
        "initializer_range": 0.5,
    }
    model_class = getattr(transformers, model_class)
    config = model_class.config_class(**(sizes | options))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = model_class(config).eval()
    with torch.no_grad():  # biases and norms begin as 0 and 1, which hides mistakes
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about settings for generation
        model.save_pretrained(folder)
    return model


FAMILY_ROWS = [
    ("bert", "BertModel", {"num_hidden_layers": 1}),
    ("bert", "BertModel", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3}),
    ("bert", "BertModel", {"hidden_act": "relu", "type_vocab_size": 5}),
    ("bert", "BertModel", {"hidden_act": "silu", "num_attention_heads": 1}),
]


@pytest.mark.requires_torch
@pytest.mark.requires_transformers
@pytest.mark.parametrize(("family", "model_class", "options"), FAMILY_ROWS)
def test_small_models_of_every_shape(tmp_path, family, model_class, options):
    import torch

    whole = small_model(tmp_path / "theirs", model_class, **options)
    assert whole.config.model_type == family
    body = whole.base_model
    imported = import_model(tmp_path / "theirs", tmp_path / "small.neural")
    loaded = load_model(
        imported.neural_path, "numpy", imported.weights_path, dtype="float64"
    )
    random = np.random.default_rng(0)
    types = options.get("type_vocab_size", 2)
    inputs = {
        "input_ids": random.integers(0, 50, (3, 7)),
        "token_type_ids": random.integers(0, types, (3, 7)),
        "attention_mask": np.array([[1] * 7, [1] * 5 + [0] * 2, [1] + [0] * 6]),
    }
    output, maps = loaded.model(inputs, return_attention=True)
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        theirs = body.double()(**tensors, output_attentions=True)
    expected = theirs.last_hidden_state.numpy()
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-8)
    for ours, their in zip(maps.values(), theirs.attentions, strict=True):
        np.testing.assert_allclose(ours, their.numpy(), rtol=0, atol=1e-8)
    # uneven, so that a wrong order of heads or keys would show
    assert next(iter(maps.values())).std() > 0.02
    text = Path(imported.neural_path).read_text()
    assert text.count("TransformerEncoder(") == 1
    assert len(text.splitlines()) <= 80
