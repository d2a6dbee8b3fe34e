"""Which message a syntax error gets, chosen by example.

Each row holds texts that fail in the same way; grammar/explain.py matches the parser
state of a new error against theirs. A test feeds every example back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyntaxMessage:
    """The code for all errors that look like the examples.

    An `exact` one holds for the tokens of its examples alone; others for every token
    that the parser cannot take where it cannot take theirs.
    """

    code: str
    examples: tuple[str, ...] = ()
    exact: bool = False


MESSAGES = [
    SyntaxMessage(
        "E0111",
        (
            "network A { input: (4,) layers: Dense(8)",
            "network A { input: (4,) layers: Dense(8) * 2",
            "network A { input: (4,) layers: Dense",
            "network A { loss: mse",
            'network A { loss: "mse"',
            "network A { input: (4,)",
            "network A {",
            "network A { train { epochs: 3",
            "network A { train { epochs: 3 }",
            "define A { layers:",
            "define A { forward(x): return x",
            "define A { forward(x): return x + 1",
            "define A { forward(x): return a(x)",
            "define A { forward(x): y = x",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0112",
        (
            "network A { input: (4",
            "network A { input: (4,",
            "network A { layers: Dense(8",
            "network A { layers: Dense(units=8",
            "network A { layers: Dense(units=8,",
            "network A { layers: Dense(",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0123",
        (
            "network A { layers: Dense(8 }",
            "network A { layers: Dense(units=8 }",
            'network A { layers: Dense("relu" }',
            "network A { layers: Dense(units=8, }",
            "network A { layers: Dense( }",
            "network A { input: (4, }",
            "network A { input: (4 }",
            "network A { layers: Dense(8] }",
            'network A { layers: Dense("relu"] }',
            "network A { layers: Dense(units=8] }",
            "network A { layers: Dense(8, units] }",
            "network A { input: (4] }",
            "network A { input: (4, 8] }",
            "network A { input: (4, 8 }",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0113",
        (
            'network A { layers: Dense(8 "relu") }',
            "network A { layers: Dense(units=8 activation=relu) }",
            'network A { layers: Dense(8 activation="relu") }',
            "network A { layers: Dense(8 9) }",
            "network A { layers: Dense(a b) }",
        ),
    ),
    SyntaxMessage(
        "E0114",
        (
            "network A { loss: }",
            "network A { loss: , }",
            "network A { train { epochs: } }",
            "network A { loss:",
        ),
    ),
    SyntaxMessage(
        "E0115",
        (
            "network A { layers: Dense(units=) }",
            "network A { layers: Dense(units=, rate=1) }",
            "define A(a=) { }",
        ),
    ),
    SyntaxMessage(
        "E0116",
        ("network { input: (4,) }", "network", "network A input: (4,)", "network A("),
    ),
    SyntaxMessage(
        "E0117",
        ("define { }", "define", "define A", "define A(8) { }", "define A(x) layers:"),
    ),
    SyntaxMessage(
        "E0118",
        (
            "Dense(8)",
            "input: (4,)",
            "layers: Dense(8)",
            "{",
            "8",
            '"a"',
            "network A { } Dense(8)",
            "network A { } { }",
            "define A { } 8",
            "research { } input: (4,)",
        ),
    ),
    SyntaxMessage(
        "E0119",
        ("network A { layers: Dense(8) * }", "network A { layers: Dense(8) * * }"),
    ),
    SyntaxMessage(
        "E0120",
        (
            "define A { forward(x): x }",
            "define A { forward(x): attention(x) }",
            "define A { forward(x): y + x }",
            "define A { forward(x): 8 }",
            "define A { forward(x): y = }",
            "define A { forward(x): return }",
        ),
    ),
    SyntaxMessage(
        "E0121",
        (
            "define A { forward }",
            "define A { forward x }",
            "define A { forward(x) return x }",
            "define A { forward(x) { return x } }",
            "define A { forward: }",
        ),
    ),
    SyntaxMessage(
        "E0122",
        (
            "define A { forward(x): return x + }",
            "define A { forward(x): return x * }",
            "define A { forward(x): return x @ }",
            "define A { forward(x): return x / }",
            "network A { layers: Dense(8 *) }",
            "network A { layers: Dense(8 +) }",
            "network A { layers: Dense(8 /) }",
        ),
    ),
    SyntaxMessage(
        "E0130",
        (
            "network A { layers Dense(8) }",
            "network A { layers { Dense(8) } }",
            "network A { layers [Dense(8)] }",
            "network A { layers = Dense(8) }",
        ),
    ),
    SyntaxMessage(
        "E0131",
        (
            "network A { layers: Dense 8 }",
            'network A { loss "mse" }',
            "define A(n) { Dense $n }",
            "network A { metrics [accuracy] }",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0132",
        (
            'network A { loss = "mse" }',
            "network A { train { epochs = 3 } }",
            "network A { input = (4, 8) }",
            "network A { metrics = [accuracy] }",
            "network A { rate = -1 }",
        ),
    ),
    SyntaxMessage(
        "E0133",
        (
            "network A { 8 }",
            'network A { "Dense"(8) }',
            'network A { layers: "Dense"(8) }',
            "network A { layers: 8 }",
            'network A { layers: Dense(8) "Dense"(8) }',
            "network A { layers: Dense(8) 8 }",
            'network A { layers: Dense(8) { } "Dense"(8) }',
            "network A { layers: Dense(8) * 2 3 }",
            "network A { input: 4, 8 }",
            'network A { input: 4, "a" }',
            "network A { input: 4 8 }",
            'network A { loss: "mse" "mae" }',
            'network A { loss: mse "mae" }',
            "network A { input: (4, 8) 3 }",
            'network A { input: (4, 8) "a" }',
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0134",
        (
            "network A { layers: Dense(, 8) }",
            "network A { layers: Dense(8,, 9) }",
            "network A { layers: Dense(units=8,, rate=9) }",
            "network A { input: (, 8) }",
            "network A { input: (4,, 8) }",
            "network A { input: (4, 8,, 9) }",
            "network A { metrics: [, a] }",
            "network A { metrics: [a,, b] }",
            "define A(, b) { }",
            "define A(a,, b) { }",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0135",
        (
            "network A { layers: Dense(8) -> Dense(9) }",
            "network A { layers: Dense(8) > Dense(9) }",
            "network A { layers: Dense(8) + Dense(9) }",
            "network A { layers: Dense(8) / Dense(9) }",
            "network A { layers: Flatten -> Dense(9) }",
            "network A { layers: Flatten + Dense(9) }",
            "network A { layers: Dense(8) * 2 -> Dense(9) }",
        ),
        exact=True,
    ),
    SyntaxMessage(
        "E0136",
        (
            "network A { layers: Dense(8\n loss: mse }",
            "network A { layers: Dense(\n units=8\n rate=9) }",
        ),
    ),
    SyntaxMessage(
        "E0138",
        (
            "network A { layers: Dense(8): }",
            "define A { forwards(x): return x }",
            "define A(n) { layers: d = Dense(n) call(x): return d(x) }",
        ),
        exact=True,
    ),
]
