"""Keras runtime: the code that generated Keras 3 models share."""

import contextlib
import math
import os

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file


class AttentionLayer(keras.layers.Layer):
    """Base of the attention layers: attends, and keeps its weights when asked to.

    With `store_attention` set, each call leaves `attention_weights`
    [batch, heads, queries, keys] and `attention_mask` (True: visible) behind.
    """

    def __init__(self):
        super().__init__()
        self.store_attention = False
        self.attention_weights = None
        self.attention_mask = None

    def attend(
        self,
        query,
        key,
        value,
        mask=None,
        *,
        causal=False,
        dropout=None,
        training=None,
    ):
        """Return softmax(query key^T / sqrt(size)) value, in the shape of `query`.

        query, key, value: [batch, heads, time, size]. mask: boolean, broadcastable
        to [batch, heads, queries, keys], True where a key may be attended.
        """
        # The fused operation has no dropout.
        dropping = training and dropout is not None and dropout.rate > 0
        if not self.store_attention and not dropping:
            return fused_attention(query, key, value, mask, causal)
        logits = ops.matmul(query, ops.swapaxes(key, -2, -1))
        logits = logits / math.sqrt(query.shape[-1])
        weights = self.attention_softmax(logits, mask, causal=causal)
        if dropout is not None:
            weights = dropout(weights, training=training)
        return ops.matmul(weights, value)

    def attention_softmax(self, logits, mask=None, *, causal=False):
        """Return the weights of `logits`, both [batch, heads, queries, keys].

        Rows sum to 1 over their visible keys; hidden keys have weight 0.
        """
        queries, keys = ops.shape(logits)[-2:]
        mask = visible_keys(queries, keys, mask, causal)
        weights = masked_softmax(logits, mask)
        if self.store_attention:
            self.attention_weights = weights
            self.attention_mask = mask
        return weights


def fused_attention(query, key, value, mask=None, causal=False):
    """Attend with the fused operation of Keras, which wants [batch, time, heads, size]."""
    queries, keys = ops.shape(query)[2], ops.shape(key)[2]
    # Its own causal mask fits only equal lengths and no other mask; in the
    # remaining causal cases one boolean mask says both.
    static = isinstance(queries, int) and isinstance(keys, int)
    fused_causal = causal and mask is None and static and queries == keys
    if causal and not fused_causal:
        mask = visible_keys(queries, keys, mask, causal)
    # Scaled here: TensorFlow rounds the `scale` argument to float32.
    query = query / math.sqrt(query.shape[-1])
    context = ops.dot_product_attention(
        ops.swapaxes(query, 1, 2),
        ops.swapaxes(key, 1, 2),
        ops.swapaxes(value, 1, 2),
        mask=mask,
        scale=1.0,
        is_causal=fused_causal,
    )
    context = ops.swapaxes(context, 1, 2)
    if mask is None:
        return context
    # The operation averages all values where no key is visible.
    return ops.where(ops.any(mask, axis=-1, keepdims=True), context, 0.0)


def visible_keys(queries, keys, mask=None, causal=False):
    """Return `mask`, and with `causal` also hide each query's future keys.

    The last query sees the last key: query i sees keys 0 to keys - queries + i.
    """
    if not causal:
        return mask
    past = ops.arange(keys) <= ops.arange(queries)[:, None] + (keys - queries)
    return past if mask is None else ops.logical_and(past, mask)


def masked_softmax(logits, mask=None):
    """Softmax over the last axis; 0 where `mask` is False, and in all-False rows."""
    if mask is None:
        return ops.softmax(logits, axis=-1)
    # A finite stand-in for -inf keeps all-False rows, and their gradients, from NaN.
    weights = ops.softmax(ops.where(mask, logits, -1e30), axis=-1)
    return ops.where(mask, weights, 0.0)


class Network(keras.Model):
    """A whole model: names its attention layers, and loads and saves its weights."""

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {}

    def set_store_attention(self, flag):
        """Keep the weights of each later call on the attention layers, or drop them."""
        for layer in self.attention_layers().values():
            layer.store_attention = flag
            if not flag:
                layer.attention_weights = layer.attention_mask = None

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
                layer.store_attention = before[name]
                if not before[name]:
                    layer.attention_weights = layer.attention_mask = None
        return output, attention

    def load_weights(self, path):
        """Load a safetensors file; raise ValueError if a name or a shape differs."""
        tensors = load_file(path)
        weights = dict(named_variables(self))
        expected = {name: to_torch_layout(x) for name, x in weights.items()}
        check_weights(path, tensors, expected)
        for name, variable in weights.items():
            variable.assign(from_torch_layout(variable, tensors[name]))

    def save_weights(self, path):
        """Write all weights to a safetensors file, in one step."""
        tensors = {name: to_torch_layout(x) for name, x in named_variables(self)}
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)


