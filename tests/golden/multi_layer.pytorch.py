"""MultiLayerTransformer for pytorch.

From multi_layer_transformer.neural by neural-attn 0.1.0.
"""

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


def split_heads(x, num_heads):
    """Turn [batch, time, heads * size] into [batch, heads, time, size]."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def embedded(x, embedding):
    """Embed ids [batch, time]; vectors [batch, time, width] are embedded already."""
    return embedding(x) if x.ndim == 2 else x.to(embedding.weight.dtype)


class PositionalEncoding(nn.Module):
    """Adds to x [batch, time, d_model] vectors that tell each position where it is."""

    def forward(self, x):
        # j, j + 1 turn at the rate 10000 ** (-j / d_model) (Vaswani et al., 2017, 3.5)
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        steps = torch.arange(x.size(1), dtype=exact.dtype, device=exact.device)[None]
        j = torch.arange(x.shape[-1], dtype=exact.dtype, device=exact.device)
        angles = torch.stack([steps], dim=-1) * 10000 ** ((j % 2 - j) / x.shape[-1])
        encoding = torch.where(j % 2 == 0, torch.sin(angles), torch.cos(angles))
        return x + encoding.to(x.dtype)


class MultiHeadAttention(AttentionLayer):
    """Attention in several heads, on [batch, time, width] (Vaswani et al., 2017, 3.2)."""

    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__()
        key_dim = d_model // num_heads
        self.num_heads = num_heads
        self.query_projection = nn.Linear(d_model, num_heads * key_dim)
        self.key_projection = nn.Linear(d_model, num_heads * key_dim)
        self.value_projection = nn.Linear(d_model, num_heads * key_dim)
        self.weight_dropout = nn.Dropout(dropout)
        self.output_projection = nn.Linear(num_heads * key_dim, d_model)

    def forward(self, query, attention_mask=None):
        # softmax(q · k / sqrt(key_dim)) · v, in each head
        q = split_heads(self.query_projection(query), self.num_heads)
        k = split_heads(self.key_projection(query), self.num_heads)
        v = split_heads(self.value_projection(query), self.num_heads)
        context = self.attend(q, k, v, attention_mask, self.weight_dropout)
        return self.output_projection(context.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two dense layers, applied to each position alone (Vaswani et al., 2017, 3.3)."""

    def __init__(self, d_model, ff_dim):
        super().__init__()
        self.expand = nn.Linear(d_model, ff_dim)
        self.contract = nn.Linear(ff_dim, d_model)

    def forward(self, x):
        return self.contract(F.relu(self.expand(x)))


class TransformerEncoder(nn.Module):
    """Self-attention, then a feed-forward layer, with residuals: x [batch, time, d_model]."""

    def __init__(self, d_model, num_heads=8, ff_dim=2048, dropout=0.1):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(d_model, eps=1e-06)
        self.feed_forward = FeedForward(d_model, ff_dim)
        self.feed_forward_norm = nn.LayerNorm(d_model, eps=1e-06)
        self.residual_dropout = nn.Dropout(dropout)

    def forward(self, x, attention_mask=None):
        # normalized after each part (Vaswani et al., 2017, 3.1)
        attended = self.attention(x, attention_mask=attention_mask)
        x = self.attention_norm(x + self.residual_dropout(attended))
        return self.feed_forward_norm(x + self.residual_dropout(self.feed_forward(x)))


class MultiLayerTransformer(Network):
    """The network MultiLayerTransformer."""

    def __init__(self):
        super().__init__()
        self.embedding_0 = nn.Embedding(2000, 64)
        # without it, the order of the tokens is lost
        self.positional_encoding_0 = PositionalEncoding()
        self.transformer_encoder_layers = nn.ModuleList(
            TransformerEncoder(d_model=64, ff_dim=256) for _ in range(3)
        )
        self.dense_0 = nn.Linear(64, 64)
        self.dropout_0 = nn.Dropout(0.1)
        self.output_0 = nn.Linear(64, 5)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        layers = enumerate(self.transformer_encoder_layers)
        return {f"transformer_encoder_{i}": layer.attention for i, layer in layers}

    def forward(self, inputs, return_attention=False):
        """Return the output [batch, 5], or (output, attention maps).

        inputs: integers [batch, 32], or numbers [batch, time, 64] embedded already
        """
        if return_attention:
            return self.run_with_attention(inputs)
        return F.softmax(self.forward_logits(inputs), dim=-1)

    def forward_logits(self, inputs):
        """Return what the last activation is of, to be trained on."""
        x = embedded(inputs, self.embedding_0)
        x = self.positional_encoding_0(x)
        for layer in self.transformer_encoder_layers:
            x = layer(x)
        x = x.mean(dim=1)
        x = F.relu(self.dense_0(x))
        x = self.dropout_0(x)
        return self.output_0(x)


def create_model(dtype="float32"):
    """Return the network with random weights, in evaluation mode."""
    return MultiLayerTransformer().to(getattr(torch, dtype)).eval()


def create_loss():
    """Return the mean loss of (logits [batch, 5], class ids [batch])."""
    return F.cross_entropy


def create_optimizer(model):
    """Return a new optimizer for the weights of the model."""
    return torch.optim.Adam(model.parameters(), lr=0.0005, eps=1e-07)


def train(model, inputs, targets, epochs=10, batch_size=32, validation_split=0.0):
    """Train, printing each epoch; return {name: [value of each epoch]}."""
    measures = {"loss": create_loss()}
    optimizer, history = create_optimizer(model), {}
    device = next(model.parameters()).device
    size = int(len(targets) * (1 - validation_split))
    for epoch in range(1, epochs + 1):
        splits = {"": torch.randperm(size), "val_": torch.arange(size, len(targets))}
        for prefix in ("", "val_") if size < len(targets) else ("",):
            examples = splits[prefix]
            model.train(prefix == "")
            totals = dict.fromkeys(measures, 0.0)
            for rows in examples.split(batch_size):
                batch = inputs[rows].to(device)
                expected = targets[rows].to(device)
                with torch.set_grad_enabled(model.training):
                    outputs = model.forward_logits(batch)
                values = {name: f(outputs, expected) for name, f in measures.items()}
                if model.training:
                    optimizer.zero_grad()
                    values["loss"].backward()
                    optimizer.step()
                for name, value in values.items():
                    totals[name] += value.item() * len(rows) / len(examples)
            for name, total in totals.items():
                history.setdefault(prefix + name, []).append(total)
        report = ", ".join(f"{name} {v[-1]:.4f}" for name, v in history.items())
        print(f"epoch {epoch}/{epochs}: {report}")
    model.eval()
    return history
