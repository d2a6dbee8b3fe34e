"""Loss, optimizer, metrics and train settings: reads what the author wrote.

Everything becomes code in the backends that train, or an error, or a named warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from neural_attn.errors import NeuralError, Problems, Span, did_you_mean
from neural_attn.grammar import parse, tree
from neural_attn.layers import Parameter
from neural_attn.resolve.arguments import match
from neural_attn.resolve.ir import Named, Network, Training
from neural_attn.resolve.training_catalogue import (
    LOSSES,
    METRICS,
    METRICS_TO_COME,
    OPTIMIZERS,
    SCHEDULED,
    SCHEDULES,
    TRAIN,
    TRAIN_TO_COME,
    Entry,
    find,
)

GROUPS = ("train", "training", "execute", "execution")
SETTINGS = ("input", "layers", "loss", "optimizer", "metrics", "train")
_NOT_YET = ("device", "execute", "execution")


def is_group(node: tree.LayerNode) -> bool:
    """Whether `name { … }` is a group of settings rather than a layer."""
    return node.name.text in GROUPS and node.block is not None


def read_settings(
    network: Network, settings: dict[str, tree.Setting], problems: Problems
) -> None:
    """Fill the network's training settings; notes unknown names and values."""
    reader = _Reader(problems)
    if "train" in settings and "training" in settings:
        span = settings["training"].name.span
        problems.add("E0208", "`training` is another word for `train`", span)
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
                f"a network has no setting `{name}`",
                setting.name.span,
                hint or "it has " + ", ".join(SETTINGS),
            )
    if "loss" not in settings:
        _check_loss(network, problems)
    _check_metrics(network, problems)


def _check_loss(network: Network, problems: Problems) -> None:
    given = network.optimizer or network.train
    if given is not None:
        problems.add(
            "W0110",
            f"network {network.name} has no loss, so it cannot be trained",
            given.span,
            'add `loss: "sparse_categorical_crossentropy"` or another loss',
        )


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
        problems.add(
            "W0113",
            f"the metric {metric.name} does not fit the loss {network.loss.name} "
            "and is left out",
            metric.span,
            "accuracy is for classes, the errors are for numbers",
        )
    network.metrics = tuple(kept)


