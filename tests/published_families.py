"""Networks that others published, with random weights, and ours with the same."""

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.models.weights import expected, initial
from tests.reused import checked_text, with_weights

FOLDER = Path(__file__).resolve().parent / "fixtures" / "published"


def text_of(name):
    """The text of a published network."""
    return (FOLDER / f"{name}.neural").read_text("utf-8")


def checked_of(text):
    """The one network of a text, which is sound."""
    checked, warnings = checked_text(text)
    assert warnings == []
    return checked


def spread(module, scale=0.3, seed=5):
    """A module of transformers in float64, its weights far from how they start."""
    import torch

    torch.nn.Module.__dict__.get("smart_apply") and delattr(
        torch.nn.Module, "smart_apply"
    )
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * noise.double())
    return module


@contextmanager
def exact():
    """While it lasts, modules of transformers stay in float64 throughout."""
    import torch

    kept = torch.float32, torch.Tensor.float
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    try:
        with torch.no_grad():
            yield
    finally:
        torch.float32, torch.Tensor.float = kept


def renamed(module, names):
    """The weights of a module under our names.

    `names` lists pairs of a regular expression and what it becomes, all of them applied
    in order; what becomes "" is left out.
    """
    weights = {}
    for name, value in module.state_dict().items():
        for pattern, ours in names:
            name = re.sub(pattern, ours, name)
        if name:
            weights[name] = value.detach().numpy()
    return weights


def random_weights(checked, scale=0.3):
    """Weights of ours, far from how they start."""
    random = np.random.default_rng(3)
    return {
        name: weight + scale * random.normal(size=weight.shape)
        for name, weight in initial(checked).items()
    }


def loaded(checked, backend, weights, folder, dtype="float64"):
    """Our network on a backend with given weights, all of them and no others."""
    assert weights.keys() == expected(checked).keys()
    path = folder / "weights.safetensors"
    save_file({n: np.ascontiguousarray(w) for n, w in weights.items()}, path)
    return with_weights(checked, backend, path, dtype)


def output_and_maps(model, inputs):
    """What ours gives, and its maps alone; the output is that without maps too."""
    output, maps = run(model.model, model.backend, inputs)
    if isinstance(inputs, dict):
        tensors = {name: model.backend.tensor(x) for name, x in inputs.items()}
    else:
        tensors = model.backend.tensor(inputs)
    with model.backend.inference():
        alone = np.asarray(model.backend.array(model.model(tensors)))
    tolerance = 1e-9 if alone.dtype == np.float64 else 1e-4
    np.testing.assert_allclose(alone, output, rtol=0, atol=tolerance)
    return output, {name: weights for name, (weights, _) in maps.items()}


def assert_same(ours, theirs, atol):
    """Arrays of ours are those of theirs, which may be tensors."""
    if hasattr(theirs, "detach"):
        theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def assert_gradients_reach_all(checked, backend, inputs):
    """Each weight has a gradient that is not 0, be attention asked for or not."""
    model = load_model(checked, backend, dtype="float64").model
    if backend == "pytorch":
        import torch

        tensors = {n: torch.from_numpy(x) for n, x in inputs.items()}
        tensors = tensors if len(tensors) > 1 else next(iter(tensors.values()))
        for asked in (False, True):
            model.zero_grad()
            output = model(tensors, return_attention=asked)
            output = output[0] if asked else output
            output.sin().sum().backward()
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.abs().max() > 0, name
    else:
        import tensorflow as tf

        given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        for asked in (False, True):
            with tf.GradientTape() as tape:
                output = model(given, return_attention=asked)
                output = output[0] if asked else output
                loss = tf.reduce_sum(tf.sin(output))
            variables = [v.value for v in model.trainable_variables]
            for variable, gradient in zip(
                model.trainable_variables, tape.gradient(loss, variables), strict=True
            ):
                assert gradient is not None, variable.path
                dense = tf.convert_to_tensor(gradient).numpy()
                assert np.abs(dense).max() > 0, variable.path
