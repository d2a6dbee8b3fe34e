"""PyTorch runtime: the code that generated PyTorch models share."""

import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn


class AttentionLayer(nn.Module):
    """Base of the attention layers: attends, and keeps its weights when asked to.

    With `store_attention` set, each call leaves `attention_weights`
    [batch, heads, queries, keys] and `attention_mask` (True: visible) behind.
    """

    def __init__(self):
        super().__init__()
        self.store_attention = False
        self.attention_weights = None
        self.attention_mask = None

    def set_store_attention(self, flag):
        """Keep the weights of each later call, or drop them."""
        self.store_attention = flag
        if not flag:
            self.attention_weights = self.attention_mask = None

    def attend(self, query, key, value, mask=None, *, causal=False, dropout=None):
        """Return softmax(query key^T / sqrt(size)) value, in the shape of `query`.

        query, key, value: [batch, heads, time, size]. mask: boolean, broadcastable
        to [batch, heads, queries, keys], True where a key may be attended.
        """
        if not self.store_attention:
            return fused_attention(query, key, value, mask, causal, dropout)
        logits = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
        weights = self.attention_softmax(logits, mask, causal=causal)
        if dropout is not None:
            weights = dropout(weights)
        return weights @ value

    def attention_softmax(self, logits, mask=None, *, causal=False):
        """Return the weights of `logits`, both [batch, heads, queries, keys].

        Rows sum to 1 over their visible keys; hidden keys have weight 0.
        """
        mask = visible_keys(logits.size(-2), logits.size(-1), mask, causal, logits)
        weights = masked_softmax(logits, mask)
        if self.store_attention:
            self.attention_weights = weights.detach()
            self.attention_mask = mask
        return weights


def fused_attention(query, key, value, mask=None, causal=False, dropout=None):
    """Attend with PyTorch's fused kernel, which never holds queries x keys weights."""
    queries, keys = query.size(2), key.size(2)
    # The kernel's own causal mask fits only equal lengths and no other mask;
    # in the remaining causal cases one boolean mask says both.
    fused_causal = causal and mask is None and queries == keys
    if causal and not fused_causal:
        mask = visible_keys(queries, keys, mask, causal, query)
    rate = dropout.p if dropout is not None and dropout.training else 0.0
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=rate, is_causal=fused_causal
    )


def visible_keys(queries, keys, mask=None, causal=False, like=None):
    """Return `mask`, and with `causal` also hide each query's future keys.

    The last query sees the last key: query i sees keys 0 to keys - queries + i.
    `like` is a tensor on the device to use.
    """
    if not causal:
        return mask
    query = torch.arange(queries, device=like.device)[:, None]
    past = torch.arange(keys, device=like.device) <= query + (keys - queries)
    return past if mask is None else past & mask


def masked_softmax(logits, mask=None):
    """Softmax over the last axis; 0 where `mask` is False, and in all-False rows."""
    if mask is None:
        return torch.softmax(logits, dim=-1)
    # A finite stand-in for -inf keeps all-False rows, and their gradients, from NaN.
    logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    return torch.softmax(logits, dim=-1).masked_fill(~mask, 0.0)


class Network(nn.Module):
    """A whole model: names its attention layers, and loads and saves its weights."""

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {}

    def set_store_attention(self, flag):
        """Keep the weights on each attention layer from now on, or drop them."""
        for layer in self.attention_layers().values():
            layer.set_store_attention(flag)

    def run_with_attention(self, inputs):
        """Return (output, {name: weights [batch, heads, queries, keys]})."""
        layers = self.attention_layers()
        before = {name: layer.store_attention for name, layer in layers.items()}
        self.set_store_attention(True)
        try:
            output = self(inputs)
            attention = {
                name: layer.attention_weights for name, layer in layers.items()
            }
        finally:
            for name, layer in layers.items():
                layer.set_store_attention(before[name])
        return output, attention

    def load_weights(self, path):
        """Load a safetensors file; raise ValueError if a name or a shape differs."""
        tensors = load_file(path)
        check_weights(path, tensors, self.named_weights())
        self.load_state_dict(tensors, strict=False)

    def save_weights(self, path):
        """Write all weights to a safetensors file, in one step."""
        tensors = {
            name: weight.detach().cpu().contiguous().clone()
            for name, weight in self.named_weights().items()
        }
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)

    def named_weights(self):
        """Return {name: tensor}, without counters such as `num_batches_tracked`."""
        state = self.state_dict()
        return {name: x for name, x in state.items() if x.is_floating_point()}


def check_weights(path, found, expected):
    """Raise ValueError at the first tensor that differs in name or shape.

    found, expected: {name: array}, of the file and of the model.
    """
    for name in [*expected, *found]:
        given, needed = (
            tuple(arrays[name].shape) if name in arrays else "missing"
            for arrays in (found, expected)
        )
        if given != needed:
            raise ValueError(
                f"{path}: tensor {name!r} is {given} in the file, {needed} in the model"
            )


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    return x.transpose(1, 2).flatten(2)


def padding_mask(values):
    """Turn ids or 0/1 [batch, keys] into a mask [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return (values != 0)[:, None, None, :]


def masked_mean(x, mask=None):
    """Mean over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time].

    0 where nothing is visible.
    """
    if mask is None:
        return x.mean(dim=1)
    mask = mask[:, 0, 0, :, None]
    return x.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def masked_max(x, mask=None):
    """Maximum over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time].

    0 where nothing is visible.
    """
    if mask is None:
        return x.amax(dim=1)
    mask = mask[:, 0, 0, :, None]
    top = x.masked_fill(~mask, -math.inf).amax(dim=1)
    return top.masked_fill(~mask.any(dim=1), 0.0)


def position_ids(x):
    """Return [0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return torch.arange(x.size(1), device=x.device)


def arange(n, like):
    """Return [0, 1, ..., n - 1] in the dtype and on the device of `like`."""
    return torch.arange(n, dtype=like.dtype, device=like.device)


def length(x):
    """Return the number of time steps of x [batch, time, ...]."""
    return x.size(1)


def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return F.gelu(x)


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return F.gelu(x, approximate="tanh")


def leaky_relu(x):
    """Leaky ReLU: x where positive, 0.2 x elsewhere."""
    return F.leaky_relu(x, negative_slope=0.2)
