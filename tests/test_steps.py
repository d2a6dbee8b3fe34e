"""A layer called at each step: scan against loops and modules that others wrote."""

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from scipy import special

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import initial
from tests.layer_cases import ruff_complaints

CELLS = """
define Run(units) {{
  layers: cell = {cell}(units)
  forward(x):
    start = zeros((1, 1, units), x)
    {line}
}}
network N {{ input: (none, 5) layers: Run(4) }}
"""
LINES = {
    "LSTMCell": (
        "define Both(units) {{ layers: cell = LSTMCell(units) forward(x, h, c):\n"
        "h, c = cell(x, h, c)\n return h, h, c }}\n"
        "define Run(units) {{ layers: both = Both(units) forward(x):\n"
        "start = zeros((1, 1, units), x)\n"
        "y, h, c = scan(both, x, start, start)\n"
        "return concatenate([y, h + 0 * y, c + 0 * y]) }}\n"
    ),
    "GRUCell": (
        "define Run(units) {{ layers: cell = GRUCell(units) forward(x):\n"
        "return scan(cell, x, zeros((1, 1, units), x)) }}\n"
    ),
}
DECODERS = {
    "bahdanau": "BahdanauDecoder(6, memory=source)",
    "luong general": "LuongDecoder(6, memory=source)",
    "luong dot": 'LuongDecoder(8, "dot", memory=source)',
    "luong concat": 'LuongDecoder(6, "concat", memory=source)',
}
TRANSLATOR = """
network Translator {{
  input: {{ source: (none,) target: (none,) }}
  layers:
    source: {{
      Embedding(11, 8, mask_zero=true)
    }}
    target: {{
      Embedding(9, 5)
      {decoder}
      Output(9)
    }}
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.02)
}}
"""
RANDOM = np.random.default_rng(0)
SOURCE = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 0, 0, 0]])
TARGET = np.array([[1, 2, 3, 4], [8, 7, 6, 5]])


def checked_of(text):
    (checked,), warnings = check_text(text)
    assert warnings == []
    return checked


def translator(decoder, padded=False):
    text = TRANSLATOR.format(decoder=DECODERS[decoder])
    if padded:
        text = text.replace("Embedding(9, 5)", "Embedding(9, 5, mask_zero=true)")
    return checked_of(text)


@pytest.mark.requires_torch
@pytest.mark.parametrize("cell", LINES)
def test_cells_are_pytorchs(cell, backend):
    import torch

    network = "network N {{ input: (none, 5) layers: Run(4) }}"
    checked = checked_of((LINES[cell] + network).format())
    weights = {n.rpartition("cell.")[2]: w for n, w in initial(checked).items()}
    module = getattr(torch.nn, cell)(5, 4, dtype=torch.float64)
    names = {"ih": "input_gates", "hh": "state_gates"}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            kind, _, side = name.partition("_")
            parameter.copy_(torch.tensor(weights[f"{names[side]}.{kind}"]))
    x = RANDOM.normal(size=(2, 7, 5))
    state, states = None, []
    for part in torch.tensor(x).unbind(1):
        state = module(part, state)
        states.append(state[0] if cell == "LSTMCell" else state)
    expected = torch.stack(states, dim=1)
    if cell == "LSTMCell":
        last = [part[:, None].expand_as(expected) for part in state]
        expected = torch.cat([expected, *last], dim=-1)
    loaded = load_model(checked, backend, dtype="float64")
    output, _ = run(loaded.model, loaded.backend, x)
    np.testing.assert_allclose(output, expected.detach().numpy(), atol=1e-12)


