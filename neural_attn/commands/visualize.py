"""`neural visualize`: the architecture, where it attends, or what the file declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.architecture import draw_architecture
from neural_attn.commands.completion import completes
from neural_attn.commands.lessons import (
    chosen,
    lesson_options,
    lessons_as_dict,
    meaningful,
    report_lessons,
)
from neural_attn.commands.options import (
    AXES,
    CAUSAL,
    CHECKPOINT,
    FILE,
    IMAGES,
    NETWORK,
    PAIR,
    QUICKEST,
    ROWS,
    SOUNDS,
    TOKENS,
    TOKENS_FILE,
    alone,
    examples,
    is_given,
    note,
    open_file,
    progress,
    say,
    sides,
    texts_of,
    tokens_of,
)
from neural_attn.commands.printing import write_json
from neural_attn.diagnostics.errors import printable
from neural_attn.figures.choices import (
    DEFAULT_SCALE,
    INCHES,
    ROW_NAMES,
    SCALES,
    THEME_NAMES,
)
from neural_attn.inputs.file_kinds import holds_arrays, refuse_others

if TYPE_CHECKING:
    from neural_attn.maps.attention_maps import AttentionMaps
    from neural_attn.pipeline import Request
    from neural_attn.teaching.charts import Lesson
    from neural_attn.teaching.source import Source


def _colour_maps() -> Iterable[str]:
    import matplotlib

    return matplotlib.colormaps


@click.command()
@click.argument("file", type=FILE)
@click.option("--attention", is_flag=True, help="Run the network; draw its attention.")
@lesson_options
@QUICKEST
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
    help="A text to run on; repeatable.",
)  # fmt: skip
@PAIR
@IMAGES
@SOUNDS
@click.option("--file", "texts_file", type=FILE, help="Texts to run on, one per line.")
@sides
@CHECKPOINT
@click.option(
    "-l", "--layer", metavar="LAYER", help="A layer's name, prefix or index; -1: last."
)
@click.option(
    "--head", type=int, help="One head; by default the average, and all in a grid."
)
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
    "--precision", type=click.Choice(["compact", "fine", "full"]),
    help="How the explorer keeps weights; full is float32. [default: compact; finer "
    "where tokens are hidden or rows renormalized]",
)  # fmt: skip
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True)
@click.option(
    "--cmap", metavar="NAME", shell_complete=completes(_colour_maps),
    help="A Matplotlib colour map.",
)  # fmt: skip
@click.option(
    "--figsize", nargs=2, type=click.FloatRange(*INCHES), metavar="W H",
    help="Width and height of a picture, in inches; by default what fits.",
)  # fmt: skip
@click.option(
    "--annotate", is_flag=True, help="Write values into all cells with room for them."
)
@click.option(
    "--hide-special", is_flag=True, help="Leave out [CLS], </s> and the like."
)
@click.option(
    "--hide-sinks", is_flag=True,
    help="Leave out keys whose mean weight is far above uniform.",
)  # fmt: skip
@click.option(
    "--renormalize", is_flag=True, help="Divide each row by the sum of what is drawn."
)
@click.option(
    "--scale", type=click.Choice(SCALES), default=DEFAULT_SCALE, show_default=True,
    help="What colours stand for: the square root or the logarithm of the weight, or "
    "the weight, on a scale for all layers (shared), a layer, or a head.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(THEME_NAMES), default="light", show_default=True,
    help="The background of pictures. Plotly pages, the explorer and the architecture "
    "follow the reader's system, unless this is dark.",
)  # fmt: skip
@click.option(
    "--row", type=click.Choice(ROW_NAMES),
    help="Which token names a row of a decoder that writes; by default both.",
)  # fmt: skip
@click.option("--max-src", type=click.IntRange(1), help="Draw this many source tokens.")
@click.option("--max-trg", type=click.IntRange(1), help="Draw this many target tokens.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="For random weights and samples.",
)  # fmt: skip
@click.option(
    "--show", "--open", "show", is_flag=True,
    help="Open the results when they are done.",
)  # fmt: skip
@click.option(
    "--watch", "watching", is_flag=True,
    help="Draw again whenever FILE or its input changes; Ctrl-C ends it.",
)  # fmt: skip
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
    "neural visualize model.neural --masks --positions --schedule --loss",
    "neural visualize model.neural --watch --open",
    "neural visualize maps.npz",
    "neural visualize arrays.npz --rows signed",
    "neural visualize averaged.safetensors --axes bqk --tokens-file tokens.txt",
)
@alone
def visualize(file: Path, attention: bool, **options: Any) -> None:
    """Draw the architecture; with --attention, where the network attends.

    --masks, --positions, --schedule and --loss draw what the file itself declares.

    FILE is a .neural file, the folder of a pretrained model, or saved maps or arrays:
    .npz, .npy or .safetensors. A folder becomes a .neural file in the output folder.
    """
    if not options["watching"]:
        _visualize(file, attention, options)
        return
    from neural_attn.commands.watch import watch

    given = [options[name] for name in ("data", "checkpoint", "texts_file",
        "tokens_file", "tokenizer")]  # fmt: skip
    read = [*filter(None, given), *options["images"], *options["sounds"]]
    watch(
        [file, *read],
        lambda first: _visualize(
            file, attention, {**options, "show": options["show"] and first}
        ),
    )


def _visualize(file: Path, attention: bool, options: dict[str, Any]) -> None:
    refuse_others(file)
    lessons = chosen(options)
    if holds_arrays(file):
        _refuse_options(_OF_MAPS, "on saved maps")
        _visualize_attention(file, options, [])
    elif attention:
        _visualize_attention(file, options, lessons)
    elif lessons:
        where = f"on --{' --'.join(lessons)} without --attention"
        _refuse_options(("file", "watching", *meaningful(lessons)), where)
        _visualize_lessons(file, options, lessons)
    else:
        _refuse_options(_OF_ARCHITECTURE, "without --attention")
        draw_architecture(file, options)


# what also has a meaning for the architecture, and for maps that were saved
_OF_ARCHITECTURE = ("file", "attention", "network", "output_dir", "formats", "show",
    "theme", "watching",
)  # fmt: skip
_OF_MAPS = (
    "file", "attention", "output_dir", "formats", "show", "layer", "head",
    "num_examples", "dpi", "cmap", "precision", "as_json", "tokens", "rows",
    "tokens_file", "axes", "causal", "tokenizer", "figsize", "annotate", "max_src",
    "max_trg", "hide_special", "hide_sinks", "renormalize", "scale", "theme",
    "watching",
)  # fmt: skip


def _refuse_options(meaningful: tuple[str, ...], where: str) -> None:
    """Say so where an option can have no effect."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in meaningful and is_given(name):
            option = next(o for o in parameter.opts if o.startswith("--"))
            raise click.UsageError(f"{option} has no effect {where}")


