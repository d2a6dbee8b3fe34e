"""Feed hostile texts to the front end: nothing but diagnostics, soon, in little memory.

Run with `python -m tests.fuzz.fuzz_language --count 100000`. Each input is a mutation
of the corpus, words of the language in any order, random bytes, deep nesting or huge
numbers. The run fails where anything but NeuralError is raised, an input takes more
than two seconds, or the process grows beyond 500 MB.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from pathlib import Path

from neural_attn.grammar.format import format_text
from neural_attn.grammar.parser import decode

from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MOST_SECONDS = 2.0
MOST_MEGABYTES = 500

WORDS = [
    "network", "define", "macro", "research", "layers:", "input:", "loss:", "train {",
    "forward(x):", "return", "if", "else", "and", "or", "not", "(", ")", "{", "}", "[",
    "]", ",", ":", ";", "=", "*", "**", "@", "-", "/", "+", "<", "==", "none", "true",
    "$x", '"', '"""', "'", "#", "//", "\0", "\r\n", "\t", "\ufeff", "\u202e", "\u2028",
    "Dense", "Dense(4)", "Embedding(9, 4)", "TransformerEncoder(2, 6)", "LSTM(3)",
    "Conv2D(2, 3)", "Add()", "ResidualConnection {", "Bidirectional(LSTM(2))",
    "TimeDistributed(", "HPO(choice(", "attend", "width(x)", "x", "A", "(4,)",
    "* 1000000000", "1e308", "1e999", "9" * 40, "-1", "0", ".5", "1.", "2 ** 9 ** 9",
    "memory=x", 'mode="cross"', "num_layers=100000", "@ \"cuda\"", "units=",
    "return_state=true", "initial_state=x", "initial_state=(x, x)", "GRU(2)",
    "%", "index", "index % 2 == 0", "shared=true", "floor(", "minimum(",
]  # fmt: skip
NESTS = [
    ("(", ")"), ("[", "]"), ("{", "}"), ("Dense(", ")"), ("-", ""), ("not ", ""),
    ("1 + ", ""), ("2 ** ", ""), ("a: { ", "}"), ("if 1 { ", "}"), ("x = Dense(", ")"),
    ("ResidualConnection { ", "} * 100"), ("TimeDistributed(", ")"),
    ("HPO(choice(", "))"),
    ("network A { ", "}"), ("define B() { ", "}"), ('"', ""), ("Bidirectional(", ")"),
]  # fmt: skip


def seeds() -> list[str]:
    """The texts of the corpus, valid and invalid."""
    paths = sorted(FIXTURES.rglob("*.neural"))
    return [path.read_bytes().decode("utf-8", "replace") for path in paths]


def mutated(draw: random.Random, texts: list[str]) -> str:
    """A text of the corpus with pieces taken out, put in, doubled, or of another."""
    text = draw.choice(texts)
    for _ in range(draw.choice((1, 1, 1, 2, 6))):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.randint(0, 30))
        other = draw.choice(texts)
        cut = draw.randint(0, len(other))
        piece = draw.choice(
            (
                "",
                f" {draw.choice(WORDS)} ",
                text[start:end] * 2,
                other[cut : cut + draw.randint(1, 60)],
                chr(draw.randint(0, 0x2FF)),
                str(draw.choice((0, -1, 3, 10**6, 10**9, 10**18, 1e-300))),
            )
        )
        text = text[:start] + piece + text[end:]
    return text


def words(draw: random.Random, texts: list[str]) -> str:
    """Words of the language in any order, mostly in a network."""
    found = " ".join(draw.choices(WORDS, k=draw.randint(1, 40)))
    return found if draw.random() < 0.3 else f"network A {{ input: (4,) {found} }}"


def noise(draw: random.Random, texts: list[str]) -> str:
    """Random bytes, as they would be read from a file."""
    return decode(draw.randbytes(draw.randint(0, 200)), "noise")


def nested(draw: random.Random, texts: list[str]) -> str:
    """One construct, or several in turn, in itself thousands of times."""
    pairs = draw.choices(NESTS, k=draw.randint(1, 3))
    depth = draw.choice((10, 90, 101, 400, 3000)) // len(pairs)
    opening = "".join(a for a, _ in pairs) * depth
    closing = "".join(b for _, b in reversed(pairs)) * depth
    inner = draw.choice(("Dense(4)", "4", "", '"a"'))
    return f"network A {{ input: (5, 4) layers: {opening}{inner}{closing} }}"


def huge(draw: random.Random, texts: list[str]) -> str:
    """Numbers of a text become huge ones."""
    text = draw.choice(texts)
    digits = [i for i, char in enumerate(text) if char.isdigit()]
    number = draw.choice(("1000000000", "9" * 30, "1e18", "1e400", "10 ** 12", "65536"))
    for at in sorted(draw.sample(digits, min(len(digits), 2)), reverse=True):
        text = text[:at] + number + text[at + 1 :]
    return text


KINDS = [mutated] * 12 + [words] * 4 + [noise, huge, huge] + [nested]


def outcome(text_of: object, formats: bool) -> str:
    """What a text comes to: "accepted", or the code of its first problem."""
    try:
        text = text_of()  # type: ignore[operator]
        check_text(text)
        if formats:
            format_text(text)
    except NeuralError as error:
        for diagnostic in error.diagnostics:
            diagnostic.render().encode("utf-8", "backslashreplace")
            diagnostic.as_dict()
        return next(d.code for d in error.diagnostics if d.is_error)
    return "accepted"


def run(count: int, seed: int, formats_every: int = 10) -> Counter[str]:
    """Try `count` inputs; what they came to. Raises AssertionError for a bad one."""
    texts, tally = seeds(), Counter[str]()
    for number in range(count):
        draw = random.Random(f"{seed}-{number}")
        kind = draw.choice(KINDS)
        start = time.process_time()
        where = f"seed {seed}, input {number} ({kind.__name__})"
        try:
            found = outcome(
                lambda: kind(draw, texts),  # noqa: B023 - called at once
                number % formats_every == 0,
            )
        except Exception as error:
            text = kind(random.Random(f"{seed}-{number}"), texts) if texts else ""
            raise AssertionError(f"{where}: {error!r} for {text[:300]!r}") from error
        spent = time.process_time() - start
        assert spent < MOST_SECONDS, f"{where}: {spent:.1f} s"
        tally["slowest, ms"] = max(tally["slowest, ms"], round(1000 * spent))
        tally[found] += 1
    megabytes = _peak()
    tally["peak, MB"] = round(megabytes)
    assert megabytes < MOST_MEGABYTES, f"{megabytes:.0f} MB"
    return tally


def _peak() -> float:
    """The most memory that this process held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says begins with that of the parent
        lines = status.read_text("utf-8").splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    tally = run(options.count, options.seed)
    print(f"{options.count:,} inputs in {time.monotonic() - start:.0f} s")  # noqa: T201
    for what, number in tally.most_common():
        print(f"{number:>8,}  {what}")  # noqa: T201


if __name__ == "__main__":
    main()
