"""What models of `transformers` return, in every shape, as maps."""

import numpy as np
import pytest

from neural_attn import AttentionMaps, analyze, capture, explore, plot
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.validation import examine

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]

IDS = np.array([[5, 9, 7, 30, 6, 11, 23], [8, 5, 12, 40, 7, 19, 31]])
RIGHT = np.array([[1] * 7, [1] * 5 + [0] * 2])
LEFT = np.array([[1] * 7, [0] * 2 + [1] * 5])
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16}
SIZES |= {"vocab_size": 50, "intermediate_size": 16}


class Words:
    """A tokenizer, as far as it is asked."""

    def convert_ids_to_tokens(self, ids):
        return [f"w{number}" for number in ids]


def made(kind, config, **sizes):
    import torch
    import transformers

    torch.manual_seed(0)
    settings = getattr(transformers, config)(**sizes)
    model = getattr(transformers, kind)(settings).eval()
    for weight in model.parameters():  # far from uniform attention
        weight.data *= 3
    if kind != "LongformerModel":
        model.set_attn_implementation("eager")
    return model


def tensors(**arrays):
    import torch

    return {name: torch.tensor(array) for name, array in arrays.items()}


def run(model, **inputs):
    import torch

    with torch.no_grad():
        return model(**tensors(**inputs), output_attentions=True)


@pytest.fixture(scope="module")
def bert():
    return made("BertModel", "BertConfig", **SIZES)


@pytest.fixture(scope="module")
def gpt():
    sizes = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return made(
        "GPT2LMHeadModel", "GPT2Config", **sizes, bos_token_id=0, eos_token_id=0
    )


@pytest.fixture(scope="module")
def t5():
    sizes = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2}
    return made(
        "T5ForConditionalGeneration", "T5Config", **sizes, num_layers=2,
        decoder_start_token_id=0, eos_token_id=1,
    )  # fmt: skip


def positions(mask):
    return np.maximum(mask.cumsum(1) - 1, 0)


def generated(model, ids, mask, **options):
    inputs = tensors(input_ids=ids, attention_mask=mask)
    options = {"do_sample": False, "pad_token_id": 0, **options}
    return model.generate(
        **inputs, max_new_tokens=4, min_new_tokens=4, output_attentions=True,
        return_dict_in_generate=True, **options,
    )  # fmt: skip


def assert_same_numbers(maps, example, alone):
    """One text of a batch has the numbers that it has by itself."""
    arrays = {name: maps.item(name, example).weights[None] for name in maps}
    items = AttentionMaps.from_arrays(arrays)
    for one, other in zip(analyze(items).heads, analyze(alone).heads, strict=True):
        for name, found in other.statistics.items():
            assert one.statistics[name].mean == pytest.approx(found.mean, abs=2e-5)


def test_an_encoder_with_padding(bert):
    inputs = {"input_ids": IDS, "attention_mask": RIGHT}
    outputs = run(bert, **inputs)
    maps = AttentionMaps.from_transformers(outputs, Words(), inputs)
    assert list(maps) == ["layer_0", "layer_1"]
    for number, name in enumerate(maps):
        np.testing.assert_array_equal(maps[name], outputs.attentions[number])
    item = maps.item("layer_0", 1)
    assert item.kind == "encoder_self"
    assert item.key_tokens == ("w8", "w5", "w12", "w40", "w7")
    assert examine(maps) == []
    alone = run(bert, input_ids=IDS[1:, :5])
    assert_same_numbers(maps, 1, AttentionMaps.from_transformers(alone))


def test_a_decoder_with_padding_on_the_left(gpt):
    inputs = {"input_ids": IDS, "attention_mask": LEFT}
    outputs = run(gpt, **inputs, position_ids=positions(LEFT))
    maps = AttentionMaps.from_transformers(outputs, Words(), inputs)
    assert {one.causal for one in maps.maps} == {True}
    assert maps.item("layer_1", 1).key_tokens == ("w12", "w40", "w7", "w19", "w31")
    assert examine(maps) == []
    alone = AttentionMaps.from_transformers(run(gpt, input_ids=IDS[1:, 2:]))
    np.testing.assert_allclose(
        maps.item("layer_1", 1).weights, alone["layer_1"][0], atol=1e-6
    )
    assert_same_numbers(maps, 1, alone)


@pytest.mark.parametrize(
    "how", [{}, {"use_cache": False}, {"cache_implementation": "static"}]
)
def test_the_steps_of_a_generation_are_one_run(gpt, how):
    outputs = generated(gpt, IDS, LEFT, **how)
    inputs = {"input_ids": IDS, "attention_mask": LEFT}
    maps = AttentionMaps.from_transformers(outputs, Words(), inputs)
    ids = outputs.sequences[:, :-1].numpy()  # the last was written, and not read
    mask = np.pad(LEFT, ((0, 0), (0, 3)), constant_values=1)
    once = run(gpt, input_ids=ids, attention_mask=mask, position_ids=positions(mask))
    for number, name in enumerate(maps):
        found, wanted = maps[name], once.attentions[number].numpy()
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-6)
        np.testing.assert_allclose(found[1, :, 2:], wanted[1, :, 2:], atol=1e-6)
    assert maps.item("layer_0", 1).key_tokens == tuple(f"w{n}" for n in ids[1, 2:])
    assert examine(maps) == []
    assert "4 steps of a generation, joined" in maps.notes[0]


