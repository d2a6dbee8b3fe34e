"""Llama for pytorch, from llama.neural by neural-attn 0.1.0."""

import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn


class AttentionLayer(nn.Module):
    """Attends; keeps `attention_weights` [batch, heads, queries, keys] when told to."""

    store_attention = False
    attention_weights = attention_mask = None

    def attend(self, query, key, value, mask=None, dropout=None):
        """Attend, all [batch, heads, time, size]; mask: True where a key is seen."""
        if not self.store_attention:  # the fused kernel never holds queries x keys
            rate = dropout.p if dropout is not None and dropout.training else 0.0
            return F.scaled_dot_product_attention(query, key, value, mask, rate)
        logits = query / math.sqrt(query.size(-1)) @ key.transpose(-2, -1)
        weights = self.attention_softmax(logits, mask, in_place=True)
        return (weights if dropout is None else dropout(weights)) @ value

    def attention_softmax(self, logits, mask=None, in_place=False):
        """Return weights: rows sum to 1, hidden keys and rows without others are 0.

        in_place: `logits` may be overwritten, which saves a copy of their size.
        """
        fill = torch.Tensor.masked_fill_ if in_place else torch.Tensor.masked_fill
        if mask is not None:
            logits = fill(logits, ~mask, -math.inf)
        # Zeros keep a row that sees nothing from NaN.
        empty = (logits == -math.inf).all(dim=-1, keepdim=True)
        weights = torch.softmax(fill(logits, empty, 0.0), dim=-1)
        weights = weights.masked_fill(empty, 0.0)
        if self.store_attention:
            self.attention_weights, self.attention_mask = weights.detach(), mask
        return weights


def causal_mask(queries, keys, mask, device, rows=slice(None)):
    """Return a mask [rows, keys] that hides the future, and what `mask` hides."""
    last = torch.arange(queries, device=device)[rows, None] + (keys - queries)
    past = torch.arange(keys, device=device) <= last
    if mask is None:
        return past
    return past & (mask if mask.size(-2) == 1 else mask[..., rows, :])


class CausalAttentionLayer(AttentionLayer):
    """Attention that can hide the future: query i sees keys 0 to keys - queries + i."""

    def attend(self, query, key, value, mask=None, dropout=None, causal=False):
        """As above; `causal` hides each query's future keys as well."""
        if not causal:
            return super().attend(query, key, value, mask, dropout)
        queries, keys = query.size(2), key.size(2)
        if mask is None and queries == keys and not self.store_attention:
            # The kernel's own causal mask, which fits no other case.
            rate = dropout.p if dropout is not None and dropout.training else 0.0
            return F.scaled_dot_product_attention(query, key, value, None, rate, True)
        # Elsewhere a mask says it: for 512 queries at a time if no weights are kept.
        size = queries if self.store_attention else 512
        blocks = []
        for rows in (slice(i, i + size) for i in range(0, queries or 1, size or 1)):
            past = causal_mask(queries, keys, mask, query.device, rows)
            blocks.append(super().attend(query[:, :, rows], key, value, past, dropout))
        return torch.cat(blocks, dim=2)


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def share_heads(query, key, value):
    """Repeat keys and values, [batch, heads, time, size], for the heads of queries."""
    times = query.size(1) // key.size(1)
    return query, *(x.repeat_interleave(times, dim=1) for x in (key, value))


class Cache(nn.Module):
    """Hands on x; while steps are kept, all that it was given since then, in a row."""

    keeps, past = False, None

    def forward(self, x):
        """Add the steps of x [batch, ..., time, size] to those before them."""
        if not self.keeps:
            return x
        self.past = x if self.past is None else torch.cat([self.past, x], dim=-2)
        return self.past


class Positions(nn.Module):
    """Counts steps from 0; while steps are kept, on from those before."""

    keeps, past = False, None

    def forward(self, x):
        """Return the positions of x [batch, time, ...] as ids [batch or 1, time]."""
        before = self.past or 0
        if self.keeps:
            self.past = before + x.size(1)
        ids = torch.arange(before, before + x.size(1), device=x.device)
        return ids[None]


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


