"""Model for tensorflow, from t5.neural by neural-attn 0.1.0."""

import math

import keras
from keras import layers, ops

from t5_alone_tensorflow_layers import (
    BlockwiseAttentionLayer,
    Cache,
    TranslatingNetwork,
    padding_mask,
    relative_positions,
    scale_queries,
    split_heads,
)


class RelativePositionBias(layers.Layer):
    """A learned number for each head and distance (Raffel et al., 2020, 2.1).

    query and key [batch, …, time, size]: a bias [num_heads, queries + keys - 1] for
    `attend`. Near distances have a bucket each, far ones share theirs.
    """

    def __init__(self, num_heads, bidirectional=True, **options):
        super().__init__(**options)
        self.bidirectional = bidirectional
        self.table = self.add_weight(
            (32, num_heads), keras.initializers.RandomNormal(stddev=0.02), name="table"
        )

    def call(self, query, key=None):
        if key is None:
            key = query
        steps = relative_positions(query, key)
        if self.bidirectional:
            # one half is for the keys before a query, the other for those after it
            size = math.floor(32 / 2)
            first = size * ops.cast(steps > 0, steps.dtype)
            distance = ops.abs(steps)
        else:
            size = 32
            first = 0
            distance = ops.maximum(-steps, 0)
        # a bucket each up to `exact`, then ever wider ones; 1e-5: a border is its own
        exact = math.floor(size / 2)
        grown = ops.log(ops.maximum(distance, exact) / exact) / math.log(128 / exact)
        wide = ops.minimum(exact + ops.floor((size - exact) * grown + 1e-05), size - 1)
        bucket = first + ops.where(distance < exact, distance, wide)
        chosen = ops.reshape(bucket, (-1, 1)) == ops.cast(ops.arange(32), steps.dtype)
        return ops.swapaxes(ops.cast(chosen, steps.dtype) @ self.table, -2, -1)


class T5Attention(BlockwiseAttentionLayer):
    """Attention with a bias, whose logits are not scaled (Raffel et al., 2020, 2.1).

    query [batch, queries, d_model], key [batch, keys, width]; bias as in `attend`.
    """

    def __init__(
        self, d_model, num_heads, key_dim=None, causal=False, dtype=None, **options
    ):
        super().__init__(dtype=dtype, **options)
        if key_dim is None:
            key_dim = d_model // num_heads
        self.num_heads = num_heads
        self.causal = causal
        self.query_projection = layers.Dense(
            num_heads * key_dim, use_bias=False, dtype=dtype
        )
        self.key_projection = layers.Dense(
            num_heads * key_dim, use_bias=False, dtype=dtype
        )
        self.value_projection = layers.Dense(
            num_heads * key_dim, use_bias=False, dtype=dtype
        )
        if causal:
            self.past_keys = Cache(dtype=dtype)
            self.past_values = Cache(dtype=dtype)
        self.output_projection = layers.Dense(d_model, use_bias=False, dtype=dtype)

    def call(self, query, key=None, bias=None, attention_mask=None, training=None):
        if key is None:
            key = query
        q = split_heads(self.query_projection(query), self.num_heads)
        k = split_heads(self.key_projection(key), self.num_heads)
        v = split_heads(self.value_projection(key), self.num_heads)
        if self.causal:
            k = self.past_keys(k)
            v = self.past_values(v)
        context = self.attend(
            scale_queries(q, 1),
            k,
            v,
            attention_mask,
            causal=self.causal,
            bias=bias,
            training=training,
        )
        return self.output_projection(ops.concatenate(ops.unstack(context, axis=1), -1))


class RMSNorm(layers.Layer):
    """The block RMSNorm."""

    def __init__(self, d_model, **options):
        super().__init__(**options)
        self.scale = self.add_weight((d_model,), "ones", name="scale")

    def call(self, x):
        return (
            x / ops.sqrt(ops.mean(x * x, axis=-1, keepdims=True) + 1e-06) * self.scale
        )


