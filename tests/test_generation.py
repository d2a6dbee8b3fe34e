"""Going on with a text: against transformers, and against forwards without caches."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from neural_attn.backends.emit.generation import generation

from neural_attn.compile import check_text
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import initial
from tests.layer_cases import ruff_complaints
from tests.reused import checked_text, with_weights

GPT2 = """
define GPT2(vocab, d_model, num_heads, depth, max_len) {
  layers:
    token = Embedding(vocab, d_model)
    encoding = PositionalEncoding(max_len, "learned")
    block = TransformerDecoder(
      num_heads, 4 * d_model, activation="gelu_tanh", norm_first=true, epsilon=1e-5
    ) * depth
    norm = LayerNormalization(1e-5)

  forward(ids):
    x = block(encoding(token(ids)))
    return norm(x) @ transpose(weight(token))
}
network Model { input: (none,) layers: GPT2(40, 16, 2, 2, 32) }
"""
PADDED = """
network Padded {
  input: (none,)
  layers:
    Embedding(30, 16, mask_zero=true)
    PositionalEncoding(POSITIONS)
    TransformerDecoder(2, 32) * 2
    Output(30)
  loss: "sparse_categorical_crossentropy"
}
"""
TRANSLATOR = """
network Translator {
  input: { source: (none,) target: (none,) }
  layers:
    source: {
      Embedding(20, 16, mask_zero=true)
      ENCODER
    }
    target: {
      Embedding(30, 16, mask_zero=true)
      DECODER
      Output(30)
    }
}
"""
TEXTS = {
    "gpt2": GPT2,
    "learned": PADDED.replace("POSITIONS", '32, "learned"'),
    "sinusoidal": PADDED.replace("POSITIONS", ""),
    "encoder and decoder": TRANSLATOR.replace(
        "ENCODER", "PositionalEncoding() TransformerEncoder(2, 32)"
    ).replace("DECODER", "PositionalEncoding() TransformerDecoder(2, 32) * 2"),
    "bahdanau": TRANSLATOR.replace(
        "ENCODER", "Bidirectional(LSTM(8, return_sequences=true))"
    ).replace("DECODER", "BahdanauDecoder(12, memory=source)"),
    "luong": TRANSLATOR.replace(
        "ENCODER", "Bidirectional(GRU(8, return_sequences=true))"
    ).replace("DECODER", "LuongDecoder(12, memory=source)"),
    "causal window": PADDED.replace(
        "PositionalEncoding(POSITIONS)", 'Conv1D(16, 3, padding="causal") * 2'
    ),
    "lstm": """network Recurrent {
      input: (none,)
      layers: Embedding(30, 16) LSTM(16, return_sequences=true) Output(30)
    }""",
}
KEEP_NOTHING = {"lstm", "causal window"}
SOURCE = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 0, 0], [8, 9, 7, 9, 3, 2]])
START = np.array([[7, 2, 9], [4, 4, 1], [11, 8, 5]])


def checked_of(text):
    checked, warnings = checked_text(text)
    assert {w.code for w in warnings} <= {"W0114"}
    return checked


def weights_of(checked):
    """So far from how they start that texts do not repeat themselves."""
    random = np.random.default_rng(3)
    return {
        name: weight + 0.3 * random.normal(size=weight.shape)
        for name, weight in initial(checked).items()
    }


class Runner:
    """A generated model of a backend, with arrays in and out."""

    def __init__(self, text, backend, tmp_path, weights=None):
        from safetensors.numpy import save_file

        self.checked = checked_of(text)
        path = tmp_path / "weights.safetensors"
        save_file(weights or weights_of(self.checked), path)
        loaded = with_weights(self.checked, backend, path)
        self.model, self.backend = loaded.model, loaded.backend
        self.several = len(self.checked.network.inputs) > 1

    def array(self, value):
        return np.asarray(self.backend.array(value) if value is not None else value)

    def generate(self, start, *args, source=SOURCE, **options):
        given = [self.backend.tensor(start)]
        if self.several:
            given = [self.backend.tensor(source), *given]
        found = self.model.generate(*given, *args, **options)
        if not options.get("return_attention"):
            return self.as_array(found)
        ids, maps = found
        return self.as_array(ids), {n: self.as_array(w) for n, w in maps.items()}

    @staticmethod
    def as_array(value):
        return np.asarray(value.detach() if hasattr(value, "detach") else value)

    def output(self, ids, source=SOURCE):
        tensor = self.backend.tensor
        inputs = tensor(ids)
        if self.several:
            inputs = {"source": tensor(source), "target": inputs}
        with self.backend.inference():
            return self.as_array(self.model(inputs))

    def greedy(self, start, count):
        """Without any cache: the whole text is read again for each token."""
        for _ in range(count):
            token = self.output(start)[:, -1].argmax(axis=-1)
            start = np.concatenate([start, token[:, None]], axis=1)
        return start


@pytest.fixture(params=TEXTS)
def name(request):
    return request.param


@pytest.mark.thorough("tensorflow", but=("bahdanau", "gpt2"))
def test_what_is_kept_changes_nothing(name, backend, tmp_path):
    model = Runner(TEXTS[name], backend, tmp_path)
    found = generation(model.checked)
    assert found is not None
    assert found.keeps_steps == (name not in KEEP_NOTHING)
    expected = model.greedy(START, 7)
    assert len(np.unique(expected)) > 6  # no text that only repeats itself
    np.testing.assert_array_equal(model.generate(START, 7), expected)
    np.testing.assert_array_equal(model.generate(START, 7), expected)  # nothing stays
    np.testing.assert_array_equal(model.output(expected), model.output(expected))


REUSED = {
    "a shared layer": """network G {
      input: (none,)
      layers:
        Embedding(30, 16, mask_zero=true)
        LlamaDecoder(num_heads=2, num_kv_heads=1, ff_dim=24, shared=true) * 2
        Output(30)
    }""",
    "a shared layer with a memory": TRANSLATOR.replace("ENCODER", "Dense(16)").replace(
        "DECODER", "TransformerDecoder(2, 32, memory=source, shared=true) * 2"
    ),
    "a layer called twice": """
    define Twice(num_heads) {
      layers:
        attention = MultiHeadAttention(num_heads, causal=true)
      forward(x): return x + attention(x + attention(x))
    }
    network G { input: (none,) layers: Embedding(30, 16) Twice(2) Output(30) }""",
    "positions counted twice": """
    define Twice(num_heads, d_model = width(x)) {
      layers:
        first = Embedding(40, d_model)
        second = Embedding(40, d_model)
        attention = MultiHeadAttention(num_heads, causal=true)
      forward(x):
        y = attention(x + first(positions(x)))
        return x + y + second(positions(y))
    }
    network G { input: (none,) layers: Embedding(30, 16) Twice(2) Output(30) }""",
}


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize("text", REUSED)
def test_a_layer_that_remembers_and_is_used_twice_keeps_nothing(
    text, backend, tmp_path
):
    """One memory cannot hold what two calls in a run see."""
    model = Runner(REUSED[text], backend, tmp_path)
    np.testing.assert_array_equal(model.generate(START, 5), model.greedy(START, 5))
    if "mask_zero" in REUSED[text] and not model.several:
        ragged = np.pad(START, ((0, 0), (2, 0)))
        together = model.generate(ragged, 5)[:, 2:]
        np.testing.assert_array_equal(together, model.generate(START, 5))


@pytest.mark.thorough("tensorflow", but=("encoder and decoder", "gpt2"))
def test_beams_are_the_same_on_every_backend(name, backend, tmp_path):
    first = Runner(TEXTS[name], "numpy", tmp_path)
    second = Runner(TEXTS[name], backend, tmp_path)
    end = int(first.generate(START, 5)[0, -2])
    for options in ({"beams": 3}, {"beams": 4, "end": end}, {"end": end}):
        np.testing.assert_array_equal(
            first.generate(START, 6, **options), second.generate(START, 6, **options)
        )


def test_the_best_of_many_beams_is_the_best_of_all(backend, tmp_path):
    """Two tokens with as many beams as there are first tokens: an exhaustive search."""
    model = Runner(TEXTS["gpt2"], backend, tmp_path)
    best = model.generate(START, 2, beams=40)
    for text, start in zip(best, START, strict=True):
        pairs = np.stack(np.meshgrid(range(40), range(40), indexing="ij"), -1)
        pairs = pairs.reshape(-1, 2)
        whole = np.concatenate([np.repeat(start[None], 1600, 0), pairs], axis=1)
        logits = model.output(whole)[:, 2:4]
        logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        totals = np.take_along_axis(logits, pairs[..., None], -1).sum((1, 2))
        np.testing.assert_array_equal(text[-2:], pairs[totals.argmax()])


@pytest.mark.thorough("tensorflow")
@pytest.mark.requires_transformers
@pytest.mark.parametrize(
    "options", [{}, {"beams": 4}, {"end": 17}, {"beams": 3, "end": 9}]
)
def test_tokens_are_those_of_gpt2(backend, options, tmp_path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=40, n_embd=16, n_head=2, n_layer=2, n_positions=32,
        bos_token_id=None, eos_token_id=options.get("end"), pad_token_id=0,
    )  # fmt: skip
    theirs = GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    ours = Runner(GPT2, backend, tmp_path, weights=from_gpt2(theirs.state_dict()))
    np.testing.assert_allclose(
        ours.output(START), theirs(torch.tensor(START)).logits.detach(), atol=1e-9
    )
    expected = theirs.generate(
        torch.tensor(START), max_new_tokens=9, do_sample=False,
        num_beams=options.get("beams", 1),
        attention_mask=torch.ones(START.shape, dtype=torch.long),
    )  # fmt: skip
    found = ours.generate(START, 9, **options)
    end = options.get("end", -1)
    for ours_, theirs_ in zip(found, expected.numpy(), strict=True):
        assert text_of(ours_, end) == text_of(theirs_, end)


def text_of(ids, end):
    """The ids up to the first `end`: what stands behind it only fills the row."""
    new = list(ids[3:])
    return new[: new.index(end) + 1] if end in new else new


def from_gpt2(state):
    """The weights of transformers' GPT-2 under the names of the network."""
    state = {name: value.numpy() for name, value in state.items()}
    weights = {}
    size = state["transformer.wte.weight"].shape[1]
    plain = {
        "token.weight": "wte.weight",
        "encoding.table.weight": "wpe.weight",
        "norm.weight": "ln_f.weight",
        "norm.bias": "ln_f.bias",
    }
    for ours, theirs in plain.items():
        weights[ours] = state[f"transformer.{theirs}"]
    for i in range(2):
        of = f"transformer.h.{i}."
        for kind in ("weight", "bias"):
            fused = state[f"{of}attn.c_attn.{kind}"]
            for k, part in enumerate(("query", "key", "value")):
                name = f"block.{i}.self_attention.{part}_projection.{kind}"
                weights[name] = fused[..., k * size : (k + 1) * size].T
            for ours, theirs in {
                "self_attention.output_projection": "attn.c_proj",
                "feed_forward.expand": "mlp.c_fc",
                "feed_forward.contract": "mlp.c_proj",
                "self_attention_norm": "ln_1",
                "feed_forward_norm": "ln_2",
            }.items():
                weights[f"block.{i}.{ours}.{kind}"] = state[f"{of}{theirs}.{kind}"].T
    return {
        f"gpt2_0.{name}": np.ascontiguousarray(value) for name, value in weights.items()
    }


