"""The explorer in a browser: every view, key and export, on four kinds of model."""

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_attn.explorer.page import EXPLORER, Detail, explore, write_explorer
from neural_attn.explorer.pyramid import group_head
from neural_attn.figures.look import Look
from neural_attn.figures.scales import even_share
from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
from neural_attn.maps.written import Likely, Step, Written
from neural_attn.pipeline import Request, capture, visualize
from tests.browser import axe_source
from tests.small_models import seen_maps

TEXT = "The animal didn't cross the street because it was too tired. It waited."
HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'&`",
    "\u202egnirts",
    "\ud800",
    "x" * 10_000,
    "مرحبا",
    "中文",
    "\U0001f600",
    "   ",
    "\n",
    "",
]
ROWS = """async ([map, head, example]) => {
  const { payload } = document.documentElement.explorer.scene;
  const weights = await payload.head(0, map, example, head);
  return Array.from({ length: weights.rows }, (_, r) => [...weights.row(r)]);
}"""
VIEWS = ("model", "matrix", "head", "token", "measures")
NETWORK = """
network Causal {
  input: (12,)
  layers:
    Embedding(input_dim=50, output_dim=16)
    TransformerDecoder(num_heads=4, ff_dim=32) * 3
    Output(units=50)
}
"""


@pytest.fixture
def visit(browser):
    """Opens a page and waits for its thumbnails; no error may be logged."""
    problems, contexts = [], []

    def go(path, state="", size=(1280, 900), **more):
        viewport = dict(zip(("width", "height"), size, strict=True))
        context = browser.new_context(viewport=viewport, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on(
            "console", lambda m: problems.append(m.text) if m.type == "error" else None
        )
        page.goto(f"{path.as_uri()}{state}")
        page.wait_for_selector("html[data-thumbnails=done]", state="attached")
        page.click("#more")  # the controls that are folded away
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


def arrive(page, ending):
    """Wait until the address says the state."""
    page.wait_for_url(lambda url: url.endswith(ending), timeout=5000)


def softmax(shape, seed=0, mask=None):
    scores = np.random.default_rng(seed).standard_normal(shape) * 2
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def encoder_decoder():
    english, german = "The cat sat .".split(), "Die Katze saß da .".split()
    maps = [
        AttentionMap(
            f"transformer_encoder_{n}",
            softmax((1, 3, 4, 4), n),
            query_tokens=english,
            key_tokens=english,
        )
        for n in range(2)
    ]
    for n in range(2):
        causal = np.tri(5, dtype=bool)
        maps.append(
            AttentionMap(
                f"transformer_decoder_{n}.self_attention",
                softmax((1, 3, 5, 5), 10 + n, causal),
                "decoder_self",
                None,
                True,
                german,
                german,
            )
        )
        name = f"transformer_decoder_{n}.cross_attention"
        values = softmax((1, 3, 5, 4), 20 + n)
        maps.append(AttentionMap(name, values, "cross", None, False, german, english))
    return AttentionMaps(maps, trained=False, source="translate.neural")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def minilm(folder, minilm_dir):
    pytest.importorskip("tokenizers", reason="tokenizers is missing")
    from neural_attn.pretrained.conversion.importing import import_model

    file = folder / "minilm.neural"
    import_model(minilm_dir, file)
    request = Request(
        file,
        backend="numpy",
        checkpoint=file.with_suffix(".safetensors"),
        texts=[TEXT, "A second text."],
    )
    maps = capture(request).captured.maps
    assert maps.trained
    return maps


@pytest.fixture(scope="module")
def causal(folder):
    file = folder / "causal.neural"
    file.write_text(NETWORK)
    return capture(Request(file, backend="numpy")).captured.maps


@pytest.fixture(scope="module")
def pages(folder, request):
    """Saves the page of each kind of model once."""
    made = {}

    def page(kind):
        if kind not in made:
            if kind == "encoder_decoder":
                shown = explore(encoder_decoder())
            elif kind == "two":
                other = encoder_decoder().maps
                noisy = [
                    AttentionMap(
                        one.name,
                        one.weights * 0.9,
                        one.kind,
                        one.mask,
                        one.causal,
                        one.query_tokens,
                        one.key_tokens,
                    )
                    for one in other
                ]
                second = AttentionMaps(noisy)
                shown = explore(encoder_decoder(), other=second, labels=["one", "two"])
            else:
                shown = explore(request.getfixturevalue(kind))
            made[kind] = shown.save(folder / f"{kind}.html")
        return made[kind]

    return page


KINDS = ("minilm", "causal", "encoder_decoder", "two")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_view_draws(visit, pages, kind, scheme):
    page = visit(pages(kind), color_scheme=scheme)
    views = (*VIEWS, "compare") if kind == "two" else VIEWS
    for number, view in enumerate(views, 1):
        page.keyboard.press(str(number))
        page.wait_for_selector(f"#panel-{view}.shown h2")
        assert page.get_attribute(f"#tab-{view}", "aria-selected") == "true"
        assert page.is_hidden("#tab-compare") == (kind != "two")
    body = page.inner_text("body")
    assert not any(word in body for word in ("undefined", "NaN", "[object"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_arrows_move_through_heads_layers_queries_and_keys(visit, pages):
    page = visit(pages("encoder_decoder"), "#layer=0&head=0")
    for key in (
        "ArrowRight",
        "ArrowDown",
        "ArrowDown",
        "Shift+ArrowDown",
        "Shift+ArrowRight",
    ):
        page.keyboard.press(key)
    arrive(page, "#layer=2&kind=decoder_self&head=1&query=0&key=0")
    for key in ("ArrowLeft", "ArrowUp", "Escape"):
        page.keyboard.press(key)
    arrive(page, "#layer=1&head=0")
    page.keyboard.press("ArrowLeft")
    arrive(page, "#layer=1&head=0")


def test_a_link_opens_its_state(visit, pages):
    state = "#layer=2&kind=cross&head=2&query=1&view=head"
    page = visit(pages("encoder_decoder"), state)
    assert page.text_content("#panel-head h2") == "Layer 2 cross-attention · head 2"
    assert page.input_value("#query") == "1"
    assert page.text_content("#panel-head .readout b") == "Katze"


def written(count=1):
    """Maps of a text of four tokens that was written for a source of four."""
    maps = encoder_decoder()
    tokens = [*maps.maps[2].query_tokens[0], "."]
    rivals = (Likely(8, "</script>", 0.2), Likely(9, "und", 0.05))
    steps = tuple(
        Step(Likely(n, token, 0.6 / n), rivals) for n, token in enumerate(tokens[1:], 1)
    )
    one = Written("The cat sat .", "x", (1,), ("a",), (0,), (tokens[0],), steps)
    return replace(maps, written=[one] * count)


def test_a_text_is_seen_step_by_step(visit, folder):
    maps = written()
    path = explore(maps, precision="full").save(folder / "written.html")
    page = visit(path, "#layer=3&kind=cross&head=1&view=steps")
    panel = page.locator("#panel-steps")
    assert panel.locator("h2").text_content() == "Token 1 of 5: Katze"
    assert panel.get_by_label("Token before").is_disabled()
    page.keyboard.press("ArrowRight")
    panel.get_by_label("Token after").click()
    panel.get_by_text("Token 3 of 5").wait_for()
    assert "Fed saß, the network wrote da: 20.0 %." in panel.inner_text()
    chances = panel.locator("tr td:first-child").all_inner_texts()
    assert chances == ["da ✓", "</script>", "und"]
    titles = panel.locator(".columns .key").evaluate_all("e => e.map((x) => x.title)")
    cross = maps["transformer_decoder_1.cross_attention"][0, :, 2].mean(axis=0)
    past = maps["transformer_decoder_1.self_attention"][0, :, 2, :3].mean(axis=0)
    shown = [float(title.split()[1]) for title in titles]
    np.testing.assert_allclose(shown, [*cross, *past], atol=1e-4)
    panel.get_by_text("Mean over all heads").click()
    panel.get_by_text("The source: layer 3, head 1").wait_for()
    arrive(page, "&step=2&mean=0&view=steps")
    panel.locator(".strip button").nth(4).click()
    panel.get_by_text("Token 5 of 5").wait_for()
    assert panel.get_by_label("Token after").is_disabled()
    for kind, mark in (("svg", b"Chosen, rivals"), ("csv", b"</script>")):
        with page.expect_download() as download:
            page.click(f"#save-{kind}")
        assert mark in Path(download.value.path()).read_bytes()
    assert page.title().startswith("translate.neural")


def header_of(path):
    """What a saved page says of its maps."""
    found = re.search(r'id="header">(.*?)</script>', path.read_text())
    return json.loads(found[1])


def test_what_was_not_written_has_no_steps(visit, pages):
    page = visit(pages("encoder_decoder"), "#view=steps&step=4")
    assert page.is_hidden("#tab-steps")
    page.wait_for_selector("#panel-matrix.shown h2")


def read_back(page, map_number, head, example=0):
    """A head's weights as the page decodes them."""
    return np.array(page.evaluate(ROWS, [map_number, head, example]))


def test_the_page_shows_the_numbers_of_the_arrays(visit, pages, minilm):
    page = visit(pages("minilm"))
    for number, name in enumerate(minilm):
        for head in (0, 11):
            item = minilm.item(name, 0)
            shown = read_back(page, number, head)
            largest = item.weights[head].max(-1, keepdims=True)
            assert (np.abs(shown - item.weights[head]) <= largest / 255).all()
    second = minilm.item("transformer_encoder_0", 1)
    assert read_back(page, 0, 0, 1).shape == second.weights[0].shape


def test_full_precision_is_exact(visit, folder):
    maps = encoder_decoder()
    page = visit(explore(maps, precision="full").save(folder / "full.html"))
    shown = read_back(page, 5, 2).astype(np.float32)
    np.testing.assert_array_equal(shown, maps.maps[5].weights[0, 2])


def test_the_value_under_the_pointer(visit, pages):
    page = visit(pages("encoder_decoder"), "#layer=0&head=1")
    place = page.evaluate(
        """() => {
          const { matrix } = document.documentElement.explorer.views;
          const box = matrix.canvas.getBoundingClientRect();
          const { left, top, cell } = matrix.place;
          return [box.left + left + 2.5 * cell, box.top + top + 1.5 * cell];
        }"""
    )
    page.mouse.move(*place)
    said = page.locator("#panel-matrix .readout")
    said.get_by_text("cat").wait_for()
    exact = encoder_decoder().maps[0].weights[0, 1, 1, 2]
    assert said.locator("b").text_content().startswith(f"{exact:.2f}"[:3])
    page.mouse.click(*place)
    arrive(page, "query=1&key=2")


def test_masked_cells_are_masked_only_where_the_network_says_so(visit, pages):
    ask = """async (map) => {
      const { payload } = document.documentElement.explorer.scene;
      const allowed = await payload.allowed(0, map, 0, 0);
      return allowed && [...allowed];
    }"""
    page = visit(pages("encoder_decoder"))
    assert page.evaluate(ask, 0) is None
    assert page.evaluate(ask, 2) == np.tri(5).astype(int).ravel().tolist()
    assert page.evaluate(ask, 3) is None
    assert "causal" not in page.text_content("#about")
    page.select_option("#layer", "2")
    page.get_by_text("causal").first.wait_for()


COLOR = """([row, column]) => {
  const { matrix } = document.documentElement.explorer.views;
  const { left, top, cell } = matrix.place;
  const ratio = window.devicePixelRatio;
  const at = [left + (column + 0.5) * cell, top + (row + 0.5) * cell];
  const place = at.map((x) => Math.round(x * ratio));
  return [...matrix.canvas.getContext("2d").getImageData(...place, 1, 1).data];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signed_weights_keep_their_sign_on_the_page(visit, folder, scheme):
    weights = softmax((1, 2, 4, 4), 1) - 0.8 * softmax((1, 2, 4, 4), 2)
    tokens = "The cat sat .".split()
    signed = AttentionMap(
        "a", weights, query_tokens=tokens, key_tokens=tokens, rows="signed"
    )
    plain = AttentionMap(
        "b", softmax((1, 2, 4, 4)), query_tokens=tokens, key_tokens=tokens
    )
    path = explore(AttentionMaps([signed, plain])).save(folder / "signed.html")
    row, column = np.unravel_index(weights[0, 1].argmin(), (4, 4))
    best = np.unravel_index(weights[0, 1].argmax(), (4, 4))
    state = f"#layer=0&head=1&query={row}&key={column}"
    page = visit(path, state, color_scheme=scheme)
    np.testing.assert_array_equal(page.evaluate(ROWS, [0, 1, 0]), weights[0, 1])
    assert f"{weights[0, 1].min():.4f}" in page.inner_text("#panel-matrix .readout")
    size = f"{np.abs(weights[0, 1]).max():.4f}"
    assert page.inner_text("#panel-matrix .legend").split() == [f"-{size}", size, "√"]
    red, _, blue, _ = page.evaluate(COLOR, [int(row), int(column)])
    assert red > blue + 20  # orange
    red, _, blue, _ = page.evaluate(COLOR, list(map(int, best)))
    assert blue > red + 20
    assert "not shares of attention" in page.inner_text("#notes")
    assert page.is_disabled("#renormalize")
    assert page.is_disabled("#sinks")
    _, csv = saved(page, "#save-csv")
    lines = csv.decode("utf-8-sig").strip().split("\r\n")
    numbers = [float(cell) for cell in lines[1 + row].split(",")[2:]]
    np.testing.assert_allclose(numbers, weights[0, 1, row], rtol=0, atol=1e-6)
    _, svg = saved(page, "#save-svg")
    assert f"-{size} to {size}" in svg.decode()
    page.click("#tab-head")
    page.wait_for_selector("#panel-head.shown h2")
    assert "blue above 0 · orange below" in page.inner_text("#panel-head")
    _, svg = saved(page, "#save-svg")
    assert len(set(re.findall(r'stroke="(#\w+)"', svg.decode()))) == 2
    page.click("#tab-token")
    page.wait_for_selector("#panel-token.shown h2")
    assert f"{weights[0, 1].min():.4f}" in page.inner_text("#panel-token")
    page.click("#tab-measures")
    page.wait_for_selector("#panel-measures.shown h2")
    shown = page.inner_text("#panel-measures")
    assert "–" in shown
    assert "Not defined (–) for signed weights" in shown


STAMP = """([key, row, column]) => {
  const stamp = document.documentElement.explorer.views.model.thumbnail(key, 64);
  return [...stamp.getContext("2d").getImageData(column, row, 1, 1).data];
}"""


@pytest.mark.parametrize("trained", [True, False])
def test_the_bar_marks_the_uniform_level_and_noise_has_a_scale_to_1(
    visit, folder, trained
):
    maps = replace(encoder_decoder(), trained=trained)
    page = visit(explore(maps).save(folder / f"even_{trained}.html"))
    legend = page.locator("#panel-matrix .legend")
    for number, kind in ((0, "encoder_self"), (2, "decoder_self"), (5, "cross")):
        page.select_option("#layer", str(number))
        page.wait_for_selector(f'html[data-head="{number},0"]', state="attached")
        one = maps.maps[number]
        level = even_share(maps.item(one.name, 0).allowed, one.rows)
        top = 1.0 if not trained else one.weights[0, 0].max()
        said = [f"uniform {level:.4f}", f"{top:.4f}"]
        assert legend.inner_text().split("\n") == ["0", said[0], f"{said[1]} √"], kind
        # a thumbnail has the colours of the matrix, and so its scale
        assert page.evaluate(STAMP, [f"{number},0", 1, 1]) == page.evaluate(
            COLOR, [1, 1]
        )
    assert ("all from 0 to 1" in page.inner_text("#panel-model")) == (not trained)
    assert (
        f"0 to {top:.4f}, by the square root, {said[0]}"
        in saved(page, "#save-svg")[1].decode()
    )
    page.check("#renormalize")
    page.select_option("#unit", "sentence")  # sums over keys have no such level
    page.get_by_text("By sentence").wait_for()
    assert "uniform" not in legend.inner_text()


def test_the_control_names_the_query_that_a_view_is_of(visit, pages):
    page = visit(pages("minilm"), "#view=token")
    assert "Where the (1) attends" in page.text_content("#panel-token h2")
    assert page.input_value("#query") == "1"
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_text("Where animal (2) attends").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.wait_for_selector("#panel-matrix.shown")
    assert page.input_value("#query") == "-1"


def test_search_marks_and_walks(visit, pages):
    page = visit(pages("minilm"))
    page.keyboard.press("/")
    page.keyboard.type("it")
    assert page.text_content("#found") == "3 of the queries"
    page.keyboard.press("Enter")
    arrive(page, "query=10")


def test_filters_are_said_on_screen(visit, pages):
    page = visit(pages("minilm"))
    for name in ("special", "sinks", "renormalize"):
        page.check(f"#{name}")
    page.select_option("#unit", "word")
    notes = page.locator("#notes .note")
    page.get_by_text("By word").wait_for()
    said = " ".join(notes.all_text_contents())
    for part in ("Special tokens are hidden", "sink", "renormalized to sum to 1"):
        assert part in said
    sums = page.evaluate(
        "[...document.documentElement.explorer.views.matrix.sums.byRow]"
    )
    assert sums == pytest.approx([1] * len(sums), abs=1e-5)


def test_what_is_hidden_is_hidden_in_the_thumbnails_too(visit, folder):
    weights = np.full((1, 2, 4, 4), 0.05, np.float32)
    weights[0, 0, :, 0] = weights[0, 1, :, 3] = 0.85
    tokens = ["[CLS]", "a", "b", "."]
    one = AttentionMap("m", weights, query_tokens=tokens, key_tokens=tokens)
    path = explore(AttentionMaps([one])).save(folder / "special.html")
    page = visit(path, "#view=model")
    greatest = """() => {
      const { scene, views } = document.documentElement.explorer;
      const key = (head) => scene.viewKey(scene.about(), head);
      const small = (head) => views.model.shrunk.get(key(head));
      return [0, 1].map((head) => [small(head).width, small(head).greatest]);
    }"""
    assert page.evaluate(greatest) == [[4, pytest.approx(0.85)]] * 2
    page.check("#special")
    page.wait_for_selector("html[data-thumbnails=done]", state="attached")
    assert "Special tokens are hidden." in page.inner_text("#notes")
    # What stands out is said of all tokens.
    assert page.locator("#told-of").is_visible()
    hidden = [[3, pytest.approx(0.05, abs=0.004)], [3, pytest.approx(0.85)]]
    assert page.evaluate(greatest) == hidden
    # Of head 0 each row has 0.15 left, in steps of 0.85 / 128: so much may be missing.
    page.select_option("#head", "0")
    page.keyboard.press("2")
    said = page.locator("#precision")
    page.get_by_text("Little is left of some rows of this head").wait_for()
    of_head = page.inner_text("#panel-matrix .hint >> nth=0")
    assert of_head.endswith("(hidden tokens too)")
    assert re.search("may be off by up to 3 % of the sum of its row", said.inner_text())
    page.keyboard.press("5")
    said.get_by_text("0.39 % of its row's maximum").wait_for()
    page.get_by_text("Metrics are those of the network's own weights").wait_for()


def test_a_text_of_special_tokens_alone_may_be_hidden(visit, folder):
    tokens = ["[CLS]", "[SEP]"]
    half = np.full((1, 2, 2, 2), 0.5, np.float32)
    one = AttentionMap("m", half, query_tokens=tokens, key_tokens=tokens)
    path = explore(AttentionMaps([one])).save(folder / "none.html")
    page = visit(path, "#special=1")
    assert "No tokens are left to show" in page.inner_text("#notes")
    page.uncheck("#special")
    page.locator("#notes p").wait_for(state="detached")


@pytest.mark.parametrize(
    ("opened", "state", "shown"),
    [
        ({"layer": 2, "head": 1}, "", "Layer 2 decoder self-attention · head 1"),
        ({"layer": -1}, "", "Layer 3 decoder self-attention · head 0"),
        ({"head": -1}, "", "Layer 0 · head 2"),
        ({"layer": 2, "head": 1}, "#layer=1", "Layer 1 · head 0"),
    ],
)
def test_a_page_opens_on_the_head_it_is_made_for(visit, folder, opened, state, shown):
    path = explore(encoder_decoder(), **opened).save(folder / "opened.html")
    assert visit(path, state).text_content("#panel-matrix h2") == shown


def test_a_page_opens_with_the_options_of_pictures(visit, folder):
    look = Look(
        hide_special=True, hide_sinks=True, renormalize=True, scale="log", theme="dark"
    )
    request = Request(
        encoder_decoder(), look=look, output_dir=folder / "look", examples=1
    )
    path = visualize(request).files[EXPLORER]
    page = visit(path, color_scheme="light")
    assert page.inner_text("#theme") == "Theme: dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor")[4:6] == "20"
    flags = ("special", "sinks", "renormalize")
    assert page.input_value("#scale") == "log"
    assert all(page.is_checked(f"#{name}") for name in flags)
    assert "There are no special tokens to hide." in page.inner_text("#notes")
    page.uncheck("#special")
    page.wait_for_url(lambda url: "special=0" in url and "scale" not in url)
    page.reload()  # the address says what is not as the page opens
    assert [page.is_checked(f"#{name}") for name in flags] == [False, True, True]


def test_a_scale_that_the_page_does_not_have_is_said(folder):
    maps = encoder_decoder()
    said = "The scale “shared” is for static pictures: here a colour is the weight, and"
    for options, shown, notes in (
        ({}, "sqrt", ""),
        ({"scale": "log"}, "log", ""),
        ({"scale": "shared"}, "head", said),
    ):
        header = header_of(explore(maps, **options).save(folder / "scale.html"))
        assert header["shows"].pop("scale") == shown
        assert not any(header["shows"].values())
        assert " ".join(header["notes"])[: len(said)] == notes
    for option in ("scale", "theme"):
        with pytest.raises(ValueError, match=f"{option} is 'loud', not one of "):
            explore(maps, **{option: "loud"})


def test_a_page_says_no_folder_of_what_it_shows(folder):
    maps = replace(encoder_decoder(), source="/home/someone/secret/net.neural")
    other = replace(maps, source="C:\\home\\someone\\old\\net.neural")
    path = explore(maps, other=other).save(folder / "source.html")
    assert "someone" not in path.read_text()
    header = header_of(path)
    assert header["title"] == header["sources"][0]["source"] == "net.neural"
    labels = [source["label"] for source in header["sources"]]
    assert labels == ["secret/net.neural", "old/net.neural"]


LONG = (
    "The young engineer who had been hired in spring gave the old manager her notes, "
    "because he had lost his own copy."
)
BOXES = """() => {
  const box = (element) => {
    const { left, top, right, bottom, width } = element.getBoundingClientRect();
    return { left, top, right, bottom, shown: width > 0 };
  };
  const { views } = document.documentElement.explorer;
  const canvas = box(views.matrix.canvas);
  const { left, top, shown, rows, columns, cell } = views.matrix.place;
  return {
    size: [innerWidth, innerHeight],
    cards: [...document.querySelectorAll(".card")].map(box),
    words: [...document.querySelectorAll("#reading .words [role=button]")].map(box),
    cells: [rows, columns, cell],
    matrix: {
      left: canvas.left, right: canvas.left + left + shown.width,
      top: canvas.top, bottom: canvas.top + top + shown.height,
    },
  };
}"""


@pytest.fixture(scope="module")
def first_look(folder, minilm):
    """A page of MiniLM on 26 tokens, which its first screen is judged on."""
    request = Request(
        folder / "minilm.neural",
        backend="numpy",
        checkpoint=folder / "minilm.safetensors",
        texts=[LONG],
    )
    maps = capture(request).captured.maps
    assert maps.maps[0].weights.shape[2:] == (26, 26)
    return explore(maps).save(folder / "first_look.html")


def fits(box, size):
    return (
        box["left"] >= 0
        and box["top"] >= 0
        and box["right"] <= size[0]
        and box["bottom"] <= size[1]
    )


def test_the_first_screen_shows_what_stands_out_the_text_and_a_head(visit, first_look):
    page = visit(first_look)
    page.click("#more")  # folded, as a page opens
    page.wait_for_selector("#reading .words [role=button]", state="attached")
    seen = page.evaluate(BOXES)
    told = header_of(first_look)["sources"][0]["highlights"]
    assert 3 <= len(seen["cards"]) == len(told) <= 5
    assert len(seen["words"]) == 26
    assert seen["cells"][:2] == [26, 26]
    for box in [*seen["cards"], *seen["words"], seen["matrix"]]:
        assert fits(box, seen["size"]), box
    # every token has its label
    assert seen["cells"][2] >= 10
    assert page.get_by_text("No room for").is_hidden()
    assert page.locator("#told-of").is_hidden()
    page.set_viewport_size({"width": 330, "height": 700})
    page.get_by_text(
        "No room for 13 of 26 query labels and 13 of 26 key labels:"
    ).wait_for()
    page.keyboard.press("+")
    page.get_by_text("No room for").wait_for(state="hidden")


def test_a_phone_s_first_screen_shows_the_matrix(visit, first_look):
    page = visit(first_look, size=(390, 844))
    page.click("#more")
    seen = page.evaluate(BOXES)
    assert seen["size"] == [390, 844]
    assert fits(seen["matrix"], seen["size"])
    assert seen["cells"][2] >= 10
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_phone_s_list_of_layers_is_shown_in_full(visit, pages):
    page = visit(pages("encoder_decoder"), size=(390, 844))
    layers = page.locator("#layer option")
    assert layers.all_text_contents()[1:4] == ["1", "2 dec", "2 cross"]
    least = page.evaluate("""() => {
      const list = document.getElementById("layer");
      const width = list.offsetWidth;
      list.style = "width: max-content; max-width: none";
      return [width, list.offsetWidth];
    }""")
    assert least[0] == least[1]
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_text("2 · cross-attention").wait_for(state="attached")


@pytest.mark.parametrize(("light", "ground"), [("true", "255"), ("false", "20")])
def test_the_page_in_a_notebook_has_its_theme(browser, light, ground):
    page = browser.new_page(color_scheme="light")
    shown = explore(encoder_decoder())._repr_html_()
    page.set_content(f'<body data-jp-theme-light="{light}"><p>{shown}</p></body>')
    frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_selector("html[data-thumbnails=done]", state="attached")
    color = frame.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert color.startswith(f"rgb({ground},")


def test_a_sentence_leads_to_its_heads(visit, first_look, minilm):
    page = visit(first_look, "#layer=5&head=3&view=measures")
    told = header_of(first_look)["sources"][0]
    cards = page.locator(".card")
    for number, one in enumerate(told["highlights"]):
        card = cards.nth(number)
        said = card.locator("span").text_content()  # no line breaks inside 3e-20
        assert said.replace("\N{WORD JOINER}", "") == one["sentence"]
        map_number, head = one["heads"][0]
        card.click()
        heading = f"Layer {told['maps'][map_number]['layer']} · head {head}"
        assert page.text_content("#panel-matrix.shown h2") == heading
        assert card.get_attribute("aria-pressed") == "true"
        drawn = "e => e.getContext('2d').getImageData(0, 0, e.width, e.height).data"
        assert page.evaluate(
            f"e => new Set(({drawn})(e)).size > 2",
            card.locator("canvas").element_handle(),
        )
        if len(one["heads"]) > 1:
            card.click()  # once more: the next of its heads
            map_number, head = one["heads"][1]
            heading = f"Layer {told['maps'][map_number]['layer']} · head {head}"
            page.locator("#panel-matrix h2", has_text=heading).wait_for()
            assert f"2 of {len(one['heads'])}" in card.inner_text()


CUT = """() => [...document.querySelectorAll("#cards span")]
  .filter((e) => e.scrollHeight > e.clientHeight).length"""


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_each_sentence_can_be_read_in_full(visit, first_look, size):
    page = visit(first_look, size=size, has_touch=True)
    assert page.evaluate(CUT) > 0
    page.tap("#in-full")
    assert page.evaluate(CUT) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.focus("#in-full")
    page.keyboard.press("Enter")
    assert page.evaluate(CUT) > 0
    assert page.get_attribute("#in-full", "aria-expanded") == "false"


def test_sentences_that_fit_have_nothing_to_open(visit, pages):
    page = visit(pages("encoder_decoder"))
    assert page.evaluate(CUT) == 0
    assert page.is_hidden("#in-full")


def test_a_sentence_about_no_head_is_a_card_that_leads_nowhere(visit, folder):
    one = AttentionMaps.from_arrays({"m": np.ones((2, 1, 1), np.float32)}, ["a"])
    path = explore(one).save(folder / "one_token.html")
    (told,) = header_of(path)["sources"][0]["highlights"]
    assert told["heads"] == []
    page = visit(path)
    assert page.text_content("#cards") == told["sentence"]
    assert page.locator("#cards :is(button, canvas)").count() == 0
    for view in VIEWS:
        page.click(f"#tab-{view}")
        page.wait_for_selector(f"#panel-{view}.shown h2")


def test_what_is_not_analyzed_says_so(visit, folder):
    path = explore(encoder_decoder(), metrics="quick").save(folder / "quick.html")
    page = visit(path)
    said = "Not looked for: quick metrics were asked for."
    assert page.inner_text("#cards") == said
    assert page.locator("#panel-model select").count() == 0  # nor are there types


def test_the_text_shows_what_the_query_attends_to(visit, folder):
    weights = np.full((1, 1, 4, 4), 0.1, np.float32)
    weights[0, 0, :, 1] = [0.7, 0.7, 0.1, 0.1]
    weights[0, 0, 2:, 3] = 0.7
    tokens = ["the", "cat", "##s", "."]
    one = AttentionMap("m", weights, query_tokens=tokens, key_tokens=tokens)
    path = explore(AttentionMaps([one])).save(folder / "reading.html")
    page = visit(path)
    words = page.locator("#reading .words [role=button]")
    words.nth(3).wait_for()
    assert page.text_content("#reading .words").strip() == "the cats."
    strength = """words => words.map((word) => {
      const found = /, ([0-9.]+)\\)/.exec(getComputedStyle(word).backgroundColor);
      return found ? Number(found[1]) : 0;
    })"""
    words.nth(0).click()
    page.get_by_text("Colour: what “the” attends to, up to 0.7000.").wait_for()
    first = words.evaluate_all(strength)
    assert first[1] == max(first)
    assert first[1] == pytest.approx(7**0.5 * first[3], rel=0.1)
    words.nth(2).click()
    page.get_by_text("Colour: what “·s” attends to").wait_for()
    assert np.argmax(words.evaluate_all(strength)) == 3
    assert words.nth(2).get_attribute("aria-pressed") == "true"


def test_arabic_is_read_from_the_right_and_its_letters_join(visit, folder):
    tokens = ["[CLS]", "ج", "##ل", "##س", "##ت", "هنا", ".", "[SEP]"]
    one = AttentionMap(
        "m", softmax((1, 1, 8, 8)), query_tokens=tokens, key_tokens=tokens
    )
    page = visit(explore(AttentionMaps([one])).save(folder / "arabic.html"))
    text = page.locator("#reading .words")
    text.wait_for()
    assert text.text_content().strip() == "[CLS] جلست هنا. [SEP]"
    # Letters that stand alone are wider than those of a word.
    found = text.evaluate(
        """text => {
          const [, word] = text.children;
          const whole = word.cloneNode();
          whole.textContent = word.textContent;
          const split = word.getBoundingClientRect();
          const marks = [text.firstElementChild, text.lastElementChild];
          const [first, last] = marks.map((one) => one.getBoundingClientRect().left);
          word.replaceWith(whole);
          return [split.width, whole.getBoundingClientRect().width, first > last];
        }"""
    )
    assert found[0] == pytest.approx(found[1], abs=0.5)
    assert found[2]


def test_two_texts_are_read_apart(visit, pages):
    page = visit(pages("encoder_decoder"), "#layer=2&kind=cross&head=0&query=1")
    page.wait_for_selector("#reading .words")
    texts = page.locator("#reading .words").all_text_contents()
    assert [text.strip() for text in texts] == ["Die Katze saß da.", "The cat sat."]


def test_heads_stand_by_what_they_do(visit, first_look):
    page = visit(first_look, "#view=model")
    page.locator("#panel-model select").select_option("type")
    arrive(page, "order=type")
    types = [one["types"] for one in header_of(first_look)["sources"][0]["maps"]]
    buttons = page.locator("#panel-model .heads button").evaluate_all(
        "all => all.map((one) => one.dataset.tag.split('·').map(Number))"
    )
    shown = [types[layer][head] for layer, head in buttons]
    assert len(shown) == 72
    kinds = list(dict.fromkeys(shown))
    assert shown == [kind for kind in kinds for _ in range(shown.count(kind))]
    counts = [shown.count(kind) for kind in kinds]
    assert counts == sorted(counts)
    root = ElementTree.fromstring(saved(page, "#save-svg")[1])
    assert root.tag.endswith("svg")


def test_sums_of_rows_are_drawn_only_where_they_tell_something(visit, folder):
    shares = softmax((1, 1, 4, 4))
    parts = AttentionMap("b", shares * 0.5, rows="parts")
    path = explore(AttentionMaps([AttentionMap("a", shares), parts]))
    page = visit(path.save(folder / "sums.html"), "#layer=0&head=0")
    tells = "document.documentElement.explorer.views.matrix.sums.tellRows"
    assert page.evaluate(tells) is False
    assert "what each key receives" in page.inner_text("#panel-matrix .readout")
    page.keyboard.press("ArrowDown")
    page.get_by_text("Bars: sums of rows and columns").wait_for()
    assert page.evaluate(tells) is True


def test_sentences_of_a_pair_are_told_apart(visit, folder):
    tokens = "[CLS] a b [SEP] c d [SEP]".split()
    weights = softmax((1, 2, 7, 7))
    one = AttentionMap("m", weights, query_tokens=tokens, key_tokens=tokens)
    path = explore(AttentionMaps([one])).save(folder / "pair.html")
    page = visit(path, "#layer=0&head=0")
    page.select_option("#pair", "AB")
    page.get_by_text("Only sentence A to sentence B.").wait_for()
    shown = page.evaluate(
        """async () => {
          const view = await document.documentElement.explorer.scene.view();
          return [view.rows.labels, view.columns.labels, [...view.values]];
        }"""
    )
    assert shown[:2] == [["[CLS]", "a", "b", "[SEP]"], ["c", "d", "[SEP]"]]
    exact = weights[0, 0]
    error = np.abs(np.reshape(shown[2], (4, 3)) - exact[:4, 4:])
    assert (error <= exact[:4].max(-1, keepdims=True) / 255).all()


def test_untrained_weights_are_said(visit, pages):
    page = visit(pages("encoder_decoder"))
    assert "means nothing" in page.text_content("#notes")


def test_examples_of_a_batch_are_chosen(visit, pages):
    page = visit(pages("minilm"))
    page.select_option("#example", "1")
    page.get_by_text("6 tokens").wait_for()
    page.wait_for_url(lambda url: "example=1" in url)


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize("view", [*VIEWS, "compare"])
def test_every_view_is_saved(visit, pages, view):
    page = visit(pages("two"), f"#layer=1&head=1&view={view}")
    page.wait_for_selector(f"#panel-{view}.shown h2")
    name, svg = saved(page, "#save-svg")
    root = ElementTree.fromstring(svg)
    assert name.startswith(f"attention_{view}")
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("translate.neural" in (text or "") for text in texts)
    _, png = saved(page, "#save-png")
    assert png.startswith(b"\x89PNG")
    _, csv = saved(page, "#save-csv")
    lines = csv.decode("utf-8-sig").strip().split("\r\n")
    assert len(lines) > 3
    if view == "matrix":
        assert "cat" in texts
        assert lines[0] == "query,token,The,cat,sat,."
        numbers = [float(cell) for cell in lines[2].split(",")[2:]]
        exact = encoder_decoder().maps[1].weights[0, 1, 1]
        assert np.abs(np.array(numbers) - exact).max() <= exact.max() / 255


def blurred(png):
    """Brightness, 0 to 1, of a picture as 40 x 40 areas: fonts differ in detail."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return (
        np.asarray(on_white.convert("L").resize((40, 40), Image.Resampling.BOX)) / 255
    )


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="librsvg is missing")
@pytest.mark.parametrize("view", ["matrix", "head"])
def test_librsvg_draws_an_svg_as_the_browser_does(visit, pages, browser, view):
    page = visit(pages("minilm"), f"#layer=1&head=1&query=3&view={view}")
    page.wait_for_selector(f"#panel-{view}.shown h2")
    _, svg = saved(page, "#save-svg")
    root = ElementTree.fromstring(svg)
    size = {side: round(float(root.get(side))) for side in ("width", "height")}
    drawn = subprocess.run(["rsvg-convert"], input=svg, capture_output=True, check=True)
    shown = browser.new_page(viewport=size)
    shown.set_content(f"<body style='margin:0'>{svg.decode()}</body>")
    mine, theirs = blurred(shown.screenshot()), blurred(drawn.stdout)
    shown.close()
    assert mine.min() < 0.9
    assert np.abs(mine - theirs).max() < 0.15
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.97