def _visualize_attention(
    file: Path, options: dict[str, Any], lessons: Sequence[str]
) -> None:
    from neural_attn import pipeline

    inputs = _inputs(options)
    source = _source(file, options, inputs)
    read, missing = source.read(lessons) if lessons else ([], [])
    with progress() as step:
        outcome = pipeline.visualize(_request(file, options, inputs), step)
    files = outcome.files
    said = list(outcome.notes)
    if lessons:
        files = {**files, **_write_lessons(read, source, options)}
        said += [*missing, *source.notes(read)]
    say(outcome.warnings)
    note(list(dict.fromkeys(said)))
    _report(outcome.maps, files, options)


def _visualize_lessons(
    file: Path, options: dict[str, Any], lessons: Sequence[str]
) -> None:
    source = _source(file, options, _inputs(options))
    read, missing = source.read(lessons)
    files = _write_lessons(read, source, options)
    say(source.checked_file[1])
    note([*missing, *source.notes(read)])
    if options["as_json"]:
        write_json(lessons_as_dict(read, missing, files))
    else:
        report_lessons(read)
    _list_files(files, options)


def _write_lessons(
    lessons: Sequence[Lesson], source: Source, options: dict[str, Any]
) -> dict[str, Path]:
    from neural_attn.teaching.write import write_lessons

    with progress() as step:
        return write_lessons(
            lessons,
            options["output_dir"],
            str(source.model),
            formats=_picture_formats(options),
            dpi=options["dpi"],
            theme=options["theme"],
            step=step,
        )