@pytest.mark.thorough("tensorflow", but=("bahdanau", "gpt2"))
def test_attention_of_what_was_written_is_the_models(name, backend, tmp_path):
    model = Runner(TEXTS[name], backend, tmp_path)
    ids, maps = model.generate(START, 4, return_attention=True)
    assert ids.shape == (3, 7)
    inputs = model.backend.tensor(ids)
    if model.several:
        inputs = {"source": model.backend.tensor(SOURCE), "target": inputs}
    _, expected = model.model(inputs, return_attention=True)
    assert maps.keys() == expected.keys()
    for key, weights in maps.items():
        np.testing.assert_allclose(weights, model.as_array(expected[key]), atol=1e-12)
        if "encoder" not in key:
            assert weights.shape[2] == 7


@pytest.mark.thorough("tensorflow", but="gpt2")
@pytest.mark.parametrize("padded", ["gpt2", "learned", "encoder and decoder"])
def test_nothing_stays_behind_a_text_that_was_written(padded, backend, tmp_path):
    """Neither what was kept nor which padding was skipped: another batch follows."""
    model = Runner(TEXTS[padded], backend, tmp_path)
    before = model.output(START[:2], SOURCE[:2])
    ragged = START if padded == "gpt2" else np.pad(START, ((0, 0), (2, 0)))
    for options in ({"beams": 2}, {"return_attention": True}):
        model.generate(ragged, 2, **options)
        np.testing.assert_array_equal(model.output(START[:2], SOURCE[:2]), before)


