"""Hints about modules of PyTorch and `transformers` that are watched, followed."""

import copy

import pytest

from neural_attn import capture
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.given import take
from neural_attn.maps.transformers_outputs import take_outputs
from tests.following import follow

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
import torch.nn.attention.flex_attention as flex  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from tests.test_capture_flex import Both, Kernel  # noqa: E402
from tests.test_capture_huggingface import HALVES, PAIR, SIZES, TEXT, build  # noqa: E402

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]
X = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
QUERY = torch.randn(1, 1, 6, 4, generator=torch.Generator().manual_seed(0))
GREEDY = {"max_new_tokens": 2, "min_new_tokens": 2, "do_sample": False}


class Attends(nn.Module):
    """Attention by a function of its own, then, if told, by PyTorch's."""

    def __init__(self, *functions):
        super().__init__()
        self.functions = functions

    def forward(self, x):
        for one in self.functions:
            x = one(x, x, x)
        return x


class Inside(nn.Module):
    """A model of `transformers` as a part."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask=None):
        return self.model(input_ids, attention_mask).last_hidden_state


def by_hand(query, key, value):
    return (query @ key.mT).softmax(-1) @ value


def kernel(query, key, value):
    return functional.scaled_dot_product_attention(query, key, value)


def bert():
    return build("BertModel", "BertConfig", SIZES)


def gpt():
    sizes = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return build("GPT2LMHeadModel", "GPT2Config", sizes)


def outputs(model, **options):
    return model.generate(
        TEXT["input_ids"], **GREEDY, **options, output_attentions=True,
        return_dict_in_generate=True,
    )  # fmt: skip


def eager(model):
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    return model


def spoiled():
    model = bert()
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias[0] = torch.nan
    return model


def empty():
    with torch.device("meta"):
        return nn.MultiheadAttention(8, 2, batch_first=True).eval()


def filled():
    module = empty().to_empty(device="cpu")
    module.load_state_dict(nn.MultiheadAttention(8, 2).state_dict())
    return module


def attends(*functions):
    return Attends(*functions).eval()


def bart():
    return build("BartModel", "BartConfig", HALVES)


def flex_compiled():
    return torch.compile(flex.flex_attention, backend="eager")


def longformer():
    return build(
        "LongformerModel", "LongformerConfig", {**SIZES, "attention_window": 4}
    )


WORDS = torch.arange(5, 17)[None]
PIXELS = {"pixel_values": torch.zeros(2, 3, 16, 16)}
# a column of a token that all see, before those of the window
GLOBAL = torch.full((1, 2, 12, 4), 0.25)
GLOBAL[:, :, 0, 1] = GLOBAL[:, :, -1, 3] = 0


def of_layers(*weights):
    return transformers.modeling_outputs.BaseModelOutput(attentions=weights)


def swin_outputs():
    """Of two pictures, each of four windows of four patches."""
    return of_layers(torch.full((8, 1, 4, 4), 0.25))


def own_attention(module, query, key, value, mask, **options):
    """What `transformers` calls, by the name under which it is registered."""
    return by_hand(query, key, value).transpose(1, 2).contiguous(), None


transformers.AttentionInterface.register("own_attention", own_attention)


def unseen_bert():
    model = bert()
    model.set_attn_implementation("own_attention")
    return model


def half_seen_bert():
    model = unseen_bert()
    one = model.encoder.layer[0].attention.self
    one.config = copy.deepcopy(one.config)
    one.config._attn_implementation = "sdpa"
    return model


def seen_bert():
    model = unseen_bert()
    model.set_attn_implementation("sdpa")
    return model


# message -> (the call that shows it, the call changed as its hint says)
FOLLOWED = {
    "W0901.implementation": (
        lambda: capture(half_seen_bert(), TEXT),
        lambda: capture(seen_bert(), TEXT),
    ),
    "W0807.texts": (
        lambda: capture(bert(), TEXT, tokens=[list("abcdefghi")] * 5),
        lambda: capture(bert(), TEXT, tokens=[list("abcdefghi")]),
    ),
    "E0405.inputs": (lambda: capture(bert(), 5), lambda: capture(bert(), TEXT)),
    "E0405.ragged": (
        lambda: capture(bert(), [[5, 6, 7], [5, 6]]),
        lambda: capture(
            bert(),
            {
                "input_ids": [[5, 6, 7], [5, 6, 0]],
                "attention_mask": [[1, 1, 1], [1, 1, 0]],
            },
        ),
    ),
    "E0434": (
        lambda: capture(gpt(), TEXT, generate={**GREEDY, "num_beams": 2}),
        lambda: capture(gpt(), TEXT, generate={**GREEDY, "num_beams": 1}),
    ),
    "E0433.values": (
        lambda: AttentionMaps([torch.empty(1, 2, 3, 3, device="meta")]),
        lambda: AttentionMaps([torch.ones(1, 2, 3, 3) / 3]),
    ),
    "E0433.side": (
        lambda: AttentionMaps.from_transformers(
            eager(bart())(**PAIR, output_attentions=True).decoder_attentions,
            inputs=PAIR,
        ),
        lambda: AttentionMaps.from_transformers(
            eager(bart())(**PAIR, output_attentions=True), inputs=PAIR
        ),
    ),
    "E0441": (
        lambda: capture(attends(by_hand), X),
        lambda: capture(attends(kernel), X),
    ),
    "E0441.inside": (
        lambda: capture(Inside(unseen_bert()).eval(), TEXT),
        lambda: capture(Inside(bert()).eval().model, TEXT),
    ),
    "E0441.implementation": (
        lambda: capture(unseen_bert(), TEXT),
        lambda: capture(seen_bert(), TEXT),
    ),
    "E0441.compiled": (
        lambda: capture(torch.compile(attends(kernel)), X),
        lambda: capture(torch.compile(attends(kernel))._orig_mod, X),
    ),
    "E0443": (
        lambda: capture(bert(), TEXT, budget=4000),
        lambda: capture(bert(), TEXT, budget=4000, layers=0, heads=1),
    ),
    "E0443.budget": (
        lambda: capture(bert(), TEXT, budget="2 GB"),
        lambda: capture(bert(), TEXT, budget=2_000_000_000),
    ),
    "E0444": (
        lambda: capture(bert().train(), TEXT),
        lambda: capture(bert().train().eval(), TEXT),
    ),
    "E0446": (
        lambda: capture(gpt(), TEXT, generate={**GREEDY, "guidance_scale": 2.0}),
        lambda: capture(gpt(), TEXT, generate=GREEDY),
    ),
    "E0446.options": (
        lambda: capture(gpt(), TEXT, generate=20),
        lambda: capture(gpt(), TEXT, generate={"max_new_tokens": 2}),
    ),
    "E0447": (
        lambda: capture(empty(), (X, X, X)),
        lambda: capture(filled(), (X, X, X)),
    ),
    "E0448": (lambda: capture(spoiled(), TEXT), lambda: capture(bert(), TEXT)),
    "E0441.returned": (
        lambda: capture(longformer(), {"input_ids": WORDS}),
        lambda: AttentionMaps.from_transformers(
            longformer()(WORDS, output_attentions=True), None, WORDS
        ),
    ),
    "W0811.windows": (
        lambda: take_outputs(swin_outputs(), inputs=PIXELS).findings,
        lambda: take([swin_outputs().attentions[0]]).findings,
    ),
    "W0812.window": (
        lambda: take_outputs(of_layers(GLOBAL), inputs=WORDS).findings,
        lambda: take_outputs(of_layers(GLOBAL[..., 1:]), inputs=WORDS).findings,
    ),
    "W0901": (
        lambda: capture(Both(Kernel(flex_compiled())).eval(), (QUERY, QUERY)),
        lambda: capture(Both(Kernel()).eval(), (QUERY, QUERY)),
    ),
}


@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.thorough("compiled", "W0901")
def test_a_hint_that_is_followed_mends_the_call(name, monkeypatch):
    # without torch.compile, which takes seconds
    monkeypatch.setattr(flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    follow(name, *FOLLOWED[name])
