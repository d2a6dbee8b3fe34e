"""Loss, optimizer, metrics and train settings: what authors may write."""

from __future__ import annotations

from neural_attn.errors import Problems
from neural_attn.grammar import tree
from neural_attn.ir import Network

GROUPS = ("train", "training")


def is_group(node: tree.LayerNode) -> bool:
    """Whether `name { … }` is a group of settings rather than a layer."""
    return node.name.text in GROUPS and node.block is not None


def read_settings(
    network: Network, settings: dict[str, tree.Setting], problems: Problems
) -> None:
    """Fill the network's training settings; notes unknown names and values."""
