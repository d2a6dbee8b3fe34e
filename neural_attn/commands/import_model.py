"""`neural import`: a pretrained model as a .neural file and weights."""

from __future__ import annotations

from pathlib import Path

import click

from neural_attn.commands.options import FILE, examples, note
from neural_attn.diagnostics.errors import printable


@click.command("import")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The .neural file.")
@click.option(
    "--weights", type=FILE, help="The weights; by default beside the .neural file."
)
@click.option("--name", help="The name of the network.")
@examples(
    "neural import ./all-MiniLM-L6-v2 -o minilm.neural",
    "neural import openai-community/gpt2 -o gpt2.neural",
)
def import_command(
    folder: Path, output: Path, weights: Path | None, name: str | None
) -> None:
    """Turn a pretrained Hugging Face folder into a .neural file and weights.

    FOLDER may be a name on the Hugging Face hub. It holds config.json and
    model.safetensors or pytorch_model.bin, or their shards, of BERT, RoBERTa, GPT-2,
    Llama, T5, ViT or another family of docs/pretrained.md; or it is the .keras archive
    of a recurrent encoder and decoder with additive attention.
    """
    from neural_attn.pretrained import import_model

    imported = import_model(folder, output, weights, name)
    note(imported.notes)
    written = [imported.neural_path, imported.weights_path]
    written += filter(None, (imported.tokenizer_path, imported.preparation_path))
    for path in written:
        click.echo(printable(str(path)))
