"""The blocks of Llama and its kin, against PyTorch, equations and transformers."""

import numpy as np
import pytest

from neural_attn.compile import check_text
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected as shapes_of
from tests.llama_kin import (
    GEMMA,
    LLAMA,
    loaded,
    network,
    randomized,
    weights_of,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.requires_torch

SMALL = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
    "rms_norm_eps": 1e-6, "attn_implementation": "eager",
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
    "original_max_position_embeddings": 16, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}  # fmt: skip
# network: the model of transformers, its settings, its names for ours, their prefix
MODELS = {
    "llama": ("Llama", {"rope_theta": 500000.0}, LLAMA, ""),
    "tied_llama": (
        "Llama",
        {"rope_parameters": LLAMA3, "tie_word_embeddings": True},
        LLAMA,
        "tied_llama_0.",
    ),
    "mistral": ("Mistral", {"sliding_window": 4}, LLAMA, ""),
    "qwen3": ("Qwen3", {"head_dim": 12}, LLAMA, ""),
    "gemma2": (
        "Gemma2",
        {
            "head_dim": 8,
            "sliding_window": 4,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 8.0,
            "hidden_activation": "gelu_pytorch_tanh",
        },
        GEMMA,
        "gemma2_0.",
    ),
}
PADDED = ("mistral", "qwen3")  # id 0 is padding there
IDS = np.random.default_rng(7).integers(1, 50, (3, 11))
LEFT = np.concatenate([np.zeros((3, 4), int), IDS], axis=1)
LEFT[1, :4] = [5, 6, 7, 8]
RIGHT = np.concatenate([IDS, LEFT[:, :4]], axis=1)


def theirs_and_ours(name, backend, folder, dtype="float64", **more):
    """A model of transformers, and the network of the same name with its weights."""
    kind, settings, names, prefix = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**SMALL | settings | more)
    theirs = randomized(lambda: getattr(transformers, f"{kind}ForCausalLM")(config))
    if name in PADDED:  # nobody writes padding, which hides itself here alone
        theirs.lm_head.weight.data[0] = 0
    weights = weights_of(theirs, names, prefix)
    if kind == "Gemma2":  # it has the scale less 1, and one block more around layers
        weights = {n: w + n.endswith(".scale") for n, w in weights.items()}
        for i in range(2):
            inner = f"{prefix}layer.{i}."
            weights = {
                n.replace(inner, f"{inner}decoder."): w for n, w in weights.items()
            }
    return theirs, loaded(network(name), backend, weights, folder, dtype)


CASES = [(name, "float64") for name in MODELS] + [("llama", "float32")]


@pytest.mark.thorough("tensorflow", but=("llama-float64", "gemma2"))
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_logits_and_maps_are_those_of_transformers(name, dtype, backend, tmp_path):
    theirs, ours = theirs_and_ours(name, backend, tmp_path, dtype)
    for ids in (IDS, LEFT, RIGHT) if name in PADDED else (IDS,):
        real = ids != 0
        expected = theirs(
            torch.tensor(ids), attention_mask=torch.tensor(real), output_attentions=True
        )
        output, maps = run(ours.model, ours.backend, ids)
        close(output[real], expected.logits.detach()[real])
        for (weights, _), other in zip(maps.values(), expected.attentions, strict=True):
            close(weights.swapaxes(1, 2)[real], other.detach().transpose(1, 2)[real])


