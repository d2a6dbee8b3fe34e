"""The Chromium that tests look at pages in."""

import shutil

# The shell draws no window around a page, and so takes half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
