"""Feed damaged real files to every command that reads them: our errors alone, no bombs.

Run with `python -m tests.fuzz.mutated_files --count 10000`; `--only page` takes the
formats that have the word in their name. Bytes are changed, cut out and doubled;
numbers and values in JSON become extreme ones; members of archives are changed before
they are packed again, so that their checksums are right. The run fails where a command
ends in anything but success or an error with a code, or takes more memory than the
bound beside what it took before.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import shutil
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

import neural_attn.cli
from neural_attn.diagnostics.errors import NeuralError
from tests.fuzz.real_files import FORMATS, Real

MOST_MEGABYTES = 512  # beside the libraries, for files of a few kilobytes

EXTREMES = (
    b"0", b"-1", b"1", b"99999999999", b"9" * 30, b"1e999", b"NaN", b"null", b"true",
    b"4294967296", b"-9223372036854775808", b"0.5", b'""', b"[]", b"{}", b"65537",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    0, -1, 2**31, 2**63, 10**30, 1e308, None, True, "", "\x9b31m", "\ud800", "x" * 300,
    [], {}, [[]], [1, 2], {"a": 1}, 0.5, float("nan"), "../../etc/passwd",
)  # fmt: skip


# on stderr, or in the findings of --json
_SAID = r"(?:error|warning)\[(\w+)\]|^Usage|\"code\": \"(\w+)\""


def mutated(draw: random.Random, data: bytes) -> bytes:
    """The bytes of a file with something wrong."""
    if data[:4] == b"PK\x03\x04" and draw.random() < 0.6:
        return _repacked(draw, data)
    if data[:1] in b"{[" and draw.random() < 0.6:
        return _other_json(draw, data)
    if data[:14].lower() == b"<!doctype html" and draw.random() < 0.7:
        return _other_header(draw, data)
    return _other_bytes(draw, data)


def _other_bytes(draw: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        start = draw.randrange(len(made) + 1)
        if draw.random() < 0.5:  # headers say more than what follows them
            start = min(start, draw.randrange(200))
        end = start + draw.choice((1, 2, 8, 60))
        kind = draw.randrange(6)
        if kind == 0:
            made[start:end] = draw.randbytes(end - start)
        elif kind == 1:
            del made[start:end]
        elif kind == 2:
            made[start:start] = made[start:end]
        elif kind == 3:
            del made[start:]
        elif kind == 4:
            made[start : start + 8] = draw.choice((b"\xff", b"\0", b"\x7f")) * 8
        elif found := list(re.finditer(rb"-?\d+", made)):
            one = draw.choice(found)
            made[one.start() : one.end()] = draw.choice(EXTREMES)
    return bytes(made)


def _repacked(draw: random.Random, data: bytes) -> bytes:
    """An archive with one member changed, left out, doubled, or of another name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        chosen, kind = draw.choice(old.namelist()), draw.randrange(8)
        method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(stream, "w", method) as new:
            for name in old.namelist():
                content = old.read(name)
                if name == chosen and kind < 5:
                    content = mutated(draw, content) if content else b"x"
                if name == chosen and kind == 5:
                    continue
                if name == chosen and kind == 6:
                    new.writestr(name, content)
                if name == chosen and kind == 7:
                    name = draw.choice(("../x.npy", "b.npy", "\x9b.npy", "a" * 999))
                new.writestr(name, content)
    return stream.getvalue()


def _other_json(draw: random.Random, data: bytes) -> bytes:
    """JSON with one value changed, left out, or doubled."""
    try:
        found = json.loads(data)
    except ValueError:
        return _other_bytes(draw, data)
    places: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], dict | list):
                visit(value[key])

    if isinstance(found, dict | list):
        visit(found)
    if not places:
        return b"[" * 100_000
    within, key = draw.choice(places)
    if draw.random() < 0.15:
        del within[key]
    else:
        within[key] = draw.choice((*VALUES, within))
        if within[key] is within:  # a level more
            within[key] = json.loads(json.dumps({**within, key: 1}
                if isinstance(within, dict) else [1]))  # fmt: skip
    return json.dumps(found).encode()


def _other_header(draw: random.Random, data: bytes) -> bytes:
    """A page with another header, or other numbers."""
    blocks = list(re.finditer(rb'id="(header|b\d+)">([^<]+)<', data))
    one = next(b for b in blocks if b[1] == b"header")
    if draw.random() < 0.3:
        one = draw.choice(blocks)
    change = _other_json if one[1] == b"header" else _other_bytes
    return data[: one.start(2)] + change(draw, one[2]) + data[one.end(2) :]


def outcome(call: tuple[str, ...], output: Path | None = None) -> str:
    """How a command ends: "accepted", or its code. Raises AssertionError else.

    What it made before in the folder `output` is removed.
    """
    if output is not None:
        shutil.rmtree(output, ignore_errors=True)
    result = CliRunner().invoke(neural_attn.cli.cli, call)
    error = result.exception
    if error is None:
        return "accepted"
    if isinstance(error, NeuralError):
        str(error)  # can be shown
        return error.diagnostics[0].code
    printed = result.stderr + result.stdout
    said = re.search(_SAID, printed, re.M)
    if isinstance(error, SystemExit) and error.code in (1, 2) and said:
        return f"exit {error.code} {said[1] or said[2] or said[0]}"
    raise AssertionError("".join(traceback.format_exception(error)[-6:]))


def most_memory() -> float:
    """Megabytes: the most that this process took since `forget_memory`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def forget_memory() -> float:
    """Begin to measure anew; megabytes that are taken now."""
    Path("/proc/self/clear_refs").write_text("5")
    return most_memory()


def attack(real: Real, draw: random.Random, count: int) -> tuple[Counter[str], float]:
    """Mutate a file so often; outcomes, and the most memory beside what was taken.

    Raises AssertionError with the traceback where something else happens; the file
    stays as it was then.
    """
    data = real.path.read_bytes()
    for call in real.calls:
        assert outcome(call, real.output) == "accepted", call
    found: Counter[str] = Counter()
    most = 0.0
    for _ in range(count):
        real.path.write_bytes(mutated(draw, data))
        before = forget_memory()
        for call in real.calls:
            found[outcome(call, real.output)] += 1
        grown = most_memory() - before
        assert grown < MOST_MEGABYTES, f"{grown:.0f} MB beside what was taken"
        most = max(most, grown)
    real.path.write_bytes(data)
    return found, most


def main() -> int:
    """Attack every format; 1 where one did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    failed = 0
    for name, make in FORMATS.items():
        if given.only not in name:
            continue
        start = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix="mutated-"))
        try:
            real = make(folder)
            draw = random.Random(f"{given.seed} {name}")
            found, most = attack(real, draw, given.count)
        except AssertionError as error:
            failed += 1
            click.echo(f"{name}: NOT HELD, see {folder}\n{error}")
            continue
        said = ", ".join(f"{count:,} {code}" for code, count in found.most_common())
        seconds = time.monotonic() - start
        click.echo(f"{name}: {most:.0f} MB, {seconds:.0f} s: {said}")
    return min(failed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
