"""`neural analyze`: what each head does, in numbers and sentences."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from neural_attn.commands.options import BACKEND, FILE, NETWORK, examples, say
from neural_attn.errors import fail, printable


@click.command()
@click.argument("file", type=FILE)
@BACKEND
@click.option("--checkpoint", type=FILE, help="Weights: .safetensors, .pt or .pth.")
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="A text; repeat.")
@click.option("--file", "texts_file", type=FILE, help="Texts, one a line.")
@click.option(
    "--group", "groups", multiple=True, metavar="NAME=FILE",
    help="Texts of one group; the others are compared with the first.",
)  # fmt: skip
@click.option(
    "--links", type=FILE,
    help='Lines of {"text": "…", "links": [[from, to], …]}: do heads find them?',
)  # fmt: skip
@click.option("-d", "--data", type=FILE, help="Input: .npy, or .npz for several.")
@click.option("-t", "--tokens", metavar="TEXT", help="Labels: The,cat,sat")
@click.option("--tokenizer", type=FILE, help="tokenizer.json, if not beside the file.")
@click.option("--json", "as_json", is_flag=True, help="Print the analysis as JSON.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
@click.option("--html", type=FILE, metavar="PAGE", help="Also write it as a page.")
@click.option("--grid", type=FILE, metavar="PICTURE",
    help="Also draw every head of the first text: .png, .svg or .pdf.")  # fmt: skip
@click.option("--heads", is_flag=True, help="Print every head, not only the clearest.")
@click.option(
    "--spacy", metavar="PIPELINE", help="Parts of speech for connections, by spaCy."
)
@click.option("--no-probe", is_flag=True, help="Do not measure induction.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@NETWORK
@examples(
    "neural analyze model.neural",
    'neural analyze bert.neural --checkpoint bert.safetensors --text "Hello"',
    "neural analyze bert.neural --checkpoint bert.safetensors --file texts.txt",
    "neural analyze bert.neural --checkpoint b.safetensors --group a=a.txt "
    "--group b=b.txt --html report.html",
    "neural analyze maps.npz --json",
)
def analyze(file: Path, **options: Any) -> None:
    """Say what each head does, with numbers; FILE is .neural, or .npz of saved maps."""
    from neural_attn.analysis.run import AnalysisRequest, run_analysis
    from neural_attn.capture.data import read_data
    from neural_attn.visualize import analysis_report

    if options["as_json"] and options["markdown"]:
        raise click.UsageError("give --json or --markdown, not both")
    if options["grid"] and options["grid"].suffix not in (".png", ".svg", ".pdf"):
        raise click.UsageError("--grid draws .png, .svg or .pdf")
    tokens = options["tokens"]
    request = AnalysisRequest(
        file=file,
        backend=options["backend"],
        network=options["network"],
        checkpoint=options["checkpoint"],
        data=None if options["data"] is None else read_data(options["data"]),
        tokens=None if tokens is None else [t.strip() for t in tokens.split(",")],
        texts=options["texts"],
        groups=_groups(options["groups"], options["texts_file"]),
        links=options["links"],
        tokenizer=options["tokenizer"],
        batch_size=options["batch_size"],
        seed=options["seed"],
        probe=not options["no_probe"],
        spacy=options["spacy"],
    )
    _check(request)
    with _bar() as progress:
        analysis, warnings = run_analysis(request, progress)
    say(warnings)
    if options["html"] is not None:
        from neural_attn.files import atomic_write

        path = atomic_write(options["html"], analysis_report.to_html(analysis))
        click.echo(f"wrote {printable(str(path))}", err=True)
    if options["grid"] is not None and analysis.maps:
        from neural_attn.visualize.heatmap import save_figure
        from neural_attn.visualize.overview import draw_overview

        path = save_figure(draw_overview(analysis.maps), options["grid"])
        click.echo(f"wrote {printable(str(path))}", err=True)
    if options["as_json"]:
        click.echo(analysis_report.to_json(analysis))
    elif options["markdown"]:
        click.echo(analysis_report.to_markdown(analysis), nl=False)
    else:
        analysis_report.print_analysis(analysis, heads=options["heads"])
    if not analysis.heads:
        sys.exit(1)


def _check(request: Any) -> None:
    texts = bool(request.texts or request.groups or request.links)
    if request.data is not None and texts:
        fail("E0414", "both data and texts are given", hint="give one of them")
    if request.tokens is not None and texts:
        fail("E0414", "both texts and tokens are given", hint="texts have their own")
    if request.file.suffix == ".npz" and (texts or request.data is not None):
        fail("E0414", "saved maps have their texts already", hint="give FILE alone")


def _groups(given: Sequence[str], texts_file: Path | None) -> dict[str, Path]:
    groups = {} if texts_file is None else {"": texts_file}
    for one in given:
        name, equals, path = one.partition("=")
        if not (equals and name and path):
            raise click.UsageError(f"--group {one!r} is not NAME=FILE")
        if name in groups:
            raise click.UsageError(f"there are two groups {name!r}")
        groups[name] = Path(path)
    return groups


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; nothing in a pipe."""
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
