"""Models of `transformers` as they are: equal to their own eager weights, untouched."""

import copy

import numpy as np
import pytest

from neural_attn import AttentionVisualizer, analyze, capture, explore
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.models.opening import open_model
from neural_attn.reports.console import build_report

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]

from neural_attn.models.living import watch  # noqa: E402
from neural_attn.models.living.patches import DRAWN  # noqa: E402

EXACT = {"rtol": 0, "atol": 1e-5}

SIZES = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 37,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED = {**SIZES, "num_key_value_heads": 2}
HALVES = {
    "vocab_size": 99, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1,
    "encoder_attention_heads": 4, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
}  # fmt: skip

# Drawn by their own generator, so that no test moves another's numbers.
_draw = torch.Generator().manual_seed(0)
IDS = torch.randint(5, 90, (2, 9), generator=_draw)
RIGHT = torch.tensor([[1] * 9, [1] * 6 + [0] * 3])
TEXT = {"input_ids": IDS, "attention_mask": RIGHT}
LEFT = {"input_ids": IDS, "attention_mask": RIGHT.flip(1)}
PAIR = {**TEXT, "decoder_input_ids": IDS[:, :5]}
LONG = torch.randint(5, 90, (1, 150), generator=_draw)
PICTURES = {"pixel_values": torch.randn(2, 3, 8, 8, generator=_draw)}

# class, configuration, inputs
MODELS = {
    "bert": ("BertModel", "BertConfig", SIZES, TEXT),
    "roberta": ("RobertaModel", "RobertaConfig", SIZES, TEXT),
    "distilbert": (
        "DistilBertModel", "DistilBertConfig",
        {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37},
        TEXT,
    ),
    "albert": ("AlbertModel", "AlbertConfig", {**SIZES, "embedding_size": 16}, TEXT),
    "modernbert": (
        "ModernBertModel", "ModernBertConfig",
        {**SIZES, "cls_token_id": 1, "sep_token_id": 2,
         "global_attn_every_n_layers": 2, "local_attention": 4}, TEXT,
    ),
    "gpt2": (
        "GPT2LMHeadModel", "GPT2Config",
        {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4,
         "bos_token_id": 1, "eos_token_id": 2}, TEXT,
    ),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED, TEXT),
    "llama, padded on the left": ("LlamaForCausalLM", "LlamaConfig", GROUPED, LEFT),
    "llama, one token": (
        "LlamaForCausalLM", "LlamaConfig", GROUPED, {"input_ids": IDS[:, :1]}
    ),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**GROUPED, "head_dim": 8}, TEXT),
    "mistral": (
        "MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 3}, TEXT,
    ),
    "gemma3": (
        "Gemma3ForCausalLM", "Gemma3TextConfig",
        {**GROUPED, "head_dim": 8, "sliding_window": 3,
         "layer_types": ["sliding_attention", "full_attention"]}, TEXT,
    ),
    "vit": (
        "ViTModel", "ViTConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 37, "image_size": 8, "patch_size": 2}, PICTURES,
    ),
    "t5": (
        "T5ForConditionalGeneration", "T5Config",
        {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2,
         "num_heads": 4, "decoder_start_token_id": 0}, PAIR,
    ),
    "t5 beyond its buckets": (
        "T5ForConditionalGeneration", "T5Config",
        {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 1,
         "num_heads": 2, "decoder_start_token_id": 0},
        {"input_ids": LONG, "decoder_input_ids": LONG[:, :140]},
    ),
    "bart": ("BartForConditionalGeneration", "BartConfig", HALVES, PAIR),
    "whisper": (
        "WhisperModel", "WhisperConfig",
        {**HALVES, "num_mel_bins": 8, "max_source_positions": 20},
        {"input_features": torch.randn(1, 8, 40, generator=_draw),
         "decoder_input_ids": IDS[:1, :5]},
    ),
}  # fmt: skip


def build(name, config, sizes, **more):
    """A model with random weights large enough to attend unevenly."""
    torch.manual_seed(0)
    settings = getattr(transformers, config)(**copy.deepcopy(sizes), **more)
    model = getattr(transformers, name)(settings).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def without(model, inputs, **options):
    with torch.no_grad():
        return model(**inputs, **options)


