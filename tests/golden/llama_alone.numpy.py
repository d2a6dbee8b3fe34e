"""Llama for numpy, from llama.neural by neural-attn 0.1.0."""

import numpy as np

from llama_alone_numpy_layers import (
    Cache,
    CausalAttentionLayer,
    Dense,
    Embedding,
    GeneratingNetwork,
    Layer,
    Positions,
    merge_heads,
    share_heads,
    silu,
    split_heads,
)


class RMSNorm(Layer):
    """Scales the last axis to a mean square of 1 (Zhang and Sennrich, 2019, section 4)."""

    def __init__(self, d_model):
        super().__init__()
        self.scale = np.ones((d_model,), np.float32)

    def forward(self, x):
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + 1e-06) * self.scale


class RotaryPositions(Layer):
    """Turns pairs of numbers by angles that grow with the position (Su et al., 2021).

    x [batch, heads, time, size], ids of positions [1 or batch, time]. Number i and number
    i + rotary_dim / 2 are a pair, as in Llama; those from rotary_dim on stay.
    """

    def __init__(self, theta=10000):
        super().__init__()
        self.theta = theta

    def forward(self, x, ids):
        exact = np.asarray(x, np.result_type(x, np.float32))
        pairs = np.arange(x.shape[-1] // 2, dtype=exact.dtype)
        rates = self.theta ** (-2 * pairs / x.shape[-1])
        angles = split_heads(np.stack([ids.astype(exact.dtype)], axis=-1), 1) * rates
        cosine = np.cos(angles).astype(x.dtype)
        sine = np.sin(angles).astype(x.dtype)
        a, b = np.split(x, 2, axis=-1)
        turned = [a * cosine - b * sine, b * cosine + a * sine]
        return np.concatenate(turned, axis=-1)


class GroupedQueryAttention(CausalAttentionLayer):
    """Self-attention with rotary positions, whose keys serve several queries each.

    x [batch, time, d_model]. Ainslie et al. (2023), section 2.2.
    """

    def __init__(self, d_model, num_heads, num_kv_heads=None, theta=10000):
        super().__init__()
        if num_kv_heads is None:
            num_kv_heads = num_heads
        head_dim = d_model // num_heads
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.query_projection = Dense(d_model, num_heads * head_dim, use_bias=False)
        self.key_projection = Dense(d_model, num_kv_heads * head_dim, use_bias=False)
        self.value_projection = Dense(d_model, num_kv_heads * head_dim, use_bias=False)
        self.rotary = RotaryPositions(theta)
        self.past_keys = Cache()
        self.past_values = Cache()
        self.output_projection = Dense(num_heads * head_dim, d_model, use_bias=False)
        self.positions = Positions()

    def forward(self, x, attention_mask=None):
        q = split_heads(self.query_projection(x), self.num_heads)
        k = split_heads(self.key_projection(x), self.num_kv_heads)
        v = split_heads(self.value_projection(x), self.num_kv_heads)
        ids = self.positions(x)
        q = self.rotary(q, ids)
        k = self.rotary(k, ids)
        k = self.past_keys(k)
        v = self.past_values(v)
        context = self.attend(*share_heads(q, k, v), attention_mask, causal=True)
        return self.output_projection(merge_heads(context))


class GatedFeedForward(Layer):
    """A feed-forward layer with a gate, applied to each position alone (Shazeer, 2020).

    x [batch, …, d_model]. SwiGLU; GEGLU with the activation "gelu", ReGLU with "relu".
    """

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.gate = Dense(d_model, ff_dim, use_bias=False)
        self.expand = Dense(d_model, ff_dim, use_bias=False)
        self.contract = Dense(ff_dim, d_model, use_bias=False)

    def forward(self, x):
        return self.contract(silu(self.gate(x)) * self.expand(x))


class LlamaDecoder(Layer):
    """Grouped-query attention, then a gated feed-forward layer, normalized before each.

    x [batch, time, d_model]. Touvron et al. (2023), Llama, section 2.2.
    """

    def __init__(self, d_model, num_heads, num_kv_heads, ff_dim, theta=10000):
        super().__init__()
        self.attention_norm = RMSNorm(d_model)
        self.attention = GroupedQueryAttention(d_model, num_heads, num_kv_heads, theta)
        self.feed_forward_norm = RMSNorm(d_model)
        self.feed_forward = GatedFeedForward(d_model, ff_dim)

    def forward(self, x, attention_mask=None):
        x = x + self.attention(self.attention_norm(x), attention_mask=attention_mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Llama(GeneratingNetwork):
    """The network Llama."""

    def __init__(self):
        super().__init__()
        self.token = Embedding(50, 32)
        self.layer = [
            LlamaDecoder(
                d_model=32, num_heads=4, num_kv_heads=2, ff_dim=48, theta=500000
            )
            for _ in range(2)
        ]
        self.norm = RMSNorm(d_model=32)
        self.head = Dense(32, 50, use_bias=False)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.layer)
        return {f"layer_{i}": layer.attention for i, layer in layers}

    def forward(self, inputs, return_attention=False):
        """Return the output [batch, time, 50], or (output, attention maps).

        inputs: integers [batch, time]
        """
        if return_attention:
            return self.run_with_attention(inputs)
        x = self.token(inputs)
        for layer in self.layer:
            x = layer(x)
        x = self.norm(x)
        return self.head(x)


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return Llama().initialize(seed).astype(dtype)
