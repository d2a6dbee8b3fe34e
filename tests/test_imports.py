"""What importing the package costs: no framework and no plotting library."""

import importlib
import json
import subprocess
import sys

import pytest

import neural_attn
from tests.every_backend import EVERY

# Each takes between 0.2 and 10 seconds to import.
HEAVY = {
    "IPython",
    "jax",
    "keras",
    "matplotlib",
    "pandas",
    "plotly",
    "scipy",
    "seaborn",
    "sklearn",
    "tensorflow",
    "tokenizers",
    "torch",
    "transformers",
}

NETWORK = """\
network Tiny {
  input: (6,)
  layers:
    Embedding(input_dim=100, output_dim=16)
    TransformerEncoder(num_heads=2, ff_dim=32)
    GlobalAveragePooling1D()
    Output(units=3, activation="softmax")
}
"""

# Runs in a fresh interpreter; says which top-level modules were loaded by then.
PROBE = """\
import json, sys
code, report = 0, sys.argv[2]
try:
    exec(sys.argv[1])
except SystemExit as stop:
    code = stop.code
modules = sorted({name.partition(".")[0] for name in sys.modules})
with open(report, "w") as file:
    json.dump({"code": code, "modules": modules}, file)
"""


def run_fresh(statements, tmp_path):
    """Exit code, loaded top-level modules and output of a fresh interpreter."""
    report = tmp_path / "report.json"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, statements, str(report)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(report.read_text())
    return result["code"], set(result["modules"]), process.stdout + process.stderr


def run_neural(arguments, tmp_path):
    """The same for a `neural` command."""
    statements = (
        "from neural_attn.cli import main\n"
        f"sys.argv = {['neural', *arguments]!r} + sys.argv[3:]\n"
        "main()"
    )
    return run_fresh(statements, tmp_path)


@pytest.mark.parametrize(
    "module",
    [
        "neural_attn",
        "neural_attn.backends",
        "neural_attn.cli",
        "neural_attn.grammar",
        "neural_attn.maps.attention_maps",
    ],
)
def test_import_loads_nothing_heavy(module, tmp_path):
    code, modules, output = run_fresh(f"import {module}", tmp_path)
    assert code == 0, output
    assert "neural_attn" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["layers"]])
def test_command_loads_nothing_heavy(arguments, tmp_path):
    code, modules, output = run_neural(arguments, tmp_path)
    assert code in (0, None), output
    assert not modules & HEAVY


def test_check_loads_nothing_heavy(tmp_path):
    source = tmp_path / "tiny.neural"
    source.write_text(NETWORK, encoding="utf-8")
    code, modules, output = run_neural(["check", str(source)], tmp_path)
    assert code in (0, None), output
    assert not modules & HEAVY


@pytest.mark.parametrize("backend", EVERY)
def test_backend_description_loads_no_framework(backend, tmp_path):
    # Listing the backends, and compiling for one, work where it is not installed.
    statements = f"from neural_attn.backends.{backend} import BACKEND"
    code, modules, output = run_fresh(statements, tmp_path)
    assert code == 0, output
    assert not modules & HEAVY


@pytest.mark.parametrize("name", [n for n in neural_attn.__all__ if n[0] != "_"])
def test_public_name_is_the_one_of_its_module(name):
    value = getattr(neural_attn, name)
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert name in dir(neural_attn)


def test_unknown_public_name():
    with pytest.raises(AttributeError, match="has no attribute 'AttentionVisualiser'"):
        _ = neural_attn.AttentionVisualiser


# From a text to diagnostics and to code: lark and the standard library alone.
FRONT = """\
import sys, pathlib

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in BLOCKED:
            raise ImportError(f"{name} is not there")

BLOCKED = set(BLOCKED_NAMES)
sys.meta_path.insert(0, Refuse())
from neural_attn import backends
from neural_attn.backends.emit.emitter import emit
from neural_attn.check import check_text
from neural_attn.diagnostics.errors import NeuralError

try:
    check_text("network N { input: (4) layers: Dence(2) }")
except NeuralError as error:
    assert "Dense" in error.diagnostics[0].hint
for path in sorted(pathlib.Path("examples").rglob("*.neural")):
    for checked in check_text(path.read_text("utf-8"), str(path))[0]:
        for name in backends.names():
            compile(emit(checked, backends.get(name)), path.name, "exec")
"""


def test_text_becomes_diagnostics_and_code_without_numpy(tmp_path):
    blocked = sorted(HEAVY | {"numpy", "rich", "click", "safetensors"})
    program = FRONT.replace("BLOCKED_NAMES", repr(blocked))
    code, modules, output = run_fresh(program, tmp_path)
    assert code == 0, output
    assert not modules & set(blocked)
    third = modules - set(sys.stdlib_module_names) - {"neural_attn", "lark", "__main__"}
    assert {name for name in third if not name.startswith("_")} <= SITE, third


# what a virtual environment loads by itself, for editable installs and wheels
SITE = {"distutils", "sitecustomize", "usercustomize", "apport_python_hook", "regex"}
