"""What a notebook calls on a model: capture, plot, analyze, diagnose."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from neural_attn import pipeline
from neural_attn.analysis import analyze_maps
from neural_attn.analysis.result import Analysis
from neural_attn.analysis.shard import PartialAnalysis, finish
from neural_attn.analysis.unkept import MapMeasurer, count_maps, count_measured
from neural_attn.diagnosis.diagnose import diagnose_maps
from neural_attn.diagnosis.faults import Diagnosis
from neural_attn.diagnostics.choices import check_options, keywords
from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.texts import as_texts
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.models.attention_model import AttentionModel, refuse_options
from neural_attn.models.capture import LoadedModel
from neural_attn.models.keras import is_keras
from neural_attn.models.living.choice import Heads, Layers
from neural_attn.models.opening import is_handed_out, open_handed_out, open_model
from neural_attn.models.pytorch import ModuleModel, is_module
from neural_attn.pipeline import (
    OF_ANALYSES,
    OF_RUNS,
    Request,
    refuse_lies,
    run_analysis,
)
from neural_attn.selection import select_some

if TYPE_CHECKING:  # Matplotlib takes half a second, and `capture` needs none
    from matplotlib.figure import Figure

__all__ = ["analyze", "capture", "diagnose", "plot"]

KEEP = ("maps", "metrics")


@overload
def capture(
    model: Any,
    inputs: Any = ...,
    tokenizer: Any = ...,
    layers: Layers = ...,
    heads: Heads = ...,
    *,
    tokens: Tokens | None = ...,
    budget: int | None = ...,
    keep: Literal["maps"] = ...,
    generate: Mapping[str, Any] | None = ...,
) -> AttentionMaps: ...
@overload
def capture(
    model: Any,
    inputs: Any = ...,
    tokenizer: Any = ...,
    layers: Layers = ...,
    heads: Heads = ...,
    *,
    tokens: Tokens | None = ...,
    keep: Literal["metrics"],
) -> PartialAnalysis: ...
def capture(
    model: Any,
    inputs: Any = None,
    tokenizer: Any = None,
    layers: Layers = None,
    heads: Heads = None,
    *,
    tokens: Tokens | None = None,
    budget: int | None = None,
    keep: Literal["maps", "metrics"] = "maps",
    generate: Mapping[str, Any] | None = None,
) -> AttentionMaps | PartialAnalysis:
    """Run a model once and return its exact attention, before dropout.

    A PyTorch module, also of `transformers`, or a Keras model computes what it would
    compute otherwise, by the same kernels; the weights are computed separately. The
    model is not changed.

    Parameters
    ----------
    model : a PyTorch module (of `transformers`), a Keras model, or what `explore` takes
        A PyTorch module must be in evaluation mode.
    inputs : a text, a list of texts, an array or tensor, a tuple of them, or a mapping
        A mapping has them by name, as a tokenizer returns them. In a list, a tuple of
        two texts is a pair.
    tokenizer : a tokenizer of `transformers` or `tokenizers`, or a path
        For texts; with ids it labels them.
    layers : names of maps, prefixes of names, or layer numbers; None: all
        -1 is the last layer. For a module, only what is asked for is computed.
    heads : head numbers; None: all
    tokens : labels of the first input, or of several by name
    budget : int or None
        The most bytes that the maps of a module may take; None: half of the free
        memory.
    keep : "maps" or "metrics"
        "metrics" keeps no matrix: for a module, weights are computed a few
        rows at a time and measured.
    generate : options for the `generate` of a `transformers` model, or None
        If given (`{}` for no options), the model writes, greedily or by sampling, and
        each map has a row for every token of the prompt and every written one but the
        last. Token labels need a tokenizer.

    Returns
    -------
    AttentionMaps
        float32 [batch, heads, queries, keys] by name, with masks, kinds and tokens.
        With keep="metrics" a `PartialAnalysis`, which `analyze` finishes, alone or
        with others; its numbers are those of the full maps.

    Raises
    ------
    NeuralError
        If inputs do not fit, a layer or head does not exist, a module is in training
        mode or its attention cannot be seen, or maps exceed the budget. If only some of
        it cannot be seen, a warning says which.
    """
    if keep not in KEEP:
        fail("E0414.keep", keep=keep)
    if isinstance(model, PartialAnalysis):  # which `plot` may be given
        fail("E0445", counted=model.counted)
    if isinstance(tokenizer, str):
        tokenizer = Path(tokenizer)
    if inputs is not None and is_handed_out(model):
        model = open_handed_out(model, inputs, tokens=tokens, tokenizer=tokenizer)
        inputs = tokens = tokenizer = None
    opened = open_model(model, tokenizer=tokenizer, tokens=tokens)
    if keep == "metrics":
        refuse_options({"budget": budget, "generate": generate}, 'keep="metrics"')
    if isinstance(opened, ModuleModel):
        opened = opened.choosing(layers, heads, budget)
        if generate is not None:
            refuse_options({"tokens": tokens}, "what is generated")
            opened = opened.generating(generate)
        prepared = _prepared(opened, inputs, tokens)
        _warn(prepared.cut)
        if keep == "maps":
            maps = opened.watch(prepared)[1]
            said = [*maps.notes, *prepared.cut]
            return replace(maps, notes=said) if prepared.cut else maps
        part = count_measured(*opened.measure(prepared, MapMeasurer()))
        part.note(prepared.cut)
        return part
    options = {"budget": budget, "generate": generate}
    refuse_options(options, "what is not a PyTorch module or Keras model")
    prepared = _prepared(opened, inputs, tokens)
    captured = opened.run(prepared)
    refuse_lies(captured, None)
    _warn([*prepared.cut, *captured.unlabelled])
    notes = [*captured.maps.notes, *prepared.cut, *captured.advice]
    selected = select_some(replace(captured.maps, notes=notes), layers, heads)
    return selected if keep == "maps" else count_maps(selected)


def _warn(notes: Sequence[str]) -> None:
    """Say what was taken otherwise than it was given, where `capture` was called."""
    for note in notes:
        warnings.warn(note, stacklevel=3)


def plot(
    given: Any,
    inputs: Any = None,
    tokenizer: Any = None,
    layers: Layers = None,
    heads: Heads = None,
    *,
    mean: bool = False,
    example: int = 0,
    tokens: Tokens | None = None,
    axes: str | None = None,
    cmap: str | None = None,
    **look: Any,
) -> Figure:
    """Draw maps, or the attention of a model on inputs.

    One head is one matrix, several heads of a layer are a grid, one head each of
    several layers are side by side, and all heads of all layers are one sheet.

    Parameters
    ----------
    given : AttentionMaps, or a model as `capture` takes it
    inputs, tokenizer, tokens : for a model, as in `capture`; of arrays or outputs, what
        the model was called with, and what says its tokens
    layers, heads : which maps and heads, as in `capture`
    mean : whether to average over heads
    example : which example of the batch, from 0
    axes : what the axes of plain arrays are, as in `neural_attn.maps.given.take`
    cmap : name of a Matplotlib colour map
    look : fields of `neural_attn.figures.look.Look`
        `hide_special`, `hide_sinks`, `renormalize`, `scale` and `theme`, among others.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook displays it; `figure.savefig(path)` writes it.

    Raises
    ------
    NeuralError
        If something is wrong with the model, its inputs, or the choice of layers and
        heads.
    ValueError
        If there is no such colour map, scale or theme.
    TypeError
        If there is no such option.
    """
    from neural_attn.figures.look import look_of
    from neural_attn.figures.of_maps import plot_maps

    drawn = look_of(plot, look)
    if axes is not None and is_handed_out(given):
        claims = {"tokens": tokens, "tokenizer": tokenizer, "axes": axes}
        given = open_handed_out(given, inputs, **claims)
        inputs = tokens = tokenizer = axes = None
    if axes is not None and not isinstance(given, AttentionMaps):
        given, axes = open_model(given, axes=axes), None
    if isinstance(given, AttentionMaps):
        told = {"inputs": inputs, "tokenizer": tokenizer, "tokens": tokens}
        told["axes"] = axes
        refuse_options(told, "maps")
        maps = select_some(given, layers, heads)
    else:
        maps = capture(given, inputs, tokenizer, layers, heads, tokens=tokens)
    if isinstance(example, bool) or not hasattr(type(example), "__index__"):
        fail("E0412.example", given=repr(example)[:40])
    try:
        return plot_maps(maps, mean=mean, example=example, cmap=cmap, look=drawn)
    except SelectionError as error:
        fail("E0412", reason=str(error))


def analyze(
    given: Any,
    inputs: Any = None,
    *,
    tokenizer: Any = None,
    layers: Layers = None,
    heads: Heads = None,
    **options: Any,
) -> Analysis:
    """Say what each head does, in maps or in a model on texts or arrays.

    Parameters
    ----------
    given : AttentionMaps, batches of them, a PyTorch module, or another model
        Maps are analysed as they are; a model is run on `inputs` first. One or
        several results of `capture(…, keep="metrics")` are finished.
    inputs, tokenizer : for a model, as in `capture`
    layers, heads : which ones, as in `capture`; None: all
    options : as in `neural_attn.analysis.analyze_maps.analyze`
        For a model, those fields of `neural_attn.pipeline.Request` that concern numbers
        (`threshold`, `flow`, …).

    Raises
    ------
    NeuralError
        If something is wrong with the model or its inputs.
    ValueError
        If batches have maps with the same name but different heads.
    TypeError
        If there is no such option.
    """
    check_options(analyze, options, (*_OF_MAPS, *OF_ANALYSES))
    parts = [given] if isinstance(given, PartialAnalysis) else given
    if _are_all(PartialAnalysis, parts):
        told = {"inputs": inputs, "tokenizer": tokenizer, **options}
        told |= {"layers": layers, "heads": heads}
        refuse_options(told, 'what keep="metrics" gave')
        return finish(reduce(PartialAnalysis.merge, parts))
    if layers is not None or heads is not None:
        some = capture(given, inputs, tokenizer, layers, heads)
        return analyze_maps.analyze(some, **_of(_OF_MAPS, options, "maps"))
    living = is_module(given) or is_keras(given)
    if not (living or isinstance(given, AttentionModel | LoadedModel)):
        if tokenizer is not None:
            options["tokenizer"] = tokenizer
        own = () if inputs is None else (inputs,)
        return analyze_maps.analyze(given, *own, **_of(_OF_MAPS, options, "maps"))
    options = _of(OF_ANALYSES, options, "a model")
    return run_analysis(_request(given, inputs, tokenizer=tokenizer, **options))[0]


# what `analyze` takes for maps or arrays
_OF_MAPS = (*keywords(analyze_maps.analyze), *analyze_maps.CLAIMS)


def _of(known: Collection[str], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The options that have an effect; raises NeuralError (E0414) for any other."""
    refuse_options({n: v for n, v in given.items() if n not in known}, what)
    return {name: value for name, value in given.items() if name in known}


