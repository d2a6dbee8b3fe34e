"""`neural visualize`: the architecture, or with --attention where it attends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.options import (
    AXES,
    BACKEND,
    CAUSAL,
    CHECKPOINT,
    FILE,
    IMAGES,
    NETWORK,
    PAIR,
    ROWS,
    SOUNDS,
    TOKENS,
    TOKENS_FILE,
    examples,
    is_given,
    progress,
    say,
    sides,
    texts_of,
    tokens_of,
)
from neural_attn.diagnostics.errors import fail, printable
from neural_attn.inputs.file_kinds import holds_arrays, refuse_others

if TYPE_CHECKING:
    from neural_attn.maps.attention_maps import AttentionMaps


@click.command()
@click.argument("file", type=FILE)
@click.option("--attention", is_flag=True, help="Run the network; draw its attention.")
@BACKEND
@click.option(
    "-d", "--data", type=FILE, help="Input: .npy, or .npz for several inputs."
)
@TOKENS
@TOKENS_FILE
@ROWS
@AXES
@CAUSAL
@click.option(
    "--text", "--input", "texts", multiple=True, metavar="TEXT",
    help="A text to run on; repeat.",
)  # fmt: skip
@PAIR
@IMAGES
@SOUNDS
@click.option("--file", "texts_file", type=FILE, help="Texts to run on, one a line.")
@sides
@CHECKPOINT
@click.option(
    "-l", "--layer", metavar="LAYER", help="A layer's name, prefix or index; -1: last."
)
@click.option("--head", type=int, help="One head; else the average, and all in a grid.")
@click.option(
    "--num-examples", type=click.IntRange(1), default=3, show_default=True,
    help="How many examples of the data to draw.",
)  # fmt: skip
@click.option(
    "-o", "--output-dir", type=FILE, default=Path("attention_outputs"),
    show_default=True, help="Where the files go.",
)  # fmt: skip
@click.option("--save-maps", type=FILE, help="Also write all maps, exactly, as .npz.")
@click.option(
    "-f", "--format", "formats", multiple=True,
    type=click.Choice(["png", "svg", "pdf", "html"]),
    help="Pictures: png (default), svg, pdf; architecture: svg (default), html.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["compact", "fine", "full"]), default="compact",
    show_default=True, help="How the explorer keeps weights; full is float32.",
)  # fmt: skip
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True)
@click.option("--cmap", metavar="NAME", help="A Matplotlib colour map.")
@click.option(
    "--figsize", nargs=2, type=click.FloatRange(2, 60), metavar="W H",
    help="Width and height of a picture, in inches; else what fits.",
)  # fmt: skip
@click.option(
    "--annotate", is_flag=True, help="Write values into all cells with room for them."
)
@click.option(
    "--row", type=click.Choice(["both", "fed", "predicted"]),
    help="Which token names a row of a decoder that writes; both, if not said.",
)  # fmt: skip
@click.option("--max-src", type=click.IntRange(1), help="Draw so many source tokens.")
@click.option("--max-trg", type=click.IntRange(1), help="Draw so many target tokens.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="For random weights and samples.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="Open the results when they are done.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@NETWORK
@examples(
    "neural visualize model.neural",
    "neural visualize model.neural --attention",
    'neural visualize model.neural --attention --tokens "The,cat,sat"',
    "neural visualize translate.neural --attention --tokens source=The,cat "
    "--tokens target=Le,chat",
    "neural visualize translate.neural --attention --checkpoint w.safetensors "
    '--input "Guten Tag"',
    "neural visualize model.neural --attention --data ids.npy --layer -1 --head 2",
    'neural visualize bert.neural --attention --checkpoint w.safetensors --text "Hi"',
    'neural visualize all-MiniLM-L6-v2 --attention --text "Hi"',
    'neural visualize all-MiniLM-L6-v2 --attention --pair "It rains." "Take a coat."',
    "neural visualize vit-base --attention --image cat.jpg",
    'neural visualize whisper-tiny --attention --audio speech.wav --text " Hello"',
    "neural visualize maps.npz",
    "neural visualize arrays.npz --rows signed",
    "neural visualize averaged.safetensors --axes bqk --tokens-file tokens.txt",
)
def visualize(file: Path, attention: bool, **options: Any) -> None:
    """Draw the architecture; with --attention, where the network attends.

    FILE is a .neural file, the folder of a pretrained model, or saved maps or arrays:
    .npz, .npy or .safetensors. A folder becomes a .neural file in the output folder.
    """
    refuse_others(file)
    if holds_arrays(file):
        _refuse_options(_OF_MAPS, "on saved maps")
        _visualize_attention(file, options)
    elif attention:
        _visualize_attention(file, options)
    else:
        _refuse_options(_OF_ARCHITECTURE, "without --attention")
        _visualize_architecture(file, options)


# what also has a meaning for the architecture, and for maps that were saved
_OF_ARCHITECTURE = ("file", "attention", "network", "output_dir", "formats", "show")
_OF_MAPS = (
    "file", "attention", "output_dir", "formats", "show", "layer", "head",
    "num_examples", "dpi", "cmap", "precision", "as_json", "tokens", "rows",
    "tokens_file", "axes", "causal", "tokenizer", "figsize", "annotate", "max_src",
    "max_trg",
)  # fmt: skip


def _refuse_options(meaningful: tuple[str, ...], where: str) -> None:
    """Say so where an option can have no effect."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in meaningful and is_given(name):
            option = next(o for o in parameter.opts if o.startswith("--"))
            raise click.UsageError(f"{option} has no effect {where}")


