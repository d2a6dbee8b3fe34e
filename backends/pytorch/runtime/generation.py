"""PyTorch runtime: going on with a text, token by token."""

import torch
import torch.nn.functional as F
from neural_attn.backends.emit.runtime.request import check_request
from neural_attn.backends.pytorch.runtime.core import Network
from torch import nn


class Cache(nn.Module):
    """Hands on x; while steps are kept, all that it was given since then, in a row."""

    keeps, past = False, None

    # only with PADDED, MASKED:
    def __init__(self, axis=-2):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        """Add the steps of x [batch, ..., time, size] to those before them."""
        if not self.keeps:
            return x
        # only without PADDED, MASKED:
        self.past = x if self.past is None else torch.cat([self.past, x], dim=-2)
        # only with PADDED, MASKED:
        self.past = x if self.past is None else torch.cat([self.past, x], self.axis)
        return self.past


class Positions(nn.Module):
    """Counts steps from 0; while steps are kept, on from those before."""

    keeps, past = False, None
    # only with PADDED, MASKED:
    skipped = 0  # or [batch, 1]: so many, padding before a text, do not count

    def forward(self, x):
        """Return the positions of x [batch, time, ...] as ids [batch or 1, time]."""
        before = self.past or 0
        if self.keeps:
            self.past = before + x.size(1)
        ids = torch.arange(before, before + x.size(1), device=x.device)
        # only without PADDED, MASKED:
        return ids[None]
        # only with PADDED, MASKED:
        return (ids[None] - self.skipped).clamp(min=0)


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
        # only with MASKED:
        attention_mask=None,
    ):
        """Go on with ids [batch, time]: return them with all that follows.

        beams: how many continuations are kept, of which the best is returned.
        temperature: 0 takes the likeliest token, else tokens are drawn, of the `top_k`
        likeliest. end: the id that ends a text. Padding stands before a text.
        # only with MASKED:
        attention_mask: [batch, time], 0 where ids are padding.
        """
        check_request(ids, max_new_tokens, beams, temperature, top_k)
        # only with LOGITS:
        step = self.forward_logits
        # only without LOGITS:
        step = self
        # only with MASKED:
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        # only with MASKED:
        step = masked_step(self, step, mask.repeat_interleave(beams, dim=0))
        ids = go_on(self, step, ids, max_new_tokens, beams, end, temperature, top_k)
        if not return_attention:
            return ids
        # only without MASKED:
        return ids, attention_of(self, ids, ids)
        # only with MASKED:
        mask = F.pad(mask, (0, ids.size(1) - mask.size(1)), value=1)
        # only with MASKED:
        inputs = dict(zip(self.input_names, (ids, mask), strict=True))
        # only with MASKED:
        return ids, attention_of(self, mask, inputs)


class TranslatingNetwork(Network):
    """A network that reads one text and writes another."""

    @torch.no_grad()
    def generate(
        self,
        source,
        target,
        max_new_tokens,
        beams=1,
        temperature=0.0,
        end=None,
        return_attention=False,
        top_k=None,
    ):
        """Read source [batch, time], and continue target ids [batch, 1 or more].

        Returns the target with all that follows. beams: how many continuations are
        kept, of which the best is returned. temperature: 0 takes the likeliest token,
        else tokens are drawn, of the `top_k` likeliest. end: the id that ends a text.
        """
        check_request(target, max_new_tokens, beams, temperature, top_k)
        memory = self.encode(source)
        memory = memory if isinstance(memory, tuple) else (memory,)
        memory = [x.repeat_interleave(beams, dim=0) for x in memory]

        def step(ids):
            # only with LOGITS:
            return self.decode_logits(ids, *memory)
            # only without LOGITS:
            return self.decode(ids, *memory)

        ids = go_on(self, step, target, max_new_tokens, beams, end, temperature, top_k)
        if not return_attention:
            return ids
        inputs = dict(zip(self.input_names, (source, ids), strict=True))
        return ids, attention_of(self, ids, inputs)


def masked_step(network, step, mask):
    """Return `step` that is given ids alone, and tells which are padding.

    mask [batch, time] is that of the first ids, 0 for padding. What follows is none.
    """
    if (mask[:, -1] == 0).any():
        raise ValueError("padding goes before a text that is continued, not after it")

    def masked(ids):
        shown = torch.ones_like(ids)
        if ids.size(1) >= mask.size(1):  # the whole text
            shown[:, : mask.size(1)] = mask
            skip_padding(network, mask)
        return step(dict(zip(network.input_names, (ids, shown), strict=True)))

    return masked


def go_on(network, step, ids, count, beams, end, temperature, top_k):
    """Return ids [batch, time] and up to `count` tokens that `step` says follow."""
    if count == 0:
        return ids
    # only with PADDED:
    if (ids[:, -1] == 0).any():
        raise ValueError("padding goes before a text that is continued, not after it")
    keep_steps(network, True)
    # only with PADDED:
    skip_padding(network, ids.repeat_interleave(beams, dim=0))
    try:
        if beams > 1:
            return beam_search(network, step, ids, count, beams, end)
        return one_by_one(step, ids, count, end, temperature, top_k)
    finally:
        keep_steps(network, False)


def attention_of(network, ids, inputs):
    """Return the attention maps of the whole of ids [batch, time], in its inputs."""
    # only with PADDED, MASKED:
    skip_padding(network, ids)
    try:
        return network.run_with_attention(inputs)[1]
    finally:
        keep_steps(network, False)


def keep_steps(network, flag):
    """Let all layers keep what they see, from now on, or forget it."""
    for layer in network.modules():
        layer.keeps, layer.past = flag, None
        # only with PADDED, MASKED:
        layer.skipped = 0


def skip_padding(network, ids):
    """Count positions from the first id [batch, time] that is not padding."""
    for layer in network.modules():
        layer.skipped = (ids.cumsum(1) == 0).sum(1, keepdim=True)


def choose(network, rows):
    """Go on from the examples `rows`, which may stand there more than once."""
    for layer in network.modules():
        # only with scan:
        if isinstance(layer.past, tuple):
            layer.past = tuple(x[rows] for x in layer.past)
        if torch.is_tensor(layer.past):
            layer.past = layer.past[rows]


def log_shares(output):
    """Return the logarithms of what each id gets at the last step [batch, ids]."""
    # only with PROBABILITIES:
    return output[:, -1].log()
    # only without PROBABILITIES:
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
        # only with KEEPS:
        new = token
        # only without KEEPS:
        new = ids
        if ended.all():
            break
    return ids


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
        # only with KEEPS:
        new = ids[:, -1:]
        # only without KEEPS:
        new = ids
        if settled.all():
            break
    mean = totals[:, :1] / (ids.size(1) - first)
    best = torch.where(~settled & (mean > means[:, :1]), ids[::beams], best)
    longest = (best[:, first:] != end).sum(dim=1).max() + 1
    return best[:, : first + longest]
