"""What several commands share: options, examples in help, messages, progress."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from neural_attn.commands.completion import completes
from neural_attn.diagnostics.errors import Diagnostic, fail, printable
from neural_attn.promises import ROWS as PROMISED

FILE = click.Path(path_type=Path)


def backend_names(*, train: bool = False) -> list[str]:
    """Every name of a backend, for a shell; with `train`, of those that train."""
    from neural_attn.backends import known

    found = [one for one in known().values() if one.training or not train]
    return ["auto", *(name for one in found for name in (one.name, *one.aliases))]


def _backend(auto: str) -> Callable[[Any], Any]:
    return click.option(
        "-b",
        "--backend",
        default="auto",
        show_default=True,
        metavar="NAME",
        shell_complete=completes(backend_names),
        help=f"numpy, pytorch (torch), tensorflow (tf, keras), or auto: {auto}.",
    )


BACKEND = _backend("the first installed of tensorflow, pytorch, numpy")
QUICKEST = _backend("numpy, which needs no framework")
CHECKPOINT = click.option(
    "--checkpoint", type=FILE,
    help="Weights: .safetensors, .pt or .pth; by default those beside FILE.",
)  # fmt: skip
TEXTS = click.option(
    "--text", "texts", multiple=True, metavar="TEXT", help="A text; repeatable."
)
TEXTS_FILE = click.option(
    "--file",
    "texts_file",
    type=FILE,
    help="Texts, one per line; .jsonl: its `text`; .tsv: its first column.",
)
DATA = click.option("-d", "--data", type=FILE, help="Input: .npy, or .npz for several.")
BATCH_SIZE = click.option(
    "--batch-size", type=click.IntRange(1), default=16, show_default=True
)
KEPT_IN = click.option(
    "-o", "--output-dir", type=FILE, default=Path("attention_outputs"),
    show_default=True, help="Where the .neural file of a model's folder goes.",
)  # fmt: skip
NETWORK = click.option(
    "--network", metavar="NAME", help="Which network, if the file holds several."
)
MAX_NEW_TOKENS = click.option(
    "--max-new-tokens", type=click.IntRange(1), default=50, show_default=True,
    help="The most tokens to write.",
)  # fmt: skip
BEAMS = click.option(
    "--beams", type=click.IntRange(1), default=1, show_default=True,
    help="Keep this many continuations, and take the best.",
)  # fmt: skip
ROWS = click.option(
    "--rows", type=click.Choice(PROMISED), metavar="PROMISE",
    help="What rows of plain arrays are: shares (they sum to 1, the default), parts "
    "(at most 1), gates (0 or more) or signed.",
)  # fmt: skip
TOKENS = click.option(
    "-t", "--tokens", multiple=True, metavar="[NAME=]TEXT",
    help='Labels: The,cat,sat; a comma is ",". For several inputs, repeat it '
    "with their names.",
)  # fmt: skip
TOKENS_FILE = click.option(
    "--tokens-file", type=FILE, help="Labels: one per line, or a list in .json."
)
PAIR = click.option(
    "--pair", "pairs", nargs=2, multiple=True, metavar="A B",
    help="Two texts that the model reads as one; repeatable.",
)  # fmt: skip
IMAGES = click.option(
    "--image", "images", type=FILE, multiple=True, metavar="FILE",
    help="A PNG or JPEG, for networks that take images; repeatable.",
)  # fmt: skip
SOUNDS = click.option(
    "--audio", "sounds", type=FILE, multiple=True, metavar="FILE",
    help="A WAV, for networks that take sound, with its transcript as --text; "
    "repeatable.",
)  # fmt: skip
AXES = click.option(
    "--axes", metavar="LETTERS",
    help="What the axes of plain arrays are, such as bqk: b batch, h heads, q queries, "
    "k keys, l layers.",
)  # fmt: skip
CAUSAL = click.option(
    "--causal/--no-causal", default=None,
    help="Whether plain arrays hide later keys; by default their zeros tell.",
)  # fmt: skip


def sides(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name tokenizers."""
    beside = "if not beside the file"
    add = (
        click.option("--tokenizer", type=FILE, help=f"tokenizer.json, {beside}."),
        click.option(
            "--source-tokenizer",
            type=FILE,
            help="That of the source, if there are two texts.",
        ),
        click.option(
            "--target-tokenizer",
            type=FILE,
            help="That of the target, if there are two texts.",
        ),
    )
    for one in reversed(add):
        command = one(command)
    return command


