"""Starting files for `neural new`: whole networks to change."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from neural_attn.diagnostics.errors import did_you_mean, fail
from neural_attn.resolve.names import trouble_with_variable

_NETWORK = re.compile(r"^network (\w+) \{", re.MULTILINE)


@cache
def templates() -> dict[str, str]:
    """The text of each template by its name."""
    found = {
        file.name.removesuffix(".neural").replace("_", "-"): file.read_text("utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(".neural")
    }
    return dict(sorted(found.items()))


def summary(text: str) -> str:
    """The first comment line of a template."""
    return text.partition("\n")[0].lstrip("# ")


def template(name: str, network: str | None = None) -> str:
    """The text of a template, its network renamed where `network` is given.

    Raises NeuralError where there is no such template or the name cannot be used.
    """
    known = templates()
    text = known.get(name.lower().replace("_", "-"))
    if text is None:
        hint = did_you_mean(name, known) or "there are " + ", ".join(known)
        fail("E0126", hint=hint, name=name)
    if network is None:
        return text
    why = trouble_with_variable(network)
    if why or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", network):
        fail("E0127", hint=why, network=network)
    return _NETWORK.sub(f"network {network} {{", text)