def test_id_0_of_a_text_that_is_not_padded_is_a_token(backend, tmp_path):
    """The source hides padding, and the target has none: it may begin with id 0."""
    text = TEXTS["bahdanau"].replace(
        "Embedding(30, 16, mask_zero=true)", "Embedding(30, 16)"
    )
    model = Runner(text, backend, tmp_path)
    start = np.zeros((3, 1), int)
    np.testing.assert_array_equal(model.generate(start, 4), model.greedy(start, 4))


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize(
    "padded", ["learned", "sinusoidal", "bahdanau", "luong", "causal window"]
)
def test_padding_before_a_text_changes_nothing(padded, backend, tmp_path):
    model = Runner(TEXTS[padded], backend, tmp_path)
    ragged = np.pad(START, ((0, 0), (2, 0)))
    ragged[1, 2] = ragged[2, 2:4] = 0
    each = [(i, ragged[i : i + 1, n:], n) for i, n in enumerate((2, 3, 4))]
    for options in ({}, {"beams": 3}):
        together = model.generate(ragged, 6, **options)
        for i, text, n in each:
            alone = model.generate(text, 6, source=SOURCE[i : i + 1], **options)
            np.testing.assert_array_equal(together[i, n:], alone[0])
    last = model.output(ragged)[:, -1]
    _, maps = model.generate(ragged, 2, return_attention=True)
    for i, text, n in each:
        source = SOURCE[i : i + 1]
        if "Positional" not in TEXTS[padded]:  # only `generate` counts from the text on
            alone = model.output(text, source)
            np.testing.assert_allclose(last[i], alone[0, -1], atol=1e-12)
        _, found = model.generate(text, 2, source=source, return_attention=True)
        for key, weights in maps.items():
            rows = weights[i, :, n:]
            if key.startswith("transformer"):  # its keys are the text too
                assert (rows[..., :n] == 0).all()
                rows = rows[..., n:]
            np.testing.assert_allclose(rows, found[key][0], atol=1e-9)