MASKED = """
define Both(units) {
  layers: cell = LSTMCell(units)
  forward(x, h, c):
    h, c = cell(x, h, c)
    return h, h, c
}
define Run(units) {
  layers: both = Both(units)
  forward(x, start, attention_mask = none):
    y, h, c = scan(both, x, start, -start, mask=attention_mask)
    return concatenate([y, h, c], axis=1)
}
network N {
  input: { x: (none, 5) start: (1, 4) attention_mask: (none,) }
  layers: Run(4)
}
"""
REAL = np.array([[0, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]) != 0


@pytest.mark.requires_torch
def test_hidden_steps_keep_the_states_and_give_0(backend):
    """As PyTorch's LSTM reads the texts without them; with no step, it stays."""
    import torch

    checked = checked_of(MASKED)
    module = torch.nn.LSTM(5, 4, batch_first=True, dtype=torch.float64)
    weights = {n.rpartition("cell.")[2]: w for n, w in initial(checked).items()}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            kind, side, _ = name.split("_")
            layer = {"ih": "input_gates", "hh": "state_gates"}[side]
            parameter.copy_(torch.tensor(weights[f"{layer}.{kind}"]))
    x, start = RANDOM.normal(size=(3, 6, 5)), RANDOM.normal(size=(3, 1, 4))
    expected = np.zeros((3, 8, 4))
    expected[:, 6:] = np.concatenate([start, -start], axis=1)
    for i in (0, 1):
        h = torch.tensor(start[i : i + 1])
        steps, (h, c) = module(torch.tensor(x[i : i + 1, REAL[i]]), (h, -h))
        expected[i, :6][REAL[i]] = steps[0].detach()
        expected[i, 6:] = torch.cat([h, c], dim=1)[0].detach()
    loaded = load_model(checked, backend, dtype="float64")
    inputs = {"x": x, "start": start, "attention_mask": REAL.astype(int)}
    output, _ = run(loaded.model, loaded.backend, inputs)
    np.testing.assert_allclose(output, expected, atol=1e-12)
    del inputs["attention_mask"]
    output, _ = run(loaded.model, loaded.backend, inputs)
    np.testing.assert_allclose(output[1], expected[1], atol=1e-12)


class Equation:
    """The decoders of the two papers, step by step in NumPy, and their alignments."""

    def __init__(self, weights):
        self.w = {n.rpartition("decoder_0.")[2]: w for n, w in weights.items()}
        self.source = weights["embedding_0.weight"][SOURCE].astype(float)
        self.target = weights["embedding_1.weight"][TARGET].astype(float)
        self.seen = (SOURCE != 0)[:, :, None]
        mean = (self.source * self.seen).sum(1) / self.seen.sum(1)
        self.first = np.tanh(self.dense(mean, "first_state"))
        self.out = weights["output_0.weight"], weights["output_0.bias"]

    def dense(self, x, name):
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0)

    def shares(self, logits):
        return special.softmax(np.where(self.seen[..., 0], logits, -np.inf), axis=1)

    def additive(self, query, left, right, last):
        each = self.dense(query, left)[:, None] + self.dense(self.source, right)
        return self.dense(np.tanh(each), last)[..., 0]

    def bahdanau(self):
        state, states, maps = self.first, [], []
        names = ("query_projection", "key_projection", "score")
        for y in np.moveaxis(self.target, 1, 0):
            logits = self.additive(state, *(f"step.attention.{n}" for n in names))
            maps.append(self.shares(logits))
            context = (maps[-1][..., None] * self.source).sum(1)
            state = self.gru(np.concatenate([y, context], -1), state)
            states.append(state)
        return self.answer(states), np.stack(maps, 1)

    def gru(self, x, state):
        a = np.split(self.dense(x, "step.cell.input_gates"), 3, -1)
        b = np.split(self.dense(state, "step.cell.state_gates"), 3, -1)
        reset, update = (special.expit(a[i] + b[i]) for i in (0, 1))
        new = np.tanh(a[2] + reset * b[2])
        return (1 - update) * new + update * state

    def luong(self, score):
        hidden = self.first
        cell, attended = 0 * hidden, 0 * hidden
        states, maps = [], []
        for y in np.moveaxis(self.target, 1, 0):
            gates = self.dense(
                np.concatenate([y, attended], -1), "step.lstm.input_gates"
            )
            gates = gates + self.dense(hidden, "step.lstm.state_gates")
            i, f, g, o = np.split(gates, 4, -1)
            cell = special.expit(f) * cell + special.expit(i) * np.tanh(g)
            hidden = special.expit(o) * np.tanh(cell)
            maps.append(self.shares(self.luong_logits(hidden, score)))
            context = (maps[-1][..., None] * self.source).sum(1)
            both = np.concatenate([context, hidden], -1)
            attended = np.tanh(self.dense(both, "step.combine"))
            states.append(attended)
        return self.answer(states), np.stack(maps, 1)

    def luong_logits(self, hidden, score):
        if score == "concat":
            names = ("query_part", "key_part", "weigh")
            return self.additive(hidden, *(f"step.attention.{n}" for n in names))
        keys = self.source
        if score == "general":
            keys = self.dense(keys, "step.attention.key_projection")
        return (keys * hidden[:, None]).sum(-1)

    def answer(self, states):
        weight, bias = self.out
        return special.softmax(np.stack(states, 1) @ weight.T + bias, axis=-1)


