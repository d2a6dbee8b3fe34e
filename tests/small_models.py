"""Pretrained models, and maps of images, that are as small as can be."""

import json

import numpy as np
from safetensors.numpy import save_file

from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.picture import Picture

VOCABULARY, WIDTH, FEED, POSITIONS = 11, 8, 12, 6
CONFIG = {
    "model_type": "bert",
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": FEED,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
}


def bert_tensors(layers=2):
    """Random weights of a tiny BERT under the names of transformers."""
    random = np.random.default_rng(0)

    def drawn(*shape):
        return random.standard_normal(shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": drawn(VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": drawn(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": drawn(2, WIDTH),
        "embeddings.LayerNorm.weight": drawn(WIDTH),
        "embeddings.LayerNorm.bias": drawn(WIDTH),
    }
    dense = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (FEED, WIDTH),
        "output.dense": (WIDTH, FEED),
    }
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        for name, (outputs, inputs) in dense.items():
            tensors[f"{layer}{name}.weight"] = drawn(outputs, inputs)
            tensors[f"{layer}{name}.bias"] = drawn(outputs)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"{layer}{name}.weight"] = drawn(WIDTH)
            tensors[f"{layer}{name}.bias"] = drawn(WIDTH)
    return tensors


def write_config(folder, remove=(), **changes):
    values = {k: v for k, v in (CONFIG | changes).items() if k not in remove}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


WORDS = "[PAD] [UNK] [CLS] [SEP] the cat sat ##s on mat .".split()


def write_bert(folder):
    """A BERT with a tokenizer of a few words, which puts [SEP] between two texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir()
    write_config(folder, max_position_embeddings=16)
    tensors = bert_tensors()
    positions = tensors["embeddings.position_embeddings.weight"]
    tensors["embeddings.position_embeddings.weight"] = np.resize(positions, (16, WIDTH))
    save_file(tensors, folder / "model.safetensors")
    known = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def noise(height, width):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def seen_maps(before=("[CLS]",)):
    """Two layers of two heads over 2 x 3 patches."""
    picture = Picture(noise(8, 12), (2, 3), before)
    count = len(picture.tokens)
    weights = np.random.default_rng(1).dirichlet(np.ones(count), (2, 1, 2, count))
    tokens = picture.tokens
    maps = [
        AttentionMap(f"layer_{n}", one, query_tokens=tokens, key_tokens=tokens)
        for n, one in enumerate(weights)
    ]
    return AttentionMaps(maps, pictures=[picture])
