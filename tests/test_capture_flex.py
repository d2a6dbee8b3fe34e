"""`flex_attention` as modules call it: equal to a dense computation."""

import numpy as np
import pytest

from neural_attn import analyze, capture
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.opening import open_model

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

pytestmark = [
    pytest.mark.requires_torch,
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
]

EXACT = {"rtol": 0, "atol": 1e-5}
SLOPES = torch.tensor([0.1, 0.5])
PLACES = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
SENTENCES = torch.tensor([0, 0, 1, 1, 1, 2])
LENGTHS = torch.tensor([6, 4])

q, k = torch.arange(6)[:, None], torch.arange(6)
ALIBI = -(q - k).abs() * SLOPES[:, None, None]
NEVER = -torch.inf

# arguments, and what a dense computation adds to the scores, or where it attends
CASES = {
    "plain": ({}, 0.0, True),
    "scaled": ({"scale": 0.3}, 0.0, True),
    "alibi": (
        {"score_mod": lambda s, b, h, q, k: s - (q - k).abs() * SLOPES[h]}, ALIBI, True
    ),
    "vectors": (
        {"score_mod": lambda s, b, h, q, k: s + (PLACES[q] * PLACES[k]).sum()},
        PLACES @ PLACES.T, True,
    ),
    "causal": ({"mask_mod": lambda b, h, q, k: q >= k}, 0.0, q >= k),
    "causal by score": (
        {"score_mod": lambda s, b, h, q, k: torch.where(q >= k, s, NEVER)}, 0.0, q >= k
    ),
    "sentences": (
        {"mask_mod": lambda b, h, q, k: SENTENCES[q] == SENTENCES[k]}, 0.0,
        SENTENCES[:, None] == SENTENCES,
    ),
    "padding": (
        {"mask_mod": lambda b, h, q, k: k < LENGTHS[b]}, 0.0,
        k < LENGTHS[:, None, None, None],
    ),
    "by head": ({"mask_mod": lambda b, h, q, k: q >= k + h - 1}, 0.0,
                q >= k + torch.arange(2)[:, None, None] - 1),
    "one sees nothing": ({"mask_mod": lambda b, h, q, k: q > k}, 0.0, q > k),
    "grouped": ({"enable_gqa": True}, 0.0, True),
}  # fmt: skip


class Kernel(torch.nn.Module):
    """Calls it with what it is given."""

    def __init__(self, call=flex.flex_attention, mask_mod=None, **options):
        super().__init__()
        self.call, self.mask_mod, self.options = call, mask_mod, options

    def forward(self, query, key):
        mask = None
        if self.mask_mod is not None:
            mask = flex.create_block_mask(self.mask_mod, 2, 2, 6, 6, device="cpu")
        return self.call(query, key, key, block_mask=mask, **self.options)


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    return torch.randn(2, 2, 6, 4), torch.randn(2, 2, 6, 4)


def watched(model, inputs):
    opened = open_model(model)
    return opened.watch(opened.prepare(inputs))


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_a_dense_computation(case, pair, monkeypatch):
    monkeypatch.setattr("neural_attn.models.living.rows.BLOCK", 20)
    # without torch.compile, which takes seconds
    monkeypatch.setattr(flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    options, added, allowed = CASES[case]
    query, key = pair[0], pair[1][:, :1] if case == "grouped" else pair[1]
    model = Kernel(**options).eval()
    output, maps = watched(model, (query, key))
    assert torch.equal(output, model(query, key))
    scores = query @ key.mT * options.get("scale", 0.5) + added
    allowed = torch.as_tensor(allowed).expand(scores.shape)
    expected = torch.softmax(scores.masked_fill(~allowed, NEVER), -1).nan_to_num()
    one = maps.get_map("attention")
    np.testing.assert_allclose(one.weights, expected.numpy(), **EXACT)
    assert np.array_equal(one.allowed, allowed.numpy())
    assert one.causal is not bool((allowed & (q < k)).any())
    head = capture(model, (query, key), heads=1)
    assert np.array_equal(head["attention"][:, 0], one.weights[:, 1])


def test_it_is_seen_as_often_as_it_is_called(pair):
    model = Kernel(**CASES["alibi"][0]).eval()
    with torch.no_grad():
        expected = model(*pair)
    for _ in range(10):  # more often than PyTorch compiles one function anew
        output, maps = watched(model, pair)
        assert torch.equal(output, expected)
        assert len(maps) == 1
    part = capture(model, pair, keep="metrics")
    assert len(analyze(part).heads) == 2


def test_where_it_was_compiled_it_is_not_seen(pair):
    compiled = torch.compile(flex.flex_attention, backend="eager")
    with pytest.raises(NeuralError) as caught:
        capture(Kernel(compiled).eval(), pair)
    assert caught.value.diagnostics[0].code == "E0441"


class Both(torch.nn.Module):
    """Attends by a kernel that is seen, then by one that is not."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel

    def forward(self, query, key):
        seen = torch.nn.functional.scaled_dot_product_attention(query, key, key)
        return self.kernel(seen, key)


def test_where_some_was_compiled_it_is_said(pair):
    compiled = torch.compile(flex.flex_attention, backend="eager")
    query, key = pair[0][:1, :1], pair[1][:1, :1]
    with pytest.warns(UserWarning, match="could not be seen: kernel"):
        assert len(capture(Both(Kernel(compiled)).eval(), (query, key))) == 1
