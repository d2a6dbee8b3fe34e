"""Makes the pictures of docs/faults.md by the commands that stand on the page.

    python docs/make_faults.py

LOOK at what it makes: no program sees what a reader sees.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "faults.md"
IMAGES = ROOT / "docs" / "images"
DPI = 80
# Of every folder that `neural visualize` writes the one with all heads of the layer.
HEADS = re.compile(r"(attention_heads|cross_attention_multihead)_.*\.png")
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(folder: Path) -> None:
    """Run the blocks of the page in a folder with a copy of the examples."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    neural = f'neural() {{ "{sys.executable}" -m neural_attn "$@"; }}\n'
    for language, code in BLOCK.findall(PAGE.read_text("utf-8")):
        drawn = re.sub(r"^neural visualize", rf"\g<0> --dpi {DPI}", code, flags=re.M)
        call = {
            "bash": ["bash", "-ec", neural + drawn],
            "python": [sys.executable, "-c", code],
        }
        where = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(call[language], cwd=folder, env=where, check=True)  # noqa: S603


def save(folder: Path) -> None:
    """Keep the picture of each folder of pictures, small."""
    for kind in sorted({path.parent for path in folder.glob("*/*.png")}):
        (path,) = (path for path in kind.iterdir() if HEADS.fullmatch(path.name))
        target = IMAGES / f"fault_{kind.name}.webp"
        Image.open(path).convert("RGB").save(target, lossless=True, method=6)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        run(Path(place))
        save(Path(place))
