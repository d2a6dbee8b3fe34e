"""Pretrained families: what is imported gives what transformers gives.

Each row is a small random model that transformers has saved. Outputs and every map are
compared in float32, for a batch with padding before, behind and nowhere; and greedy
tokens, where the model writes.
"""

import json
import re
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neural_attn.grammar.format import format_text
from safetensors.numpy import load_file, save_file

from neural_attn import backends
from neural_attn.compile import check_file, check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.limits import id_limits, max_length
from neural_attn.models.capture import run
from neural_attn.models.generated import load_model
from neural_attn.pretrained import import_model
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.families import family_of, known_families
from neural_attn.pretrained.conversion.heads import LANGUAGE
from neural_attn.pretrained.conversion.network_text import network_text
from tests.every_backend import EVERY

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.requires_torch,
    # Keras warns of a softmax over one key, which is what the first token has
    pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning"),
]

SHOWN = np.array([[1] * 7, [1] * 5 + [0] * 2, [0] * 3 + [1] * 4])  # 0 is padding


@dataclass(frozen=True)
class Row:
    """A class of transformers, the settings of its config, and how it is run."""

    model: str
    options: dict = field(default_factory=dict)
    inputs: str = "text"
    pad: int = 0
    segments: int = 0
    writes: bool = False


def bert(**more):
    return {
        "vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 2,
        "num_attention_heads": 3, "intermediate_size": 20, "type_vocab_size": 2,
        "max_position_embeddings": 20, **more,
    }  # fmt: skip


def modernbert(**more):
    return {
        "vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 4,
        "num_attention_heads": 3, "intermediate_size": 20, "local_attention": 4,
        "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1,
        "eos_token_id": 2, **more,
    }  # fmt: skip


def gpt2(**more):
    return {
        "vocab_size": 37, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 20,
        "bos_token_id": None, "eos_token_id": None, **more,
    }  # fmt: skip


def distilbert(**more):
    return {
        "vocab_size": 37, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20,
        "max_position_embeddings": 20, **more,
    }  # fmt: skip


def vit(**more):
    return {
        "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 20, "image_size": 8, "patch_size": 4, **more,
    }  # fmt: skip


CLIP_TEXT = {
    "vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 16, "eos_token_id": 36,
    "max_position_embeddings": 20, "bos_token_id": 0, "pad_token_id": 1,
}  # fmt: skip


def clip(eos_token_id=36, **more):
    text = CLIP_TEXT | {"eos_token_id": eos_token_id} | more
    return {"text_config": text, "vision_config": vit(**more), "projection_dim": 7}


def t5(**more):
    return {
        "vocab_size": 37, "d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2,
        "num_heads": 3, "decoder_start_token_id": 0, "eos_token_id": None, **more,
    }  # fmt: skip


def bart(**more):
    return {
        "vocab_size": 37, "d_model": 12, "encoder_layers": 1, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 3, "pad_token_id": 1,
        "encoder_ffn_dim": 20, "decoder_ffn_dim": 16, "max_position_embeddings": 20,
        "bos_token_id": None, "eos_token_id": None, "forced_eos_token_id": None,
        "decoder_start_token_id": 2, **more,
    }  # fmt: skip


def neox(**more):
    return {
        "vocab_size": 37, "hidden_size": 24, "intermediate_size": 20,
        "num_hidden_layers": 2, "num_attention_heads": 3, "rotary_pct": 0.25,
        "bos_token_id": None, "eos_token_id": None, **more,
    }  # fmt: skip


def opt(**more):
    return {
        "vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 2, "ffn_dim": 20,
        "num_attention_heads": 3, "max_position_embeddings": 20, "pad_token_id": 0,
        "bos_token_id": None, "eos_token_id": None, **more,
    }  # fmt: skip


def whisper(**more):
    speech = {
        "pad_token_id": 0, "num_mel_bins": 4, "max_source_positions": 7,
        "max_target_positions": 20,
    }  # fmt: skip
    return bart(**speech | more)


def llama(**more):
    return {
        "vocab_size": 37, "hidden_size": 12, "intermediate_size": 20,
        "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3,
        "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0, **more,
    }  # fmt: skip


def gpt_oss(**more):
    return llama(**{
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 3,
        "intermediate_size": 10, "rope_parameters": YARN, **more,
    })  # fmt: skip


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 50.0, "factor": 8.0,
    "original_max_position_embeddings": 16, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}  # fmt: skip
GEMMA3 = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 900.0},
}
YARN = {
    "rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0,
    "original_max_position_embeddings": 512,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}

