"""A package brings a whole backend, runtime included: nothing of ours is touched."""

import json

import numpy as np
import pytest
from neural_attn.backends import get

from tests.outside import neural_with, outside_package, run_with

# Lists of Python floats would be a toy; this is NumPy under other names, so that what
# it computes can be compared.
RUNTIME = '''"""The runtime of `mini`."""

import numpy as np


class Layer:
    """Calls run the forward."""

    def __call__(self, *inputs, **named):
        """Run."""
        return self.forward(*inputs, **named)


class Network(Layer):
    """A network."""

    def attention_layers(self):
        """Return no layers."""
        return {}

    def set_store_attention(self, flag):
        """Keep nothing."""

    def load_weights(self, path):
        """Read a safetensors file."""
        from safetensors.numpy import load_file

        for name, values in load_file(path).items():
            layer, _, weight = name.rpartition(".")
            setattr(getattr(self, layer), weight, values)


class Linear(Layer):
    """x times weight plus bias."""

    def __init__(self, inputs, outputs):
        self.weight = np.zeros((outputs, inputs))
        self.bias = np.zeros(outputs)

    def forward(self, x):
        """Map [..., inputs] to [..., outputs]."""
        return x @ self.weight.T + self.bias
'''
EXTRA = '''"""More of it."""

from mini_backend.runtime.core import Linear


def halved(x):
    """Return half of x."""
    return 0.5 * x


class Unused(Linear):
    """Nothing needs this."""
'''
ENTRY = '''"""The backend `mini`."""

from neural_attn.backends.emit.base import Backend, Row
from neural_attn.backends.emit.usage import network_name

RUNTIME = "mini_backend.runtime"


def create(checked):
    name = network_name(checked, RUNTIME)
    return [
        'def create_model(dtype="float64"):',
        '    """Return the network."""',
        f"    return {name}()",
    ]


BACKEND = Backend(
    name="mini",
    requires=("numpy",),
    install="pip install mini",
    aliases=("small",),
    rank=0,
    runtime=RUNTIME,
    layer_base="Layer",
    forward="forward",
    list_of_layers="[{made}]",
    layers={
        "Dense": Row("Linear({in_features}, {units})", activates=True),
        "Output": Row("Linear({in_features}, {units})", activates=True),
        "Activation": Row("", "{function}({x})"),
    },
    functions={"width": "{0}.shape[-1]"},
    activation=lambda name: f"np.{name}",
    applied={"sigmoid": "halved(1 + np.tanh(halved({x})))"},
    create=create,
)
'''
NETWORK = """
network Small {
  input: (3,)
  layers:
    Dense(4, "tanh")
    Output(2, "sigmoid")
}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "small.neural").write_text(NETWORK, encoding="utf-8")
    modules = {
        "mini_backend/__init__.py": ENTRY,
        "mini_backend/runtime/__init__.py": "",
        "mini_backend/runtime/core.py": RUNTIME,
        "mini_backend/runtime/more.py": EXTRA,
    }
    entry = {"neural_attn.backends": {"mini": "mini_backend:BACKEND"}}
    return outside_package(folder, modules, entry)


@pytest.mark.parametrize("name", ["mini", "small"])
def test_it_compiles_with_its_own_runtime(package, name):
    text = neural_with(package, "compile", package / "small.neural", "-b", name)
    assert "class Linear(Layer):" in text
    assert "def halved(x):" in text
    assert "Unused" not in text
    assert "mini_backend" not in text
    compile(text, "small.py", "exec")


def test_it_runs_and_agrees_with_the_referee(package):
    program = (
        "import json, numpy as np\n"
        "from neural_attn import load_model\n"
        "x = np.arange(6.0).reshape(2, 3)\n"
        f"path = {str(package / 'small.neural')!r}\n"
        "print(json.dumps([load_model(path, name, dtype='float64').model(x).tolist()"
        " for name in ('mini', 'numpy')]))"
    )
    found, expected = json.loads(run_with(package, "-c", program))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_it_is_offered_and_not_taken_by_auto(package):
    program = (
        "from neural_attn import backends as b; print(b.names(), b.choose('auto').name)"
    )
    found = run_with(package, "-c", program)
    assert "'mini'" in found.partition("]")[0]
    assert found.split()[-1] != "mini"


def test_without_the_package_there_is_no_such_backend():
    with pytest.raises(Exception, match="there is no backend `mini`"):
        get("mini")
