"""The architecture drawing: what it says, how it is wired, that it is safe."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from neural_attn.architecture.draw import (
    architecture_html,
    architecture_text,
    draw_architecture,
)
from neural_attn.architecture.nodes import block_nodes, network_nodes
from neural_attn.compile import check_text
from neural_attn.figures.palette import DARK, LIGHT
from neural_attn.figures.svg import packed, text_width, wrapped

SVG = "{http://www.w3.org/2000/svg}"

BASIC = """network Basic {
  input: (50,)
  layers:
    Embedding(1000, 64)
    TransformerEncoder(num_heads=4, ff_dim=128) * 6
    GlobalAveragePooling1D()
    Output(2, "softmax")
}"""
BERT = """network Bert {
  input: { input_ids: (16,), token_type_ids: (16,), attention_mask: (16,) }
  layers:
    TransformerEmbedding(vocab_size=30522, d_model=24)
    TransformerEncoder(num_heads=12, ff_dim=96, activation="gelu")
    TransformerEncoder(num_heads=12, ff_dim=96, activation="gelu")
    GlobalAveragePooling1D()
}"""
RESIDUAL = """network R {
  input: (6, 8)
  layers: Dense(8) LayerNormalization() Dense(16) Dense(8) Add() Dense(2)
}"""
LONG = "A" + "VeryLong" * 20
LONG_NAMES = f"""define {LONG}(units = 8) {{ Dense(units=$units) Dense($units) }}
network {LONG}Net {{
  input: (6, 8)
  layers: {"my_layer_" * 20} = {LONG}() {LONG}(units=8)
}}"""
PLAIN = "network P { input: (6, 8) layers: Dense(8) }"
DEEP = (
    "network Deep { input: (6, 8) layers: "
    + 'Dense(8, "relu") Dropout(0.1) ' * 20
    + "}"
)

ALL = {
    "basic": BASIC,
    "bert": BERT,
    "residual": RESIDUAL,
    "long": LONG_NAMES,
    "plain": PLAIN,
    "deep": DEEP,
}


def checked(text, name="net.neural"):
    (network,), _ = check_text(text, name)
    return network


def drawing(text):
    return ET.fromstring(draw_architecture(checked(text)))


def words(svg):
    """Every line of text with its place and size."""
    for element in svg.iter(f"{SVG}text"):
        line = "".join(element.itertext())
        size = float(element.get("font-size"))
        yield line, float(element.get("x")), float(element.get("y")), size, element


def wires(svg, kind):
    """The connections of a kind, as "from → to"."""
    return [
        path.find(f"{SVG}title").text
        for path in svg.iter(f"{SVG}path")
        if path.get("class") == kind and "→" in path.findtext(f"{SVG}title", "")
    ]


@pytest.mark.parametrize("name", ALL)
def test_drawing_says_every_layer_shape_and_count(name):
    network = checked(ALL[name])
    lines = [line for line, *_ in words(drawing(ALL[name]))]
    said = re.sub(r"\s", "", "".join(lines))
    for node in network_nodes(network):
        assert node.title.replace(" ", "") in said
        # a mask beside its input has no row of its own
        assert node.beside or re.sub(r"\s", "", node.shape) in said
        for argument in node.arguments:
            assert re.sub(r"\s", "", argument) in said
        if node.kind == "layer":
            assert f"{node.parameters:,}" in lines
    assert f"{network.root.parameter_count:,}" in lines


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_cut_off(name):
    svg = drawing(ALL[name])
    width, height = float(svg.get("width")), float(svg.get("height"))
    for line, x, y, size, element in words(svg):
        letter = 0.5  # narrower than any font draws it: the layout plans for more
        long = text_width(line, size, letter)
        start = {"end": x - long, "middle": x - long / 2}.get(
            element.get("text-anchor"), x
        )
        assert start >= 0, line
        assert start + long <= width, line
        assert size < y < height, line
    for rect in svg.iter(f"{SVG}rect"):
        x, y, w, h = (
            float(rect.get(key) or 0) for key in ("x", "y", "width", "height")
        )
        assert x >= 0
        assert x + w <= width
        assert y + h <= height


@pytest.mark.parametrize("name", ALL)
def test_cards_do_not_overlap(name):
    cards = [
        (float(r.get("y")), float(r.get("y")) + float(r.get("height")))
        for r in drawing(ALL[name]).iter(f"{SVG}rect")
        if "card" in r.get("class", "").split() and r.get("rx") == "8"
    ]
    tops = sorted(set(cards))
    stacked = [(a, b) for a, b in pairwise(tops) if b[0] - a[0] > 8]
    assert all(below[0] > above[1] for above, below in stacked)


def test_repeats_are_one_stack_of_cards():
    svg = drawing(BASIC)
    lines = [line for line, *_ in words(svg)]
    assert lines.count("TransformerEncoder") == 1
    assert "× 6" in lines
    assert "transformer_encoder_0 … transformer_encoder_5" in lines
    each = checked(BASIC.replace(" * 6", "")).root.children["transformer_encoder_0"]
    assert f"6 × {each[0].parameter_count:,}" in lines


def test_attention_is_marked_by_words():
    lines = [line for line, *_ in words(drawing(BASIC))]
    # on the encoder and on the attention inside it
    assert lines.count("self-attention, 4 heads") == 2
    lines = [line for line, *_ in words(drawing(RESIDUAL))]
    assert not any("attention," in line for line in lines)
    assert "no attention; 1.5 kB of weights as float32" in lines


def test_block_is_opened_where_it_first_occurs():
    lines = [line for line, *_ in words(drawing(BERT))]
    assert lines.count("LayerNormalization attention_norm".replace(" ", "")) == 1
    assert "built like transformer_encoder_0" in lines


def test_residuals_inside_a_block_are_wired():
    skips = wires(drawing(BASIC), "skip")
    assert "the input → x + residual_dropout(attended)" in skips
    assert "attention_norm → x + residual_dropout(feed_forward(x))" in skips


def test_a_residual_of_the_chain_is_wired():
    assert wires(drawing(RESIDUAL), "skip") == ["layer_normalization_0 → add_0"]


def test_side_inputs_are_wired():
    svg = drawing(BERT)
    assert sorted(wires(svg, "side")) == [
        "padding_mask → global_average_pooling1d_0",
        "padding_mask → transformer_encoder_0",
        "padding_mask → transformer_encoder_1",
        "token_type_ids → transformer_embedding_0",
    ]
    straight = wires(svg, "wire")
    assert "input_ids → transformer_embedding_0" in straight
    assert "attention_mask → padding_mask" in straight


def test_a_side_input_does_not_cross_the_mask_beside_it():
    svg = drawing("""network N {
      input: { source: (6,), target: (6,) }
      layers:
        source: { Embedding(10, 8, mask_zero=true) TransformerEncoder(2, 16) }
        target: { Embedding(10, 8, mask_zero=true) TransformerDecoder(2, 16) }
    }""")
    (path,) = (
        path.get("d")
        for path in svg.iter(f"{SVG}path")
        if path.findtext(f"{SVG}title") == "target → embedding_1"
    )
    tops = [
        (float(box.get("y")), float(box.get("y")) + float(box.get("height")))
        for box in svg.iter(f"{SVG}rect")
        if box.get("class") == "pill"
    ]
    turned = float(re.search(r"Q\S+ (\S+)", path)[1])
    assert tops
    assert all(not top <= turned <= bottom for top, bottom in tops)


def test_nodes_of_a_block_follow_its_conditions():
    before = checked(BASIC.replace("ff_dim=128", "ff_dim=128, norm_first=true"))
    names = [
        [n.name for n in block_nodes(network.root.children[layer][0]) if n.name]
        for network in (before, checked(BASIC))
        for layer in ("transformer_encoder_layers",)
    ]
    assert names[0][0] == "attention_norm"
    assert names[1][0] == "attention"


def test_inputs_of_self_attention_are_one_node():
    attention = checked(
        "network A { input: (6, 8) layers: MultiHeadAttention(2) }"
    ).root.children["multi_head_attention_0"][0]
    first = block_nodes(attention)[0]
    assert (first.kind, first.title) == ("input", "query = key = value")


HOSTILE = '''
define B(a) {
  """</script><b onclick=x>&"""
  layers: d = Dense(8)
  forward(x):
    # <script>alert(1)</script>
    if a == "<i>" { return d(x) }
    return x
}
network N { input: (6, 8) layers: B("<i>") }
'''


def test_what_strangers_write_is_escaped():
    network = checked(HOSTILE, "<script>alert(2)</script>\x1b[31m\u202e.neural")
    svg, page = draw_architecture(network), architecture_html(network)
    ET.fromstring(svg)
    for found in (svg, page, architecture_text(network)):
        assert "\x1b" not in found
        assert "\u202e" not in found
    for found in (svg, page):
        assert "<script" not in found
        assert "<i>" not in found
        assert "<b onclick" not in found


class Page(HTMLParser):
    """Notes tags, attributes and the rows of tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.rows = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1] += data + " "