def close(found, expected, error=1e-5):
    """Equal but for the rounding of the greatest number, by default float32's."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=error * abs(expected).max()
    )


# --- going on with a text ------------------------------------------------------------


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize(
    ("name", "ids", "options"),
    [
        ("llama", IDS, {}),
        ("llama", IDS, {"beams": 3}),
        ("llama", IDS, {"beams": 2, "end": 9}),
        ("qwen3", LEFT, {"beams": 2, "end": 9}),
        ("tied_llama", IDS, {"beams": 3}),
        ("mistral", LEFT, {}),
        ("gemma2", IDS, {}),
    ],
)
def test_tokens_are_those_of_transformers(name, ids, options, backend, tmp_path):
    end = options.get("end")
    theirs, ours = theirs_and_ours(name, backend, tmp_path, eos_token_id=end)
    expected = theirs.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(ids != 0),
        max_new_tokens=8,
        do_sample=False,
        num_beams=options.get("beams", 1),
    )
    found = generated(ours, ids, 8, **options)
    for one, other in zip(found, expected.numpy(), strict=True):
        assert text_of(one[ids.shape[1] :], end) == text_of(other[ids.shape[1] :], end)


def generated(ours, ids, count, **options):
    found = ours.model.generate(ours.backend.tensor(ids), count, **options)
    return np.asarray(ours.backend.array(found))


def text_of(ids, end):
    """The ids up to the first `end`: what stands behind it only fills the row."""
    ids = list(ids)
    return ids[: ids.index(end) + 1] if end in ids else ids


@pytest.mark.thorough("tensorflow")
@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "gemma2"])
def test_what_is_kept_changes_nothing(name, backend, tmp_path):
    _, ours = theirs_and_ours(name, backend, tmp_path)
    ids = IDS
    for _ in range(6):
        output, _ = run(ours.model, ours.backend, ids)
        token = output[:, -1].argmax(axis=-1)
        ids = np.concatenate([ids, token[:, None]], axis=1)
    np.testing.assert_array_equal(generated(ours, IDS, 6), ids)


# --- the parts -----------------------------------------------------------------------


def part(layer, backend, x, tmp_path, more=""):
    """What a layer with random weights gives for x, and the weights."""
    text = f"network N {{ input: (none, {x.shape[-1]}) layers: {layer} }} {more}"
    (checked,), warnings = check_text(text)
    assert warnings == []
    random = np.random.default_rng(2)
    weights = {n: random.normal(size=s) for n, s in shapes_of(checked).items()}
    one = loaded(checked, backend, weights, tmp_path)
    output, _ = run(one.model, one.backend, x)
    return output, {n.partition(".")[2]: torch.tensor(w) for n, w in weights.items()}


X = np.random.default_rng(5).normal(size=(2, 7, 8))


def test_the_norm_is_pytorchs(backend, tmp_path):
    output, weights = part("RMSNorm(0.01)", backend, X, tmp_path)
    expected = torch.nn.functional.rms_norm(
        torch.tensor(X), (8,), weights["scale"], eps=0.01
    )
    close(output, expected, 1e-12)


@pytest.mark.parametrize("activation", ["silu", "gelu", "relu"])
@pytest.mark.parametrize("use_bias", ["false", "true"])
def test_the_gated_layer_is_the_equation(activation, use_bias, backend, tmp_path):
    layer = f'GatedFeedForward(6, "{activation}", {use_bias})'
    output, w = part(layer, backend, X, tmp_path)
    linear = torch.nn.functional.linear
    gate, expand = (
        linear(torch.tensor(X), w[f"{n}.weight"], w.get(f"{n}.bias"))
        for n in ("gate", "expand")
    )
    hidden = getattr(torch.nn.functional, activation)(gate) * expand
    expected = linear(hidden, w["contract.weight"], w.get("contract.bias"))
    close(output, expected, 1e-12)


MIXTURES = {  # options of the block, those of a config, and the class
    "": ("Mixtral", "SparseMoeBlock", {"num_local_experts": 5}),
    "normalized=false": ("Qwen3Moe", "SparseMoeBlock", {"num_experts": 5}),
    'activation="gelu_sigmoid", use_bias=true, limit=0.5': (
        "GptOss", "MLP", {"num_local_experts": 5, "swiglu_limit": 0.5},
    ),
}  # fmt: skip


def experts_of(theirs, gate_name):
    """The weights of a mixture of transformers under our names."""
    stored = {n: w.detach() for n, w in theirs.named_parameters()}
    ours = {}
    for name in ("weight", "bias"):
        if f"{gate_name}.{name}" in stored:
            ours[f"router.{name}"] = stored[f"{gate_name}.{name}"]
    both = stored["experts.gate_up_proj"]
    if gate_name == "router":  # one beside the other, and inputs first
        bias = stored["experts.gate_up_proj_bias"]
        ours |= {"gate": both[..., ::2], "expand": both[..., 1::2]}
        ours |= {"gate_bias": bias[:, None, ::2], "expand_bias": bias[:, None, 1::2]}
        ours["contract_bias"] = stored["experts.down_proj_bias"][:, None]
        return ours | {"contract": stored["experts.down_proj"]}
    gate, expand = both.mT.chunk(2, dim=-1)
    return ours | {
        "gate": gate, "expand": expand, "contract": stored["experts.down_proj"].mT
    }  # fmt: skip


@pytest.mark.parametrize("options", MIXTURES)
def test_a_mixture_of_experts_is_that_of_transformers(options, backend, tmp_path):
    from importlib import import_module

    name, kind, settings = MIXTURES[options]
    config = getattr(transformers, f"{name}Config")(
        hidden_size=8, intermediate_size=6, num_experts_per_tok=2,
        **{"moe_intermediate_size": 6} if name == "Qwen3Moe" else {}, **settings,
    )  # fmt: skip
    config._experts_implementation = "eager"
    snake = {"Mixtral": "mixtral", "Qwen3Moe": "qwen3_moe", "GptOss": "gpt_oss"}[name]
    module = import_module(f"transformers.models.{snake}.modeling_{snake}")
    theirs = randomized(lambda: zeroed(getattr(module, name + kind)(config)))
    weights = experts_of(theirs, "router" if name == "GptOss" else "gate")
    more = f", {options}" if options else ""
    text = (
        f"network N {{ input: (none, 8) layers: m = MixtureOfExperts(5, 2, 6{more}) }}"
    )
    (checked,), _ = check_text(text)
    arrays = {f"m.{n}": w.numpy() for n, w in weights.items()}
    ours = loaded(checked, backend, arrays, tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(given)
    expected = expected[0] if isinstance(expected, tuple) else expected
    output, _ = run(ours.model, ours.backend, x.astype(float))
    close(output, expected.detach())
    if backend == "pytorch":  # gradients too, by way of the shares that are picked
        expected.square().sum().backward()
        again = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        ours.model(again).square().sum().backward()
        close(again.grad, given.grad, 1e-4)


TURN = """
define Turn() {{
  layers: rotary = RotaryPositions({options})
  forward(x): return merge_heads(rotary(split_heads(x, 2), positions(x)))
}}
"""
SCALINGS = {
    "": {},
    "theta=50.0": {"rope_theta": 50.0},
    "factor=4": {"rope_type": "linear", "factor": 4.0},
    "factor=8, original_length=40": {
        **LLAMA3, "original_max_position_embeddings": 40,
    },
    "factor=8, original_length=40, low_frequency=2, high_frequency=3": {
        **LLAMA3, "original_max_position_embeddings": 40, "low_freq_factor": 2.0,
        "high_freq_factor": 3.0,
    },
    "theta=50, factor=4, original_length=500, yarn=true": {
        "rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0,
        "original_max_position_embeddings": 500,
    },
    "theta=50, factor=32, original_length=60, yarn=true, truncate=false, beta_fast=9": {
        "rope_type": "yarn", "rope_theta": 50.0, "factor": 32.0, "truncate": False,
        "original_max_position_embeddings": 60, "beta_fast": 9.0,
    },
    "rotary_dim=8": {"partial_rotary_factor": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("options", SCALINGS)
def test_pairs_turn_as_complex_numbers_at_the_rates_of_transformers(
    options, backend, tmp_path
):
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    x = np.random.default_rng(1).normal(size=(2, 30, 32))
    output, _ = part("Turn()", backend, x, tmp_path, more=TURN.format(options=options))
    config = transformers.LlamaConfig(
        hidden_size=32, num_attention_heads=2, max_position_embeddings=80,
        rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, **SCALINGS[options]
        },
    )  # fmt: skip
    kind = config.rope_parameters["rope_type"]
    rule, magnitude = ROPE_INIT_FUNCTIONS.get(kind), 1
    if "partial_rotary_factor" in SCALINGS[options]:
        rates = 10000.0 ** (-np.arange(4) / 4)
    elif rule is None:
        rates = LlamaRotaryEmbedding.compute_default_rope_parameters(config)[0]
    else:
        rates, magnitude = rule(config, "cpu")
    rates = np.asarray(rates, float)
    turns = magnitude * np.exp(1j * np.arange(30)[:, None] * rates)
    heads = x.reshape(2, 30, 2, 16).swapaxes(1, 2)
    count = len(rates)
    turned = (heads[..., :count] + 1j * heads[..., count : 2 * count]) * turns
    parts = [turned.real, turned.imag, heads[..., 2 * count :]]
    expected = np.concatenate(parts, axis=-1).swapaxes(1, 2).reshape(x.shape)
    # those of transformers are of float32
    close(output, expected, 1e-12 if len(rates) == 4 else 1e-5)


def test_attention_with_sinks_is_that_of_gpt_oss(backend, tmp_path):
    from transformers.models.gpt_oss import modeling_gpt_oss
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = transformers.GptOssConfig(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        sliding_window=4, layer_types=["sliding_attention"], num_hidden_layers=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        attn_implementation="eager",
    )  # fmt: skip
    theirs = randomized(lambda: zeroed(modeling_gpt_oss.GptOssAttention(config, 0)))
    weights = weights_of(theirs, LLAMA, "attention.")
    ours = loaded(network("gpt_oss_attention"), backend, weights, tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 9, 32)).astype("float32")
    mask = np.ones((2, 9), int)
    mask[1, 6:] = 0
    steps = np.arange(9)
    away = steps[:, None] - steps
    shown = (away >= 0) & (away < 4) & (mask[:, None, None] == 1)
    cos, sin = LlamaRotaryEmbedding(
        transformers.LlamaConfig(hidden_size=32, num_attention_heads=4)
    )(torch.tensor(x), torch.tensor(steps)[None])
    expected, maps = theirs(
        torch.tensor(x),
        (cos[..., :4], sin[..., :4]),
        torch.tensor(np.where(shown, 0, -1e30).astype("float32")),
    )
    output, found = run(
        ours.model, ours.backend, {"x": x.astype(float), "attention_mask": mask}
    )
    ((map_, _),) = found.values()
    real = mask == 1
    close(output[real], expected.detach()[real])
    close(map_.swapaxes(1, 2)[real], maps.detach().transpose(1, 2)[real])
    assert map_.sum(-1).max() < 1  # the sinks have their part


def zeroed(module):
    """A module whose arrays may not have been filled yet."""
    for parameter in module.parameters():
        parameter.data.zero_()
    return module


# --- learning ------------------------------------------------------------------------


EVERYTHING = """
network Learner {
  input: (none,)
  layers:
    Embedding(20, 16)
    LlamaDecoder(
      4, 2, 24, head_dim=8, window=3, cap=5, sinks=true, qk_norm=true, use_bias=true,
      sandwich_norm=true, rotary_dim=4, factor=4, original_length=8
    )
    GroupedQueryAttention(2, causal=false)
    Output(20)
  loss: "sparse_categorical_crossentropy"
}
"""


def test_gradients_reach_every_weight_of_pytorch():
    (checked,), _ = check_text(EVERYTHING)
    model = load_model(checked, "pytorch").model
    logits = model.forward_logits(torch.tensor(IDS % 20))
    torch.nn.functional.cross_entropy(logits.mT, torch.tensor(IDS % 20)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.requires_tensorflow
def test_gradients_reach_every_weight_of_keras():
    import tensorflow as tf

    (checked,), _ = check_text(EVERYTHING)
    model = load_model(checked, "tensorflow").model
    with tf.GradientTape() as tape:
        shares = model(IDS % 20)
        loss = -tf.reduce_mean(tf.math.log(shares[..., 3] + 1e-6))
    weights = model.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        dense = tf.convert_to_tensor(gradient)
        assert float(tf.reduce_max(tf.abs(dense))) > 0, weight.path