class Network(nn.Module):
    """A whole model: returns or keeps its attention, loads and saves its weights."""

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

    def load_weights(self, path):
        """Load a safetensors file; raise RuntimeError where it does not fit."""
        self.load_state_dict(load_file(path))

    def save_weights(self, path):
        """Write a safetensors file, in one step."""
        state = self.state_dict().items()  # without counters, which are integers
        tensors = {n: x.clone() for n, x in state if x.is_floating_point()}
        save_file(tensors, f"{path}.part")
        os.replace(f"{path}.part", path)


def log_shares(output):
    """Return the logarithms of what each id gets at the last step [batch, ids]."""
    return output[:, -1].log_softmax(dim=-1)


def one_by_one(step, ids, count, end, temperature, top_k):
    """Add the likeliest token each time, or one that is drawn."""
    new, ended = ids, torch.zeros_like(ids[:, :1], dtype=torch.bool)
    for _ in range(count):
        scores = log_shares(step(new))
        if top_k is not None:
            least = scores.topk(min(top_k, scores.size(-1))).values[:, -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if temperature > 0:
            token = torch.multinomial((scores / temperature).softmax(dim=-1), 1)
        else:
            token = scores.argmax(dim=-1, keepdim=True)
        if end is not None:
            token = torch.where(ended, end, token)
            ended = ended | (token == end)
        ids = torch.cat([ids, token], dim=1)
        new = token
        if ended.all():
            break
    return ids


def choose(network, rows):
    """Go on from the examples `rows`, which may stand there more than once."""
    for layer in network.modules():
        if torch.is_tensor(layer.past):
            layer.past = layer.past[rows]


def beam_search(network, step, ids, count, beams, end):
    """Keep the `beams` likeliest continuations; return the best per token."""
    batch, first = ids.shape
    texts = torch.arange(batch, device=ids.device)[:, None]
    best, new = ids, ids.repeat_interleave(beams, dim=0)
    ids, totals = new, torch.full((batch, beams), -torch.inf, device=ids.device)
    means = totals.clone()  # of the likeliest texts that ended, of which `best` is one
    totals[:, 0] = 0.0  # at first the beams of a text are alike: one of them counts
    settled = torch.zeros_like(texts, dtype=torch.bool)
    end = -1 if end is None else end
    for length in range(1, count + 1):
        scores = log_shares(step(new)).view(batch, beams, -1)
        size = scores.size(-1)
        totals = (totals[..., None] + scores).flatten(1)
        # twice as many are enough, though half of them end
        totals, chosen = totals.topk(min(2 * beams, totals.size(1)))
        rows = chosen // size + texts * beams
        longer = torch.cat([ids[rows], (chosen % size)[..., None]], dim=-1)
        ends = longer[..., -1] == end

        ended = (totals / length).masked_fill(~ends | settled, -torch.inf)[:, :beams]
        top, place = ended.max(dim=1, keepdim=True)
        best = F.pad(best, (0, 1), value=max(end, 0))
        best = torch.where(top > means[:, :1], longer[texts, place][:, 0], best)
        means = torch.cat([means, ended], dim=1).topk(beams).values
        settled = settled | (means[:, -1:] >= totals[:, :1] / length)

        totals, going = totals.masked_fill(ends, -torch.inf).topk(beams)
        ids = longer[texts, going].flatten(0, 1)
        choose(network, rows.gather(1, going).flatten())
        new = ids[:, -1:]
        if settled.all():
            break
    mean = totals[:, :1] / (ids.size(1) - first)
    best = torch.where(~settled & (mean > means[:, :1]), ids[::beams], best)
    longest = (best[:, first:] != end).sum(dim=1).max() + 1
    return best[:, : first + longest]


def keep_steps(network, flag):
    """Let all layers keep what they see, from now on, or forget it."""
    for layer in network.modules():
        layer.keeps, layer.past = flag, None


def go_on(network, step, ids, count, beams, end, temperature, top_k):
    """Return ids [batch, time] and up to `count` tokens that `step` says follow."""
    if count == 0:
        return ids
    keep_steps(network, True)
    try:
        if beams > 1:
            return beam_search(network, step, ids, count, beams, end)
        return one_by_one(step, ids, count, end, temperature, top_k)
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

    @torch.no_grad()
    def generate(
        self,
        ids,
        max_new_tokens,
        beams=1,
        temperature=0.0,
        end=None,
        return_attention=False,
        top_k=None,
    ):
        """Go on with ids [batch, time]: return them with all that follows.

        beams: how many continuations are kept, of which the best is returned.
        temperature: 0 takes the likeliest token, else tokens are drawn, of the `top_k`
        likeliest. end: the id that ends a text. Padding stands before a text.
        """
        check_request(ids, max_new_tokens, beams, temperature, top_k)
        step = self
        ids = go_on(self, step, ids, max_new_tokens, beams, end, temperature, top_k)
        if not return_attention:
            return ids
        return ids, attention_of(self, ids, ids)


class RMSNorm(nn.Module):
    """Scales the last axis to a mean square of 1 (Zhang and Sennrich, 2019, section 4)."""

    def __init__(self, d_model):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d_model))

    def forward(self, x):
        mean_square = (x * x).mean(dim=-1, keepdim=True)
        return x / torch.sqrt(mean_square + 1e-06) * self.scale