def test_hostile_tokens_are_text_everywhere(visit, folder):
    count = len(HOSTILE)
    one = AttentionMap(
        "a",
        softmax((1, 2, count, count)),
        query_tokens=HOSTILE,
        key_tokens=HOSTILE,
    )
    title = "<script>document.title='owned'</script>"
    path = explore(AttentionMaps([one]), title=title).save(folder / "hostile.html")
    page = visit(path)
    for number in range(1, 6):
        page.keyboard.press(str(number))
        page.wait_for_timeout(60)
    page.keyboard.press("2")
    page.click("#panel-matrix summary")
    page.keyboard.press("4")
    page.get_by_text("</script>").first.wait_for(state="attached")
    assert page.title().startswith(title)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == len(one.weights[0]) + 2
    _, svg = saved(page, "#save-svg")
    ElementTree.fromstring(svg)


def test_a_spike_survives_in_a_long_text(visit, folder):
    weights = softmax((1, 1, 1600, 1600), 3) * 0.001
    weights[0, 0, 1234, 77] = 0.7
    detail = Detail(longest=1000, rows=[5])
    path = write_explorer(
        [AttentionMap("m", weights)], folder / "long.html", detail=detail
    )
    page = visit(path)
    assert "greatest weight of 4 × 4" in page.text_content("#notes")
    values = page.evaluate(
        """async () => {
          const { scene, views } = document.documentElement.explorer;
          const view = await scene.view();
          const row = Math.floor(1234 / 4) * 400 + Math.floor(77 / 4);
          const key = [...view.weights.row(1234)].indexOf(view.greatest);
          const small = [...views.model.shrunk.values()][0].greatest;
          return [view.values[row], view.greatest, key, small, view.weights.row(5)[3]];
        }"""
    )
    assert values[:4] == pytest.approx([0.7, 0.7, 77, 0.7])
    page.select_option("#query", "1234")
    page.click("#tab-head")
    page.locator("#panel-head .readout").get_by_text("77").wait_for()
    assert page.evaluate("document.querySelector('.lines').scrollTop") > 10_000
    assert values[4] == weights[0, 0, 5, 3]


