"""The Chromium that tests look at pages in, and its accessibility checker."""

import importlib.util
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

# The shell draws no window around a page, and so takes half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium():
    """Chromium, started; it skips the test where that or its driver is missing."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing"
    )
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def axe_source():
    """The script of axe; it skips the test where there is none."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-playwright-python is not installed")
    return Path(package.origin).with_name("axe.min.js").read_text("utf-8")
