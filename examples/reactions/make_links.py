"""Writes what `neural analyze --links` needs: the tokenizer, and the links of atoms.

    python examples/reactions/make_links.py

It needs `tokenizers`, and the package rxnmapper, whose model and vocabulary are looked
at (`pip install --no-deps rxnmapper==0.4.3`). No network runs here: the links come from
truth.jsonl alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
BUILD = FOLDER.parent.parent / "build" / "reactions"
MODEL = "models/transformers/albert_heads_8_uspto_all_1310k"

# How rxnmapper splits a reaction: one token for each atom, bond, ring number, bracket.
PATTERN = (
    r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?"
    r"|\*|\$|\%[0-9]{2}|[0-9]"
)
ATOM = re.compile(r"\[[^\]]+]|[A-Za-z]+")


def model_folder() -> Path:
    """The folder with config.json, pytorch_model.bin and vocab.txt, not imported."""
    spec = importlib.util.find_spec("rxnmapper")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs rxnmapper: pip install --no-deps rxnmapper==0.4.3")
    return Path(spec.submodule_search_locations[0]) / MODEL


def write_tokenizer(vocabulary: Path, path: Path) -> None:
    """Write a tokenizer.json that splits as rxnmapper does."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    tokens = vocabulary.read_text("utf-8").splitlines()
    ids = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(ids, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(PATTERN), "removed", invert=True
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    path.write_text(tokenizer.to_str(pretty=True), "utf-8")


def links(reaction: str, pairs: list[list[int]]) -> dict[str, Any]:
    """A line of links: from atoms of the product, among all atoms of the reactants.

    `pairs` holds [product atom, reactant atom], each side counted from 0 as it stands
    in the text. Positions of tokens count [CLS], so the first one of the text is 1.
    """
    tokens = re.findall(PATTERN, reaction)
    arrow = tokens.index(">>")
    atoms = [at for at, token in enumerate(tokens) if ATOM.fullmatch(token)]
    before = [at + 1 for at in atoms if at < arrow]
    after = [at + 1 for at in atoms if at > arrow]
    found = [[after[product], before[reactant]] for product, reactant in pairs]
    return {"text": reaction, "links": found, "candidates": before}


def main() -> None:
    """Write reactions.tokenizer.json and links.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=BUILD)
    folder = parser.parse_args().output_dir
    folder.mkdir(parents=True, exist_ok=True)
    model = model_folder()
    write_tokenizer(model / "vocab.txt", folder / "reactions.tokenizer.json")
    rows = map(json.loads, (FOLDER / "truth.jsonl").read_text("utf-8").splitlines())
    lines = (json.dumps(links(**row)) for row in rows)
    (folder / "links.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    print(f"wrote {folder}/reactions.tokenizer.json and links.jsonl; the model is in")
    print(model)


if __name__ == "__main__":
    main()
