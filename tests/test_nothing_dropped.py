"""Whatever an author writes has an effect, or an error, or a warning: never nothing.

Each parameter of each block, optimizer, schedule and loss is changed alone; native
layers have test_layers_parameters.py.
"""

from functools import cache

import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit
from neural_attn.grammar import prelude

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.training.catalogue import (
    LOSSES,
    METRICS,
    METRICS_TO_COME,
    OPTIMIZERS,
    SCHEDULES,
    TRAIN,
    TRAIN_TO_COME,
)
from tests.every_backend import EVERY, TRAINING

BACKENDS = tuple(EVERY)


def network(layers, shape="(8, 4)", settings=""):
    return f"network N {{ input: {shape} layers: {layers} {settings} }}"


@cache
def outcome(text):
    """For each backend the code and what is warned of; or the codes of the errors."""
    try:
        (checked,), warnings = check_text(text)
    except NeuralError as error:
        return "refused", [d.code for d in error.diagnostics]
    found = {}
    for backend in map(get, BACKENDS):
        said = [*warnings, *backend.cannot(checked)]
        found[backend.name] = emit(checked, backend), {d.code + d.message for d in said}
    return found


def assert_effect(before, after, *, but_for=()):
    """The second text differs on each backend, or is refused."""
    first, second = outcome(before), outcome(after)
    assert "refused" not in first
    for backend in BACKENDS:
        if "refused" not in second and backend not in but_for:
            assert first[backend] != second[backend], backend
    return second


# --- blocks ------------------------------------------------------------------------

