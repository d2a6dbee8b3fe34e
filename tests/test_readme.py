"""README.md and docs/: every command, program and network in them runs.

The blocks of a page run in order, in one folder that holds a copy of the examples. A
network whose first line is `# name.neural` is written to that file for later blocks.
"""

import os
import re
import runpy
import shlex
import shutil
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from neural_attn.catalogue.functions import PRIMITIVES
from neural_attn.compile import check_text, compile_file
from tests import warm_python

ROOT = Path(__file__).resolve().parent.parent
# those of docs/analysis are run by test_analysis_docs.py
FOLDERS = ("docs", "docs/tutorials", "docs/reference")
PAGES = [
    ROOT / "README.md",
    *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))),
]
PICTURES = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))
GALLERY = PICTURES["sections"]()
BLOCK = re.compile(r"^```(\w+)( generated)?\n(.*?)^```$", re.M | re.S)

# The beginning of a command, and why it is not run here.
SKIPPED = {
    "python3 -m venv": "the tests run in an environment already",
    ". .venv/bin/activate": "the tests run in an environment already",
    "pip install": "what is tested is installed already",
    "python -m pytest": "these are the tests",
    "hf download": "it needs the network; the folder is put in place instead",
    "pip download": "it needs the network",
}


def blocks(page):
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        language, generated, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        yield language + (generated or ""), code, f"{page.name}:{line}"


# What is downloaded: a folder, and a model by its name at Hugging Face.
MINILM = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")

# Those that load a framework, which is done once for all of them. The first command of
# README.md, and every other one, run as a user's do.
WARM = (
    "neural visualize", "neural analyze", "neural generate", "neural score",
    "neural train", "neural diagnose", "neural import",
)  # fmt: skip


def commands(code):
    """The parts of each line that are run; comments are the shell's to ignore."""
    for line in code.replace(" &&\n", " && ").splitlines():
        parts = [part.strip() for part in line.split(" && ")]
        yield from (p for p in parts if p and not p.startswith(tuple(SKIPPED)))


def copy_examples(folder):
    """The examples as a clone has them, before anything of them was run."""
    ran = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=ran)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the examples, and a `neural` that is this checkout's."""
    copy_examples(tmp_path)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    script = bin_folder / "neural"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m neural_attn "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(bin_folder), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    found = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), found]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run_bash(code, where, *, warm):
    for command in commands(code):
        if warm and command.startswith(WARM):
            arguments = shlex.split(command, comments=True)[1:]
            done = warm_python.run("-m", "neural_attn", *arguments)
        else:
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{where}: {command}\n{done.stderr}"


def run_neural(code, where):
    name = re.match(r"# (\w+\.neural)\n", code)
    if name:
        Path(name[1]).write_text(code, encoding="utf-8")
    checked, warnings = check_text(code, where)
    assert checked
    assert warnings == []


@pytest.mark.thorough("generation.md")
@pytest.mark.requires_torch
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "gallery.md"],
    ids=lambda page: page.name,
)
def test_every_block_runs(page, folder, minilm_dir, monkeypatch):
    for name in MINILM:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(minilm_dir)
    namespace = {}
    before = set(sys.modules)
    for language, code, where in blocks(page):
        if language == "bash":
            run_bash(code, where, warm=True)
        elif language == "neural":
            run_neural(code, where)
        elif language == "python":
            exec(compile(code, where, "exec"), namespace)
            for name in re.findall(r"^def (test_\w+)", code, re.M):
                namespace[name]()
        else:
            assert language in ("python generated", "text"), f"{where}: {language}"
    for name in (
        "reviews",
        "promises",
        "text_classification",
        "translate",
    ):  # modules of this folder
        if name not in before:
            sys.modules.pop(name, None)


