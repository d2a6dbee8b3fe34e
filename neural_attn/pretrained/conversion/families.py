"""The kinds of model that can be imported: a file each in `neural_attn/pretrained`.

Other packages add theirs through the entry-point group `neural_attn.families`; the
value is a `Family`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from neural_attn.diagnostics.errors import Suggestion, fail
from neural_attn.extensions import load
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import Family

GROUP = "neural_attn.families"
PACKAGE = "neural_attn.pretrained"  # found by name, as its files import from here


@cache
def known_families() -> dict[str, Family]:
    """Every family by the `model_type` of config.json; ours win."""
    folder = import_module(PACKAGE)
    found: list[Family] = [
        import_module(f"{PACKAGE}.{module.name}").FAMILY
        for module in iter_modules(folder.__path__)
        if not module.ispkg
    ]
    found += [family for _, family in load(GROUP, Family)]
    return {kind: one for one in reversed(found) for kind in one.model_types}


def _respelled(model_type: str, families: Iterable[str]) -> str:
    """A hint where a name differs in capitals and punctuation alone."""
    same = [one for one in families if _letters(one) == _letters(model_type)]
    return Suggestion(model_type, same[0]) if same else ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def family_of(config: Config) -> Family:
    """The family of a model. Raises NeuralError (E0624) where none knows it."""
    model_type = config.text("model_type")
    families = known_families()
    if model_type not in families:
        known = ", ".join(sorted(families))
        fail(
            "E0624",
            # Another spelling, no more: that `roberta` is like `bert` in its letters
            # has led people to write the one for the other.
            hint=_respelled(model_type, families),
            path=config.path,
            model_type=model_type,
            known=known,
        )
    return families[model_type]
