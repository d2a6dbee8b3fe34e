"""AlibiClassifier for numpy, from alibi_attention.neural by neural-attn 0.1.0."""

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


def masked_mean(x, mask):
    """Mean over visible times of x [batch, time, width]; mask [batch, 1, 1, time]."""
    mask = mask[:, 0, 0, :, None]
    total = np.where(mask, x, 0).sum(axis=1)
    return total / np.maximum(mask.sum(axis=1), 1).astype(x.dtype)


def softmax(x):
    """Softmax over the last axis."""
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


# P and Q of erf, highest power first: a minimax fit of exp(z^2) (1 - erf(z)) on
# [0, 6], weighted by exp(-z^2). The error of erf is below 5e-17, before rounding.
ERF_P = (
    0.00127982764873501769,
    0.0179783242170453598,
    0.115713427085326268,
    0.435400785211790295,
    1.01764366837977945,
    1.420438177983835,
    1.00000000000000004,
)


ERF_Q = (
    0.00226839354831073693,
    0.0318669747584799068,
    0.206213324148059927,
    0.787826230723378124,
    1.90400000210592697,
    2.89367606129820149,
    2.54881734507936228,
    1.0,
)


def erf(x):
    """Error function: 1 - exp(-z^2) P(z) / Q(z) for z = |x|, with the sign of x."""
    z = np.minimum(np.abs(x), 6.0)  # erf(6) is 1, to the last digit
    p = q = 0.0
    for coefficient in ERF_P:
        p = p * z + coefficient
    for coefficient in ERF_Q:
        q = q * z + coefficient
    return np.copysign(1 - np.exp(-z * z) * p / q, x)


def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


class LinearBiasedAttention(AttentionLayer):
    """Self-attention with linear biases (Press et al., 2022, ALiBi, section 3).

    x [batch, time, d_model]; no bias is learned, only the four projections are.
    """

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query_projection = Dense(d_model, d_model)
        self.key_projection = Dense(d_model, d_model)
        self.value_projection = Dense(d_model, d_model)
        self.output_projection = Dense(d_model, d_model)

    def forward(self, x, attention_mask=None):
        queries = split_heads(self.query_projection(x), self.num_heads)
        keys = split_heads(self.key_projection(x), self.num_heads)
        values = split_heads(self.value_projection(x), self.num_heads)

        # how far each key is from each query, in positions
        positions = np.arange(x.shape[1], dtype=x.dtype)
        distances = np.abs(positions.reshape(-1, 1) - positions.reshape(1, -1))

        # one slope per head, a geometric series: 2 ** (-8 / num_heads), ..., 2 ** -8
        heads = np.arange(self.num_heads, dtype=x.dtype) + 1
        slopes = np.exp(heads * (-8 * math.log(2) / self.num_heads)).reshape(
            self.num_heads, 1, 1
        )

        logits = (
            queries @ keys.swapaxes(-2, -1) / math.sqrt(x.shape[-1] / self.num_heads)
        )
        weights = self.attention_softmax(logits - slopes * distances, attention_mask)
        return self.output_projection(merge_heads(weights @ values))


class FeedForward(Layer):
    """Two dense layers, applied to each position alone (Vaswani et al., 2017, 3.3)."""

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.expand = Dense(d_model, ff_dim)
        self.contract = Dense(ff_dim, d_model)

    def forward(self, x):
        return self.contract(gelu(self.expand(x)))


class LinearBiasedEncoder(Layer):
    """An encoder layer around LinearBiasedAttention, normalized before each part."""

    def __init__(self, x_width, num_heads, ff_dim):
        super().__init__()
        self.attention_norm = LayerNormalization(x_width, 1e-06)
        self.attention = LinearBiasedAttention(x_width, num_heads)
        self.feed_forward_norm = LayerNormalization(x_width, 1e-06)
        self.feed_forward = FeedForward(x_width, ff_dim)
        self.residual_dropout = Dropout(0.1)

    def forward(self, x, attention_mask=None):
        attended = self.attention(self.attention_norm(x), attention_mask=attention_mask)
        x = x + self.residual_dropout(attended)
        return x + self.residual_dropout(self.feed_forward(self.feed_forward_norm(x)))


class AlibiClassifier(Network):
    """The network AlibiClassifier."""

    def __init__(self):
        super().__init__()
        self.embedding_0 = Embedding(1000, 64)
        self.linear_biased_encoder_layers = [
            LinearBiasedEncoder(x_width=64, num_heads=8, ff_dim=128) for _ in range(2)
        ]
        self.output_0 = Dense(64, 2)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.linear_biased_encoder_layers)
        return {f"linear_biased_encoder_{i}": layer.attention for i, layer in layers}

    def forward(self, inputs, return_attention=False):
        """Map integers [batch, time] to [batch, 2], or (that, attention maps)."""
        if return_attention:
            return self.run_with_attention(inputs)
        attention_mask = (inputs != 0)[:, None, None, :]
        x = self.embedding_0(inputs)
        for layer in self.linear_biased_encoder_layers:
            x = layer(x, attention_mask=attention_mask)
        x = masked_mean(x, attention_mask)
        return softmax(self.output_0(x))


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return AlibiClassifier().initialize(seed).astype(dtype)