class _Reader:
    """Turns settings into values, and notes every problem."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def not_yet(self, name: str, span: Span) -> None:
        self.problems.add(
            "W0111",
            f"`{name}` is not used yet: the generated code has no such thing",
            span,
        )

    # --- names with arguments ----------------------------------------------------

    def named(
        self, what: str, entries: tuple[Entry, ...], setting: tree.Setting
    ) -> Named | None:
        """`Adam`, `"adam"`, `Adam(…)`, `"Adam(…)"` or `"adam" { learning_rate: … }`."""
        if setting.value is None:
            self._refuse(what, setting.name.span, entries)
            return None
        given = [self._argument(what, item) for item in setting.block or ()]
        extra = [argument for argument in given if argument is not None]
        return self.entry(what, entries, setting.value, extra)

    def _argument(self, what: str, item: tree.Item) -> tree.Argument | None:
        """`name: value` in the braces of a setting; notes anything else."""
        if isinstance(item, tree.Setting) and item.value is not None:
            if item.block is None:
                return tree.Argument(item.span, item.name.text, item.value)
            self._surplus(what, item.block, item)
        else:
            self._surplus(what, (item,), item)
        return None

    def _surplus(
        self, what: str, items: Sequence[tree.Item] | None, around: tree.Item
    ) -> None:
        """Note items in braces where none can stand."""
        if items is not None:
            span = items[0].span if items else around.span
            self.problems.add(
                "E0242",
                f"this is no setting of `{what}`",
                span,
                "a setting is a name and a value, such as `learning_rate: 0.001`",
            )

    def entry(
        self,
        what: str,
        entries: tuple[Entry, ...],
        expr: tree.Expr,
        extra: Sequence[tree.Argument] = (),
    ) -> Named | None:
        """The entry that an expression names, its arguments checked and complete."""
        expr = self._unquoted(what, expr)
        if isinstance(expr, tree.Call):
            name, arguments = expr.function.text, expr.arguments
        elif isinstance(expr, tree.Name):
            name, arguments = expr.text, ()
        elif isinstance(expr, tree.Literal) and isinstance(expr.value, str):
            name, arguments = expr.value, ()
        else:
            self._refuse(what, expr.span, entries)
            return None
        entry = find(entries, name)
        if entry is None:
            self._unknown(what, name, expr.span, entries)
            return None
        values = self.arguments(entry, (*arguments, *extra), expr.span)
        return Named(entry.name, {**values, **entry.fixed}, expr.span)

    def _unquoted(self, what: str, expr: tree.Expr) -> tree.Expr:
        """What a quoted `"Adam(learning_rate=1e-4)"` says."""
        value = expr.value if isinstance(expr, tree.Literal) else None
        if not isinstance(value, str) or "(" not in value:
            return expr
        try:
            file = parse(f"network X {{ {what}: {value} }}", f"the text of `{what}`")
        except NeuralError:
            return expr  # an unknown name then, and reported as one
        inner = file.networks[0].items[0] if file.networks else None
        if isinstance(inner, tree.Setting) and isinstance(inner.value, tree.Call):
            return inner.value
        return expr

    def arguments(
        self, entry: Entry, arguments: Sequence[tree.Argument], span: Span
    ) -> dict[str, object]:
        """Every parameter of an entry with its value or default."""
        names = [p.name for p in entry.parameters]
        aliases = {a: p.name for p in entry.parameters for a in p.aliases}
        given = match(f"`{entry.name}`", names, arguments, self.problems, aliases)
        missing = [
            p.name for p in entry.parameters if p.required and p.name not in given
        ]
        if missing:
            self.problems.add(
                "E0215",
                f"`{entry.name}` needs {' and '.join(f'`{m}`' for m in missing)}",
                span,
                f"write `{entry.name}({', '.join(f'{n}=…' for n in names)})`",
            )
        return {
            p.name: self.value(entry.name, p, given[p.name])
            if p.name in given
            else (None if p.required else p.default)
            for p in entry.parameters
        }

    def value(self, owner: str, parameter: Parameter, expr: tree.Expr) -> object:
        """The value of a parameter; a learning rate may be a schedule."""
        if parameter.name == SCHEDULED and isinstance(expr, tree.Call):
            return self.entry("schedule", SCHEDULES, expr) or parameter.default
        value = self.constant(expr)
        complaint = parameter.kind.complaint(value)
        if parameter.name in ("boundaries", "values"):
            complaint = "" if _numbers(value) else "must be a list of numbers"
        if complaint:
            shown = expr.span.text
            self.problems.add(
                "E0217",
                f"`{parameter.name}` of `{owner}` {complaint}, and is {shown}",
                expr.span,
            )
            return None if parameter.required else parameter.default
        if parameter.kind.name in ("int", "float") and isinstance(value, int | float):
            return int(value) if parameter.kind.name == "int" else float(value)
        return value

    def constant(self, expr: tree.Expr) -> object:
        """The constant that an expression is, or None where it is none."""
        if isinstance(expr, tree.Literal):
            return expr.value
        if isinstance(expr, tree.Name):
            return expr.text
        if isinstance(expr, tree.Sequence):
            return tuple(self.constant(item) for item in expr.items)
        if isinstance(expr, tree.Unary) and expr.operator == "-":
            value = self.constant(expr.operand)
            return -value if isinstance(value, int | float) else None
        if isinstance(expr, tree.Binary):
            return _combined(
                expr.operator, self.constant(expr.left), self.constant(expr.right)
            )
        return None

    # --- metrics and train -------------------------------------------------------

    def metrics(self, setting: tree.Setting) -> tuple[Named, ...]:
        """`["accuracy", …]`, or one name."""
        expr = setting.value
        if expr is None:
            self._refuse("metric", setting.name.span, METRICS)
            return ()
        self._surplus("metrics", setting.block, setting)
        items = expr.items if isinstance(expr, tree.Sequence) else (expr,)
        found: dict[str, Named] = {}
        for item in items:
            name = self.constant(item)
            if isinstance(name, str) and name.lower() in METRICS_TO_COME:
                self.problems.add(
                    "W0112", f"no backend computes the metric {name} yet", item.span
                )
            elif (named := self.entry("metric", METRICS, item)) is not None:
                found[named.name] = named
        return tuple(found.values())

    def train(self, setting: tree.Setting) -> Training:
        """`train { epochs: 10 … }`."""
        if setting.block is None:
            self.problems.add(
                "E0241",
                "`train` holds settings in braces",
                setting.name.span,
                "write `train { epochs: 10 batch_size: 32 }`",
            )
        elif setting.value is not None:
            self.problems.add(
                "E0241", "`train` holds settings in braces only", setting.value.span
            )
        known = {n: p for p in TRAIN for n in (p.name, *p.aliases)}
        given: set[str] = set()
        values: dict[str, object] = {p.name: p.default for p in TRAIN}
        for item in setting.block or ():
            name = _item_name(item)
            if name in TRAIN_TO_COME:
                self.not_yet(name, item.span)
            elif name not in known or not isinstance(item, tree.Setting):
                hint = did_you_mean(name, [*known, *TRAIN_TO_COME])
                self.problems.add(
                    "E0242",
                    f"`train` has no setting `{name}`",
                    item.span,
                    hint or "it has " + ", ".join(p.name for p in TRAIN),
                )
            else:
                parameter = known[name]
                if parameter.name in given:
                    self.problems.add(
                        "E0208", f"`{parameter.name}` is set twice", item.name.span
                    )
                given.add(parameter.name)
                values[parameter.name] = self._train_value(parameter, item)
        return Training(setting.name.span, **values)  # type: ignore[arg-type]

    def _train_value(self, parameter: Parameter, item: tree.Setting) -> object:
        if item.value is None:
            self.not_yet(item.name.text, item.name.span)
            return parameter.default
        self._surplus(item.name.text, item.block, item)
        if parameter.name == "early_stopping_patience":
            flag = self.constant(item.value)
            if isinstance(flag, bool):
                return 3 if flag else None
        return self.value("train", parameter, item.value)

    # --- complaints --------------------------------------------------------------

    def _refuse(self, what: str, span: Span, entries: tuple[Entry, ...]) -> None:
        self.problems.add("E0243", f"this is no {what}", span, _listed(entries))

    def _unknown(
        self, what: str, name: str, span: Span, entries: tuple[Entry, ...]
    ) -> None:
        known = [n for e in entries for n in (e.name, *e.aliases)]
        self.problems.add(
            "E0243",
            f"there is no {what} `{name}`",
            span,
            did_you_mean(name, known) or _listed(entries),
        )


def _listed(entries: tuple[Entry, ...]) -> str:
    return "there are " + ", ".join(entry.name for entry in entries)


def _item_name(item: tree.Item) -> str:
    if isinstance(item, tree.Setting | tree.LayerNode):
        return item.name.text
    return item.span.text


def _numbers(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    )


def _combined(operator: str, left: object, right: object) -> object:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    if operator == "/":
        return left / right if right else None
    rules = {"+": left + right, "-": left - right, "*": left * right}
    return rules.get(operator)
