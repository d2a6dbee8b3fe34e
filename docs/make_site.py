"""Builds the site: the pages of the repository where they stand, and what is made anew.

    pip install -e ".[docs]" -c constraints.txt
    python docs/make_site.py [--serve]

Pages, and the pictures and files that they lead to, are laid out as in the repository,
so that links are right in both; the explorer of a live page is made from a trained
network in the box. Warnings, broken links and anchors among them, are errors.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "site_pages"
LOOK = ROOT / "docs" / "look"  # what the theme is given
# A link or picture of Markdown, and those of HTML.
LINK = re.compile(r'\]\(([^)#\s]+)|<img src="([^"]+)|srcset="([^"]+)')


def pages() -> set[Path]:
    """The pages of the site, where they stand in the repository."""
    found = [*ROOT.glob("*.md"), ROOT / "benchmarks" / "README.md"]
    for folder in ("docs", "examples"):
        found += (ROOT / folder).rglob("*.md")
    return set(found)


def led_to(page: Path) -> set[Path]:
    """The files of the repository that a page shows or links to."""
    targets = ["".join(found) for found in LINK.findall(page.read_text("utf-8"))]
    files = [(page.parent / target).resolve() for target in targets]
    return {file for file in files if file.is_file() and file.is_relative_to(ROOT)}


def lay_out() -> None:
    """Copy the pages, everything that they lead to, and what the theme is given."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(LOOK, PAGES / "look", ignore=shutil.ignore_patterns("templates"))
    kept = pages()
    for file in kept.union(*(led_to(page) for page in kept)):
        copy = PAGES / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


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
