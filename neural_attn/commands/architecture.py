"""What `neural visualize` draws without --attention: the architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from neural_attn.commands.options import note, open_file, say
from neural_attn.commands.printing import write
from neural_attn.diagnostics.errors import fail, printable

__all__ = ["draw_architecture"]


def draw_architecture(file: Path, options: dict[str, Any]) -> None:
    """Draw the layers of a file with their shapes, by the options of the command."""
    from neural_attn.architecture import draw
    from neural_attn.check import check_file, choose
    from neural_attn.files import atomic_write, safe_name
    from neural_attn.pretrained.conversion.importing import import_folder

    found = import_folder(file, options["output_dir"])
    note(found.notes)
    networks, warnings = check_file(found.model)
    say(warnings)
    checked = choose(networks, options["network"])
    wrong = {"png", "pdf"} & set(options["formats"])
    if wrong:
        fail("E0417", formats=" or ".join(sorted(wrong)))
    write(draw.architecture_text(checked))
    folder: Path = options["output_dir"]
    stem = f"architecture_{safe_name(checked.network.name)}"
    writers = {
        "svg": draw.draw_architecture,
        "html": draw.architecture_html,
    }
    click.echo("Output files:")
    for kind in options["formats"] or ("svg",):
        drawn = writers[kind](checked, options["theme"])
        path = atomic_write(folder / f"{stem}.{kind}", drawn)
        click.echo(f"  - {printable(str(path))}")
        if options["show"]:
            open_file(path)
