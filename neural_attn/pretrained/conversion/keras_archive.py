"""Recurrent encoder–decoders with additive attention, as Keras saves them: `.keras`.

The archive holds config.json, a graph of layers, and model.weights.h5. Each layer is
called here as it is in the file of weights.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.pretrained.conversion.family import (
    Argument,
    Array,
    Block,
    Code,
    Layer,
    Plan,
    Rule,
    transposed,
)
from neural_attn.pretrained.conversion.tensors import StoredTensor
from neural_attn.resolve.names import snake_case
from neural_attn.weighing import TooLargeError, weigh_members, weigh_text

__all__ = ["SUFFIX", "read_archive"]

SUFFIX = ".keras"

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_SUPPORTED = (
    "InputLayer", "Embedding", "GRU", "Bidirectional", "TimeDistributed", "Dense",
    "Dropout", "Concatenate", "AdditiveAttention",
)  # fmt: skip

# How the values of config.json must stand for the network to be the one written here.
_NEEDED: dict[str, tuple[Any, ...]] = {
    "mask_zero": (False,),
    "go_backwards": (False,),
    "stateful": (False,),
    "return_sequences": (True,),
    "recurrent_activation": ("sigmoid",),
    "use_bias": (True,),
    "reset_after": (True,),
    "axis": (-1,),
    "sparse": (False,),
    "ragged": (False,),
    "noise_shape": (None,),
    "lora_rank": (None,),
    "quantization_config": (None,),
}
# What is read, and what says how to train, how to compute or where to begin.
_READ = {
    "batch_shape", "input_dim", "output_dim", "units", "activation", "rate", "layer",
    "merge_mode", "backward_layer", "use_scale", "return_state",
}  # fmt: skip
_FREE = re.compile(
    r"name|trainable|dtype|seed|unroll|zero_output_for_mask|optional|(recurrent_)?"
    r"dropout|\w+_(initializer|regularizer|constraint)"
)
_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "softmax")

_ATTENTION = """\
# scale · tanh(query + key), each query with each key (Keras' AdditiveAttention)
rows = reshape(query, (-1, length(query), 1, {width}))
columns = reshape(memory, (-1, 1, length(memory), {width}))
scores = sum({scaled}tanh(rows + columns))
logits = reshape(scores, (-1, 1, length(query), length(memory)))
context = merge_heads(attention_softmax(logits) @ split_heads(memory, 1))"""


@dataclass(frozen=True)
class _Stored:
    """A tensor of the archive, in memory."""

    path: Path
    values: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self.values.shape

    def read(self, name: str) -> Array:
        """The values. Raises NeuralError (E0629) where one is NaN or infinite."""
        if not np.isfinite(self.values).all():
            fail("E0629.nan", path=self.path, name=name)
        return self.values


def read_archive(path: Path) -> tuple[Plan, dict[str, StoredTensor]]:
    """The network of a `.keras` archive, and its tensors; nothing in it is executed.

    Raises NeuralError: E0622 where it or h5py cannot be read, E0626 where the network
    is another kind, E0627 where it is not a valid archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            raw = {name: _member(archive, name, path) for name in (_CONFIG, _WEIGHTS)}
        config = json.loads(raw[_CONFIG])
        plan = _Graph(path, config).plan()
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError):
        _broken(path, "it is not an archive")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        _broken(path, f"its {_CONFIG} is not that of a network")
    except RecursionError:
        _broken(path, f"its {_CONFIG} is nested too deeply")
    return plan, dict(_tensors(raw[_WEIGHTS], path))


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
        weigh_members([info])
        if name == _CONFIG:
            weigh_text(info.file_size)
    except KeyError:
        _broken(path, f"it has no {name}")
    except TooLargeError as error:
        _broken(path, f"its {name} is too large: {error}")
    return archive.read(info)


# what h5py raises; sizes and addresses that are none become numbers too large
_DAMAGED = (
    *(OSError, KeyError, RuntimeError, ValueError),
    *(TypeError, OverflowError, MemoryError),
)


