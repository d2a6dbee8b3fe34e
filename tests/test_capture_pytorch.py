"""PyTorch modules as they are: equal to what PyTorch itself returns, and left alone."""

import gc
import threading
from collections import Counter

import numpy as np
import pytest

from neural_attn import AttentionVisualizer, capture, explore, pipeline
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.living import watch
from neural_attn.models.living.scores import Scores
from neural_attn.models.opening import open_model

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

pytestmark = [
    pytest.mark.requires_torch,
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]

EXACT = {"rtol": 0, "atol": 1e-5}
BY_HEAD = {"average_attn_weights": False}


def watched(module, inputs):
    """Output and maps of one run."""
    model = open_model(module)
    return model.watch(model.prepare(inputs))


def without(module, inputs):
    """What a module gives when nobody looks."""
    with torch.no_grad():
        if isinstance(inputs, dict):
            args = [inputs[n] for n in inputs if n.isdecimal()]
            return module(*args, **{n: inputs[n] for n in inputs if not n.isdecimal()})
        return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


class Own(nn.Module):
    """Attention over the kernel, called `times` times, with what it takes."""

    def __init__(self, heads=4, key_heads=4, times=1, **options):
        super().__init__()
        self.heads, self.times, self.options = (
            (heads, key_heads, key_heads),
            times,
            options,
        )
        self.embed = nn.Embedding(50, 16)
        self.projections = nn.ModuleList(nn.Linear(16, 4 * n) for n in self.heads)

    def split(self, x):
        pairs = zip(self.projections, self.heads, strict=True)
        return [p(x).unflatten(2, (n, 4)).transpose(1, 2) for p, n in pairs]

    def forward(self, ids, attention_mask=None):
        x = self.embed(ids)
        if attention_mask is not None:
            attention_mask = attention_mask[:, None, None, :].bool()
        for _ in range(self.times):
            query, key, value = self.split(x)
            context = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attention_mask, **self.options
            )
            x = context.transpose(1, 2).flatten(2)
        return x