@pytest.mark.parametrize("decoder", DECODERS)
def test_recurrent_decoders_are_the_papers_equations(decoder, backend):
    checked = translator(decoder)
    equation = Equation(initial(checked))
    name, _, score = decoder.partition(" ")
    expected, alignments = (
        equation.luong(score) if name == "luong" else equation.bahdanau()
    )
    loaded = load_model(checked, backend, dtype="float64")
    inputs = {"source": SOURCE, "target": TARGET}
    output, maps = run(loaded.model, loaded.backend, inputs)
    np.testing.assert_allclose(output, expected, atol=1e-10)
    ((weights, mask),) = maps.values()
    np.testing.assert_allclose(weights[:, 0], alignments, atol=1e-10)
    assert mask.shape == (2, 1, 4, 6)
    assert (mask[1, 0] == [True, True, True, False, False, False]).all()


def test_one_block_serves_all_steps_at_once_and_one_by_one(backend):
    """Additive attention from given states: the same map, whoever runs the loop."""
    text = """
    define Step() {
      layers: attention = AdditiveAttention(3)
      forward(x, state, memory, memory_mask = none):
        return attention(x, memory, attention_mask=memory_mask), state
    }
    define OneByOne() {
      layers: step = Step()
      forward(x, memory, memory_mask = none):
        y, state = scan(step, x, x_first(x), memory, memory_mask)
        return y
    }
    define AtOnce() {
      layers: step = Step()
      forward(x, memory, memory_mask = none):
        y, state = step(x, x, memory, memory_mask)
        return y
    }
    network N {
      input: { source: (none,) target: (none,) }
      layers:
        source: { Embedding(11, 8, mask_zero=true) }
        target: { Embedding(9, 5) BLOCK(memory=source) }
    }
    """.replace("x_first(x)", "slice(x, 0, 1, axis=1)")
    found = []
    for block in ("OneByOne", "AtOnce"):
        loaded = load_model(
            checked_of(_with_only(text, block)), backend, dtype="float64"
        )
        inputs = {"source": SOURCE, "target": TARGET}
        output, maps = run(loaded.model, loaded.backend, inputs)
        ((weights, _),) = maps.values()
        found += [output, weights]
    np.testing.assert_allclose(found[0], found[2], atol=1e-12)
    np.testing.assert_allclose(found[1], found[3], atol=1e-12)


def _with_only(text, block):
    other = {"OneByOne": "AtOnce", "AtOnce": "OneByOne"}[block]
    start = text.index(f"define {other}")
    end = text.index("    }\n", start) + 6
    return (text[:start] + text[end:]).replace("BLOCK", block)


@pytest.mark.requires_torch
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_weight_gets_a_gradient_through_the_steps(decoder, padded):
    import torch

    namespace = {}
    exec(emit(translator(decoder, padded), get("pytorch")), namespace)
    torch.manual_seed(0)
    model = namespace["create_model"](dtype="float64")
    found = []
    for keeps in (False, True):
        model.set_store_attention(keeps)
        target = np.pad(TARGET, ((0, 0), (2 * padded * keeps, 0)))
        inputs = {"source": torch.tensor(SOURCE), "target": torch.tensor(target)}
        model.zero_grad()
        (model(inputs)[:, -4:] ** 2).sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters()})
    for name, gradient in found[0].items():
        assert gradient.abs().max() > 0, name
        np.testing.assert_allclose(found[1][name], gradient, atol=1e-12)


