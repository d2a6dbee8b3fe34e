"""Training settings: what is read, what is refused, and what the frameworks compute."""

import importlib
import math

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_source
from tests.every_backend import TRAINING, parameters

TRAINERS = parameters(TRAINING)
both = [pytest.mark.requires_torch, pytest.mark.requires_tensorflow]


def network(settings, layers='Dense(8, "tanh") Output(3)', shape="(4,)"):
    return f"network Tiny {{ input: {shape} layers: {layers}\n{settings} }}"


def checked(settings, **options):
    networks, warnings = check_text(network(settings, **options))
    return networks[0], [warning.code for warning in warnings]


def problems(settings):
    with pytest.raises(NeuralError) as error:
        checked(settings)
    return [(d.code, d.message, d.hint) for d in error.value.diagnostics]


def module(settings, backend, **options):
    return load_source(emit(checked(settings, **options)[0], get(backend)), "tiny")


class Framework:
    """One backend's module, and the way from arrays to its tensors and back."""

    def __init__(self, name, settings, **options):
        self.name = name
        self.module = module(settings, name, **options)
        self.model = self.module.create_model()

    def tensor(self, array):
        return get(self.name).tensor(array)

    def loss(self, outputs, targets, last):
        """The value of the loss for outputs; a loss of logits is given theirs."""
        if hasattr(self.model, "forward_logits"):
            outputs = np.clip(outputs, np.float32(1e-7), np.float32(1 - 1e-7))
            outputs = outputs.astype("float64")
            rest = 1 - outputs if last == "sigmoid" else 1
            outputs = np.log(outputs / rest).astype("float32")
        outputs, targets = self.tensor(outputs), self.tensor(targets)
        loss = self.module.create_loss()
        pair = (outputs, targets) if self.name == "pytorch" else (targets, outputs)
        return float(loss(*pair))

    def train(self, inputs, targets, **options):
        arrays = map(self.tensor, (inputs, targets))
        return self.module.train(self.model, *arrays, **options)


# --- reading -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        'optimizer: "adam"',
        "optimizer: Adam",
        "optimizer: adam()",
        "optimizer: Adam(learning_rate=0.001)",
        "optimizer: Adam(lr=1e-3, eps=1e-7)",
        'optimizer: "Adam(learning_rate=0.001)"',
        'optimizer: "Adam" { learning_rate: 0.001 }',
    ],
)
def test_spellings_of_an_optimizer(spelling):
    optimizer = checked(f'loss: "mse" {spelling}')[0].network.optimizer
    assert optimizer.name == "Adam"
    expected = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    assert optimizer.arguments == expected


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("loss: mse", "mean_squared_error"),
        ('loss: "MSE"', "mean_squared_error"),
        ('loss: "sparse_categorical_crossentropy"', "sparse_categorical_crossentropy"),
        ("loss: SparseCategoricalCrossentropy()", "sparse_categorical_crossentropy"),
        ("loss: Huber(delta=2)", "huber"),
    ],
)
def test_spellings_of_a_loss(spelling, name):
    assert checked(spelling)[0].network.loss.name == name


def test_train_settings_have_defaults_and_aliases():
    train = checked(
        'loss: "mse" training: { epochs: 3, patience: 2, clipnorm: 1, shuffle: false }'
    )[0].network.train
    assert (train.epochs, train.batch_size, train.validation_split) == (3, 32, 0.0)
    assert (train.early_stopping_patience, train.gradient_clip) == (2, 1.0)
    assert train.shuffle is False


def test_a_schedule_takes_its_arguments_by_place_or_name():
    for arguments in (
        "0.1, 100, 0.9",
        "initial_learning_rate=0.1, decay_steps=100, decay_rate=0.9",
    ):
        settings = f"optimizer: SGD(learning_rate=ExponentialDecay({arguments}))"
        rate = checked(f'loss: "mse" {settings}')[0].network.optimizer.arguments
        assert rate["learning_rate"].arguments == {
            "initial_learning_rate": 0.1,
            "decay_steps": 100,
            "decay_rate": 0.9,
            "staircase": False,
        }


