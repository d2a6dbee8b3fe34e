"""A parameter that matters only for some values of another is not dropped there."""

from functools import cache

import pytest
from neural_attn.backends.emit.emitter import emit

from neural_attn.catalogue import LAYERS
from neural_attn.catalogue.recurrent import RECURRENT
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from tests.every_backend import EVERY
from tests.test_layers_parameters import OTHERS, network, written

# of recurrent layers, which have a test of their own for each parameter alone
OF_RECURRENT = {
    "activation": "relu", "recurrent_activation": "tanh", "return_sequences": True,
    "dropout": 0.5, "recurrent_dropout": 0.5, "go_backwards": True,
    "reset_after": False, "merge_mode": "sum", "recurrent_initializer": "zeros",
    "stateful": True, "unroll": True,
}  # fmt: skip


def recurrent(name, **changed):
    given = {"units": 4, **changed}
    mode = f", merge_mode={written(given.pop('merge_mode', 'concat'))}"
    arguments = ", ".join(f"{k}={written(v)}" for k, v in sorted(given.items()))
    inner = f"{name.removeprefix('Bidirectional')}({arguments})"
    layer = (
        inner if name == inner.partition("(")[0] else f"Bidirectional({inner}{mode})"
    )
    return f"network N {{ input: (12, 6) layers: {layer} }}"


@cache
def outcome(text):
    """The code on every backend with what is said of it; None where it is refused."""
    try:
        (checked,), warnings = check_text(text)
    except NeuralError:
        return None
    backends = EVERY.values()
    said = [w.message for w in warnings]
    return [
        (emit(checked, b), said + [d.message for d in b.cannot(checked)])
        for b in backends
    ]


@pytest.mark.thorough(
    "BidirectionalGRU",
    "BidirectionalSimpleRNN",
    "SimpleRNN",
    "Conv3D",
    but="BidirectionalLSTM",
)
@pytest.mark.parametrize("name", LAYERS)
def test_each_parameter_matters_beside_each_other_one(name):
    """One that matters only for some values of another must not be dropped there."""
    layer = LAYERS[name]
    others, text = (
        ({**OTHERS, **OF_RECURRENT}, recurrent)
        if layer in RECURRENT
        else ({**OTHERS, "dims": (3, 1, 2)}, network)
    )
    changes = {p.name: others[p.name] for p in layer.parameters if p.name in others}
    for first, value in changes.items():
        before = outcome(text(name, **{first: value}))
        for second in changes.keys() - {first}:
            after = outcome(text(name, **{first: value, second: changes[second]}))
            if before is not None and after is not None:
                assert all(a != b for a, b in zip(before, after, strict=True)), second
