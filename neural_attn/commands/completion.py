"""The values of options that a shell completes, each list made where one is asked for.

Options with a `click.Choice` complete by themselves, and those with a path as files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

__all__ = [
    "backends", "codes", "colour_maps", "faults", "layers", "pipelines", "splits",
    "templates", "tokenizers", "trainers",
]  # fmt: skip

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completes(names: Callable[[], Iterable[str]]) -> Complete:
    """Complete words that begin as one of the names does, whatever its case."""

    def complete(
        context: click.Context, parameter: click.Parameter, word: str
    ) -> list[CompletionItem]:
        return [
            CompletionItem(name)
            for name in names()
            if name.lower().startswith(word.lower())
        ]

    return complete


def _backends(*, trains: bool) -> list[str]:
    from neural_attn.backends import known

    found = [one for one in known().values() if one.training or not trains]
    return ["auto", *(name for one in found for name in (one.name, *one.aliases))]


@_completes
def backends() -> list[str]:
    """What a network is compiled to."""
    return _backends(trains=False)


@_completes
def trainers() -> list[str]:
    """What a network is trained with."""
    return _backends(trains=True)


@_completes
def colour_maps() -> Iterable[str]:
    """Those of Matplotlib."""
    import matplotlib

    return matplotlib.colormaps


@_completes
def pipelines() -> list[str]:
    """The pipelines of spaCy that are installed, without loading spaCy."""
    from importlib.metadata import entry_points

    return sorted(one.name for one in entry_points(group="spacy_models"))


@_completes
def splits() -> Iterable[str]:
    """How sacrebleu splits words; nothing where it is not installed."""
    try:
        from sacrebleu import BLEU
    except ImportError:
        return ()
    names: Iterable[str] = BLEU.TOKENIZERS
    return names


@_completes
def faults() -> list[str]:
    """The kinds of faults that a diagnosis looks for."""
    from neural_attn.diagnosis.diagnose import CHECKS

    return ["any", *CHECKS]


@_completes
def templates() -> Iterable[str]:
    """The templates of `neural new`."""
    from neural_attn.templates import templates as there

    return there()


@_completes
def codes() -> Iterable[str]:
    """The codes of errors and warnings."""
    from neural_attn.diagnostics.explanations import explanations

    return explanations()


@_completes
def layers() -> list[str]:
    """Layers, blocks and the layers around layers."""
    from neural_attn.language_help import entries
    from neural_attn.resolve.wrappers import WRAPPERS

    return [*entries(), *WRAPPERS]


def tokenizers(
    context: click.Context, parameter: click.Parameter, word: str
) -> list[CompletionItem]:
    """A kind of tokenizer that training makes, else a file."""
    from neural_attn.trainer.vocabulary import KINDS

    kinds = [CompletionItem(kind) for kind in KINDS if kind.startswith(word)]
    return kinds or [CompletionItem(word, type="file")]
