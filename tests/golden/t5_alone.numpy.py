"""Model for numpy, from t5.neural by neural-attn 0.1.0."""

import math

import numpy as np

from t5_alone_numpy_layers import (
    BlockwiseAttentionLayer,
    Cache,
    Dense,
    Embedding,
    Layer,
    TranslatingNetwork,
    merge_heads,
    normal,
    padding_mask,
    relative_positions,
    relu,
    scale_queries,
    split_heads,
)


class RelativePositionBias(Layer):
    """A learned number for each head and distance (Raffel et al., 2020, 2.1).

    query and key [batch, …, time, size]: a bias [num_heads, queries + keys - 1] for
    `attend`. Near distances have a bucket each, far ones share theirs.
    """

    def __init__(self, num_heads, bidirectional=True):
        super().__init__()
        self.bidirectional = bidirectional
        self.table = normal((32, num_heads))

    def forward(self, query, key=None):
        if key is None:
            key = query
        steps = relative_positions(query, key)
        if self.bidirectional:
            # one half is for the keys before a query, the other for those after it
            size = math.floor(32 / 2)
            first = size * (steps > 0).astype(steps.dtype)
            distance = np.abs(steps)
        else:
            size = 32
            first = 0
            distance = np.maximum(-steps, 0)
        # a bucket each up to `exact`, then ever wider ones; 1e-5: a border is its own
        exact = math.floor(size / 2)
        grown = np.log(np.maximum(distance, exact) / exact) / math.log(128 / exact)
        wide = np.minimum(exact + np.floor((size - exact) * grown + 1e-05), size - 1)
        bucket = first + np.where(distance < exact, distance, wide)
        chosen = bucket.reshape(-1, 1) == np.arange(32, dtype=steps.dtype)
        return (chosen.astype(steps.dtype) @ self.table).swapaxes(-2, -1)


class T5Attention(BlockwiseAttentionLayer):
    """Attention with a bias, whose logits are not scaled (Raffel et al., 2020, 2.1).

    query [batch, queries, d_model], key [batch, keys, width]; bias as in `attend`.
    """

    def __init__(self, d_model, key_width, num_heads, key_dim=None, causal=False):
        super().__init__()
        if key_dim is None:
            key_dim = d_model // num_heads
        self.num_heads = num_heads
        self.causal = causal
        self.query_projection = Dense(d_model, num_heads * key_dim, use_bias=False)
        self.key_projection = Dense(key_width, num_heads * key_dim, use_bias=False)
        self.value_projection = Dense(key_width, num_heads * key_dim, use_bias=False)
        if causal:
            self.past_keys = Cache()
            self.past_values = Cache()
        self.output_projection = Dense(num_heads * key_dim, d_model, use_bias=False)

    def forward(self, query, key=None, bias=None, attention_mask=None):
        if key is None:
            key = query
        q = split_heads(self.query_projection(query), self.num_heads)
        k = split_heads(self.key_projection(key), self.num_heads)
        v = split_heads(self.value_projection(key), self.num_heads)
        if self.causal:
            k = self.past_keys(k)
            v = self.past_values(v)
        context = self.attend(
            scale_queries(q, 1), k, v, attention_mask, causal=self.causal, bias=bias
        )
        return self.output_projection(merge_heads(context))


class RMSNorm(Layer):
    """The block RMSNorm."""

    def __init__(self, d_model):
        super().__init__()
        self.scale = np.ones((d_model,), np.float32)

    def forward(self, x):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-06) * self.scale


class T5EncoderLayer(Layer):
    """The block T5EncoderLayer."""

    def __init__(self, d_model, num_heads, d_kv, d_ff):
        super().__init__()
        self.attention = T5Attention(d_model, d_model, num_heads, d_kv)
        self.attention_norm = RMSNorm(d_model)
        self.expand = Dense(d_model, d_ff, use_bias=False)
        self.contract = Dense(d_ff, d_model, use_bias=False)
        self.feed_forward_norm = RMSNorm(d_model)

    def forward(self, x, bias, attention_mask=None):
        x = x + self.attention(
            self.attention_norm(x), bias=bias, attention_mask=attention_mask
        )
        return x + self.contract(relu(self.expand(self.feed_forward_norm(x))))


class T5DecoderLayer(Layer):
    """The block T5DecoderLayer."""

    def __init__(self, d_model, memory_width, num_heads, d_kv, d_ff):
        super().__init__()
        self.self_attention = T5Attention(
            d_model, d_model, num_heads, d_kv, causal=True
        )
        self.self_attention_norm = RMSNorm(d_model)
        self.cross_attention = T5Attention(d_model, memory_width, num_heads, d_kv)
        self.cross_attention_norm = RMSNorm(d_model)
        self.expand = Dense(d_model, d_ff, use_bias=False)
        self.contract = Dense(d_ff, d_model, use_bias=False)
        self.feed_forward_norm = RMSNorm(d_model)

    def forward(self, x, memory, bias, memory_mask=None):
        x = x + self.self_attention(self.self_attention_norm(x), bias=bias)
        normed = self.cross_attention_norm(x)
        x = x + self.cross_attention(normed, memory, attention_mask=memory_mask)
        return x + self.contract(relu(self.expand(self.feed_forward_norm(x))))


class T5(Layer):
    """The block T5."""

    def __init__(self, vocab_size, d_model, depth, num_heads, d_kv, d_ff):
        super().__init__()
        self.d_model = d_model
        self.token = Embedding(vocab_size, d_model)
        self.encoder_bias = RelativePositionBias(num_heads)
        self.encoder_layer = [
            T5EncoderLayer(d_model, num_heads, d_kv, d_ff) for _ in range(depth)
        ]
        self.encoder_norm = RMSNorm(d_model)
        self.decoder_bias = RelativePositionBias(num_heads, bidirectional=False)
        self.past_steps = Cache()
        self.decoder_layer = [
            T5DecoderLayer(d_model, d_model, num_heads, d_kv, d_ff)
            for _ in range(depth)
        ]
        self.decoder_norm = RMSNorm(d_model)

    def forward(self, source, target):
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
        return y @ self.token.weight.swapaxes(-2, -1)


class Model(TranslatingNetwork):
    """The network Model."""

    input_names = ("source", "target")

    def __init__(self):
        super().__init__()
        self.t5_0 = T5(vocab_size=40, d_model=16, depth=2, num_heads=4, d_kv=6, d_ff=24)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = {}
        for i, layer in enumerate(self.t5_0.encoder_layer):
            layers[f"t5_0.encoder_layer_{i}.attention"] = layer.attention
        for i, layer in enumerate(self.t5_0.decoder_layer):
            layers[f"t5_0.decoder_layer_{i}.self_attention"] = layer.self_attention
            layers[f"t5_0.decoder_layer_{i}.cross_attention"] = layer.cross_attention
        return layers

    def forward(self, inputs, return_attention=False):
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


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return Model().initialize(seed).astype(dtype)
