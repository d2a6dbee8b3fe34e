"""BERT's kin: what the families of encoders for text have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neural_attn.pretrained.conversion.activations import activation
from neural_attn.pretrained.conversion.common import (
    ENCODER,
    MAX_LAYERS,
    TEXT,
    described,
    rate_note,
    refuse,
    width_and_heads,
)
from neural_attn.pretrained.conversion.config import Config
from neural_attn.pretrained.conversion.family import (
    Argument,
    Array,
    Block,
    Code,
    Extra,
    Layer,
    Plan,
    Rule,
    rules,
)
from neural_attn.pretrained.conversion.heads import (
    MASKED,
    PRETRAINING,
    SEQUENCE,
    SPAN,
    TAGS,
)

Names = Mapping[str, str]

HEADS: Names = {SEQUENCE: "classifier", TAGS: "classifier", SPAN: "qa_outputs"}
BERT_LAYER: Names = {
    "attention.self.query": "attention.query_projection",
    "attention.self.key": "attention.key_projection",
    "attention.self.value": "attention.value_projection",
    "attention.output.dense": "attention.output_projection",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
    "output.LayerNorm": "feed_forward_norm",
}


@dataclass(frozen=True)
class Kin:
    """How one family of encoders differs from the others.

    `keys` are its own names for values of BERT's config.json, `layer` and `stack` its
    names for the parts of a layer and for all layers. `masked` and `pooled` name the
    layers of the heads that guess tokens (transform, transform_norm, bias) and that
    tell the whole (pool, head), with the activation of each, None for the model's own;
    `detecting` those of a head that tells tokens that were replaced. `widen` is what
    stands between embeddings and layers of another width. With `counts_real`,
    positions count what is not padding; with `shared`, all layers are one.
    """

    title: str
    masked: tuple[Names, str | None]
    pooled: tuple[Names, str]
    layer: Names = field(default_factory=lambda: BERT_LAYER)
    stack: str = "encoder.layer.#."
    keys: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, tuple[Sequence[object], str]] = field(default_factory=dict)
    extras: Sequence[Extra] = ()
    detecting: Names = field(default_factory=dict)
    widen: str = ""
    counts_real: bool = False
    segments: bool = True
    shared: bool = False

    def key(self, name: str) -> str:
        """Its own name for a value of BERT's config.json."""
        return self.keys.get(name, name)


@dataclass
class _Text:
    """What is gathered for a file."""

    layers: list[Layer]
    equations: list[str]
    rules: list[Rule]
    extras: list[Extra]
    arguments: dict[str, Argument]

    def add(
        self, name: str, block: str, repeat: int = 1, **arguments: Argument
    ) -> None:
        """A layer behind those that are there."""
        self.layers.append(Layer(block, arguments, repeat, name))


def encoder_plan(config: Config, kin: Kin) -> Plan:
    """The network of a config.json of BERT's kin."""
    refuse(config, {**ENCODER, **kin.options})
    width, heads = width_and_heads(
        config, kin.key("hidden_size"), kin.key("num_attention_heads")
    )
    depth = config.size(kin.key("num_hidden_layers"), maximum=MAX_LAYERS)
    text = _Text([], [], [], [], {})
    inputs = list(TEXT)
    if kin.segments and config.size("type_vocab_size", 2) > 1:
        inputs.insert(1, ("token_type_ids", "(none,)"))
    _add_embeddings(text, config, kin, width)
    notes = _add_layers(text, config, kin, depth)
    _add_head(text, config, kin, width)
    return Plan(
        summary=described(kin.title, depth, heads),
        inputs=inputs,
        block=Block(f"{kin.title}Encoder", text.equations, text.arguments),
        layers=text.layers,
        rules=text.rules,
        extras=[*text.extras, *kin.extras],
        body=("embeddings.", kin.stack.partition(".")[0] + "."),
        notes=notes,
    )


def with_old_names(names: Names) -> dict[str, str]:
    """Names of norms also as models converted from TensorFlow 1 have them."""
    old = {
        f"{theirs}.{word}": f"{ours}.{new}"
        for theirs, ours in names.items()
        if theirs.endswith("LayerNorm")
        for word, new in (("gamma", "weight"), ("beta", "bias"))
    }
    return {**names, **old}