def _source(file: Path, options: dict[str, Any], inputs: dict[str, Any]) -> Source:
    from neural_attn.teaching.source import Source

    return Source(
        file,
        **inputs,
        **{name: options[name] for name in _OF_SOURCE},
    )


def _request(file: Path, options: dict[str, Any], inputs: dict[str, Any]) -> Request:
    from neural_attn import pipeline
    from neural_attn.figures.look import Look

    options = {**options}
    if options["backend"] == "auto":
        options["backend"] = "quickest"
    return pipeline.Request(
        file,
        **inputs,
        formats=_picture_formats(options),
        examples=options["num_examples"],
        look=Look(**{name: options[name] for name in _OF_LOOK}),
        **{name: options[name] for name in (*_OF_SOURCE, *_OF_REQUEST)},
    )


def _inputs(options: dict[str, Any]) -> dict[str, Any]:
    """What options say of the input, as `Request` and `Source` have it."""
    from neural_attn.inputs.arrays import read_data
    from neural_attn.inputs.sides import sides_given

    data = options["data"]
    return {
        "data": None if data is None else read_data(data),
        "tokens": tokens_of(options),
        "texts": texts_of(options["texts"], options["pairs"], options["texts_file"]),
        "tokenizer": sides_given(options),
    }


# fields that are options under the same names
_OF_SOURCE = (
    "network", "checkpoint", "layer", "output_dir", "seed", "images", "sounds",
)  # fmt: skip
_OF_REQUEST = (
    "backend", "head", "dpi", "cmap", "save_maps", "precision", "rows", "axes",
    "causal",
)  # fmt: skip

_OF_LOOK = (
    "row", "max_src", "max_trg", "figsize", "annotate", "hide_special", "hide_sinks",
    "renormalize", "scale", "theme",
)  # fmt: skip


def _picture_formats(options: dict[str, Any]) -> tuple[str, ...]:
    if "html" in options["formats"]:
        click.echo("note: the interactive pages are already html", err=True)
    return tuple(f for f in options["formats"] if f != "html") or ("png",)


def _report(
    maps: AttentionMaps, written: dict[str, Path], options: dict[str, Any]
) -> None:
    from neural_attn.reports.console import build_report

    report = build_report(maps.select(options["layer"]))
    if options["as_json"]:
        files = {name: str(path) for name, path in written.items()}
        write_json({**report.to_dict(), "files": files})
    else:
        report.print()
    _list_files(written, options)


# how the names of what is written begin
_OURS = ("attention_", "cross_attention_", "self_attention_", "compiled_model_")


def _of_earlier_runs(written: Iterable[Path]) -> list[Path]:
    """Files of such names beside those that were written now."""
    now = set(written)
    folders = {path.parent for path in now}
    return sorted(
        path
        for folder in folders
        for path in folder.iterdir()
        if path.name.startswith(_OURS) and path.is_file() and path not in now
    )


def _list_files(written: dict[str, Path], options: dict[str, Any]) -> None:
    """Say what was written, and open it where that is asked for."""
    if options["as_json"]:
        return
    click.echo("Output files:")
    for path in written.values():
        click.echo(f"  - {printable(str(path))}")
    older = _of_earlier_runs(written.values())
    if older:
        names = ", ".join(path.name for path in older[:4])
        more = f" and {len(older) - 4} more" if older[4:] else ""
        note([f"of an earlier run, in {older[0].parent}: {names}{more}"])
    if options["show"]:
        for path in written.values():
            if path.suffix in (".html", ".png"):
                open_file(path)