BLOCKS = {  # block: (arguments, input, another value for each parameter)
    "Attention": ("", "(8, 4)", "num_heads=2 dropout=0.5 causal=true"),
    "MultiHeadAttention": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=4 key_dim=3 value_dim=3 dropout=0.5 use_bias=false causal=true "
        "d_model=5",
    ),
    "FeedForward": (
        "ff_dim=6",
        "(8, 4)",
        'ff_dim=7 activation="tanh" use_bias=false d_model=5',
    ),
    "TransformerEncoder": (
        "num_heads=2, ff_dim=6",
        "(8, 4)",
        'num_heads=4 ff_dim=7 dropout=0.5 activation="tanh" norm_first=true '
        "epsilon=0.1 key_dim=3 causal=true d_model=5",
    ),
    "TransformerDecoder": (
        "num_heads=2, ff_dim=6",
        "(8, 4)",
        'num_heads=4 ff_dim=7 dropout=0.5 activation="tanh" norm_first=true '
        "epsilon=0.1 causal=false with_memory=true key_dim=3 d_model=5",
    ),
    "PositionalEncoding": (
        "",
        "(8, 4)",
        'max_len=9 encoding_type="learned" dropout=0.5 d_model=5',
    ),
    "TransformerEmbedding": (
        "vocab_size=9, d_model=4",
        "{ input_ids: (8,) token_type_ids: (8,) }",
        "vocab_size=8 d_model=6 max_len=9 type_vocab_size=3 dropout=0.5 epsilon=0.1",
    ),
    "SeparableConv1D": (
        "filters=4, kernel_size=2",
        "(8, 4)",
        'filters=3 kernel_size=3 strides=2 padding="same" dilation_rate=2 '
        'depth_multiplier=2 activation="tanh" use_bias=false',
    ),
    "SeparableConv2D": (
        "filters=4, kernel_size=2",
        "(8, 8, 4)",
        'filters=3 kernel_size=3 strides=2 padding="same" dilation_rate=2 '
        'depth_multiplier=2 activation="tanh" use_bias=false',
    ),
    "GraphAttention": (
        "num_heads=2",
        "{ nodes: (8, 4) adjacency: (8, 8) }",
        'num_heads=4 units=3 dropout=0.5 activation="tanh" d_model=5',
    ),
}
BLOCKS |= {
    "RMSNorm": ("", "(8, 4)", "epsilon=0.1 d_model=5"),
    "GatedFeedForward": (
        "ff_dim=6",
        "(8, 4)",
        'ff_dim=7 activation="tanh" use_bias=true d_model=5',
    ),
    "RotaryPositions": (
        "",
        "(8, 4)",
        "theta=5 rotary_dim=2 factor=2 original_length=7 low_frequency=2 "
        "high_frequency=3 size=5 yarn=true truncate=false beta_fast=3 beta_slow=2",
    ),
    "GroupedQueryAttention": (
        "num_heads=2",
        "(8, 8)",
        "num_heads=4 num_kv_heads=1 head_dim=6 theta=5 rotary_dim=2 factor=2 "
        "original_length=7 causal=false window=3 scale=2 cap=3 sinks=true "
        "qk_norm=true epsilon=0.1 use_bias=true output_bias=true dropout=0.5 "
        "d_model=5 yarn=true truncate=false",
    ),
    "LlamaDecoder": (
        "num_heads=2, num_kv_heads=2, ff_dim=6",
        "(8, 8)",
        "num_heads=4 num_kv_heads=1 ff_dim=7 head_dim=6 "
        'activation="tanh" dropout=0.5 epsilon=0.1 sandwich_norm=true theta=5 '
        "rotary_dim=2 factor=2 original_length=7 window=3 scale=2 cap=3 sinks=true "
        "qk_norm=true use_bias=true output_bias=true ff_bias=true d_model=5 yarn=true "
        "truncate=false",
    ),
}
BLOCKS["MixtureOfExperts"] = (
    "num_experts=4, experts_per_token=2, ff_dim=6",
    "(8, 4)",
    'num_experts=3 experts_per_token=1 ff_dim=7 activation="tanh" use_bias=true '
    "normalized=false limit=3 d_model=5",
)
BLOCKS["MixtralDecoder"] = (
    "num_heads=2, num_kv_heads=2, ff_dim=6, num_experts=4",
    "(8, 8)",
    "num_heads=4 num_kv_heads=1 ff_dim=7 num_experts=3 experts_per_token=1 head_dim=6 "
    'activation="tanh" dropout=0.5 epsilon=0.1 theta=5 factor=2 original_length=7 '
    "window=3 sinks=true qk_norm=true use_bias=true output_bias=true ff_bias=true "
    "normalized=false limit=3 d_model=5 yarn=true truncate=false",
)
_PAIR = "{ source: (8, 4) target: (6, 4) }"
BLOCKS |= {
    "AdditiveAttention": ("", "(8, 4)", "units=3 d_model=5"),
    "LuongAttention": ("", "(8, 4)", 'score="dot" d_model=5'),
    "LSTMCell": ("units=3", "(8, 4)", "units=2"),
    "GRUCell": ("units=3", "(8, 4)", "units=2"),
    "BahdanauStep": ("units=3", "(8, 4)", "units=2"),
    "LuongStep": ("units=4", "(8, 4)", 'units=2 score="concat"'),
    "BahdanauDecoder": ("units=3", _PAIR, "units=2"),
    "LuongDecoder": ("units=4", _PAIR, 'units=2 score="dot"'),
}
BLOCKS["NeoXDecoder"] = (
    "num_heads=2, ff_dim=6",
    "(8, 8)",
    "num_heads=1 ff_dim=7 rotary_dim=2 theta=5 factor=2 original_length=7 "
    'activation="tanh" parallel=false use_bias=false dropout=0.5 epsilon=0.1 d_model=5',
)
BLOCKS["RotaryEncoder"] = (
    "num_heads=2, ff_dim=6",
    "(8, 8)",
    "num_heads=1 ff_dim=7 theta=5 factor=2 original_length=7 window=3 normed=false "
    'activation="tanh" use_bias=true ff_bias=true dropout=0.5 epsilon=0.1 d_model=5',
)
_T5 = (
    'num_heads=1 ff_dim=7 key_dim=3 activation="tanh" gated=true dropout=0.5 '
    "epsilon=0.1 d_model=5"
)
BLOCKS |= {
    "RelativePositionBias": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=1 num_buckets=8 max_distance=9 bidirectional=false",
    ),
    "T5Attention": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=4 key_dim=3 dropout=0.5 causal=true d_model=5",
    ),
    "LinearBias": ("num_heads=2", "(8, 4)", "num_heads=1"),
    "LinearBiasAttention": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=4 dropout=0.5 use_bias=false causal=true d_model=5",
    ),
    "PatchEmbedding": (
        "d_model=4, patch_size=2",
        "(8, 8, 3)",
        "d_model=3 patch_size=4",
    ),
    "T5Encoder": ("num_heads=2, ff_dim=6", "(8, 4)", _T5),
    "T5Decoder": ("num_heads=2, ff_dim=6", "(8, 4)", _T5),
    "FrameEmbedding": ("d_model=4", "(8, 4)", "d_model=3"),
    "ClassToken": ("", "(8, 4)", "d_model=5"),
    "FirstStep": ("", "(8, 4)", "d_model=5"),
    "LastStep": ("", "(8, 4)", "d_model=5"),
    "DifferentialAttention": (
        "num_heads=2",
        "(8, 8)",
        "num_heads=4 depth=1 causal=true epsilon=0.1 d_model=5",
    ),
    "SigmoidAttention": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=4 use_bias=false causal=true d_model=5",
    ),
    "LinearAttention": (
        "num_heads=2",
        "(8, 4)",
        "num_heads=4 observed=false use_bias=false causal=true d_model=5",
    ),
    "LinearAttentionStep": ("num_heads=2", "(8, 12)", "num_heads=1"),
    "LatentAttention": (
        "num_heads=2, latent_dim=4",
        "(8, 16)",
        "num_heads=4 latent_dim=3 query_latent_dim=5 key_dim=4 rotary_dim=2 "
        "value_dim=3 theta=9 epsilon=0.1 causal=true d_model=5",
    ),
}
# the layers around a block that takes more than what a chain hands on
_DECODER = "source: {{ Dense(4) }} target: {{ {} }}"
_STEP = """Run({units}) define Run(units) {{ layers: step = {} forward(x):
  start = zeros((1, 1, units), x) """


