"""Random equations: a network whose define has a forward drawn by a seed.

Many are refused; those that `check` accepts must run on every backend and agree.
"""

from __future__ import annotations

import random

FUNCTIONS = ("relu", "gelu", "silu", "sigmoid", "tanh", "softmax", "sin", "abs", "cos")
REDUCTIONS = ("sum", "mean", "max", "min", "cumsum")
NUMBERS = ("0.37", "2", "-1.5", "half", "d_model / 4", "d_model")


class Forward:
    """Draws the statements of one forward."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tensors = ["x", "x", "known"]
        self.masks: list[str] = []

    def text(self) -> str:
        """A network with padded ids, one of vectors, and the define on both."""
        attends = self.random.random() < 0.5
        lines = ["n = length(x)", "half = d_model / 2"]
        lines += ["i = reshape(arange(n, x), (1, n, 1))"]
        lines += ["j = reshape(arange(n, x), (1, 1, n))"]
        lines += ["known = table(ids)", "step = reshape(ids, (-1, n, 1))"]
        lines += ["place = reshape(position_ids(x), (1, n, 1))"]
        for number in range(self.random.randint(1, 4)):
            lines += self.statement(number)
        result = self.random.choice(self.tensors)
        if attends:
            lines += self.attention()
            result = f"{result} + out(merge_heads(context))"
        lines.append(f"return {result}")
        body = "\n".join(f"    {line}" for line in lines)
        return (
            "define Own(d_model = width(x)) {\n  layers:\n    dense = Dense(d_model)\n"
            "    out = Dense(d_model)\n    narrow = Dense(2)\n"
            "    table = Embedding(9, d_model)\n    step_by_step = GRUCell(d_model)\n"
            "    reader = GRU(d_model, return_sequences=true)\n"
            "    both = LSTM(d_model, return_state=true, return_sequences=true)\n"
            '    gain = Weight((1, 1, d_model), "normal")\n\n'
            f"  forward(x, ids, attention_mask = none):\n{body}\n}}\n\n"
            "network Random {\n  input: { a: (6,) b: (6, 4) ids: (6,) }\n  layers:\n"
            "    a: { Embedding(9, 4, mask_zero=true) Own() }\n    b: { Own() }\n"
            "    Add()\n}\n"
        )

    def statement(self, number: int) -> list[str]:
        """One that names a tensor or a mask, perhaps only where a mask is given."""
        if self.random.random() < 0.3:
            line = f"m{number} = {self.mask(2)}"
            self.masks.append(f"m{number}")
            return [line]
        name = f"t{number}"
        line = f"{name} = {self.tensor(3)}"
        if self.random.random() < 0.2:
            line = f"{name}, rest{number} = split({self.tensor(1)}, 2, axis=2)"
            line += f" {name} = concatenate([rest{number}, {name}])"
        if self.random.random() < 0.1:
            given = f", initial_state=(h{number}, c{number})"
            line = f"_, h{number}, c{number} = both({self.tensor(1)})"
            line += f" {name}, _, _ = both({self.tensor(1)}{given})"
        self.tensors += [name, name]
        if self.random.random() < 0.2:
            condition = self.random.choice(("!= none", "== none"))
            again = f"{name} = {self.tensor(1)}"
            return [line, f"if attention_mask {condition} {{ {again} }}"]
        return [line]

    def attention(self) -> list[str]:
        """Heads that attend, with a mask of the forward's own or the given one."""
        near = self.random.choice(
            ("i - j < 3", "j <= i", "not (j > i)", "i - j < half and j <= i", "i == j")
        )
        square = near.replace("i", "r").replace("j", "c")
        mask = self.random.choice(("attention_mask", "near", "near and attention_mask"))
        query, key = (self.tensor(self.random.choice((0, 1))) for _ in range(2))
        return [
            "r = reshape(arange(n, x), (1, 1, n, 1))",
            "c = reshape(arange(n, x), (1, 1, 1, n))",
            f"near = {square}",
            f"q = split_heads({query}, 2)",
            f"k = split_heads({key}, 2)",
            *self.context(mask),
        ]

    def context(self, mask: str) -> list[str]:
        """Attention that the framework computes, or weights that are observed."""
        logits = "q @ transpose(k)"
        drawn = [
            [],
            [f"w = observe(attention_softmax({logits}, {mask}), {mask})"],
            [f'w = observe(softmax({logits}) / 2, rows="parts")'],
            [f'w = observe(where(near, sigmoid({logits}), 0), near, rows="gates")'],
            [
                f"w = attention_softmax({logits}, {mask})",
                f"w = w - 0.5 * attention_softmax(k @ transpose(q), {mask})",
                f'w = observe(w, {mask}, rows="signed")',
            ],
        ]
        lines = self.random.choice(drawn)
        if lines:
            return [*lines, "context = w @ k"]
        return [
            "places = relative_positions(q, k)",
            f"context = attend(q, k, k, {mask}{self.options()})",
        ]

    def options(self) -> str:
        """Some of the options of attend."""
        slopes = "reshape(arange(2, x) + 1, (2, 1))"
        biases = ("sin(places)", f"{slopes} * abs(places)", f"cos({slopes} * places)")
        drawn = {
            "causal": ("true", "false"),
            "window": ("1", "3", "half", "none"),
            "bias": (
                *biases,
                "q @ transpose(k)",
                "reshape(arange(n, x), (1, 1, 1, n))",
            ),
            "scale": ("0.5", "half", "1 / d_model"),
            "cap": ("2", "d_model", "0.3"),
            "sink": ("arange(2, x)", "-arange(2, x)"),
        }
        chosen = [name for name in drawn if self.random.random() < 0.3]
        return "".join(f", {n}={self.random.choice(drawn[n])}" for n in chosen)

    def tensor(self, depth: int) -> str:
        """An expression that should be a tensor of numbers."""
        if depth == 0 or self.random.random() < 0.2:
            return self.random.choice(self.tensors)
        one, other = self.tensor(depth - 1), self.tensor(depth - 1)
        number, axis = self.random.choice(NUMBERS), self.random.choice((1, 2, -1, -2))
        start, stop = sorted(self.random.sample(range(5), 2))
        drawn = [
            f"({one} {self.random.choice('+-*')} {other})",
            f"({one} * {number})",
            f"({one} / {self.random.choice(('2', 'd_model', 'half'))})",
            f"{self.random.choice(FUNCTIONS)}({one})",
            f"{self.random.choice(REDUCTIONS)}({one}, axis={axis})",
            f"{self.random.choice(('dense', 'out', 'narrow'))}({one})",
            f"where({self.mask(depth - 1)}, {one}, {self.random.choice((other, '0'))})",
            f"{self.random.choice(('minimum', 'maximum'))}({one}, {other})",
            f"concatenate([{one}, {other}], axis={axis})",
            f"slice({one}, {start}, {stop}, axis={axis})",
            f"slice({one}, half)",
            f"repeat(sum({one}, axis={axis}), {other}, axis={axis})",
            f"concatenate([-slice({one}, half), slice({one}, 0, half)])",
            f"({one} @ transpose({other}))",
            f"softmax({one} @ transpose({other})) @ {one}",
            f"reshape({one}, (-1, n, 2, half))",
            f"floor({one} * 3)",
            f"({one} % {self.random.choice(('3', '-2', '0.75', 'half'))})",
            f"cast({self.whole(2)}, x) * {one}",
            f"table(maximum(minimum(ids, {start}), 0))",
            f"scan(step_by_step, {one}, zeros((1, 1, d_model), x))",
            f"scan(step_by_step, {one}, slice({other}, 0, 1, axis=1))",
            f"scan(step_by_step, {one}, slice({one}, 0, 1, axis=1), "
            "mask=attention_mask)",
            f"reader({one}, initial_state=slice({other}, 0, 1, axis=1))",
            f"reader({one}, attention_mask)",
            f"({one} + gain)",
            f"({one} @ transpose(weight(table)))",
        ]
        return self.random.choice(drawn)

    def whole(self, depth: int) -> str:
        """An expression that should be a tensor of whole numbers."""
        if depth == 0:
            return self.random.choice(("step", "step", "place"))
        one, other = self.whole(depth - 1), self.whole(depth - 1)
        number, axis = self.random.choice(("1", "2", "-3")), self.random.choice((1, -1))
        drawn = [
            f"({one} {self.random.choice('+-*')} {other})",
            f"({one} {self.random.choice('+-*')} {number})",
            f"({number} - {one})",
            f"({one} % {self.random.choice(('2', '3'))})",
            f"{one} ** 2",
            f"abs(-{one})",
            f"{self.random.choice(('minimum', 'maximum'))}({one}, {other})",
            f"minimum({one}, {number})",
            f"where({self.mask(0)}, {one}, {self.random.choice((other, number))})",
            f"{self.random.choice(REDUCTIONS)}({one}, axis={axis})",
            f"concatenate([{one}, {other}], axis=-1)",
        ]
        return self.random.choice(drawn)

    def mask(self, depth: int) -> str:
        """An expression that should be a mask."""
        sign = self.random.choice(("<", ">", "<=", ">="))
        drawn = [f"{self.tensor(min(depth, 1))} {sign} {self.random.choice(NUMBERS)}"]
        drawn += [f"i {sign} j", "i == j", *self.masks]
        drawn += [f"step {sign} {self.random.choice(('3', 'place', 'place * 2'))}"]
        ranked = self.random.choice(("x", "known", "x - known"))
        drawn += [f"top_k({ranked}, {self.random.choice(('1', '2', 'half'))})"]
        if depth > 0:
            joined = self.random.choice(("and", "or"))
            drawn += [f"not ({self.mask(depth - 1)})"]
            drawn += [f"(({self.mask(depth - 1)}) {joined} ({self.mask(depth - 1)}))"]
        return self.random.choice(drawn)


def text_of(seed: int) -> str:
    """A network with a random forward; the same for the same seed."""
    return Forward(seed).text()
