"""`train_file`: a whole run, from a .neural file and data to a folder of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neural_attn import backends
from neural_attn.backends.emit.base import Backend, Learner
from neural_attn.backends.emit.training import optimizer, settings
from neural_attn.check import check_file, choose
from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.files import safe_name
from neural_attn.folder_lock import alone_in
from neural_attn.ir import Named
from neural_attn.models.capture import LoadedModel
from neural_attn.models.opening import load_network
from neural_attn.shapes.instance import Checked
from neural_attn.trainer import checkpoint, curve, tensorboard
from neural_attn.trainer.checkpoint import Checkpoint, Row
from neural_attn.trainer.encode import Limits
from neural_attn.trainer.loop import History, Plan, Watcher, fit
from neural_attn.trainer.material import Material, Wishes, gather
from neural_attn.trainer.progress import Quiet

_STATE = Path("checkpoint") / "last.safetensors"


@dataclass(frozen=True)
class Request:
    """What a run is asked for; None: what the file's `train` block says."""

    file: Path
    pairs: Path | None = None
    data: Path | None = None
    texts: Path | None = None
    network: str | None = None
    backend: str = "auto"
    device: str = "auto"
    checkpoint: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    validation: float | Path | None = None
    learning_rate: float | None = None
    patience: int | None = None
    tokenizer: str | None = None
    vocabulary_size: int | None = None
    longest_source: int | None = None
    longest_target: int | None = None
    seed: int = 0
    output_dir: Path | None = None
    resume: bool = False
    tensorboard: bool = False


@dataclass(frozen=True)
class Trained:
    """What a run gave: the history, the files by what they are, what was said."""

    network: str
    task: str
    backend: str
    history: list[Row]
    best: int
    watched: str
    learned: int
    held: int
    files: Mapping[str, Path]
    notes: list[str] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    @property
    def weights(self) -> Path:
        """The weights of the best epoch, to be given as `checkpoint`."""
        return self.files["weights"]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "network": self.network,
            "task": self.task,
            "backend": self.backend,
            "examples": {"training": self.learned, "validation": self.held},
            "epochs": len(self.history),
            "best": self.history[self.best - 1],
            "watched": self.watched,
            "history": self.history,
            "files": {name: str(path) for name, path in self.files.items()},
            "notes": self.notes,
        }


class StoppedError(Exception):
    """The user interrupted the run; what its epochs gave is kept."""

    def __init__(self, epochs: int, folder: Path) -> None:
        super().__init__()
        self.epochs, self.folder = epochs, folder


def train_file(request: Request, watcher: Watcher | None = None) -> Trained:
    """Train a network of a file, and write what it becomes into a folder.

    There will be the weights of the best epoch (`NAME.safetensors`), the tokenizers,
    `history.csv`, `loss.png` and, for going on, `checkpoint/`.

    Raises
    ------
    NeuralError
        For a file with problems, data that do not fit it, results in the way, a
        checkpoint of something else, a loss that is not a number, a file that cannot be
        written. What was there before stays.
    StoppedError
        Where the run is interrupted (Ctrl-C).
    """
    networks, warnings = check_file(request.file)
    checked = choose(networks, request.network)
    name = safe_name(request.file.stem if len(networks) == 1 else checked.network.name)
    folder = request.output_dir or Path(f"{name}_trained")
    with alone_in(folder):
        return _train(request, watcher, (checked, warnings), _Store(folder, name))


def _train(
    request: Request,
    watcher: Watcher | None,
    checked_file: tuple[Checked, list[Diagnostic]],
    store: _Store,
) -> Trained:
    checked, warnings = checked_file
    folder = store.folder
    found = store.found(request.resume)
    if request.learning_rate is not None:
        set_rate(checked, request.learning_rate)
    backend = _trainer(request.backend)
    kept = _beside(request) if found is None else folder
    material = gather(checked, _wishes(request, kept), request.seed)
    loaded = load_network(checked, backend.name, request.checkpoint, seed=request.seed)
    plan = _plan(checked, request)
    store.of = _made_of(checked, request, backend, plan, material)
    if found is not None:
        checkpoint.check_same(store.state, found.of, store.of)
    learner = _learner(loaded, request)
    history = History([] if found is None else list(found.history))
    if found is not None:
        checkpoint.restore(learner, found.state, store.state)
    logs = tensorboard.writer(folder / "tensorboard") if request.tensorboard else None
    store.begin(material)

    def keep(history: History, is_best: bool) -> None:
        store.keep(loaded, learner, history, is_best)
        if logs is not None:
            tensorboard.add(logs, history.rows[-1])

    try:
        data = material.learned, material.held
        fit(learner, plan, data, history, keep, watcher or Quiet())
    except KeyboardInterrupt:
        raise StoppedError(len(history.rows), folder) from None
    finally:
        store.draw(history, checked.network.name)
    return Trained(
        checked.network.name,
        material.task.kind,
        backend.name,
        history.rows,
        history.best,
        history.watched,
        len(material.learned),
        0 if material.held is None else len(material.held),
        store.files(material),
        material.notes,
        warnings,
    )


