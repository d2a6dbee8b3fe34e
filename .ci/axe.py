"""Runs the accessibility checker over every page of the site, which is built first.

    python docs/make_site.py
    python .ci/axe.py [--share 1/4] [PART OF A PATH ...]

Each page is looked at on a wide screen and in light, and once more on a narrow one in
the dark, by the rules that depend on these; `--all` looks at both screens in both, by
all rules. A page must not be wider than the screen. It needs Chromium, playwright and
axe-playwright-python, and says so where one is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import axe_source, chromium  # noqa: E402

SITE = ROOT / "site"
# The explorer is looked at by tests/test_explorer_page.py, in every view.
LEFT_OUT = {"explorer.html"}
WIDE, NARROW = (1280, 900), (390, 844)
Look = tuple[str, tuple[int, int], list[str]]  # a palette, a size, and rules
ALL: list[str] = []
OF_THE_LOOK = [
    "color-contrast",
    "link-in-text-block",
    "scrollable-region-focusable",
    "landmark-unique",
]
# Code has the same colours in all blocks; the page of the language has hundreds.
FEW_BLOCKS = """() => {
  const blocks = document.querySelectorAll('.md-content .highlight');
  [...blocks].slice(10).forEach((one) => one.remove());
}"""
FEW: list[Look] = [("light", WIDE, ALL), ("dark", NARROW, OF_THE_LOOK)]
RUN = """rules => axe.run(document, {
  resultTypes: ['violations'], ...(rules.length ? { runOnly: rules } : {}),
})"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, as the site has one: a page of a file cannot search."""
    handler = partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def faults(page: Page, address: str, axe: str, rules: list[str]) -> Iterator[str]:
    """What is wrong with a page, a line each."""
    page.goto(address)
    page.evaluate(FEW_BLOCKS)
    page.evaluate(axe)
    for one in page.evaluate(RUN, rules)["violations"]:
        for node in one["nodes"]:
            yield f"{one['id']}: {node['html'][:150]!r}"
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wide > 0:
        yield f"the page is wider than the screen by {wide} px"


def look_at(paths: list[str], look: Look, address: str, axe: str) -> list[str]:
    """What is wrong with pages in one palette, at one size."""
    scheme, (width, height), rules = look
    size = {"width": width, "height": height}
    with chromium() as browser:
        page = browser.new_page(viewport=size, color_scheme=scheme)
        return [
            f"{path}, {scheme}, {width} px: {fault}"
            for path in paths
            for fault in faults(page, f"{address}/{path}", axe, rules)
        ]


def main() -> int:
    """Look at all pages, or at those that are named; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="each in both, by all rules")
    parser.add_argument("--share", help="2/4: the second quarter of the pages")
    parser.add_argument("parts", nargs="*", help="only pages with one in their path")
    given = parser.parse_args()
    paths = [path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")]
    wanted = [one for one in sorted(paths) if one not in LEFT_OUT]
    if given.parts:
        wanted = [one for one in wanted if any(part in one for part in given.parts)]
    if given.share:
        number, of = map(int, given.share.split("/"))
        wanted = wanted[number - 1 :: of]
    if not wanted:
        raise SystemExit(f"no such page in {SITE}: run python docs/make_site.py first")
    looks: Iterable[Look] = FEW
    if given.all:
        looks = product(("light", "dark"), (WIDE, NARROW), (ALL,))
    try:
        axe = axe_source()
        with served(SITE) as address, ThreadPoolExecutor(2) as workers:
            lists = workers.map(lambda one: look_at(wanted, one, address, axe), looks)
            found = [fault for faults in lists for fault in faults]
    except pytest.skip.Exception as reason:
        print(f"not looked at: {reason}")
        return 0
    print(*found, f"{len(wanted)} pages, {len(found)} faults", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
