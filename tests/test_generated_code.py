"""Generated files as a stranger keeps them: what their text promises."""

import ast
import re
from pathlib import Path

import pytest
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_file, check_text
from neural_attn.templates import templates
from tests.every_backend import EVERY, TRAINING

ROOT = Path(__file__).resolve().parent.parent
# of two inputs
WRITERS = ("annotated_transformer", "dates", "docstring_to_code", "translation")
# Those written by hand that read one array; networks that write: test_generation.py.
EXAMPLES = [
    path
    for path in sorted((ROOT / "examples").rglob("*.neural"))
    if path.parent.name not in ("reactions", *WRITERS)
]
SOURCES = {path.stem: path.read_text("utf-8") for path in EXAMPLES} | templates()


def generated(text, backend):
    return emit(check_text(text)[0][0], EVERY[backend])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("backend", TRAINING)
def test_the_file_of_an_example_is_short(path, backend):
    source = emit(check_file(path)[0][0], EVERY[backend])
    assert len(source.splitlines()) < 250


def definitions(source):
    """Name -> line, and the names each uses, of top-level functions and classes."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            found[node.name] = (node.lineno, used)
    return found


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("backend", EVERY)
def test_helpers_stand_before_their_use(name, backend):
    found = definitions(generated(SOURCES[name], backend))
    for user, (line, used) in found.items():
        for helper in used & found.keys() - {user}:
            assert found[helper][0] < line, f"{user} uses {helper}, which comes later"


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("backend", EVERY)
def test_names_tell(name, backend):
    names = {
        node.id
        for node in ast.walk(ast.parse(generated(SOURCES[name], backend)))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert not names & {"kept", "part", "parts", "shown", "tmp", "res", "foo"}


COMMENTED = """
# the first of the file
define Gate(units) {
  # above the layers
  layers:
    # above a layer
    up = Dense(4 * units)  # behind a layer
    down = Dense(units)

  forward(x):
    # above an equation
    hidden = up(x)  # behind an equation
    # above the return
    return down(hidden)
}

network Commented {
  input: (8, 6)
  layers:
    # before the gate
    Gate(5)  # behind the gate
    # before the mean
    GlobalAveragePooling1D()
    # before the end
    Output(2, "softmax")  # behind the end
  loss: "sparse_categorical_crossentropy"
}
"""


@pytest.mark.parametrize("backend", EVERY)
def test_comments_stay_on_their_own_line(backend):
    lines = generated(COMMENTED, backend).splitlines()
    for above in re.findall(r"^ *# ((?:above|before) .*)$", COMMENTED, re.MULTILINE):
        if above == "above the layers":  # of a section that the class does not have
            continue
        assert [line.strip() for line in lines if above in line] == [f"# {above}"]
    for behind in re.findall(r"\S  # (behind .*)$", COMMENTED, re.MULTILINE):
        (line,) = [line for line in lines if behind in line]
        at = lines.index(line)
        fits = len(lines[at + 1]) + len(f"  # {behind}") <= 88
        assert line.lstrip() != f"# {behind}" or not fits


CONCATENATED = """
define Mixed(units) {
  layers:
    gate = Dense(4 * units)
    mix = Dense(units)
    out = Dense(3 * units)
  forward(x):
    a = gate(x)
    b = mix(concatenate([a, x]))
    return out(concatenate([b, a]))
}
network Twice { input: (7, 6) layers: Mixed(8) Mixed(5) Dense(2) }
"""


def test_sizes_that_a_class_can_know_from_its_arguments_are_not_baked_in():
    source = generated(CONCATENATED, "pytorch")
    mixed = source[source.index("class Mixed") : source.index("class Twice")]
    assert "nn.Linear(x_width, 4 * units)" in mixed
    assert "nn.Linear(4 * units + x_width, units)" in mixed
    assert "nn.Linear(units + 4 * units, 3 * units)" in mixed
    assert "Mixed(x_width=6, units=8)" in source


@pytest.mark.parametrize("backend", TRAINING)
def test_every_setting_of_the_training_loop_is_in_the_file(backend):
    text = (
        'network T { input: (4,) layers: Output(3, "softmax") '
        'loss: "sparse_categorical_crossentropy" metrics: ["accuracy"] '
        "optimizer: SGD(learning_rate=ExponentialDecay(0.1, 10, 0.9)) "
        "train { epochs: 7 batch_size: 5 validation_split: 0.25 shuffle: false "
        "patience: 11 gradient_clip: 0.75 } }"
    )
    source = generated(text, backend)
    assert "epochs=7, batch_size=5, validation_split=0.25" in source
    assert re.search(r"\b11\b", source)
    assert "0.75" in source
    assert not re.search(r"EPOCHS|PATIENCE|MAX_NORM|ORDER|only with", source)


MARKS = (
    "PATIENCE MAX_NORM PADDED METRICS SCHEDULE LOGITS SEVERAL_INPUTS IN_ORDER ORDER "
    "EPOCHS create_metrics create_schedule forward_logits LSTM BatchNormalization"
)


@pytest.mark.parametrize("backend", TRAINING)
def test_words_of_the_author_do_not_choose_what_is_copied(backend):
    text = """
    network N {{
      input: (4,)
      layers:
        # {words}
        {name} = Dense(3)
      loss: "mse"
    }}
    """
    plain = generated(text.format(words="nothing", name="first"), backend)
    for word in MARKS.split():
        if word.islower():  # reserved: generated files define these themselves
            continue
        code = generated(text.format(words=MARKS, name=word), backend)
        code = code.replace(f"self.{word}", "self.first").replace(MARKS, "nothing")
        assert code == plain


@pytest.mark.parametrize("backend", TRAINING)
def test_a_parameter_may_be_called_as_what_constructors_hand_on(backend):
    text = (
        "define B(options) { layers: d = Dense(options) forward(x): return d(x) } "
        "network N { input: (4,) layers: B(3) B(options=5) }"
    )
    compile(generated(text, backend), "generated", "exec")


@pytest.mark.parametrize("backend", TRAINING)
@pytest.mark.parametrize("word", ["PATIENCE", "LOGITS", "METRICS", "IN_ORDER"])
def test_a_block_may_have_any_name(backend, word):
    text = (
        "define {0}(n) {{ layers: d = Dense(n) forward(x): return d(x) }} "
        'network N {{ input: (4,) layers: {0}(3) loss: "mse" }}'
    )
    plain, code = (generated(text.format(name), backend) for name in ("Plain", word))
    assert len(code.splitlines()) == len(plain.splitlines())