_BIASED = """Run() define Run() {{ layers: bias = {} forward(x):
  heads = split_heads(x, 2) return attend(heads, heads, heads, bias=bias(x)) }}"""


BLOCK_WITHIN = {
    "RotaryPositions": "Turn() define Turn() {{ layers: rotary = {} forward(x): "
    "return merge_heads(rotary(split_heads(x, 1), positions(x))) }}",
    "RelativePositionBias": _BIASED,
    "LinearBias": _BIASED,
    "T5Encoder": """Run() define Run() {{
      layers: bias = RelativePositionBias({heads}) layer = {}
      forward(x): return layer(x, bias(split_heads(x, 2))) }}""",
    "T5Decoder": """Run() define Run() {{
      layers: bias = RelativePositionBias({heads}) layer = {}
      forward(x): return layer(x, x, bias(split_heads(x, 2))) }}""",
    "LinearAttentionStep": """Run() define Run() {{ layers: step = {} forward(x):
      start = zeros((1, {heads}, 4 / {heads}, 4 / {heads}), x)
      y, _, _ = scan(step, x, start, zeros((1, {heads}, 1, 4 / {heads}), x))
      return y }}""",
    "BahdanauDecoder": _DECODER,
    "LuongDecoder": _DECODER,
    "LSTMCell": _STEP + "h, c = step(slice(x, 0, 1, axis=1), start, start) return h }}",
    "GRUCell": _STEP + "return scan(step, x, start) }}",
    "BahdanauStep": _STEP + "return scan(step, x, start, x) }}",
    "LuongStep": _STEP
    + "y, _, _, _ = scan(step, x, start, start, start, x) return y }}",
}
OTHER_VALUES = [
    (name, *change.split("="))
    for name, (_, _, changes) in BLOCKS.items()
    for change in changes.split()
]
# a width that does not fit what arrives; a decoder without an encoder
MISFITS = ("d_model=5", "size=5", "size=6", "with_memory=true", "yarn=true")


def test_no_parameter_of_a_block_is_left_out():
    declared = {(d.name.text, p.name) for d in prelude().defines for p in d.parameters}
    assert declared == {(name, parameter) for name, parameter, _ in OTHER_VALUES}


def block(name, changes):
    given, shape, _ = BLOCKS[name]
    options = dict(item.split("=") for item in given.split(", ") if item) | changes
    if name in BLOCK_WITHIN and shape == _PAIR:
        options["memory"] = "source"
    arguments = ", ".join(f"{key}={value}" for key, value in sorted(options.items()))
    around, units = BLOCK_WITHIN.get(name, "{}"), options.get("units")
    heads = options.get("num_heads")
    layer = around.format(f"{name}({arguments})", units=units, heads=heads)
    return network(layer, shape)