def test_padding_behind_a_text_is_refused(backend, tmp_path):
    model = Runner(TEXTS["learned"], backend, tmp_path)
    with pytest.raises(ValueError, match="padding goes before a text"):
        model.generate(np.pad(START, ((0, 0), (0, 1))), 2)
    with pytest.raises(ValueError, match="give one"):
        model.generate(START, 2, beams=2, temperature=1.0)


def test_tokens_are_drawn_as_often_as_they_are_likely(backend, tmp_path):
    model = Runner(TEXTS["gpt2"], backend, tmp_path)
    many = np.repeat(START[:1], 4000, axis=0)
    drawn = model.generate(many, 1, temperature=2.0)[:, -1]
    shares = np.exp(model.output(START[:1])[0, -1] / 2)
    shares /= shares.sum()
    counts = np.bincount(drawn, minlength=40) / len(drawn)
    assert abs(counts - shares).sum() < 0.12  # sampling error: about 0.05


def test_decode_gives_what_the_file_says_is_put_out(backend):
    """Shares, also where the loss is of what their softmax is of."""
    loss = '\n  loss: "sparse_categorical_crossentropy"\n}\n'
    text = TEXTS["encoder and decoder"].rstrip().removesuffix("}") + loss
    (checked,), _ = check_text(text)
    model = load_model(checked, backend, dtype="float64").model
    tensor = get(backend).tensor
    with get(backend).inference():
        memory = model.encode(tensor(SOURCE))
        memory = memory if isinstance(memory, tuple) else (memory,)
        found = Runner.as_array(model.decode(tensor(START), *memory))
        whole = model({"source": tensor(SOURCE), "target": tensor(START)})
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(found, Runner.as_array(whole), atol=1e-12)


FEW = """
network Few {
  input: (none,)
  layers: Embedding(3, 8) TransformerDecoder(2, 8) Output(3)
}
"""


def all_texts(model, start, count, end):
    """Every continuation that ends with `end` or after `count` ids: (mean, ids)."""
    found, open_ = [], [(0.0, ())]
    for length in range(1, count + 1):
        shares = {
            text: np.log(model.output(np.array([[*start, *text]]))[0, -1])
            for _, text in open_
        }
        longer = [(t + shares[x][i], (*x, i)) for t, x in open_ for i in range(3)]
        done = [one for one in longer if one[1][-1] == end or length == count]
        found += [(total / length, text) for total, text in done]
        open_ = [one for one in longer if one[1][-1] != end]
    return found