def _visualize_attention(file: Path, options: dict[str, Any]) -> None:
    from neural_attn import pipeline
    from neural_attn.figures.look import Look
    from neural_attn.inputs.arrays import read_data
    from neural_attn.inputs.sides import sides_given

    data = options["data"]
    request = pipeline.Request(
        file,
        data=None if data is None else read_data(data),
        tokens=tokens_of(options),
        texts=texts_of(options["texts"], options["pairs"], options["texts_file"]),
        formats=_picture_formats(options),
        examples=options["num_examples"],
        tokenizer=sides_given(options),
        look=Look(**{name: options[name] for name in _OF_LOOK}),
        **{name: options[name] for name in _FIELDS},
    )
    with progress() as step:
        outcome = pipeline.visualize(request, step)
    say(outcome.warnings)
    _note(outcome.notes)
    _report(outcome.maps, outcome.files, options)


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)


# fields of the request that are options under the same names
_FIELDS = (
    "backend", "network", "checkpoint", "layer", "head", "output_dir",
    "dpi", "cmap", "seed", "save_maps", "precision", "rows", "axes", "causal",
    "images", "sounds",
)  # fmt: skip

_OF_LOOK = ("row", "max_src", "max_trg", "figsize", "annotate")


def _picture_formats(options: dict[str, Any]) -> tuple[str, ...]:
    if "html" in options["formats"]:
        click.echo("note: the interactive pages are html already", err=True)
    return tuple(f for f in options["formats"] if f != "html") or ("png",)


def _report(
    maps: AttentionMaps, written: dict[str, Path], options: dict[str, Any]
) -> None:
    from neural_attn.reports.console import build_report

    report = build_report(maps.select(options["layer"]))
    if as_json := options["as_json"]:
        files = {name: str(path) for name, path in written.items()}
        click.echo(json.dumps({**report.to_dict(), "files": files}, ensure_ascii=False))
    else:
        report.print()
        click.echo("Output files:")
        for path in written.values():
            click.echo(f"  - {printable(str(path))}")
    if options["show"] and not as_json:
        for path in written.values():
            if path.suffix in (".html", ".png"):
                click.launch(str(path))


def _visualize_architecture(file: Path, options: dict[str, Any]) -> None:
    from neural_attn.architecture import draw
    from neural_attn.check import check_file, choose
    from neural_attn.files import atomic_write, safe_name
    from neural_attn.pretrained.conversion.importing import import_folder

    found = import_folder(file, options["output_dir"])
    _note(found.notes)
    networks, warnings = check_file(found.model)
    say(warnings)
    checked = choose(networks, options["network"])
    wrong = {"png", "pdf"} & set(options["formats"])
    if wrong:
        fail("E0417", formats=" or ".join(sorted(wrong)))
    click.echo(draw.architecture_text(checked))
    folder: Path = options["output_dir"]
    stem = f"architecture_{safe_name(checked.network.name)}"
    writers = {
        "svg": draw.draw_architecture,
        "html": draw.architecture_html,
    }
    click.echo("Output files:")
    for kind in options["formats"] or ("svg",):
        path = atomic_write(folder / f"{stem}.{kind}", writers[kind](checked))
        click.echo(f"  - {printable(str(path))}")
        if options["show"]:
            click.launch(str(path))
