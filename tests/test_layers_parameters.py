"""Nothing an author writes is dropped: each parameter changes the code, or warns."""

import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.catalogue import LAYERS
from neural_attn.catalogue.arranging import ARRANGING
from neural_attn.catalogue.convolution import CONVOLUTIONS
from neural_attn.catalogue.core import CORE
from neural_attn.catalogue.merging import MERGING
from neural_attn.catalogue.normalization import NORMALIZATION
from neural_attn.catalogue.pooling import POOLING
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError

FAMILIES = (CORE, NORMALIZATION, CONVOLUTIONS, POOLING, ARRANGING, MERGING)
# what a layer of each name needs, and its input without the batch
REQUIRED = {
    "units": 4,
    "function": "leaky_relu",
    "rate": 0.5,
    "input_dim": 50,
    "output_dim": 8,
    "target_shape": (8, 72),
    "filters": 6,
    "kernel_size": 2,
    "output_size": 2,
    "stddev": 0.5,
    "axes": -1,
}
BY_AXES = {"1": "12, 6", "2": "12, 8, 6", "3": "12, 8, 4, 6"}
# another value for each parameter, by name: any that differs from its default
OTHERS = {
    "units": 5,
    "activation": "tanh",
    "function": "tanh",
    "alpha": 0.3,
    "weights": "vectors.txt",
    "trainable": False,
    "use_bias": False,
    "rate": 0.25,
    "input_dim": 60,
    "output_dim": 10,
    "mask_zero": True,
    "input_length": 12,
    "embeddings_initializer": "normal",
    "kernel_initializer": "he_normal",
    "bias_initializer": "ones",
    "target_shape": (2, 288),
    "epsilon": 0.01,
    "momentum": 0.5,
    "groups": 3,
    "filters": 12,
    "kernel_size": 3,
    "strides": 3,
    "padding": "same",
    "dilation_rate": 2,
    "depth_multiplier": 2,
    "pool_size": 3,
    "output_size": 3,
    "size": 3,
    "interpolation": "bilinear",
    "stddev": 0.25,
    "axis": 1,
    "axes": 1,
    "normalize": True,
}
# These have one value only, in a layout with the channels last; another is refused.
ONE_VALUE = {
    "data_format": "channels_first",
    "axis": 1,
}
CASES = [
    (layer.name, parameter.name)
    for family in FAMILIES
    for layer in family
    for parameter in layer.parameters
]


def written(value):
    if isinstance(value, bool | None):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def network(name, **changed):
    layer = LAYERS[name]
    given = {p.name: REQUIRED.get(p.name) for p in layer.parameters if p.required}
    if name == "Permute":
        given["dims"] = (2, 1, 3)
    if name == "GroupNormalization":
        given["groups"] = 2
    arguments = ", ".join(
        f"{k}={written(v)}" for k, v in sorted({**given, **changed}.items())
    )
    if name == "Embedding":
        then = " GlobalAveragePooling1D()"  # which leaves padding out
        return f"network N {{ input: (12,) layers: {name}({arguments}){then} }}"
    digit = next((c for c in name if c.isdigit()), "2")
    shape = BY_AXES[digit]
    if layer.inputs[:2] == ("x", "y"):
        return (
            f"define Two() {{ layers: merge = {name}({arguments})\n"
            f"forward(a, b): return merge(a, b) }}\n"
            f"network N {{ input: {{ a: (6, 6) b: (6, 6) }} layers: Two() }}"
        )
    return f"network N {{ input: ({shape}) layers: {name}({arguments}) }}"


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_each_parameter_changes_the_code_or_is_said_to_change_nothing(
    backend, name, parameter
):
    layer = LAYERS[name]
    if parameter in ONE_VALUE and layer.name not in ("Concatenate",):
        with pytest.raises(NeuralError):
            check_text(network(name, **{parameter: ONE_VALUE[parameter]}))
        return
    other = (3, 1, 2) if parameter == "dims" else OTHERS[parameter]
    assert other != layer.parameter(parameter).default
    (plain,), nothing = check_text(network(name))
    (changed,), warnings = check_text(network(name, **{parameter: other}))
    assert nothing == []
    before, after = (emit(checked, get(backend)) for checked in (plain, changed))
    if layer.parameter(parameter).needless:
        assert [w.code for w in warnings] == ["W0105"]
        assert f"`{parameter}`" in warnings[0].message
        assert before == after
        return
    assert warnings == []
    said = [d.message for d in get(backend).cannot(changed)]
    if backend == "numpy" and (name, parameter) == ("BatchNormalization", "momentum"):
        assert said == [
            "the numpy backend runs networks and does not train them: "
            "momentum of BatchNormalization is left out"
        ]
        return
    assert said == []
    assert before != after


def test_defaults_written_out_change_nothing(backend):
    for family in FAMILIES:
        for layer in family:
            given = {p.name: p.default for p in layer.parameters if not p.required}
            if layer.name == "GroupNormalization":
                given["groups"] = 2
            (plain,), _ = check_text(network(layer.name))
            (full,), warnings = check_text(network(layer.name, **given))
            assert warnings == []
            assert emit(plain, get(backend)) == emit(full, get(backend)), layer.name
