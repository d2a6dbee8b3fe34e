"""The Chromium that tests look at pages in, and its accessibility checker."""

import importlib.util
import shutil
from pathlib import Path

import pytest

# The shell draws no window around a page, and so takes half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def axe_source():
    """The script of axe; it skips the test where there is none."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-playwright-python is not installed")
    return Path(package.origin).with_name("axe.min.js").read_text("utf-8")
