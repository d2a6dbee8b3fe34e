"""The text of generated files: kept in tests/golden, tidy, short and repeatable.

`pytest tests/test_golden.py --update-golden` writes the golden files anew.
"""

import ast
import importlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit import runtime_source
from neural_attn.backends.emit.emitter import emit, emit_apart

from neural_attn.compile import check_file, check_text, compile_file
from neural_attn.diagnostics.errors import NeuralError
from tests import every_backend
from tests.every_backend import EVERY, TRAINING
from tests.layer_cases import RUFF

EXAMPLES = {
    "basic": "examples/attention_examples/basic_transformer.neural",
    "multi_layer": "examples/attention_examples/multi_layer_transformer.neural",
    "text_classification": "examples/attention_examples/text_classification.neural",
    "alibi": "examples/alibi_attention.neural",
    "llama": "tests/fixtures/published/llama.neural",
}
# written in two files: the network's own is kept
APART = {
    "llama_alone": "tests/fixtures/published/llama.neural",
    "t5_alone": "tests/fixtures/published/t5.neural",
    "recurrent_translator_alone": "neural_attn/templates/recurrent_translator.neural",
}
FRAMEWORKS = tuple(TRAINING)

GATED = """
define GatedAttention(num_heads, head_size = 4, gate_activation = "sigmoid") {
  \"\"\"Two attentions of different widths, (weighed) [against] each other.\"\"\"
  layers:
    narrow = MultiHeadAttention(num_heads, key_dim=head_size, use_bias=false)
    wide = MultiHeadAttention(num_heads, key_dim=2 * head_size, value_dim=3 * head_size)
    gate_with_a_rather_long_name = Dense(width_of_everything, gate_activation)
  forward(x, attention_mask = none):
    # a comment that goes on, with "quotes", (brackets) and a # sign, up to the end
    gate = gate_with_a_rather_long_name(x)
    narrow_context = narrow(x, attention_mask=attention_mask)
    wide_context = wide(x, x, x, attention_mask)
    return gate * narrow_context + (1 - gate) * wide_context + x * 0.5 - (x + gate) / 2
}
""".replace("gate_activation = ", "width_of_everything = 16, gate_activation = ")
LONG = """
define Long(size_of_the_first_part = 8, size_of_the_second_part = 8) {
  layers:
    first_projection_of_all = Dense(size_of_the_first_part + size_of_the_second_part)
    last = Dense(16)
  forward(values_at_the_entrance):
    scaled = exp(values_at_the_entrance * (-2 * log(100) / size_of_the_first_part)) + 1
    both = tanh(first_projection_of_all(scaled * 2 + abs(values_at_the_entrance) ** 2))
    ratio = sum(abs(both)) / (1 + sqrt(sum(abs(both)) + mean(both ** 2) * 3.0e-5)) - 1
    return last(concatenate([both, both * ratio, transpose(transpose(both)) + both]))
}
"""
VARIANTS = {
    "post_norm": "TransformerEncoder(2, 32)",
    "pre_norm": "TransformerEncoder(2, 32, norm_first=true)",
    "mixed_norm": "TransformerEncoder(2, 9) TransformerEncoder(2, 9, norm_first=true)",
    "key_dim": "TransformerEncoder(2, 32, key_dim=5) * 2",
    "key_dims": "TransformerEncoder(2, 32, key_dim=5) TransformerEncoder(2, 32)",
    "decoder": "TransformerDecoder(2, 32)",
    "decoder_seeing_all": "TransformerDecoder(2, 32, causal=false)",
    "mixed_causal": "TransformerDecoder(2, 32) TransformerDecoder(2, 32, causal=false)",
    "activations": 'TransformerEncoder(2, 32, activation="gelu_tanh") '
    'TransformerEncoder(2, 32, activation="swish")',
    "learned": 'PositionalEncoding(max_len=9, encoding_type="learned", dropout=0.1)',
    "two_encodings": 'PositionalEncoding() PositionalEncoding(9, "learned")',
    "attention_alone": "MultiHeadAttention(2) MultiHeadAttention(4, causal=true)",
    "gated": "GatedAttention(2) GatedAttention(4, head_size=2) * 3",
    "long": "Long(size_of_the_second_part=3)",
}
EMBEDDING = "Embedding(50, 16, mask_zero=true)"


def variant(name):
    layers = f"{EMBEDDING} {VARIANTS[name]} GlobalAveragePooling1D() Output(3)"
    return GATED + LONG + f"network Some {{ input: (none,) layers: {layers} }}"


def example(name, backend, root):
    if name in APART:
        return apart(name, backend, root)[0]
    return emit(check_file(root / EXAMPLES[name])[0][0], get(backend))


def apart(name, backend, root):
    """The network's own file, and its library."""
    checked = check_file(root / APART[name])[0][0]
    return emit_apart(checked, get(backend), f"{name}_{backend}_layers")


