"""What the author's words come to: names, arguments, chains, copies of the prelude."""

from importlib.resources import files

import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text, choose
from neural_attn.diagnostics.errors import NeuralError
from tests.every_backend import EVERY

PRELUDE = files("neural_attn.grammar").joinpath("prelude.neural").read_text("utf-8")


def network(layers, shape="(6, 8)", before=""):
    (found,), _ = check_text(
        f"{before}\nnetwork A {{ input: {shape} layers: {layers} }}", "a.neural"
    )
    return found


def arguments(layers, before=""):
    """The values of the network's first layer."""
    return next(iter(network(layers, before=before).root.children.values()))[0].values


NETWORKS = {
    "encoder": """network A {
      input: (12,)
      layers:
        Embedding(20, 8)
        PositionalEncoding()
        TransformerEncoder(num_heads=2, ff_dim=16, norm_first=true) * 2
        GlobalAveragePooling1D()
        Output(2)
    }""",
    "bert": """network A {
      input: { input_ids: (6,), token_type_ids: (6,), attention_mask: (6,) }
      layers:
        TransformerEmbedding(vocab_size=20, d_model=8)
        TransformerEncoder(num_heads=2, ff_dim=16, activation="gelu") * 2
    }""",
    "decoder": """network A {
      input: (12,)
      layers: Embedding(20, 8) TransformerDecoder(2, 16) Dense(20)
    }""",
}


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", NETWORKS)
def test_built_in_blocks_have_no_privilege(name, backend):
    """An author's copy of the prelude gives the same code, byte for byte."""
    (own,), _ = check_text(f"{PRELUDE}\n{NETWORKS[name]}", "a.neural")
    (built_in,), _ = check_text(NETWORKS[name], "a.neural")
    assert emit(own, get(backend)) == emit(built_in, get(backend))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dense(8)", "Dense(8)"),
        ("Dense(units: 8)", "Dense(8)"),
        ("Dense(units=8,)", "Dense(8)"),
        ("Dense(4 * 2)", "Dense(8)"),
        ("Dense(2 ** 3)", "Dense(8)"),
        ("Dense((8))", "Dense(8)"),
        ("Dense(8);", "Dense(8)"),
        ("[Dense(8), Dropout(0.1)]", "Dense(8) Dropout(0.1)"),
        ('Dense(8, activation="relu")', "Dense(8, 'relu')"),
        ("Dropout(rate=.5)", "Dropout(5e-1)"),
        ("TransformerEncoder(2, 16)", "TransformerEncoder(num_heads=2, ff_dim=16)"),
        ("TransformerEncoder(2, dff=16)", "TransformerEncoder(2, 16)"),
        ("TransformerEncoder(2, 16, dropout_rate=0)", "TransformerEncoder(2, 16, 0)"),
        ("TransformerEncoder(2, 16, num_layers=3)", "TransformerEncoder(2, 16) * 3"),
        ("TransformerEncoder(2, 16, num_blocks=3)", "TransformerEncoder(2, 16) * 3"),
    ],
)
def test_two_ways_to_write_one_thing(written, meant):
    one, two = network(written).root, network(meant).root
    assert list(one.children) == list(two.children)
    for left, right in zip(one.children.values(), two.children.values(), strict=True):
        assert [part.values for part in left] == [part.values for part in right]


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("Dense(8) Dense(8)", ["dense_0", "dense_1"]),
        ("first = Dense(8) Dense(8)", ["first", "dense_0"]),
        ("Dense(8) Dropout(0.1) Dense(8)", ["dense_0", "dropout_0", "dense_1"]),
        ("Dense(8) * 3 Dense(8)", ["dense_0", "dense_1", "dense_2", "dense_3"]),
        ("mine = Dense(8) * 2", ["mine_0", "mine_1"]),
    ],
)
def test_layers_are_numbered_by_type(layers, names):
    root = network(layers).root
    found = [
        root.uses[name].part_name(i)
        for name, parts in root.children.items()
        for i in range(len(parts))
    ]
    assert found == names


@pytest.mark.parametrize(
    ("call", "values"),
    [
        ("B()", {"units": 4, "double": 8, "rate": 0.25}),
        ("B(6)", {"units": 6, "double": 12, "rate": 0.25}),
        ("B(6, rate=0)", {"units": 6, "double": 12, "rate": 0}),
        ("B(rate=1, double=3)", {"units": 4, "double": 3, "rate": 1}),
    ],
)
def test_parameters_and_their_defaults(call, values):
    own = """define B(units = 4, double = units * 2, rate = 1 / 4.0) {
      layers: a = Dense(double) b = Dense(units) drop = Dropout(rate)
      forward(x): return drop(b(a(x)))
    }"""
    assert arguments(call, own) == values