@pytest.mark.parametrize(("name", "parameter", "value"), OTHER_VALUES)
def test_each_parameter_of_a_block_has_an_effect(name, parameter, value):
    found = assert_effect(block(name, {}), block(name, {parameter: value}))
    assert "refused" not in found or f"{parameter}={value}" in MISFITS
    if "refused" not in found:  # nor is one warned of that has an effect
        code, said = found["pytorch"]
        changed = code != outcome(block(name, {}))["pytorch"][0]
        assert changed != any(text.startswith("W0116") for text in said)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "parameter", "value"), OTHER_VALUES)
def test_each_parameter_has_an_effect_beside_each_other_one(name, parameter, value):
    """One that matters only for some values of another must not be dropped there."""
    for other, first, second in OTHER_VALUES:
        if other != name or first == parameter:
            continue
        before = block(name, {first: second})
        if "refused" not in outcome(before):
            assert_effect(before, block(name, {first: second, parameter: value}))


CHOOSING = """
define Choosing(kind = "a", size = 4) {
  layers:
    if kind == "b" { dense = Dense(size) } else { dense = Dense(8) }
  forward(x): return dense(x)
}
define Passing(kind = "a", size = 5) { Choosing(kind=kind, size=size) }
define Both(size = 6) { Choosing(size=size) Choosing("b", size) }
define Fixed() { Choosing("b", 4) Choosing("a", 4) }
"""


@pytest.mark.parametrize(
    ("layers", "warned"),
    [
        ("Choosing(size=3)", ["size=3"]),
        ('Choosing("b", size=3)', []),
        ("Passing(size=3)", ["size=3"]),
        ('Passing("b", size=3)', []),
        ("Passing(size=3) * 2 Choosing(size=2)", ["size=3", "size=2"]),
        ("Both(size=3)", []),
    ],
)
def test_a_parameter_that_nothing_looks_at_is_named_where_it_is_given(layers, warned):
    text = CHOOSING.replace("define Fixed", "# define Fixed") + network(layers)
    _, warnings = check_text(text)
    assert [w.code for w in warnings] == ["W0116"] * len(warned)
    places = [
        text[: w.span.end].rpartition("(")[2].rpartition(" ")[2] for w in warnings
    ]
    assert places == warned


def test_a_parameter_given_in_vain_inside_a_define_is_named_there():
    text = CHOOSING + network("Fixed() Fixed()")
    (warning,) = check_text(text)[1]
    assert text[warning.span.start - 5 : warning.span.end] == '"a", 4'


def test_an_unused_parameter_is_warned_of_once():
    text = "define Own(rate = 1) { Dense(4) }" + network("Own(rate=2)")
    assert [w.code for w in check_text(text)[1]] == ["W0106"]


# --- what stands around layers -----------------------------------------------------

AROUND = {
    "device": ("Dense(4)", 'Dense(4) @ "cuda:0"'),
    "repeat": ("Dense(4)", "Dense(4) * 2"),
    "name": ("Dense(4)", "mine = Dense(4)"),
    "comment": ("Dense(4)", "\n# why\nDense(4)"),
    "layers inside": ("Dense(4)", "Dense(4) { Dense(4) }"),
    "wiring of a layer that has none": ("Dense(4)", 'Dense(4, mode="self")'),
    "memory of a layer that has none": ("Dense(4)", "Dense(4, memory=inputs)"),
    "mode": (
        "MultiHeadAttention(2)",
        'MultiHeadAttention(2, mode="other")',
    ),
    "repeat of a layer with num_layers": (
        "TransformerEncoder(2, 6, num_layers=2)",
        "TransformerEncoder(2, 6, num_layers=2) * 3",
    ),
    "repeated residual": (
        "ResidualConnection { Dense(4) }",
        "ResidualConnection { Dense(4) } * 2",
    ),
    "device of a residual": (
        "ResidualConnection { Dense(4) }",
        'ResidualConnection { Dense(4) } @ "cpu"',
    ),
    "arguments of a residual": (
        "ResidualConnection { Dense(4) }",
        "ResidualConnection(scale=2) { Dense(4) }",
    ),
    "name of a residual": (
        "ResidualConnection { Dense(4) }",
        "mine = ResidualConnection { Dense(4) }",
    ),
    "setting in a residual": (
        "ResidualConnection { Dense(4) }",
        "ResidualConnection { Dense(4) scale: 2 }",
    ),
    "repeated wrapper": (
        "TimeDistributed(Dense(4))",
        "TimeDistributed(Dense(4)) * 2",
    ),
    "device of a wrapper": (
        "TimeDistributed(Dense(4))",
        'TimeDistributed(Dense(4)) @ "cpu"',
    ),
    "layers in a wrapper": (
        "TimeDistributed(Dense(4))",
        "TimeDistributed(Dense(4)) { Dense(4) }",
    ),
    "name of a wrapper": (
        "TimeDistributed(Dense(4))",
        "mine = TimeDistributed(Dense(4))",
    ),
    "a name given twice": (
        "a = Dense(4) b = Dense(4)",
        "a = Dense(4) a = Dense(4)",
    ),
}