@pytest.mark.parametrize("end", [None, 1])
def test_more_beams_than_ids_find_the_best_of_all(end, backend, tmp_path):
    model = Runner(FEW, backend, tmp_path)
    numbers = Runner(FEW, "numpy", tmp_path)
    starts = START % 3
    together = model.generate(starts, 3, beams=27, end=end)
    for start, text in zip(starts, together, strict=True):
        best = max(all_texts(numbers, start, 3, end))[1]
        assert tuple(text[3 : 3 + len(best)]) == best
        assert set(text[3 + len(best) :]) <= {end}  # what only fills the row
    alone = model.generate(starts[2:], 3, beams=27, end=end)
    assert tuple(alone[0, 3:]) == best


def test_a_vocabulary_of_one_id(backend, tmp_path):
    text = FEW.replace("(3, 8)", "(1, 8)").replace("Output(3)", "Dense(1)")
    model = Runner(text, backend, tmp_path)
    for options in ({}, {"beams": 3}, {"beams": 3, "end": 0}, {"end": 0}):
        found = model.generate(np.zeros((2, 1), int), 2, **options)
        length = 2 if "end" in options else 3
        np.testing.assert_array_equal(found, np.zeros((2, length), int))


def test_texts_that_end_at_once_and_none_at_all(backend, tmp_path):
    model = Runner(TEXTS["encoder and decoder"], backend, tmp_path)
    for start, source in ((START, SOURCE), (START[:1], SOURCE[:1])):
        for beams in (1, 3):
            found = model.generate(start, 0, beams=beams, source=source)
            np.testing.assert_array_equal(found, start)
        first = model.generate(start, 1, source=source)
        ended = model.generate(start[:1], 5, end=first[0, -1], source=source[:1])
        np.testing.assert_array_equal(ended, first[:1])
    _, maps = model.generate(START, 0, return_attention=True)
    assert maps["transformer_decoder_0.self_attention"].shape[2] == 3


MEANINGLESS = [
    ((START[:, :0], 2), {}, "there is nothing to continue"),
    ((START[:, :0], 0), {"beams": 2}, "there is nothing to continue"),
    ((START, -1), {}, "max_new_tokens is 0 or more, not -1"),
    ((START, 2), {"beams": 0}, "beams is 1 or more, not 0"),
    ((START, 2), {"temperature": -1.0}, "temperature is 0 or more"),
    ((START, 2), {"temperature": float("nan")}, "temperature is 0 or more, not nan"),
    ((START, 2), {"temperature": float("inf")}, "temperature is 0 or more, not inf"),
]


@pytest.mark.parametrize("written", ["gpt2", "bahdanau"])
def test_what_means_nothing_is_refused(written, backend, tmp_path):
    model = Runner(TEXTS[written], backend, tmp_path)
    for given, options, said in MEANINGLESS:
        with pytest.raises(ValueError, match=said):
            model.generate(*given, **options)


