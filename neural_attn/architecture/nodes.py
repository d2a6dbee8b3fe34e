"""What an architecture drawing shows: the steps of a forward and how they are wired.

Everything comes from the steps that shape inference took, so that a drawing shows
what the network computes: conditions are decided, optional inputs are there or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from neural_attn.catalogue.functions import OBSERVE, PRIMITIVES, Primitive
from neural_attn.grammar import tree
from neural_attn.ir import INDEX, Block, LayerUse
from neural_attn.shapes.instance import Attention, Checked, Instance, Step

__all__ = ["Node", "block_nodes", "network_nodes"]

_ENTRY = -1  # the source of what comes from a block's only input


@dataclass(eq=False)
class Node:
    """One box or sign of a drawing.

    `kind` is input, layer, function or sum. `sources` are the positions of the nodes
    whose values it takes, in the same list; -1 stands for the input of the block.
    """

    kind: str
    title: str
    name: str = ""
    arguments: tuple[str, ...] = ()
    shape: str = ""
    parameters: int = 0  # of all repeats together
    count: int = 1
    attention: str = ""
    sources: tuple[int, ...] = ()
    is_mask: bool = False
    shared: bool = False  # a layer that was called before: its weights count once
    beside: bool = False  # a mask that stands next to the input it is made from
    like: str = ""  # the earlier layer that is built in the same way
    instance: Instance | None = None
    inner: list[Node] = field(default_factory=list)


def network_nodes(checked: Checked) -> list[Node]:
    """The nodes of a network; the first block of each kind holds its own nodes."""
    nodes = block_nodes(checked.root)
    first: dict[object, str] = {}
    for node in nodes:
        if node.instance is None or not isinstance(node.instance.target, Block):
            continue
        key = _likeness(node.instance)
        if key in first:
            node.like = first[key]
            continue
        first[key] = node.name
        node.inner = _without_entry(block_nodes(node.instance))
    return nodes


def block_nodes(instance: Instance) -> list[Node]:
    """The nodes of one block, or of a network's own chain."""
    nodes: list[Node] = []
    made: dict[int, tuple[int, ...]] = {}  # tensor -> nodes that it comes from
    seen: set[str] = set()
    for step in instance.steps:
        sources = _union(made.get(tensor.uid, ()) for tensor in step.inputs)
        uid = step.output.uid
        if step.kind == "input" and uid in made:
            nodes[made[uid][0]].title += f" = {step.name}"
            continue
        node = _node(instance, step, len(sources), seen)
        if node is None:
            made[uid] = sources
            continue
        node.sources = sources
        inputs = [nodes[source].kind == "input" for source in sources]
        node.beside = node.is_mask and inputs == [True]
        made[uid] = (len(nodes),)
        nodes.append(node)
    return _main_input_last(nodes)


def _node(instance: Instance, step: Step, sources: int, seen: set[str]) -> Node | None:
    """The node for a step; None where the drawing shows none."""
    shape = str(step.output)
    if step.kind == "layer":
        return _layer(instance, step, seen)
    if step.kind == "input":
        is_mask = step.output.dtype == "bool" or step.name == "attention_mask"
        return Node("input", step.name, shape=shape, is_mask=is_mask)
    if step.kind == "function":
        primitive = PRIMITIVES[step.name]
        text = _squeezed(step.text)
        if instance.attention and _makes_map(instance, primitive):
            shown = describe(instance.attention)
            return Node("function", step.name, text, shape=shape, attention=shown)
        if step.name == "padding_mask":
            return Node("function", step.name, shape=shape, is_mask=True)
        return None
    flows = step.name in "+-*" and sources and _whole(step)
    return Node("sum", step.name, _squeezed(step.text), shape=shape) if flows else None


def _makes_map(instance: Instance, primitive: Primitive) -> bool:
    """Whether what the function gives is the map of the layer."""
    block = instance.target
    observes = isinstance(block, Block) and block.observes
    return primitive.name == OBSERVE if observes else primitive.is_attention


