"""NumPy runtime: the layers and functions that generated NumPy models share."""

import math
import os

import numpy as np
from neural_attn.backends.emit.runtime.application import remember
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


def layers_in(layer):
    """Yield a layer and all layers in it."""
    yield layer
    for value in vars(layer).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Layer):
                yield from layers_in(inner)


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


def normal(shape):
    """Draw an array of `shape`, normal with deviation 0.02."""
    return np.random.default_rng().normal(0, 0.02, shape).astype(np.float32)


class AttentionLayer(Layer):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to.

    `attention_mask` is kept beside them: True where a key was visible, or None.
    """

    store_attention = False
    attention_weights = attention_mask = None
    # only with Application:
    applications: tuple[object, ...] = ()  # the weights and masks of the last calls
    # only with Application:
    application_count = 1  # so many are kept

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
            # only with Application:
            remember(self)
        return weights


class CausalAttentionLayer(AttentionLayer):
    """Attention that can hide the future: query i sees keys 0 to keys - queries + i."""

    def attend(self, query, key, value, mask=None, dropout=None, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if not causal:
            return super().attend(query, key, value, mask, dropout)
        queries, keys = query.shape[2], key.shape[2]
        blocks = []
        size = queries if self.store_attention else 128
        for first in range(0, queries or 1, size or 1):
            rows = slice(first, first + size)
            past = causal_mask(queries, keys, mask, rows)
            blocks.append(super().attend(query[:, :, rows], key, value, past, dropout))
        return np.concatenate(blocks, axis=2)

    def attention_softmax(self, logits, mask=None, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if causal:
            mask = causal_mask(logits.shape[2], logits.shape[3], mask)
        return super().attention_softmax(logits, mask)


def causal_mask(queries, keys, mask, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = np.arange(queries)[rows, None] + (keys - queries)
    past = np.arange(keys) <= last
    return past if mask is None else past & rows_of(mask, rows)


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


class Observed(Layer):
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
        self.rows = rows

    def forward(self, weights, attention_mask=None):
        """Return weights [batch, heads, queries, keys]; True in the mask is visible."""
        if self.store_attention:
            self.attention_weights = weights
            self.attention_mask = attention_mask
            # only with Application:
            remember(self)
        return weights


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
    return x.reshape(*x.shape[:2], num_heads, x.shape[2] // num_heads).swapaxes(1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    batch, heads, time, size = x.shape
    return x.swapaxes(1, 2).reshape(batch, time, heads * size)


def share_heads(query, key, value):
    """Repeat keys and values, [batch, heads, time, size], for the heads of queries."""
    times = query.shape[1] // key.shape[1]
    return query, np.repeat(key, times, axis=1), np.repeat(value, times, axis=1)


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    return embedding(x) if x.ndim == 2 else x


def padding_mask(values):
    """Turn ids or 0/1 [batch, keys] into a mask [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return (values != 0)[:, None, None, :]


def top_k(x, k):
    """Return where the k largest of the last axis are; of equal ones, the first."""
    places = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    found = np.zeros(x.shape, bool)
    np.put_along_axis(found, places, True, axis=-1)
    return found


def shown_positions(x, mask):
    """Return the positions of x [batch, time, ...] among the steps that are shown.

    mask [batch, 1, 1, time] may begin before x, with steps that are kept.
    """
    ids = np.maximum(mask[:, 0, 0].cumsum(axis=1) - 1, 0)
    return ids[:, ids.shape[1] - x.shape[1] :]


def masked_mean(x, mask):
    """Mean over visible times of x [batch, time, width]; mask [batch, 1, 1, time]."""
    mask = mask[:, 0, 0, :, None]
    total = np.where(mask, x, 0).sum(axis=1)
    return total / np.maximum(mask.sum(axis=1), 1).astype(x.dtype)


def masked_max(x, mask):
    """Maximum over visible times of x [batch, time, width], or 0 where there are none.

    mask: boolean [batch, 1, 1, time].
    """
    mask = mask[:, 0, 0, :, None]
    top = np.where(mask, x, -np.inf).max(axis=1)
    return np.where(mask.any(axis=1), top, 0)


def position_ids(x):
    """Return [0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return np.arange(x.shape[1])


def arange(n, like):
    """Return [0, 1, ..., n - 1] in the dtype of `like`."""
    return np.arange(n, dtype=like.dtype)


def reshape_steps(x, first, *sizes):
    """Reshape x; the first size may be -1, also where there are no steps."""
    return x.reshape(first if x.size else len(x), *sizes)


def length(x):
    """Return the number of time steps of x [batch, time, ...]."""
    return x.shape[1]


def flatten(x):
    """Turn [batch, ...] into [batch, features]."""
    return x.reshape(len(x), -1)


def reshape(x, shape):
    """Turn [batch, ...] into [batch, *shape]."""
    return x.reshape(len(x), *shape)


def linear(x):
    """Identity."""
    return x


def relu(x):
    """ReLU: x where positive, 0 elsewhere."""
    return np.maximum(x, 0)


def leaky_relu(x, alpha=0.2):
    """Leaky ReLU: x where positive, alpha x elsewhere."""
    return np.where(x > 0, x, alpha * x)


def elu(x, alpha=1.0):
    """ELU: x where positive, alpha (exp(x) - 1) elsewhere (Clevert et al., 2016)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x):
    """Scaled ELU, with the constants of Klambauer et al. (2017)."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def exponential(x):
    """Exponential."""
    return np.exp(x)


def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)


def sigmoid(x):
    """Logistic function, 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def hard_sigmoid(x):
    """Hard sigmoid: a straight line from 0 at x = -3 to 1 at x = 3."""
    return np.clip(x / 6 + 0.5, 0, 1)


def softplus(x):
    """Softplus: log(1 + exp(x)), without overflow."""
    return np.logaddexp(0, x)


def softsign(x):
    """Softsign: x / (1 + |x|)."""
    return x / (1 + np.abs(x))


def softmax(x):
    """Softmax over the last axis."""
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def silu(x):
    """SiLU, or swish: x sigmoid(x) (Ramachandran et al., 2017)."""
    return x * sigmoid(x)


def swish(x):
    """Swish, or SiLU: x sigmoid(x) (Ramachandran et al., 2017)."""
    return x * sigmoid(x)


def mish(x):
    """Mish: x tanh(softplus(x)) (Misra, 2019)."""
    return x * np.tanh(softplus(x))


def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_sigmoid(x):
    """GELU in its sigmoid approximation (Hendrycks and Gimpel, 2016)."""
    return x * sigmoid(1.702 * x)


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
