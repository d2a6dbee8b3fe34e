"""Published networks: those in fixtures/published, and models of transformers.

A model of transformers has random weights, far from how they start; they are written
under the names of a network.
"""

import numpy as np

from neural_attn.models.weights import expected
from tests import published_families
from tests.published_families import checked_of, text_of

# names of transformers' Llama and its kin, and those of a chain of LlamaDecoder
LLAMA = {
    "model.embed_tokens": "token",
    "model.layers": "layer",
    "model.norm.weight": "norm.scale",
    "lm_head": "head",
    "self_attn": "attention",
    "q_proj": "query_projection",
    "k_proj": "key_projection",
    "v_proj": "value_projection",
    "o_proj": "output_projection",
    "q_norm.weight": "query_norm.scale",
    "k_norm.weight": "key_norm.scale",
    "sinks": "sink_logits",
    "mlp": "feed_forward",
    "gate_proj": "gate",
    "up_proj": "expand",
    "down_proj": "contract",
    "input_layernorm.weight": "attention_norm.scale",
    "post_attention_layernorm.weight": "feed_forward_norm.scale",
}
GEMMA = LLAMA | {
    "post_attention_layernorm.weight": "attended_norm.scale",
    "pre_feedforward_layernorm.weight": "feed_forward_norm.scale",
    "post_feedforward_layernorm.weight": "fed_norm.scale",
}


def network(name):
    """The checked network of a file, which has no warnings."""
    return checked_of(text_of(name))


def randomized(make, seed=0, noise=0.3):
    """A module of transformers, made by `make()`, its weights disturbed.

    It is one of float32: in float64 some of them round to float32 on their way.
    """
    import torch

    torch.manual_seed(seed)
    module = make().eval()
    vars(torch.nn.Module).get("smart_apply") and delattr(torch.nn.Module, "smart_apply")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return module


def weights_of(module, names, prefix=""):
    """{our name: array} of a module, by parts of its own names."""
    found = {}
    for name, weight in module.state_dict().items():
        for theirs, ours in names.items():
            name = f".{name}.".replace(f".{theirs}.", f".{ours}.")[1:-1]
        found[prefix + name] = weight.numpy()
    return found


def loaded(checked, backend, weights, folder, dtype="float64"):
    """A generated model with these weights, those that it has not left aside."""
    needed = {n: np.asarray(weights[n], dtype) for n in expected(checked)}
    return published_families.loaded(checked, backend, needed, folder, dtype)
