"""What a network can be trained with: losses, optimizers, schedules, metrics.

Each is declared here, once; `backends/training/` writes them for the frameworks.
Names and defaults are those of Keras, where both frameworks have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neural_attn.catalogue.base import Kind, Parameter

_FLAG = Kind("bool")
_RATE = Kind("float", minimum=0)
_SHARE = Kind("float", minimum=0, maximum=1)
_STEPS = Kind("int", minimum=1)
_ANY = Kind("any")

# what a network has besides its layers and branches
SETTINGS = ("input", "layers", "loss", "optimizer", "metrics", "train")
GROUPS = ("train", "training", "execute", "execution")  # settings in braces
SCHEDULED = "learning_rate"  # the parameter that may be a schedule


@dataclass(frozen=True)
class Entry:
    """A name that a setting may have, with its parameters in order."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    same_as: str = ""  # what backends know it by


def _number(name: str, default: float, kind: Kind = _RATE, *aliases: str) -> Parameter:
    return Parameter(name, kind, "", default, aliases)


def _learning_rate(default: float) -> Parameter:
    return _number(SCHEDULED, default, _RATE, "lr")


_BETA_1, _BETA_2 = _number("beta_1", 0.9, _SHARE), _number("beta_2", 0.999, _SHARE)
_EPSILON = _number("epsilon", 1e-7, _RATE, "eps")
_ADAM = (_learning_rate(0.001), _BETA_1, _BETA_2, _EPSILON)
_MOMENTUM = _number("momentum", 0.0, _SHARE)

OPTIMIZERS = (
    Entry(
        "SGD",
        "Stochastic gradient descent.",
        (_learning_rate(0.01), _MOMENTUM, Parameter("nesterov", _FLAG, "", False)),
    ),
    Entry("Adam", "Kingma and Ba (2015).", _ADAM),
    Entry(
        "AdamW",
        "Adam with decoupled weight decay (Loshchilov and Hutter, 2019).",
        (_ADAM[0], _number("weight_decay", 0.004), *_ADAM[1:]),
    ),
    Entry("Adamax", "Kingma and Ba (2015), section 7.", _ADAM),
    Entry("Nadam", "Adam with Nesterov momentum (Dozat, 2016).", _ADAM),
    Entry(
        "RMSprop",
        "Tieleman and Hinton (2012).",
        (
            _learning_rate(0.001),
            _number("rho", 0.9, _SHARE),
            _MOMENTUM,
            _EPSILON,
            Parameter("centered", _FLAG, "", False),
        ),
    ),
    Entry(
        "Adagrad",
        "Duchi et al. (2011).",
        (_learning_rate(0.001), _number("initial_accumulator_value", 0.1), _EPSILON),
    ),
    Entry(
        "Adadelta",
        "Zeiler (2012).",
        (_learning_rate(0.001), _number("rho", 0.95, _SHARE), _EPSILON),
    ),
)

_INITIAL = Parameter(
    "initial_learning_rate", _RATE, "", aliases=("learning_rate", "initial_lr", "lr")
)
_DECAY_STEPS = Parameter(
    "decay_steps", _STEPS, "", aliases=("step_size", "drop_every", "steps")
)
_DECAY_RATE = Parameter("decay_rate", _RATE, "", aliases=("gamma", "drop", "rate"))
_STAIRCASE = Parameter("staircase", _FLAG, "", False)