class RotaryPositions(nn.Module):
    """Turns pairs of numbers by angles that grow with the position (Su et al., 2021).

    x [batch, heads, time, size], ids of positions [1 or batch, time]. Number i and number
    i + rotary_dim / 2 are a pair, as in Llama; those from rotary_dim on stay.
    """

    def __init__(self, theta=10000):
        super().__init__()
        self.theta = theta

    def forward(self, x, ids):
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        pairs = torch.arange(x.shape[-1] // 2, dtype=exact.dtype, device=exact.device)
        rates = self.theta ** (-2 * pairs / x.shape[-1])
        angles = split_heads(torch.stack([ids.to(exact.dtype)], dim=-1), 1) * rates
        cosine = torch.cos(angles).to(x.dtype)
        sine = torch.sin(angles).to(x.dtype)
        a, b = x.chunk(2, dim=-1)
        turned = [a * cosine - b * sine, b * cosine + a * sine]
        return torch.cat(turned, dim=-1)


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
        self.query_projection = nn.Linear(d_model, num_heads * head_dim, bias=False)
        self.key_projection = nn.Linear(d_model, num_kv_heads * head_dim, bias=False)
        self.value_projection = nn.Linear(d_model, num_kv_heads * head_dim, bias=False)
        self.rotary = RotaryPositions(theta)
        self.past_keys = Cache()
        self.past_values = Cache()
        self.output_projection = nn.Linear(num_heads * head_dim, d_model, bias=False)
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
        return self.output_projection(context.transpose(1, 2).flatten(2))


class GatedFeedForward(nn.Module):
    """A feed-forward layer with a gate, applied to each position alone (Shazeer, 2020).

    x [batch, …, d_model]. SwiGLU; GEGLU with the activation "gelu", ReGLU with "relu".
    """

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.gate = nn.Linear(d_model, ff_dim, bias=False)
        self.expand = nn.Linear(d_model, ff_dim, bias=False)
        self.contract = nn.Linear(ff_dim, d_model, bias=False)

    def forward(self, x):
        return self.contract(F.silu(self.gate(x)) * self.expand(x))


class LlamaDecoder(nn.Module):
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
        self.token = nn.Embedding(50, 32)
        self.layer = nn.ModuleList(
            LlamaDecoder(
                d_model=32, num_heads=4, num_kv_heads=2, ff_dim=48, theta=500000
            )
            for _ in range(2)
        )
        self.norm = RMSNorm(d_model=32)
        self.head = nn.Linear(32, 50, bias=False)

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


def create_model(dtype="float32"):
    """Return the network with random weights, in evaluation mode."""
    return Llama().to(getattr(torch, dtype)).eval()