def watched(model, inputs):
    opened = open_model(model)
    return opened.watch(opened.prepare(inputs))


def by_kind(maps, kind):
    return [one for one in maps.maps if one.kind == kind]


def queries(one, inputs):
    """Which queries are tokens: of padding, each implementation makes its own."""
    mask = inputs.get("attention_mask", torch.ones(1, 1))
    fits = mask.shape[1] == one.weights.shape[2]
    return mask[:, None, :, None].numpy() if fits else np.ones(1)


@pytest.mark.parametrize("case", MODELS)
def test_a_fused_model_shows_what_the_eager_one_returns(case, monkeypatch):
    *made, inputs = MODELS[case]
    model = build(*made)
    assert model.config._attn_implementation == "sdpa"  # what is given by default
    output, maps = watched(model, inputs)
    with monkeypatch.context() as patch:  # the same, where all modules are followed
        patch.setattr(watch, "attending", lambda parts: None)
        every = capture(model, inputs)
    assert [(m.name, m.kind, m.layer) for m in every.maps] == [
        (m.name, m.kind, m.layer) for m in maps.maps
    ]
    assert all(map(np.array_equal, every.values(), maps.values()))
    plain = without(model, inputs)
    for name, value in plain.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, output[name]), name
    model.set_attn_implementation("eager")
    eager = without(model, inputs, output_attentions=True)
    if model.config.is_encoder_decoder:
        pairs = [
            *zip(by_kind(maps, "encoder_self"), eager.encoder_attentions, strict=True),
            *zip(by_kind(maps, "decoder_self"), eager.decoder_attentions, strict=True),
            *zip(by_kind(maps, "cross"), eager.cross_attentions, strict=True),
        ]
        assert [one.name for one in maps.maps][-2:] == [
            f"decoder_layer_{len(eager.cross_attentions) - 1}.self_attention",
            f"decoder_layer_{len(eager.cross_attentions) - 1}.cross_attention",
        ]
    else:
        pairs = list(zip(maps.maps, eager.attentions, strict=True))
        assert list(maps) == [f"layer_{n}" for n in range(len(pairs))]
    for one, theirs in pairs:
        real = queries(one, inputs)
        np.testing.assert_allclose(one.weights * real, theirs.numpy() * real, **EXACT)
    # and of the eager model the same is seen
    again = capture(model, inputs)
    assert list(again) == list(maps)
    for one, other in zip(maps.maps, again.maps, strict=True):
        assert (one.kind, one.causal) == (other.kind, other.causal)
        assert np.array_equal(one.allowed, other.allowed)
        real = queries(one, inputs)
        np.testing.assert_allclose(one.weights * real, other.weights * real, **EXACT)


def test_a_mask_that_says_what_is_hidden_is_read_as_that():
    sizes = {"d_model": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 99}
    model = build("MptForCausalLM", "MptConfig", sizes)
    maps = capture(model, {"input_ids": IDS[:1]})
    eager = without(model, {"input_ids": IDS[:1]}, output_attentions=True)
    for one, theirs in zip(maps.maps, eager.attentions, strict=True):
        np.testing.assert_allclose(one.weights, theirs.numpy(), **EXACT)
        assert (one.kind, one.causal, one.mask) == ("decoder_self", True, None)


def test_padding_that_goes_by_another_name_is_read():
    both = {"src_vocab_size": 99, "tgt_vocab_size": 99, "encoder_layers": 1}
    sizes = {**HALVES, **both, "langs": ["en", "de"], "use_cache": False}
    model = build("FSMTModel", "FSMTConfig", sizes)
    maps = capture(model, PAIR)
    theirs = without(model, PAIR, output_attentions=True)
    sides = (
        theirs.encoder_attentions,
        theirs.decoder_attentions,
        theirs.cross_attentions,
    )
    for one, (expected,) in zip(maps.maps, sides, strict=True):
        np.testing.assert_allclose(one.weights, expected.numpy(), **EXACT)
    encoder, decoder, cross = maps.maps
    assert (encoder.key_range(1), cross.key_range(1)) == (slice(0, 6), slice(0, 6))
    assert (decoder.causal, decoder.mask, cross.kind) == (True, None, "cross")


