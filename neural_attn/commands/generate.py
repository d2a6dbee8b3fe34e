"""`neural generate`: a network continues a text, or reads one and writes another."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.options import (
    BACKEND,
    BEAMS,
    FILE,
    MAX_NEW_TOKENS,
    NETWORK,
    examples,
    note,
    open_file,
    progress,
    say,
    sides,
    texts_of,
)
from neural_attn.commands.printing import write_json
from neural_attn.diagnostics.errors import printable

if TYPE_CHECKING:
    from neural_attn.maps.written import Written

FOLDER = Path("attention_outputs")


@click.command()
@click.argument("file", type=FILE)
@click.option("--checkpoint", type=FILE, help="Weights; by default those beside FILE.")
@click.option(
    "--input", "--text", "texts", multiple=True, metavar="TEXT",
    help="A text to begin with; repeatable.",
)  # fmt: skip
@click.option(
    "--pair", "pairs", nargs=2, multiple=True, metavar="SOURCE TARGET",
    help="How likely is this target? It is read token by token; repeatable.",
)  # fmt: skip
@click.option("--file", "texts_file", type=FILE, help="Texts, one per line.")
@sides
@MAX_NEW_TOKENS
@BEAMS
@click.option(
    "--temperature", type=click.FloatRange(0), default=0.0, show_default=True,
    help="0 takes the likeliest token; above 0 samples, the higher the more evenly.",
)  # fmt: skip
@click.option(
    "--top-k",
    type=click.IntRange(1),
    help="Sample from this many of the likeliest tokens.",
)
@click.option(
    "--start", metavar="TOKEN", help="The token that starts a target, if the tokenizer "
    "has no usual one.",
)  # fmt: skip
@click.option("--end", metavar="TOKEN", help="The same for the token that ends a text.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="For sampling, and for random weights.",
)  # fmt: skip
@BACKEND
@NETWORK
@click.option(
    "--attention", is_flag=True, help="Keep the attention, with a page to step through."
)
@click.option(
    "-o", "--output-dir", type=FILE, metavar="FOLDER",
    help=f"Where files go; with --attention, {FOLDER}. Otherwise nothing is written.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="Open the page when it is done.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@examples(
    'neural generate translate.neural --checkpoint w.safetensors --input "Guten Tag"',
    "neural generate translate.neural --file sentences.txt --beams 4 --json",
    'neural generate story.neural --input "Once" --temperature 0.8 --top-k 20 --seed 1',
    'neural generate translate.neural --input "Guten Tag" --attention -o out',
    'neural generate translate.neural --pair "Guten Tag" "Good day"',
)
def generate(file: Path, **options: Any) -> None:
    """Let a network continue a text, or read one and write another.

    FILE is a .neural file, whose weights beside it (NAME.safetensors) are used unless
    --checkpoint names others, or the folder of a pretrained model. The most likely
    token is taken, or with --beams the best of several texts, or with --temperature one
    is sampled.
    """
    from neural_attn import generation
    from neural_attn.folder_lock import alone_in
    from neural_attn.inputs.sides import sides_given
    from neural_attn.models.writing import How

    texts = texts_of(options["texts"], options["pairs"], options["texts_file"])
    if not texts:
        raise click.UsageError("give a text with --input, or a --file of them")
    folder, attention = options["output_dir"], options["attention"]
    if options["show"] and not attention:
        raise click.UsageError("--show opens the page that --attention makes")
    kept = folder or (FOLDER if attention else None)
    with alone_in(kept) if kept else nullcontext(), progress() as step:
        made = generation.generate(
            file,
            texts,
            tokenizer=sides_given(options),
            output_dir=folder or FOLDER,
            attention=attention,
            step=step,
            **{name: options[name] for name in ("checkpoint", "network", "backend")},
            **{name: options[name] for name in How.__dataclass_fields__},
        )
        files = made.save(kept) if kept else {}
    say(made.warnings)
    note(made.notes)
    if options["as_json"]:
        paths = {name: str(path) for name, path in files.items()}
        write_json({**made.to_dict(), "files": paths})
        return
    for one in made.written:
        _print(one)
    if files:
        click.echo("Output files:")
    for path in files.values():
        click.echo(f"  - {printable(str(path))}")
        if options["show"] and path.suffix == ".html":
            open_file(path)


def _print(one: Written) -> None:
    """The text in a line, and how sure the network was of its least sure token."""
    click.echo(printable(f"{one.source} {'=>' if one.source_ids else '…'} {one.text}"))
    if not one.steps:
        return
    least = min(one.steps, key=lambda step: step.chosen.probability)
    said = f"{least.chosen.token!r} {least.chosen.probability:.2f}"
    if least.rivals:
        rival = least.rivals[0]
        said += f", beside {rival.token!r} {rival.probability:.2f}"
    count = len(one.steps)
    tokens = "token" if count == 1 else "tokens"
    click.echo(printable(f"    {count} {tokens}; the least likely: {said}"))
