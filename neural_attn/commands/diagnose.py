"""`neural diagnose`: what is wrong with a model, as its attention shows."""

from __future__ import annotations

import sys
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
    say,
    sides,
    tokens_of,
)
from neural_attn.commands.printing import write, write_json
from neural_attn.diagnostics.choices import no_such

if TYPE_CHECKING:
    from neural_attn.diagnosis.faults import Diagnosis

ANY = "any"


def _known_kinds() -> list[str]:
    from neural_attn.diagnosis.diagnose import CHECKS

    return [ANY, *CHECKS]


@click.command()
@click.argument("file", type=FILE)
@BACKEND
@CHECKPOINT
@TEXTS
@PAIR
@IMAGES
@SOUNDS
@TEXTS_FILE
@DATA
@TOKENS
@TOKENS_FILE
@ROWS
@AXES
@CAUSAL
@sides
@click.option(
    "--fail-on", "fail_on", multiple=True, metavar="KIND",
    shell_complete=completes(_known_kinds),
    help="Exit with 1 if there is a fault of this kind, or `any`; repeatable.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@BATCH_SIZE
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@NETWORK
@KEPT_IN
@examples(
    "neural diagnose model.neural --checkpoint model.safetensors --file texts.txt",
    "neural diagnose translate.neural --checkpoint w.safetensors "
    '--pair "Guten Tag" "Good day"',
    "neural diagnose all-MiniLM-L6-v2 --file texts.txt",
    "neural diagnose maps.npz --json",
    "neural diagnose maps.npz --fail-on masking --fail-on untrained",
)
def diagnose(file: Path, **options: Any) -> None:
    """Say what is wrong with a model, as its attention on texts or data shows.

    Looks for missing masks, untrained weights, missing positions, hallucination,
    repetition, long inputs that attention does not reach, and heads that do the same.
    Each fault has its layers, heads and tokens, the numbers behind it, and what to try.
    FILE is as in `neural analyze`. Faults are results, not errors: the exit code is 0
    unless --fail-on says otherwise.
    """
    check_kept_in(file)
    wanted = _kinds(options["fail_on"])
    found = _run(file, options)
    if options["as_json"]:
        write_json(found.to_dict())
    else:
        write(str(found))
    if any(kind in found.kinds for kind in wanted):
        sys.exit(1)


def _run(file: Path, options: dict[str, Any]) -> Diagnosis:
    from neural_attn import pipeline
    from neural_attn.inputs.arrays import read_data
    from neural_attn.inputs.sides import sides_given

    data, texts_file = options["data"], options["texts_file"]
    request = pipeline.Request(
        file,
        data=None if data is None else read_data(data),
        tokens=tokens_of(options),
        texts=[*options["texts"], *options["pairs"]],
        groups={} if texts_file is None else {"": texts_file},
        tokenizer=sides_given(options),
        **{name: options[name] for name in _FIELDS},
    )
    with bar() as progress:
        found, warnings = pipeline.diagnose(request, progress)
    say(warnings)
    return found


# fields of the request that are options under the same names
_FIELDS = (
    "backend", "network", "checkpoint", "seed", "batch_size", "rows", "axes", "causal",
    "output_dir", "images", "sounds",
)  # fmt: skip


def _kinds(given: tuple[str, ...]) -> list[str]:
    """The kinds that fail, of which there must be such. Raises UsageError."""
    if not given:
        return []
    known = _known_kinds()
    for kind in given:
        if kind not in known:
            raise click.UsageError(f"--fail-on: {no_such('kind', kind, known)}")
    return [one for one in known if one != ANY] if ANY in given else list(given)