def texts_of(
    texts: Sequence[str], pairs: Sequence[tuple[str, str]], file: Path | None
) -> list[Any]:
    """The texts that --text, --pair or --file give: texts, and tuples of two.

    Raises NeuralError for a file without any, or a file and others beside it.
    """
    given: list[Any] = [*texts, *pairs]
    if file is None:
        return given
    if given:
        fail("E0414.files")
    from neural_attn.inputs.texts import read_texts

    given = list(read_texts(file))
    if not given:
        fail("E0408.text", path=file)
    return given


def tokens_of(options: Mapping[str, Any]) -> Any:
    """The tokens that --tokens or --tokens-file says, or None."""
    from neural_attn.inputs.tokens import are_words, parse_tokens, read_tokens

    file = options["tokens_file"]
    if file is None:
        words = [text for text in options["tokens"] if are_words(text)]
        note([f'--tokens "{text}" has no comma: split at its spaces' for text in words])
        return parse_tokens(options["tokens"])
    if options["tokens"]:
        fail("E0414.token_files")
    return read_tokens(file)


def is_given(name: str) -> bool:
    """Whether an option of the command that runs was given, not left as it is."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def alone(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command hold its --output-dir, if it has one, until it ends."""

    @functools.wraps(command)
    def held(*arguments: Any, **options: Any) -> None:
        from neural_attn.folder_lock import alone_in

        folder = options["output_dir"]
        with alone_in(folder) if folder is not None else nullcontext():
            command(*arguments, **options)

    return held


def check_kept_in(file: Path) -> None:
    """Say so where --output-dir, as KEPT_IN has it, has no effect."""
    if is_given("output_dir") and not file.is_dir():
        raise click.UsageError("--output-dir is for the folder of a model")


def examples(*lines: str) -> Callable[[Any], Any]:
    """Add examples to a command's help, as they are typed."""
    text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

    def add(function: Any) -> Any:
        # indented lines behind the first would be taken for a quotation
        function.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\n{text}"
        return function

    return add


def say(diagnostics: Sequence[Diagnostic]) -> None:
    """Print problems to stderr; warnings of a kind once for a file, with the count."""
    for first, *others in by_kind(diagnostics):
        click.echo(first.render(), err=True)
        if others:
            lines = sorted({one.span.line for one in others if one.span})
            where = ", ".join(map(str, lines[:5])) + (", …" if lines[5:] else "")
            s = "s" if len(lines) != 1 else ""
            click.echo(f"  and {len(others):,} more: line{s} {where}", err=True)


def by_kind(diagnostics: Sequence[Diagnostic]) -> list[list[Diagnostic]]:
    """Each error alone, and the warnings of one code in one file together."""
    kinds: dict[tuple[object, ...], list[Diagnostic]] = {}
    for number, one in enumerate(diagnostics):
        name = one.span.source.name if one.span else number
        kinds.setdefault((number if one.is_error else one.code, name), []).append(one)
    return list(kinds.values())


def show_diff(before: str, after: str, name: str, what: str) -> None:
    """Print how a file changes, as `diff -u` does."""
    old, new = before.splitlines(), after.splitlines()
    for line in difflib.unified_diff(old, new, name, f"{name} ({what})", lineterm=""):
        click.echo(printable(line.replace("\t", " ")))


def note(notes: Sequence[str]) -> None:
    """Print what is worth knowing to stderr."""
    for one in notes:
        click.echo(f"note: {printable(one)}", err=True)


def open_file(path: Path) -> None:
    """Open what was drawn in the system's program for it, if there is one."""
    if click.launch(str(path)):
        note([f"{path} was not opened: this system has no program for it"])


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is going on; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield lambda text: status.update(f"{text} …")


@contextmanager
def bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of texts that are done on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), "texts", TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
