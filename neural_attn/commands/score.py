"""`neural score`: how often a network writes what is right, with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neural_attn.commands.completion import completes
from neural_attn.commands.options import (
    BACKEND,
    BEAMS,
    FILE,
    MAX_NEW_TOKENS,
    NETWORK,
    examples,
    note,
    progress,
    say,
    sides,
)
from neural_attn.commands.printing import write, write_json

if TYPE_CHECKING:
    from neural_attn.generation import Generated
    from neural_attn.scoring import Difference, Score

WORDS = {"exact_match": "exact match, %", "bleu": "BLEU"}


def _splits() -> Iterable[str]:
    """How sacrebleu splits words; nothing where it is not installed."""
    try:
        from sacrebleu import BLEU
    except ImportError:
        return ()
    names: Iterable[str] = BLEU.TOKENIZERS
    return names


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--pairs", type=FILE, required=True, metavar="TSV",
    help="Lines of source<TAB>target: what is read, and what is right.",
)  # fmt: skip
@click.option(
    "--num-examples",
    type=click.IntRange(1),
    help="Only this many pairs, from the first; by default all.",
)
@click.option(
    "--checkpoint", "checkpoints", type=FILE, multiple=True,
    help="Weights of each FILE, in order; by default those beside it.",
)  # fmt: skip
@sides
@MAX_NEW_TOKENS
@BEAMS
@click.option(
    "--tokenize", default="13a", show_default=True, metavar="NAME",
    shell_complete=completes(_splits),
    help="How BLEU splits words, as sacrebleu names it: 13a, char, zh, ko-mecab, …",
)  # fmt: skip
@BACKEND
@NETWORK
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@examples(
    "neural score translate.neural --pairs test.tsv",
    "neural score translate.neural --pairs test.tsv --num-examples 200 --beams 4",
    "neural score with_attention.neural without.neural --pairs test.tsv --json",
)
def score(files: tuple[Path, ...], **options: Any) -> None:
    """Let networks write for the sources of pairs, and compare with the targets.

    Gives the exact match (except for white space) and BLEU, each with a 95 % interval.
    Of several FILEs, the first is compared with each of the others on the same pairs.
    BLEU needs the extra `score`.
    """
    from neural_attn.scoring import compare
    from neural_attn.scoring import score as count
    from neural_attn.trainer.pairs import read_pairs

    _check(files, options["checkpoints"])
    pairs = read_pairs(options["pairs"])[: options["num_examples"]]
    right = [target for _, target in pairs]
    how = options["tokenize"]
    made = [
        _written(file, [source for source, _ in pairs], number, options)
        for number, file in enumerate(files)
    ]
    scores = [count(one.texts, right, tokenize=how) for one in made]
    first, *others = made
    apart = [compare(first.texts, one.texts, right, tokenize=how) for one in others]
    if options["as_json"]:
        write_json(_as_dict(files, made, scores, apart))
        return
    _print(files, scores, apart)


def _check(files: tuple[Path, ...], checkpoints: tuple[Path, ...]) -> None:
    if checkpoints and len(checkpoints) != len(files):
        raise click.UsageError(
            f"{len(checkpoints)} --checkpoint for {len(files)} FILE: give one for each"
        )


def _written(
    file: Path, sources: list[str], number: int, options: dict[str, Any]
) -> Generated:
    from neural_attn.generation import generate
    from neural_attn.inputs.sides import sides_given

    checkpoints = options["checkpoints"]
    shared = ("network", "backend", "max_new_tokens", "beams")
    with progress() as step:
        made = generate(
            file,
            sources,
            tokenizer=sides_given(options),
            checkpoint=checkpoints[number] if checkpoints else None,
            step=lambda begins: step(f"{file.name}: {begins}"),
            **{name: options[name] for name in shared},
        )
    say(made.warnings)
    note([f"{file}: {one}" for one in made.notes])
    return made


def _as_dict(
    files: tuple[Path, ...],
    made: list[Generated],
    scores: list[list[Score]],
    apart: list[list[Difference]],
) -> dict[str, Any]:
    rows = zip(files, made, scores, strict=True)
    return {
        "networks": [
            {
                "file": str(file),
                "trained": one.trained,
                "checkpoint": None if one.checkpoint is None else str(one.checkpoint),
                "scores": [found.to_dict() for found in own],
                "texts": one.texts,
            }
            for file, one, own in rows
        ],
        "differences": [
            {"of": str(files[0]), "from": str(file), **found.to_dict()}
            for file, own in zip(files[1:], apart, strict=True)
            for found in own
        ],
    }


def _print(
    files: tuple[Path, ...], scores: list[list[Score]], apart: list[list[Difference]]
) -> None:
    for file, own in zip(files, scores, strict=True):
        write(f"{file}: {own[0].texts} texts")
        for one in own:
            interval = f"[{one.low:.1f}, {one.high:.1f}]"
            signature = f"  {one.signature}" if one.signature else ""
            label = WORDS[one.metric]
            click.echo(f"  {label:<16} {one.value:5.1f}  {interval}{signature}")
        if len(own) < len(WORDS):
            click.echo(
                "  BLEU             no reference has four words: try --tokenize char"
            )
    for file, differences in zip(files[1:], apart, strict=True):
        write(f"{files[0]} minus {file}, on the same texts:")
        for gap in differences:
            interval = f"[{gap.low:+.1f}, {gap.high:+.1f}]"
            sure = "" if gap.is_clear else "  no evidence of a difference"
            click.echo(f"  {WORDS[gap.metric]:<16} {gap.value:+5.1f}  {interval}{sure}")