def test_the_first_command_writes_the_files_that_are_listed(folder):
    language, code, where = next(blocks(ROOT / "README.md"))
    assert language == "bash"
    (command,) = commands(code)
    run_bash(code, where, warm=False)
    assert command.startswith("neural visualize examples/")
    written = {path.name for path in (folder / "attention_outputs").iterdir()}
    (model,) = (name for name in written if name.startswith("compiled_model_"))
    decoder = "transformer_decoder_0.self_attention"
    assert written == {
        "cross_attention_layer0.png",
        "cross_attention_multihead_layer0.png",
        "self_attention_layer0.png",
        "attention_example_1.png",
        "attention_heatmap.png",
        "attention_heads_transformer_encoder_0.png",
        f"attention_heads_{decoder}.png",
        "attention_explorer.html",
        "attention_interactive.html",
        model,
    }
    page = (ROOT / "docs" / "start.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w.{}]+)`", page, re.M)
    assert len(listed) == 9
    for pattern in listed:
        wanted = re.sub(r"\\{\w+\\}", ".+", re.escape(pattern))
        assert any(re.fullmatch(wanted, name) for name in written), pattern


def written_for(picture):
    """The file that the commands of a section of the gallery write as its picture."""
    if "/explorer-" in picture:
        return "attention_outputs/attention_explorer.html"
    made = PICTURES["MADE"] | PICTURES["TRAINED"]
    return PICTURES["DRAWN"].get(picture) or made[picture][2]


def test_every_section_of_the_gallery_has_its_pictures_and_commands():
    made = PICTURES["MADE"] | PICTURES["TRAINED"]
    for title, (pictures, code) in GALLERY.items():
        assert pictures, title
        for picture in pictures:
            assert (ROOT / picture).is_file()
            assert written_for(picture)
            assert picture not in made or f"neural {made[picture][1]}\n" in code
        scripts = [text for text in code.split() if text.endswith(".py")]
        assert all((ROOT / script).is_file() for script in scripts)
        assert "pip" in code or not scripts, "tell what the script needs"


# What else the quick tier runs, on other pages, and what needs trained networks.
@pytest.mark.thorough(but="declares")
@pytest.mark.requires_torch
@pytest.mark.parametrize("title", GALLERY)
def test_the_commands_of_the_gallery_write_its_pictures(title, folder, minilm_dir):
    pictures, code = GALLERY[title]
    if "neural train" in code:
        pytest.skip("it trains for long; test_translation.py does with few pairs")
    for package in re.findall(r"(\S+)==", code):
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    (folder / MINILM[0]).symlink_to(minilm_dir)
    lines = [line for line in code.splitlines() if not line.startswith(tuple(SKIPPED))]
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for picture in pictures:
        assert (folder / written_for(picture)).is_file()


def test_generated_code_is_shown_as_it_is():
    basic = ROOT / "examples" / "attention_examples" / "basic_transformer.neural"
    text = compile_file(basic, "pytorch")
    page = ROOT / "docs" / "tutorials" / "write_a_network.md"
    shown = [c for language, c, _ in blocks(page) if "gen" in language]
    assert shown
    for code in shown:
        assert code in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    targets += re.findall(r'(?:<img src|srcset)="([^"]+)"', BLOCK.sub("", text))
    for target in targets:
        assert target.startswith("https://") or (page.parent / target).is_file(), target


def test_the_table_of_functions_is_complete():
    text = (ROOT / "docs" / "language.md").read_text("utf-8")
    table = text.partition("<!-- functions")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)[(`]", table))
    assert named == set(PRIMITIVES)
    for call in re.findall(r"`(\w+)\((.*?)\)`", table):
        assert call[1].split(", ") == list(PRIMITIVES[call[0]].parameters)


def test_the_table_of_options_is_complete():
    from neural_attn.commands.visualize import visualize

    text = (ROOT / "docs" / "reference" / "visualize.md").read_text("utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`(--[a-z-]+)`", table))
    known = {option for parameter in visualize.params for option in parameter.opts}
    options = {name for name in known if name.startswith("--")}
    assert options - named - {"--attention"} == set()
    assert named <= options
