"""Random valid networks of all layers, as text: `text_of(seed)`.

Each layer is drawn from those that fit the shape that arrives, and says what shape it
leaves: a vector (width), a sequence (time, width), a picture or a volume.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Shape = tuple[int, ...]
Drawn = tuple[str, Shape]  # a layer as it is written, what it leaves

ACTIVATIONS = (
    "relu", "gelu", "gelu_tanh", "sigmoid", "tanh", "softmax", "linear", "elu",
    "softplus", "softsign", "swish", "silu", "leaky_relu", "mish", "selu",
)  # fmt: skip


class Generator:
    """Draws one network; `seed` decides everything."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.defines: list[str] = []

    def text(self) -> str:
        """The network as a .neural file."""
        kind = self.random.choice(
            ("ids", "sequence", "sequence", "picture", "volume", "vector", "branches")
        )
        if kind == "branches":
            body = self._branches()
        else:
            given, first, shape = self._entry(kind)
            layers, _ = self._chain(shape, self.random.randint(1, 6))
            body = f"  input: {given}\n  layers:\n" + _lines([*first, *layers], 4)
        network = f"network Random{self.seed} {{\n{body}}}\n"
        return "\n".join([*self.defines, network])

    def _entry(self, kind: str) -> tuple[str, list[str], Shape]:
        """An input as it is written, layers that turn it to numbers, their shape."""
        time, width = self.random.randint(4, 7), self.random.choice((2, 4, 6))
        if kind == "ids":
            masked = self.random.choice(("", ", mask_zero=true"))
            return f"({time},)", [f"Embedding(9, {width}{masked})"], (time, width)
        axes = {"vector": 0, "sequence": 1, "picture": 2, "volume": 3}[kind]
        shape = (*(self.random.randint(4, 6) for _ in range(axes)), width)
        return f"({', '.join(map(str, shape))},)", [], shape

    def _branches(self) -> str:
        """Two branches of one shape, merged."""
        merge = self.random.choice(
            ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
             "Concatenate", "Dot(axes=1)")
        ).removesuffix("()")  # fmt: skip
        inputs, branches = [], []
        for name in ("left", "right"):
            given, first, shape = self._entry(
                self.random.choice(("ids", "sequence", "vector"))
            )
            layers, shape = self._chain(shape, self.random.randint(0, 2))
            if len(shape) > 1:
                layers.append(
                    "GlobalAveragePooling1D()" if len(shape) == 2 else "Flatten()"
                )
            layers.append("Dense(3)")
            inputs.append(f"{name}: {given}")
            branches.append(
                f"    {name}: {{\n" + _lines([*first, *layers], 6) + "    }\n"
            )
        call = merge if "(" in merge else f"{merge}()"
        after = _lines([call, f"Dense({self.random.randint(1, 4)})"], 4)
        return (
            f"  input: {{ {' '.join(inputs)} }}\n  layers:\n{''.join(branches)}{after}"
        )

    def _chain(self, shape: Shape, count: int) -> tuple[list[str], Shape]:
        layers = []
        for _ in range(count):
            draw = self.random.choice(self._fitting(shape))
            layer, shape = draw(shape)
            layers.append(layer)
        return layers, shape

    def _fitting(self, shape: Shape) -> list[Callable[[Shape], Drawn]]:
        fitting = [self._dense, self._elementwise, self._norm, self._residual]
        fitting.append(self._define)
        if len(shape) > 1:
            fitting += [self._arranged, self._convolution, self._convolution]
            fitting += [self._pooling, self._spatial, self._shrunk]
        if shape[-1] == 1:  # normalized alone, a number is rounding and nothing else
            fitting.remove(self._norm)
        elif len(shape) == 2:
            fitting += [self._attention] * 3 + [self._recurrent] * 2
            fitting.append(self._forward)
        if len(shape) == 3:
            fitting.append(self._each_step)
        return fitting

    # --- layers ----------------------------------------------------------------------

    def _activation(self) -> str:
        return f'"{self.random.choice(ACTIVATIONS)}"'

    def _flag(self) -> str:
        return self.random.choice(("true", "false"))

    def _dense(self, shape: Shape) -> Drawn:
        units = self.random.choice((2, 3, 4, 6))
        layer = f"Dense({units}, {self._activation()}, use_bias={self._flag()})"
        if self.random.random() < 0.2:
            return f"Output({units})", (*shape[:-1], units)
        if self.random.random() < 0.2:
            layer += f" * {self.random.randint(2, 3)}"
        elif self.random.random() < 0.2:
            return self._counted(shape)
        return layer, (*shape[:-1], units)

    def _counted(self, shape: Shape) -> Drawn:
        """Repeats that differ in width by their number, or are one layer."""
        count, first = self.random.randint(2, 4), self.random.choice((1, 2))
        if self.random.random() < 0.5:
            layer = f"Dense({shape[-1]}, {self._activation()}, shared=true) * {count}"
            return layer, shape
        step = self.random.choice(("index", "index % 2", "floor(index / 2)"))
        last = {"index": count - 1, "index % 2": (count - 1) % 2}
        width = 2 * last.get(step, (count - 1) // 2) + first
        return f"Dense(2 * ({step}) + {first}) * {count}", (*shape[:-1], width)

    def _elementwise(self, shape: Shape) -> Drawn:
        return (
            self.random.choice(
                (
                    f"Activation({self._activation()})",
                    "Dropout(0.2)",
                    "GaussianNoise(0.1)",
                )
            ),
            shape,
        )

    def _norm(self, shape: Shape) -> Drawn:
        groups = self.random.choice([g for g in (1, 2, 3) if shape[-1] % g == 0])
        names = ["LayerNormalization(epsilon=0.01)", "BatchNormalization()"]
        names.append(f"GroupNormalization(groups={groups}, epsilon=0.01)")
        if len(shape) > 1:
            names.append("InstanceNormalization(epsilon=0.01)")
        return self.random.choice(names), shape

    def _residual(self, shape: Shape) -> Drawn:
        known = len(self.defines)
        layers, inner = self._chain(shape[-1:], self.random.randint(0, 1))
        if any("Shared" in layer for layer in layers):  # it would flatten what is added
            layers, inner = [], shape[-1:]
            del self.defines[known:]
        dense = f"Dense({shape[-1]})"
        inside = " ".join([*(layers if len(inner) == 1 else []), dense])
        times = self.random.choice(("", "", " * 2"))
        return f"ResidualConnection {{ {inside} }}{times}", shape

    def _define(self, shape: Shape) -> Drawn:
        if self.random.random() < 0.4:
            return self._shared(shape)
        name = f"Block{len(self.defines)}"
        self.defines.append(
            f"define {name}(units, rate = 0.1) {{\n  Dense($units * 2, "
            f"{self._activation()})\n  Dropout($rate)\n  Dense($units)\n}}\n"
        )
        units = self.random.choice((2, 4))
        return f"{name}({units})", (*shape[:-1], units)

    def _shared(self, shape: Shape) -> Drawn:
        """One define that may stand at several places, each with another shape."""
        if not any("Shared" in define for define in self.defines):
            self.defines.append(
                "define Shared(units) {\n  Dense(3)\n  Flatten()\n  Dense($units, "
                f"{self._activation()})\n  Dense($units) * 2\n}}\n"
            )
        units = self.random.choice((2, 3))
        return f"Shared({units})", (units,)

    def _forward(self, shape: Shape) -> Drawn:
        name = f"Block{len(self.defines)}"
        merge = self.random.choice(("a(x) * b(x)", "a(x) - b(x) / 2", "x + a(b(x))"))
        self.defines.append(
            f"define {name}(d_model = width(x)) {{\n  layers:\n    a = Dense(d_model)\n"
            f"    b = Dense(d_model, {self._activation()})\n\n  forward(x):\n"
            f"    return {merge}\n}}\n"
        )
        return f"{name}()", shape

    def _arranged(self, shape: Shape) -> Drawn:
        if self.random.random() < 0.5 and len(shape) <= 4:
            axes = list(range(len(shape)))
            self.random.shuffle(axes)
            order = ", ".join(str(axis + 1) for axis in axes)
            return f"Permute(({order}))", tuple(shape[axis] for axis in axes)
        time = shape[0] * shape[-1]
        return f"Reshape(({time}, -1))", (time, _product(shape) // time)

    def _window(self, shape: Shape) -> tuple[int, int, str]:
        size = self.random.randint(1, min(3, *shape[:-1]))
        stride = self.random.choice((1, 1, 2))
        return size, stride, self.random.choice(("valid", "same"))

    def _convolution(self, shape: Shape) -> Drawn:
        axes, width = len(shape) - 1, shape[-1]
        if _product(shape) > 4_000:
            return self._shrunk(shape)
        size, stride, padding = self._window(shape)
        filters = self.random.choice((2, 4))
        options = (
            f'strides={stride}, padding="{padding}", activation={self._activation()}'
        )
        slid = tuple(_slid(n, size, stride, padding) for n in shape[:-1])
        kind = self.random.choice(
            ("Conv", "Conv", "Transpose", "Depthwise", "Separable")
        )
        if kind == "Transpose":
            more = 0 if padding == "same" else max(size - stride, 0)
            grown = tuple(n * stride + more for n in shape[:-1])
            return (
                f"Conv{axes}DTranspose({filters}, {size}, {options})",
                (*grown, filters),
            )
        if kind == "Depthwise" and axes < 3:
            return f"DepthwiseConv{axes}D({size}, {options})", (*slid, width)
        if kind == "Separable" and axes < 3:
            return f"SeparableConv{axes}D({filters}, {size}, {options})", (
                *slid,
                filters,
            )
        groups = 2 if width % 2 == 0 and self.random.random() < 0.3 else 1
        layer = f"Conv{axes}D({filters}, {size}, groups={groups}, {options})"
        return layer, (*slid, filters)

    def _pooling(self, shape: Shape) -> Drawn:
        axes = len(shape) - 1
        size, stride, padding = self._window(shape)
        kind = self.random.choice(("Max", "Average"))
        if axes < 3 and self.random.random() < 0.3:
            sizes = (self.random.randint(1, 4),) * axes
            return f"Adaptive{kind}Pooling{axes}D({sizes[0]})", (*sizes, shape[-1])
        slid = tuple(_slid(n, size, stride, padding) for n in shape[:-1])
        layer = f'{kind}Pooling{axes}D({size}, strides={stride}, padding="{padding}")'
        return layer, (*slid, shape[-1])

    def _spatial(self, shape: Shape) -> Drawn:
        axes = len(shape) - 1
        if self.random.random() < 0.5 or _product(shape) > 1_000:
            return f"SpatialDropout{axes}D(0.2)", shape
        grown = (*(2 * n for n in shape[:-1]), shape[-1])
        smooth = ', interpolation="bilinear"' if axes == 2 else ""
        return f"UpSampling{axes}D(2{smooth})", grown

    def _shrunk(self, shape: Shape) -> Drawn:
        axes = len(shape) - 1
        if self.random.random() < 0.3:
            return "Flatten()", (_product(shape),)
        kind = self.random.choice(("Max", "Average"))
        return f"Global{kind}Pooling{axes}D()", shape[-1:]

    def _attention(self, shape: Shape) -> Drawn:
        width = shape[-1]
        heads = self.random.choice([h for h in (1, 2, 3) if width % h == 0])
        causal = self._flag()
        options = f"{heads}, 5, activation={self._activation()}, norm_first={causal}"
        layers = [
            f"MultiHeadAttention({heads}, causal={causal})",
            f"MultiHeadAttention({heads}, key_dim=3, value_dim=2, use_bias=false)",
            f"TransformerEncoder({options})",
            f"TransformerEncoder({options}) * 2",
            f"TransformerEncoder({options}, shared=true) * 3",
            f"MultiHeadAttention({heads}, causal=index % 2 == 0) * 3",
            f"TransformerDecoder({options})",
            'PositionalEncoding(encoding_type="learned", max_len=500)',
        ]
        if width % 2 == 0:
            layers.append("PositionalEncoding()")
        layers += [
            f"LlamaDecoder({heads}, 1, 5, head_dim=4, qk_norm={causal})",
            f"LlamaDecoder({heads}, 1, 5, head_dim=2, window=2, sinks={causal}) * 2",
            "GatedFeedForward(5) RMSNorm()",
            "MixtureOfExperts(3, 2, 5)",
        ]
        return self.random.choice(layers), shape

    def _recurrent(self, shape: Shape) -> Drawn:
        kind = self.random.choice(("LSTM", "GRU", "SimpleRNN"))
        units, sequences = self.random.choice((2, 3)), self._flag()
        options = f"{units}, return_sequences={sequences}, use_bias={self._flag()}"
        times = " * 2" if sequences == "true" and self.random.random() < 0.3 else ""
        before = shape[:1] if sequences == "true" else ()
        if self.random.random() < 0.4:
            mode = self.random.choice(("concat", "sum", "mul", "ave"))
            width = units * 2 if mode == "concat" else units
            layer = f'Bidirectional({kind}({options}), merge_mode="{mode}")'
            return layer, (*before, width)
        if self.random.random() < 0.3:
            first = f"first_{self.random.randrange(10**6)}"
            states = f"{units}, return_sequences=true, return_state=true"
            second = f"{kind}({options}, initial_state={first})"
            return f"{first} = {kind}({states}) {second}", (*before, units)
        backwards = self._flag()
        layer = f"{kind}({options}, go_backwards={backwards})"
        return layer + times, (*before, units)

    def _each_step(self, shape: Shape) -> Drawn:
        units = self.random.choice((2, 3))
        return self.random.choice(
            (
                ("TimeDistributed(Flatten())", (shape[0], _product(shape[1:]))),
                ("TimeDistributed(GlobalMaxPooling1D())", (shape[0], shape[2])),
                (f"TimeDistributed(GRU({units}))", (shape[0], units)),
                (f"TimeDistributed(Dense({units}))", (*shape[:2], units)),
            )
        )


def text_of(seed: int) -> str:
    """The random network of this seed, as a .neural file."""
    return Generator(seed).text()


def _lines(layers: list[str], indent: int) -> str:
    return "".join(" " * indent + layer + "\n" for layer in layers)


def _product(sizes: Shape) -> int:
    found = 1
    for size in sizes:
        found *= size
    return found


def _slid(length: int, size: int, stride: int, padding: str) -> int:
    room = length if padding == "same" else length - size + 1
    return -(-room // stride)