@pytest.mark.thorough(but="bahdanau")
@pytest.mark.requires_tensorflow
@pytest.mark.parametrize(
    ("decoder", "padded"), [("bahdanau", True), ("luong general", False)]
)
def test_keras_learns_through_the_steps(decoder, padded, tmp_path):
    import keras

    namespace = {}
    exec(emit(translator(decoder, padded), get("tensorflow")), namespace)
    keras.utils.set_random_seed(0)
    model = namespace["create_model"]()
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    target = np.pad(TARGET, ((0, 0), (2 * padded, 0)))
    inputs = {"source": SOURCE, "target": target}
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    history = model.fit(inputs, (target + 1) % 9, epochs=15, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    assert all(abs(a - b).max() > 0 for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-6)
    # the symbols of `fit` are gone: a call keeps what it computed
    _, maps = model(inputs, return_attention=True)
    (weights,) = maps.values()
    assert keras.ops.convert_to_numpy(weights).shape == (2, 1, *target.shape[1:], 6)


def test_one_step_and_none(backend):
    loaded = load_model(translator("bahdanau"), backend)
    inputs = {"source": SOURCE, "target": TARGET}
    whole, _ = run(loaded.model, loaded.backend, inputs)
    one, maps = run(loaded.model, loaded.backend, {**inputs, "target": TARGET[:, :1]})
    np.testing.assert_allclose(one, whole[:, :1], atol=1e-6)
    assert next(iter(maps.values()))[0].shape == (2, 1, 1, 6)
    with pytest.raises(ValueError, match="there is no step to scan"):
        run(loaded.model, loaded.backend, {**inputs, "target": TARGET[:, :0]})


@pytest.mark.parametrize("decoder", ["bahdanau", "luong dot"])
def test_padding_of_the_target_changes_no_step(decoder, backend):
    """Nor a row of the map, wherever the padding stands."""
    loaded = load_model(translator(decoder, padded=True), backend, dtype="float64")
    inputs = {"source": SOURCE, "target": TARGET}
    expected, maps = run(loaded.model, loaded.backend, inputs)
    ((rows, _),) = maps.values()
    padded = np.zeros((2, 7), int)
    places = np.array([[2, 3, 4, 6], [0, 1, 3, 5]])
    np.put_along_axis(padded, places, TARGET, axis=1)
    output, maps = run(loaded.model, loaded.backend, {**inputs, "target": padded})
    ((weights, _),) = maps.values()
    for i, at in enumerate(places):
        np.testing.assert_allclose(output[i, at], expected[i], atol=1e-12)
        np.testing.assert_allclose(weights[i, :, at], rows[i, 0][:, None], atol=1e-12)


def test_a_decoder_whose_target_has_no_padding_knows_of_none(backend):
    code = emit(translator("bahdanau"), get(backend))
    assert "(self, x, memory, memory_mask=None):" in code
    assert "real_steps" not in code


def test_later_targets_and_padding_change_nothing_before(backend):
    loaded = load_model(translator("luong general"), backend, dtype="float64")
    inputs = {"source": SOURCE, "target": TARGET}
    whole, _ = run(loaded.model, loaded.backend, inputs)
    changed = {**inputs, "target": np.where([0, 0, 1, 1], 3, TARGET)}
    other, _ = run(loaded.model, loaded.backend, changed)
    np.testing.assert_array_equal(whole[:, :2], other[:, :2])
    longer = {**inputs, "source": np.pad(SOURCE, ((0, 0), (0, 3)))}
    other, _ = run(loaded.model, loaded.backend, longer)
    np.testing.assert_allclose(whole, other, atol=1e-12)


@pytest.mark.parametrize("decoder", DECODERS)
def test_maps_know_whose_steps_they_are(decoder):
    (found,) = translator(decoder).attentions.values()
    assert (found.kind, found.queries, found.keys) == ("cross", "target", "source")


@pytest.mark.parametrize("decoder", ["bahdanau", "luong concat"])
def test_the_code_is_clean_and_tells_its_sizes(decoder, backend, tmp_path):
    checked = translator(decoder)
    assert ruff_complaints(emit(checked, get(backend)), tmp_path) == ""
    assert str(checked.root.output) == "(batch, time, 9)"
    code = emit(checked, get("pytorch"))
    if decoder == "bahdanau":
        assert "AdditiveAttention(state_width, memory_width, units)" in code


@pytest.mark.parametrize(
    ("part", "at"),
    {"slice(memory, -1, axis=1)": -1, "slice(memory, 0, 1, axis=1)": 0}.items(),
)
def test_an_end_of_a_sequence_of_any_length_is_one_step(part, at, backend):
    checked = checked_of(
        f"""
    define Step() {{ forward(x, state): state = x + state return state, state }}
    define Reader() {{
      layers: step = Step()
      forward(x, memory):
        y, state = scan(step, x, {part})
        return y
    }}
    network N {{ input: {{ memory: (none, 3) x: (none, 3) }} layers: Reader() }}"""
    )
    loaded = load_model(checked, backend, dtype="float64")
    memory, x = RANDOM.normal(size=(2, 5, 3)), RANDOM.normal(size=(2, 4, 3))
    output, _ = run(loaded.model, loaded.backend, {"memory": memory, "x": x})
    expected = memory[:, [at]] + x.cumsum(axis=1)
    np.testing.assert_allclose(output, expected, atol=1e-12)


ENDS = """define Ends(k) {
  layers: dense = Dense(3)
  forward(x):
    ends = concatenate([slice(x, 0, 1, axis=1), slice(x, -1, axis=1)])
    some = sum(slice(x, 0, k, axis=1), axis=1)
    return dense(slice(x @ transpose(x), -1)) + some + mean(ends)
}
network N { input: (none, 3) layers: Ends(1) Ends(2) }"""


def test_parts_of_a_size_that_varies_are_no_end(backend):
    checked = checked_of(ENDS)
    weights = initial(checked)
    loaded = load_model(checked, backend, dtype="float64")
    _assign(loaded, weights)
    x = RANDOM.normal(size=(2, 5, 3))
    output, _ = run(loaded.model, loaded.backend, x)
    for i in range(2):
        name = f"ends_{i}.dense"
        last = (x @ x.transpose(0, 2, 1))[..., -1:]
        ends = np.concatenate([x[:, :1], x[:, -1:]], axis=-1)
        dense = last @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        some = x[:, : i + 1].sum(1, keepdims=True)
        x = dense + some + ends.mean(-1, keepdims=True)
    np.testing.assert_allclose(output, x, atol=1e-12)


@pytest.mark.requires_tensorflow
def test_keras_knows_that_an_end_is_one_step():
    """Its layers are built from symbols, whose lengths are not known."""
    flat = "layers: flatten = Flatten() more = Dense(3) dense"
    text = ENDS.replace("layers: dense", flat).replace("mean(ends)", "mean(y)")
    text = text.replace("return", "y = more(flatten(ends)) return").replace(
        "mean(y)", "reshape(y, (-1, 1, 3))"
    )
    names = {"__name__": "ends_of_any_length"}
    exec(emit(checked_of(text), get("tensorflow")), names)
    assert names["create_model"]()(np.ones((2, 5, 3))).shape == (2, 5, 3)


REFUSED = {
    "return scan(x, x)": "scan takes a layer first",
    "return scan()": "scan takes a layer first",
    "return scan(dense, x)": "`dense` has no state",
    "return scan(several, x)": "`several` is not a single layer here",
    "return scan(grows, x, x)": "the state `state` of `grows` goes in as (batch, 6, 5)",
    "return scan(cell, x, slice(x, 0, 4))": "the state `state` of `cell` starts as",
    "return scan(cell, x, zeros((1, 4), x))": "one that starts so is `zeros((1, 1, 4)",
    "return scan(cell, x, zeros((1, 1, 3), x))": "scan from (1, 1, 3)",
    "return scan(cell, x, 1)": "`cell` has no state",
    "return scan(cell, x, x_0, mask=x)": "the mask of `cell` is true where a step is",
    "return scan(cell, x, x_0, mask=x_0 > 0)": "a mask of shape (batch, 1, 5) does not",
    "return scan(cell, x, x_0, mask=none, mask=none)": "`cell` has no parameter `mask`",
    "return scan(masked, x, x_0)": "`masked` has an input called `mask`, and scan",
    "return scan(cell, x, x, x)": "`cell` takes at most 2 arguments",
    "a, b = scan(cell, x, zeros((1, 1, 4), x))\n return a": "gives 1, but 2 names",
    "return scan(flat, x, zeros((1, 4), x))": "gives (batch, 4) at one step",
    "return zeros((1, 0), x) + x": "the sizes of zeros are whole numbers from 1",
    "return zeros(4, x) + x": "zeros needs a shape in parentheses",
}


@pytest.mark.parametrize(("body", "message"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_scanned_is_said(body, message):
    text = f"""
    define Flat() {{
      layers: flatten = Flatten() dense = Dense(4)
      forward(x, state):
        return dense(flatten(x)), state
    }}
    define Grows() {{
      forward(x, state):
        return x, concatenate([state, state])
    }}
    define Masked() {{
      forward(x, state, mask = none):
        return x + state
    }}
    define Own() {{
      layers:
        masked = Masked()
        grows = Grows()
        cell = GRUCell(4)
        dense = Dense(4)
        several = GRUCell(4) * 2
        flat = Flat()
      forward(x):
        {body}
    }}
    network N {{ input: (6, 5) layers: Own() }}""".replace(
        "x_0", "slice(x, 0, 1, axis=1)"
    )
    with pytest.raises(NeuralError) as caught:
        check_text(text)
    found = [f"{one.message}; {one.hint}" for one in caught.value.diagnostics]
    assert any(message in one for one in found), found


TWICE = """
define Step(units) {
  layers: attention = AdditiveAttention(3) cell = GRUCell(units)
  forward(x, state, memory):
    return cell(attention(x, memory) + x, state)
}
define Twice(units) {
  layers: STEP
  forward(x):
    start = zeros((1, 1, units), x)
    y = scan(step, x, start, x)
    return scan(AGAIN, y, start, x)
}
network N { input: (5, 4) layers: Twice(4) }
"""


def test_a_step_that_is_scanned_twice_gives_both_maps(backend):
    """The same as two steps with the same weights, of which each is scanned once."""
    one = TWICE.replace("STEP", "step = Step(units)").replace("AGAIN", "step")
    two = TWICE.replace("STEP", "step = Step(units) other = Step(units)")
    checked, apart = checked_of(one), checked_of(two.replace("AGAIN", "other"))
    x = np.random.default_rng(0).normal(size=(2, 5, 4))
    loaded = load_model(checked, backend, dtype="float64")
    for _ in range(2):  # nothing of the first run is left in the second
        output, maps = run(loaded.model, loaded.backend, x)
    weights = initial(checked)
    both = {name: weights[name.replace(".other.", ".step.")] for name in initial(apart)}
    other = load_model(apart, backend, dtype="float64")
    _assign(other, both)
    expected, maps_apart = run(other.model, other.backend, x)
    np.testing.assert_allclose(output, expected, atol=1e-12)
    assert len(maps) == len(maps_apart) == 2
    for (ours, _), (theirs, _) in zip(maps.values(), maps_apart.values(), strict=True):
        assert ours.shape == (2, 1, 5, 5)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def _assign(loaded, weights):
    import tempfile
    from pathlib import Path

    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(weights, path)
        loaded.model.load_weights(path)


def test_a_step_attends_once_with_each_layer():
    text = TWICE.replace(
        "attention(x, memory) + x", "attention(x, attention(x, memory))"
    )
    text = text.replace("STEP", "step = Step(units)").replace("AGAIN", "step")
    with pytest.raises(NeuralError) as caught:
        check_text(text)
    message = caught.value.diagnostics[0].message
    assert message == "`step` attends several times with one layer at each step"


def test_a_cell_of_the_authors_own_stands_in_a_chain():
    text = """
    define GRUCell(units) {
      layers: dense = Dense(units)
      forward(x, side): return dense(x) + side
    }
    network N { input: { x: (5, 4) side: (5, 3) } layers: GRUCell(3) }
    """
    assert str(checked_of(text).root.output) == "(batch, 5, 3)"


def test_a_layer_of_the_name_scan_is_a_layer(backend):
    text = """define Own() {
      layers: scan = Dense(4)
      forward(x): return scan(x)
    }
    network N { input: (6, 5) layers: Own() }"""
    assert "self.scan(x)" in emit(checked_of(text), get(backend))