def _add_embeddings(text: _Text, config: Config, kin: Kin, width: int) -> None:
    small = config.size("embedding_size", 128) if kin.widen else width
    vocabulary = config.size("vocab_size")
    length = config.size("max_position_embeddings")
    kinds = config.size("type_vocab_size", 2) if kin.segments else 0
    text.add("token", "Embedding", input_dim=vocabulary, output_dim=small)
    total = "token(input_ids)"
    names = {"word_embeddings": "token", "position_embeddings": "position"}
    text.rules += rules(with_old_names({**names, "LayerNorm": "norm"}), "embeddings.")
    if kinds > 1:
        text.add("segment", "Embedding", input_dim=kinds, output_dim=small)
        total += " + segment(token_type_ids)"
        text.rules += rules({"token_type_embeddings": "segment"}, "embeddings.")
    elif kinds:
        text.add("segment", "Weight", shape=small, start="zeros")
        total += " + segment"
        name = "token_type_embeddings.weight"
        text.rules += rules({name: "segment"}, "embeddings.", convert=_only_row)
    padding = config.whole("pad_token_id", 1)
    rows: Argument = length
    if kin.counts_real:
        longest = length - padding - 1
        needed = f"above {padding + 1}, where positions begin"
        config.check(longest > 0, "max_position_embeddings", needed)
        text.arguments["max_len"] = longest
        rows = Code(f"max_len + {padding + 1}")
    text.add("position", "Embedding", input_dim=rows, output_dim=small)
    text.add("norm", "LayerNormalization", epsilon=_epsilon(config, kin))
    text.equations.append(f"x = {total}")
    if kin.counts_real:
        text.equations += [
            "# positions count what is not padding, and begin after that of padding",
            f"real = minimum(abs(input_ids - {padding}), 1)",
            f"x = x + position(cumsum(real, axis=1) * real + {padding})",
        ]
    else:
        text.equations.append("x = x + position(position_ids(input_ids))")
    rate = config.number(kin.key("hidden_dropout_prob"), 0.1)
    text.add("dropout", "Dropout", rate=rate)
    text.equations.append("x = dropout(norm(x))")
    if kin.widen and (small != width or kin.shared):
        text.add("widen", "Dense", units=width)
        text.equations.append("x = widen(x)")
        text.rules += rules({kin.widen: "widen"})


def _only_row(values: Array) -> Array:
    return values[0] if len(values) == 1 else values


def _epsilon(config: Config, kin: Kin) -> float:
    return config.number(kin.key("layer_norm_eps"), 1e-12)


def _add_layers(text: _Text, config: Config, kin: Kin, depth: int) -> list[str]:
    """The stack of layers; returns notes on its dropout."""
    dropout = config.number(kin.key("hidden_dropout_prob"), 0.1)
    text.add(
        "encoder",
        "TransformerEncoder",
        depth,
        num_heads=config.size(kin.key("num_attention_heads")),
        ff_dim=config.size(kin.key("intermediate_size")),
        dropout=dropout,
        activation=activation(config, kin.key("hidden_act"), "gelu"),
        epsilon=_epsilon(config, kin),
        **({"shared": True} if kin.shared and depth > 1 else {}),
    )
    ours = "encoder." if kin.shared else "encoder.#."
    text.rules += rules(with_old_names(kin.layer), kin.stack, ours)
    text.equations.append("x = encoder(x, attention_mask=attention_mask)")
    weights, hidden = (
        kin.key(f"{name}_dropout_prob") for name in ("attention_probs", "hidden")
    )
    return rate_note(config, weights, 0.1, hidden, dropout)


def _add_head(text: _Text, config: Config, kin: Kin, width: int) -> None:
    if config.head == MASKED or (config.head == PRETRAINING and not kin.detecting):
        _add_guesses(text, config, kin)
    elif config.head == SEQUENCE:
        names, function = kin.pooled
        text.add("pool", "Dense", units=width, activation=function)
        text.add("head", "Dense", units=config.labels())
        text.rules += rules(names)
        first = f"reshape(slice(x, 0, 1, axis=1), (-1, {width}))"
        text.equations += [f"first = {first}", "return head(pool(first))"]
    elif config.head == PRETRAINING:
        function = activation(config, kin.key("hidden_act"), "gelu")
        text.add("transform", "Dense", units=width, activation=function)
        text.add("head", "Dense", units=1)
        text.rules += rules(kin.detecting)
        text.equations.append("return reshape(head(transform(x)), (-1, length(x)))")
    elif config.head in (TAGS, SPAN):
        text.add("head", "Dense", units=config.labels())
        text.rules += rules({"classifier": "head", "qa_outputs": "head"})
        text.equations.append("return head(x)")
    else:
        last = text.equations.pop()
        text.equations.append(last.replace("x = ", "return ", 1))


def _add_guesses(text: _Text, config: Config, kin: Kin) -> None:
    """A share for each token at each place, by the table of tokens if it is tied."""
    names, function = kin.masked
    tied = config.flag("tie_word_embeddings", True)
    unused = "head" if tied else "bias"
    for theirs in [name for name, ours in names.items() if ours == unused]:
        plain, copies = re.escape(theirs), "copies of what is tied"
        if tied:
            text.extras.append(Extra(rf"{plain}\.weight", copies, "token.weight"))
            if f"{theirs}.bias" not in names:  # else it is the bias itself
                text.extras.append(Extra(rf"{plain}\.bias", copies, "bias"))
        else:
            text.extras.append(Extra(plain, "a bias that is not used"))
    names = {n: ours for n, ours in names.items() if ours != unused}
    text.rules += rules(with_old_names(names))
    vocabulary, size = (
        text.layers[0].arguments[name] for name in ("input_dim", "output_dim")
    )
    own = activation(config, kin.key("hidden_act"), "gelu")
    text.add("transform", "Dense", units=size, activation=function or own)
    text.add("transform_norm", "LayerNormalization", epsilon=_epsilon(config, kin))
    text.equations.append("x = transform_norm(transform(x))")
    if tied:
        text.add("bias", "Weight", shape=vocabulary, start="zeros")
        text.equations.append("return x @ transpose(weight(token)) + bias")
    else:
        text.add("head", "Dense", units=vocabulary)
        text.equations.append("return head(x)")
