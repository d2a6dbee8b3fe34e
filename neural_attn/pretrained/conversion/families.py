"""The kinds of model that can be imported: a file each in `neural_attn/pretrained`.

Other packages add theirs through the entry-point group `neural_attn.families`; the
value is a `Family`.
"""

from __future__ import annotations

import re
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
    _require_own(config, model_type, families)
    return families[model_type]


# how classes of transformers are called: GemmaForCausalLM, Qwen3MoeModel
_CLASS = re.compile(r"([A-Z]\w*?)(?:For[A-Z]\w*|(?:LMHead|MT)?Model)")


def _require_own(config: Config, model_type: str, families: Iterable[str]) -> None:
    """Refuse a model whose class is of another family, whatever `model_type` says.

    Its tensors may have the same names and shapes, as Gemma's are those of a Llama, and
    RoBERTa's those of a BERT, and its maps would be wrong.
    """
    own = _class_of(model_type)
    others = {_class_of(one) for one in families} - {own}
    for name in config.names("architectures"):
        found = _CLASS.fullmatch(name)
        if found is None:
            continue
        begin, rest = found[1][: len(own)], found[1][len(own) :]
        is_own = begin.lower() == own and (not rest or rest[0].isupper())
        if not is_own or found[1].lower() in others:
            fail("E0626.architecture", path=config.path, name=name, family=model_type)


def _class_of(model_type: str) -> str:
    """How the classes of a family begin, in small letters."""
    return _letters(re.sub(r"_text(_model)?$|_vision_model$", "", model_type))