def test_masks_are_those_of_our_own_models():
    case = MODELS["bert"]
    one = capture(build(*case[:3]), TEXT).get_map("layer_1")
    assert (one.kind, one.causal) == ("encoder_self", False)
    assert one.key_range(0) == slice(0, 9)
    assert one.key_range(1) == slice(0, 6)
    one = capture(build(*MODELS["llama"][:3]), LEFT).get_map("layer_0")
    assert (one.kind, one.causal) == ("decoder_self", True)
    assert one.key_range(1) == slice(3, 9)
    full = capture(build(*MODELS["gemma3"][:3]), {"input_ids": IDS})
    window = np.tri(9, dtype=bool) & ~np.tri(9, k=-3, dtype=bool)
    assert np.array_equal(full.get_map("layer_0").allowed[0, 0], window)
    assert full.get_map("layer_1").mask is None


@pytest.mark.parametrize("case", ["llama", "t5"])
def test_a_later_token_moves_nothing_before_it(case):
    *made, inputs = MODELS[case]
    model, name = build(*made), "decoder_input_ids" if case == "t5" else "input_ids"
    changed = {**inputs, name: inputs[name].clone()}
    changed[name][:, 4] = 3
    before, after = capture(model, inputs), capture(model, changed)
    for one, other in zip(before.maps, after.maps, strict=True):
        if one.kind != "encoder_self":
            assert np.array_equal(one.weights[:, :, :4], other.weights[:, :, :4])


def test_a_padded_text_has_the_numbers_of_its_run_alone():
    model = build(*MODELS["llama"][:3])
    together = capture(model, LEFT)
    alone = capture(model, {"input_ids": IDS[1:, 3:]})
    for one, other in zip(together.maps, alone.maps, strict=True):
        if one.name == "layer_0":
            padded = together.item(one.name, 1).weights
            np.testing.assert_allclose(padded, other.weights[0], **EXACT)


def test_sinks_leave_parts(capsys):
    sizes = {**GROUPED, "intermediate_size": 32, "head_dim": 8,
             "num_local_experts": 4, "num_experts_per_tok": 1}  # fmt: skip
    model = build("GptOssForCausalLM", "GptOssConfig", sizes)
    maps = capture(model, {"input_ids": IDS})
    theirs = without(model, {"input_ids": IDS}, output_attentions=True).attentions
    for one, expected in zip(maps.maps, theirs, strict=True):
        assert one.rows == "parts"
        np.testing.assert_allclose(one.weights, expected.numpy(), **EXACT)
    missing = 1 - np.mean([one.weights.sum(-1) for one in maps.maps])
    said = f"{missing:.0%} of the attention goes to no key, as with a learned sink"
    unkept = capture(model, {"input_ids": IDS}, keep="metrics")
    for analysis in (analyze(maps), analyze(unkept)):
        assert any(said in note for note in analysis.notes)
    build_report(maps.keep(maps.maps[:1])).print()
    missing = 1 - maps.maps[0].weights[0].sum(-1).mean()
    told = " ".join(capsys.readouterr().out.split())
    assert f"{missing:.0%} of the attention goes to no key" in told


def test_towers_are_told_apart_and_only_the_text_has_tokens():
    text = {k: v for k, v in SIZES.items() if k != "pad_token_id"}
    vision = {**MODELS["vit"][2], "patch_size": 3, "image_size": 9}  # 10 positions
    model = build(
        "CLIPModel", "CLIPConfig", {"text_config": text, "vision_config": vision}
    )
    pixels = torch.randn(2, 3, 9, 9)
    ids = torch.cat([IDS, IDS[:, :1]], 1)
    opened = open_model(model)
    words = [[f"w{n}" for n in range(10)]] * 2
    prepared = opened.prepare({"input_ids": ids, "pixel_values": pixels}, words)
    _, maps = opened.watch(prepared)
    assert sorted(maps) == [
        "text_model_layer_0", "text_model_layer_1",
        "vision_model_layer_0", "vision_model_layer_1",
    ]  # fmt: skip
    assert maps.get_map("text_model_layer_0").key_tokens[0][9] == "w9"
    assert maps.get_map("vision_model_layer_0").key_tokens[0][9] == "9"


