"""From text to the typed tree: shapes of nodes, spans, trivia."""

import pytest
from neural_attn.grammar import parse, prelude, tree


def layer(text):
    """The first layer of a network with this body."""
    (network,) = parse(f"network A {{ layers: {text} }}").networks
    return next(item for item in network.items if isinstance(item, tree.LayerNode))


def argument(text):
    return layer(f"Dense({text})").arguments[0].value


def plain(expr):
    """An expression without its places."""
    if isinstance(expr, tree.Literal):
        return expr.value
    if isinstance(expr, tree.Name):
        return expr.text
    if isinstance(expr, tree.Sequence):
        items = [plain(item) for item in expr.items]
        return items if expr.is_list else tuple(items)
    if isinstance(expr, tree.Unary):
        return (expr.operator, plain(expr.operand))
    if isinstance(expr, tree.Binary):
        return (plain(expr.left), expr.operator, plain(expr.right))
    return (expr.function.text, [plain(a.value) for a in expr.arguments])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-8", -8),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-4", 1e-4),
        ("2E+3", 2000.0),
        ("true", True),
        ("False", False),
        ("none", None),
        ("None", None),
        ('"relu"', "relu"),
        ("'relu'", "relu"),
        ('""', ""),
        (r'"a\"b\n\\"', 'a"b\n\\'),
        ('"#no comment"', "#no comment"),
        ('"한국"', "한국"),
    ],
)
def test_literals(text, value):
    node = argument(text)
    assert node.value == value
    assert type(node.value) is type(value)
    assert node.span.text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", ("a", "+", ("b", "*", "c"))),
        ("(a + b) * c", (("a", "+", "b"), "*", "c")),
        ("a - b - c", (("a", "-", "b"), "-", "c")),
        ("a / b / c", (("a", "/", "b"), "/", "c")),
        ("a % b * c", (("a", "%", "b"), "*", "c")),
        ("-a % b + c", ((("-", "a"), "%", "b"), "+", "c")),
        ("a ** b ** c", ("a", "**", ("b", "**", "c"))),
        ("-a ** 2", ("-", ("a", "**", 2))),
        ("a @ b + c", (("a", "@", "b"), "+", "c")),
        ("not a and b or c", ((("not", "a"), "and", "b"), "or", "c")),
        ("a + 1 >= b", (("a", "+", 1), ">=", "b")),
        ("$units * 2", ("units", "*", 2)),
        ("f(a, b=2)", ("f", ["a", 2])),
        ("(1, 2)", (1, 2)),
        ("(1,)", (1,)),
        ("()", ()),
        ("[1, a]", [1, "a"]),
        ("(3)", 3),
    ],
)
def test_operators_bind_as_in_python(text, expected):
    assert plain(argument(text)) == expected


def test_layer_with_everything():
    node = layer('enc = Encoder(4, rate=0.1) { Dropout(0.1) } @ "gpu:0" * 6')
    assert (node.label.text, node.name.text) == ("enc", "Encoder")
    assert [a.name for a in node.arguments] == [None, "rate"]
    assert [inner.name.text for inner in node.block] == ["Dropout"]
    assert node.device.value == "gpu:0"
    assert node.repeat.value == 6


def test_spans_are_exact():
    text = "network A {\n  layers:\n    x = Dense(8,\n      b) * 2 # six\n}\n"
    (network,) = parse(text).networks
    node = network.items[1]
    assert network.span.text == text.strip()
    assert node.span.text == "x = Dense(8,\n      b) * 2"
    assert (node.span.line, node.span.column) == (3, 5)
    second = node.arguments[1]
    assert (second.span.text, second.span.line, second.span.column) == ("b", 4, 7)


def test_comments_belong_to_what_follows_or_stands_before():
    text = """network A {
      layers:
        # first
        // second
        Dense(8)  # behind

        Dropout(0.1)
    }"""
    (network,) = parse(text).networks
    _, dense, dropout = network.items
    assert dense.trivia == tree.Trivia(("first", "second"), "behind", False)
    assert dropout.trivia == tree.Trivia((), "", True)


def test_docstring_loses_its_indentation():
    text = 'define B() {\n  """First.\n\n  Then.\n    More."""\n  Dense(8)\n}'
    (define,) = parse(text).defines
    assert define.doc == "First.\n\nThen.\n  More."


def test_statements():
    text = """define B(p = 1) {
      layers: d = Dense(8)
      forward(x, mask = none):
        y = d(x)
        if p == 1 { return y } else { y = y + x }
        return y
    }"""
    (define,) = parse(text).defines
    assign, choice, give_back = define.forward.body
    assert [p.name for p in define.forward.parameters] == ["x", "mask"]
    assert (assign.targets[0].text, plain(assign.value)) == ("y", ("d", ["x"]))
    assert isinstance(choice, tree.If)
    assert isinstance(choice.then[0], tree.Return)
    assert isinstance(choice.otherwise[0], tree.Assign)
    assert plain(give_back.value) == "y"


def test_line_ends_carry_no_meaning():
    spread = "network\nA\n{\nlayers\n:\nDense\n(\n8\n)\n*\n2\n}"
    (network,) = parse(spread).networks
    assert network.items[1].repeat.value == 2


def test_prelude_explains_every_block():
    for define in prelude().defines:
        assert define.doc, define.name.text
        assert len(define.doc.splitlines()[0]) < 88


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "\ufeff", ";,;"])
def test_nothing_is_an_empty_file(text):
    assert parse(text).networks == ()