def named_variables(layer, prefix=""):
    """Yield (name, variable) under the names that PyTorch gives to the weights."""
    inner = set()
    for attribute, value in vars(layer).items():
        items = {attribute: value}
        if isinstance(value, list):
            items = {f"{attribute}.{i}": item for i, item in enumerate(value)}
        for name, item in items.items():
            if isinstance(item, keras.layers.Layer) and not name.startswith("_"):
                inner.update(id(variable) for variable in item.weights)
                yield from named_variables(item, f"{prefix}{name}.")
    names = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    names["embeddings"] = "weight"
    for variable in layer.weights:
        if id(variable) not in inner:
            yield prefix + names.get(variable.name, variable.name), variable


def to_torch_layout(variable):
    """A variable's values; of a kernel, [..., in, out] turned to [out, in, ...]."""
    values = ops.convert_to_numpy(variable)
    if variable.name == "kernel":
        values = np.moveaxis(values, (-1, -2), (0, 1))
    return np.ascontiguousarray(values)


def from_torch_layout(variable, values):
    """The inverse of `to_torch_layout`: values in the layout of `variable`."""
    if variable.name == "kernel":
        values = np.moveaxis(values, (0, 1), (-1, -2))
    return values


def check_weights(path, found, expected):
    """Raise ValueError at the first tensor of `path` the model has no place for.

    found, expected: {name: array}.
    """
    for name, weight in expected.items():
        needed = tuple(weight.shape)
        if name not in found:
            raise ValueError(f"{path}: no tensor {name!r}; the model needs {needed}")
        shape = tuple(found[name].shape)
        if shape != needed:
            raise ValueError(
                f"{path}: tensor {name!r} is {shape}; the model needs {needed}"
            )
    for name in found:
        if name not in expected:
            shape = tuple(found[name].shape)
            raise ValueError(
                f"{path}: tensor {name!r} {shape} is unexpected; the model has none"
            )


@contextlib.contextmanager
def with_dtype(dtype):
    """Layers made inside the `with` block compute and hold weights in `dtype`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def split_heads(x, num_heads):
    """[batch, time, heads * size] -> [batch, heads, time, size]"""
    size = x.shape[-1] // num_heads
    x = ops.reshape(x, (-1, ops.shape(x)[1], num_heads, size))
    return ops.swapaxes(x, 1, 2)


def merge_heads(x):
    """[batch, heads, time, size] -> [batch, time, heads * size]"""
    width = x.shape[1] * x.shape[3]
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, ops.shape(x)[2], width))


def padding_mask(values):
    """[batch, keys] of token ids or 0/1 -> boolean [batch, 1, 1, keys]; 0 is hidden."""
    if values is None:
        return None
    return ops.not_equal(values, 0)[:, None, None, :]


def masked_mean(x, mask=None):
    """Mean over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time]."""
    if mask is None:
        return ops.mean(x, axis=1)
    mask = mask[:, 0, 0, :, None]
    total = ops.sum(ops.where(mask, x, 0.0), axis=1)
    return total / ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=1), 1.0)


def masked_max(x, mask=None):
    """Maximum over time of x [batch, time, width]; mask: boolean [batch, 1, 1, time].

    0 where nothing is visible.
    """
    if mask is None:
        return ops.max(x, axis=1)
    mask = mask[:, 0, 0, :, None]
    top = ops.max(ops.where(mask, x, -math.inf), axis=1)
    return ops.where(ops.any(mask, axis=1), top, 0.0)


def position_ids(x):
    """[0, 1, ..., time - 1] as integers, for x [batch, time, ...]."""
    return ops.arange(ops.shape(x)[1], dtype="int64")


def arange(n, like):
    """[0, 1, ..., n - 1] in the dtype of `like`."""
    return ops.cast(ops.arange(n), like.dtype)


def length(x):
    """Number of time steps of x [batch, time, ...]."""
    return ops.shape(x)[1]


def gelu_tanh(x):
    """GELU in its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return ops.gelu(x, approximate=True)


def leaky_relu(x):
    """x where positive, 0.2 x elsewhere."""
    return ops.leaky_relu(x, negative_slope=0.2)
