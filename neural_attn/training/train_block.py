"""Loss, optimizer, metrics and train settings: reads what the author wrote.

Everything becomes code in the backends that train, or an error, or a named warning.
"""

from __future__ import annotations

from neural_attn.catalogue.base import Parameter
from neural_attn.diagnostics.errors import Problems, Span, did_you_mean
from neural_attn.grammar import tree
from neural_attn.ir import Named, Network, Spaces, Training
from neural_attn.training.catalogue import (
    LOSSES,
    METRICS,
    METRICS_TO_COME,
    OPTIMIZERS,
    SETTINGS,
    TRAIN,
    TRAIN_TO_COME,
)
from neural_attn.training.entries import EntryReader

_NOT_YET = ("device", "execute", "execution")


def read_settings(
    network: Network,
    settings: dict[str, tree.Setting],
    problems: Problems,
    spaces: Spaces,
) -> None:
    """Fill the network's training settings; notes unknown names and values."""
    reader = _Reader(problems, spaces)
    if "train" in settings and "training" in settings:
        span = settings["training"].name.span
        problems.add("E0208.training", span)
    for name, setting in settings.items():
        if name == "loss":
            network.loss = reader.named("loss", LOSSES, setting)
        elif name == "optimizer":
            network.optimizer = reader.named("optimizer", OPTIMIZERS, setting)
        elif name == "metrics":
            network.metrics = reader.metrics(setting)
        elif name in ("train", "training"):
            network.train = reader.train(setting)
        elif name in _NOT_YET:
            reader.not_yet(name, setting.name.span)
        else:
            hint = did_you_mean(name, SETTINGS)
            problems.add(
                "E0240",
                setting.name.span,
                hint=hint,
                name=name,
                SETTINGS=", ".join(SETTINGS),
            )
    if "loss" not in settings:
        _check_loss(network, problems)
    _check_metrics(network, problems)


def _check_loss(network: Network, problems: Problems) -> None:
    given = network.optimizer or network.train
    if given is not None:
        problems.add("W0110", given.span, network=network.name)


def _check_metrics(network: Network, problems: Problems) -> None:
    """Leave out metrics that do not fit the loss: classes here, numbers there."""
    if network.loss is None:
        return
    of_classes = network.loss.name.endswith("crossentropy")
    kept = []
    for metric in network.metrics:
        if (metric.name == "accuracy") == of_classes:
            kept.append(metric)
            continue
        problems.add("W0113", metric.span, metric=metric.name, loss=network.loss.name)
    network.metrics = tuple(kept)


class _Reader(EntryReader):
    """Reads metrics and the `train` block too."""

    def not_yet(self, name: str, span: Span) -> None:
        """Name a setting that generated code knows nothing of."""
        self.problems.add("W0111", span, name=name)

    def metrics(self, setting: tree.Setting) -> tuple[Named, ...]:
        """`["accuracy", …]`, or one name."""
        expr = setting.value
        if expr is None:
            self.refuse("metric", setting.name.span, METRICS)
            return ()
        self.surplus("metrics", setting.block, setting)
        items = expr.items if isinstance(expr, tree.Sequence) else (expr,)
        found: dict[str, Named] = {}
        for item in items:
            name = self.constant(item)
            if isinstance(name, str) and name.lower() in METRICS_TO_COME:
                self.problems.add("W0112", item.span, name=name)
            elif (named := self.entry("metric", METRICS, item)) is not None:
                found[named.name] = named
        return tuple(found.values())

    def train(self, setting: tree.Setting) -> Training:
        """`train { epochs: 10 … }`."""
        if setting.block is None:
            self.problems.add("E0241", setting.name.span)
        elif setting.value is not None:
            self.problems.add("E0241.value", setting.value.span)
        known = {n: p for p in TRAIN for n in (p.name, *p.aliases)}
        spelled: dict[str, str] = {}  # what each parameter given so far was called
        values: dict[str, object] = {p.name: p.default for p in TRAIN}
        for item in setting.block or ():
            name = _item_name(item)
            if name in TRAIN_TO_COME:
                self.not_yet(name, item.span)
            elif name not in known or not isinstance(item, tree.Setting):
                hint = did_you_mean(name, [*known, *TRAIN_TO_COME])
                self.problems.add(
                    "E0242",
                    item.span,
                    hint=hint,
                    name=name,
                    names=", ".join(p.name for p in TRAIN),
                )
            else:
                parameter = known[name]
                earlier = spelled.get(parameter.name, "")
                if name == "early_stopping" and earlier:
                    continue  # the patience says more than that there is one
                if earlier not in ("", "early_stopping"):
                    self.problems.add("E0208", item.name.span, name=parameter.name)
                spelled[parameter.name] = name
                values[parameter.name] = self._train_value(parameter, item)
        return Training(setting.name.span, **values)  # type: ignore[arg-type]

    def _train_value(self, parameter: Parameter, item: tree.Setting) -> object:
        if item.value is None:
            self.not_yet(item.name.text, item.name.span)
            return parameter.default
        self.surplus(item.name.text, item.block, item)
        if parameter.name == "early_stopping_patience":
            flag = self.constant(item.value)
            if isinstance(flag, bool):
                return 3 if flag else None
        return self.value("train", parameter, item.value)


def _item_name(item: tree.Item) -> str:
    if isinstance(item, tree.Setting | tree.LayerNode):
        return item.name.text
    return item.span.text
