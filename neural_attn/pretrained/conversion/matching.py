"""Finds the tensor that fills each weight of the network, and accounts for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from neural_attn.diagnostics.errors import fail, printable
from neural_attn.pretrained.conversion.family import (
    Array,
    Extra,
    Family,
    Plan,
    Rule,
    unchanged,
)
from neural_attn.pretrained.conversion.tensors import Constant, StoredTensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Filling:
    """A weight of ours, and the tensor of the source that it is read from."""

    target: str
    shape: Shape
    name: str
    stored: StoredTensor
    rule: Rule

    def read(self) -> Array:
        """The values in our layout. Raises NeuralError (E0630) for another shape."""
        values = self.rule.convert(self.stored.read(self.name))
        _check_shape(self, values.shape)
        return values


@dataclass(frozen=True)
class Stacked:
    """A weight of ours whose parts, along its first axis, are tensors of their own."""

    target: str
    shape: Shape
    parts: tuple[Source, ...]

    @property
    def name(self) -> str:
        """The name of the first tensor, for messages."""
        return self.parts[0].name

    def read(self) -> Array:
        """The values in our layout. Raises NeuralError (E0630) for another shape."""
        return np.stack([part.read() for part in self.parts])


Source = Filling | Stacked


def match(
    plan: Plan,
    family: Family,
    expected: Mapping[str, Shape],
    stored: Mapping[str, StoredTensor],
) -> tuple[dict[str, Source], list[str]]:
    """What fills each weight of `expected`, in its order, and notes on what is unused.

    Raises NeuralError: E0628 where a weight stays empty, E0630 for a shape that
    differs, E0631 for a tensor that is part of the model and has no place here.
    """
    found: dict[str, Source] = {}
    unused: dict[str, list[str]] = {}
    copies: dict[str, str] = {}
    for name, tensor in stored.items():
        targets = _targets(plan, family, name)
        for rule, target in targets:
            shape = _shape_of(target, expected)
            if shape is None:
                _no_place(name, tensor, f"there is no `{target}`")
            if target in found:
                first = found[target].name
                _no_place(name, tensor, f"`{first}` already fills `{target}`")
            filling = Filling(target, shape, name, tensor, rule)
            if rule.convert is unchanged:
                _check_shape(filling, tensor.shape)
            found[target] = filling
        if not targets:
            extra = _extra(plan, family, name, tensor)
            unused.setdefault(extra.meaning, []).append(name)
            if extra.copy_of:
                copies[name] = plan.weight_name(extra.copy_of)
    for target, shape in expected.items():
        if target not in found:
            other = _constant(plan, target, shape)
            parts = _parts(target, shape, found)
            lacking = next((name for name in parts if name not in found), "")
            if parts and not lacking:
                other = Stacked(target, shape, tuple(found[name] for name in parts))
            found[target] = other or _missing(lacking or target, shape, stored, unused)
    for name, target in copies.items():
        _check_copy(name, stored[name], found[target])
    notes = [
        printable(f"left out {meaning}: {', '.join(names)}")
        for meaning, names in unused.items()
    ]
    return {target: found[target] for target in expected}, notes


def _shape_of(target: str, expected: Mapping[str, Shape]) -> Shape | None:
    """The shape of a weight of ours, or of a part of one: `gate[3]`."""
    whole, _, place = target.rstrip("]").partition("[")
    shape = expected.get(whole)
    if not place or shape is None:
        return shape
    return shape[1:] if int(place) < shape[0] else None


def _parts(target: str, shape: Shape, found: Mapping[str, Source]) -> list[str]:
    """The names of the parts of a weight, if the source has any of them."""
    names = [f"{target}[{place}]" for place in range(shape[0] if shape else 0)]
    return names if any(name in found for name in names) else []


def _constant(plan: Plan, target: str, shape: Shape) -> Source | None:
    """A weight that the model does without, and that is the same number throughout."""
    for value, patterns in ((0.0, plan.zeros), (1.0, plan.ones)):
        if any(re.fullmatch(pattern, target) for pattern in patterns):
            same = Constant(shape, value)
            return Filling(target, shape, target, same, Rule("", target))
    return None


def _targets(plan: Plan, family: Family, name: str) -> list[tuple[Rule, str]]:
    plain = family.plain_name(name)
    if any(one.copy_of and re.fullmatch(one.pattern, plain) for one in plan.extras):
        return []
    pairs = [(rule, rule.target_of(plain)) for rule in plan.rules]
    return [(r, plan.weight_name(ours)) for r, ours in pairs if ours and plan.has(ours)]


def _extra(plan: Plan, family: Family, name: str, tensor: StoredTensor) -> Extra:
    plain = family.plain_name(name)
    for extra in plan.extras:
        if re.fullmatch(extra.pattern, plain):
            return extra
    if plain.startswith(tuple(plan.body)):
        _no_place(name, tensor, "without it the result would differ from the model's")
    if any(rule.target_of(plain) for rule in plan.rules):
        return Extra("", "a task head")
    return Extra("", "what is not part of this kind of model")


def _check_copy(name: str, tensor: StoredTensor, filling: Source) -> None:
    if not np.array_equal(tensor.read(name), filling.read()):
        why = f"config.json ties it to `{filling.name}`, but the two differ"
        _no_place(name, tensor, why)


def _no_place(name: str, tensor: StoredTensor, reason: str) -> NoReturn:
    fail("E0631", path=tensor.path, name=name, shape=list(tensor.shape), reason=reason)


def _check_shape(filling: Filling, shape: Shape) -> None:
    if shape != filling.shape:
        fail(
            "E0630",
            path=filling.stored.path,
            tensor=filling.name,
            shape=list(shape),
            needed=list(filling.shape),
            weight=filling.target,
        )


def _missing(
    target: str,
    shape: Shape,
    stored: Mapping[str, StoredTensor],
    unused: Mapping[str, list[str]],
) -> NoReturn:
    unknown = [name for names in unused.values() for name in names]
    hint = f"the weights have {len(stored)} tensors"
    if unknown:
        hint += f"; not known here are {', '.join(unknown[:3])}" + (
            ", …" if len(unknown) > 3 else ""
        )
    fail("E0628", hint=hint, target=target, shape=list(shape))
