"""PyTorch runtime: the code that generated PyTorch models share."""

import math
import os

import torch
import torch.nn.functional as F
from neural_attn.backends.emit.runtime.application import remember
from safetensors.torch import load_file, save_file
from torch import nn


class AttentionLayer(nn.Module):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to."""

    store_attention = False
    attention_weights = attention_mask = None
    # only with Application:
    applications: tuple[object, ...] = ()  # the weights and masks of the last calls
    # only with Application:
    application_count = 1  # so many are kept

    def attend(self, query, key, value, mask=None, dropout=None):
        """Attend, all [batch, heads, time, size]; mask: True where a key is seen."""
        if not self.store_attention:  # the fused kernel never holds queries x keys
            rate = dropout.p if dropout is not None and dropout.training else 0.0
            return F.scaled_dot_product_attention(query, key, value, mask, rate)
        logits = query / math.sqrt(query.size(-1)) @ key.transpose(-2, -1)
        weights = self.attention_softmax(logits, mask, in_place=True)
        return (weights if dropout is None else dropout(weights)) @ value

    def attention_softmax(self, logits, mask=None, in_place=False):
        """Return weights: rows sum to 1, hidden keys and rows without others are 0.

        in_place: `logits` may be overwritten, which saves a copy of their size.
        """
        fill = torch.Tensor.masked_fill_ if in_place else torch.Tensor.masked_fill
        if mask is not None:
            logits = fill(logits, ~mask, -math.inf)
        # Zeros keep a row that sees nothing from NaN.
        empty = (logits == -math.inf).all(dim=-1, keepdim=True)
        weights = torch.softmax(fill(logits, empty, 0.0), dim=-1)
        weights = weights.masked_fill(empty, 0.0)
        if self.store_attention:
            self.attention_weights, self.attention_mask = weights.detach(), mask
            # only with Application:
            remember(self)
        return weights


class CausalAttentionLayer(AttentionLayer):
    """Attention that can hide the future: query i sees keys 0 to keys - queries + i."""

    def attend(self, query, key, value, mask=None, dropout=None, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if not causal:
            return super().attend(query, key, value, mask, dropout)
        queries, keys = query.size(2), key.size(2)
        if mask is None and queries == keys and not self.store_attention:
            # The kernel's own causal mask, which fits no other case.
            rate = dropout.p if dropout is not None and dropout.training else 0.0
            return F.scaled_dot_product_attention(query, key, value, None, rate, True)
        # Elsewhere a mask says it: for 512 queries at a time if no weights are kept.
        size = queries if self.store_attention else 512
        blocks = []
        for rows in (slice(i, i + size) for i in range(0, queries or 1, size or 1)):
            past = causal_mask(queries, keys, mask, query.device, rows)
            blocks.append(super().attend(query[:, :, rows], key, value, past, dropout))
        return torch.cat(blocks, dim=2)

    # only with attention_softmax:
    def attention_softmax(self, logits, mask=None, in_place=False, *, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if causal:
            mask = causal_mask(logits.size(2), logits.size(3), mask, logits.device)
        return super().attention_softmax(logits, mask, in_place)


def causal_mask(queries, keys, mask, device, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = torch.arange(queries, device=device)[rows, None] + (keys - queries)
    past = torch.arange(keys, device=device) <= last
    if mask is None:
        return past
    return past & (mask if mask.size(-2) == 1 else mask[..., rows, :])


class Observed(nn.Module):
    """Hands weights on; keeps them as `attention_weights` when told to.

    rows: what each row promises, "shares", "parts", "gates" or "signed".
    """

    store_attention = False
    attention_weights = attention_mask = None
    # only with Application:
    applications: tuple[object, ...] = ()  # the weights and masks of the last calls
    # only with Application:
    application_count = 1  # so many are kept

    def __init__(self, rows="shares"):
        super().__init__()
        self.rows = rows

    def forward(self, weights, attention_mask=None):
        """Return weights [batch, heads, queries, keys]; True in the mask is visible."""
        if self.store_attention:
            self.attention_weights = weights.detach()
            self.attention_mask = attention_mask
            # only with Application:
            remember(self)
        return weights


class Network(nn.Module):
    """A whole model: returns or keeps its attention, loads and saves its weights."""

    def set_store_attention(self, flag):
        """Keep the weights of later calls on each attention layer, or drop them."""
        for layer in self.attention_layers().values():
            layer.store_attention = flag
            if not flag:
                layer.attention_weights = layer.attention_mask = None

    def run_with_attention(self, inputs):
        """Return (output, {name: weights [batch, heads, queries, keys]})."""
        layers = self.attention_layers()
        before = any(layer.store_attention for layer in layers.values())
        self.set_store_attention(True)
        try:
            return self(inputs), {n: x.attention_weights for n, x in layers.items()}
        finally:
            self.set_store_attention(before)

    def load_weights(self, path):
        """Load a safetensors file; raise RuntimeError where it does not fit."""
        self.load_state_dict(load_file(path))

    def save_weights(self, path):
        """Write a safetensors file, in one step."""
        state = self.state_dict().items()  # without counters, which are integers
        tensors = {n: x.clone() for n, x in state if x.is_floating_point()}
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    return x.transpose(1, 2).flatten(2)


def share_heads(query, key, value):
    """Repeat keys and values, [batch, heads, time, size], for the heads of queries."""
    times = query.size(1) // key.size(1)
    return query, *(x.repeat_interleave(times, dim=1) for x in (key, value))


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    return embedding(x) if x.ndim == 2 else x.to(embedding.weight.dtype)


def padding_mask(values):
    """Turn ids or 0/1 [batch, keys] into a mask [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return (values != 0)[:, None, None, :]


def top_k(x, k):
    """Return where the k largest of the last axis are; of equal ones, the first."""
    places = x.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(x, dtype=torch.bool).scatter(-1, places, True)


def shown_positions(x, mask):
    """Return the positions of x [batch, time, ...] among the steps that are shown.

    mask [batch, 1, 1, time] may begin before x, with steps that are kept.
    """
    ids = (mask[:, 0, 0].cumsum(dim=1) - 1).clamp(min=0)
    return ids[:, ids.size(1) - x.size(1) :]


def masked_mean(x, mask):
    """Mean over visible times of x [batch, time, width]; mask [batch, 1, 1, time]."""
    mask = mask[:, 0, 0, :, None]
    return x.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def masked_max(x, mask):
    """Maximum over visible times of x [batch, time, width], or 0 where there are none.

    mask: boolean [batch, 1, 1, time].
    """
    mask = mask[:, 0, 0, :, None]
    top = x.masked_fill(~mask, -math.inf).amax(dim=1)
    return top.masked_fill(~mask.any(dim=1), 0.0)


def position_ids(x):
    """Return [0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return torch.arange(x.size(1), device=x.device)


def arange(n, like):
    """Return [0, 1, ..., n - 1] in the dtype and on the device of `like`."""
    return torch.arange(n, dtype=like.dtype, device=like.device)


def reshape_steps(x, first, *sizes):
    """Reshape x; the first size may be -1, also where there are no steps."""
    return x.reshape(first if x.numel() else len(x), *sizes)


def length(x):
    """Return the number of time steps of x [batch, time, ...]."""
    return x.size(1)


def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return F.gelu(x)


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return F.gelu(x, approximate="tanh")


def gelu_sigmoid(x):
    """GELU in its sigmoid approximation (Hendrycks and Gimpel, 2016)."""
    return x * torch.sigmoid(1.702 * x)


def leaky_relu(x):
    """Leaky ReLU: x where positive, 0.2 x elsewhere."""
    return F.leaky_relu(x, negative_slope=0.2)