class T5EncoderLayer(layers.Layer):
    """The block T5EncoderLayer."""

    def __init__(self, d_model, num_heads, d_kv, d_ff, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.attention = T5Attention(d_model, num_heads, d_kv, dtype=dtype)
        self.attention_norm = RMSNorm(d_model, dtype=dtype)
        self.expand = layers.Dense(d_ff, activation="relu", use_bias=False, dtype=dtype)
        self.contract = layers.Dense(d_model, use_bias=False, dtype=dtype)
        self.feed_forward_norm = RMSNorm(d_model, dtype=dtype)

    def call(self, x, bias, attention_mask=None):
        x = x + self.attention(
            self.attention_norm(x), bias=bias, attention_mask=attention_mask
        )
        return x + self.contract(self.expand(self.feed_forward_norm(x)))


class T5DecoderLayer(layers.Layer):
    """The block T5DecoderLayer."""

    def __init__(self, d_model, num_heads, d_kv, d_ff, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.self_attention = T5Attention(
            d_model, num_heads, d_kv, causal=True, dtype=dtype
        )
        self.self_attention_norm = RMSNorm(d_model, dtype=dtype)
        self.cross_attention = T5Attention(d_model, num_heads, d_kv, dtype=dtype)
        self.cross_attention_norm = RMSNorm(d_model, dtype=dtype)
        self.expand = layers.Dense(d_ff, activation="relu", use_bias=False, dtype=dtype)
        self.contract = layers.Dense(d_model, use_bias=False, dtype=dtype)
        self.feed_forward_norm = RMSNorm(d_model, dtype=dtype)

    def call(self, x, memory, bias, memory_mask=None):
        x = x + self.self_attention(self.self_attention_norm(x), bias=bias)
        normed = self.cross_attention_norm(x)
        x = x + self.cross_attention(normed, memory, attention_mask=memory_mask)
        return x + self.contract(self.expand(self.feed_forward_norm(x)))


class T5(layers.Layer):
    """The block T5."""

    def __init__(
        self, vocab_size, d_model, depth, num_heads, d_kv, d_ff, dtype=None, **options
    ):
        super().__init__(dtype=dtype, **options)
        self.d_model = d_model
        self.token = layers.Embedding(vocab_size, d_model, dtype=dtype)
        self.encoder_bias = RelativePositionBias(num_heads, dtype=dtype)
        self.encoder_layer = [
            T5EncoderLayer(d_model, num_heads, d_kv, d_ff, dtype=dtype)
            for _ in range(depth)
        ]
        self.encoder_norm = RMSNorm(d_model, dtype=dtype)
        self.decoder_bias = RelativePositionBias(
            num_heads, bidirectional=False, dtype=dtype
        )
        self.past_steps = Cache(dtype=dtype)
        self.decoder_layer = [
            T5DecoderLayer(d_model, num_heads, d_kv, d_ff, dtype=dtype)
            for _ in range(depth)
        ]
        self.decoder_norm = RMSNorm(d_model, dtype=dtype)

    def call(self, source, target):
        return self.decode(target, *self.encode(source))

    def encode(self, source):
        """Return what `decode` needs of source [batch, time]."""
        memory_mask = padding_mask(source)
        x = self.token(source)
        bias_ = self.encoder_bias(x)
        for layer in self.encoder_layer:
            x = layer(x, bias_, attention_mask=memory_mask)
        memory = self.encoder_norm(x)
        return memory, memory_mask

    def decode(self, target, memory, memory_mask):
        """Return the output for target [batch, time]."""
        y = self.token(target)
        # as many keys as there were steps
        bias = self.decoder_bias(y, self.past_steps(y[..., :1]))
        for layer in self.decoder_layer:
            y = layer(y, memory, bias, memory_mask=memory_mask)
        y = self.decoder_norm(y) / math.sqrt(self.d_model)
        return y @ ops.swapaxes(self.token.embeddings, -2, -1)


@keras.saving.register_keras_serializable("Model")
class Model(TranslatingNetwork):
    """The network Model."""

    input_names = ("source", "target")

    def __init__(self, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.t5_0 = T5(
            vocab_size=40,
            d_model=16,
            depth=2,
            num_heads=4,
            d_kv=6,
            d_ff=24,
            dtype=dtype,
        )

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = {}
        for i, layer in enumerate(self.t5_0.encoder_layer):
            layers[f"t5_0.encoder_layer_{i}.attention"] = layer.attention
        for i, layer in enumerate(self.t5_0.decoder_layer):
            layers[f"t5_0.decoder_layer_{i}.self_attention"] = layer.self_attention
            layers[f"t5_0.decoder_layer_{i}.cross_attention"] = layer.cross_attention
        return layers

    def call(self, inputs, return_attention=False):
        """Return the output [batch, time, 40], or (output, attention maps).

        inputs: a mapping of
            source: integers [batch, time]
            target: integers [batch, time]
        """
        if return_attention:
            return self.run_with_attention(inputs)
        source = inputs["source"]
        target = inputs["target"]
        return self.t5_0(source, target=target)

    def encode(self, source):
        """Return what `decode` needs of source [batch, time]."""
        return self.t5_0.encode(source)

    def decode(self, target, memory, memory_mask):
        """Return the output for target [batch, time]."""
        return self.t5_0.decode(target, memory, memory_mask)


def create_model(dtype="float32"):
    """Return the network with random weights."""
    model = Model(dtype=dtype)
    model.build({"source": (None, None), "target": (None, None)})
    return model
