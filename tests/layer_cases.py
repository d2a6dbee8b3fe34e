"""What the tests of native layers share: one layer as a network, run on any backend."""

import shutil
import subprocess
import sysconfig
from functools import cache

import numpy as np
from safetensors.numpy import save_file

from neural_attn.compile import check_text
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected

# the program itself: through Python each of many calls takes ten times as long
RUFF = shutil.which("ruff", path=sysconfig.get_path("scripts")) or "ruff"
TOLERANCE = {"float32": 1e-5, "float64": 1e-8}


@cache
def one_layer(layer, shape):
    """The checked network that consists of one layer (or several, as text)."""
    sizes = ", ".join("none" if size is None else str(size) for size in shape)
    text = f"network OneLayer {{ input: ({sizes},) layers: {layer} }}"
    return check_text(text, "one_layer.neural")[0][0]


def sample(shape, length=7):
    """Two inputs; an axis of any length gets `length` steps."""
    sizes = [length if size is None else size for size in shape]
    return np.random.default_rng(3).normal(size=(2, *sizes))


def known_sizes(shape, sizes):
    """Sizes that shape inference must find; unknown where the input's first is."""
    first = None if shape[0] is None and len(sizes) > 1 else sizes[0]
    return [first, *sizes[1:]]


def arguments_of(layer):
    """Name, positional and named arguments of a layer as it is written."""
    name, _, rest = layer.partition("(")
    words = {"false": False, "true": True, "none": None}
    values, options = eval(f"given({rest}", {"given": lambda *a, **k: (a, k), **words})
    return name, values, options


@cache
def random_weights(checked):
    """Random values for every weight, also biases; variances are positive."""
    random = np.random.default_rng(4)
    return {
        name: np.abs(values) + 0.5 if name.endswith("running_var") else values
        for name, values in (
            (name, random.normal(0.0, 0.4, shape))
            for name, shape in expected(checked).items()
        )
    }


def output(checked, backend, dtype, folder, x):
    """What a backend gives for x, with the random weights."""
    path = None
    if random_weights(checked):
        path = folder / "weights.safetensors"
        save_file(random_weights(checked), path)
    loaded = load_model(checked, backend, path, dtype=dtype)
    found, _ = run(loaded.model, loaded.backend, x.astype(dtype))
    return found


def ruff_complaints(source, folder):
    """What ruff says of a generated file, by its default rules and its format."""
    path = folder / "generated.py"
    path.write_text(source, "utf-8")
    said = ""
    for command in (["check", "--isolated"], ["format", "--isolated", "--diff"]):
        done = subprocess.run(
            [RUFF, *command, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        said += done.stdout if done.returncode else ""
    return said
