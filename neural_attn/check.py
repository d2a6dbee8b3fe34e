"""From a file to its checked networks, with all that is wrong in it."""

from __future__ import annotations

import re
from pathlib import Path

from neural_attn.diagnostics.errors import (
    Diagnostic,
    NeuralError,
    Problems,
    did_you_mean,
    fail,
)
from neural_attn.grammar import parse, tree
from neural_attn.grammar.parser import decode, read_bytes
from neural_attn.grammar.recovery import salvage
from neural_attn.resolve.resolver import resolve
from neural_attn.shapes.infer import Shapes
from neural_attn.shapes.instance import Checked
from neural_attn.trainable import check_trainable


def check_tree(file: tree.File) -> tuple[list[Checked], list[Diagnostic]]:
    """Resolve and check every network of a parsed file.

    Returns the checked networks and the warnings. Raises NeuralError with all
    problems together.
    """
    problems = Problems()
    networks = resolve(file, problems)
    problems.raise_errors()
    found = [Shapes(problems).network(network, {}) for network in networks]
    problems.raise_errors()
    checked = [one for one in found if one is not None]
    for one in checked:
        check_trainable(one, problems)
    problems.raise_errors()
    return checked, problems.warnings


def check_text(
    text: str, name: str = "<text>"
) -> tuple[list[Checked], list[Diagnostic]]:
    """The same for a text; `name` is what messages call it."""
    try:
        file = parse(text, name)
    except NeuralError as error:
        raise NeuralError(_all_problems(text, name, error)) from None
    return check_tree(file)


# what these say of a place holds whatever else the text lacks
_LOCAL = frozenset(
    "E0132 E0203 E0204 E0205 E0206 E0216 E0217 E0225 E0226 E0234 E0240 E0242 E0243 "
    "E0244 W0121".split()
)


def _all_problems(text: str, name: str, error: NeuralError) -> list[Diagnostic]:
    """What is wrong with a text that does not parse, its names and values too."""
    file, found = salvage(text, name, error)
    if file is not None:
        problems = Problems()
        try:
            resolve(file, problems)
        except NeuralError as further:
            problems.diagnostics += further.diagnostics
        defined = re.search(r"\b(define|macro)\b", text) is not None
        local = _LOCAL - {"E0204"} if defined else _LOCAL
        found += [d for d in problems.diagnostics if d.code in local]
    return sorted(found, key=lambda d: d.span.start if d.span else -1)


def check_file(path: str | Path) -> tuple[list[Checked], list[Diagnostic]]:
    """The same for a file."""
    return check_text(decode(read_bytes(path), str(path)), str(path))


def choose(networks: list[Checked], name: str | None) -> Checked:
    """The network of this name, or the only one of the file; the last of its name."""
    by_name = {checked.network.name: checked for checked in networks}
    known = list(by_name)
    if name is None and len(known) == 1:
        return by_name[known[0]]
    if name is None:
        fail("E0227", known=", ".join(known))
    if name in by_name:
        return by_name[name]
    fail("E0228", hint=did_you_mean(name, known), name=name, known=", ".join(known))
