"""Llama for tensorflow, from llama.neural by neural-attn 0.1.0."""

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


def causal_mask(queries, keys, mask, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = ops.arange(queries)[rows, None] + (keys - queries)
    past = ops.arange(keys) <= last
    if mask is None:
        return past
    return ops.logical_and(past, mask if mask.shape[-2] == 1 else mask[..., rows, :])


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


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    shape = (*ops.shape(x)[:2], num_heads, x.shape[-1] // num_heads)
    return ops.swapaxes(ops.reshape(x, shape), 1, 2)


def share_heads(query, key, value):
    """Repeat keys and values, [batch, heads, time, size], for the heads of queries."""
    times = query.shape[1] // key.shape[1]
    return query, ops.repeat(key, times, axis=1), ops.repeat(value, times, axis=1)


class Cache(layers.Layer):
    """Hands on x; while steps are kept, all that it was given since then, in a row."""

    keeps, past = False, None

    def __init__(self, axis=-2, **options):
        super().__init__(**options)
        self.axis = axis

    def call(self, x):
        """Add the steps of x [batch, ..., time, size] to those before them."""
        if not self.keeps:
            return x
        before = [] if self.past is None else [self.past]
        self.past = ops.concatenate([*before, x], axis=self.axis)
        return self.past


class Positions(layers.Layer):
    """Counts steps from 0; while steps are kept, on from those before.

    `skipped` [batch, 1] of them, padding before a text, do not count.
    """

    keeps, past, skipped = False, None, 0

    def call(self, x):
        """Return the positions of x [batch, time, ...] as ids [batch or 1, time]."""
        before, time = self.past or 0, ops.shape(x)[1]
        if self.keeps:
            self.past = before + time
        ids = before + ops.arange(time, dtype="int64")[None]
        return ops.maximum(ids - self.skipped, 0)


def check_request(ids, count, beams, temperature, top_k):
    """Refuse to continue ids [batch, time] in a way that means nothing.

    Raises ValueError.
    """
    if ids.shape[1] == 0:
        raise ValueError("there is nothing to continue: give at least one id")
    if count < 0:
        raise ValueError(f"max_new_tokens is 0 or more, not {count}")
    if beams < 1:
        raise ValueError(f"beams is 1 or more, not {beams}")
    if not 0 <= temperature < float("inf"):  # nor what is not a number
        raise ValueError(f"temperature is 0 or more, not {temperature}")
    if beams > 1 and temperature > 0:
        raise ValueError("beams keep the likeliest, a temperature samples: give one")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is 1 or more, not {top_k}")
    if top_k is not None and temperature == 0:
        raise ValueError("top_k applies to sampling: give a temperature too")


def named_weights(layer, prefix=""):
    """Yield (name in PyTorch, variable, (axes here, axes there)) of all weights."""
    found = keras.tree.flatten_with_path(vars(layer) | getattr(layer, "_modules", {}))
    inner = [(p, x) for p, x in found if isinstance(x, keras.Layer) and p[0][0] != "_"]
    for path, one in inner:  # `_modules` has them where Keras is on PyTorch
        yield from named_weights(one, prefix + ".".join(map(str, path)) + ".")
    kind = next(c for c in type(layer).__mro__ if c.__module__.startswith("keras."))
    if kind in (keras.Layer, keras.Model):  # a block: its own arrays
        own = [(p, x) for p, x in found if isinstance(x, keras.Variable)]
        yield from ((prefix + p[0], x, ((), ())) for p, x in own if p[0][0] != "_")
        return
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


def one_by_one(scores_of, ids, count, end, temperature, top_k, seed):
    """Add to ids [batch, time] the likeliest token each time, or one that is drawn.

    scores_of(ids): the logarithms of what each id gets next [batch, ids].
    """
    new, ended = ids, np.zeros((len(ids), 1), bool)
    random = np.random.default_rng(seed)
    for _ in range(count):
        scores = scores_of(new)
        if top_k is not None:
            least = np.sort(scores, axis=-1)[:, -top_k:][:, :1]
            scores = np.where(scores < least, -np.inf, scores)
        if temperature > 0:
            scores = (scores - scores.max(axis=-1, keepdims=True)) / temperature
            limits = np.exp(scores).cumsum(axis=-1)
            draws = random.uniform(0, limits[:, -1:])
            token = (limits <= draws).sum(axis=-1, keepdims=True)
        else:
            token = scores.argmax(axis=-1)[:, None]
        if end is not None:
            token = np.where(ended, end, token)
            ended = ended | (token == end)
        ids = np.concatenate([ids, token], axis=1)
        new = token
        if ended.all():
            break
    return ids


def beam_search(scores_of, go_from, ids, count, beams, end):
    """Keep the `beams` likeliest continuations; return the best per token.

    go_from(rows): what is kept goes on from these examples, in this order.
    """
    batch, first = ids.shape
    new = ids = np.repeat(ids, beams, axis=0)
    # At first all beams of a text are alike: only one of them counts.
    totals = np.full((batch, beams), -np.inf)
    totals[:, 0] = 0
    found = [[] for _ in range(batch)]  # (mean, ids) of texts that ended
    settled = [False] * batch
    texts = np.arange(batch)[:, None]
    for length in range(1, count + 1):
        scores = scores_of(new)
        size = scores.shape[-1]
        totals = totals[..., None] + scores.reshape(batch, beams, size)
        totals = totals.reshape(batch, -1)
        # twice as many are enough, though half of them end
        chosen = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * beams]
        totals, rows = totals[texts, chosen], chosen // size + texts * beams
        longer = np.concatenate([ids[rows], (chosen % size)[..., None]], axis=-1)
        ends = longer[..., -1] == (-1 if end is None else end)
        for i in (i for i in range(batch) if not settled[i]):
            means = totals[i] / length
            found[i] += [(means[j], longer[i, j]) for j in range(beams) if ends[i, j]]
            found[i] = sorted(found[i], key=lambda pair: -pair[0])[:beams]
            settled[i] = len(found[i]) == beams and found[i][-1][0] >= means[0]
        totals = np.where(ends, -np.inf, totals)
        going = np.argsort(-totals, axis=1, kind="stable")[:, :beams]
        totals = totals[texts, going]
        ids = longer[texts, going].reshape(batch * beams, -1)
        go_from(rows[texts, going].reshape(-1))
        new = ids[:, -1:]
        if all(settled):
            break
    for i in (i for i in range(batch) if not settled[i]):
        means = totals[i] / (ids.shape[1] - first)
        found[i] += zip(means, ids[i * beams : (i + 1) * beams], strict=True)
    best = [max(texts, key=lambda pair: pair[0])[1] for texts in found]
    longest = max(map(len, best))
    rest = [np.full(longest - len(text), end or 0, text.dtype) for text in best]
    return np.stack([np.concatenate(pair) for pair in zip(best, rest, strict=True)])


def keep_steps(network, flag):
    """Let all layers keep what they see, from now on, or forget it."""
    for layer in network._flatten_layers():
        layer.keeps, layer.past = flag, None


def choose(network, rows):
    """Go on from the examples `rows`, which may stand there more than once."""
    for layer in network._flatten_layers():
        if isinstance(layer.past, tuple):
            layer.past = tuple(ops.take(x, rows, axis=0) for x in layer.past)
        elif ops.is_tensor(layer.past):
            layer.past = ops.take(layer.past, rows, axis=0)


def log_shares(output):
    """Return the logarithms of what each id gets at the last step [batch, ids]."""
    scores = ops.log_softmax(output[:, -1], axis=-1)
    return ops.convert_to_numpy(scores)


def go_on(network, step, ids, count, beams, end, drawing):
    """Return ids [batch, time] and up to `count` tokens that `step` says follow."""
    if count == 0:
        return ids

    def scores_of(ids):
        return log_shares(step(ids))

    def go_from(rows):
        choose(network, rows)

    keep_steps(network, True)
    try:
        if beams > 1:
            return beam_search(scores_of, go_from, ids, count, beams, end)
        return one_by_one(scores_of, ids, count, end, *drawing)
    finally:
        keep_steps(network, False)


def attention_of(network, ids, inputs):
    """Return the attention maps of the whole of ids [batch, time], in its inputs."""
    try:
        return network.run_with_attention(inputs)[1]
    finally:
        keep_steps(network, False)


class GeneratingNetwork(Network):
    """A network that continues a text."""

    def generate(
        self,
        ids,
        max_new_tokens,
        beams=1,
        temperature=0.0,
        end=None,
        return_attention=False,
        seed=None,
        top_k=None,
    ):
        """Go on with ids [batch, time]: return them with all that follows.

        beams: how many continuations are kept, of which the best is returned.
        temperature: 0 takes the likeliest token, else tokens are drawn, from `seed`, of
        the `top_k` likeliest. end: the id that ends a text. Padding stands before a
        text.
        """
        ids = ops.convert_to_numpy(ids)
        check_request(ids, max_new_tokens, beams, temperature, top_k)
        drawing = temperature, top_k, seed
        ids = go_on(self, self, ids, max_new_tokens, beams, end, drawing)
        if not return_attention:
            return ids
        return ids, attention_of(self, ids, ids)


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
