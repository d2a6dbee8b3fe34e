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


def match(
    plan: Plan,
    family: Family,
    expected: Mapping[str, Shape],
    stored: Mapping[str, StoredTensor],
) -> tuple[dict[str, Filling], list[str]]:
    """What fills each weight of `expected`, in its order, and notes on what is unused.

    Raises NeuralError: E0628 where a weight stays empty, E0630 for a shape that
    differs, E0631 for a tensor that is part of the model and has no place here.
    """
    found: dict[str, Filling] = {}
    unused: dict[str, list[str]] = {}
    copies: dict[str, str] = {}
    for name, tensor in stored.items():
        targets = _targets(plan, family, name)
        for rule, target in targets:
            if target not in expected:
                _no_place(name, tensor, f"there is no `{target}`")
            if target in found:
                first = found[target].name
                _no_place(name, tensor, f"`{first}` fills `{target}` already")
            filling = Filling(target, expected[target], name, tensor, rule)
            if rule.convert is unchanged:
                _check_shape(filling, tensor.shape)
            found[target] = filling
        if not targets:
            extra = _extra(plan, family, name, tensor)
            unused.setdefault(extra.meaning, []).append(name)
            if extra.copy_of:
                copies[name] = plan.weight_name(extra.copy_of)
    for target, shape in expected.items():
        if target in found:
            continue
        value = _constant(plan, target)
        if value is None:
            _missing(target, shape, stored, unused)
        same = Constant(shape, value)
        found[target] = Filling(target, shape, target, same, Rule("", target))
    for name, target in copies.items():
        _check_copy(name, stored[name], found[target])
    notes = [
        printable(f"left out {meaning}: {', '.join(names)}")
        for meaning, names in unused.items()
    ]
    return {target: found[target] for target in expected}, notes


def _constant(plan: Plan, target: str) -> float | None:
    """What a weight is that the model does without; None where it needs one."""
    for value, patterns in ((0.0, plan.zeros), (1.0, plan.ones)):
        if any(re.fullmatch(pattern, target) for pattern in patterns):
            return value
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
        _no_place(name, tensor, "without it the result would not be that of the model")
    if any(rule.target_of(plain) for rule in plan.rules):
        return Extra("", "the head of a task")
    return Extra("", "what is no part of this kind of model")


def _check_copy(name: str, tensor: StoredTensor, filling: Filling) -> None:
    if not np.array_equal(tensor.read(name), filling.read()):
        why = f"config.json ties it to `{filling.name}`, and the two differ"
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
