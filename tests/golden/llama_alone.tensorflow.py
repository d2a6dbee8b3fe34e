"""Llama for tensorflow, from llama.neural by neural-attn 0.1.0."""

import keras
from keras import layers, ops

from llama_alone_tensorflow_layers import (
    Cache,
    CausalAttentionLayer,
    GeneratingNetwork,
    Positions,
    share_heads,
    split_heads,
)


class RMSNorm(layers.Layer):
    """Scales the last axis to a mean square of 1 (Zhang and Sennrich, 2019, section 4)."""

    def __init__(self, d_model, **options):
        super().__init__(**options)
        self.scale = self.add_weight((d_model,), "ones", name="scale")

    def call(self, x):
        mean_square = ops.mean(x * x, axis=-1, keepdims=True)
        return x / ops.sqrt(mean_square + 1e-06) * self.scale


class RotaryPositions(layers.Layer):
    """Turns pairs of numbers by angles that grow with the position (Su et al., 2021).

    x [batch, heads, time, size], ids of positions [1 or batch, time]. Number i and number
    i + rotary_dim / 2 are a pair, as in Llama; those from rotary_dim on stay.
    """

    def __init__(self, theta=10000, **options):
        super().__init__(**options)
        self.theta = theta

    def call(self, x, ids):
        exact = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        pairs = ops.cast(ops.arange(x.shape[-1] // 2), exact.dtype)
        rates = self.theta ** (-2 * pairs / x.shape[-1])
        angles = (
            split_heads(ops.stack([ops.cast(ids, exact.dtype)], axis=-1), 1) * rates
        )
        cosine = ops.cast(ops.cos(angles), x.dtype)
        sine = ops.cast(ops.sin(angles), x.dtype)
        a, b = ops.split(x, 2, axis=-1)
        turned = [a * cosine - b * sine, b * cosine + a * sine]
        return ops.concatenate(turned, axis=-1)


class GroupedQueryAttention(CausalAttentionLayer):
    """Self-attention with rotary positions, whose keys serve several queries each.

    x [batch, time, d_model]. Ainslie et al. (2023), section 2.2.
    """

    def __init__(
        self, d_model, num_heads, num_kv_heads=None, theta=10000, dtype=None, **options
    ):
        super().__init__(dtype=dtype, **options)
        if num_kv_heads is None:
            num_kv_heads = num_heads
        head_dim = d_model // num_heads
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.query_projection = layers.Dense(
            num_heads * head_dim, use_bias=False, dtype=dtype
        )
        self.key_projection = layers.Dense(
            num_kv_heads * head_dim, use_bias=False, dtype=dtype
        )
        self.value_projection = layers.Dense(
            num_kv_heads * head_dim, use_bias=False, dtype=dtype
        )
        self.rotary = RotaryPositions(theta, dtype=dtype)
        self.past_keys = Cache(dtype=dtype)
        self.past_values = Cache(dtype=dtype)
        self.output_projection = layers.Dense(d_model, use_bias=False, dtype=dtype)
        self.positions = Positions()

    def call(self, x, attention_mask=None, training=None):
        q = split_heads(self.query_projection(x), self.num_heads)
        k = split_heads(self.key_projection(x), self.num_kv_heads)
        v = split_heads(self.value_projection(x), self.num_kv_heads)
        ids = self.positions(x)
        q = self.rotary(q, ids)
        k = self.rotary(k, ids)
        k = self.past_keys(k)
        v = self.past_values(v)
        context = self.attend(
            *share_heads(q, k, v), attention_mask, causal=True, training=training
        )
        return self.output_projection(ops.concatenate(ops.unstack(context, axis=1), -1))


class GatedFeedForward(layers.Layer):
    """A feed-forward layer with a gate, applied to each position alone (Shazeer, 2020).

    x [batch, …, d_model]. SwiGLU; GEGLU with the activation "gelu", ReGLU with "relu".
    """

    def __init__(self, d_model, ff_dim, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.gate = layers.Dense(ff_dim, activation="silu", use_bias=False, dtype=dtype)
        self.expand = layers.Dense(ff_dim, use_bias=False, dtype=dtype)
        self.contract = layers.Dense(d_model, use_bias=False, dtype=dtype)

    def call(self, x):
        return self.contract(self.gate(x) * self.expand(x))


class LlamaDecoder(layers.Layer):
    """Grouped-query attention, then a gated feed-forward layer, normalized before each.

    x [batch, time, d_model]. Touvron et al. (2023), Llama, section 2.2.
    """

    def __init__(
        self,
        d_model,
        num_heads,
        num_kv_heads,
        ff_dim,
        theta=10000,
        dtype=None,
        **options,
    ):
        super().__init__(dtype=dtype, **options)
        self.attention_norm = RMSNorm(d_model, dtype=dtype)
        self.attention = GroupedQueryAttention(
            d_model, num_heads, num_kv_heads, theta, dtype=dtype
        )
        self.feed_forward_norm = RMSNorm(d_model, dtype=dtype)
        self.feed_forward = GatedFeedForward(d_model, ff_dim, dtype=dtype)

    def call(self, x, attention_mask=None):
        x = x + self.attention(self.attention_norm(x), attention_mask=attention_mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


@keras.saving.register_keras_serializable("Llama")
class Llama(GeneratingNetwork):
    """The network Llama."""

    def __init__(self, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.token = layers.Embedding(50, 32, dtype=dtype)
        self.layer = [
            LlamaDecoder(
                d_model=32,
                num_heads=4,
                num_kv_heads=2,
                ff_dim=48,
                theta=500000,
                dtype=dtype,
            )
            for _ in range(2)
        ]
        self.norm = RMSNorm(d_model=32, dtype=dtype)
        self.head = layers.Dense(50, use_bias=False, dtype=dtype)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.layer)
        return {f"layer_{i}": layer.attention for i, layer in layers}

    def call(self, inputs, return_attention=False):
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


def create_model(dtype="float32"):
    """Return the network with random weights."""
    model = Llama(dtype=dtype)
    model.build((None, None))
    return model