NO_TEXTS = {
    "sees what comes": """network N { input: (none,)
      layers: Embedding(30, 16) TransformerEncoder(2, 32) Output(30) }""",
    "another alphabet": """network N { input: (none,)
      layers: Embedding(30, 16) TransformerDecoder(2, 32) Output(5) }""",
    "one answer": """network N { input: (none,) layers: Embedding(30, 16)
      TransformerDecoder(2, 32) GlobalAveragePooling1D() Output(30) }""",
    "both ways": """network N { input: (none,) layers: Embedding(30, 16)
      Bidirectional(LSTM(8, return_sequences=true)) Output(30) }""",
    "no ids": """network N { input: (none, 16)
      layers: TransformerDecoder(2, 32) Output(30) }""",
    "a mean of all": """define Own() { forward(x): return x + mean(x, axis=1) }
      network N { input: (none,) layers: Embedding(30, 16) Own() Output(30) }""",
    "a product over steps": """define Own() {
        forward(x): return x @ (transpose(x) @ x) }
      network N { input: (none,) layers: Embedding(30, 16) Own() Output(30) }""",
    "a window into the future": """network N { input: (none,) layers: Embedding(30, 16)
      Conv1D(16, 3, padding="same") Output(30) }""",
    "a window on padding": """define Own() {
        layers: window = Conv1D(16, 3, padding="causal")
        forward(x): return window(x) }
      network N { input: (none,) layers: Embedding(30, 16, mask_zero=true) Own()
      Output(30) }""",
    "a sum of padding": """define Own() { forward(x): return x + cumsum(x, axis=1) }
      network N { input: (none,) layers: Embedding(30, 16, mask_zero=true) Own()
      Output(30) }""",
    "a sum of padding that a define knows": """define Own() {
        layers: table = Embedding(30, 16)
        forward(ids):
          x = where(reshape(ids, (-1, length(ids), 1)) != 0, table(ids), 0)
          m = padding_mask(ids)
          return x + cumsum(table(ids), axis=1) + where(m, 0 * mean(x), x)
      } network N { input: (none,) layers: Own() Output(30) }""",
    "a sum over keys": """define Own() { forward(x):
        return cumsum(x @ transpose(x)) @ x }
      network N { input: (none,) layers: Embedding(30, 16) Own() Output(30) }""",
}
BACKWARDS = {  # layers that look only back, and whether they look at all
    "CumulativeMean()": True,
    "BatchNormalization()": False,
    'Conv1D(16, 1, "relu")': False,
    'Conv1D(16, 1, padding="same")': False,
    'Conv1D(16, 3, padding="causal")': True,
    "HeadSums()": True,
}
WITH_PADDING = {  # those that are right behind padding too
    "BatchNormalization()",
    'Conv1D(16, 1, "relu")',
    'Conv1D(16, 1, padding="same")',
    'Conv1D(16, 3, padding="causal")',
}
LOOKING_BACK = """
define CumulativeMean() { forward(x):
  return x + cumsum(x, axis=1) / reshape(cumsum(0 * mean(x) + 1, axis=1), (-1,
    length(x), 1)) }
define HeadSums() { forward(x):
  return x + merge_heads(cumsum(split_heads(x, 2), axis=-2)) }
network N { input: (none,) layers: Embedding(30, 16) LAYER
  TransformerDecoder(2, 32) Output(30) }
"""


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize(("layer", "looks"), BACKWARDS.items(), ids=BACKWARDS)
def test_what_looks_only_back_writes(layer, looks, backend, tmp_path):
    model = Runner(LOOKING_BACK.replace("LAYER", layer), backend, tmp_path)
    assert generation(model.checked).keeps_steps == (not looks)
    np.testing.assert_array_equal(model.generate(START, 5), model.greedy(START, 5))
    longer = np.concatenate([START, START], axis=1)  # no step sees a later one
    np.testing.assert_allclose(
        model.output(longer)[:, :3], model.output(START), atol=1e-6
    )


@pytest.mark.parametrize("layer", BACKWARDS)
def test_what_takes_padding_for_text_writes_none(layer, tmp_path):
    text = LOOKING_BACK.replace("LAYER", layer)
    text = text.replace("30, 16", "30, 16, mask_zero=true")
    if layer not in WITH_PADDING:
        assert generation(checked_of(text)) is None
        return
    model = Runner(text, "numpy", tmp_path)
    padded = np.pad(START, ((0, 0), (2, 0)))
    np.testing.assert_array_equal(
        model.generate(padded, 4)[:, 2:], model.generate(START, 4)
    )
    np.testing.assert_allclose(
        model.output(padded)[:, 2:], model.output(START), atol=1e-6
    )


@pytest.mark.parametrize("text", NO_TEXTS.values(), ids=NO_TEXTS)
def test_networks_that_write_no_text_do_not_offer_it(text):
    checked = checked_of(text)
    assert generation(checked) is None
    for backend in ("numpy", "pytorch", "tensorflow"):
        code = emit(checked, get(backend))
        assert "def generate" not in code
        assert "Cache" not in code


COUNTED = """
define Placed() {
  layers: table = Embedding(32, 16)
  forward(x, attention_mask = none):
    return x + table(positions(x, attention_mask))
}
define Start() {
  layers: token = Embedding(30, 16)  placed = Placed()
  forward(ids, attention_mask = none):
    return placed(token(ids), attention_mask=attention_mask)
}
network N {
  input: { ids: (none,) attention_mask: (none,) }
  layers: Start() TransformerDecoder(2, 32) Output(30)
}
"""


