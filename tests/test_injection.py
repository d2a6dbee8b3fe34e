"""Hostile strings in every place that takes one: they stay strings, or are refused.

The generated module keeps the shape of its AST: no text of a file becomes code.
"""

import ast
import io
import tokenize
from functools import lru_cache
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.every_backend import EVERY

BACKENDS = tuple(EVERY)
MARK = "escaped"  # nothing of this name may ever be called or read
HOSTILE = [
    'a"b', "a'b", '"""', "'''", '\\"""', '"""\\', "\\", "\\\\", "\\n", "a\nb", "a\rb",
    "a\r\nb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", "a\u2029b", "\x00",
    "a\tb", "{", "}", "{0}", "{x.__class__}", "{{", "%s", "%(a)s", "$x", "`", "#", "//",
    "*/", "\ud800", "\u202e", "\ufeff", "\N{HANGUL SYLLABLE HAN}", "\\x22", "\\u0022",
    "\\N{QUOTATION MARK}", "", " ", "a" * 500,
    f'"\n{MARK}()\n"', f'"""\n{MARK}()\n"""', f"'''\n{MARK}()\n'''",
    f'\\"""\n{MARK}()', f"\n{MARK}()", f"\r{MARK}()", f"\x0c{MARK}()",
    f"\u2028{MARK}()", f"\x85{MARK}()", f'" + {MARK}() + "', f"' + {MARK}() + '",
    f'"); {MARK}(); ("', f"{{{MARK}()}}", f"__import__('os').system('{MARK}')",
    f'__import__("os"); {MARK}()', f"x)\n{MARK}(", f"# type: {MARK}",
    "# -*- coding: utf-7 -*-", "# coding: rot13", "# noqa", "# type: ignore",
]  # fmt: skip

# --- places: each is a file with a hole ----------------------------------------------

NETWORK = "network N {{ input: (8, 4) layers: {} }}"
OWN = (
    "define Own(p = 1) {{ {doc}layers: d = Dense(4) forward(x):{comment}\n"
    "return d(x * p) }}\nnetwork N {{ input: (8, 4) layers: Own() }}"
)


def quoted(text, sign='"'):
    """A string of the language; what cannot stand in one is left to the parser."""
    return sign + text.replace("\\", "\\\\").replace(sign, "\\" + sign) + sign


STRINGS = {
    "activation": lambda s: NETWORK.format(f"Dense(4, activation={quoted(s)})"),
    "single quotes": lambda s: NETWORK.format(f"Dense(4, {quoted(s, chr(39))})"),
    "padding": lambda s: NETWORK.format(f"Conv1D(4, 2, padding={quoted(s)})"),
    "text for a number": lambda s: NETWORK.format(f"Dense({quoted(s)})"),
    "device": lambda s: NETWORK.format(f"Dense(4) @ {quoted(s)}"),
    "loss": lambda s: NETWORK.format("Dense(4)")[:-1] + f"loss: {quoted(s)} }}",
    "optimizer": lambda s: (
        NETWORK.format("Dense(4)")[:-1] + f'loss: "mse" optimizer: {quoted(s)} }}'
    ),
    "metric": lambda s: (
        NETWORK.format("Dense(4)")[:-1] + f'loss: "mse" metrics: [{quoted(s)}] }}'
    ),
    "train": lambda s: (
        NETWORK.format("Dense(4)")[:-1]
        + f'loss: "mse" train {{ epochs: {quoted(s)} callbacks: [{quoted(s)}] }} }}'
    ),
    "block parameter": lambda s: (
        "define B(word = "
        + quoted(s)
        + ') { layers: d = Dense(4) forward(x): if word == "z" { return x } else '
        "{ return d(x) } }\n" + NETWORK.format(f"B() B({quoted(s + 'b')})")
    ),
    "search space": lambda s: NETWORK.format(
        f"Dense(4, HPO(choice({quoted('relu')}, {quoted(s)})))"
    ),
    "execution": lambda s: (
        NETWORK.format("Dense(4)")[:-1] + f"execution {{ device: {quoted(s)} }} }}"
    ),
    "research": lambda s: (
        NETWORK.format("Dense(4)")
        + f"research R {{ references {{ paper: {quoted(s)} }} }}"
    ),
}
RAW = {
    "string": lambda s: NETWORK.format(f'Dense(4, activation="{s}")'),
    "docstring": lambda s: OWN.format(doc=f'"""{s}"""\n', comment=""),
    "comment above a layer": lambda s: NETWORK.format(f"\n# {s}\nDense(4)"),
    "comment behind a layer": lambda s: NETWORK.format(f"Dense(4)  # {s}\n"),
    "comment with //": lambda s: NETWORK.format(f"Dense(4)  // {s}\n"),
    "comment in a forward": lambda s: OWN.format(doc="", comment=f"\n# {s}"),
    "comment above a define": lambda s: f"# {s}\n" + OWN.format(doc="", comment=""),
    "comment above a network": lambda s: f"# {s}\n" + NETWORK.format("Dense(4)"),
    "network name": lambda s: NETWORK.format("Dense(4)").replace(" N ", f" {s} "),
    "layer name": lambda s: NETWORK.format(f"{s}(4)"),
    "label": lambda s: NETWORK.format(f"{s} = Dense(4)"),
    "parameter name": lambda s: NETWORK.format(f"Dense(4, {s}=3)"),
    "define name": lambda s: OWN.format(doc="", comment="").replace("Own", s),
    "input name": lambda s: f"network N {{ input: {{ {s}: (4,) }} layers: Dense(3) }}",
    "variable": lambda s: OWN.format(doc="", comment=f"\n{s} = x").replace(
        "x * p", f"x * p + {s}"
    ),
    "define parameter": lambda s: OWN.format(doc="", comment="").replace("p", s),
}
PLACES = {**STRINGS, **RAW}