def test_a_beam_search_is_refused(gpt):
    outputs = generated(gpt, IDS, LEFT, num_beams=2)
    with pytest.raises(NeuralError, match="E0434"):
        AttentionMaps.from_transformers(outputs)


def test_an_encoder_and_its_decoder(t5):
    answer = np.array([[0, 14, 9, 1], [0, 22, 1, 0]])
    inputs = {"input_ids": IDS, "attention_mask": RIGHT, "decoder_input_ids": answer}
    inputs["decoder_attention_mask"] = np.array([[1] * 4, [1] * 3 + [0]])
    outputs = run(t5, **inputs)
    maps = AttentionMaps.from_transformers(outputs, Words(), inputs)
    assert {one.name: (one.kind, one.causal) for one in maps.maps} == {
        "encoder_layer_0": ("encoder_self", False),
        "encoder_layer_1": ("encoder_self", False),
        "decoder_layer_0.self_attention": ("decoder_self", True),
        "decoder_layer_0.cross_attention": ("cross", False),
        "decoder_layer_1.self_attention": ("decoder_self", True),
        "decoder_layer_1.cross_attention": ("cross", False),
    }
    assert len(maps.layers) == 4
    np.testing.assert_array_equal(
        maps["decoder_layer_1.cross_attention"], outputs.cross_attentions[1]
    )
    item = maps.item("decoder_layer_0.cross_attention", 1)
    assert item.query_tokens == ("w0", "w22", "w1")
    assert item.key_tokens == ("w8", "w5", "w12", "w40", "w7")
    assert examine(maps) == []


def test_what_an_encoder_and_its_decoder_generate(t5):
    outputs = generated(t5, IDS, RIGHT)
    inputs = {"input_ids": IDS, "attention_mask": RIGHT}
    maps = AttentionMaps.from_transformers(outputs, Words(), inputs)
    answer = outputs.sequences[:, :-1].numpy()
    once = run(t5, **inputs, decoder_input_ids=answer)
    for field, part in (("decoder", "self"), ("cross", "cross")):
        for number, wanted in enumerate(once[f"{field}_attentions"]):
            found = maps[f"decoder_layer_{number}.{part}_attention"]
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    item = maps.item("decoder_layer_1.cross_attention", 0)
    assert item.query_tokens == tuple(f"w{number}" for number in answer[0])


def test_local_windows_become_squares():
    model = made(
        "LongformerModel", "LongformerConfig", **SIZES, attention_window=4,
        max_position_embeddings=64,
    )  # fmt: skip
    ids = np.arange(5, 17)[None]
    outputs = run(model, input_ids=ids)
    maps = AttentionMaps.from_transformers(outputs, Words(), ids)
    (window,) = outputs.attentions[0][:1].numpy()
    assert window.shape == (2, 12, 5)  # two on either side of each token
    found = maps["layer_0"][0]
    for query in range(12):
        for key in range(12):
            near = abs(key - query) <= 2
            wanted = window[:, query, key - query + 2] if near else 0
            np.testing.assert_array_equal(found[:, query, key], wanted)
    assert maps.get_map("layer_0").kind == "encoder_self"
    assert maps.get_map("layer_0").key_tokens[0][3] == "w8"
    # With a global token the columns whose places are not known.
    seen = np.zeros_like(ids)
    seen[0, 0] = 1
    outputs = run(model, input_ids=ids, global_attention_mask=seen)
    with pytest.raises(ValueError, match="whose places are not known"):
        AttentionMaps.from_transformers(outputs, Words(), ids)


def test_windows_of_a_picture_are_no_examples():
    model = made(
        "SwinModel", "SwinConfig", image_size=16, patch_size=2, embed_dim=8,
        depths=[1, 1], num_heads=[1, 2], window_size=4,
    )  # fmt: skip
    pixels = {"pixel_values": np.zeros((2, 3, 16, 16), np.float32)}
    outputs = run(model, **pixels)
    with pytest.raises(ValueError, match="windows of an image"):
        AttentionMaps.from_transformers(outputs, inputs=pixels)


def test_answers_to_choose_from_are_texts():
    model = made("BertForMultipleChoice", "BertConfig", **SIZES)
    inputs = {"input_ids": IDS[None], "attention_mask": RIGHT[None]}
    maps = AttentionMaps.from_transformers(run(model, **inputs), Words(), inputs)
    assert maps.item("layer_1", 1).key_tokens == ("w8", "w5", "w12", "w40", "w7")