@pytest.mark.parametrize("flag", ["true", "false"])
def test_conditions_choose_layers(flag):
    own = """define B(deep) {
      layers:
        if deep { d = Dense(8) } else { drop = Dropout(0.1) }
      forward(x):
        if deep { return d(x) }
        return drop(x)
    }"""
    block = network(f"B({flag})", before=own).root.children["b_0"][0]
    assert list(block.children) == (["d"] if flag == "true" else ["drop"])


def test_a_layer_that_is_never_called_leaves_nothing():
    own = """define B() {
      layers: used = Dense(8) unused = Dense(8)
      forward(x): return used(x)
    }"""
    found = network("B()", before=own)
    names = [name for name, _ in found.root.named_weights()]
    assert names == ["b_0.used.weight", "b_0.used.bias"]
    assert "unused" not in emit(found, get("numpy"))


def test_recursion_through_others_is_refused():
    own = "define A1() { B1() }\ndefine B1() { C1() }\ndefine C1() { A1() }"
    with pytest.raises(NeuralError) as caught:
        network("A1()", before=own)
    (problem,) = [d for d in caught.value.diagnostics if d.code == "E0210"]
    assert problem.message == "`A1` contains itself"
    assert problem.hint == "`A1` inside `C1` inside `B1` inside `A1`"


def test_several_networks_in_a_file():
    text = "".join(
        f"network N{i} {{ input: (4, 4) layers: Dense({i}) }}\n" for i in (1, 2, 3)
    )
    networks, _ = check_text(text)
    assert choose(networks, "N2").root.output.dims[-1].value == 2
    with pytest.raises(NeuralError, match=r"several networks: N1, N2, N3"):
        choose(networks, None)
    with pytest.raises(NeuralError, match=r"no network `N4`"):
        choose(networks, "N4")


def test_comments_and_docs_reach_the_code():
    own = '''define B() {
      """What it is for."""
      layers:
        # why there is a layer
        d = Dense(8)
      forward(x):
        # why it is called
        return d(x)
    }'''
    code = emit(network("B()", before=own), get("pytorch"))
    for text in ("What it is for.", "# why there is a layer", "# why it is called"):
        assert text in code


DECODER = "TransformerDecoder(2, 32)"


@pytest.mark.parametrize(
    "layers",
    [
        f"Embedding(50, 16) {DECODER} {DECODER} Output(5)",
        f"Embedding(50, 16) {DECODER} * 2 {DECODER} Output(5)",
        f"Embedding(50, 16)\n{DECODER}\nDropout(0.1)\n"
        "TransformerDecoder(num_heads=4, ff_dim=8, norm_first=true)\nOutput(5)",
        f'Embedding(50, 16) Conv1D(16, 3, padding="same") {DECODER}'
        f" Dense(16) {DECODER}",
    ],
)
def test_what_a_decoder_gives_is_nobodys_memory(layers):
    checked = check_text(f"network G {{ input: (none,) layers: {layers} }}")[0][0]
    kinds = {attention.kind for attention in checked.attentions.values()}
    assert kinds == {"decoder_self"}


def test_decoders_in_branches_attend_to_themselves_unless_told():
    inputs = "input: { a: (8, 16) b: (8, 16) }"
    apart = f"a: {{ {DECODER} }} b: {{ {DECODER} {DECODER} }} Concatenate() Output(5)"
    checked = check_text(f"network G {{ {inputs} layers: {apart} }}")[0][0]
    assert {a.kind for a in checked.attentions.values()} == {"decoder_self"}
    told = f"a: {{ {DECODER} }} b: {{ TransformerDecoder(2, 32, memory=a) }}"
    checked = check_text(f"network G {{ {inputs} layers: {told} }}")[0][0]
    assert [a.kind for a in checked.attentions.values()] == [
        "decoder_self",
        "decoder_self",
        "cross",
    ]


def test_the_output_of_an_encoder_is_memory_for_all_decoders_behind_it():
    layers = f"Embedding(50, 16) TransformerEncoder(2, 32) {DECODER} {DECODER}"
    checked = check_text(f"network G {{ input: (none,) layers: {layers} }}")[0][0]
    kinds = [attention.kind for attention in checked.attentions.values()]
    assert kinds == ["encoder_self", *["decoder_self", "cross"] * 2]
