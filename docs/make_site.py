"""Builds the site: the pages of the repository where they stand, and what is made anew.

    pip install -e ".[docs]" -c constraints.txt
    python docs/make_site.py [--serve]

Pages, pictures and examples are laid out as in the repository, so that their links are
right in both; the explorer of a live page is made from a trained network in the box.
Warnings, broken links and anchors among them, are errors.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "site_pages"
LEFT_OUT = ("__pycache__", "*.pyc", "attention_outputs", "reports")
ALONE = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("benchmarks/README.md", "tests/test_annotated_transformer.py"),
)


def lay_out() -> None:
    """Copy everything that pages show or lead to."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    for name in ("docs", "examples"):
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(ROOT / name, PAGES / name, ignore=ignored)
    for name in ALONE:
        (PAGES / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, PAGES / name)


def make_explorer() -> None:
    """The page that `docs/live.md` shows."""
    from neural_attn import generate
    from neural_attn.explorer.page import explore

    file = ROOT / "examples" / "annotated_transformer" / "reverse.neural"
    made = generate(file, "alphabet", backend="numpy", attention=True)
    layer = "transformer_decoder_0.cross_attention"
    page = explore(made.maps[0], title="alphabet, backwards", layer=layer, head=0)
    page.save(PAGES / "explorer.html")


def main() -> int:
    """Lay out and build, or serve; the exit status of MkDocs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="show it on a local port")
    given = parser.parse_args()
    lay_out()
    make_explorer()
    # with --quiet it would not count warnings
    work = ["serve"] if given.serve else ["build", "--strict"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    call = [sys.executable, "-m", "mkdocs", *work]
    return subprocess.run(call, cwd=ROOT, env=quiet).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