SCHEDULES = (
    Entry(
        "ExponentialDecay",
        "initial * decay_rate ** (step / decay_steps)",
        (_INITIAL, _DECAY_STEPS, _DECAY_RATE, _STAIRCASE),
    ),
    Entry(
        "StepDecay",
        "ExponentialDecay in steps",
        (_INITIAL, _DECAY_STEPS, _DECAY_RATE),
        fixed={"staircase": True},
    ),
    Entry(
        "InverseTimeDecay",
        "initial / (1 + decay_rate * step / decay_steps)",
        (_INITIAL, _DECAY_STEPS, _DECAY_RATE, _STAIRCASE),
    ),
    Entry(
        "PolynomialDecay",
        "from initial to end, along (1 - step / decay_steps) ** power",
        (
            _INITIAL,
            _DECAY_STEPS,
            _number("end_learning_rate", 0.0001),
            _number("power", 1.0),
        ),
    ),
    Entry(
        "CosineDecay",
        "half a cosine from initial to alpha * initial (Loshchilov and Hutter, 2017); "
        "before it, from 0 to initial in warmup_steps",
        (
            _INITIAL,
            _DECAY_STEPS,
            _number("alpha", 0.0, _SHARE),
            Parameter("warmup_steps", Kind("int", minimum=0), "", 0, ("warmup",)),
        ),
    ),
    Entry(
        "Noam",
        "scale * d_model ** -0.5 * min(step ** -0.5, step * warmup_steps ** -1.5), "
        "from step 1 (Vaswani et al., 2017, section 5.3)",
        (
            Parameter("d_model", Kind("int", minimum=1), ""),
            Parameter("warmup_steps", _STEPS, "", 4000, ("warmup",)),
            _number("scale", 1.0, _RATE, "factor"),
        ),
        aliases=("NoamDecay", "InverseSquareRootDecay"),
    ),
    Entry(
        "PiecewiseConstantDecay",
        "values[i] up to boundaries[i], in steps",
        (Parameter("boundaries", _ANY, ""), Parameter("values", _ANY, "")),
    ),
)

# losses of classes, by what backends know them by
OF_CLASSES = ("sparse_categorical_crossentropy", "categorical_crossentropy")

LOSSES = (
    Entry(
        "sparse_categorical_crossentropy",
        "cross-entropy with class ids, perhaps smoothed (Szegedy et al., 2016)",
        (Parameter("label_smoothing", _SHARE, "", 0.0, ("smoothing",)),),
        aliases=("cross_entropy", "crossentropy", "nll_loss"),
    ),
    Entry(
        "categorical_crossentropy",
        "cross-entropy with one-hot targets",
        (Parameter("label_smoothing", _SHARE, "", 0.0, ("smoothing",)),),
        aliases=("categorical_cross_entropy", "cce"),
    ),
    Entry(
        "label_smoothing_crossentropy",
        "the same with smoothed targets (Szegedy et al., 2016)",
        (Parameter("label_smoothing", _SHARE, "", 0.1, ("smoothing",)),),
        aliases=("label_smoothing_cross_entropy",),
        same_as="categorical_crossentropy",
    ),
    Entry(
        "binary_crossentropy",
        "cross-entropy with targets 0 and 1",
        aliases=("bce",),
    ),
    Entry("mean_squared_error", "", aliases=("mse",)),
    Entry("mean_absolute_error", "", aliases=("mae",)),
    Entry("huber", "", (_number("delta", 1.0),), aliases=("huber_loss",)),
)

METRICS = (
    Entry("accuracy", "share of correct answers", aliases=("acc",)),
    Entry("mean_squared_error", "", aliases=("mse",)),
    Entry("mean_absolute_error", "", aliases=("mae",)),
)
# What authors write too, and no backend computes yet.
METRICS_TO_COME = (
    "auc", "bleu", "f1", "f1_score", "perplexity", "precision", "recall",
    "top_k_categorical_accuracy", "top_k_accuracy", "top_5_accuracy",
)  # fmt: skip

TRAIN = (
    Parameter("epochs", Kind("int", minimum=1), "", 10),
    Parameter("batch_size", Kind("int", minimum=1), "", 32),
    Parameter("validation_split", Kind("float", minimum=0, maximum=0.99), "", 0.0),
    Parameter("shuffle", _FLAG, "", True),
    Parameter(
        "gradient_clip",
        _RATE,
        "",
        None,
        ("gradient_clipping", "gradient_clip_norm", "clip_norm", "clipnorm"),
    ),
    Parameter(
        "early_stopping_patience",
        Kind("int", minimum=1),
        "",
        None,
        ("early_stopping", "patience"),
    ),
)
# What authors write too, and no backend does yet.
TRAIN_TO_COME = (
    "callbacks", "checkpoint_path", "gradient_accumulation_steps",
    "gradient_checkpointing", "mixed_precision", "num_trials", "precision",
    "save_best_only", "search_method", "strategy", "verbose", "warmup_steps",
)  # fmt: skip


def find(entries: tuple[Entry, ...], name: str) -> Entry | None:
    """The entry of this name or alias; case and underscores do not matter."""
    wanted = _plain(name)
    for entry in entries:
        if wanted in map(_plain, (entry.name, *entry.aliases)):
            return entry
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