def _tensors(raw: bytes, path: Path) -> Iterator[tuple[str, StoredTensor]]:
    """What lies in `layers`; the rest is what the optimizer keeps."""
    try:
        import h5py
    except ImportError:
        fail("E0622.h5py", path=path)
    found: list[tuple[str, Any]] = []
    left = len(raw)  # that datasets overlap would make them as large as one likes
    try:
        # links to other files are not followed
        with h5py.File(io.BytesIO(raw), "r") as file:
            file["layers"].visititems(lambda name, one: found.append((name, one)))
            for name, one in found:
                if not isinstance(one, h5py.Dataset):
                    continue
                stored = _Stored(path, _values(one, raw, path))
                left -= one.nbytes
                if left < 0:
                    _broken(path, f"its {_WEIGHTS} claims more than it holds")
                yield f"layers/{name}", stored
    except _DAMAGED:
        _broken(path, f"its {_WEIGHTS} is not a valid HDF5 file")


def _values(one: Any, raw: bytes, path: Path) -> Array:
    plain = one.chunks is None and not one.external and not one.is_virtual
    if not plain or one.dtype.kind != "f" or one.nbytes > len(raw):
        _broken(path, f"`{one.name}` is not a plain array of numbers")
    values: Array = np.asarray(one[()]).astype(np.float32)
    return values


def _broken(path: Path, what: str) -> NoReturn:
    fail("E0627.keras", path=path, what=what)


# --- the graph ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """A layer of the graph: its kind, its values, what it takes."""

    name: str
    kind: str
    values: Mapping[str, Any]
    takes: list[str]