@pytest.mark.parametrize(("before", "after"), AROUND.values(), ids=AROUND)
def test_what_stands_around_a_layer_has_an_effect(before, after):
    assert_effect(network(before), network(after))


BRANCHES = "{{ a: (4,) b: (4,) }} layers: a: {{ Dense(3){} }} b: {{ Dense(3) }} Add()"


@pytest.mark.parametrize(
    "more", [" units: 3", ' @ "cpu"', " * 2", " if 1 { Dense(4) }", " layers: Dense(5)"]
)
def test_what_stands_in_a_branch_has_an_effect(more):
    before, after = (
        f"network N {{ input: {BRANCHES.format(more)} }}" for more in ("", more)
    )
    if more == " layers: Dense(5)":
        before = before.replace("Add()", "Concatenate()")
        after = after.replace("Add()", "Concatenate()")
    assert_effect(before, after)


def test_an_input_named_twice_is_refused():
    text = "network N { input: { a: (4,) a: (5,) } layers: a: { Dense(3) } }"
    assert outcome(text) == ("refused", ["E0208"])


# --- training settings -------------------------------------------------------------

TRAINERS_ONLY = ("numpy",)  # it says once that it does not train (W0114)
SCHEDULED = {
    "initial_learning_rate": ("0.1", "0.2"),
    "decay_steps": ("100", "200"),
    "decay_rate": ("0.5", "0.25"),
    "boundaries": ("[10]", "[20]"),
    "values": ("[0.1, 0.2]", "[0.1, 0.3]"),
    "d_model": ("8", "16"),
}
TRAINED = {
    "learning_rate": "0.5", "beta_1": "0.5", "beta_2": "0.5", "epsilon": "0.5",
    "weight_decay": "0.5", "momentum": "0.5", "nesterov": "true", "rho": "0.5",
    "centered": "true", "initial_accumulator_value": "0.5", "staircase": "true",
    "end_learning_rate": "0.5", "power": "2.0", "alpha": "0.5",
    "label_smoothing": "0.2", "delta": "2.0", "warmup_steps": "7", "scale": "2.0",
    "epochs": "3", "batch_size": "8", "validation_split": "0.5", "shuffle": "false",
    "gradient_clip": "1.0", "early_stopping_patience": "2",
}  # fmt: skip
ENTRIES = [
    pytest.param(what, entry, p, id=f"{entry.name}-{p.name}")
    for what, entries in (
        ("loss", LOSSES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)
    )
    for entry in entries
    for p in entry.parameters
]  # fmt: skip


def trained(settings):
    return network("Output(3)", "(4,)", settings)


@pytest.mark.parametrize(("what", "entry", "parameter"), ENTRIES)
def test_each_parameter_of_a_training_setting_has_an_effect(what, entry, parameter):
    options = {p.name: SCHEDULED[p.name][0] for p in entry.parameters if p.required}

    def text():
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        call = f"{entry.name}({given})"
        if what == "loss":
            return trained(f"loss: {call}")
        call = f"SGD(learning_rate={call})" if what == "schedule" else call
        return trained(f'loss: "mse" optimizer: {call}')

    before = text()
    other = SCHEDULED.get(parameter.name, ("", ""))[1]
    options[parameter.name] = other or TRAINED[parameter.name]
    found = assert_effect(before, text(), but_for=TRAINERS_ONLY)
    assert "refused" not in found


@pytest.mark.parametrize("parameter", TRAIN, ids=lambda p: p.name)
def test_each_setting_of_train_has_an_effect(parameter):
    before = trained('loss: "mse" train { }')
    after = trained(
        f'loss: "mse" train {{ {parameter.name}: {TRAINED[parameter.name]} }}'
    )
    found = assert_effect(before, after, but_for=TRAINERS_ONLY)
    assert "refused" not in found


