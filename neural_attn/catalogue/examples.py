"""One example of each layer and block: the input, and the layers as they are written.

`neural layers NAME` and docs/language.md show them; a test runs each.
"""

from __future__ import annotations

from neural_attn.catalogue import LAYERS

_SERIES = "(16, 8)"
_IMAGE = "(16, 16, 3)"
_VOLUME = "(8, 8, 8, 2)"
_PAIR = "{ left: (8,) right: (8,) }"


def _merged(layer: str) -> tuple[str, str]:
    return _PAIR, f"left: {{ Dense(4) }} right: {{ Dense(4) }} {layer}"


_RECURRENT = "{ source: (16, 8) target: (12, 8) }"


def _run(step: str, body: str) -> tuple[str, ...]:
    """A step, and the define that calls it at each step of its input."""
    return (
        _SERIES,
        "Run(units=4)",
        f"define Run(units) {{ layers: step = {step}(units) "
        f"forward(x): start = zeros((1, 1, units), x) {body} }} ",
    )


def _decoder(layer: str) -> str:
    return (
        "source: { LSTM(8, return_sequences=true) } "
        f"target: {{ {layer.replace(')', ', memory=source)')} }}"
    )


def _biased(layer: str) -> tuple[str, ...]:
    """A bias, and the define that attends with it."""
    return (
        _SERIES,
        "Biased()",
        f"define Biased() {{ layers: bias = {layer} forward(x): "
        "heads = split_heads(x, 2) "
        "return merge_heads(attend(heads, heads, heads, bias=bias(heads))) } ",
    )