def test_a_long_text_by_sentences_and_its_exact_head(visit, folder):
    count = 600
    tokens = ["[CLS]", *(f"w{n}" + "." * (n % 40 == 0) for n in range(1, count))]
    weights = softmax((1, 2, count, count), 4)
    one = AttentionMap("m", weights, query_tokens=tokens, key_tokens=tokens)
    detail = Detail(longest=500, heads=[("m", 1)])
    page = visit(write_explorer([one], folder / "units.html", detail=detail))
    assert page.is_disabled("#special")
    assert page.is_disabled("#unit option[value=word]")
    assert "need every weight: words, hiding" in page.text_content("#notes")
    page.select_option("#unit", "sentence")
    page.get_by_text("by sentence nothing is left out").wait_for()
    view = """async () => {
      const { scene } = document.documentElement.explorer;
      const { values, rows, columns } = await scene.view();
      return [[...values], rows.members.map((m) => m[0]), columns.labels.length];
    }"""
    values, starts, width = page.evaluate(view)
    exact = group_head(weights[0, 0], np.array(starts), np.array(starts))
    error = np.abs(np.reshape(values, (len(starts), width)) - exact)
    assert (error <= exact.max(-1, keepdims=True) / 255).all()
    for key in "345":
        page.keyboard.press(key)
    page.click("#tab-token")
    page.locator("#panel-token .grid td button").first.wait_for()
    page.select_option("#head", "1")
    page.get_by_text("This head is kept in full").wait_for()
    page.check("#special")
    page.select_option("#unit", "word")
    page.get_by_text("Special tokens are hidden.").wait_for()
    values, starts, width = page.evaluate(view)
    assert (starts[0], width) == (1, count - 1)
    page.select_option("#head", "0")
    page.get_by_text("Off, as they need every weight").wait_for()
    assert page.evaluate(view)[2] == 300


