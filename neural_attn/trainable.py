"""Whether a network can be trained as its file says."""

from __future__ import annotations

import re

from neural_attn.diagnostics.errors import Edit, Problems, Span
from neural_attn.ir import LayerUse
from neural_attn.shapes.instance import Checked, Instance
from neural_attn.training.catalogue import OF_CLASSES

_LAST = ("Dense", "Output")
_LABEL = re.compile(r"^\s*\w+\s*=\s*")
# what makes a picture larger again is there to say something of each of its places
_WIDENING = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "UpSampling")


def check_trainable(checked: Checked, problems: Problems) -> None:
    """Note a loss without weights (E0247), classes for each place, or one alone."""
    loss = checked.network.loss
    _check_softmax(checked, problems)
    if loss is not None and not checked.root.parameter_count:
        problems.add("E0247", loss.span, network=checked.network.name)
    _check_classes(checked, problems)


def _check_softmax(checked: Checked, problems: Problems) -> None:
    """Warn (W0124) of a softmax over one number, which is 1 whatever arrives."""
    for name, use in checked.root.uses.items():
        part = checked.root.children[name][-1]
        width = part.output.width.value if part.output else None
        if part.values.get("activation") == "softmax" and width == 1:
            problems.add("W0124", use.span, layer=use.target.name)


def _check_classes(checked: Checked, problems: Problems) -> None:
    """Warn (W0123) of a class for each place where one for an example seems meant.

    It cannot be known: a tagger or a segmentation gives one for each place too. Where
    nothing in the network says so, the author is told.
    """
    network, root = checked.network, checked.root
    output, loss = root.output, network.loss
    if loss is None or loss.name not in OF_CLASSES or output is None:
        return
    last = _last_layer(root)
    if output.rank < 3 or last is None or _says_each_place(checked):
        return
    call = _LABEL.sub("", last.span.text.split("@")[0].strip())
    is_picture = output.rank > 3
    pooling = f"GlobalAveragePooling{output.rank - 2}D()"
    problems.add(
        "W0123",
        last.span,
        edit=_before(last.span, pooling),
        layer=f"`{last.target.name}`",
        shape=output,
        place="place" if is_picture else "step",
        pooling=f"`{pooling}`",
        each=f"`Conv{output.rank - 2}D({output.width.value}, 1)` instead"
        if is_picture
        else f"`TimeDistributed({call})`",
    )


def _last_layer(root: Instance) -> LayerUse | None:
    """The layer that gives the network's output, where it works on the last axis."""
    output = root.output
    for step in reversed(root.steps):
        if output is not None and step.kind == "layer" and step.name in root.uses:
            use = root.uses[step.name]
            is_last = step.output.uid == output.uid
            written = _LABEL.sub("", use.span.text).lower()
            each = written.startswith("timedistributed")
            return use if is_last and use.target.name in _LAST and not each else None
    return None


def _says_each_place(checked: Checked) -> bool:
    """Whether the network says that its steps or places have a class each."""
    network, root = checked.network, checked.root
    if len(network.inputs) > 1 or any(a.causal for a in checked.attentions.values()):
        return True
    assert root.output is not None
    classes = root.output.width.value
    for name, use in root.uses.items():
        part, kind = root.children[name][-1], use.target.name
        if kind == "Embedding" and part.values.get("input_dim") == classes:
            return True  # of words, a word
        if part.values.get("return_sequences") or kind.startswith(_WIDENING):
            return True
    return False


def _before(span: Span, text: str) -> Edit:
    """A layer written on the line before a layer, or before it on its own line."""
    source = span.source.text
    line = source.rfind("\n", 0, span.start) + 1
    margin = source[line : span.start]
    text = f"{text}\n{margin}" if not margin.strip() else f"{text} "
    return Edit(span.start, span.start, text)