@pytest.mark.parametrize("name", TRAIN_TO_COME)
def test_settings_of_train_to_come_are_named(name):
    _, warnings = check_text(trained(f'loss: "mse" train {{ {name}: 3 }}'))
    assert [w.code for w in warnings] == ["W0111"]
    assert f"`{name}`" in warnings[0].message


@pytest.mark.parametrize("entries", [LOSSES, OPTIMIZERS, METRICS], ids=str)
def test_each_name_of_a_setting_has_code_of_its_own(entries):
    what = {id(LOSSES): "loss", id(OPTIMIZERS): "optimizer"}.get(id(entries), "metrics")
    texts = []
    for entry in entries:
        loss = "" if what == "loss" else 'loss: "mse" '
        texts.append(trained(f'{loss}{what}: "{entry.name}"'))
    for backend in TRAINING:
        found = {outcome(text)[backend][0] for text in texts}
        said = [outcome(text)[backend][1] for text in texts]
        assert len(found) + sum("W0113" in " ".join(s) for s in said) >= len(texts)


@pytest.mark.parametrize("name", METRICS_TO_COME)
def test_metrics_to_come_are_named(name):
    _, warnings = check_text(trained(f'loss: "mse" metrics: ["{name}"]'))
    assert [w.code for w in warnings] == ["W0112"]


SETTINGS = {
    "device": ("", 'device: "cuda"'),
    "execution": ("", 'execution { device: "cuda" }'),
    "execute": ("", 'execute { device: "cuda" }'),
    "unknown": ("", "momentum: 3"),
    "train twice": (
        "train { epochs: 3 }", "train { epochs: 3 } training { epochs: 3 }"
    ),
    "epochs twice": ("train { epochs: 3 }", "train { epochs: 4 epochs: 3 }"),
    "clip twice": (
        "train { clipnorm: 3 }", "train { gradient_clip: 4 clipnorm: 3 }"
    ),
    "unknown in train": ("train { epochs: 3 }", "train { epochs: 3 epoch: 3 }"),
    "a layer in train": ("train { epochs: 3 }", "train { epochs: 3 Dense(3) }"),
    "a block in train": ("train { epochs: 3 }", "train { epochs: 3 { a: 3 } }"),
    "a value of train": ("train { epochs: 3 }", "train: 3 { epochs: 3 }"),
    "block of the optimizer": (
        'optimizer: "adam"', 'optimizer: "adam" { learning_rate: 0.5 }'
    ),
    "unknown in the optimizer": (
        'optimizer: "adam"', 'optimizer: "adam" { rate: 0.5 }'
    ),
    "a layer in the optimizer": (
        'optimizer: "adam"', 'optimizer: "adam" { Dense(3) }'
    ),
    "a block in the optimizer": (
        'optimizer: "adam"', 'optimizer: "adam" { beta_1: { a: 3 } }'
    ),
    "a rate twice": (
        "optimizer: Adam(0.1)", "optimizer: Adam(0.1) { learning_rate: 0.1 }"
    ),
    "block of metrics": ('metrics: ["mse"]', 'metrics: ["mse"] { a: 3 }'),
    "a metric twice": ('metrics: ["mse"]', 'metrics: ["mse", "mae"]'),
    "a metric with an option": ('metrics: ["mse"]', "metrics: [mse(3)]"),
    "search space": (
        "optimizer: Adam(0.1)", "optimizer: Adam(HPO(choice(0.1, 0.2)))"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), SETTINGS.values(), ids=SETTINGS)
def test_each_setting_has_an_effect(before, after):
    texts = [trained(f'loss: "mse" {settings}') for settings in (before, after)]
    assert_effect(*texts, but_for=TRAINERS_ONLY)


INPUT = {
    "a value and a block": ("{ a: (4,) }", "(5,) { a: (4,) }"),
    "a device": ("(4,)", '(4,) @ "cpu"'),
}


@pytest.mark.parametrize(("before", "after"), INPUT.values(), ids=INPUT)
def test_each_part_of_the_input_has_an_effect(before, after):
    assert_effect(network("Dense(3)", before), network("Dense(3)", after))


def test_a_research_block_is_said_to_have_no_effect():
    text = network("Dense(3)")
    assert_effect(text, text + ' research R { references { paper: "A" } }')