@pytest.mark.parametrize(
    ("settings", "code", "hint"),
    [
        ('optimiser: "adam"', "E0240", "did you mean `optimizer`?"),
        ("train: 3", "E0241", "write `train"),
        ("train { epoch: 3 }", "E0242", "did you mean `epochs`?"),
        ('loss: "categorical_crosentropy"', "E0243", "did you mean `categorical"),
        ('optimizer: "adan"', "E0243", "did you mean `Adam"),
        ('metrics: ["acuracy"]', "E0243", "did you mean `accuracy`?"),
        ("optimizer: Adam(learning_rate=StpDecay(1))", "E0243", "did you mean `StepD"),
        ("optimizer: Adam(learn_rate=0.1)", "E0203", "did you mean `learning_rate`?"),
        ("optimizer: Adam(learning_rate=CosineDecay(0.1))", "E0215", "decay_steps=…"),
        ("loss: 3", "E0243", "there are sparse_categorical_crossentropy"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(settings, code, hint):
    found = problems(settings)
    assert [problem[0] for problem in found if problem[0][0] == "E"] == [code]
    assert any(hint in problem[2] for problem in found)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("optimizer: Adam(learning_rate=-1)", "must be at least 0, not -1"),
        ("optimizer: Adam(beta_1=2)", "must be at most 1, not 2"),
        ('optimizer: SGD(nesterov="yes")', "must be true or false"),
        ("train { epochs: 0 }", "must be at least 1, not 0"),
        ("train { epochs: 2.5 }", "must be a whole number"),
        ("train { validation_split: 1 }", "must be at most 0.99"),
        (
            "optimizer: SGD(learning_rate=PiecewiseConstantDecay([1, x], [1, 2]))",
            "must be a list of numbers",
        ),
    ],
)
def test_values_out_of_range_are_refused(settings, complaint):
    (message,) = [p[1] for p in problems(settings) if p[0] == "E0217"]
    assert complaint in message


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("optimizer: Adam", "W0110"),
        ('loss: "mse" execution { mixed_precision: true }', "W0111"),
        ('loss: "mse" train { callbacks: ["x"] }', "W0111"),
        ('loss: "mse" metrics: ["auc"]', "W0112"),
        ('loss: "mse" metrics: ["accuracy"]', "W0113"),
    ],
)
def test_what_is_left_out_is_said(settings, code):
    assert checked(settings)[1] == [code]


def test_the_numpy_backend_says_that_it_cannot_train():
    network, _ = checked('loss: "mse"')
    assert [d.code for d in get("numpy").cannot(network)] == ["W0114"]
    assert get("numpy").cannot(checked("")[0]) == []


def test_a_loss_that_expects_other_outputs_says_so():
    settings = 'loss: "sparse_categorical_crossentropy"'
    for last, codes in (("relu", ["W0115"]), ("softmax", []), ("linear", [])):
        network, _ = checked(settings, layers=f'Dense(3, "{last}")')
        for backend in TRAINING:
            assert [d.code for d in get(backend).cannot(network)] == codes


# --- the frameworks ----------------------------------------------------------------

LOSSES = {  # settings: (last layer, targets)
    "sparse_categorical_crossentropy": ("softmax", "ids"),
    "sparse_categorical_crossentropy, logits": ("linear", "ids"),
    "SparseCategoricalCrossentropy(label_smoothing=0.1)": ("softmax", "ids"),
    "SparseCategoricalCrossentropy(label_smoothing=0.1), logits": ("linear", "ids"),
    "categorical_crossentropy": ("softmax", "one-hot"),
    "categorical_crossentropy, logits": ("linear", "one-hot"),
    "CategoricalCrossentropy(label_smoothing=0.1)": ("softmax", "one-hot"),
    "CategoricalCrossentropy(label_smoothing=0.1), logits": ("linear", "one-hot"),
    "binary_crossentropy": ("sigmoid", "one-hot"),
    "binary_crossentropy, logits": ("linear", "one-hot"),
    "mse": ("linear", "numbers"),
    "mae": ("linear", "numbers"),
    "Huber(delta=0.5)": ("linear", "numbers"),
}


