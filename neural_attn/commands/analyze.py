"""`neural analyze`: what each head does, in numbers and sentences."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import (
    AXES,
    BACKEND,
    BATCH_SIZE,
    CAUSAL,
    CHECKPOINT,
    DATA,
    FILE,
    IMAGES,
    KEPT_IN,
    NETWORK,
    PAIR,
    ROWS,
    SOUNDS,
    TEXTS,
    TEXTS_FILE,
    TOKENS,
    TOKENS_FILE,
    bar,
    check_kept_in,
    examples,
    is_given,
    say,
    sides,
    tokens_of,
)
from neural_attn.commands.printing import write, write_json
from neural_attn.diagnostics.errors import fail, printable, reason
from neural_attn.figures.choices import THEME_NAMES
from neural_attn.files import atomic_write
from neural_attn.inputs.links import LINK_ROWS
from neural_attn.promises import KINDS
from neural_attn.reports import FORMATS

if TYPE_CHECKING:
    from neural_attn.analysis.result import Analysis
    from neural_attn.analysis.shard import PartialAnalysis
    from neural_attn.analysis.steps import Steps

# Of no use to parts, which were made with or without it: parameters by their names.
_OF_A_RUN = {
    **{name: f"--{name}" for name in ("checkpoint", "data", "tokens", "tokenizer")},
    **{name: f"--{name}" for name in ("links", "network", "spacy", "flow", "rank")},
    "rows": "--rows",
    "axes": "--axes",
    "tokens_file": "--tokens-file",
    "texts": "--text",
    "pairs": "--pair",
    "images": "--image",
    "sounds": "--audio",
    "texts_file": "--file",
    "groups": "--group",
    "grid": "--grid",
    "steps": "--steps",
    "most_texts": "--num-examples",
    "source_tokenizer": "--source-tokenizer",
    "target_tokenizer": "--target-tokenizer",
    "relations": "--relations",
    "parse": "--parse",
}


def _pipelines() -> list[str]:
    """The pipelines of spaCy that are installed; spaCy itself takes long to load."""
    from importlib.metadata import entry_points

    return sorted(one.name for one in entry_points(group="spacy_models"))


def _formats(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option of each format."""
    for one in reversed(FORMATS):
        kind = {"type": FILE, "metavar": one.file} if one.file else {"is_flag": True}
        command = click.option(f"--{one.name}", help=one.help, **kind)(command)
    return command


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@BACKEND
@CHECKPOINT
@TEXTS
@PAIR
@IMAGES
@SOUNDS
@TEXTS_FILE
@click.option(
    "--group", "groups", multiple=True, metavar="NAME=FILE",
    help="A group of texts; the other groups are compared with the first.",
)  # fmt: skip
@click.option(
    "--links", type=FILE,
    help='Lines of {"text": "…", "links": [[from, to], …]}: which heads find them? '
    '"candidates": [key, …] may be added; without "text", --data or the maps have the '
    "texts.",
)  # fmt: skip
@click.option(
    "--link-row", type=click.Choice(LINK_ROWS), default="token", show_default=True,
    help="The row of a decoder's token: its own, or the one before, which predicts it.",
)  # fmt: skip
@click.option(
    "--link-kind", type=click.Choice(KINDS),
    help="Which maps the links are for; by default cross, if there are any.",
)  # fmt: skip
@click.option(
    "--relations", is_flag=True,
    help="Which heads find direct objects, determiners, possessives? Parsed by spaCy, "
    "with the pipeline of --spacy or en_core_web_sm.",
)  # fmt: skip
@click.option(
    "--parse", type=FILE, metavar="TREEBANK",
    help="The same with this parse of the texts, in CoNLL-U: .conllu.",
)  # fmt: skip
@DATA
@TOKENS
@TOKENS_FILE
@ROWS
@AXES
@CAUSAL
@sides
@_formats
@click.option("--grid", type=FILE, metavar="PICTURE",
    help="Also draw every head of the first text: .png, .svg or .pdf.")  # fmt: skip
