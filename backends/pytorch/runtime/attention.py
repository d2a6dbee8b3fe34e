"""PyTorch runtime: attention with more to its logits than products."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from neural_attn.backends.emit.runtime.application import remember
from neural_attn.backends.pytorch.runtime.core import AttentionLayer
from torch.utils.checkpoint import checkpoint


# only with window, bias, cap, sink:
class BlockwiseAttentionLayer(AttentionLayer):
    """Attention with options. Query i stands where key keys - queries + i does."""

    # only with attend:
    def attend(self, query, key, value, mask=None, dropout=None, **options):
        """Attend, all [batch, heads, time, size]; options: those of `attend_rows`."""
        queries = query.size(2)
        if 0 in (queries, key.size(2)):
            return super().attend(query, key, value, mask, dropout)
        given = (query / math.sqrt(query.size(-1)), key, value, mask, dropout)
        if self.store_attention:
            return self.attend_rows(slice(0, queries), *given, **options)
        # only without capped:
        attend = attend_fused
        # only with bias:
        bias = options.get("bias")
        # only with bias:
        if bias is not None and bias.requires_grad:  # kernels give it no gradient
            attend = self.attend_blocks
        # only with sometimes_capped:
        if "cap" in options:
            attend = self.attend_blocks
        # only with capped:
        attend = self.attend_blocks
        return attend(*given, **options)

    # only with bias, cap:
    def attend_blocks(self, query, *given, **options):
        """Attend by weights of 64 queries at a time, and again for a gradient."""
        weigh, queries = self.attend_rows, query.size(2)
        if torch.is_grad_enabled():
            weigh = partial(checkpoint, self.attend_rows, use_reentrant=False)
        starts = range(0, queries, 64)
        blocks = [slice(first, min(first + 64, queries)) for first in starts]
        attended = [weigh(rows, query, *given, **options) for rows in blocks]
        return torch.cat(attended, dim=2)

    # only with attend:
    def attend_rows(
        self,
        rows,
        query,
        key,
        value,
        mask,
        dropout,
        # only with bias:
        bias=None,
        # only with cap:
        cap=None,
        # only with sink:
        sink=None,
        # only with causal, window:
        **reach,
    ):
        """Attend, for some rows of queries, by weights that are held.

        # only with cap:
        cap: logits become cap tanh(logits / cap).
        # only with bias:
        bias: added to logits, [heads, queries + keys - 1] by distance from 1 - keys,
        # only with bias:
        or of pairs, broadcastable to [batch, heads, queries, keys].
        # only with sink:
        sink: [heads], the logit of one more key, which has no value.
        # only with causal, window:
        reach: the options of `near`.
        """
        logits = query[:, :, rows] @ key.transpose(-2, -1)
        seen = part_of(mask, rows)
        # only with cap:
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        # only with bias:
        if bias is not None:
            if bias.ndim == 2:
                queries, keys = query.size(2), key.size(2)
                bias = bias.expand(-1, queries + keys - 1)
                bias = backwards(bias, queries, rows, slice(0, keys)).flip(-2)
            else:
                bias = part_of(bias, rows)
            logits = logits + bias
        # only with causal, window:
        seen = visible(seen, query.size(2), key.size(2), query.device, rows, **reach)
        # only without sink:
        weights = self.attention_softmax(logits, seen, in_place=True)
        # only with sink:
        weights = self.attention_softmax(logits, seen, True, sink=sink)
        return (weights if dropout is None else dropout(weights)) @ value

    # only with sink, attention_softmax:
    def attention_softmax(
        self,
        logits,
        mask=None,
        in_place=False,
        # only with sink:
        sink=None,
        # only with attention_softmax:
        **reach,
    ):
        """Return weights: hidden keys and rows without others are 0.

        # only with sink:
        sink: [heads], the logit of one more key, whose share is not returned.
        # only with attention_softmax:
        reach: the options of `near`.
        """
        # only with attention_softmax:
        if reach:
            queries, keys = logits.shape[2:]
            mask = visible(mask, queries, keys, logits.device, **reach)
        weights = super().attention_softmax(logits, mask, in_place)
        # only with sink:
        if sink is not None:
            lowest = torch.finfo(logits.dtype).min / 2
            seen = logits if mask is None else logits.masked_fill(~mask, lowest)
            total = torch.logsumexp(seen, dim=-1, keepdim=True)
            weights = weights * torch.sigmoid(total - sink[:, None, None])
            if self.store_attention:
                self.attention_weights = weights.detach()
                # only with Application:
                self.applications = self.applications[:-1]
                # only with Application:
                remember(self)
        return weights


def attend_fused(
    query,
    key,
    value,
    mask,
    dropout,
    # only with bias:
    bias=None,
    # only with sink:
    sink=None,
    # only with causal, window:
    **reach,
):
    """Attend by the fused kernel, which never holds queries x keys.

    What distances add to logits, it reads from a view of one number for each.
    """
    queries, keys, width = query.size(2), key.size(2), value.size(-1)
    rate = dropout.p if dropout is not None and dropout.training else 0.0
    if mask is not None and mask.size(-2) == 1:  # one more feature of the keys
        hidden = torch.where(mask.transpose(-2, -1), 0.0, -math.inf).to(key.dtype)
        key = torch.cat([key, hidden.expand(*key.shape[:3], 1)], dim=-1)
        query, value = F.pad(query, (0, 1), value=1.0), F.pad(value, (0, 1))
        mask = None
    size = 1024 if mask is None else 128
    # only with window:
    size = 128 if reach.get("window") else size
    # only with bias, causal, window:
    terms = query.new_zeros(1, 1, queries + keys - 1)
    # only with bias:
    if bias is not None:
        bias, is_view = bias.to(query.dtype), bias.ndim == 2
        # only with sink:
        is_view = is_view and sink is None
        size = size if is_view else 128
        if bias.ndim == 2:
            terms, bias = (terms + bias).contiguous(), None
    # only with causal, window:
    terms = terms.masked_fill(~near(queries, keys, query.device, **reach), -math.inf)
    # only with sink:
    if sink is not None:  # one more feature of the queries, and one key that has it
        logits = sink.to(query.dtype)[:, None, None].expand(*query.shape[:3], 1)
        query = torch.cat([query, logits], dim=-1)
        key, value = F.pad(key, (0, 1)), F.pad(value, (0, 1))
        last = F.pad(torch.ones_like(key[:, :, :1, :1]), (key.size(-1) - 1, 0))
    blocks = []
    for first in range(0, queries, size):
        rows = slice(first, min(first + size, queries))
        # only without causal, window:
        part = slice(0, keys)
        # only with causal, window:
        part = reachable(rows, queries, keys, **reach)
        q, k, v = query[:, :, rows].flip(2), key[:, :, part], value[:, :, part]
        # only without bias, causal, window:
        added = None
        # only with bias, causal, window:
        added = backwards(terms, queries, rows, part)
        # only with bias:
        if bias is not None:
            added = added + part_of(bias, rows, part).flip(-2)
        if mask is not None:
            hidden = torch.where(part_of(mask, rows, part), 0.0, -math.inf).flip(-2)
            added = hidden.to(q.dtype) if added is None else added + hidden
        # only with sink:
        if sink is not None:
            k, v = torch.cat([k, last], dim=2), F.pad(v, (0, 0, 0, 1))
            added = None if added is None else F.pad(added, (0, 1))
        attended = F.scaled_dot_product_attention(q, k, v, added, rate, scale=1.0)
        blocks.append(attended.flip(2))
    return torch.cat(blocks, dim=2)[..., :width]


def backwards(terms, queries, rows, part):
    """View what is for distances, [..., queries + keys - 1], as [..., rows, part].

    The last row comes first: each row is then the one before, read one place on.
    """
    start, stop = queries - rows.stop + part.start, queries - rows.start + part.stop
    return terms[..., start : stop - 1].unfold(-1, part.stop - part.start, 1)


def reachable(
    rows,
    queries,
    keys,
    # only with causal:
    causal=False,
    # only with window:
    window=None,
):
    """Return the slice of the keys that some of these rows of queries see."""
    start, end = 0, keys
    stop = rows.stop + keys - queries
    # only with causal:
    if causal:
        end = stop
    # only with window:
    if window is not None:
        start = rows.start + keys - queries - window + 1
        end = min(end, stop + window - 1)
    start = min(max(start, 0), keys - 1)
    return slice(start, min(max(end, start + 1), keys))


def near(
    queries,
    keys,
    device,
    # only with causal:
    causal=False,
    # only with window:
    window=None,
):
    """Return at which distances, 1 - keys to queries - 1, a key is seen.

    # only with causal:
    causal: not after the query.
    # only with window:
    window: fewer than so many steps away.
    """
    steps = torch.arange(1 - keys, queries, device=device)
    seen = torch.ones_like(steps, dtype=torch.bool)
    # only with causal:
    if causal:
        seen = steps <= 0
    # only with window:
    if window is not None:
        seen = seen & (steps.abs() < window)
    return seen


def visible(mask, queries, keys, device, rows=None, **reach):
    """Return which keys these rows see, [rows, keys], and `mask` lets them see."""
    rows = slice(0, queries) if rows is None else rows
    seen = near(queries, keys, device, **reach)
    seen = backwards(seen, queries, rows, slice(0, keys)).flip(-2)
    return seen if mask is None else seen & mask


def part_of(x, rows, columns=slice(None)):
    """Return the part of a mask, or a bias of pairs, for these rows and columns."""
    x = x if x is None or x.size(-2) == 1 else x[..., rows, :]
    return x if x is None or x.size(-1) == 1 else x[..., columns]


def scale_queries(query, scale):
    """Scale queries so that `attend` takes logits of `scale` query · key."""
    return query if scale is None else query * (scale * query.shape[-1] ** 0.5)


def relative_positions(query, key):
    """Return where keys stand, seen from queries: [1 - keys, ..., queries - 1]."""
    first, stop = 1 - key.size(-2), query.size(-2)
    steps = torch.arange(first, max(first, stop), device=query.device)
    return steps.to(query.dtype)