def test_page_stands_alone():
    text = architecture_html(checked(BERT))
    page = Page(text)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    loads = [value for key, value in page.attributes if key in ("src", "href")]
    assert loads == []
    assert "default-src 'none'" in text
    assert page.tags.count("title") >= 1
    assert "<title>Architecture of Bert</title>" in text


def test_page_has_the_facts_as_a_table():
    network = checked(BERT)
    page = Page(architecture_html(network))
    for node in network_nodes(network):
        row = next(r for r in page.rows if (node.name or node.title) in r.split())
        assert node.shape in row
        assert node.kind != "layer" or f"{node.parameters:,}" in row


def test_page_opens_every_block():
    page = architecture_html(checked(BERT))
    opened = re.findall(r"<summary><strong>(\w+)", page)
    assert opened == [
        "TransformerEmbedding",
        "TransformerEncoder",
        "MultiHeadAttention",
        "FeedForward",
    ]
    assert "return output_projection(merge_heads(context))" in page


def test_light_and_dark():
    svg = draw_architecture(checked(PLAIN))
    assert "prefers-color-scheme: dark" in svg
    assert "url(" not in svg
    assert "@import" not in svg


@pytest.mark.parametrize("draw", [draw_architecture, architecture_html])
def test_dark_is_dark_for_every_reader(draw):
    for theme, grounds in (("dark", {DARK}), ("light", {LIGHT, DARK})):
        drawn = draw(checked(BERT), theme)
        papers = set(re.findall(r"paper { fill: (#\w+)", drawn))
        assert papers == {one.ground for one in grounds}
        assert ("prefers-color-scheme" in drawn) is (theme == "light")