@click.option(
    "--pictures", type=FILE, metavar="FOLDER",
    help="Also draw distributions, distances between heads and pairs of metrics, and "
    "write heads.csv.",
)  # fmt: skip
@click.option(
    "--steps", type=FILE, metavar="FOLDER",
    help="For a network that writes: also how focused each step of each head was, as "
    "attention_entropy_analysis.png and steps.csv.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(THEME_NAMES), default="light", show_default=True,
    help="The ground of the pictures of --grid, --pictures and --steps.",
)  # fmt: skip
@click.option(
    "--num-examples", "most_texts", type=click.IntRange(1), metavar="COUNT",
    help="Only the first COUNT texts of each file.",
)  # fmt: skip
@click.option("--heads", is_flag=True, help="Print every head, and all tables.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), metavar="SHARE",
    help="Connections are weights above this (0.1), averaged over a layer's heads.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(1), help="The most connections per layer.")
@click.option(
    "--spacy", metavar="PIPELINE", shell_complete=completes(_pipelines),
    help="Parts of speech for connections, by spaCy.",
)  # fmt: skip
@click.option(
    "--flow", is_flag=True, help="Also attention flow of the first text, with SciPy."
)
@click.option("--rank", is_flag=True, help="Also effective ranks (much slower).")
@click.option(
    "--part", type=FILE, metavar="PART",
    help="Also write what was counted, to be merged: .json.",
)  # fmt: skip
@click.option(
    "--merge", is_flag=True, help="The FILEs are such parts: analyse all of them."
)
@click.option("--no-probe", is_flag=True, help="Do not measure induction.")
@BATCH_SIZE
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@NETWORK
@KEPT_IN
@examples(
    "neural analyze model.neural",
    'neural analyze bert.neural --checkpoint bert.safetensors --text "Hello"',
    "neural analyze bert.neural --checkpoint bert.safetensors --file texts.txt",
    "neural analyze bert.neural --checkpoint b.safetensors --group a=a.txt "
    "--group b=b.txt --html report.html",
    "neural analyze all-MiniLM-L6-v2 --file texts.txt",
    'neural analyze all-MiniLM-L6-v2 --pair "It rains." "Take a coat."',
    "neural analyze maps.npz --json",
    "neural analyze bert.neural --checkpoint b.safetensors --links coreference.jsonl",
    "neural analyze all-MiniLM-L6-v2 --file texts.txt --relations",
    "neural analyze bert.neural --checkpoint b.safetensors --file 1.txt --part 1.json",
    "neural analyze translate.neural --file test.tsv --num-examples 50 --steps out",
    "neural analyze --merge 1.json 2.json --html report.html",
)
def analyze(files: tuple[Path, ...], **options: Any) -> None:
    """Say what each head does; FILE is .neural, or .npz, .npy or .safetensors.

    The latter hold saved maps, or arrays of any library. FILE may also be the folder of
    a pretrained model, which becomes a .neural file in the output folder.
    """
    from neural_attn.analysis.shard import finish

    _check_options(files, options)
    part = _merge(files) if options["merge"] else _collect(files[0], options)
    analysis = finish(part)
    if options["part"] is not None:
        _wrote(part.save(options["part"]))
    _show(analysis, options)
    if not analysis.heads:
        sys.exit(1)


def _check_options(files: tuple[Path, ...], options: Mapping[str, Any]) -> None:
    printed = [f"--{one.name}" for one in FORMATS if options[one.name] and not one.file]
    if len(printed) > 1:
        raise click.UsageError(f"give {' or '.join(printed[:2])}, not both")
    if options["grid"] and options["grid"].suffix not in (".png", ".svg", ".pdf"):
        raise click.UsageError("--grid draws .png, .svg or .pdf")
    drawn = any(options[name] for name in ("grid", "pictures", "steps"))
    if is_given("theme") and not drawn:
        raise click.UsageError("--theme is of --grid, --pictures and --steps")
    if not options["merge"]:
        if len(files) > 1:
            raise click.UsageError("give one FILE; only --merge takes several")
        check_kept_in(files[0])
        return
    given = [option for name, option in _OF_A_RUN.items() if options[name]]
    given += ["--output-dir"] if is_given("output_dir") else []
    if given:
        raise click.UsageError(f"{given[0]} was decided when the parts were made")


def _merge(files: Sequence[Path]) -> PartialAnalysis:
    from neural_attn.analysis.shard import merge_files

    try:
        return merge_files(files)
    except OSError as error:
        fail("E0403", path=error.filename, reason=reason(error))
    except ValueError as error:
        fail("E0419.part", reason=str(error))


def _collect(file: Path, options: Mapping[str, Any]) -> PartialAnalysis:
    from neural_attn import pipeline
    from neural_attn.inputs.arrays import read_data
    from neural_attn.inputs.sides import sides_given

    data, threshold = options["data"], options["threshold"]
    request = pipeline.Request(
        file,
        data=None if data is None else read_data(data),
        tokens=tokens_of(options),
        texts=[*options["texts"], *options["pairs"]],
        groups=_groups(options["groups"], options["texts_file"]),
        tokenizer=sides_given(options),
        steps=options["steps"] is not None,
        probe=not options["no_probe"],
        **({} if threshold is None else {"threshold": threshold}),
        **{name: options[name] for name in _FIELDS},
    )
    with bar() as progress:
        part, warnings = pipeline.collect(request, progress)
    say(warnings)
    return part


# fields of the request that are options under the same names
_FIELDS = (
    "backend", "network", "checkpoint", "most_texts", "seed", "links", "link_row",
    "link_kind", "batch_size", "top", "spacy", "flow", "rank", "rows", "axes",
    "causal", "output_dir", "images", "sounds", "relations", "parse",
)  # fmt: skip


def _show(analysis: Analysis, options: Mapping[str, Any]) -> None:
    asked = [one for one in FORMATS if options[one.name]]
    for one in asked:
        if one.file:
            _wrote(atomic_write(options[one.name], one.write(analysis)))
    if options["grid"] is not None and analysis.maps:
        from neural_attn.figures.heatmap import save_figure
        from neural_attn.figures.look import Look
        from neural_attn.figures.overview import draw_overview

        figure = draw_overview(analysis.maps, look=Look(theme=options["theme"]))
        _wrote(save_figure(figure, options["grid"]))
    if options["pictures"] is not None and analysis.heads:
        from neural_attn.figures.statistics import write_statistics

        for path in write_statistics(analysis, options["pictures"], options["theme"]):
            _wrote(path)
    if analysis.steps is not None:
        _save_steps(analysis.steps, analysis.trained, options)
    printed = [one for one in asked if not one.file]
    for one in printed:
        text = one.write(analysis).rstrip("\n")
        (write_json if one.name == "json" else write)(text)
    if not printed:
        from neural_attn.reports.terminal import print_analysis

        print_analysis(analysis, heads=options["heads"])


def _save_steps(steps: Steps, trained: bool | None, options: Mapping[str, Any]) -> None:
    from neural_attn.figures.heatmap import save_figure
    from neural_attn.figures.steps import PICTURE, draw_steps

    folder = options["steps"]
    _wrote(atomic_write(folder / "steps.csv", steps.to_csv()))
    if steps.rows:
        figure = draw_steps(steps, trained=trained, theme=options["theme"])
        _wrote(save_figure(figure, folder / PICTURE))


def _wrote(path: Path) -> None:
    click.echo(f"wrote {printable(str(path))}", err=True)


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