def diagnose(
    given: Any,
    inputs: Any = None,
    *,
    tokenizer: Any = None,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Diagnosis:
    """Say what is wrong with a model, as its attention on inputs shows.

    Parameters
    ----------
    given : AttentionMaps, an iterable of batches of them, or a model as `capture` takes
    inputs, tokenizer : for a model, as in `capture`
    checkpoint, options : as in `neural_attn.pipeline.Request` (`tokens`, …)

    Returns
    -------
    Diagnosis
        `.faults`, `.checked` (what was looked at), `.to_dict()`; `print` writes it.

    Raises
    ------
    NeuralError
        If something is wrong with the model or its inputs.
    ValueError
        If batches have maps with the same name but different heads.
    TypeError
        If there is no such option.
    """
    check_options(diagnose, options, OF_RUNS)
    if isinstance(given, AttentionMaps) or _are_batches(given):
        told = {"inputs": inputs, "tokenizer": tokenizer, "checkpoint": checkpoint}
        refuse_options({**told, **options}, "maps")
        return diagnose_maps(given)
    options["tokenizer"] = Path(tokenizer) if isinstance(tokenizer, str) else tokenizer
    options["checkpoint"] = None if checkpoint is None else Path(checkpoint)
    return pipeline.diagnose(_request(given, inputs, **options))[0]


def _request(given: Any, inputs: Any, **options: Any) -> Request:
    """A request for a model on texts or on data, whichever the inputs are."""
    texts = as_texts(inputs)
    data = inputs if texts is None else None
    return Request(given, data=data, texts=texts or (), **options)


def _are_batches(given: Any) -> bool:
    if isinstance(given, Iterator):
        return True
    return _are_all(AttentionMaps, given)


def _are_all(kind: type, given: Any) -> bool:
    several = isinstance(given, list | tuple) and bool(given)
    return several and all(isinstance(one, kind) for one in given)


def _prepared(model: AttentionModel, inputs: Any, tokens: Tokens | None) -> Prepared:
    texts = as_texts(inputs)
    if texts is None:
        return model.prepare(inputs, tokens)
    if tokens is not None:
        fail("E0414.texts")
    return model.encode(texts)
