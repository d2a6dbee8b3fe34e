"""Which networks can continue their own output, and how their forward is split.

A network of one input of ids that gives, at each step, a share for each id, and in
which no step sees a later one, is a language model; it may take a mask of its padding.
One of two inputs, whose output goes along the second, is an encoder and a decoder: what
does not depend on the second is computed once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from neural_attn.backends.emit.base import Generation
from neural_attn.backends.emit.training import masked_inputs, output_activation
from neural_attn.backends.emit.usage import calls_in
from neural_attn.grammar import tree

from neural_attn.catalogue.decoding import CACHE, STEPWISE
from neural_attn.catalogue.types import BATCH, Tensor
from neural_attn.ir import SCAN, Block, Input, LayerUse, is_mask
from neural_attn.shapes.instance import Checked, Instance


def generation(checked: Checked) -> Generation | None:
    """How a network continues its output; None where it cannot."""
    inputs = [i for i in checked.network.inputs if not is_mask(i.name)]
    masks = [i for i in checked.network.inputs if is_mask(i.name)]
    if not 1 <= len(inputs) <= 2 or len(masks) > (len(inputs) == 1):
        return None
    *sources, target = inputs
    if target.dtype != "int" or len(target.shape) != 1:
        return None
    if checked.network.takes_embedded or not _continues(checked, target):
        return None
    part, name, within = checked.root, target.name, None
    # what depends on the mask alone is not a reading of a source
    given = {name, *(mask.name for mask in masks)}
    before, after, handed = _split(part, given)
    if sources and not handed and (found := _only_layer(part)):
        within, part = found
        name = next(n for n, source in part.sources.items() if source == name)
        before, after, handed = _split(part, {name})
    if bool(sources) != bool(handed) or not _have_a_batch(part, handed):
        return None
    whole = replace(part, children=_called(part, after))
    targets = {"", name}
    masked = target.name in masked_inputs(checked.network.block)
    may_be_padded = masked or any(facts.masks for facts in checked.facts.values())
    if not _is_causal(checked, whole, targets, may_be_padded):
        return None
    return Generation(
        target,
        sources[0] if sources else None,
        (before, after),
        handed,
        _keeps(checked, whole, targets),
        output_activation(checked.root) == "softmax",
        masked,
        within,
        masks[0] if masks else None,
    )


def _only_layer(root: Instance) -> tuple[LayerUse, Instance] | None:
    """The one layer of a network, if it is a block of two inputs: those of the network.

    Its forward must be a row of statements, as that of a chain is.
    """
    if len(root.children) != 1:
        return None
    ((name, (part, *others)),) = root.children.items()
    block = part.target
    if others or not isinstance(block, Block) or block.is_attention:
        return None
    if any(isinstance(statement, tree.If) for statement in block.forward.body):
        return None
    required = all(p.default is None for p in block.forward.parameters)
    if not required or len(set(part.sources.values()) - {""}) != 2:
        return None
    return root.uses[name], part


def _have_a_batch(part: Instance, names: tuple[str, ...]) -> bool:
    """Whether variables hold something for each example, as beams take it apart."""
    values = [part.variables[name] for name in names]
    return all(
        isinstance(value, Tensor) and value.rank > 1 and value.dims[0].label == BATCH
        for value in values
    )


def _continues(checked: Checked, target: Input) -> bool:
    """Whether the output has a share for each id, at each step of the target."""
    root = checked.root
    output = root.output
    if output is None or output.rank != 3 or output_activation(root) == "sigmoid":
        return False
    position = [i.name for i in checked.network.inputs].index(target.name)
    along = root.inputs[position]
    if output.along != along.uid:
        return False
    tables = [
        part.values["input_dim"]
        for part in _all_parts(root)
        if part.target.name == "Embedding" and part.inputs[0].along == along.uid
    ]
    return output.width.value in tables


def _all_parts(part: Instance) -> Iterator[Instance]:
    for inner in itertools.chain.from_iterable(part.children.values()):
        yield inner
        yield from _all_parts(inner)


def _split(
    part: Instance, targets: set[str]
) -> tuple[tuple[tree.Statement, ...], tuple[tree.Statement, ...], tuple[str, ...]]:
    """The statements that do not need the targets, the others, and what passes over.

    A network is a chain: its forward has assignments alone, and a return.
    """
    assert isinstance(part.target, Block)
    late = set(targets)
    before: list[tree.Assign] = []
    after: list[tree.Assign | tree.Return] = []
    for statement in part.target.forward.body:
        assert not isinstance(statement, tree.If)
        targets = _targets(statement)
        if (
            isinstance(statement, tree.Assign)
            and not tree.names_in(statement.value) & late
        ):
            late -= targets
            before.append(statement)
        else:
            late |= targets
            after.append(statement)
    needed, own = set[str](), set(targets)
    for statement in after:
        needed |= tree.names_in(statement.value) - own
        own |= _targets(statement)
    made = dict.fromkeys(name.text for one in before for name in one.targets)
    handed = sorted((name for name in made if name in needed), key=is_mask)
    return tuple(before), tuple(after), tuple(handed)


def _targets(statement: tree.Assign | tree.Return) -> set[str]:
    if isinstance(statement, tree.Return):
        return set()
    return {name.text for name in statement.targets}


def _called(
    part: Instance, statements: tuple[tree.Statement, ...]
) -> dict[str, list[Instance]]:
    """The layers that statements of a forward call."""
    names = {
        node.function.text
        for statement in statements
        if isinstance(statement, tree.Assign | tree.Return)
        for node in tree.walk(statement.value)
        if isinstance(node, tree.Call)
    }
    return {n: p for n, p in part.children.items() if n in names}


def _is_causal(
    checked: Checked, part: Instance, targets: set[str], may_be_padded: bool
) -> bool:
    """Whether no step of what a block gives depends on a later one of its target.

    `targets` are those of its inputs that go along with the network's; "" stands for
    what is not known. Where texts begin with padding, none may depend on that either.
    """
    assert isinstance(part.target, Block)
    if part.attention and not (part.attention.causal or part.attention.kind == "cross"):
        return False
    facts = checked.facts[part.target]
    # an attention that is not observed makes no promise of what its products see
    mixed = facts.mixes_steps | (set() if part.attention else facts.weighs_steps)
    if (mixed | (facts.sums_steps if may_be_padded else set())) & targets:
        return False
    return all(
        _is_causal(checked, inner, _inside(inner, targets), may_be_padded)
        if isinstance(inner.target, Block)
        else _is_stepwise(inner) or _reads_forwards(inner, may_be_padded)
        for inner in _on_the_way(part, targets)
    )


def _on_the_way(part: Instance, targets: set[str]) -> Iterator[Instance]:
    """The layers of a block but for those that go along with other inputs alone."""
    for inner in itertools.chain.from_iterable(part.children.values()):
        names = {part.input_names.get(x.along, "") for x in inner.inputs[:1]}
        if isinstance(inner.target, Block) or names & targets or not names:
            yield inner


def _inside(inner: Instance, targets: set[str]) -> set[str]:
    """Those of the inputs of an inner block that go along with the target."""
    return {"", *(name for name, source in inner.sources.items() if source in targets)}


def _is_stepwise(part: Instance) -> bool:
    """Whether what a layer gives for a step depends on no other one."""
    name, values = part.target.name, part.values
    if name == "Conv1D":  # a window of one step is a Dense
        return values["kernel_size"] in (1, (1,)) and values["strides"] in (1, (1,))
    return name in STEPWISE


def _reads_forwards(part: Instance, may_be_padded: bool) -> bool:
    """Whether a layer that mixes steps looks only back, and not at padding.

    A recurrent layer leaves padded steps out, a window those that a mask hides.
    """
    name, values = part.target.name, part.values
    if name in ("LSTM", "GRU", "SimpleRNN"):
        return bool(values["return_sequences"]) and not values["go_backwards"]
    is_causal = name == "Conv1D" and values["padding"] == "causal"
    return is_causal and (_takes_mask(part) or not may_be_padded)


def _takes_mask(part: Instance) -> bool:
    """Whether a window is told which steps are padding: of all, not the newest."""
    return part.target.name == "Conv1D" and len(part.inputs) > 1


def _keeps(
    checked: Checked, part: Instance, targets: set[str], *, around: bool = False
) -> bool:
    """Whether a block needs only the newest step, what it needs else being kept.

    `around`: whether a Cache stands beside it in the block around.
    """
    assert isinstance(part.target, Block)
    facts = checked.facts[part.target]
    # of the masks, only those of the network itself go on with what is kept
    is_within = part.target is not checked.network.block
    if facts.counts_steps or (facts.sums_steps & targets):
        return False
    if is_within and facts.masks & targets:
        return False
    if _counts(part.target.forward.body) > 1:
        return False
    if any(_is_reused(part, name) for name in part.calls):
        return False
    inner = list(_on_the_way(part, targets))
    caches = around or any(one.target is CACHE for one in inner)
    if part.attention and part.attention.causal and not caches:
        return False
    return all(
        _keeps(checked, one, _inside(one, targets), around=caches)
        if isinstance(one.target, Block)
        else _is_stepwise(one) and not _takes_mask(one)
        for one in inner
    )


def _counts(body: Iterable[tree.Statement]) -> int:
    """How often a forward counts positions, which one layer does for all of them."""
    count = 0
    for statement in body:
        if isinstance(statement, tree.If):
            count += max(_counts(statement.then), _counts(statement.otherwise))
        else:
            names = [call.function.text for call in calls_in([statement])]
            count += names.count("positions")
    return count


def _is_reused(part: Instance, name: str) -> bool:
    """Whether one layer that remembers is applied several times in a run."""
    calls, shared = part.calls[name], part.uses[name].is_shared
    times = sum(len(parts) if shared else 1 for parts in calls)
    return times > 1 and any(_remembers(one) for one in calls[0])


def _remembers(part: Instance) -> bool:
    """Whether a layer, or one inside, keeps something of earlier steps."""
    if not isinstance(part.target, Block):
        return part.target is CACHE
    called = {one.function.text for one in calls_in(part.target.forward.body)}
    if called & {"positions", SCAN}:
        return True
    return any(map(_remembers, itertools.chain.from_iterable(part.children.values())))