def test_a_notebook_s_frame_works_and_several_stand_side_by_side(browser, folder):
    shown = "".join(explore(encoder_decoder())._repr_html_() for _ in range(2))
    path = folder / "notebook.html"
    path.write_text(f"<!DOCTYPE html><p>cells</p>{shown}")
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    for frame in page.frames[1:]:
        frame.wait_for_selector("html[data-thumbnails=done]", state="attached")
        frame.click("#tab-head")
        frame.wait_for_selector("#panel-head.shown h2")
    assert len(page.frames) == 3
    assert problems == []
    page.close()


# What stands around a notebook's output: a frame from nowhere, as in Colab; and the
# policy of VS Code's outputs, which the page inherits and must live with.
SURROUNDINGS = {
    "sandbox": lambda shown: (
        f'<iframe sandbox="allow-scripts allow-downloads" srcdoc="{escape(shown)}" '
        'width="1200" height="800"></iframe>'
    ),
    "policy": lambda shown: (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "script-src https: 'unsafe-inline' 'unsafe-eval'; style-src https: "
        "'unsafe-inline'; img-src https: http: data:; child-src https: data:"
        f'">{shown}'
    ),
}


@pytest.mark.parametrize("around", SURROUNDINGS)
def test_the_frame_works_where_notebooks_put_it(browser, folder, around):
    shown = explore(encoder_decoder())._repr_html_()
    path = folder / f"{around}.html"
    path.write_text(f"<!DOCTYPE html>{SURROUNDINGS[around](shown)}")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri())
    # a frame in a sandbox lives in a process of its own, and may come later than `load`
    depth = {"sandbox": 2, "policy": 1}[around]
    for _ in range(600):
        if len(page.frames) > depth:
            break
        page.wait_for_timeout(50)
    frame = page.frames[-1]
    frame.wait_for_selector("html[data-thumbnails=done]", state="attached")
    assert frame.evaluate("origin") == "null"
    frame.click("#tab-head")
    frame.wait_for_selector("#panel-head.shown h2")
    frame.click("#more")
    with page.expect_download() as download:
        frame.click("#save-png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    assert problems == []
    page.close()


def test_a_window_that_changes_before_the_maps_are_read(browser, pages):
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # the page listens before it has decoded anything
    page.add_init_script(
        """const listen = window.addEventListener;
        window.addEventListener = function (name, ...rest) {
          listen.call(this, name, ...rest);
          if (name === "resize") window.dispatchEvent(new Event("resize"));
        };"""
    )
    page.goto(pages("minilm").as_uri())
    page.wait_for_selector("html[data-thumbnails=done]", state="attached")
    assert problems == []
    page.close()


def test_a_phone_shows_every_view(visit, pages):
    page = visit(pages("minilm"))
    page.set_viewport_size({"width": 360, "height": 740})
    for number in range(1, 6):
        page.keyboard.press(str(number))
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # what is chosen is in sight, in rows that scroll
        chosen = page.locator("#tabs [aria-selected=true]").bounding_box()
        assert chosen["x"] >= 0
        assert chosen["x"] + chosen["width"] <= 360
    last = page.locator(".card").last
    last.evaluate("card => card.click()")
    box = last.bounding_box()
    assert box["x"] + box["width"] <= 360


def test_two_fingers_zoom_a_matrix_and_one_moves_it(visit, pages):
    page = visit(pages("minilm"), has_touch=True)
    page.set_viewport_size({"width": 360, "height": 740})
    canvas = page.locator("#panel-matrix canvas[role]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + 200, box["y"] + 180
    touches = page.context.new_cdp_session(page)

    def touch(kind, *points):
        told = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(points)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    zoom = "document.documentElement.explorer.views.matrix.zoom"
    touch("touchStart", (x - 20, y), (x + 20, y))
    for far in range(25, 65, 5):
        touch("touchMove", (x - far, y), (x + far, y))
    touch("touchEnd")
    assert page.evaluate(f"{zoom}.scale") == pytest.approx(3, rel=0.1)
    before = page.evaluate(zoom)
    touch("touchStart", (x, y))
    for far in range(5, 45, 5):
        touch("touchMove", (x - far, y - far))
    touch("touchEnd")
    after = page.evaluate(zoom)
    assert after["scale"] == before["scale"]
    assert after["x"] - before["x"] == pytest.approx(40, abs=6)


@pytest.fixture(scope="module")
def axe():
    return axe_source()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_accessibility_checker_finds_nothing(visit, pages, axe, scheme):
    page = visit(pages("two"), "#layer=1&head=1&query=1", color_scheme=scheme)
    page.evaluate(axe)
    for view in (*VIEWS, "compare"):
        page.click(f"#tab-{view}")
        page.wait_for_selector(f"#panel-{view}.shown h2")
        for closed in page.locator(f"#panel-{view} details:not([open]) summary").all():
            closed.click()
        # what stands around the panels is the same for all of them
        where = "document" if view == VIEWS[0] else f"'#panel-{view}'"
        found = page.evaluate(f"axe.run({where}, {{ resultTypes: ['violations'] }})")
        told = [
            (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
            for one in found["violations"]
        ]
        assert told == [], json.dumps(told, indent=1)


# --- images ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image_page(folder):
    return explore(seen_maps(), precision="full").save(folder / "image.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_image_is_shown_with_what_looks_where(visit, image_page, axe, scheme):
    page = visit(image_page, "#layer=1&head=1&view=image", color_scheme=scheme)
    title = page.locator("#panel-image h2")
    assert title.inner_text() == "What [CLS] attends to: Layer 1 · head 1"
    maps = seen_maps()
    weights, before = maps["layer_1"][0], maps["layer_0"][0]
    captions = page.locator("#panel-image figcaption")
    best = int(weights[1, 0, 1:].argmax())
    assert maps.pictures[0].tokens[best + 1] in captions.nth(0).inner_text()
    page.locator("#panel-image canvas").first.click(position={"x": 5, "y": 100})
    arrive(page, "query=4&view=image")
    assert title.inner_text() == "What r2c1 attends to: Layer 1 · head 1"
    lines = saved(page, "#save-csv")[1].decode("utf-8-sig").strip().split("\r\n")
    found = sorted([float(c) for c in line.split(",")[2:]] for line in lines[1:])
    # rollout by hand: (A + I) / 2 of each layer, multiplied
    first, second = ((w.mean(0) + np.eye(7)) / 2 for w in (before, weights))
    exact = [weights[1, 4], weights[1].mean(0), (second @ first)[4]]
    np.testing.assert_allclose(
        found, sorted(map(list, zip(*exact, strict=True))), atol=1e-6
    )
    assert saved(page, "#save-png")[1].startswith(b"\x89PNG")
    page.click("#panel-image summary")
    page.evaluate(axe)
    found = page.evaluate("axe.run('#panel-image', { resultTypes: ['violations'] })")
    assert found["violations"] == []


def test_colours_lie_where_the_weights_are(visit, image_page):
    page = visit(image_page, "#layer=0&head=0&view=image&scale=head")
    page.wait_for_selector("#panel-image canvas")
    shot = io.BytesIO(page.locator("#panel-image canvas").first.screenshot())
    pixels = np.asarray(Image.open(shot).convert("RGB"), float)
    high, wide = pixels.shape[0] // 2, pixels.shape[1] // 3
    # what is red is what is attended to; the image below is grey
    redness = pixels[..., 0] - pixels[..., 2]
    cells = redness[: 2 * high, : 3 * wide].reshape(2, high, 3, wide).mean((1, 3))
    weights = seen_maps()["layer_0"][0, 0, 0, 1:]
    assert cells.argmax() == weights.argmax()
    assert cells.ravel()[weights.argmin()] < 40 < cells.max()


def test_without_an_image_there_is_no_such_view(visit, pages):
    page = visit(pages("encoder_decoder"), "#view=image")
    assert page.is_hidden("#tab-image")
    assert page.get_attribute("#tab-matrix", "aria-selected") == "true"