TABLE = """\
Small (small.neural)

layer        output shape   parameters  type
--------------------------------------------
inputs       (batch, 6)                 input
embedding_0  (batch, 6, 4)          40  Embedding(input_dim=10, output_dim=4)
dropout_0    (batch, 6, 4)           0  Dropout(rate=0.1)
ff_0 … ff_1  (batch, 6, 4)          80  FF × 2
  dense_0    (batch, 6, 4)          20  Dense(units=4)
  dense_1    (batch, 6, 4)          20  Dense(units=4)
--------------------------------------------
total        (batch, 6, 4)         120  no attention; 0.5 kB of weights as float32"""


def test_table_for_the_terminal():
    text = """define FF() { Dense(4) Dense(4) }
    network Small { input: (6,) layers: Embedding(10, 4) Dropout(0.1) FF() * 2 }"""
    assert architecture_text(checked(text, "small.neural")) == TABLE


def test_same_drawing_every_time():
    assert draw_architecture(checked(BERT)) == draw_architecture(checked(BERT))


def test_a_thousand_layers_are_drawn():
    text = PLAIN.replace("Dense(8)", "TransformerEncoder(2, 4) " * 1_000)
    svg = drawing(text)
    assert sum(line == "TransformerEncoder" for line, *_ in words(svg)) == 1_000


@pytest.mark.parametrize("width", [40, 100, 300])
@pytest.mark.parametrize(
    "text", ["", "a", "TransformerEncoder", "x" * 500, "a, b, c_d"]
)
def test_wrapping_loses_nothing_and_fits(text, width):
    lines = wrapped(text, width, 12)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, 12) <= max(width, 48) for line in lines)


def test_arguments_break_between_each_other():
    assert packed(("units=8", "use_bias=true"), 110, 12) == [
        "units=8,",
        "use_bias=true",
    ]
    assert packed((), 110, 12) == []


def test_what_a_rule_sets_is_shown_as_its_value():
    svg = drawing(
        "network D { input: (none,) layers: Embedding(9, 8) TransformerEncoder(1, 8) "
        "TransformerDecoder(1, 8) }"
    )
    said = " ".join(line for line, *_ in words(svg))
    assert "with_memory=true" in said
    assert "with_memory=Transformer" not in said