ROWS = {
    "bert": [
        Row("BertForMaskedLM", bert(), segments=2),
        Row("BertModel", bert(hidden_act="relu", num_hidden_layers=1), segments=2),
        Row("BertForMaskedLM", bert(tie_word_embeddings=False), segments=2),
        Row("BertForPreTraining", bert(type_vocab_size=3), segments=3),
        Row("BertForSequenceClassification", bert(num_labels=3), segments=2),
        Row("BertForTokenClassification", bert(num_labels=4), segments=2),
        Row("BertForQuestionAnswering", bert(layer_norm_eps=1e-3), segments=2),
    ],
    "gpt2": [
        Row("GPT2LMHeadModel", gpt2(), writes=True),
        Row("GPT2Model", gpt2(n_layer=1, n_inner=10, activation_function="relu")),
        Row("GPT2LMHeadModel", gpt2(tie_word_embeddings=False), writes=True),
        Row("GPT2ForTokenClassification", gpt2(num_labels=5)),
        Row("GPT2ForSequenceClassification", gpt2(num_labels=3, pad_token_id=2),
            pad=2),
    ],
    "roberta": [
        Row("RobertaForMaskedLM", bert(), pad=1, segments=2),
        Row("RobertaModel", bert(type_vocab_size=1, pad_token_id=2), pad=2),
        Row("RobertaForSequenceClassification", bert(type_vocab_size=1), pad=1),
        Row("RobertaForQuestionAnswering", bert(type_vocab_size=1), pad=1),
        Row("RobertaForMaskedLM", bert(tie_word_embeddings=False, type_vocab_size=1,
            hidden_act="relu"), pad=1),
    ],
    "xlm-roberta": [
        Row("XLMRobertaForTokenClassification", bert(type_vocab_size=1), pad=1),
        Row("XLMRobertaForMaskedLM", bert(type_vocab_size=1), pad=1),
    ],
    "camembert": [
        Row("CamembertForMaskedLM", bert(type_vocab_size=1), pad=1),
        Row("CamembertModel", bert(type_vocab_size=1, num_hidden_layers=1), pad=1),
    ],
    "distilbert": [
        Row("DistilBertForMaskedLM", distilbert()),
        Row("DistilBertModel", distilbert(n_layers=1, activation="relu")),
        Row("DistilBertForSequenceClassification", distilbert(num_labels=3)),
        Row("DistilBertForTokenClassification", distilbert()),
        Row("DistilBertForMaskedLM", distilbert(tie_word_embeddings=False)),
    ],
    "modernbert": [
        Row("ModernBertForMaskedLM", modernbert()),
        Row("ModernBertForMaskedLM", modernbert(norm_bias=True, mlp_bias=True,
            attention_bias=True, classifier_bias=True, num_hidden_layers=1)),
        Row("ModernBertForSequenceClassification", modernbert(num_labels=3)),
        Row("ModernBertForTokenClassification", modernbert(decoder_bias=False)),
        Row("ModernBertForMaskedLM", modernbert(tie_word_embeddings=False)),
        Row("ModernBertForMaskedLM", modernbert(tie_word_embeddings=False,
            decoder_bias=False, num_hidden_layers=1)),
        Row("ModernBertModel", modernbert(hidden_activation="silu")),
    ],
    "electra": [
        Row("ElectraForPreTraining", bert(embedding_size=8), segments=2),
        Row("ElectraForMaskedLM", bert(embedding_size=12), segments=2),
        Row("ElectraForMaskedLM", bert(embedding_size=8, tie_word_embeddings=False),
            segments=2),
        Row("ElectraForSequenceClassification", bert(embedding_size=8), segments=2),
    ],
    "albert": [
        Row("AlbertForMaskedLM", bert(embedding_size=8), segments=2),
        Row("AlbertModel", bert(embedding_size=12, num_hidden_layers=1), segments=2),
        Row("AlbertForPreTraining", bert(embedding_size=8), segments=2),
        Row("AlbertForSequenceClassification", bert(embedding_size=8), segments=2),
    ],
    "llama": [
        Row("LlamaForCausalLM", llama(rope_parameters=LLAMA3), writes=True),
        Row("LlamaForCausalLM", llama(tie_word_embeddings=True, attention_bias=True,
            mlp_bias=True, num_hidden_layers=1, rms_norm_eps=1e-2), writes=True),
        Row("LlamaForTokenClassification", llama(rope_parameters=LINEAR, head_dim=4)),
        Row("LlamaForQuestionAnswering", llama(num_hidden_layers=1)),
        Row("LlamaForSequenceClassification", llama(num_labels=3)),
        Row("LlamaForSequenceClassification", llama(pad_token_id=2, num_labels=1,
            tie_word_embeddings=True), pad=2),
    ],
    "mistral": [
        Row("MistralForCausalLM", llama(sliding_window=3, head_dim=4), writes=True),
        Row("MistralModel", llama(sliding_window=None, hidden_act="gelu")),
    ],
    "qwen2": [
        Row("Qwen2ForCausalLM", llama(tie_word_embeddings=True, head_dim=8,
            rope_parameters=YARN), writes=True),
        Row("Qwen2ForCausalLM", llama(use_sliding_window=True, sliding_window=3,
            max_window_layers=0), writes=True),
    ],
    "qwen3": [
        Row("Qwen3ForCausalLM", llama(head_dim=6, attention_bias=True), writes=True),
        Row("Qwen3ForCausalLM", llama(head_dim=2, tie_word_embeddings=True)),
        Row("Qwen3ForQuestionAnswering", llama(num_hidden_layers=1)),
    ],
    "gpt_oss": [
        Row("GptOssForCausalLM", gpt_oss(), writes=True),
        Row("GptOssForCausalLM", gpt_oss(tie_word_embeddings=True, swiglu_limit=0.5,
            attention_bias=False, layer_types=["sliding_attention"] * 2,
            rope_parameters=YARN | {"truncate": False, "factor": 32.0},
            num_experts_per_tok=5), writes=True),
        Row("GptOssForTokenClassification", gpt_oss(num_hidden_layers=1,
            layer_types=["full_attention"])),
    ],
    "mixtral": [
        Row("MixtralForCausalLM", llama(num_local_experts=5, sliding_window=3),
            writes=True),
        Row("MixtralForCausalLM", llama(num_local_experts=3, num_experts_per_tok=1,
            tie_word_embeddings=True, hidden_act="gelu", num_hidden_layers=1)),
    ],
    "qwen3_moe": [
        Row("Qwen3MoeForCausalLM", llama(num_experts=5, moe_intermediate_size=10,
            num_experts_per_tok=2, head_dim=4, attention_bias=True), writes=True),
        Row("Qwen3MoeForTokenClassification", llama(num_experts=3, head_dim=6,
            moe_intermediate_size=4, num_experts_per_tok=3, norm_topk_prob=True,
            use_sliding_window=True, sliding_window=3, rope_parameters=YARN)),
    ],
    "gpt_neox": [
        Row("GPTNeoXForCausalLM", neox(), writes=True),
        Row("GPTNeoXForCausalLM", neox(use_parallel_residual=False, rotary_pct=1.0,
            attention_bias=False, tie_word_embeddings=True), writes=True),
        Row("GPTNeoXForTokenClassification", neox(hidden_act="gelu_new")),
        Row("GPTNeoXForSequenceClassification", neox(pad_token_id=1), pad=1),
    ],
    "opt": [
        Row("OPTForCausalLM", opt(word_embed_proj_dim=7), writes=True),
        Row("OPTForCausalLM", opt(do_layer_norm_before=False, num_hidden_layers=1,
            activation_function="gelu"), writes=True),
        Row("OPTForCausalLM", opt(enable_bias=False, tie_word_embeddings=False,
            layer_norm_elementwise_affine=False), writes=True),
        Row("OPTForQuestionAnswering", opt()),
        Row("OPTForSequenceClassification", opt(word_embed_proj_dim=7, num_labels=3)),
        Row("OPTForSequenceClassification", opt(pad_token_id=1), pad=1),
        Row("OPTModel", opt(_remove_final_layer_norm=True, num_hidden_layers=1)),
    ],
    "gemma": [
        Row("GemmaForCausalLM", llama(head_dim=4), writes=True),
        Row("GemmaForCausalLM", llama(head_dim=2, tie_word_embeddings=False)),
        Row("GemmaForSequenceClassification", llama(head_dim=2, num_labels=3)),
        Row("GemmaModel", llama(head_dim=2, num_hidden_layers=1)),
        Row("GemmaModel", llama(head_dim=2, hidden_act="gelu_python")),
    ],
    "gemma2": [
        Row("Gemma2ForCausalLM", llama(head_dim=4, sliding_window=3,
            query_pre_attn_scalar=9, attn_logit_softcapping=2.0,
            final_logit_softcapping=4.0), writes=True),
        Row("Gemma2ForCausalLM", llama(head_dim=4, query_pre_attn_scalar=4,
            attention_bias=True, final_logit_softcapping=None,
            attn_logit_softcapping=None, num_hidden_layers=1), writes=True),
        Row("Gemma2ForCausalLM", llama(head_dim=4, tie_word_embeddings=False),
            writes=True),
        Row("Gemma2Model", llama(head_dim=2, sliding_window=2)),
    ],
    "gemma3_text": [
        Row("Gemma3ForCausalLM", llama(head_dim=4, sliding_window=3,
            layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=9), writes=True),
        Row("Gemma3ForCausalLM", llama(head_dim=4, sliding_window=3,
            num_hidden_layers=3, rope_parameters=GEMMA3, tie_word_embeddings=False,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"])),
        Row("Gemma3TextModel", llama(head_dim=4, query_pre_attn_scalar=4)),
    ],
    "vit": [
        Row("ViTForImageClassification", vit(num_labels=5), "image"),
        Row("ViTModel", vit(qkv_bias=False), "image"),
        Row("ViTModel", vit(image_size=[8, 12], hidden_act="relu"), "image"),
    ],
    "deit": [
        Row("DeiTForImageClassificationWithTeacher", vit(num_labels=5), "image"),
        Row("DeiTForImageClassification", vit(num_channels=1), "image"),
    ],
    "clip": [
        Row("CLIPModel", clip(), "both"),
        Row("CLIPModel", clip(eos_token_id=2, hidden_act="gelu"), "both"),
    ],
    "clip_text_model": [
        Row("CLIPTextModelWithProjection", CLIP_TEXT | {"projection_dim": 5}),
        Row("CLIPTextModel", CLIP_TEXT),
        # no text holds the id that ends one
        Row("CLIPTextModelWithProjection", CLIP_TEXT | {"eos_token_id": 1}),
    ],
    "clip_vision_model": [
        Row("CLIPVisionModelWithProjection", vit(projection_dim=5), "image"),
        Row("CLIPVisionModel", vit(num_hidden_layers=1, hidden_act="gelu"), "image"),
    ],
    "t5": [
        Row("T5ForConditionalGeneration", t5(), "translation", writes=True),
        Row("T5ForConditionalGeneration", t5(feed_forward_proj="gated-gelu",
            tie_word_embeddings=False, num_decoder_layers=1), "translation",
            writes=True),
        Row("T5Model", t5(relative_attention_num_buckets=6,
            relative_attention_max_distance=4), "translation"),
        Row("T5Model", t5(dense_act_fn="silu", is_gated_act=True), "translation"),
    ],
    "bart": [
        Row("BartForConditionalGeneration", bart(), "translation", 1, writes=True),
        Row("BartForConditionalGeneration", bart(scale_embedding=True,
            tie_word_embeddings=False), "translation", 1, writes=True),
        Row("BartModel", bart(activation_function="relu"), "translation", 1),
        Row("BartForSequenceClassification", bart(num_labels=4, eos_token_id=2,
            decoder_start_token_id=5), "labelled", 1),
    ],
    "mbart": [
        Row("MBartForConditionalGeneration", bart(), "translation", 1, writes=True),
        Row("MBartModel", bart(scale_embedding=True), "translation", 1),
    ],
    "pegasus": [
        Row("PegasusForConditionalGeneration", bart(pad_token_id=0), "translation",
            writes=True),
        Row("PegasusModel", bart(scale_embedding=True, pad_token_id=0), "translation"),
    ],
    "mt5": [
        Row("MT5ForConditionalGeneration", t5(tie_word_embeddings=False),
            "translation", writes=True),
        Row("MT5Model", t5(feed_forward_proj="relu"), "translation"),
    ],
    "whisper": [
        Row("WhisperForConditionalGeneration", whisper(), "speech", writes=True),
        Row("WhisperModel", whisper(num_mel_bins=5, activation_function="relu"),
            "speech"),
    ],
    "marian": [
        Row("MarianMTModel", bart(scale_embedding=True), "translation", 1, writes=True),
        Row("MarianMTModel", bart(activation_function="swish", pad_token_id=36),
            "translation", 36),
    ],
}  # fmt: skip


def made(row, folder):
    """A model with random weights, saved; biases and norms are not 0 and 1 either."""
    kind = getattr(transformers, row.model)
    config = kind.config_class(**row.options)
    config._attn_implementation = config._experts_implementation = "eager"
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in filter(lambda p: p.requires_grad, model.parameters()):
            parameter.add_(0.3 * torch.randn_like(parameter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about settings for generation
        model.save_pretrained(folder)
    return model


def inputs_of(row, model):
    """The inputs under the names of transformers."""
    random = np.random.default_rng(0)
    if row.inputs in ("image", "both"):
        config = getattr(model.config, "vision_config", model.config)
        size = 3, config.num_channels, *pair(config.image_size)
        images = {"pixel_values": random.normal(size=size).astype("f")}
        if row.inputs == "image":
            return images
    config = getattr(model.config, "text_config", model.config)
    ids = random.integers(3, config.vocab_size, SHOWN.shape)
    if "clip" in config.model_type:
        ids[:, 4:] = 36  # what ends a text, and is also its padding
    inputs = {"input_ids": np.where(SHOWN, ids, row.pad), "attention_mask": SHOWN}
    if row.inputs == "speech":
        size = 3, model.config.num_mel_bins, 2 * model.config.max_source_positions
        frames = random.normal(size=size).astype("f")
        return {"input_features": frames, "decoder_input_ids": ids[:, :4]}
    if row.inputs == "both":
        return images | inputs
    if row.segments:
        inputs["token_type_ids"] = random.integers(0, row.segments, SHOWN.shape)
    if row.inputs == "labelled":  # each text by the token that ends it
        last = SHOWN.shape[1] - 1 - SHOWN[:, ::-1].argmax(axis=1)
        np.put_along_axis(inputs["input_ids"], last[:, np.newaxis], 2, axis=1)
    if row.inputs == "translation":
        inputs["decoder_input_ids"] = ids[:, :4]
    return inputs


def pair(size):
    return (size, size) if isinstance(size, int) else size


def ours_of(inputs):
    """The same as our networks take them."""
    if "pixel_values" in inputs:
        images = np.moveaxis(inputs["pixel_values"], 1, -1)
        others = {n: x for n, x in inputs.items() if n != "pixel_values"}
        return {"image": images} | others if others else images
    if "input_features" in inputs:
        frames = np.moveaxis(inputs["input_features"], 1, 2)
        return {"frames": frames, "target": inputs["decoder_input_ids"]}
    if "decoder_input_ids" in inputs:  # a source knows its padding by its id
        return {"source": inputs["input_ids"], "target": inputs["decoder_input_ids"]}
    return inputs


def expected(model, inputs):
    """Output, and maps by the side that they are of."""
    tensors = {name: torch.from_numpy(x) for name, x in inputs.items()}
    with torch.no_grad():
        found = model(**tensors, output_attentions=True)
    if "start_logits" in found:
        output = torch.stack([found.start_logits, found.end_logits], dim=-1)
    elif "logits_per_image" in found:
        output = found.logits_per_image.diagonal()[:, None]
        found = {
            "image": found.vision_model_output.attentions,
            "text": found.text_model_output.attentions,
        }
    else:
        output = found[0]
    maps = {
        side: [one.numpy() for one in found[name]]
        for side, name in SIDES.items()
        if found.get(name) is not None
    }
    return output.numpy(), maps


SIDES = {
    "encoder": "encoder_attentions",
    "self_attention": "decoder_attentions",
    "cross_attention": "cross_attentions",
    "image": "image",
    "text": "text",
    "": "attentions",
}


def by_side(maps, sides):
    """Our maps as theirs: those of a decoder are told by their names."""
    return {
        side: [one for name, (one, _) in maps.items() if side_of(name, sides) == side]
        for side in sides
    }


def side_of(name, sides):
    return next(side for side in sides if side in name)


def assert_close(ours, theirs):
    size = max(1, np.abs(theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * size)


def check(row, folder, names):
    """Import what transformers has saved, and run both."""
    model = made(row, folder / "theirs")
    imported = import_model(folder / "theirs", folder / "small.neural")
    text = imported.neural_path.read_text("utf-8")
    assert len(text.splitlines()) <= 80
    written = text.replace("None", "none").replace("\n\n", "\n")
    assert format_text(text).replace("\n\n", "\n") == written
    assert check_file(imported.neural_path)[1] == []
    inputs = inputs_of(row, model)
    output, maps = expected(model, inputs)
    for name in names:
        ours = load_model(imported.neural_path, name, imported.weights_path)
        found, weights = run(ours.model, ours.backend, ours_of(inputs))
        assert found.shape == output.shape
        assert_close(*(rows_of(x, row.inputs) for x in (found, output)))
        for side, own in by_side(weights, list(maps)).items():
            for one, other in zip(own, maps[side], strict=True):
                assert_close(*(rows_of(x.swapaxes(1, 2)) for x in (one, other)))
                assert other.std() > 0.01  # uneven: a wrong order would show
        if row.writes:
            assert_same_tokens(ours, model, inputs)
    return model


def rows_of(values, inputs="text"):
    """The steps that are no padding, or the texts whose first step is none."""
    if values.shape[:2] == SHOWN.shape:
        return values[SHOWN != 0]
    return values[SHOWN[:, 0] != 0] if inputs == "text" else values


# of the same blocks as others: TensorFlow, which takes seconds, says nothing new
KIN = {
    "camembert", "clip_text_model", "clip_vision_model", "deit", "gemma", "mbart",
    "mistral", "mt5", "pegasus", "qwen2", "qwen3_moe", "xlm-roberta",
}  # fmt: skip
CASES = [(name, i) for name, rows in ROWS.items() for i in range(len(rows))]


@pytest.mark.thorough(but=("-0",))
@pytest.mark.parametrize(("family", "number"), CASES)
def test_what_is_imported_is_the_model(family, number, tmp_path):
    last = ["tensorflow"] if number == 0 and family not in KIN else []
    names = ["numpy", "pytorch", *last]
    names = [name for name in names if backends.is_installed(EVERY[name])]
    model = check(ROWS[family][number], tmp_path, names)
    assert model.config.model_type == family


def assert_same_tokens(ours, model, inputs):
    """Greedy tokens behind texts, one of which is shorter."""
    if "input_features" in inputs:
        return assert_same_answer(ours, model, inputs)
    ids, shown = (inputs[n][::2] for n in ("input_ids", "attention_mask"))
    given = {"attention_mask": torch.from_numpy(shown)}
    arrays, options = [ids], {"attention_mask": ours.backend.tensor(shown)}
    if "decoder_input_ids" in inputs:
        start = np.full((len(ids), 1), model.config.decoder_start_token_id)
        given["decoder_input_ids"] = torch.from_numpy(start)
        arrays, options = [ids, start], {}
    theirs = model.generate(
        torch.from_numpy(ids),
        **given,
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
    )
    tensors = map(ours.backend.tensor, arrays)
    found = ours.model.generate(*tensors, 6, **options)
    np.testing.assert_array_equal(ours.backend.array(found), theirs)


def assert_same_answer(ours, model, inputs):
    """Greedy tokens for sound, without what transformers forbids or forces of them."""
    frames, ids = (torch.from_numpy(x) for x in inputs.values())
    first = ids
    for _ in range(4):
        with torch.no_grad():
            logits = model(input_features=frames, decoder_input_ids=ids).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(dim=-1)], dim=1)
    given = map(ours.backend.tensor, (frames.mT.numpy(), first.numpy()))
    found = ours.backend.array(ours.model.generate(*given, 4))
    np.testing.assert_array_equal(found, ids)


def test_every_family_has_rows():
    assert set(known_families()) == set(ROWS)


# --- configurations -------------------------------------------------------------------


def values_of(row):
    """The values of the config.json of a row."""
    kind = getattr(transformers, row.model).config_class
    return json.loads(kind(**row.options).to_json_string(use_diff=False))


def text_of(values, folder, head=LANGUAGE):
    """The text that a config.json leads to."""
    config = Config(folder / "config.json", values, head)
    return network_text(family_of(config).plan(config), "Net", "title")


OLD = [  # what older versions of transformers write, and what newer ones do
    ("llama", {"rope_theta": 50.0}, {"rope_theta": 50.0, "rope_type": "default"}),
    (
        "llama",
        {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
        LINEAR,
    ),
    ("llama", {"rope_theta": 50.0, "rope_scaling": LLAMA3}, LLAMA3),
    (
        "gemma3_text",
        {
            "rope_theta": 900.0,
            "rope_local_base_freq": 70.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        GEMMA3,
    ),
    (
        "gpt_neox",
        {"rotary_pct": 0.5, "rotary_emb_base": 70},
        {"rope_type": "default", "rope_theta": 70.0, "partial_rotary_factor": 0.5},
    ),
    (
        "modernbert",
        {"global_rope_theta": 900.0, "local_rope_theta": 70.0},
        {
            "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
            "full_attention": {"rope_type": "default", "rope_theta": 900.0},
        },
    ),
]


@pytest.mark.parametrize(("family", "old", "new"), OLD)
def test_old_spellings_mean_the_same(family, old, new, tmp_path):
    values = values_of(ROWS[family][0]) | {"rope_parameters": None}
    later = text_of(values | {"rope_parameters": new}, tmp_path)
    assert text_of(values | old, tmp_path) == later
    assert later != text_of(values, tmp_path)


REFUSED = [
    ("bert", "is_decoder", True),
    ("roberta", "position_embedding_type", "relative_key"),
    ("albert", "num_hidden_groups", 2),
    ("gpt2", "scale_attn_weights", False),
    ("gpt2", "scale_attn_by_inverse_layer_idx", True),
    ("gpt2", "add_cross_attention", True),
    ("llama", "rope_scaling", {"rope_type": "dynamic", "factor": 2.0}),
    ("gpt_neox", "rope_scaling", YARN),
    ("llama", "rope_scaling", YARN | {"beta_fast": 16}),
    ("llama", "rope_scaling", YARN | {"attention_factor": 2.0}),
    ("llama", "rope_scaling", YARN | {"mscale": 1.0, "mscale_all_dim": 0.5}),
    ("llama", "rope_scaling", {"rope_type": "longrope", "factor": 2.0}),
    ("llama", "partial_rotary_factor", 0.5),
    ("llama", "attention_multiplier", 0.2),
    ("llama", "embedding_multiplier", 12.0),
    ("mistral", "residual_multiplier", 0.2),
    ("llama", "logits_scaling", 8.0),
    ("llama", "no_rope_layers", [1, 0]),
    ("llama", "no_rope_layer_interval", 4),
    ("llama", "quantization_config", {"bits": 4}),
    ("qwen2", "hidden_act", "gelu_fast_and_other"),
    ("gemma2", "use_bidirectional_attention", True),
    ("gpt_oss", "swiglu_alpha", 1.5),
    ("gpt_oss", "quantization_config", {"quant_method": "mxfp4"}),
    ("qwen3_moe", "mlp_only_layers", [1]),
    ("qwen3_moe", "decoder_sparse_step", 2),
    ("modernbert", "classifier_pooling", "mean"),
    ("marian", "share_encoder_decoder_embeddings", False),
    ("whisper", "scale_embedding", True),
    ("t5", "is_decoder", True),
]


@pytest.mark.parametrize(("family", "key", "value"), REFUSED)
def test_what_would_change_the_result_is_refused_by_name(family, key, value, tmp_path):
    with pytest.raises(NeuralError) as caught:
        text_of(values_of(ROWS[family][0]) | {key: value}, tmp_path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0626"
    inner = list(value)[-1] if isinstance(value, dict) else str(value)
    assert key in problem.message or inner in problem.message


def test_the_last_step_of_a_text_is_told_wherever_padding_is(backend, tmp_path):
    row = Row("LlamaForSequenceClassification", llama(num_labels=3))
    model = made(row, tmp_path / "theirs")
    imported = import_model(tmp_path / "theirs", tmp_path / "small.neural")
    ours = load_model(imported.neural_path, backend, imported.weights_path)
    inputs = inputs_of(row, model)
    found, _ = run(ours.model, ours.backend, inputs)
    assert_close(found, expected(model, inputs)[0])


def test_a_share_that_turns_half_a_pair_is_told_by_its_own_name(tmp_path):
    values = values_of(ROWS["gpt_neox"][0]) | {"rope_parameters": None}
    with pytest.raises(NeuralError, match=r"rotary_pct is 0\.4, but must be .* not 3"):
        text_of(values | {"rotary_pct": 0.4}, tmp_path)


@pytest.mark.parametrize("family", ROWS)
def test_a_class_of_another_family_is_refused_whatever_the_type_says(family, tmp_path):
    kind = getattr(transformers, ROWS[family][0].model)
    config = kind.config_class(architectures=[kind.__name__]).to_dict()
    family_of(Config(tmp_path / "config.json", config, ""))
    wrong = config | {"architectures": ["HeliumForCausalLM"]}
    with pytest.raises(NeuralError, match=f"HeliumForCausalLM, which is no {family}"):
        family_of(Config(tmp_path / "config.json", wrong, ""))


@pytest.mark.parametrize(
    ("family", "name"),
    [("llama", "MistralModel"), ("gemma", "Gemma2Model"), ("bart", "MBartModel"),
     ("qwen3", "Qwen3MoeForCausalLM"), ("bert", "DistilBertModel")],
)  # fmt: skip
def test_kin_is_told_apart(family, name, tmp_path):
    values = {"model_type": family, "architectures": [name]}
    with pytest.raises(NeuralError, match=f"architectures names {name}"):
        family_of(Config(tmp_path / "config.json", values, ""))


def test_a_window_that_no_llama_has_is_refused(tmp_path):
    values = values_of(ROWS["llama"][0]) | {"max_position_embeddings": 20}
    text_of(values | {"sliding_window": 20}, tmp_path)  # hides nothing
    with pytest.raises(NeuralError, match="sliding_window is 3"):
        text_of(values | {"sliding_window": 3}, tmp_path)


def test_a_small_roberta_is_no_bert_either(tmp_path):
    claims = {"model_type": "bert", "architectures": ["BertModel"]}
    claims |= {"type_vocab_size": 1, "pad_token_id": 1}
    with pytest.raises(NeuralError, match="padding token 1"):
        text_of(values_of(ROWS["roberta"][0]) | claims, tmp_path)


def test_layers_that_follow_no_pattern_are_refused(tmp_path):
    kinds = ["full_attention", "sliding_attention", "sliding_attention"]
    values = values_of(ROWS["gemma2"][0]) | {"num_hidden_layers": 4}
    with pytest.raises(NeuralError, match="a pattern that repeats"):
        text_of(values | {"layer_types": [kinds[0], *kinds]}, tmp_path)
    values = values_of(ROWS["qwen2"][1]) | {"layer_types": kinds[:2]}
    with pytest.raises(NeuralError, match="layers of this type must be alike"):
        text_of(values, tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(family=st.sampled_from(sorted(ROWS)), data=st.data(), value=json_values)
def test_any_value_gives_a_text_or_a_clear_error(tmp_path_factory, family, data, value):
    values = data.draw(st.sampled_from([values_of(row) for row in ROWS[family]]))
    key = data.draw(st.sampled_from(sorted(values)))
    head = data.draw(st.sampled_from(["", *known_families()[family].heads]))
    try:
        text = text_of(values | {key: value}, tmp_path_factory.getbasetemp(), head)
    except NeuralError as error:
        code = error.diagnostics[0].code
    else:
        code = "" if text.count("\n") <= 80 else text
    assert code in ("", "E0624", "E0625", "E0626")


def test_what_is_not_said_is_as_transformers_has_it(tmp_path):
    values = values_of(ROWS["mistral"][0])
    del values["sliding_window"]
    assert "window=4096" in text_of(values, tmp_path)
    assert "window" not in text_of(values | {"sliding_window": None}, tmp_path)
    values = values_of(ROWS["mistral"][0])
    everywhere = {"layer_types": ["full_attention"] * values["num_hidden_layers"]}
    assert "window" not in text_of(values | everywhere, tmp_path)
    values = values_of(ROWS["gemma2"][0])
    del values["attn_logit_softcapping"]
    assert "cap=50" in text_of(values, tmp_path)
    legacy = values_of(ROWS["gemma"][0]) | {"hidden_act": "gelu"}
    assert 'activation="gelu_tanh"' in text_of(legacy, tmp_path)


@pytest.mark.parametrize(
    ("family", "longest"),
    [("bert", 20), ("roberta", 18), ("gpt2", 20), ("distilbert", 20), ("llama", None)],
)
def test_a_network_says_what_it_takes(family, longest, tmp_path):
    (checked,), _ = check_text(text_of(values_of(ROWS[family][0]), tmp_path))
    assert max_length(checked) == longest
    assert id_limits(checked)["input_ids"] == 37


def test_beams_and_maps_behind_padding(backend, tmp_path):
    row = ROWS["gpt2"][0]
    model = made(row, tmp_path / "theirs")
    imported = import_model(tmp_path / "theirs", tmp_path / "small.neural")
    ours = load_model(imported.neural_path, backend, imported.weights_path)
    inputs = {name: x[::2] for name, x in inputs_of(row, model).items()}
    theirs = model.generate(
        **{name: torch.from_numpy(x) for name, x in inputs.items()},
        max_new_tokens=5, num_beams=3, do_sample=False, pad_token_id=0,
    )  # fmt: skip
    ids, shown = (ours.backend.tensor(x) for x in inputs.values())
    found, maps = ours.model.generate(
        ids, 5, beams=3, attention_mask=shown, return_attention=True
    )
    np.testing.assert_array_equal(ours.backend.array(found), theirs)
    mask = np.pad(inputs["attention_mask"], ((0, 0), (0, 5)), constant_values=1)
    places = np.maximum(mask.cumsum(axis=1) - 1, 0)
    with torch.no_grad():
        whole = model(
            theirs, attention_mask=torch.from_numpy(mask),
            position_ids=torch.from_numpy(places), output_attentions=True,
        )  # fmt: skip
    for one, other in zip(maps.values(), whole.attentions, strict=True):
        own = ours.backend.array(one).swapaxes(1, 2)
        assert_close(own[mask != 0], other.transpose(1, 2).numpy()[mask != 0])
    with pytest.raises(ValueError, match="padding goes before a text"):
        ours.model.generate(ids, 5, attention_mask=1 - shown)


HEADS = {  # what older files hold besides: the head again
    "gpt2": "lm_head.weight",
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "distilbert": "vocab_projector.weight",
    "t5": "lm_head.weight",
    "bart": "model.encoder.embed_tokens.weight",
    "whisper": "proj_out.weight",
    "modernbert": "decoder.weight",
}


@pytest.mark.parametrize("family", HEADS)
def test_a_head_that_is_stored_again_must_be_the_table(family, tmp_path):
    row, name = ROWS[family][0], HEADS[family]
    model = made(row, tmp_path / "theirs")
    path = tmp_path / "theirs" / "model.safetensors"
    table = model.get_input_embeddings().weight.detach().numpy()
    tensors = load_file(path)
    save_file(tensors | {name: table}, path)
    notes = import_model(tmp_path / "theirs", tmp_path / "small.neural").notes
    assert any(name in note for note in notes)
    save_file(tensors | {name: table + 1}, path)
    with pytest.raises(NeuralError, match="but the two differ"):
        import_model(tmp_path / "theirs", tmp_path / "small.neural")


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_positions_of_pegasus_that_are_no_sinusoids_are_refused(side, tmp_path):
    made(ROWS["pegasus"][1], tmp_path / "theirs")
    path = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(path)
    name = f"{side}.embed_positions.weight"
    rounded = tensors[name].astype(np.float16)
    save_file(tensors | {name: rounded}, path)
    import_model(tmp_path / "theirs", tmp_path / "small.neural")
    save_file(tensors | {name: tensors[name] + 0.1}, path)
    with pytest.raises(NeuralError, match=rf"`{name}` .*differ by up to 0\.1"):
        import_model(tmp_path / "theirs", tmp_path / "small.neural")


def test_an_expert_that_is_missing_is_named(tmp_path):
    made(ROWS["mixtral"][1], tmp_path / "theirs")
    path = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.0.block_sparse_moe.experts.{}.w3.weight"
    lost = tensors.pop(name.format(1))
    save_file(tensors, path)
    with pytest.raises(NeuralError, match=re.escape(f"`{name.format(1)}` is missing")):
        import_model(tmp_path / "theirs", tmp_path / "small.neural")
    save_file(tensors | {name.format(1): lost, name.format(3): lost}, path)
    with pytest.raises(NeuralError, match="describes does not have it"):
        import_model(tmp_path / "theirs", tmp_path / "small.neural")


@pytest.mark.parametrize(
    ("family", "number", "name"),
    [
        ("bert", 4, "bert.encoder.layer.1.attention.self.query.weight"),
        ("gpt2", 0, "transformer.h.0.attn.c_attn.weight"),  # fills three of ours
        ("llama", 0, "lm_head.weight"),
        ("clip_text_model", 0, "text_model.final_layer_norm.bias"),
    ],
)
def test_a_tensor_that_is_missing_has_the_name_that_the_files_give_it(
    family, number, name, tmp_path
):
    made(ROWS[family][number], tmp_path / "theirs")
    path = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path)
    with pytest.raises(NeuralError, match=re.escape(f"`{name}` is missing from")):
        import_model(tmp_path / "theirs", tmp_path / "small.neural")


def test_an_encoder_of_t5_alone_is_told_as_one(tmp_path):
    config = transformers.T5Config(**t5())
    transformers.T5EncoderModel(config).save_pretrained(tmp_path / "theirs")
    with pytest.raises(NeuralError) as caught:
        import_model(tmp_path / "theirs", tmp_path / "small.neural")
    (problem,) = caught.value.diagnostics
    assert "`decoder.block.0.layer.0.SelfAttention" in problem.message
    assert "those of an encoder only" in problem.hint


@pytest.mark.parametrize("tied", [False, True])
def test_t5_with_a_head_of_its_own(tied, tmp_path):
    """T5 1.1: what the file holds is the head, and the output is not scaled."""
    row = Row("T5ForConditionalGeneration", t5(tie_word_embeddings=tied))
    folder = tmp_path / "theirs"
    made(row, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["shared.weight"] * 0.5 + 0.1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    values = json.loads((folder / "config.json").read_text())
    values |= {"tie_word_embeddings": False}
    values.pop("scale_decoder_outputs", None)
    (folder / "config.json").write_text(json.dumps(values))
    model = transformers.T5ForConditionalGeneration.from_pretrained(folder)
    imported = import_model(folder, tmp_path / "small.neural")
    ours = load_model(imported.neural_path, "numpy", imported.weights_path)
    inputs = inputs_of(Row("", inputs="translation"), model)
    found, _ = run(ours.model, ours.backend, ours_of(inputs))
    assert_close(found, expected(model.eval(), inputs)[0])


@pytest.mark.parametrize(
    ("family", "number", "left_out"),
    [
        ("gpt2", 2, ["lm_head.weight"]),
        ("llama", 2, ["score.bias", "score.weight"]),
        ("vit", 0, ["classifier.bias", "classifier.weight"]),
        ("bart", 0, ["final_logits_bias"]),
        ("bert", 5, ["classifier.bias", "classifier.weight"]),
    ],
)
def test_a_head_that_no_architecture_names_is_left_out(
    family, number, left_out, tmp_path
):
    folder = tmp_path / "theirs"
    made(ROWS[family][number], folder)
    values = json.loads((folder / "config.json").read_text())
    del values["architectures"]
    (folder / "config.json").write_text(json.dumps(values))
    notes = import_model(folder, tmp_path / "small.neural").notes
    assert f"left out a task head: {', '.join(left_out)}" in notes


def test_a_clip_says_where_padding_belongs_that_ends_a_text(tmp_path):
    settings = transformers.CLIPTextConfig(**CLIP_TEXT | {"pad_token_id": 36})
    transformers.CLIPTextModel(settings).save_pretrained(tmp_path / "theirs")
    notes = import_model(tmp_path / "theirs", tmp_path / "small.neural").notes
    assert "padding has the id that ends a text, 36" in notes[0]
