"""Llama for numpy, from llama.neural by neural-attn 0.1.0."""

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


def causal_mask(queries, keys, mask, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = np.arange(queries)[rows, None] + (keys - queries)
    past = np.arange(keys) <= last
    return past if mask is None else past & rows_of(mask, rows)


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


def sigmoid(x):
    """Logistic function, 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def silu(x):
    """SiLU, or swish: x sigmoid(x) (Ramachandran et al., 2017)."""
    return x * sigmoid(x)


class Cache(Layer):
    """Hands on x; while steps are kept, all that it was given since then, in a row."""

    keeps, past = False, None
    results = ("past",)

    def __init__(self, axis=-2):
        self.axis = axis

    def forward(self, x):
        """Add the steps of x [batch, ..., time, size] to those before them."""
        if not self.keeps:
            return x
        before = [] if self.past is None else [self.past]
        self.past = np.concatenate([*before, x], axis=self.axis)
        return self.past


class Positions(Layer):
    """Counts steps from 0; while steps are kept, on from those before.

    `skipped` [batch, 1] of them, padding before a text, do not count.
    """

    keeps, past, skipped = False, None, 0
    results = ("skipped",)

    def forward(self, x):
        """Return the positions of x [batch, time, ...] as ids [batch or 1, time]."""
        before = self.past or 0
        if self.keeps:
            self.past = before + x.shape[1]
        ids = np.arange(before, before + x.shape[1])[None]
        return np.maximum(ids - self.skipped, 0)


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


def layers_in(layer):
    """Yield a layer and all layers in it."""
    yield layer
    for value in vars(layer).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Layer):
                yield from layers_in(inner)


def keep_steps(network, flag):
    """Let all layers keep what they see, from now on, or forget it."""
    for layer in layers_in(network):
        layer.keeps, layer.past = flag, None


def choose(network, rows):
    """Go on from the examples `rows`, which may stand there more than once."""
    for layer in layers_in(network):
        if isinstance(layer.past, tuple):
            layer.past = tuple(x[rows] for x in layer.past)
        elif isinstance(layer.past, np.ndarray):
            layer.past = layer.past[rows]


def log_shares(output):
    """Return the logarithms of what each id gets at the last step [batch, ids]."""
    scores = output[:, -1] - output[:, -1].max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


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
        check_request(ids, max_new_tokens, beams, temperature, top_k)
        drawing = temperature, top_k, seed
        ids = go_on(self, self, ids, max_new_tokens, beams, end, drawing)
        if not return_attention:
            return ids
        return ids, attention_of(self, ids, ids)


class RMSNorm(Layer):
    """Scales the last axis to a mean square of 1 (Zhang and Sennrich, 2019, section 4)."""

    def __init__(self, d_model):
        super().__init__()
        self.scale = np.ones((d_model,), np.float32)

    def forward(self, x):
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + 1e-06) * self.scale


class RotaryPositions(Layer):
    """Turns pairs of numbers by angles that grow with the position (Su et al., 2021).

    x [batch, heads, time, size], ids of positions [1 or batch, time]. Number i and number
    i + rotary_dim / 2 are a pair, as in Llama; those from rotary_dim on stay.
    """

    def __init__(self, theta=10000):
        super().__init__()
        self.theta = theta

    def forward(self, x, ids):
        exact = np.asarray(x, np.result_type(x, np.float32))
        pairs = np.arange(x.shape[-1] // 2, dtype=exact.dtype)
        rates = self.theta ** (-2 * pairs / x.shape[-1])
        angles = split_heads(np.stack([ids.astype(exact.dtype)], axis=-1), 1) * rates
        cosine = np.cos(angles).astype(x.dtype)
        sine = np.sin(angles).astype(x.dtype)
        a, b = np.split(x, 2, axis=-1)
        turned = [a * cosine - b * sine, b * cosine + a * sine]
        return np.concatenate(turned, axis=-1)


class GroupedQueryAttention(CausalAttentionLayer):
    """Self-attention with rotary positions, whose keys serve several queries each.

    x [batch, time, d_model]. Ainslie et al. (2023), section 2.2.
    """

    def __init__(self, d_model, num_heads, num_kv_heads=None, theta=10000):
        super().__init__()
        if num_kv_heads is None:
            num_kv_heads = num_heads
        head_dim = d_model // num_heads
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.query_projection = Dense(d_model, num_heads * head_dim, use_bias=False)
        self.key_projection = Dense(d_model, num_kv_heads * head_dim, use_bias=False)
        self.value_projection = Dense(d_model, num_kv_heads * head_dim, use_bias=False)
        self.rotary = RotaryPositions(theta)
        self.past_keys = Cache()
        self.past_values = Cache()
        self.output_projection = Dense(num_heads * head_dim, d_model, use_bias=False)
        self.positions = Positions()

    def forward(self, x, attention_mask=None):
        q = split_heads(self.query_projection(x), self.num_heads)
        k = split_heads(self.key_projection(x), self.num_kv_heads)
        v = split_heads(self.value_projection(x), self.num_kv_heads)
        ids = self.positions(x)
        q = self.rotary(q, ids)
        k = self.rotary(k, ids)
        k = self.past_keys(k)
        v = self.past_values(v)
        context = self.attend(*share_heads(q, k, v), attention_mask, causal=True)
        return self.output_projection(merge_heads(context))


class GatedFeedForward(Layer):
    """A feed-forward layer with a gate, applied to each position alone (Shazeer, 2020).

    x [batch, …, d_model]. SwiGLU; GEGLU with the activation "gelu", ReGLU with "relu".
    """

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.gate = Dense(d_model, ff_dim, use_bias=False)
        self.expand = Dense(d_model, ff_dim, use_bias=False)
        self.contract = Dense(ff_dim, d_model, use_bias=False)

    def forward(self, x):
        return self.contract(silu(self.gate(x)) * self.expand(x))


class LlamaDecoder(Layer):
    """Grouped-query attention, then a gated feed-forward layer, normalized before each.

    x [batch, time, d_model]. Touvron et al. (2023), Llama, section 2.2.
    """

    def __init__(self, d_model, num_heads, num_kv_heads, ff_dim, theta=10000):
        super().__init__()
        self.attention_norm = RMSNorm(d_model)
        self.attention = GroupedQueryAttention(d_model, num_heads, num_kv_heads, theta)
        self.feed_forward_norm = RMSNorm(d_model)
        self.feed_forward = GatedFeedForward(d_model, ff_dim)

    def forward(self, x, attention_mask=None):
        x = x + self.attention(self.attention_norm(x), attention_mask=attention_mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Llama(GeneratingNetwork):
    """The network Llama."""

    def __init__(self):
        super().__init__()
        self.token = Embedding(50, 32)
        self.layer = [
            LlamaDecoder(
                d_model=32, num_heads=4, num_kv_heads=2, ff_dim=48, theta=500000
            )
            for _ in range(2)
        ]
        self.norm = RMSNorm(d_model=32)
        self.head = Dense(32, 50, use_bias=False)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.layer)
        return {f"layer_{i}": layer.attention for i, layer in layers}

    def forward(self, inputs, return_attention=False):
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


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return Llama().initialize(seed).astype(dtype)