class Stack(nn.Module):
    """Three layers of one's own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.MultiheadAttention(8, 2, batch_first=True) for _ in "abc"
        )

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x, x, x, need_weights=False)[0]
        return x


@pytest.fixture(scope="module")
def ids():
    torch.manual_seed(0)
    return torch.randint(0, 50, (2, 6))


@pytest.fixture(scope="module")
def own():
    torch.manual_seed(0)
    return Own().eval()


@pytest.fixture(scope="module")
def stack():
    torch.manual_seed(0)
    return Stack().eval()


# --- the kernel ---------------------------------------------------------------------

OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.7},
    "dropout aside": {"dropout_p": 0.3},
    "grouped": {"enable_gqa": True, "key_heads": 2},
    "one key head": {"enable_gqa": True, "key_heads": 1, "is_causal": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("block", [1 << 20, 20])
def test_a_kernel_shows_the_weights_that_it_mixes_values_by(
    options, block, ids, monkeypatch
):
    # With the unit matrix as values the kernel's own output is its weights.
    monkeypatch.setattr("neural_attn.models.living.scores.BLOCK", block)
    torch.manual_seed(1)
    module = Own(**options).eval()
    _, maps = watched(module, ids)
    query, key, value = module.split(module.embed(ids))
    unit = torch.eye(6).expand(*value.shape[:2], 6, 6)
    told = {n: v for n, v in options.items() if n not in ("key_heads", "dropout_p")}
    expected = functional.scaled_dot_product_attention(query, key, unit, **told)
    np.testing.assert_allclose(maps["attention"], expected.detach().numpy(), **EXACT)
    assert maps.get_map("attention").causal is ("is_causal" in options)


MASKS = {
    "cells": torch.tensor([[True, False, True], [True, True, False]]),
    "bias": torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]]),
    "minus infinity": torch.tensor([[0.5, -torch.inf, 2.0], [0.0, 0.3, -torch.inf]]),
    "least number": torch.tensor([[0, torch.finfo(torch.float32).min, 0], [0, 0, 0]]),
    "by example": torch.tensor([[[[True, True, False]]], [[[True, False, False]]]]),
    "by head": torch.tensor([[[[True, True, False]], [[True, False, False]]]]),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_of_every_kind(mask, dtype):
    class Kernel(nn.Module):
        def forward(self, query, key, value):
            given = mask if mask.dtype == torch.bool else mask.to(dtype)
            return functional.scaled_dot_product_attention(query, key, value, given)

    torch.manual_seed(0)
    query, key = (
        torch.randn(2, 2, 2, 4, dtype=dtype),
        torch.randn(2, 2, 3, 4, dtype=dtype),
    )
    unit = torch.eye(3, dtype=dtype).expand(2, 2, 3, 3)
    expected, maps = watched(Kernel().eval(), (query, key, unit))
    one = maps.get_map("attention")
    np.testing.assert_allclose(one.weights, expected.numpy(), **EXACT)
    shown = mask if mask.dtype == torch.bool else mask > -9e3
    hidden = ~np.broadcast_to(shown.numpy(), one.weights.shape)
    assert np.array_equal(~one.allowed, hidden)
    assert (one.weights[hidden] == 0).all()
    assert one.kind == "cross"  # two queries, three keys


def test_a_row_that_sees_nothing_is_zero(own, ids):
    mask = torch.ones(2, 6)
    mask[1] = 0
    maps = capture(own, {"ids": ids, "attention_mask": mask})
    assert (maps["attention"][1] == 0).all()
    np.testing.assert_allclose(maps["attention"][0].sum(-1), 1, **EXACT)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_is_no_number_is_said(causal, number):
    class Attends(nn.Module):
        def forward(self, x):
            functional.scaled_dot_product_attention(x, x, x, is_causal=causal)
            return x

    x = torch.ones(1, 1, 3, 4)
    x[0, 0, 2] = number  # where the other rows are, it is of the last key alone
    weights = Scores(x, x, causal=causal).weights([0])
    none, some = np.isnan(weights).all(-1), np.isnan(weights).any(-1)
    assert some.any()
    np.testing.assert_array_equal(none, some)  # so that one of a row tells
    with pytest.raises(NeuralError, match=r"E0448.*attention"):
        capture(Attends().eval(), x)


def test_half_precision_is_computed_in_full(ids):
    torch.manual_seed(0)
    module = Own().eval().bfloat16()
    weights = capture(module, ids)["attention"]
    query, key, _ = (x.float() for x in module.split(module.embed(ids)))
    expected = torch.softmax(query @ key.mT / 2, -1)
    np.testing.assert_allclose(weights, expected.detach().numpy(), **EXACT)


def test_three_and_five_axes():
    class Kernel(nn.Module):
        def forward(self, query):
            return functional.scaled_dot_product_attention(query, query, query)

    torch.manual_seed(0)
    windows = torch.randn(2, 3, 4, 5, 6)
    maps = capture(Kernel().eval(), windows)
    assert maps["attention"].shape == (6, 4, 5, 5)
    alone = capture(
        Kernel().eval(), windows[1, 2]
    )  # [4, 5, 6]: four examples of one head
    np.testing.assert_allclose(alone["attention"][:, 0], maps["attention"][5], **EXACT)


def test_several_calls_of_one_module_are_numbered(ids):
    torch.manual_seed(0)
    module = Own(times=2).eval()
    assert list(capture(module, ids)) == ["attention_0", "attention_1"]
    assert list(capture(module, ids, layers="attention_1")) == ["attention_1"]
    assert len(capture(module, ids, layers="attention")) == 2


# --- PyTorch's own modules ----------------------------------------------------------


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add_zero_attn": True},
        {"add_bias_kv": True},
        {"kdim": 8, "vdim": 8},
        {"bias": False},
    ],
    ids=str,
)
def test_multihead_attention_is_what_it_returns_itself(batch_first, options):
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 4, batch_first=batch_first, **options).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    query, key = torch.randn(2, 5, 16), torch.randn(2, 7, options.get("kdim", 16))
    if not batch_first:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    padding = torch.arange(7) >= torch.tensor([[7], [5]])
    cells = torch.rand(5, 7) < 0.2
    cells[:, 0] = False
    for mask in (None, cells, torch.randn(5, 7), torch.randn(8, 5, 7)):
        for hidden in (None, padding):
            masks = {"attn_mask": mask, "key_padding_mask": hidden}
            given = {"0": query, "1": key, "2": key, **masks}
            _, expected = without(module, {**given, **BY_HEAD})
            quiet = {**given, "need_weights": False}
            output, maps = watched(module, quiet)
            np.testing.assert_allclose(maps["attention"], expected.numpy(), **EXACT)
            assert torch.equal(output[0], without(module, quiet)[0])


def test_self_attention_without_a_batch_takes_its_fast_or_slow_path():
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    for x in (torch.randn(2, 5, 16), torch.randn(5, 16)):
        _, expected = without(
            module, {"0": x, "1": x, "2": x, "average_attn_weights": False}
        )
        given = {"0": x, "1": x, "2": x, "need_weights": False}
        output, maps = watched(module, given)
        found = maps["attention"] if x.dim() == 3 else maps["attention"][0]
        np.testing.assert_allclose(found, expected.numpy(), **EXACT)
        assert torch.equal(output[0], without(module, given)[0])


def test_the_function_behind_it_is_seen_where_others_call_it():
    class Pool(nn.Module):  # as CLIP's attention pool
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2)

        def forward(self, x):
            one = self.inner
            return functional.multi_head_attention_forward(
                x[:1], x, x, 8, 2, one.in_proj_weight, one.in_proj_bias, None, None,
                False, 0.0, one.out_proj.weight, one.out_proj.bias, training=False,
                need_weights=False,
            )[0]  # fmt: skip

    torch.manual_seed(0)
    module, x = Pool().eval(), torch.randn(5, 2, 8)
    _, expected = without(
        module.inner, {"0": x[:1], "1": x, "2": x, "average_attn_weights": False}
    )
    output, maps = watched(module, x)
    np.testing.assert_allclose(maps["attention"], expected.numpy(), **EXACT)
    assert torch.equal(output, without(module, x))


@pytest.fixture
def fast(monkeypatch):
    """Counts the layers that take the fast path."""
    calls = []
    forward = torch._transformer_encoder_layer_fwd
    monkeypatch.setattr(
        torch,
        "_transformer_encoder_layer_fwd",
        lambda *a: calls.append(1) or forward(*a),
    )
    return calls


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masks", ["none", "padding", "triangle"])
def test_an_encoder_stays_on_its_fast_path(norm_first, masks, fast):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        16, 4, 32, batch_first=True, norm_first=norm_first
    )
    nested = not norm_first  # PyTorch has no nested tensors with it
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.4)
    source = torch.randn(2, 6, 16)
    padding = (
        torch.arange(6) >= torch.tensor([[5], [3]]) if masks == "padding" else None
    )
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    mask = mask if masks == "triangle" else None
    given = {"0": source, "mask": mask, "src_key_padding_mask": padding}
    expected = without(encoder, given)
    taken = len(fast)
    output, maps = watched(encoder, given)
    assert len(fast) == taken + 2  # the fast path, as when nobody looks
    assert torch.equal(output, expected)
    x = source
    for layer, one in zip(encoder.layers, maps.maps, strict=True):
        normed = layer.norm1(x) if norm_first else x
        three = {"0": normed, "1": normed, "2": normed}
        own = {"attn_mask": mask, "key_padding_mask": padding, **BY_HEAD}
        _, weights = without(layer.self_attn, {**three, **own})
        # of padding as a query, which a nested tensor does not have, nothing is left
        real = np.ones(1) if padding is None else ~padding[:, None, :, None].numpy()
        np.testing.assert_allclose(one.weights * real, weights.numpy() * real, **EXACT)
        assert one.causal is (masks == "triangle")
        if padding is not None:
            assert one.key_range(1) == slice(0, 3)
        own = {"src_mask": mask, "src_key_padding_mask": padding}
        x = without(layer, {"0": x, **own})


def test_the_fast_path_hides_whatever_is_not_zero(fast):
    # PyTorch's fast path takes a finite bias for a mask: the map says what it did.
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    bias = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    source = torch.randn(1, 3, 8)
    output, maps = watched(layer, {"0": source, "src_mask": bias})
    assert fast
    assert (maps["self_attn"][0][:, bias.bool().numpy()] == 0).all()
    assert torch.equal(output, without(layer, {"0": source, "src_mask": bias.bool()}))


def test_a_transformer_has_its_three_kinds():
    torch.manual_seed(0)
    model = nn.Transformer(16, 4, 1, 2, 32, batch_first=True).eval()
    source, target = torch.randn(2, 5, 16), torch.randn(2, 3, 16)
    triangle = model.generate_square_subsequent_mask(3)
    given = {"0": source, "1": target, "tgt_mask": triangle, "tgt_is_causal": True}
    inputs = open_model(model).prepare(
        given, {"src": list("abcde"), "tgt": list("xyz")}
    )
    output, maps = open_model(model).watch(inputs)
    assert torch.equal(output, without(model, given))
    assert {name: one.kind for name, one in zip(maps, maps.maps, strict=True)} == {
        "encoder.layers.0.self_attn": "encoder_self",
        "decoder.layers.0.self_attn": "decoder_self",
        "decoder.layers.0.multihead_attn": "cross",
        "decoder.layers.1.self_attn": "decoder_self",
        "decoder.layers.1.multihead_attn": "cross",
    }
    assert len(maps.layers) == 3
    cross = maps.get_map("decoder.layers.0.multihead_attn")
    assert (cross.query_tokens[0], cross.key_tokens[1]) == (
        tuple("xyz"),
        tuple("abcde"),
    )
    layer = model.decoder.layers[0]
    _, expected = layer.self_attn(
        target, target, target, attn_mask=triangle, average_attn_weights=False
    )
    found = maps["decoder.layers.0.self_attn"]
    np.testing.assert_allclose(found, expected.detach().numpy(), **EXACT)
    x = layer.norm1(
        target + layer.self_attn(target, target, target, attn_mask=triangle)[0]
    )
    memory = model.encoder(source)
    _, expected = layer.multihead_attn(x, memory, memory, average_attn_weights=False)
    np.testing.assert_allclose(cross.weights, expected.detach().numpy(), **EXACT)


def test_one_of_ones_own_inside_pytorchs_encoder_is_seen(ids):
    class Layer(nn.TransformerEncoderLayer):
        def _sa_block(self, x, *rest, **options):
            return functional.scaled_dot_product_attention(x, x, x)

    torch.manual_seed(0)
    layer = Layer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).train(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        maps = capture(encoder, torch.randn(2, 5, 8))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert maps["layers.0"].shape == (2, 1, 5, 5)


# --- some of it ---------------------------------------------------------------------


def test_only_what_is_asked_for_is_computed(stack, monkeypatch):
    from neural_attn.models.living.scores import Scores

    weighed = []
    weights = Scores.weights
    monkeypatch.setattr(
        Scores,
        "weights",
        lambda self, heads: weighed.append(list(heads)) or weights(self, heads),
    )
    x = torch.randn(2, 5, 8)
    every = capture(stack, x)
    for layers, names in {
        1: ["blocks.1"], -1: ["blocks.2"], "blocks.0": ["blocks.0"],
        "blocks": list(every), "bl": list(every),
        (0, "blocks.2"): ["blocks.0", "blocks.2"],
    }.items():  # fmt: skip
        weighed.clear()
        maps = capture(stack, x, layers=layers, heads=-1)
        assert list(maps) == names
        assert weighed == [[1]] * len(names)
        for one in maps.maps:
            assert one.head_indices == (1,)
            assert np.array_equal(one.weights[:, 0], every[one.name][:, 1])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"layers": 3}, "layers 0 to 2"),
        ({"layers": "block_1"}, "did you mean 'blocks.1'"),
        ({"heads": 2}, "blocks.0 has no head 2: it has heads 0 to 1"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(stack, asked, said):
    with pytest.raises(NeuralError) as caught:
        capture(stack, torch.randn(1, 5, 8), **asked)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0442"
    assert said in problem.message


def test_a_budget_is_kept(stack):
    x = torch.randn(2, 5, 8)
    size = 2 * 2 * 5 * 5 * 4  # of one map
    assert len(capture(stack, x, budget=3 * size)) == 3
    assert len(capture(stack, x, budget=size // 2, layers=0, heads=0)) == 1
    with pytest.raises(NeuralError) as caught:
        capture(stack, x, budget=2 * size)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0443"
    assert (
        "blocks.2 [2, 2, 5, 5] takes 400 bytes, and 2 before it take 800 bytes"
        in problem.message
    )


# --- the model is left as it was ----------------------------------------------------


def state():
    """All that could be left behind in PyTorch."""
    from torch.nn.modules import module

    return (
        len(module._global_forward_hooks),
        len(module._global_forward_pre_hooks),
        len(module._global_forward_hooks_with_kwargs),
        torch._C._len_torch_function_stack(),
        torch.overrides.has_torch_function((torch.ones(1),)),
        torch.is_grad_enabled(),
        functional.scaled_dot_product_attention,
    )


def test_nothing_is_left_behind(stack):
    before, attributes = state(), {id(m): list(vars(m)) for m in stack.modules()}
    capture(stack, torch.randn(1, 5, 8))
    assert state() == before
    assert {id(m): list(vars(m)) for m in stack.modules()} == attributes
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in stack.modules())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_behind_after_an_exception(error):
    class Broken(nn.Module):
        def forward(self, x):
            raise error("on purpose")

    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    encoder.linear1, encoder.activation_relu_or_gelu = Broken(), 0  # the slow path
    before = state()
    with pytest.raises(error, match="on purpose"):
        capture(nn.Sequential(encoder).eval(), torch.randn(1, 5, 8))
    assert state() == before


class Counting(torch.overrides.TorchFunctionMode):
    """A mode of somebody else, which may fail in an activation."""

    def __init__(self, error=None):
        super().__init__()
        self.error, self.calls = error, Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls[func] += 1
        if self.error and func is functional.relu:
            raise self.error("on purpose")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_behind_after_an_exception_in_a_part_that_passes(own, error):
    before, ids = state(), torch.ones(1, 3, dtype=torch.long)
    with Counting(error), pytest.raises(error, match="on purpose"):
        capture(nn.Sequential(own, nn.ReLU()).eval(), ids)
    assert state() == before
    assert list(capture(own, ids)) == ["attention"]


def test_modes_of_others_see_what_they_saw(own, ids):
    calls = []
    for run in (without, capture):
        with Counting() as mode:
            run(nn.Sequential(own, nn.ReLU()).eval(), ids)
        kernels = (functional.linear, functional.relu, functional.embedding)
        kernels += (functional.scaled_dot_product_attention,)
        calls.append([mode.calls[func] for func in kernels])
    assert calls[0] == calls[1]
    assert min(calls[0]) > 0


@pytest.mark.parametrize("kind", ["forward", "forward_pre"])
def test_a_hook_of_a_part_that_passes_may_attend(own, ids, kind):
    def attend(*_):
        x = torch.ones(1, 2, 5, 4)
        functional.scaled_dot_product_attention(x, x, x)

    model = nn.Sequential(own, nn.ReLU()).eval()
    getattr(model[1], f"register_{kind}_hook")(attend)
    assert len(capture(model, ids)) == 2


def test_a_model_that_catches_what_a_part_raises_goes_on():
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError

    class Catching(Stack):
        def forward(self, x):
            try:
                self.broken(x)
            except ValueError:
                return super().forward(x)

    model = Catching()
    model.broken = Broken()
    maps = capture(model.eval(), torch.randn(1, 5, 8))
    assert list(maps) == ["blocks.0", "blocks.1", "blocks.2"]


def test_the_budget_ends_the_call_and_leaves_nothing(stack):
    before = state()
    with pytest.raises(NeuralError):
        capture(stack, torch.randn(1, 5, 8), budget=1)
    assert state() == before


def test_another_thread_is_neither_seen_nor_changed(own, ids):
    inside, go = threading.Event(), threading.Event()

    class Waiting(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = own

        def forward(self, x):
            inside.set()
            assert go.wait(30)
            return self.own(x)

    found = {}
    worker = threading.Thread(
        target=lambda: found.update(capture(Waiting().eval(), ids))
    )
    worker.start()
    assert inside.wait(30)
    other = ids.flip(1)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(1, 5, 8)
    during = without(own, other), without(encoder, x)
    go.set()
    worker.join(30)
    assert torch.equal(during[0], without(own, other))
    assert torch.equal(during[1], without(encoder, x))
    assert list(found) == ["own"]
    assert np.array_equal(found["own"], capture(own, ids)["attention"])


def test_two_threads_capture_one_model(own, ids):
    texts = [ids.roll(n, 1) for n in range(6)]
    expected = [capture(own, text)["attention"] for text in texts]
    found = [None] * 6

    def work(n):
        found[n] = capture(own, texts[n])["attention"]

    workers = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def tensors():
    return sum(type(one) is torch.Tensor for one in gc.get_objects())


def test_no_tensor_of_the_model_is_kept(own, ids):
    gc.collect()
    before = tensors()
    maps = capture(own, ids, layers=-1)
    gc.collect()
    assert len(maps) == 1
    assert tensors() <= before


# --- every way in -------------------------------------------------------------------


def test_a_later_token_moves_nothing_before_it(ids):
    torch.manual_seed(0)
    module = Own(is_causal=True).eval()
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 50
    one, other = (
        capture(module, ids)["attention"],
        capture(module, changed)["attention"],
    )
    assert np.array_equal(one[:, :, :-1], other[:, :, :-1])
    assert not np.array_equal(one, other)


def test_modules_go_every_way_that_models_go(own, ids, tmp_path):
    tokens = list("abcdef")
    page = explore(own, ids[:1], tokens=tokens)
    assert "attention" in page.html
    weights = AttentionVisualizer(own).extract_attention_weights(ids)
    assert np.array_equal(weights["attention"], capture(own, ids)["attention"])
    analysis, _ = pipeline.run_analysis(pipeline.Request(own, data=ids.numpy()))
    assert [head.label for head in analysis.heads] == ["L0H0", "L0H1", "L0H2", "L0H3"]
    request = pipeline.Request(own, data=ids, tokens=tokens, output_dir=tmp_path)
    outcome = pipeline.visualize(request)
    assert outcome.maps.get_map("attention").key_tokens == (tuple(tokens),) * 2
    assert (tmp_path / "example_2" / "attention_heatmap.png").is_file()
    maps = capture(own, ids)
    path = tmp_path / "maps.npz"
    maps.save(path)
    assert AttentionMaps.load(path) == maps


def test_texts_need_a_tokenizer_and_a_mask_for_padding(own, minilm_dir):
    wide = Own().eval()
    wide.embed = nn.Embedding(30522, 16).eval()
    maps = capture(wide, ["The cat sat", "Cats"], tokenizer=str(minilm_dir))
    one = maps.get_map("attention")
    assert one.key_tokens[0] == ("[CLS]", "the", "cat", "sat", "[SEP]")
    assert one.key_range(1) == slice(0, 3)
    with pytest.raises(NeuralError) as caught:
        capture(own, "The cat")
    assert caught.value.diagnostics[0].code == "E0415"


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (lambda: Own(), "E0444"),
        (lambda: nn.Linear(4, 4).eval(), "E0441"),
        # a module that is compiled has the one that it was
        (lambda: nn.ModuleDict({"_orig_mod": nn.Linear(4, 4)}), "E0441"),
    ],
)
def test_what_cannot_be_seen_is_said(module, code):
    with pytest.raises(NeuralError) as caught:
        capture(module(), torch.randn(2, 4))
    assert [problem.code for problem in caught.value.diagnostics] == [code]


def test_capture_takes_what_is_no_module():
    weights = np.full((1, 3, 4, 4), 0.25, np.float32)
    maps = capture({"a": weights, "b": weights}, layers="b", heads=(0, -1))
    assert maps.get_map("b").head_indices == (0, 2)
    assert list(maps) == ["b"]


class WritesOver(nn.Module):
    """Attends, then writes over its queries, as one with a buffer of keys does."""

    def forward(self, x):
        query = x.unflatten(2, (2, 4)).transpose(1, 2) * 2
        context = functional.scaled_dot_product_attention(query, query, query)
        query.zero_()
        return context.transpose(1, 2).flatten(2)


class Odd(nn.Module):
    """Attends where no single call has values."""

    def forward(self, x):
        return torch.vmap(self.one)(x.unsqueeze(1))[:, 0]

    def one(self, x):
        return functional.scaled_dot_product_attention(x, x, x)


class OwnAttention(nn.Module):
    """Attends by a softmax of its own."""

    def forward(self, x):
        return torch.softmax(x @ x.transpose(1, 2), dim=-1) @ x


def test_one_head_of_queries_may_serve_several_of_keys():
    class Shared(nn.Module):
        def forward(self, query, key):
            return functional.scaled_dot_product_attention(query, key, key)

    draw = torch.Generator().manual_seed(0)
    query = torch.randn(2, 1, 4, 8, generator=draw)
    key = torch.randn(2, 3, 5, 8, generator=draw)
    (weights,) = capture(Shared().eval(), (query, key)).values()
    expected = torch.softmax(query @ key.transpose(2, 3) / 8**0.5, dim=-1)
    np.testing.assert_allclose(weights, expected.numpy(), rtol=0, atol=1e-5)


def test_what_is_written_over_later_was_seen_before():
    model = nn.Sequential(WritesOver(), WritesOver())
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    every, last = capture(model.eval(), x), capture(model, x, layers=-1)
    np.testing.assert_array_equal(last["1"], every["1"])


@pytest.mark.parametrize("odd", [Odd, OwnAttention])
def test_what_is_not_seen_is_named_and_leaves_the_model_running(odd):
    model = nn.Sequential(WritesOver(), odd()).eval()
    with pytest.warns(UserWarning, match="could not be seen: 1 "):
        maps = capture(model, torch.ones(1, 5, 8))
    assert list(maps) == ["0"]
    with pytest.warns(UserWarning, match="could not be seen: 1 "):
        capture(model, torch.ones(1, 5, 8), layers=-1)


class Twice(nn.Module):
    """One softmax for two halves of values."""

    def forward(self, x):
        halves = x.chunk(2, dim=-1)
        return sum(functional.scaled_dot_product_attention(x, x, v) for v in halves)


def test_one_softmax_for_two_values_is_one_map():
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(0))
    assert list(capture(nn.Sequential(Twice()).eval(), x)) == ["0"]


@pytest.mark.parametrize("appends", ["add_bias_kv", "add_zero_attn"])
@pytest.mark.parametrize("weights", [True, False])
def test_keys_that_belong_to_no_token_make_no_cross_attention(appends, weights):
    class Self(nn.Module):
        def __init__(self):
            super().__init__()
            self.look = nn.MultiheadAttention(8, 2, batch_first=True, **{appends: True})

        def forward(self, x):
            return self.look(x, x, x, need_weights=weights)[0]

    one = capture(Self().eval(), torch.ones(1, 5, 8)).get_map("look")
    assert (one.kind, one.weights.shape) == ("encoder_self", (1, 2, 5, 6))


def test_a_capture_within_a_hook_is_its_own(own, ids):
    inner, seen = nn.MultiheadAttention(8, 2, batch_first=True).eval(), []
    x = torch.ones(1, 3, 8)
    model = nn.Sequential(own).eval()
    hook = own.register_forward_hook(lambda *_: seen.append(capture(inner, (x, x, x))))
    outer = capture(model, ids)
    hook.remove()
    assert [list(maps) for maps in seen] == [["attention"]]
    assert list(outer) == list(capture(model, ids))
    assert watch._here.watch is None


def test_a_fault_of_ours_is_none_of_the_models(own, ids, monkeypatch):
    def faulty(*_):
        raise ValueError("ours")

    monkeypatch.setattr(Scores, "weights", faulty)
    with pytest.raises(ValueError, match="ours"):
        capture(own, ids)


def test_weights_that_were_never_loaded_are_said():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4)).eval()
    with pytest.raises(NeuralError, match="E0447"):
        capture(model, torch.ones(1, 4))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_part_is_passed_by_and_named_where_it_may_attend():
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    inputs = torch.randn(2, 5, 8)
    plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    for scripted in torch.jit.script(plain), torch.jit.trace(plain, inputs):
        model = nn.Sequential(scripted, layer).eval()
        maps = capture(model, inputs)
        expected = layer.self_attn(*[plain(inputs)] * 3, **BY_HEAD)[1]
        np.testing.assert_allclose(maps["1.self_attn"], expected.detach(), **EXACT)
    attending = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1)))
    with pytest.warns(UserWarning, match="could not be seen: 0"):
        capture(nn.Sequential(attending, layer).eval(), inputs)
    frozen = torch.jit.freeze(attending.eval())
    with pytest.raises(NeuralError, match="no attention in it could be seen"):
        capture(frozen, inputs)


class Wrapped(nn.Module):
    """Takes one mapping, as the models of `sentence_transformers` do."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, input: dict[str, torch.Tensor], **_options):  # noqa: A002
        x, hidden = self.embed(input["input_ids"]), input["attention_mask"] == 0
        return input | {"out": self.attend(x, x, x, key_padding_mask=hidden)[0]}


class Letters:
    """A tokenizer of letters."""

    def __call__(self, text):
        return {"input_ids": [ord(letter) - 90 for letter in text]}

    def convert_ids_to_tokens(self, number):
        return chr(number + 90)


def test_a_mapping_is_the_one_input_of_a_module_that_takes_none_by_name():
    model = Wrapped().eval()
    given = {"input_ids": [[7, 8, 9]], "attention_mask": [[1, 1, 0]]}
    expected = capture(model, ({n: torch.tensor(x) for n, x in given.items()},))
    for module in model, nn.Sequential(model).eval():
        (found,) = capture(module, given).maps
        np.testing.assert_array_equal(found.weights, expected.maps[0].weights)
    (texts,) = capture(model, ["abc", "d"], tokenizer=Letters()).maps
    assert texts.query_tokens[0] == ("a", "b", "c")
    assert (texts.weights[1, :, :, 1:] == 0).all()