def ruff(*arguments, text=None, cwd=None):
    """Run ruff on a text or a folder, with its own rules alone; what it says."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    command = [RUFF, *arguments, "--isolated"]
    command.append("-" if cwd is None else ".")
    result = subprocess.run(
        command, input=text, cwd=cwd, capture_output=True, text=True
    )
    return result.stdout + result.stderr if result.returncode else ""


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", [*EXAMPLES, *APART])
def test_generated_text_is_the_golden_file(name, backend, project_root, update_golden):
    path = project_root / "tests" / "golden" / f"{name}.{backend}.py"
    text = example(name, backend, project_root)
    if update_golden:
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), "if it is right: --update-golden"


@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("name", ["basic", "multi_layer", "text_classification"])
def test_generated_files_are_short(name, backend, project_root):
    assert example(name, backend, project_root).count("\n") < 250


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", APART)
def test_a_network_without_its_library_is_short_and_tidy(
    name, backend, project_root, tmp_path
):
    own, library = apart(name, backend, project_root)
    assert own.count("\n") <= 260
    (tmp_path / "own.py").write_text(own, "utf-8")
    (tmp_path / f"{name}_{backend}_layers.py").write_text(library, "utf-8")
    assert ruff("check", cwd=tmp_path) == ""
    assert ruff("format", "--check", "--diff", cwd=tmp_path) == ""


def test_a_network_and_its_library_are_the_whole(
    backend, project_root, tmp_path, monkeypatch
):
    source = project_root / APART["llama_alone"]
    names = {part: f"llama_{part}_{backend}" for part in ("own", "shared", "whole")}
    paths = {part: tmp_path / f"{name}.py" for part, name in names.items()}
    compile_file(source, backend, paths["own"], library=paths["shared"])
    compile_file(source, backend, paths["whole"])
    monkeypatch.syspath_prepend(tmp_path)
    own, whole = (importlib.import_module(names[p]) for p in ("own", "whole"))
    model, same = own.create_model(), whole.create_model()
    model.save_weights(str(tmp_path / "a.safetensors"))
    same.load_weights(str(tmp_path / "a.safetensors"))
    ids = every_backend.tensor(backend, np.array([[3, 1, 4]]))
    texts = [np.asarray(x.generate(ids, 5, beams=2)).tolist() for x in (model, same)]
    assert texts[0] == texts[1]
    assert "class Cache" in paths["shared"].read_text("utf-8")
    assert "class Cache" not in paths["own"].read_text("utf-8")


@pytest.mark.parametrize(
    ("output", "library"),
    [(None, "a.py"), ("m.py", "m.py"), ("m.py", "sub/a.py"), ("m.py", "torch.py"),
     ("m.py", "a-b.py"), ("m.py", "a"), ("m.py", "class.py")],
)  # fmt: skip
def test_a_library_that_could_not_be_imported_is_refused(
    output, library, project_root, tmp_path
):
    out = output and tmp_path / output
    with pytest.raises(NeuralError, match="E0418"):
        compile_file(
            project_root / EXAMPLES["basic"], "numpy", out, library=tmp_path / library
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", [*EXAMPLES, *VARIANTS])
def test_generated_files_are_tidy(name, backend, project_root):
    if name in VARIANTS:
        text = emit(check_text(variant(name))[0][0], get(backend))
    else:
        text = example(name, backend, project_root)
    assert ruff("check", text=text) == ""
    assert ruff("format", "--check", "--diff", text=text) == ""


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", EXAMPLES)
def test_generated_files_stand_alone(name, backend, project_root):
    roots = set()
    for node in ast.walk(ast.parse(example(name, backend, project_root))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(node.module.partition(".")[0])
    assert roots <= {"math", "os", "numpy", "safetensors", EVERY[backend].requires[0]}


@pytest.mark.thorough("numpy", "tensorflow")
@pytest.mark.parametrize("backend", EVERY)
def test_the_same_source_gives_the_same_bytes(backend, project_root):
    script = (
        "import sys\n"
        "from neural_attn.backends import get\n"
        "from neural_attn.backends.emit.emitter import emit\n"
        "from neural_attn.compile import check_file\n"
        "for path in sys.argv[2:]:\n"
        "    print(emit(check_file(path)[0][0], get(sys.argv[1])))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script, backend, *EXAMPLES.values()],
            cwd=project_root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_runtime_text_for_others_is_left_out():
    runtime = EVERY["tensorflow"].runtime
    whole = runtime_source.read(runtime).definitions["named_weights"].text
    fitted = runtime_source.read(runtime, ["BatchNormalization"])
    for_norms = fitted.definitions["named_weights"].text
    plain = runtime_source.read(runtime, []).definitions["named_weights"]
    assert "RUNNING" in for_norms
    assert "RUNNING" not in plain.uses
    assert len(whole) > len(for_norms) > len(plain.text)
    assert "only with" not in whole + for_norms + plain.text
