"""Hints about arrays of attention, their tokens and masks, followed."""

import numpy as np
import pytest

from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.validation import admit
from tests.following import follow

SIX = np.random.default_rng(0).dirichlet(np.full(6, 0.3), (1, 2, 6))
SIX = SIX.astype(np.float32)  # [batch, heads, queries, keys]
CAUSAL = np.tril(SIX) / np.tril(SIX).sum(-1, keepdims=True)
PADDED = np.array([[1, 1, 1, 1, 0, 0]])
TOKENS = list("abcdef")


def findings(given, **told):
    return lambda: admit(given, **told)[1]


def maps(given, **told):
    return lambda: AttentionMaps(given, **told)


def spoiled(weights, place, value):
    copy = weights.copy()
    copy[place] = value
    return copy


HIDDEN = spoiled(SIX, (..., slice(4, None)), 0)
HIDDEN /= HIDDEN.sum(-1, keepdims=True)
EMPTY = spoiled(HIDDEN, (..., slice(4, None), slice(None)), 0)
# message -> (the call that shows it, the call changed as its hint says)
FOLLOWED = {
    "E0431": (maps([SIX], axes="bhqq"), maps([SIX], axes="bhqk")),
    "E0432": (findings([SIX], tokens=[0.5] * 6), findings([SIX], tokens=TOKENS)),
    "E0432.tokenizer": (
        findings([SIX], tokens=range(6), tokenizer=5),
        findings([SIX], tokens=range(6), tokenizer=lambda ids: [f"t{i}" for i in ids]),
    ),
    "E0433": (maps(3), maps([SIX])),
    "E0433.mixed": (maps([SIX, [SIX]]), maps([SIX, SIX])),
    "E0437": (
        findings([HIDDEN], mask=np.ones((1, 5))),
        findings([HIDDEN], mask=PADDED),
    ),
    "W0801": (findings([spoiled(SIX, (0, 0, 1), np.nan)]), findings([SIX])),
    "W0802": (findings([SIX - 0.5]), findings([SIX - 0.5], rows="signed")),
    "W0803": (findings([SIX * 2]), findings([SIX * 2], rows="gates")),
    "W0803.empty": (findings([EMPTY]), findings([EMPTY], mask=PADDED)),
    "W0803.dropout": (
        findings([spoiled(SIX, (..., [1, 4]), 0) * 1.25]),
        findings([SIX]),
    ),
    "W0803.parts": (
        findings([SIX * 2], rows="parts"),
        findings([SIX * 2], rows="gates"),
    ),
    "W0804": (findings([SIX], causal=True), findings([SIX], causal=False)),
    "W0805": (
        findings([HIDDEN], mask=PADDED == 0),
        findings([HIDDEN], mask=PADDED == 1),
    ),
    "W0806": (findings([SIX.swapaxes(-1, -2)]), findings([SIX])),
    "W0807": (findings([SIX], tokens=["a"]), findings([SIX], tokens=TOKENS)),
    "W0808": (findings([None]), findings([SIX])),
    "W0808.model": (findings(()), findings([SIX])),
    "W0809": (findings([np.full((1, 2, 6, 6), 1 / 6, np.float32)]), findings([SIX])),
    "W0810": (
        findings([SIX], tokens=[*"abcd", "[PAD]", "[PAD]"]),
        findings([HIDDEN], tokens=[*"abcd", "[PAD]", "[PAD]"], mask=PADDED),
    ),
    "W0811": (findings([np.ones((1, 1, 3, 3), int)]), findings([SIX])),
    "W0811.reason": (findings([SIX], axes="hqk"), findings([SIX], axes="bhqk")),
    "W0811.texts": (
        findings([SIX, np.concatenate([SIX, SIX])]),
        findings([SIX, SIX]),
    ),
    "W0812": (findings([SIX[0]]), findings([SIX[0]], axes="hqk")),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_call(name):
    follow(name, *FOLLOWED[name])