def _trainer(name: str) -> Backend:
    """The backend that is asked for, or the first installed one that trains."""
    if name == "auto":
        known = [one for one in backends.known().values() if one.learner and one.rank]
        ready = [one for one in known if backends.is_installed(one)]
        if not ready:
            fail("E0707.none")
        # where both are there: PyTorch starts and steps faster
        return max(ready, key=lambda one: one.rank)
    backend = backends.choose(name)
    if backend.learner is None:
        others = [n for n, one in backends.known().items() if one.learner]
        fail("E0707", backend=backend.name, others=" or ".join(others))
    return backend


def _wishes(request: Request, kept: Path | None) -> Wishes:
    return Wishes(
        request.pairs,
        request.data,
        request.texts,
        request.tokenizer,
        request.vocabulary_size,
        request.validation,
        Limits(request.longest_source, request.longest_target),
        kept,
    )


def _beside(request: Request) -> Path | None:
    """Where the tokenizers of the weights lie that a run starts from."""
    return None if request.checkpoint is None else request.checkpoint.parent


def _plan(checked: Checked, request: Request) -> Plan:
    given = settings(checked)
    patience = given.early_stopping_patience
    return Plan(
        request.epochs or given.epochs,
        request.batch_size or given.batch_size,
        request.seed,
        given.shuffle,
        patience if request.patience is None else request.patience,
    )


def _learner(loaded: LoadedModel, request: Request) -> Learner:
    make = loaded.backend.learner
    assert make is not None
    given = loaded.checked, loaded.module, loaded.model
    return make(*given, request.seed, request.device)


def set_rate(checked: Checked, rate: float) -> None:
    """Let a network be trained at this rate; of a schedule, its first or only scale."""
    chosen = optimizer(checked)
    old = chosen.arguments["learning_rate"]
    new: object = rate
    if isinstance(old, Named):
        values = dict(old.arguments)
        steps = values.get("values")
        if isinstance(steps, tuple):
            values["values"] = tuple(rate * step / steps[0] for step in steps)
        else:
            name = "scale" if "scale" in values else "initial_learning_rate"
            values[name] = rate
        new = replace(old, arguments=values)
    arguments = {**chosen.arguments, "learning_rate": new}
    checked.network.optimizer = replace(chosen, arguments=arguments)


def _made_of(
    checked: Checked, request: Request, backend: Backend, plan: Plan, material: Material
) -> dict[str, Any]:
    """What a run is made of: all that its losses depend on, but its length."""
    given = settings(checked)
    shapes = [[n, list(w.shape)] for n, w in checked.root.named_weights()]
    rules = [_said(checked.network.loss), _said(optimizer(checked))]
    held = "" if material.held is None else material.held.digest
    return {
        "network": [checked.network.name, shapes, rules, given.gradient_clip],
        "backend": backend.name,
        "batch size": plan.batch_size,
        "seed": plan.seed,
        "shuffle": plan.shuffle,
        "tokenizer": {n: one.digest for n, one in material.vocabularies.items()},
        "data": [material.learned.digest, held],
    }


def _said(named: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(named, Named):
        return [named.name, {n: _said(v) for n, v in named.arguments.items()}]
    return list(named) if isinstance(named, tuple) else named


class _Store:
    """The folder of a run."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.state = folder / _STATE
        self.weights = folder / f"{name}.safetensors"
        self.of: dict[str, Any] = {}

    def found(self, resume: bool) -> Checkpoint | None:
        """The checkpoint to go on from. Raises NeuralError for results in the way."""
        if self.folder.exists() and not self.folder.is_dir():
            fail("E0418.folder", path=self.folder)
        if resume:
            return checkpoint.read(self.state) if self.state.exists() else None
        for path in (self.state, self.weights):
            if path.exists():
                fail("E0704", path=path)
        return None

    def begin(self, material: Material) -> None:
        """Write what is known before the first epoch."""
        with checkpoint.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in material.files().items():
            checkpoint.write(self.folder / name, text)

    def keep(
        self, loaded: LoadedModel, learner: Learner, history: History, is_best: bool
    ) -> None:
        """Write an epoch. The checkpoint comes last: without it the epoch is redone."""
        if is_best:
            with checkpoint.writing(self.weights):
                loaded.model.save_weights(str(self.weights))
        checkpoint.write(self.folder / "history.csv", curve.as_csv(history.rows))
        Checkpoint(learner.state(), history.rows, self.of).write(self.state)

    def draw(self, history: History, title: str) -> None:
        """Draw the curve: at the end, for a picture takes longer than a small epoch."""
        if history.rows:
            picture = curve.as_picture(history.rows, history.best, title)
            checkpoint.write(self.folder / "loss.png", picture)

    def files(self, material: Material) -> dict[str, Path]:
        """Every file of the run, by what it is."""
        found = {
            "weights": self.weights,
            "history": self.folder / "history.csv",
            "curve": self.folder / "loss.png",
            "checkpoint": self.state,
        }
        for name in material.files():
            found[name.removesuffix(".json").replace(".", " ")] = self.folder / name
        return found