@dataclass
class _Graph:
    """A config.json on its way to a plan; what cannot be written is refused by name."""

    path: Path
    config: Mapping[str, Any]
    layers: list[Layer] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    equations: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # name of a layer -> expression
    widths: dict[str, int] = field(default_factory=dict)

    def plan(self) -> Plan:
        """The network. Raises NeuralError (E0626) where it is another kind."""
        if self.config["class_name"] != "Functional":
            self._refuse(f"a {self.config['class_name']} model")
        inner = self.config["config"]
        nodes = {one["name"]: self._node(one) for one in inner["layers"]}
        (attention,) = self._only(nodes, "AdditiveAttention", 1)
        query, memory = attention.takes
        given = {
            "source": self._root(nodes, memory),
            "target": self._root(nodes, query),
        }
        inputs = self._only(nodes, "InputLayer", 2)
        if set(given.values()) != {one.name for one in inputs}:
            self._refuse("attention of a sequence to itself")
        names = {given[name]: name for name in given}
        variables = {query: "query", memory: "memory", attention.name: "context"}
        numbers: Counter[str] = Counter()
        for node in nodes.values():
            self._add(node, names, variables, numbers)
        outputs = inner["output_layers"]  # one, or a list of them
        (answer,) = map(
            _only_output, outputs if isinstance(outputs[0], list) else [outputs]
        )
        return Plan(
            summary="recurrent encoder and decoder with additive attention",
            inputs=[(name, _length(nodes[given[name]])) for name in given],
            layers=self.layers,
            rules=self.rules,
            body=("layers/",),
            block=Block(
                "AttentiveReader", [*self.equations, f"return {self.said[answer]}"]
            ),
        )

    def _node(self, one: Mapping[str, Any]) -> _Node:
        kind, nodes = str(one["class_name"]), one["inbound_nodes"]
        if kind not in _SUPPORTED:
            self._refuse(f"a layer {kind}")
        if len(nodes) > 1:
            self._refuse(f"`{one['name']}`, which is called twice")
        takes = []
        for node in nodes:
            if any(value not in (None, False) for value in node["kwargs"].values()):
                self._refuse(f"`{one['name']}` called with {', '.join(node['kwargs'])}")
            if len(node["args"]) != 1:
                self._refuse(f"`{one['name']}` called with several arguments")
            first = node["args"][0]
            several = first if isinstance(first, list) else [first]
            takes = [_only_output(t["config"]["keras_history"]) for t in several]
        self._check(kind, one["config"])
        return _Node(one["name"], kind, one["config"], takes)

    def _check(self, kind: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            known = key in _READ or _FREE.fullmatch(key)
            if value not in _NEEDED[key] if key in _NEEDED else not known:
                self._refuse(f"{kind} with {key} {json.dumps(value)[:40]}")
        dtype = values.get("dtype", "float32")
        policy = dtype if isinstance(dtype, str) else dtype["config"]["name"]
        if kind != "InputLayer" and policy != "float32":
            self._refuse(f"{kind} in {policy}")
        if kind == "GRU" and values["activation"] != "tanh":
            self._refuse(f"GRU with activation {values['activation']}")

    def _only(self, nodes: Mapping[str, _Node], kind: str, count: int) -> list[_Node]:
        found = [one for one in nodes.values() if one.kind == kind]
        if len(found) != count:
            self._refuse(f"a network with {len(found)} layers {kind}, not {count}")
        return found

    def _root(self, nodes: Mapping[str, _Node], name: str) -> str:
        """The one input that a tensor depends on."""
        while nodes[name].takes:
            (name,) = nodes[name].takes
        return name

    def _add(
        self,
        node: _Node,
        names: Mapping[str, str],
        variables: Mapping[str, str],
        numbers: Counter[str],
    ) -> None:
        if node.kind == "InputLayer":
            self.said[node.name] = names[node.name]
            return
        plain = snake_case(node.kind)
        number = numbers[plain]
        numbers[plain] += 1
        own = f"{plain}_{number}" if number else plain
        before = [self.said[one] for one in node.takes]
        self.widths[node.name] = self._width(node)
        if node.kind == "AdditiveAttention":
            self._attend(node, own)
            self.said[node.name] = "context"
            return
        if node.kind == "Concatenate":
            text = f"concatenate([{', '.join(before)}])"
        else:
            self._layer(node, own)
            (argument,) = before
            text = f"{own}({argument})"
        if node.name in variables:
            self.equations.append(f"{variables[node.name]} = {text}")
            text = variables[node.name]
        self.said[node.name] = text

    def _width(self, node: _Node) -> int:
        values, taken = node.values, [self.widths.get(one, 0) for one in node.takes]
        if node.kind == "Concatenate":
            return sum(taken)
        if node.kind == "Embedding":
            return _size(values["output_dim"])
        if node.kind in ("Bidirectional", "TimeDistributed"):
            units = _size(values["layer"]["config"]["units"])
            return units * (1 + (values.get("merge_mode") == "concat"))
        return _size(values["units"]) if "units" in values else taken[-1]

    def _attend(self, node: _Node, own: str) -> None:
        query, memory = (self.widths[one] for one in node.takes)
        if query != memory:
            self._refuse("attention of queries and keys of different widths")
        scaled = "scale * " if node.values["use_scale"] else ""
        self.equations += _ATTENTION.format(width=query, scaled=scaled).splitlines()
        if scaled:
            shape: dict[str, Argument] = {"shape": query, "start": "ones"}
            self.layers.append(Layer("Weight", shape, name="scale"))
            self.rules.append(Rule(rf"layers/{own}/vars/0", "scale"))

    def _layer(self, node: _Node, own: str) -> None:
        """A layer of the network, and where its weights are."""
        theirs, values = f"layers/{own}/", node.values
        if node.kind in ("GRU", "Dense"):
            block, arguments = node.kind, self._inner(node.kind, values)
            self.rules += _weights(node.kind, theirs, own)
        elif node.kind == "TimeDistributed":
            inside = self._inner_call(values["layer"], ("Dense",))
            block, arguments = node.kind, {"layer": inside}
            self.rules += _weights("Dense", f"{theirs}layer/", own)
        elif node.kind == "Bidirectional":
            inside = self._inner_call(values["layer"], ("GRU",))
            back = {**values["backward_layer"]["config"], "go_backwards": False}
            if self._inner("GRU", back) != self._inner(
                "GRU", values["layer"]["config"]
            ):
                self._refuse("Bidirectional with two directions that differ")
            block = node.kind
            if values["merge_mode"] not in ("concat", "sum", "mul", "ave"):
                self._refuse(f"Bidirectional with merge_mode {values['merge_mode']}")
            arguments = {"layer": inside, "merge_mode": values["merge_mode"]}
            self.rules += _weights("GRU", f"{theirs}forward_layer/", own)
            self.rules += _weights("GRU", f"{theirs}backward_layer/", own, "_reverse")
        elif node.kind == "Dropout":
            block, arguments = node.kind, {"rate": float(values["rate"])}
        else:
            sizes = ("input_dim", "output_dim")
            block, arguments = node.kind, {key: _size(values[key]) for key in sizes}
            self.rules.append(Rule(rf"{theirs}vars/0", f"{own}.weight"))
        self.layers.append(Layer(block, arguments, name=own))

    def _inner(self, kind: str, values: Mapping[str, Any]) -> dict[str, Argument]:
        self._check(kind, values)
        units: dict[str, Argument] = {"units": _size(values["units"])}
        if kind == "GRU":
            return units | {"return_sequences": True}
        activation = values["activation"]
        if activation not in _ACTIVATIONS:
            self._refuse(f"Dense with activation {json.dumps(activation)[:40]}")
        return units if activation == "linear" else units | {"activation": activation}

    def _inner_call(self, given: Mapping[str, Any], kinds: tuple[str, ...]) -> Code:
        kind = given["class_name"]
        if kind not in kinds:
            self._refuse(f"a {kind} in another layer")
        arguments = self._inner(kind, given["config"])
        said = (
            f"{key}={'true' if value is True else json.dumps(value)}"
            for key, value in arguments.items()
        )
        return Code(f"{kind}({', '.join(said)})")

    def _refuse(self, what: str) -> NoReturn:
        fail("E0626.keras", path=self.path, what=what, supported=", ".join(_SUPPORTED))


def _weights(kind: str, theirs: str, own: str, way: str = "") -> list[Rule]:
    if kind == "Dense":
        return [
            Rule(f"{theirs}vars/0", f"{own}.weight", transposed),
            Rule(f"{theirs}vars/1", f"{own}.bias"),
        ]
    cell = f"{theirs}cell/vars/"
    return [
        Rule(f"{cell}0", f"{own}.weight_ih_l0{way}", _gates),
        Rule(f"{cell}1", f"{own}.weight_hh_l0{way}", _gates),
        Rule(f"{cell}2", f"{own}.bias_ih_l0{way}", _bias(0)),
        Rule(f"{cell}2", f"{own}.bias_hh_l0{way}", _bias(1)),
    ]


def _gates(values: Array) -> Array:
    """[inputs, (update, reset, candidate)] as [(reset, update, candidate), inputs]."""
    if not values.ndim or values.shape[-1] % 3:
        return values  # its shape is refused
    update, reset, candidate = np.split(values, 3, axis=-1)
    return transposed(np.concatenate([reset, update, candidate], axis=-1))


def _bias(row: int) -> Callable[[Array], Array]:
    """That of the inputs, or that of the state."""
    return lambda values: _gates(values[row] if values.shape[:1] == (2,) else values)


def _only_output(history: list[Any]) -> str:
    name, node, index = history
    if (node, index) != (0, 0):
        raise ValueError("another output than the first")
    return str(name)


def _length(node: _Node) -> str:
    _, length = node.values["batch_shape"]
    return "(none,)" if length is None else f"({_size(length)},)"


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise ValueError(f"{value!r} is not a size")
    return value
