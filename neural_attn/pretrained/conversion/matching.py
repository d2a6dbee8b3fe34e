"""Finds the tensor that fills each weight of the network, and accounts for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
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
                _no_place(name, tensor, "what config.json describes does not have it")
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
            _check_computed(extra, name, tensor)
            if extra.copy_of:
                copies[name] = plan.weight_name(extra.copy_of)
    for target, shape in expected.items():
        if target not in found:
            other = _stacked(target, shape, found) or _constant(plan, target, shape)
            if other is None:
                lacking = _lacking(target, shape, found)
                name = _source_name(plan, family, stored, lacking)
                _missing(name, lacking, shape, stored, unused)
            found[target] = other
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


def _parts(target: str, shape: Shape) -> list[str]:
    return [f"{target}[{place}]" for place in range(shape[0] if shape else 0)]


def _stacked(target: str, shape: Shape, found: Mapping[str, Source]) -> Source | None:
    """A weight whose parts the source has, all of them."""
    names = _parts(target, shape)
    if not names or any(name not in found for name in names):
        return None
    return Stacked(target, shape, tuple(found[name] for name in names))


def _lacking(target: str, shape: Shape, found: Mapping[str, Source]) -> str:
    """The weight that is not there, or a part of one of which others are."""
    names = _parts(target, shape)
    none = all(name not in found for name in names)
    return target if none else next(name for name in names if name not in found)


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


def _check_computed(extra: Extra, name: str, tensor: StoredTensor) -> None:
    if extra.computed is None:
        return
    if len(tensor.shape) != 2:
        _no_place(name, tensor, "it is not a table")
    off = np.abs(tensor.read(name) - extra.computed(tensor.shape)).max(initial=0)
    if off > 2**-8:  # what bfloat16 rounds below 1
        what = extra.meaning.replace("that are", "are")
        _no_place(name, tensor, f"{what}, and these differ by up to {off:.2g}")


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


def _source_name(
    plan: Plan, family: Family, stored: Mapping[str, StoredTensor], target: str
) -> str:
    """What the files would call the tensor that fills a weight of ours, or "".

    Of several names that which is most like those in the files.
    """
    plains = [family.plain_name(name) for name in stored]
    begins = {plain.partition(".")[0] for plain in plains}
    found: dict[str, tuple[bool, bool]] = {}
    for whole in (target, f"{target}[0]"):
        for rule, ours in product(plan.rules, plan.rule_names(whole)):
            for plain in rule.sources_of(ours):
                if plan.weight_name(ours) == whole:
                    used = any(rule.target_of(one) for one in plains)
                    found[plain] = used, plain.partition(".")[0] in begins
    best = max(found, key=lambda plain: found[plain], default="")
    return _prefix(plan, family, stored, best) + best


def _prefix(
    plan: Plan, family: Family, stored: Mapping[str, StoredTensor], plain: str
) -> str:
    """What stands before the names of the files that begin as this one."""
    first = plain.partition(".")[0]
    begins = [first, *(plan.body if plain.startswith(tuple(plan.body)) else ())]
    for prefix in family.prefixes:
        if any(
            name.startswith(tuple(prefix + one for one in begins)) for name in stored
        ):
            return prefix
    return ""


def _missing(
    name: str,
    target: str,
    shape: Shape,
    stored: Mapping[str, StoredTensor],
    unused: Mapping[str, list[str]],
) -> NoReturn:
    unknown = [other for names in unused.values() for other in names]
    hint = f"the weights have {len(stored)} tensors"
    if unknown:
        hint += f"; not known here are {', '.join(unknown[:3])}" + (
            ", …" if len(unknown) > 3 else ""
        )
    if not name:
        fail("E0628", hint=hint, target=target, shape=list(shape))
    part = name.partition(".")[0]
    sides = {side for one in stored for side in one.split(".")}
    if part == "decoder" and part not in sides and "encoder" in sides:
        hint = "the weights are those of an encoder only, and this type has a decoder"
    paths = {one.path for one in stored.values()}
    path = min(paths) if len(paths) == 1 else "the files of weights"
    fail(
        "E0628.named", hint=hint, name=name, path=path, target=target, shape=list(shape)
    )