def _whole(step: Step) -> bool:
    """Whether an operator joins two values of the main flow, not parts of a formula."""
    output = step.output
    joins = len(step.inputs) == 2 and output.dtype == "float" and output.rank in (2, 3)
    return joins and bool(output.dims) and output.dims[0].label == "batch"


def _layer(instance: Instance, step: Step, seen: set[str]) -> Node:
    use, parts = instance.uses[step.name], instance.children[step.name]
    first, last = use.part_name(0), use.part_name(len(parts) - 1)
    parameters = sum(part.parameter_count for part in instance.copies(step.name))
    shared = step.name in seen and parameters > 0
    seen.add(step.name)
    kinds = {id(part): part for part in parts}.values()  # most are the same
    places = [place for part in kinds for place in part.attentions()]
    found = list(dict.fromkeys(place.attention for place in places))
    given = [f"{n}={_spelled(parts[0], use, n)}" for n in use.arguments]
    given += ["shared=true"] if use.is_shared else []
    return Node(
        "layer",
        use.target.name,
        first if first == last else f"{first} … {last}",
        tuple(given),
        str(step.output),
        0 if shared else parameters,
        len(parts),
        "; ".join(map(describe, found)),
        shared=shared,
        instance=parts[0],
    )


def _spelled(part: Instance, use: LayerUse, name: str) -> str:
    """An argument as the author wrote it, or what it comes to where that is a name."""
    expr = use.arguments[name]
    if isinstance(expr, tree.Literal) and isinstance(expr.value, bool):
        return literal(expr.value)  # which a rule may have set, and nobody wrote
    written = isinstance(expr, tree.Literal) or name not in part.values
    if written or (use.is_counted and INDEX in tree.names_in(expr)):
        return _squeezed(expr.span.text)
    return literal(part.values[name])


def literal(value: object) -> str:
    """A value as the language writes it."""
    if isinstance(value, str):
        return f'"{value}"'
    lowered = value is None or isinstance(value, bool)
    return str(value).lower() if lowered else str(value)


def describe(attention: Attention) -> str:
    """Say what kind of attention a layer has, in words."""
    kind = "cross-attention" if attention.kind == "cross" else "self-attention"
    if attention.causal:
        kind = f"causal {kind}"
    heads = attention.heads
    return kind if heads is None else f"{kind}, {heads} head{'s'[: heads != 1]}"


def _main_input_last(nodes: list[Node]) -> list[Node]:
    """The nodes with what the first layer takes first directly above it."""
    start = next((i for i, n in enumerate(nodes) if n.kind == "layer"), 0)
    if not start or not nodes[start].sources:
        return nodes
    main = nodes[start].sources[0]
    moved = [i for i in range(start) if i == main or main in nodes[i].sources]
    order = [i for i in range(start) if i not in moved] + moved
    order += range(start, len(nodes))
    place = {old: new for new, old in enumerate(order)}
    for node in nodes:
        node.sources = tuple(place[source] for source in node.sources)
    return [nodes[i] for i in order]


def _likeness(instance: Instance) -> object:
    """Equal for two instances of one block that look the same inside."""
    values = tuple((name, repr(value)) for name, value in instance.values.items())
    widths = tuple(tuple(d.value for d in t.dims) for t in instance.inputs)
    return instance.target, values, widths


def _without_entry(nodes: list[Node]) -> list[Node]:
    """The nodes of a card: masks, and an input that is the only one, go unsaid."""
    inputs = [node for node in nodes if node.kind == "input" and not node.is_mask]
    kept: dict[int, int] = {}
    shown: list[Node] = []
    for position, node in enumerate(nodes):
        if node.is_mask:
            continue
        if node.kind == "input" and len(inputs) == 1:
            kept[position] = _ENTRY
            continue
        kept[position] = len(shown)
        shown.append(node)
        node.sources = tuple(kept[s] for s in node.sources if s in kept)
    return shown


def _union(groups: Iterator[Sequence[int]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(source for group in groups for source in group))


def _squeezed(text: str) -> str:
    return re.sub(r"(?<=[(\[]) | (?=[)\]])", "", " ".join(text.split()))
