"""`neural train`: weights for a network, learned from data."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import (
    FILE,
    NETWORK,
    backend_names,
    examples,
    note,
    say,
)
from neural_attn.commands.printing import write_json
from neural_attn.diagnostics.errors import printable

if TYPE_CHECKING:
    from neural_attn.trainer.run import Trained


def _tokenizers() -> Iterable[str]:
    from neural_attn.trainer.vocabulary import KINDS

    return KINDS


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--pairs", type=FILE, metavar="TSV",
    help="Lines of source<TAB>target; of text<TAB>label; of words<TAB>tags.",
)  # fmt: skip
@click.option("--text", "texts", type=FILE, help="Texts, one per line, to imitate.")
@click.option(
    "-d", "--data", type=FILE, help="Arrays: .npz by input name, and `targets`."
)
@click.option(
    "-b", "--backend", default="auto", show_default=True, metavar="NAME",
    shell_complete=completes(partial(backend_names, train=True)),
    help="pytorch (torch) or tensorflow (tf, keras); auto: one that is installed.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes through the data.")
@click.option("--batch-size", type=click.IntRange(1), help="Examples per step.")
@click.option("--learning-rate", "--lr", type=click.FloatRange(0, min_open=True),
    help="Instead of the file's; for a schedule, the initial rate.")  # fmt: skip
@click.option(
    "--patience", type=click.IntRange(1),
    help="Stop after this many epochs without a better loss.",
)  # fmt: skip
@click.option(
    "--validation", metavar="SHARE|FILE",
    help="The share of the data to hold out (0.1), or a file of such data.",
)  # fmt: skip
@click.option(
    "--tokenizer", metavar="KIND|FILE",
    shell_complete=completes(_tokenizers, files=True),
    help="bpe (the default), word or char, made from the data; or a tokenizer.json.",
)  # fmt: skip
@click.option(
    "--vocab-size", "vocabulary_size", type=click.IntRange(5),
    help="The most tokens of a tokenizer; by default as many as the network has ids.",
)  # fmt: skip
@click.option(
    "--max-src", "longest_source", type=click.IntRange(1),
    help="Cut what is read to this many tokens.",
)  # fmt: skip
@click.option(
    "--max-trg", "longest_target", type=click.IntRange(1),
    help="Cut what is written to this many tokens.",
)  # fmt: skip
@click.option("--checkpoint", type=FILE, help="Weights to start from.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--device", default="auto", show_default=True, help="Such as cpu or cuda:1."
)
@NETWORK
@click.option(
    "-o", "--output-dir", type=FILE, help="Where the files go; by default NAME_trained."
)
@click.option(
    "--resume", is_flag=True, help="Continue where the run in that folder stopped."
)
@click.option("--tensorboard", is_flag=True, help="Also write logs for TensorBoard.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@examples(
    "neural train translator.neural --pairs pairs.tsv",
    "neural train translator.neural --pairs pairs.tsv --epochs 40 --resume",
    "neural train gpt.neural --text corpus.txt --tokenizer char",
    "neural train reviews.neural --pairs reviews.tsv --patience 3 -b tensorflow",
    "neural train network.neural --data arrays.npz --validation 0.2",
)
def train(file: Path, as_json: bool, **options: Any) -> None:
    """Train a network of FILE, and keep the weights of its best epoch.

    The file's `train` block has the defaults of the options. NAME_trained/ gets
    NAME.safetensors (for --checkpoint), the tokenizers, history.csv, loss.png, and
    checkpoint/, from which --resume continues.
    """
    from neural_attn.trainer.progress import watching
    from neural_attn.trainer.run import Request, StoppedError, train_file

    _check(options)
    options["validation"] = _validation(options["validation"])
    try:
        with watching() as watcher:
            trained = train_file(Request(file, **options), watcher)
    except StoppedError as stop:
        kept = f"{stop.epochs} epoch{'s' * (stop.epochs != 1)} kept in"
        click.echo(f"stopped: {kept} {stop.folder}; --resume continues", err=True)
        sys.exit(130)
    say(trained.warnings)
    if as_json:
        write_json(trained.as_dict())
        return
    _report(trained)


def _check(options: dict[str, Any]) -> None:
    given = [name for name in ("pairs", "texts", "data") if options[name] is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --pairs, --text and --data")


def _validation(given: str | None) -> float | Path | None:
    if given is None:
        return None
    try:
        share = float(given)
    except ValueError:
        return Path(given)
    if not 0 <= share < 1:
        raise click.UsageError("--validation is a share from 0 to below 1, or a file")
    return share


def _report(trained: Trained) -> None:
    from neural_attn.trainer.progress import described

    note(trained.notes)
    held = f", {trained.held} held out" if trained.held else ""
    click.echo(
        f"{trained.network} ({trained.task}, {trained.backend}): "
        f"{trained.learned} examples{held}"
    )
    click.echo(
        f"best {described(trained.history[trained.best - 1], len(trained.history))}"
    )
    for path in trained.files.values():
        click.echo(f"  {printable(str(path))}")