# name: (input, layers, the define they use if there is one)
EXAMPLES: dict[str, tuple[str, ...]] = {
    "Dense": (_SERIES, 'Dense(units=4, activation="relu")'),
    "Output": (_SERIES, "Flatten() Output(units=3)"),
    "Activation": (_SERIES, 'Activation("gelu")'),
    "Dropout": (_SERIES, "Dropout(0.1)"),
    "Embedding": ("(16,)", "Embedding(input_dim=1000, output_dim=8, mask_zero=true)"),
    "GlobalAveragePooling1D": (_SERIES, "GlobalAveragePooling1D()"),
    "GlobalMaxPooling1D": (_SERIES, "GlobalMaxPooling1D()"),
    "Weight": (
        _SERIES,
        "Scaled()",
        "define Scaled(d_model = width(x)) { "
        'layers: scale = Weight(d_model, "ones") forward(x): return x * scale } ',
    ),
    "Cache": (
        _SERIES,
        "Causal()",
        "define Causal(d_model = width(x)) { layers: key = Dense(d_model) "
        "past_keys = Cache() past_values = Cache() forward(x): "
        "keys = past_keys(split_heads(key(x), 2)) "
        "values = past_values(split_heads(x, 2)) "
        "return merge_heads(attend(split_heads(x, 2), keys, values, causal=true)) } ",
    ),
    "Flatten": (_SERIES, "Flatten()"),
    "Reshape": (_SERIES, "Reshape((4, 32))"),
    "Add": (_SERIES, "LayerNormalization() Dense(8) Add()"),
    "LayerNormalization": (_SERIES, "LayerNormalization(epsilon=1e-6)"),
    "BatchNormalization": (_IMAGE, "BatchNormalization(momentum=0.9)"),
    "GroupNormalization": (_SERIES, "GroupNormalization(groups=4)"),
    "InstanceNormalization": (_IMAGE, "InstanceNormalization()"),
    "Conv1D": (_SERIES, 'Conv1D(filters=4, kernel_size=3, padding="same")'),
    "Conv2D": (_IMAGE, "Conv2D(filters=4, kernel_size=(3, 3), strides=2)"),
    "Conv3D": (_VOLUME, "Conv3D(filters=4, kernel_size=3)"),
    "Conv1DTranspose": (_SERIES, "Conv1DTranspose(4, 3, strides=2)"),
    "Conv2DTranspose": (_IMAGE, "Conv2DTranspose(4, 3, strides=2)"),
    "Conv3DTranspose": (_VOLUME, "Conv3DTranspose(4, 3)"),
    "DepthwiseConv1D": (_SERIES, "DepthwiseConv1D(kernel_size=3)"),
    "DepthwiseConv2D": (_IMAGE, "DepthwiseConv2D(kernel_size=3)"),
    "MaxPooling1D": (_SERIES, "MaxPooling1D(pool_size=2)"),
    "MaxPooling2D": (_IMAGE, "MaxPooling2D(pool_size=2)"),
    "MaxPooling3D": (_VOLUME, "MaxPooling3D(pool_size=2)"),
    "AveragePooling1D": (_SERIES, "AveragePooling1D(pool_size=2)"),
    "AveragePooling2D": (_IMAGE, "AveragePooling2D(pool_size=2)"),
    "AveragePooling3D": (_VOLUME, "AveragePooling3D(pool_size=2)"),
    "GlobalMaxPooling2D": (_IMAGE, "GlobalMaxPooling2D()"),
    "GlobalMaxPooling3D": (_VOLUME, "GlobalMaxPooling3D()"),
    "GlobalAveragePooling2D": (_IMAGE, "GlobalAveragePooling2D()"),
    "GlobalAveragePooling3D": (_VOLUME, "GlobalAveragePooling3D()"),
    "AdaptiveMaxPooling1D": (_SERIES, "AdaptiveMaxPooling1D(4)"),
    "AdaptiveMaxPooling2D": (_IMAGE, "AdaptiveMaxPooling2D(4)"),
    "AdaptiveAveragePooling1D": (_SERIES, "AdaptiveAveragePooling1D(4)"),
    "AdaptiveAveragePooling2D": (_IMAGE, "AdaptiveAveragePooling2D((4, 2))"),
    "UpSampling1D": (_SERIES, "UpSampling1D(size=2)"),
    "UpSampling2D": (_IMAGE, "UpSampling2D(size=2)"),
    "UpSampling3D": (_VOLUME, "UpSampling3D(size=2)"),
    "Permute": (_SERIES, "Permute((2, 1))"),
    "SpatialDropout1D": (_SERIES, "SpatialDropout1D(0.1)"),
    "SpatialDropout2D": (_IMAGE, "SpatialDropout2D(0.1)"),
    "SpatialDropout3D": (_VOLUME, "SpatialDropout3D(0.1)"),
    "GaussianNoise": (_SERIES, "GaussianNoise(0.1)"),
    "Subtract": _merged("Subtract()"),
    "Multiply": _merged("Multiply()"),
    "Average": _merged("Average()"),
    "Maximum": _merged("Maximum()"),
    "Minimum": _merged("Minimum()"),
    "Concatenate": _merged("Concatenate()"),
    "Dot": _merged("Dot(axes=1)"),
    "SimpleRNN": (_SERIES, "SimpleRNN(units=4)"),
    "GRU": (_SERIES, "GRU(units=4, return_sequences=true)"),
    "LSTM": (_SERIES, "LSTM(units=4, return_sequences=true)"),
    "BidirectionalSimpleRNN": (_SERIES, "Bidirectional(SimpleRNN(4))"),
    "BidirectionalGRU": (_SERIES, "Bidirectional(GRU(4, return_sequences=true))"),
    "BidirectionalLSTM": (_SERIES, 'Bidirectional(LSTM(4), merge_mode="sum")'),
    "AdaptiveAveragePooling3D": (_VOLUME, "AdaptiveAveragePooling3D((4, 4, 2))"),
    "AdaptiveMaxPooling3D": (_VOLUME, "AdaptiveMaxPooling3D(4)"),
    "Attention": (_SERIES, "LSTM(8, return_sequences=true) Attention()"),
    "MultiHeadAttention": (_SERIES, "MultiHeadAttention(num_heads=2)"),
    "FeedForward": (_SERIES, 'FeedForward(ff_dim=32, activation="gelu")'),
    "GatedFeedForward": (_SERIES, "GatedFeedForward(ff_dim=24)"),
    "MixtureOfExperts": (
        _SERIES,
        "MixtureOfExperts(num_experts=4, experts_per_token=2, ff_dim=12)",
    ),
    "RMSNorm": (_SERIES, "RMSNorm()"),
    "RotaryPositions": (
        _SERIES,
        "Turned()",
        "define Turned() { layers: rotary = RotaryPositions() forward(x): "
        "return merge_heads(rotary(split_heads(x, 2), positions(x))) } ",
    ),
    "GroupedQueryAttention": (
        _SERIES,
        "GroupedQueryAttention(num_heads=4, num_kv_heads=2)",
    ),
    "LlamaDecoder": (_SERIES, "LlamaDecoder(num_heads=4, num_kv_heads=2, ff_dim=24)"),
    "MixtralDecoder": (
        _SERIES,
        "MixtralDecoder(num_heads=4, num_kv_heads=2, ff_dim=12, num_experts=4)",
    ),
    "NeoXDecoder": (_SERIES, "NeoXDecoder(num_heads=2, ff_dim=32)"),
    "RotaryEncoder": (_SERIES, "RotaryEncoder(num_heads=2, ff_dim=32, window=4)"),
    "TransformerEncoder": (_SERIES, "TransformerEncoder(num_heads=2, ff_dim=32) * 2"),
    "TransformerDecoder": (_SERIES, "TransformerDecoder(num_heads=2, ff_dim=32)"),
    "PositionalEncoding": (_SERIES, "PositionalEncoding()"),
    "TransformerEmbedding": (
        "{ input_ids: (16,) token_type_ids: (16,) }",
        "TransformerEmbedding(vocab_size=1000, d_model=8)",
    ),
    "SeparableConv1D": (_SERIES, "SeparableConv1D(filters=4, kernel_size=3)"),
    "SeparableConv2D": (_IMAGE, "SeparableConv2D(filters=4, kernel_size=3)"),
    "LSTMCell": _run(
        "LSTMCell",
        "hidden, cell = step(slice(x, 0, 1, axis=1), start, start) return hidden",
    ),
    "GRUCell": _run("GRUCell", "return scan(step, x, start)"),
    "BahdanauStep": _run("BahdanauStep", "return scan(step, x, start, x)"),
    "LuongStep": _run(
        "LuongStep", "y, _, _, _ = scan(step, x, start, start, start, x) return y"
    ),
    "AdditiveAttention": (_SERIES, "AdditiveAttention()"),
    "LuongAttention": (_SERIES, 'LuongAttention(score="dot")'),
    "BahdanauDecoder": (_RECURRENT, _decoder("BahdanauDecoder(units=4)")),
    "LuongDecoder": (_RECURRENT, _decoder('LuongDecoder(units=4, score="general")')),
    "RelativePositionBias": _biased("RelativePositionBias(num_heads=2)"),
    "T5Attention": (_SERIES, "T5Attention(num_heads=2)"),
    "T5Encoder": (
        _SERIES,
        "Encoder()",
        "define Encoder() { layers: bias = RelativePositionBias(num_heads=2) "
        "layer = T5Encoder(num_heads=2, ff_dim=32) * 2 "
        "forward(x): return layer(x, bias(x)) } ",
    ),
    "T5Decoder": (
        _SERIES,
        "Decoder()",
        "define Decoder() { "
        "layers: bias = RelativePositionBias(num_heads=2, bidirectional=false) "
        "layer = T5Decoder(num_heads=2, ff_dim=32) * 2 "
        "forward(x): return layer(x, x, bias(x)) } ",
    ),
    "LinearBias": _biased("LinearBias(num_heads=2)"),
    "LinearBiasAttention": (_SERIES, "LinearBiasAttention(num_heads=2)"),
    "PatchEmbedding": (_IMAGE, "PatchEmbedding(d_model=8, patch_size=4)"),
    "FrameEmbedding": (_SERIES, "FrameEmbedding(d_model=12)"),
    "ClassToken": (_SERIES, "ClassToken()"),
    "FirstStep": (_SERIES, "FirstStep()"),
    "LastStep": (_SERIES, "LastStep()"),
    "DifferentialAttention": (
        _SERIES,
        "DifferentialAttention(num_heads=2, depth=index) * 2",
    ),
    "SigmoidAttention": (_SERIES, "SigmoidAttention(num_heads=2)"),
    "LinearAttention": (_SERIES, "LinearAttention(num_heads=2)"),
    "LinearAttentionStep": (
        _SERIES,
        "Run(num_heads=2)",
        "define Run(num_heads, d_model = width(x)) { layers: "
        "step = LinearAttentionStep(num_heads) forward(x): "
        "joined = concatenate([exp(x), exp(x), x]) size = d_model / num_heads "
        "sums = zeros((1, num_heads, size, size), x) "
        "totals = zeros((1, num_heads, 1, size), x) "
        "y, _, _ = scan(step, joined, sums, totals) return y } ",
    ),
    "LatentAttention": (_SERIES, "LatentAttention(num_heads=2, latent_dim=4)"),
    "GraphAttention": (
        "{ x: (6, 8) adjacency: (6, 6) }",
        "GraphAttention(num_heads=2, units=4)",
    ),
}


def example(name: str) -> str:
    """A network that shows a layer or block, in canonical form; "" where none is."""
    from neural_attn.grammar.format import format_text

    layer = LAYERS.get(name)
    found = EXAMPLES.get(name) or (layer.example if layer else None)
    if found is None:
        return ""
    given, layers, *define = found
    network = f"network Example {{ input: {given}\n\nlayers: {layers} }}"
    return format_text("".join(define) + network)
