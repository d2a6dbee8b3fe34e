"""From a file to a checked network, to source text, to a model that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neural_attn.errors import Diagnostic, Problems, did_you_mean, fail
from neural_attn.grammar import parse, parse_file, tree
from neural_attn.ir import Network
from neural_attn.resolve import resolve
from neural_attn.shapes import Checked, Shapes


def check_tree(file: tree.File) -> tuple[list[Checked], list[Diagnostic]]:
    """Resolve and check every network of a parsed file.

    Returns the checked networks and the warnings. Raises NeuralError with all
    problems together.
    """
    problems = Problems()
    networks = resolve(file, problems)
    problems.raise_errors()
    checked = [Shapes(problems).network(network, {}) for network in networks]
    problems.raise_errors()
    return [c for c in checked if c is not None], problems.warnings


def check_text(
    text: str, name: str = "<text>"
) -> tuple[list[Checked], list[Diagnostic]]:
    """The same for a text; `name` is what messages call it."""
    return check_tree(parse(text, name))


def check_file(path: str | Path) -> tuple[list[Checked], list[Diagnostic]]:
    """The same for a file."""
    return check_tree(parse_file(path))


def at_shapes(
    network: Network, shapes: Mapping[str, tuple[int | None, ...]]
) -> Checked:
    """The network checked again with its inputs at other shapes (no batch).

    Raises NeuralError where some layer needs the shape that the file declares.
    """
    problems = Problems()
    checked = Shapes(problems).network(network, shapes)
    problems.raise_errors()
    assert checked is not None
    return checked


def choose(networks: list[Checked], name: str | None) -> Checked:
    """The network of this name, or the only one of the file."""
    if name is None and len(networks) == 1:
        return networks[0]
    known = [c.network.name for c in networks]
    if name is None:
        fail(
            "E0227",
            f"the file holds several networks: {', '.join(known)}",
            hint="choose one with --network NAME",
        )
    for checked in networks:
        if checked.network.name == name:
            return checked
    fail(
        "E0228",
        f"the file has no network `{name}`",
        hint=did_you_mean(name, known) or "it has " + ", ".join(known),
    )