def test_positions_that_a_mask_counts_leave_padding_out(backend, tmp_path):
    """Padding before a text moves nothing, in a plain run too."""
    checked = checked_of(COUNTED)
    assert generation(checked).keeps_steps
    loaded = load_model(checked, backend)
    padded, shown = (np.pad(x, ((0, 0), (2, 0))) for x in (START, np.ones_like(START)))
    plain, _ = run(
        loaded.model,
        loaded.backend,
        {"ids": START, "attention_mask": np.ones_like(START)},
    )
    found, _ = run(
        loaded.model, loaded.backend, {"ids": padded, "attention_mask": shown}
    )
    np.testing.assert_allclose(found[:, 2:], plain, atol=1e-6)
    tensor, array = loaded.backend.tensor, loaded.backend.array
    going = loaded.model.generate(tensor(padded), 4, attention_mask=tensor(shown))
    alone = loaded.model.generate(tensor(START), 4)
    np.testing.assert_array_equal(array(going)[:, 2:], array(alone))
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""


@pytest.mark.parametrize("given", [0, 1])
def test_uses_with_a_mask_and_without_share_a_class(given, backend):
    """One class serves both; what nobody gives is not in the code."""
    text = COUNTED.replace("placed = Placed()", "placed = Placed() other = Placed()")
    without = "placed(token(ids)) + other(token(ids))"
    both = "placed(token(ids), attention_mask=attention_mask) + other(token(ids))"
    last = "placed(token(ids), attention_mask=attention_mask)"
    code = emit(checked_of(text.replace(last, (without, both)[given])), get(backend))
    assert ("shown_positions(" in code) == (given == 1)


def test_what_counts_its_steps_is_read_again(backend, tmp_path):
    """A define of an author that counts steps by itself: right, if slower."""
    text = """define Own() {
      layers: table = Embedding(32, 16)
      forward(x): return x + table(position_ids(x))
    }
    network N { input: (none,) layers: Embedding(30, 16) Own()
      TransformerDecoder(2, 32) Output(30) }"""
    model = Runner(text, backend, tmp_path)
    assert not generation(model.checked).keeps_steps
    np.testing.assert_array_equal(model.generate(START, 5), model.greedy(START, 5))


LINEAR = """
network Linear {
  input: (none,)
  layers: Embedding(30, 16) LinearAttention(2, false, causal=true) * 2 Output(30)
}
"""


@pytest.mark.parametrize("padding", ["", ", mask_zero=true"])
def test_sums_are_kept_but_no_mask_that_attention_does_not_take(
    padding, backend, tmp_path
):
    """Of the newest step alone a mask would be another: the text is read again."""
    text = LINEAR.replace("30, 16", f"30, 16{padding}")
    model = Runner(text, backend, tmp_path)
    assert generation(model.checked).keeps_steps == (not padding)
    np.testing.assert_array_equal(model.generate(START, 4), model.greedy(START, 4))


def test_the_code_is_clean(name, backend, tmp_path):
    code = emit(checked_of(TEXTS[name]), get(backend))
    assert ruff_complaints(code, tmp_path) == ""
    assert "def generate" in code


@pytest.mark.requires_tensorflow
def test_a_saved_keras_model_goes_on_too(tmp_path):
    import keras

    # a name of its own: Keras loads the class that was registered under it last
    text = TEXTS["encoder and decoder"].replace("network Translator", "network Saved")
    model = Runner(text, "tensorflow", tmp_path)
    expected = model.generate(START, 5)
    model.model.save(tmp_path / "model.keras")
    model.model = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.generate(START, 5), expected)


@pytest.mark.thorough("tensorflow", but="encoder and decoder")
@pytest.mark.parametrize("written", ["encoder and decoder", "bahdanau", "luong"])
def test_a_source_that_is_padded_is_the_source_alone(written, backend, tmp_path):
    model = Runner(TEXTS[written], backend, tmp_path)
    for options in ({}, {"beams": 3}):
        together, maps = model.generate(START, 6, return_attention=True, **options)
        alone, found = model.generate(
            START[1:2], 6, source=SOURCE[1:2, :4], return_attention=True, **options
        )
        np.testing.assert_array_equal(together[1], alone[0])
        for key, weights in maps.items():
            keys = found[key].shape[-1]
            rows = weights[1][:, : found[key].shape[-2]]
            np.testing.assert_allclose(rows[..., :keys], found[key][0], atol=1e-9)
            assert (rows[..., keys:] == 0).all()