def test_layers_without_attention_keep_their_numbers():
    sizes = {**GROUPED, "head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1,
             "layer_types": ["linear_attention", "full_attention"],
             "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8,
             "linear_num_key_heads": 2, "linear_num_value_heads": 2,
             "linear_key_head_dim": 8, "linear_value_head_dim": 8}  # fmt: skip
    model = build("Qwen3NextForCausalLM", "Qwen3NextConfig", sizes)
    ids = {"input_ids": IDS}
    maps = capture(model, ids)
    assert (list(maps), maps.layer_numbers) == (["layer_1"], (1,))
    assert {head.layer for head in analyze(maps).heads} == {1}
    for there in (1, -1, "layer_1"):
        assert list(capture(model, ids, layers=there)) == ["layer_1"]
    with pytest.raises(NeuralError, match="no attention layer 0: there is layer_1"):
        capture(model, ids, layers=0)


@pytest.mark.parametrize(
    ("name", "config", "sizes"),
    [
        ("XLNetModel", "XLNetConfig",
         {"vocab_size": 99, "d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 8}),
        ("LongformerModel", "LongformerConfig", {**SIZES, "attention_window": 4}),
    ],
)  # fmt: skip
def test_weights_in_another_layout_are_not_taken_for_maps(name, config, sizes):
    with pytest.raises(NeuralError) as caught:
        capture(build(name, config, sizes), {"input_ids": IDS})
    assert caught.value.diagnostics[0].code == "E0441"


def test_some_layers_and_heads():
    model = build(*MODELS["bart"][:3])
    every = capture(model, PAIR)
    last = capture(model, PAIR, layers=-1, heads=1)
    assert list(last) == list(every)[-2:]
    for one in last.maps:
        assert np.array_equal(one.weights[:, 0], every[one.name][:, 1])
    cross = capture(model, PAIR, layers="decoder_layer_0.cross_attention")
    assert list(cross) == ["decoder_layer_0.cross_attention"]
    assert list(capture(model, PAIR, layers="encoder")) == list(every)[:2]


# --- texts --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm(minilm_dir):
    return transformers.BertModel.from_pretrained(minilm_dir).eval()


@pytest.fixture(scope="module")
def tokenizer(minilm_dir):
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(minilm_dir / "tokenizer.json"), pad_token="[PAD]"
    )


TEXTS = ["The cat sat on the mat.", "It was tired."]


def test_minilm_on_texts_is_what_it_returns_itself(minilm, tokenizer, minilm_dir):
    maps = capture(minilm, TEXTS, tokenizer)
    encoded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    other = transformers.BertModel.from_pretrained(
        minilm_dir, attn_implementation="eager"
    )
    theirs = without(other.eval(), encoded, output_attentions=True).attentions
    for one, expected in zip(maps.maps, theirs, strict=True):
        np.testing.assert_allclose(one.weights, expected.numpy(), **EXACT)
    one = maps.get_map("layer_3")
    assert one.key_tokens[1][:5] == ("[CLS]", "it", "was", "tired", ".")
    assert one.key_range(1) == slice(0, 6)
    assert maps == capture(minilm, TEXTS, str(minilm_dir))
    assert maps == capture(minilm, encoded, tokenizer)
    assert maps == capture(minilm, TEXTS, tokenizer.backend_tokenizer)


def test_models_go_every_way_that_models_go(minilm, tokenizer):
    page = explore(minilm, TEXTS[0], tokenizer=tokenizer)
    assert "layer_5" in page.html
    analysis = analyze(minilm, TEXTS, tokenizer=tokenizer)
    assert len(analysis.heads) == 72
    assert any("induction" in note for note in analysis.notes)  # it was probed
    ids = tokenizer(TEXTS[0], return_tensors="pt")
    visualizer = AttentionVisualizer(minilm)
    weights = visualizer.extract_attention_weights(ids, ["layer_3"])
    assert weights["layer_3"].shape == (1, 12, 9, 9)


def test_both_sides_of_a_translation_have_their_words(tokenizer):
    sizes = {**HALVES, "vocab_size": 30522}
    model = build("BartForConditionalGeneration", "BartConfig", sizes)
    source = tokenizer(TEXTS[0], return_tensors="pt")
    target = tokenizer("cat mat", return_tensors="pt").input_ids
    given = {"input_ids": source.input_ids, "labels": target}
    cross = capture(model, given, tokenizer).get_map("decoder_layer_0.cross_attention")
    assert cross.key_tokens[0][1:3] == ("the", "cat")
    assert cross.query_tokens[0][1:] == ("[CLS]", "cat", "mat")  # moved by one
    with pytest.warns(UserWarning, match="saw only its start token"):
        alone = capture(model, TEXTS, tokenizer)
    assert alone["decoder_layer_0.cross_attention"].shape == (2, 2, 1, 9)


def test_texts_longer_than_the_model_are_cut_and_it_is_said(minilm, tokenizer):
    opened = open_model(minilm, tokenizer=tokenizer)
    prepared = opened.encode(["cat " * 600])
    assert prepared.inputs["input_ids"].shape == (1, 512)
    assert "512 tokens" in prepared.cut[0]
    with pytest.warns(UserWarning, match="512 tokens"):
        maps = capture(minilm, "cat " * 600, tokenizer, layers=0, heads=0)
    assert "512 tokens" in maps.notes[0]
    with pytest.warns(UserWarning, match="512 tokens"):
        part = capture(
            minilm, "cat " * 600, tokenizer, layers=0, heads=0, keep="metrics"
        )
    assert "512 tokens" in part.notes[-1]


def test_tokens_that_fit_nothing_are_said():
    model = build(*MODELS["bert"][:3])
    with pytest.warns(UserWarning, match="3 tokens for 9 keys: positions"):
        maps = capture(model, TEXT, tokens=["a", "b", "c"])
    assert maps.maps[0].key_tokens[0][:2] == ("0", "1")
    assert "3 tokens for 9 keys" in maps.notes[0]
    three = [list("abcdefghi")] * 3
    with pytest.warns(UserWarning, match="tokens of 3 texts for 2 examples"):
        explore(model, TEXT, tokens=three)
    assert capture(model, TEXT, tokens=three[0]).maps[0].key_tokens[1][8] == "i"


def test_what_cannot_be_seen_beside_what_can_is_said():
    model = build(*MODELS["bert"][:3])
    layer = model.encoder.layer[1].attention.self

    class QuietAttention(torch.nn.Module):
        def forward(self, hidden_states, *args, **kwargs):
            return hidden_states, None

    model.encoder.layer[1].attention.self = QuietAttention().eval()
    with pytest.warns(UserWarning, match=r"not be seen: encoder\.layer\.1\.attention"):
        assert list(capture(model, TEXT)) == ["layer_0"]
    with pytest.warns(UserWarning, match="not be seen"):  # whatever runs it
        assert "layer_0" in explore(model, TEXT).html
    model.encoder.layer[1].attention.self = layer
    assert list(capture(model, TEXT)) == ["layer_0", "layer_1"]


@pytest.mark.parametrize(
    ("name", "config", "sizes", "kinds"),
    [
        (
            "FunnelModel",
            "FunnelConfig",
            {"vocab_size": 99, "d_model": 12, "n_head": 3, "d_head": 4, "d_inner": 16,
             "block_sizes": [1, 1], "num_decoder_layers": 1},
            ["encoder_self"] * 3,
        ),
        ("DiffLlamaModel", "DiffLlamaConfig", GROUPED, ["decoder_self"] * 2),
    ],
)  # fmt: skip
def test_each_layer_has_one_map_of_its_own_kind(name, config, sizes, kinds):
    maps = capture(build(name, config, sizes), TEXT)
    assert [one.kind for one in maps.maps] == kinds
    analyze(maps)


def hooks(module):
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_only_what_is_called_attention_is_followed_and_only_while_it_runs(error):
    model = build(*MODELS["bert"][:3])
    before, inside = {id(m): list(vars(m)) for m in model.modules()}, []

    def look(*_):
        followed = [type(one).__name__ for one in model.modules() if hooks(one)]
        every = torch.nn.modules.module._global_forward_hooks
        inside.append((followed, len(every)))
        if error is not None:
            raise error

    model.pooler.activation.register_forward_hook(look)
    if error is None:
        capture(model, TEXT)
    else:
        with pytest.raises(error):
            capture(model, TEXT)
    assert inside == [(["BertAttention", "BertSelfAttention"] * 2 + ["Tanh"], 0)]
    model.pooler.activation._forward_hooks.clear()
    assert {id(m): list(vars(m)) for m in model.modules()} == before
    assert not any(map(hooks, model.modules()))


@pytest.mark.parametrize("change", ["a class", "a method", "a module"])
def test_a_part_whose_name_tells_nothing_is_followed(change):
    def attend(x, *args, **kwargs):
        one = x.unsqueeze(1)
        return torch.nn.functional.scaled_dot_product_attention(one, one, one)[:, 0]

    class Mixer(torch.nn.Module):
        forward = staticmethod(attend)

    model = build(*MODELS["bert"][:3])
    output = model.encoder.layer[1].output
    if change == "a method":  # as `accelerate` wraps it
        dense = output.dense.forward
        output.dense.forward = lambda x: attend(dense(x))
    else:
        output.dropout = Mixer().eval()
    if change == "a class":
        Mixer.__module__ = "transformers.models.mixer"
    names = ["layer_0", "layer_1_0", "layer_1_1"]
    assert list(capture(model, TEXT)) == names


class Wrapper(torch.nn.Module):
    """A model in a module of one's own."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids)[0]


def test_an_eager_model_is_seen_in_a_wrapper():
    settings = transformers.BertConfig(**SIZES, attn_implementation="eager")
    model = transformers.BertModel(settings).eval()
    one = capture(Wrapper(model).eval(), TEXT["input_ids"])
    other = capture(model, TEXT["input_ids"])
    for own, its in zip(one.values(), other.values(), strict=True):
        np.testing.assert_array_equal(own, its)


def test_what_shows_nothing_names_its_parts_and_a_way():
    sizes = {"vocab_size": 99, "d_model": 12, "n_layer": 1, "n_head": 3, "d_inner": 16}
    model = build("XLNetModel", "XLNetConfig", sizes)
    with pytest.raises(NeuralError, match=r"layer\.0\.rel_attn") as caught:
        capture(model, TEXT)
    assert "from_transformers" in str(caught.value)
    with torch.no_grad():
        outputs = model(**TEXT, output_attentions=True)
    assert list(AttentionMaps.from_transformers(outputs)) == ["layer_0"]
    with pytest.raises(NeuralError, match=r"capture\(model\.model, …\)"):
        capture(Wrapper(model).eval(), TEXT["input_ids"])


def test_what_a_tokenizer_gives_without_a_word_of_tensors(minilm, tokenizer):
    one = {"layers": 0, "heads": 0}
    expected = capture(minilm, TEXTS[0], tokenizer, **one)
    given = tokenizer(TEXTS[0])
    for maps in (
        capture(minilm, given, tokenizer, **one),
        capture(minilm, given["input_ids"], tokenizer, **one),
        capture(minilm, np.array(given["input_ids"]), tokenizer, **one),
    ):
        np.testing.assert_array_equal(maps["layer_0"], expected["layer_0"])
        assert maps.maps[0].key_tokens == expected.maps[0].key_tokens


@pytest.mark.parametrize("several", [tuple, iter, np.array])
def test_texts_come_in_any_order_of_things(several, minilm, tokenizer):
    one = {"layers": 0, "heads": 0}
    maps = capture(minilm, several(TEXTS[:2]), tokenizer, **one)
    expected = capture(minilm, TEXTS[:2], tokenizer, **one)
    np.testing.assert_array_equal(maps["layer_0"], expected["layer_0"])


WRONG = {
    "inputs": [
        (None, "E0405"),
        (5, "E0405"),
        (iter([1, 2]), "E0405"),
        (["a text", None], "E0405"),
    ],
    "layers": [
        *((one, "E0442") for one in (1.0, True, [], [1.5], slice(2), {}, b"x")),
    ],
    "heads": [*((one, "E0442") for one in ("1", [], 1.0, [True], np.ones(2)))],
    "budget": [*((one, "E0443") for one in ("1GB", -1, True))],
}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [(name, *one) for name, several in WRONG.items() for one in several],
)
def test_what_is_none_of_the_choices_is_said(name, value, code):
    model = build(*MODELS["bert"][:3])
    with pytest.raises(NeuralError) as caught:
        capture(**{"model": model, "inputs": TEXT, name: value})
    assert [one.code for one in caught.value.diagnostics] == [code]
    assert caught.value.diagnostics[0].hint


def test_numbers_of_any_library_choose():
    model = build(*MODELS["bert"][:3])
    maps = capture(model, TEXT, layers=np.int64(1), heads=torch.tensor([0, 2]))
    assert (list(maps), maps.maps[0].head_indices) == (["layer_1"], (0, 2))
    assert len(analyze(model, TEXT, layers=1, heads=[0, 2]).heads) == 2
    assert len(analyze(maps, heads=2).heads) == 1


@pytest.mark.parametrize("keep", ["maps", "metrics"])
def test_weights_that_are_no_numbers_are_said(keep):
    model = build(*MODELS["bert"][:3])
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias[0] = torch.nan
    with pytest.raises(NeuralError, match=r"E0448.*layer_1"):
        capture(model, TEXT, keep=keep)


TINY = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 37, "image_size": 8, "patch_size": 4,
}  # fmt: skip
PATCHES = ("r1c1", "r1c2", "r2c1", "r2c2")


@pytest.mark.parametrize(
    ("family", "more", "before"),
    [
        ("ViT", {}, ("[CLS]",)),
        ("DeiT", {}, ("[CLS]", "[DIST]")),
        ("Beit", {}, ("[CLS]",)),
        ("Dinov2WithRegisters", {"num_register_tokens": 1}, ("[CLS]", "[REG1]")),
        ("CLIPVision", {}, ("[CLS]",)),
        ("SiglipVision", {}, ()),
    ],
)  # fmt: skip
def test_positions_of_images_are_patches(family, more, before):
    model = build(f"{family}Model", f"{family}Config", TINY | more)
    maps = capture(model, PICTURES)
    item = maps.item("layer_0", 1)
    assert item.key_tokens == item.query_tokens == (*before, *PATCHES)
    assert [one.tokens for one in maps.pictures] == [(*before, *PATCHES)] * 2
    assert maps.notes == (DRAWN,)


def test_an_image_is_drawn_channel_by_channel(tmp_path):
    model = build("ViTModel", "ViTConfig", TINY)
    pixels = PICTURES["pixel_values"][:1].numpy()
    page = explore(model, pixels)
    assert '"png"' in page.html
    assert page.maps.notes == (DRAWN,)
    (picture,) = page.maps.pictures
    assert picture.grid == (2, 2)
    page.maps.save(tmp_path / "maps.npz")
    assert AttentionMaps.load(tmp_path / "maps.npz").pictures[0].stretched
    assert '"stretched":true' in page.html.replace(" ", "")
    low, high = pixels[0].min((1, 2)), pixels[0].max((1, 2))
    drawn = picture.pixels / 255 * (high - low) + low
    np.testing.assert_allclose(drawn, pixels[0].transpose(1, 2, 0), atol=0.02)
    own = capture(model, pixels, tokens=list("abcde"))
    assert (own.item("layer_0").key_tokens, own.pictures) == (tuple("abcde"), ())


def test_where_patches_are_shuffled_none_is_named():
    sizes = {**TINY, "mask_ratio": 0.0}
    maps = capture(build("ViTMAEModel", "ViTMAEConfig", sizes), PICTURES)
    assert maps.item("layer_0").key_tokens == tuple("01234")
    assert (maps.pictures, maps.notes) == ((), ())