def sources(text, name="file.neural"):
    """The code for each backend, or None where the text is refused."""
    try:
        (checked,), _ = check_text(text, name)
    except NeuralError as error:
        for diagnostic in error.diagnostics:
            diagnostic.render().encode("utf-8")  # can be shown on any terminal
        return None
    return [emit(checked, get(backend)) for backend in BACKENDS]


def assert_harmless(text, name="file.neural"):
    """Nothing of the text is code: the mark is at most inside strings, comments."""
    found = sources(text, name)
    for source in found or ():
        source.encode("utf-8")
        assert "\x00" not in source
        names = {name for code in codes(source) for name in names_of(code)}
        assert not {MARK, "__import__", "system", "exec"} & names
        # what a reader takes for a line is one
        assert len(source.splitlines()) == source.count("\n")
        # read as bytes, as Python does, an encoding line would change everything
        assert (
            tokenize.detect_encoding(io.BytesIO(source.encode()).readline)[0] == "utf-8"
        )
    return found


@lru_cache(8)
def codes(source):
    """The code of a module, and that of each class and function in it, one by one."""
    found = [compile(source, "module", "exec")]
    for code in found:
        found += [part for part in code.co_consts if isinstance(part, CodeType)]
    return found


def names_of(code):
    """All that a piece of code reads, sets or calls."""
    return (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)


def shape(source):
    """What a module does, without the strings in it."""
    return [(c.co_name, names_of(c), len(c.co_code)) for c in codes(source)]


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize("place", PLACES)
def test_hostile_strings_stay_strings(place):
    fill = PLACES[place]
    for text in HOSTILE:
        assert_harmless(fill(text))


# where any text at all is taken, so that the module must be there, in its shape
FREE = (
    "execution", "research", "comment above a layer", "comment behind a layer",
    "comment with //", "comment in a forward", "comment above a define",
    "comment above a network",
)  # fmt: skip
ONE_LINE = [t for t in HOSTILE if "\n" not in t]


@pytest.mark.thorough(every=2)
@pytest.mark.parametrize("place", FREE)
def test_free_text_keeps_the_shape_of_the_module(place):
    fill = PLACES[place]
    plain = [shape(source) for source in sources(fill("plain"))]
    for text in ONE_LINE:
        found = assert_harmless(fill(text))
        assert found is not None or text in ("\x00", "\ud800"), text
        if found:
            assert [shape(source) for source in found] == plain, text


@pytest.mark.parametrize("text", HOSTILE)
def test_docstrings_keep_the_shape_of_the_module(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    filled = OWN.format(doc=f'"""{escaped} end"""\n', comment="")
    found = assert_harmless(filled)
    plain = sources(OWN.format(doc='"""plain end"""\n', comment=""))
    if text not in ("\x00", "\ud800"):
        assert [shape(s) for s in found] == [shape(s) for s in plain]


@pytest.mark.parametrize("text", [t for t in HOSTILE if "\x00" not in t])
def test_names_of_files_stay_names(text):
    plain = sources(NETWORK.format("Dense(4)"))
    for name in (f"{text}.neural", f"/tmp/{text}/a.neural", f"a\\{text}"):
        found = assert_harmless(NETWORK.format("Dense(4)"), name)
        assert [shape(s) for s in found] == [shape(s) for s in plain]


@pytest.mark.parametrize(
    "name",
    [
        "eval", "exec", "__import__", "print", "super", "self", "np", "torch", "nn",
        "keras", "ops", "class", "lambda", "None", "True", "forward", "__init__",
        "__class__", "__dict__", "load_weights", "math", "os", "Path", "load_file",
        "open", "globals", "create_model", "MultiHeadAttention", "Network", "Layer",
        "Dense", "softmax", "attention_softmax", "int", "isinstance", "ValueError",
        "match", "type", "_", "__", "inputs", "x", "N", "training", "build", "call",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "place", ["network name", "label", "define name", "input name", "variable",
              "define parameter"]
)  # fmt: skip
def test_names_of_python_and_the_frameworks_do_no_harm(place, name):
    """They are refused, or the NumPy module runs, and loads its weights."""
    import numpy as np

    from neural_attn.models.generated import load_model

    text = PLACES[place](name)
    try:
        checked = check_text(text)[0][0]
    except NeuralError:
        return
    model = load_model(checked, "numpy").model
    shape = (2, 4) if place == "input name" else (2, 8, 4)
    assert np.isfinite(model(np.ones(shape, "float32"))).all()
    for backend in BACKENDS:
        compile(emit(checked, get(backend)), "module", "exec")


ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("\"'\\{}#\n\r`$%()\x00\x0b\x0c\x1c\x85\u2028\u2029\ufeff"),
        st.characters(),
    ),
    max_size=30,
)


@given(st.sampled_from(sorted(PLACES)), ANY_TEXT)
@settings(max_examples=150)
def test_any_text_in_any_place(place, text):
    assert_harmless(PLACES[place](text))


@given(ANY_TEXT)
@settings(max_examples=40)
def test_any_text_as_the_name_of_a_file(name):
    assert_harmless(NETWORK.format("Dense(4)"), name)


def test_the_command_takes_hostile_paths(tmp_path):
    from neural_attn.compile import compile_file

    name = f'a\'b"\n{MARK}()\n""".neural'
    path = Path(tmp_path) / name
    path.write_text(NETWORK.format("Dense(4)"), "utf-8")
    for backend in BACKENDS:
        module = ast.parse(compile_file(path, backend))
        assert MARK not in {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