def test_two_towers():
    text = {**SIZES, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    image = {k: v for k, v in SIZES.items() if k != "vocab_size"}
    image |= {"image_size": 16, "patch_size": 8}
    model = made(
        "CLIPModel", "CLIPConfig", text_config=text, vision_config=image,
        projection_dim=8,
    )  # fmt: skip
    inputs = {"input_ids": IDS, "pixel_values": np.zeros((2, 3, 16, 16), np.float32)}
    maps = AttentionMaps.from_transformers(run(model, **inputs), Words(), inputs)
    assert {name: one.shape[-1] for name, one in maps.items()} == {
        "text_model/layer_0": 7,
        "text_model/layer_1": 7,
        "vision_model/layer_0": 5,
        "vision_model/layer_1": 5,
    }
    assert maps.get_map("text_model/layer_0").key_tokens[0][1] == "w9"


def test_outputs_as_they_come(bert, tmp_path):
    import torch

    inputs = tensors(input_ids=IDS, attention_mask=RIGHT)
    outputs = bert(**inputs, output_attentions=True)  # with gradients
    outputs.attentions = tuple(one.to(torch.bfloat16) for one in outputs.attentions)
    mask = inputs["attention_mask"]
    page = explore(outputs, tokens=inputs["input_ids"], tokenizer=Words(), mask=mask)
    page.save(tmp_path / "page.html")
    assert page.maps.item("layer_0", 1).key_tokens[0] == "w8"
    analysis = analyze(outputs.attentions, inputs["input_ids"], mask=mask)
    assert analysis.texts == 2
    assert analysis.tokens == 12


def test_outputs_go_with_the_inputs_of_their_model(bert):
    inputs = tensors(input_ids=IDS, attention_mask=RIGHT)
    outputs = bert(**inputs, output_attentions=True)
    words = ("w8", "w5", "w12", "w40", "w7")
    for given in (outputs, outputs.attentions):
        for maps in (
            explore(given, inputs, tokenizer=Words()).maps,
            explore(given, tokenizer=Words(), inputs=inputs).maps,
            capture(given, inputs, Words()),
        ):
            assert maps.item("layer_0", 1).key_tokens == words
        assert analyze(given, inputs, tokenizer=Words()).tokens == 12
        figure = plot(given, inputs, Words(), layers=0, heads=0, example=1)
        labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
        assert labels == list(words)
    assert explore(outputs, inputs["input_ids"]).maps.item("layer_0").key_tokens[0] == (
        str(int(IDS[0, 0]))
    )
    with pytest.raises(NeuralError, match="`tokens` has no effect"):
        explore(outputs, inputs, tokens=["a"])


def test_the_tuple_of_a_field_alone(bert, t5):
    inputs = {"input_ids": IDS, "attention_mask": RIGHT}
    outputs = run(bert, **inputs)
    whole, part = (
        AttentionMaps.from_transformers(one, Words(), inputs)
        for one in (outputs, outputs.attentions)
    )
    assert whole.item("layer_1", 1).key_tokens == part.item("layer_1", 1).key_tokens
    assert (whole.item("layer_1", 1).weights == part.item("layer_1", 1).weights).all()
    with pytest.raises(NeuralError, match="with other things"):
        AttentionMaps.from_transformers(outputs.to_tuple())
    both = {"input_ids": IDS, "decoder_input_ids": IDS[:, :3]}
    crossed = run(t5, **both).cross_attentions
    with pytest.raises(NeuralError, match="of the encoder or of the decoder"):
        AttentionMaps.from_transformers(crossed, Words(), both)


def test_a_fused_kernel_leaves_nothing(bert):
    for outputs in (run_plain(bert), {"attentions": (None, None)}):
        with pytest.raises(ValueError, match="a fused kernel computes no weights"):
            AttentionMaps.from_transformers(outputs)


def run_plain(model):
    return model(**tensors(input_ids=IDS))


def test_layers_without_attention_keep_their_numbers():
    # as hybrids give them: None where a layer is recurrent, and unlike head counts
    weights = np.full((1, 4, 3, 3), 1 / 3, np.float32)
    outputs = {"attentions": (None, weights, None, weights[:, :2])}
    maps = AttentionMaps.from_transformers(outputs)
    assert [head.label for head in analyze(maps).heads] == [
        "L1H0", "L1H1", "L1H2", "L1H3", "L3H0", "L3H1"
    ]  # fmt: skip
    assert maps.notes[0] == "layer_0, layer_2: no attention (None), so no map"


def test_a_layer_that_is_broken_is_said():
    weights = np.full((1, 2, 3, 3), 1 / 3, np.float32)
    broken = np.full_like(weights, np.nan)
    maps = AttentionMaps.from_transformers({"attentions": (weights, broken)})
    assert list(maps) == ["layer_0"]
    assert any("layer_1: 18 weights are NaN" in note for note in maps.notes)
