"""MultiLayerTransformer for tensorflow.

From multi_layer_transformer.neural by neural-attn 0.1.0.
"""

import os

import keras
import numpy as np
from keras import layers, ops
from safetensors.numpy import load_file, save_file


class AttentionLayer(layers.Layer):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to."""

    store_attention, attention_weights, attention_mask = False, None, None

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
        return weights


def named_weights(layer, prefix=""):
    """Yield (name in PyTorch, variable, (axes here, axes there)) of all weights."""
    found = keras.tree.flatten_with_path(vars(layer) | getattr(layer, "_modules", {}))
    inner = [(p, x) for p, x in found if isinstance(x, keras.Layer) and p[0][0] != "_"]
    for path, one in inner:  # `_modules` has them where Keras is on PyTorch
        yield from named_weights(one, prefix + ".".join(map(str, path)) + ".")
    for variable in [] if inner else layer.weights:
        name = "bias" if variable.name in ("bias", "beta") else "weight"
        axes = ((-1, -2), (0, 1)) if variable.name == "kernel" else ((), ())
        yield prefix + name, variable, axes


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


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    shape = (*ops.shape(x)[:2], num_heads, x.shape[-1] // num_heads)
    return ops.swapaxes(ops.reshape(x, shape), 1, 2)


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    if len(x.shape) == 2:
        return embedding(x)
    return ops.cast(x, embedding.compute_dtype)


class PositionalEncoding(layers.Layer):
    """Adds to x [batch, time, d_model] vectors that tell each position where it is."""

    def call(self, x):
        # j, j + 1 turn at the rate 10000 ** (-j / d_model) (Vaswani et al., 2017, 3.5)
        exact = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        steps = ops.cast(ops.arange(ops.shape(x)[1]), exact.dtype)[None]
        j = ops.cast(ops.arange(x.shape[-1]), exact.dtype)
        angles = ops.stack([steps], axis=-1) * 10000 ** ((j % 2 - j) / x.shape[-1])
        encoding = ops.where(j % 2 == 0, ops.sin(angles), ops.cos(angles))
        return x + ops.cast(encoding, x.dtype)


class MultiHeadAttention(AttentionLayer):
    """Attention in several heads, on [batch, time, width] (Vaswani et al., 2017, 3.2)."""

    def __init__(self, d_model, num_heads, dropout=0.0, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        key_dim = d_model // num_heads
        self.num_heads = num_heads
        self.query_projection = layers.Dense(num_heads * key_dim, dtype=dtype)
        self.key_projection = layers.Dense(num_heads * key_dim, dtype=dtype)
        self.value_projection = layers.Dense(num_heads * key_dim, dtype=dtype)
        self.weight_dropout = layers.Dropout(dropout, dtype=dtype)
        self.output_projection = layers.Dense(d_model, dtype=dtype)

    def call(self, query, attention_mask=None, training=None):
        # softmax(q · k / sqrt(key_dim)) · v, in each head
        q = split_heads(self.query_projection(query), self.num_heads)
        k = split_heads(self.key_projection(query), self.num_heads)
        v = split_heads(self.value_projection(query), self.num_heads)
        context = self.attend(q, k, v, attention_mask, self.weight_dropout, training)
        return self.output_projection(ops.concatenate(ops.unstack(context, axis=1), -1))


class FeedForward(layers.Layer):
    """Two dense layers, applied to each position alone (Vaswani et al., 2017, 3.3)."""

    def __init__(self, d_model, ff_dim, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.expand = layers.Dense(ff_dim, activation="relu", dtype=dtype)
        self.contract = layers.Dense(d_model, dtype=dtype)

    def call(self, x):
        return self.contract(self.expand(x))


class TransformerEncoder(layers.Layer):
    """Self-attention, then a feed-forward layer, with residuals: x [batch, time, d_model]."""

    def __init__(
        self, d_model, num_heads=8, ff_dim=2048, dropout=0.1, dtype=None, **options
    ):
        super().__init__(dtype=dtype, **options)
        self.attention = MultiHeadAttention(d_model, num_heads, dropout, dtype=dtype)
        self.attention_norm = layers.LayerNormalization(epsilon=1e-06, dtype=dtype)
        self.feed_forward = FeedForward(d_model, ff_dim, dtype=dtype)
        self.feed_forward_norm = layers.LayerNormalization(epsilon=1e-06, dtype=dtype)
        self.residual_dropout = layers.Dropout(dropout, dtype=dtype)

    def call(self, x, attention_mask=None):
        # normalized after each part (Vaswani et al., 2017, 3.1)
        attended = self.attention(x, attention_mask=attention_mask)
        x = self.attention_norm(x + self.residual_dropout(attended))
        return self.feed_forward_norm(x + self.residual_dropout(self.feed_forward(x)))


@keras.saving.register_keras_serializable("MultiLayerTransformer")
class MultiLayerTransformer(Network):
    """The network MultiLayerTransformer."""

    def __init__(self, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.embedding_0 = layers.Embedding(2000, 64, dtype=dtype)
        # without it, the order of the tokens is lost
        self.positional_encoding_0 = PositionalEncoding(dtype=dtype)
        self.transformer_encoder_layers = [
            TransformerEncoder(d_model=64, ff_dim=256, dtype=dtype) for _ in range(3)
        ]
        self.dense_0 = layers.Dense(64, activation="relu", dtype=dtype)
        self.dropout_0 = layers.Dropout(0.1, dtype=dtype)
        self.output_0 = layers.Dense(5, activation="softmax", dtype=dtype)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.transformer_encoder_layers)
        return {f"transformer_encoder_{i}": layer.attention for i, layer in layers}

    def call(self, inputs, return_attention=False):
        """Return the output [batch, 5], or (output, attention maps).

        inputs: integers [batch, 32], or numbers [batch, time, 64] embedded already
        """
        if return_attention:
            return self.run_with_attention(inputs)
        x = embedded(inputs, self.embedding_0)
        x = self.positional_encoding_0(x)
        for layer in self.transformer_encoder_layers:
            x = layer(x)
        x = ops.mean(x, axis=1)
        x = self.dense_0(x)
        x = self.dropout_0(x)
        return self.output_0(x)


def create_model(dtype="float32"):
    """Return the network with random weights."""
    model = MultiLayerTransformer(dtype=dtype)
    model.build((None, 32))
    return model


def create_loss():
    """Return the mean loss of (class ids [batch], probabilities [batch, 5])."""
    return keras.losses.SparseCategoricalCrossentropy()


def create_optimizer():
    """Return a new optimizer."""
    return keras.optimizers.Adam(learning_rate=0.0005)


def train(model, inputs, targets, epochs=10, batch_size=32, validation_split=0.0):
    """Train, printing each epoch; return {name: [value of each epoch]}."""
    model.compile(create_optimizer(), create_loss())
    options = {"batch_size": batch_size, "validation_split": validation_split}
    return model.fit(inputs, targets, epochs=epochs, verbose=2, **options).history
