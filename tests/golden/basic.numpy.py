"""BasicTransformer for numpy, from basic_transformer.neural by neural-attn 0.1.0."""

import math
import os

import numpy as np
from safetensors.numpy import load_file, save_file


class Layer:
    """Part of a network: calling it runs `forward`; its arrays are its weights."""

    results = ("attention_weights", "attention_mask")  # arrays that are not weights

    def __call__(self, *args, **kwargs):
        """Run `forward`."""
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        """Compute the output, as each layer does in its own way."""
        raise NotImplementedError

    def walk(self, prefix=""):
        """Yield (dotted name, owner, attribute) of every weight, inner layers too."""
        for attribute, value in vars(self).items():
            items = enumerate(value) if isinstance(value, list) else ()
            if isinstance(value, np.ndarray) and attribute not in self.results:
                yield prefix + attribute, self, attribute
            elif isinstance(value, Layer):
                yield from value.walk(f"{prefix}{attribute}.")
            for i, item in items:
                if isinstance(item, Layer):
                    yield from item.walk(f"{prefix}{attribute}.{i}.")

    def named_weights(self):
        """Return {dotted name: array}."""
        return {name: getattr(layer, key) for name, layer, key in self.walk()}

    def astype(self, dtype):
        """Cast all weights to `dtype`, in place; return the layer."""
        for _, layer, key in self.walk():
            setattr(layer, key, getattr(layer, key).astype(dtype))
        return self

    def initialize(self, seed=None):
        """Draw every matrix again (Glorot and Bengio, 2010); return the layer."""
        rng = np.random.default_rng(seed)
        for name, weight in self.named_weights().items():
            if weight.ndim > 1 and ".weight" in f".{name}":
                fans = sum(weight.shape[:2]) * math.prod(weight.shape[2:])
                limit = math.sqrt(6 / fans)
                weight[...] = rng.uniform(-limit, limit, weight.shape)
        return self


class Dense(Layer):
    """Linear map, with weight [units, in_features] and bias [units]."""

    def __init__(self, in_features, units, use_bias=True):
        self.weight = np.zeros((units, in_features), np.float32)
        self.bias = np.zeros(units, np.float32) if use_bias else None

    def forward(self, x):
        """Turn x [..., in_features] into [..., units]."""
        x = x @ self.weight.T
        return x if self.bias is None else x + self.bias


class Embedding(Layer):
    """Table of vectors, with weight [input_dim, output_dim]."""

    def __init__(self, input_dim, output_dim):
        self.weight = np.zeros((input_dim, output_dim), np.float32)

    def forward(self, ids):
        """Turn integer ids [...] into their vectors [..., output_dim]."""
        rows = len(self.weight)
        if ids.size and (ids.min() < 0 or ids.max() >= rows):
            raise ValueError(
                f"ids must lie in 0..{rows - 1}; got {ids.min()}..{ids.max()}"
            )
        return self.weight[ids]


class LayerNormalization(Layer):
    """Layer normalization (Ba et al., 2016)."""

    def __init__(self, features, epsilon):
        self.epsilon = epsilon
        self.weight = np.ones(features, np.float32)
        self.bias = np.zeros(features, np.float32)

    def forward(self, x):
        """Normalize the last axis of x [..., features]."""
        centered = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centered**2, axis=-1, keepdims=True)
        return centered / np.sqrt(variance + self.epsilon) * self.weight + self.bias


class Dropout(Layer):
    """Stands where a trained model has dropout."""

    def __init__(self, rate):
        self.rate = rate

    def forward(self, x):
        """Return x: NumPy models are not trained."""
        return x


def rows_of(mask, rows):
    """Return the part of a mask that is for these queries."""
    return mask if mask is None or mask.shape[-2] == 1 else mask[..., rows, :]


def masked_softmax(logits, mask=None):
    """Softmax over the last axis; 0 where `mask` is False, and in all-False rows."""
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    # The maximum of an all-False row is -inf: any finite number keeps it from NaN.
    weights = np.exp(logits - np.where(top == -np.inf, 0, top))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


