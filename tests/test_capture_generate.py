"""`generate` watched token by token: equal to what eager generation returns."""

import numpy as np
import pytest

from neural_attn import capture
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.steps import join_steps

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.test_capture_huggingface import (  # noqa: E402
    EXACT,
    GROUPED,
    LEFT,
    MODELS,
    RIGHT,
    TEXT,
    TEXTS,
    build,
    tokenizer,
)  # fmt: skip

__all__ = ["tokenizer"]
pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]

GREEDY = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
SAMPLED = {**GREEDY, "do_sample": True, "top_k": 9}

CASES = {
    "llama": (GREEDY, LEFT),
    "gpt2": (SAMPLED, LEFT),
    "llama, one token": ({**GREEDY, "use_cache": False}, LEFT),
    "mistral": (GREEDY, {"input_ids": TEXT["input_ids"]}),
    "gemma3": (GREEDY, LEFT),
    "t5": (GREEDY, TEXT),
    "bart": (SAMPLED, TEXT),
}


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_an_eager_generation(case):
    model, (options, inputs) = build(*MODELS[case][:3]), CASES[case]
    torch.manual_seed(3)
    plain = model.generate(**inputs, **options)
    torch.manual_seed(3)
    maps = capture(model, inputs, generate=options)
    model.set_attn_implementation("eager")
    torch.manual_seed(3)
    eager = model.generate(
        **inputs, **options, output_attentions=True, return_dict_in_generate=True
    )
    assert torch.equal(plain, eager.sequences)
    if model.config.is_encoder_decoder:
        steps = eager.decoder_attentions, eager.cross_attentions
        for one, expected in zip(maps.maps, eager.encoder_attentions, strict=False):
            real = RIGHT[:, None, :, None].numpy()
            np.testing.assert_allclose(
                one.weights * real, expected.numpy() * real, **EXACT
            )
    else:
        steps = (eager.attentions,)
    for kind, found in zip(("decoder_self", "cross"), steps, strict=False):
        own = [one for one in maps.maps if one.kind == kind]
        for number, one in enumerate(own):
            theirs = [step[number].numpy() for step in found]
            expected = join_steps(theirs, own=kind != "cross")
            # a row of padding is filled evenly by the eager model
            seen = one.allowed.any(-1, keepdims=True)
            np.testing.assert_allclose(one.weights, expected * seen, **EXACT)
            assert not one.weights[~one.allowed].any()
    assert len(own) == len(steps[-1][0])
    last = capture(model, inputs, layers=-1, heads=0, generate=GREEDY)
    assert last.maps[-1].name == maps.maps[-1].name


def test_each_token_has_a_row_and_its_text(tokenizer):
    model = build("LlamaForCausalLM", "LlamaConfig", {**GROUPED, "vocab_size": 30522})
    maps = capture(model, TEXTS, tokenizer, generate=GREEDY)
    one = maps.get_map("layer_1")
    assert one.weights.shape == (2, 4, 13, 13)  # 9 of the prompt, 5 written
    assert one.causal
    assert one.key_range(1) == slice(3, 13)  # padded before its text
    assert one.key_tokens[1][3:9] == ("[CLS]", "it", "was", "tired", ".", "[SEP]")
    written = tokenizer.convert_tokens_to_ids(list(one.key_tokens[0][9:]))
    prompt = tokenizer(TEXTS[0], return_tensors="pt")
    alone = model.generate(input_ids=prompt["input_ids"], **GREEDY)
    assert alone[0, 9:13].tolist() == written


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"num_beams": 2}, "E0434"),
        ({"prompt_lookup_num_tokens": 2}, "E0446"),
        ({"guidance_scale": 2.0}, "E0446"),
        ({"prefill_chunk_size": 3}, "E0446"),
    ],
)
def test_what_is_not_one_token_after_another_is_refused(options, code):
    model = build(*MODELS["llama"][:3])
    with pytest.raises(NeuralError) as caught:
        capture(model, TEXT, generate={**GREEDY, **options})
    assert caught.value.diagnostics[0].code == code


def test_only_what_generates_is_asked_to():
    for model in (build(*MODELS["bert"][:3]), torch.nn.Linear(2, 2).eval()):
        with pytest.raises(NeuralError, match="generate") as caught:
            capture(model, TEXT, generate={})
        assert caught.value.diagnostics[0].code == "E0414"
