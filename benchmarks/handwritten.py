"""The encoder of the benchmark as one writes it by hand in PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention on PyTorch's fused kernel."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from and to x [batch, time, width]; mask [batch, 1, 1, time]."""
        batch, time, width = x.shape
        shape = (batch, time, self.heads, width // self.heads)
        attended = F.scaled_dot_product_attention(
            self.query(x).view(shape).transpose(1, 2),
            self.key(x).view(shape).transpose(1, 2),
            self.value(x).view(shape).transpose(1, 2),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(attended.transpose(1, 2).reshape(batch, time, width))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each with a residual connection."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return the next x [batch, time, width]; mask [batch, 1, 1, time]."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        hidden = F.gelu(self.expand(x))
        return self.feed_forward_norm(x + self.dropout(self.contract(hidden)))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(
        self, depth: int, width: int, heads: int, hidden: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout) for _ in range(depth)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode x [batch, time, width]; mask [batch, time] is True at real tokens."""
        if mask is not None:
            mask = mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return x


# our name of each part -> its name here
PARTS = {
    "attention.query_projection": "attention.query",
    "attention.key_projection": "attention.key",
    "attention.value_projection": "attention.value",
    "attention.output_projection": "attention.output",
    "attention_norm": "attention_norm",
    "feed_forward.expand": "expand",
    "feed_forward.contract": "contract",
    "feed_forward_norm": "feed_forward_norm",
}


def copy_weights(weights: dict[str, Tensor], encoder: Encoder, stack: str) -> None:
    """Give `encoder` the weights of a generated model, whose layers are `stack`.N."""
    with torch.no_grad():
        encoder.load_state_dict(
            {
                f"layers.{i}.{theirs}.{kind}": weights[f"{stack}.{i}.{ours}.{kind}"]
                for i in range(len(encoder.layers))
                for ours, theirs in PARTS.items()
                for kind in ("weight", "bias")
            }
        )