class AttentionLayer(Layer):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to.

    `attention_mask` is kept beside them: True where a key was visible, or None.
    """

    store_attention = False
    attention_weights = attention_mask = None

    def attend(self, query, key, value, mask=None, dropout=None):
        """Return softmax(query key^T / sqrt(size)) value: [batch, heads, time, size].

        mask: boolean, broadcastable to [batch, heads, queries, keys]; True is visible.
        """
        key = key.swapaxes(-2, -1) / math.sqrt(query.shape[-1])
        if self.store_attention:
            weights = self.attention_softmax(query @ key, mask)
            return (weights if dropout is None else dropout(weights)) @ value
        # Weights that are not kept are worked out for 128 queries at a time.
        blocks = []
        for first in range(0, query.shape[2] or 1, 128):
            rows = slice(first, first + 128)
            weights = masked_softmax(query[:, :, rows] @ key, rows_of(mask, rows))
            blocks.append(weights @ value)
        return np.concatenate(blocks, axis=2)

    def attention_softmax(self, logits, mask=None):
        """Return weights: rows sum to 1, hidden keys and rows without others are 0."""
        weights = masked_softmax(logits, mask)
        if self.store_attention:
            self.attention_weights, self.attention_mask = weights, mask
        return weights


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


class Network(Layer):
    """A whole model: returns or keeps its attention, loads and saves its weights."""

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        raise NotImplementedError

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
            output = self(inputs)
            return output, {name: x.attention_weights for name, x in layers.items()}
        finally:
            self.set_store_attention(before)

    def load_weights(self, path):
        """Load a safetensors file; raise ValueError if a name or a shape differs."""
        tensors = load_file(path)
        check_weights(path, tensors, self.named_weights())
        for name, layer, key in self.walk():
            setattr(layer, key, tensors[name].astype(getattr(layer, key).dtype))

    def save_weights(self, path):
        """Write all weights to a safetensors file, in one step."""
        tensors = {
            name: np.ascontiguousarray(weight)
            for name, weight in self.named_weights().items()
        }
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    return x.reshape(*x.shape[:2], num_heads, x.shape[2] // num_heads).swapaxes(1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    batch, heads, time, size = x.shape
    return x.swapaxes(1, 2).reshape(batch, time, heads * size)


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    return embedding(x) if x.ndim == 2 else x


def relu(x):
    """ReLU: x where positive, 0 elsewhere."""
    return np.maximum(x, 0)


def softmax(x):
    """Softmax over the last axis."""
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


class MultiHeadAttention(AttentionLayer):
    """Attention in several heads, on [batch, time, width] (Vaswani et al., 2017, 3.2)."""

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        key_dim = d_model // num_heads
        self.num_heads = num_heads
        self.query_projection = Dense(d_model, num_heads * key_dim)
        self.key_projection = Dense(d_model, num_heads * key_dim)
        self.value_projection = Dense(d_model, num_heads * key_dim)
        self.weight_dropout = Dropout(dropout)
        self.output_projection = Dense(num_heads * key_dim, d_model)

    def forward(self, query, attention_mask=None):
        # softmax(q · k / sqrt(key_dim)) · v, in each head
        q = split_heads(self.query_projection(query), self.num_heads)
        k = split_heads(self.key_projection(query), self.num_heads)
        v = split_heads(self.value_projection(query), self.num_heads)
        context = self.attend(q, k, v, attention_mask, self.weight_dropout)
        return self.output_projection(merge_heads(context))


class FeedForward(Layer):
    """Two dense layers, applied to each position alone (Vaswani et al., 2017, 3.3)."""

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.expand = Dense(d_model, ff_dim)
        self.contract = Dense(ff_dim, d_model)

    def forward(self, x):
        return self.contract(relu(self.expand(x)))


class TransformerEncoder(Layer):
    """Self-attention, then a feed-forward layer, with residuals: x [batch, time, d_model]."""

    def __init__(self, d_model, num_heads=8, ff_dim=2048, dropout=0.1):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.attention_norm = LayerNormalization(d_model, 1e-06)
        self.feed_forward = FeedForward(d_model, ff_dim)
        self.feed_forward_norm = LayerNormalization(d_model, 1e-06)
        self.residual_dropout = Dropout(dropout)

    def forward(self, x, attention_mask=None):
        # normalized after each part (Vaswani et al., 2017, 3.1)
        attended = self.attention(x, attention_mask=attention_mask)
        x = self.attention_norm(x + self.residual_dropout(attended))
        return self.feed_forward_norm(x + self.residual_dropout(self.feed_forward(x)))


class BasicTransformer(Network):
    """The network BasicTransformer."""

    def __init__(self):
        super().__init__()
        self.embedding_0 = Embedding(1000, 64)
        self.transformer_encoder_0 = TransformerEncoder(
            d_model=64, num_heads=4, ff_dim=128
        )
        self.dense_0 = Dense(64, 32)
        self.output_0 = Dense(32, 2)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {"transformer_encoder_0": self.transformer_encoder_0.attention}

    def forward(self, inputs, return_attention=False):
        """Return the output [batch, 2], or (output, attention maps).

        inputs: integers [batch, 24], or numbers [batch, time, 64] embedded already
        """
        if return_attention:
            return self.run_with_attention(inputs)
        x = embedded(inputs, self.embedding_0)
        x = self.transformer_encoder_0(x)
        x = x.mean(axis=1)
        x = relu(self.dense_0(x))
        return softmax(self.output_0(x))


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return BasicTransformer().initialize(seed).astype(dtype)
