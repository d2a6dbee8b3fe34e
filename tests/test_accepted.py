"""What `check` accepts is trained: a step on random data of its declared shapes."""

import math
import re

import pytest

from neural_attn.compile import check_text
from neural_attn.templates import templates
from tests.corpus import VALID
from tests.every_backend import TRAINING
from tests.fuzz import random_networks
from tests.training_step import losses_of_an_epoch

WITH_LOSS = {
    path.stem: path.read_text("utf-8")
    for path in VALID
    if re.search(r"^\s*loss\b", path.read_text("utf-8"), re.MULTILINE)
} | templates()

ENDINGS = (
    'Dense(2) loss: "mse" optimizer: Adam(0.01)',
    'Output(3, "softmax") loss: "sparse_categorical_crossentropy" optimizer: "sgd"',
    'Output(2, "sigmoid") loss: "binary_crossentropy" optimizer: "adamw"',
    'Output(4, "softmax") loss: "categorical_crossentropy" optimizer: "rmsprop"',
    'Output(1, "linear") loss: "huber" optimizer: SGD(0.01) train { epochs: 2 }',
)


def trains(checked, backend):
    if checked.network.loss is None:
        return  # of several networks in a file, one may have none
    (loss,) = losses_of_an_epoch(checked, backend)
    assert math.isfinite(loss)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.thorough("tensorflow", every=20)
@pytest.mark.parametrize("backend", TRAINING)
@pytest.mark.parametrize("name", WITH_LOSS)
def test_a_network_with_a_loss_is_trained(name, backend):
    networks, _ = check_text(WITH_LOSS[name])
    for checked in networks:
        trains(checked, backend)


def with_an_ending(seed):
    """A random network that is trained: with a loss, and an output that fits it."""
    text = random_networks.text_of(seed)
    ending = ENDINGS[seed % len(ENDINGS)]
    return f"{text[: text.rindex('}')]}    {ending}\n}}\n"


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.thorough("tensorflow", every=8)
@pytest.mark.parametrize("backend", TRAINING)
@pytest.mark.parametrize("seed", range(20))
def test_a_random_network_is_trained(seed, backend):
    (checked,), _ = check_text(with_an_ending(seed))
    trains(checked, backend)


GROUPS = (
    'network G { input: (6, 6, 4) layers: GroupNormalization(groups=2) loss: "mse" }'
)


@pytest.mark.requires_torch
def test_images_are_normalized_before_any_layer_has_a_gradient():
    """PyTorch itself crashes there on images whose channels are last in memory."""
    (checked,), _ = check_text(GROUPS)
    trains(checked, "pytorch")