def example(kind, shape, classes=3):
    """Outputs of a last layer, and each kind of targets."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(*shape, classes)).astype("float32") * 3
    powers = np.exp(logits)
    outputs = {
        "linear": logits,
        "softmax": powers / powers.sum(-1, keepdims=True),
        "sigmoid": 1 / (1 + 1 / powers),
    }[kind]
    ids = rng.integers(classes, size=shape)
    targets = {
        "ids": ids,
        "one-hot": np.eye(classes, dtype="float32")[ids],
        "numbers": rng.normal(size=outputs.shape).astype("float32"),
    }
    return outputs, targets


@pytest.mark.requires_torch
@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_both_frameworks_compute_the_same_loss(loss, over_time):
    last, kind = LOSSES[loss]
    outputs, targets = example(last, (5, 4) if over_time else (5,))
    if last != "linear":  # certain, and wrong: the logarithm must not be infinite
        outputs.reshape(-1, 3)[0] = [0, 1, 0]
    options = {
        "layers": f'Dense(3, "{last}")',
        "shape": "(4, 2)" if over_time else "(4,)",
    }
    settings = f"loss: {loss.removesuffix(', logits')}"
    values = [
        Framework(name, settings, **options).loss(outputs, targets[kind], last)
        for name in TRAINING
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-6)
    assert math.isfinite(values[0])


OPTIMIZERS = {  # how far the two frameworks may be apart after three steps
    "SGD(learning_rate=0.1)": 1e-6,
    "SGD(learning_rate=0.1, momentum=0.9)": 1e-6,
    "SGD(learning_rate=0.1, momentum=0.9, nesterov=true)": 1e-6,
    "Adam(learning_rate=0.001)": 1e-5,
    "AdamW(learning_rate=0.001, weight_decay=0.1)": 1e-5,
    "Adamax(learning_rate=0.001)": 1e-5,
    # Their formulas differ: Keras adds epsilon under the root, and warms momentum up
    # by another power.
    "RMSprop(learning_rate=0.01)": 5e-3,
    "Nadam(learning_rate=0.01)": 5e-3,
    "Adagrad(learning_rate=0.01)": 1e-5,
    "Adadelta(learning_rate=0.5)": 1e-5,
    "SGD(learning_rate=ExponentialDecay(0.5, 2, 0.5))": 1e-6,
    "SGD(learning_rate=ExponentialDecay(0.5, 2, 0.5, staircase=true))": 1e-6,
    "SGD(learning_rate=StepDecay(0.5, 2, 0.1))": 1e-6,
    "SGD(learning_rate=InverseTimeDecay(0.5, 1, 0.5))": 1e-6,
    "SGD(learning_rate=PolynomialDecay(0.5, 2, power=2.0))": 1e-6,
    "SGD(learning_rate=CosineDecay(0.5, 2, alpha=0.1))": 1e-6,
    "SGD(learning_rate=CosineDecay(0.5, 4, warmup_steps=2))": 1e-6,
    "SGD(learning_rate=Noam(16, warmup_steps=2, scale=2))": 1e-6,
    "SGD(learning_rate=PiecewiseConstantDecay([1], [0.5, 0.01]))": 1e-6,
    "SGD(learning_rate=0.5) train { gradient_clip: 0.01 }": 1e-6,
}


@pytest.mark.thorough(but=("Adam(", "SGD(", "RMSprop"))
@pytest.mark.requires_torch
@pytest.mark.requires_tensorflow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_both_frameworks_take_the_same_steps(optimizer, tmp_path):
    settings = f'loss: "sparse_categorical_crossentropy" optimizer: {optimizer}'
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(6, 4)).astype("float32")
    targets = rng.integers(3, size=6)
    path = tmp_path / "weights.safetensors"
    importlib.import_module("torch").manual_seed(0)
    frameworks = [Framework(name, settings) for name in TRAINING]
    frameworks[0].model.save_weights(path)
    outputs = []
    for framework in frameworks:
        framework.model.load_weights(path)
        framework.train(inputs, targets, epochs=3, batch_size=6)
        backend = get(framework.name)
        with backend.inference():
            outputs.append(backend.array(framework.model(backend.tensor(inputs))))
    np.testing.assert_allclose(outputs[0], outputs[1], 0, OPTIMIZERS[optimizer])


@pytest.mark.requires_torch
@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        # Vaswani et al. (2017), equation 3
        (
            "Noam(512, warmup_steps=10)",
            lambda n: 512**-0.5 * min((n + 1) ** -0.5, (n + 1) * 10**-1.5),
        ),
        (
            "CosineDecay(0.4, 30, alpha=0.25, warmup_steps=10)",
            lambda n: (
                0.04 * n
                if n < 10
                else 0.1 + 0.3 * (1 + math.cos(math.pi * min((n - 10) / 30, 1))) / 2
            ),
        ),
    ],
)
def test_a_rate_that_warms_up(schedule, rate):
    framework = Framework("pytorch", f"loss: mse optimizer: SGD({schedule})")
    optimizer = framework.module.create_optimizer(framework.model)
    found = framework.module.create_schedule(optimizer)
    for step in range(60):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate(step), rel=1e-12)
        optimizer.step()
        found.step()


ATTENTION = (
    "Embedding(8, 8, mask_zero=true) TransformerEncoder(2, 16, dropout=0.1)"
    " GlobalAveragePooling1D() Output(2)"
)


@pytest.mark.parametrize("name", TRAINERS)
def test_training_learns_and_reports(name, capfd):
    settings = (
        'loss: "sparse_categorical_crossentropy" metrics: ["accuracy"]'
        " optimizer: Adam(learning_rate=0.01)"
        " train { epochs: 12 batch_size: 16 validation_split: 0.25 }"
    )
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 8, size=(64, 6))
    targets = (ids[:, 0] > 4).astype("int64")
    if name == "pytorch":  # the first weights and the order of examples are drawn
        importlib.import_module("torch").manual_seed(0)
    else:
        importlib.import_module("keras").utils.set_random_seed(0)
    framework = Framework(name, settings, layers=ATTENTION, shape="(none,)")
    history = framework.train(ids, targets)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 12 for values in history.values())
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert 0 <= history["val_accuracy"][-1] <= 1
    assert "val_accuracy" in capfd.readouterr().out
    assert not getattr(framework.model, "training", False)  # evaluation mode, in torch
    layer = framework.model.attention_layers()["transformer_encoder_0"]
    assert layer.attention_weights is None


@pytest.mark.parametrize("name", TRAINERS)
def test_training_stops_early(name):
    settings = 'loss: "mse" optimizer: SGD(learning_rate=0.0) train { patience: 2 }'
    framework = Framework(name, settings)
    inputs = np.ones((4, 4), "float32")
    history = framework.train(inputs, np.ones((4, 3), "float32"), epochs=10)
    assert len(history["loss"]) == 3


@pytest.mark.parametrize("name", TRAINERS)
def test_a_network_without_a_loss_has_no_training_code(name):
    assert not hasattr(module("", name), "train")
    assert not hasattr(module("", name), "create_loss")
