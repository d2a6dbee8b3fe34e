"""Keras runtime: the code that generated Keras 3 models share."""

import math
import os

import keras
import numpy as np
from keras import layers, ops
from neural_attn.backends.emit.runtime.application import remember
from safetensors.numpy import load_file, save_file


class AttentionLayer(layers.Layer):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to."""

    store_attention, attention_weights, attention_mask = False, None, None
    # only with Application:
    applications: tuple[object, ...] = ()  # the weights and masks of the last calls
    # only with Application:
    application_count = 1  # so many are kept

    def attend(self, query, key, value, mask=None, dropout=None, training=None):
        """Attend, all [batch, heads, time, size]; mask: True where a key is seen."""
        query = query / query.shape[-1] ** 0.5  # TensorFlow rounds its own `scale`
        if self.store_attention or (training and dropout and dropout.rate):
            weights = self.attention_softmax(query @ ops.swapaxes(key, -2, -1), mask)
            weights = dropout(weights, training=training) if dropout else weights
            return ops.matmul(ops.cast(weights, value.dtype), value)
        q, k, v = (ops.swapaxes(x, 1, 2) for x in (query, key, value))
        blocks = []  # of 128 queries: TensorFlow has no fused kernel that saves memory
        for first in range(0, q.shape[1] or 1, 128):
            at = slice(first, first + 128 if q.shape[1] else None)
            seen = mask if mask is None or mask.shape[-2] == 1 else mask[..., at, :]
            blocks += [ops.dot_product_attention(q[:, at], k, v, mask=seen, scale=1.0)]
        context = ops.swapaxes(ops.concatenate(blocks, axis=1), 1, 2)
        seen = True if mask is None else ops.any(mask, axis=-1, keepdims=True)
        return ops.where(seen, context, 0.0)  # where no key is seen, Keras averages

    def attention_softmax(self, logits, mask=None):
        """Return weights: rows sum to 1, hidden keys and rows without others are 0."""
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        seen = ops.logical_and(logits > float("-inf"), True if mask is None else mask)
        # A finite stand-in for -inf keeps rows that see nothing from NaN.
        weights = ops.where(seen, ops.softmax(ops.where(seen, logits, -1e30)), 0.0)
        if self.store_attention:
            self.attention_weights, self.attention_mask = weights, mask
            # only with Application:
            remember(self)
        return weights


class CausalAttentionLayer(AttentionLayer):
    """Attention that can hide the future: query i sees keys 0 to keys - queries + i."""

    def attend(
        self,
        query,
        key,
        value,
        mask=None,
        dropout=None,
        training=None,
        causal=False,
    ):
        """As above; `causal` hides each query's future keys as well."""
        if not causal:
            return super().attend(query, key, value, mask, dropout, training)
        queries, keys = ops.shape(query)[2], ops.shape(key)[2]
        # Weights that are not kept are worked out for 128 queries at a time.
        whole = self.store_attention or query.shape[2] is None
        blocks = []
        for first in range(0, 1 if whole else queries or 1, 128):
            rows = slice(None) if whole else slice(first, first + 128)
            past = causal_mask(queries, keys, mask, rows)
            chunk = query[:, :, rows]
            blocks.append(super().attend(chunk, key, value, past, dropout, training))
        return ops.concatenate(blocks, axis=2)

    def attention_softmax(self, logits, mask=None, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if causal:
            mask = causal_mask(ops.shape(logits)[2], ops.shape(logits)[3], mask)
        return super().attention_softmax(logits, mask)


def causal_mask(queries, keys, mask, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = ops.arange(queries)[rows, None] + (keys - queries)
    past = ops.arange(keys) <= last
    if mask is None:
        return past
    return ops.logical_and(past, mask if mask.shape[-2] == 1 else mask[..., rows, :])


class Observed(layers.Layer):
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
        super().__init__(autocast=False)
        self.rows = rows

    def call(self, weights, attention_mask=None):
        """Return weights [batch, heads, queries, keys]; True in the mask is visible."""
        if self.store_attention:
            self.attention_weights = weights
            self.attention_mask = attention_mask
            # only with Application:
            remember(self)
        return weights


class Network(keras.Model):
    """A whole model: returns or keeps its attention, loads and saves its weights."""

    def build(self, input_shape):
        """Make all weights, from symbols: `summary` tells the shapes they lead to."""
        for layer in self._flatten_layers(include_self=False):
            layer.built |= type(layer).build is keras.Layer.build  # else traced twice
        self.call(keras.tree.map_shape_structure(keras.KerasTensor, input_shape))

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

    def load_weights(self, filepath, **options):
        """Load a safetensors file; raise ValueError where it does not fit."""
        if str(filepath).endswith(".h5"):  # as Keras and its callbacks save
            return super().load_weights(filepath, **options)
        tensors, weights = load_file(filepath), list(named_weights(self))
        if names := sorted(tensors.keys() ^ {name for name, *_ in weights}):
            raise ValueError(f"{filepath} and the model differ in {', '.join(names)}")
        for name, variable, (ours, theirs) in weights:
            variable.assign(np.moveaxis(tensors[name], theirs, ours))

    def save_weights(self, filepath, **options):
        """Write a safetensors file, in one step."""
        if str(filepath).endswith(".h5"):
            return super().save_weights(filepath, **options)
        own = ((n, ops.convert_to_numpy(x), a) for n, x, a in named_weights(self))
        save_file({n: np.moveaxis(x, *a).copy() for n, x, a in own}, f"{filepath}.part")
        os.replace(f"{filepath}.part", filepath)


RUNNING = {"moving_mean": "running_mean", "moving_variance": "running_var"}


def named_weights(layer, prefix=""):
    """Yield (name in PyTorch, variable, (axes here, axes there)) of all weights."""
    # only with LSTM, GRU, SimpleRNN, Bidirectional:
    if hasattr(layer, "named_weights"):
        yield from layer.named_weights(prefix)
        return
    found = keras.tree.flatten_with_path(vars(layer) | getattr(layer, "_modules", {}))
    inner = [(p, x) for p, x in found if isinstance(x, keras.Layer) and p[0][0] != "_"]
    for path, one in inner:  # `_modules` has them where Keras is on PyTorch
        yield from named_weights(one, prefix + ".".join(map(str, path)) + ".")
    # only with add_weight:
    kind = next(c for c in type(layer).__mro__ if c.__module__.startswith("keras."))
    # only with add_weight:
    if kind in (keras.Layer, keras.Model):  # a block: its own arrays
        own = [(p, x) for p, x in found if isinstance(x, keras.Variable)]
        yield from ((prefix + p[0], x, ((), ())) for p, x in own if p[0][0] != "_")
        return
    for variable in [] if inner else layer.weights:
        name = "bias" if variable.name in ("bias", "beta") else "weight"
        # only with BatchNormalization:
        name = RUNNING.get(variable.name, name)
        axes = ((-1, -2), (0, 1)) if variable.name == "kernel" else ((), ())
        yield prefix + name, variable, axes


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    shape = (*ops.shape(x)[:2], num_heads, x.shape[-1] // num_heads)
    return ops.swapaxes(ops.reshape(x, shape), 1, 2)


def merge_heads(x):
    """Turn [batch, heads, time, size] into [batch, time, heads * size]."""
    return ops.concatenate(ops.unstack(x, axis=1), axis=-1)


def share_heads(query, key, value):
    """Repeat keys and values, [batch, heads, time, size], for the heads of queries."""
    times = query.shape[1] // key.shape[1]
    return query, ops.repeat(key, times, axis=1), ops.repeat(value, times, axis=1)


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    if len(x.shape) == 2:
        return embedding(x)
    return ops.cast(x, embedding.compute_dtype)


def padding_mask(values):
    """Turn ids or 0/1 [batch, keys] into a mask [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return ops.not_equal(values, 0)[:, None, None, :]


def top_k(x, k):
    """Return where the k largest of the last axis are; of equal ones, the first."""
    size = ops.shape(x)[-1]
    places = ops.top_k(x, ops.minimum(k, size))[1]
    return ops.any(ops.equal(places[..., None], ops.arange(size)), axis=-2)


def shown_positions(x, mask):
    """Return the positions of x [batch, time, ...] among the steps that are shown.

    mask [batch, 1, 1, time] may begin before x, with steps that are kept.
    """
    ids = ops.cumsum(ops.cast(mask[:, 0, 0], "int64"), axis=1)
    return ops.maximum(ids[:, ops.shape(ids)[1] - ops.shape(x)[1] :] - 1, 0)


def masked_mean(x, mask):
    """Mean over visible times of x [batch, time, width]; mask [batch, 1, 1, time]."""
    mask = ops.cast(mask[:, 0, 0, :, None], x.dtype)
    return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


def masked_max(x, mask):
    """Maximum over visible times of x [batch, time, width], or 0 where there are none.

    mask: boolean [batch, 1, 1, time].
    """
    mask = mask[:, 0, 0, :, None]
    top = ops.max(ops.where(mask, x, -math.inf), axis=1)
    return ops.where(ops.any(mask, axis=1), top, 0.0)


def position_ids(x):
    """Return [0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return ops.arange(ops.shape(x)[1], dtype="int64")


def arange(n, like):
    """Return [0, 1, ..., n - 1] in the dtype of `like`."""
    return ops.cast(ops.arange(n), like.dtype)


def length(x):
    """Return the number of time steps of x [batch, time, ...]."""
    return ops.shape(x)[1]


# TensorFlow rounds the constants of its own GELU and leaky ReLU to float32.
def gelu(x):
    """GELU: x times the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_sigmoid(x):
    """GELU in its sigmoid approximation (Hendrycks and Gimpel, 2016)."""
    return x * ops.sigmoid(1.702 * x)


def leaky_relu(x):
    """Leaky ReLU: x where positive, 0.2 x elsewhere."""
    return ops.maximum(x, 0.2 * x)
