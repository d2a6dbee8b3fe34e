"""The report as a page in a browser: what the first screen holds, and on a phone."""

import numpy as np
import pytest

from neural_attn.analysis import analyze
from neural_attn.inputs.parses import Arc, Parse
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.planted import PLANTED, planted_head, planted_tokens
from neural_attn.reports.html import to_html
from tests.browser import axe_source

LAYERS, HEADS, TEXTS = 6, 12, 8
SELF = [name for name in PLANTED if name not in ("block", "diagonal")]
# the parts that stick out of the screen, though they stand in no box that scrolls
WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5
    && !(one.closest('.scroll') && !one.closest('.types')))
  .map(one => one.outerHTML.slice(0, 90))"""
SENTENCES = ".first section:first-child li"
# whether pictures that are seen are all the dark ones, or all the light ones
ALL = """async (dark) => {
  const is = (one) => one.currentSrc === (dark ? one.previousSibling.srcset : one.src);
  const images = [...document.querySelectorAll("picture img")];
  for (let tries = 0; tries < 40 && !images.every(is); tries++)
    await new Promise((done) => setTimeout(done, 50));
  await Promise.all(images.map((one) => one.decode()));
  return images.map(is);
}"""
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true; })"


def maps_of(seed):
    tokens = planted_tokens(26, seed)
    names = [SELF[n % len(SELF)] for n in range(LAYERS * HEADS)]
    heads = [
        planted_head(name, tokens, noise=0.2, seed=seed + n)
        for n, name in enumerate(names)
    ]
    stacked = np.reshape(heads, (LAYERS, HEADS, len(tokens), len(tokens)))
    named = {f"transformer_encoder_{n}": layer for n, layer in enumerate(stacked)}
    return AttentionMaps.from_arrays(named, tokens)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    analysis = analyze(
        map(maps_of, range(TEXTS)),
        parser=lambda text: Parse(tuple(text.split()), (Arc(1, 3, "det"),)),
    )
    assert (len(analysis.highlights), len(analysis.heads)) == (5, LAYERS * HEADS)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(to_html(analysis), "utf-8")
    return path


@pytest.fixture
def visit(browser, report):
    contexts = []

    def go(width, height, scheme="light"):
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.goto(report.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()


def test_the_first_screen_holds_the_sentences_and_the_types(visit):
    page = visit(1280, 900)
    assert page.locator(SENTENCES).count() == 5
    assert page.locator(".types a").count() == LAYERS * HEADS
    for part in SENTENCES, ".types a", ".legend", ".below":
        for one in page.locator(part).all():
            box = one.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 1280
            assert box["y"] + box["height"] <= 900


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_wider_than_a_phone(visit, width):
    page = visit(width, 844)
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(WIDE) == []
    # every head is there, and none lies upon another
    boxes = [one.bounding_box() for one in page.locator(".types a").all()]
    assert len({(box["x"], box["y"]) for box in boxes}) == LAYERS * HEADS
    assert min(box["width"] for box in boxes) >= 20
    keys = [one.bounding_box() for one in page.locator(".legend span").all()]
    assert max(box["x"] + box["width"] for box in keys) <= width
    rows = page.locator(".types tbody tr").all()
    assert "transformer_encoder_5" in rows[-1].inner_text()


def test_pictures_are_those_of_the_reader_s_colours_and_light_on_paper(visit):
    page = visit(1280, 900, "dark")
    page.evaluate(OPEN)
    assert page.evaluate(ALL, True) == [True] * 3
    page.emulate_media(media="print")
    assert page.evaluate(ALL, False) == [True] * 3


@pytest.mark.thorough(but=("390-dark",))
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_accessibility_checker_finds_nothing(visit, scheme, width):
    page = visit(width, 900, scheme)
    page.evaluate(OPEN)
    page.evaluate(axe_source())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [
        (one["id"], one["nodes"][0]["html"][:120]) for one in found["violations"]
    ] == []
