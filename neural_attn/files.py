"""Files are written whole or not at all, under names that no operating system refuses.

An interrupted run leaves the old file or the new one, never half of either.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "Writes", "atomic_write", "atomic_writer", "recorded", "safe_name", "safe_names",
]  # fmt: skip

# Windows opens a device instead of a file for these, whatever the extension.
_DEVICE_NAMES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"]
)


@dataclass
class Writes:
    """The files that were written whole, and the one that could not be."""

    done: list[Path] = field(default_factory=list)
    failed: Path | None = None


_WRITES: ContextVar[Writes | None] = ContextVar("writes", default=None)


@contextmanager
def recorded() -> Iterator[Writes]:
    """Note what is written within, so that a failure can tell."""
    writes = Writes()
    token = _WRITES.set(writes)
    try:
        yield writes
    finally:
        _WRITES.reset(token)


@contextmanager
def atomic_writer(path: str | os.PathLike[str], size: int = 0) -> Iterator[BinaryIO]:
    """Open a binary file that appears at `path` only once it is complete.

    Where its size in bytes is known, or a part of it, there must be as much room.

    Missing parent folders are made. The bytes go to a temporary file in the same
    folder, which replaces `path` when the block ends; if the block raises, the
    temporary file is removed and whatever was at `path` stays.

    Raises
    ------
    OSError
        As the operating system gives it, with the name of `path`: no permission, no
        space, a folder at `path`.
    """
    target = Path(path)
    writes = _WRITES.get() or Writes()
    try:
        with _written(target, size) as stream:
            yield stream
    except OSError as error:
        # a full disk names no file, and others the temporary one
        if error.filename is None or Path(error.filename).suffix == ".tmp":
            error.filename = str(target)
        writes.failed = target
        raise
    writes.done.append(target)


@contextmanager
def _written(target: Path, size: int) -> Iterator[BinaryIO]:
    if target.is_dir():  # os.replace would name the temporary file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if size > free:
        said = (
            f"{os.strerror(errno.ENOSPC)}: it takes {size:,} bytes, {free:,} are free"
        )
        raise OSError(errno.ENOSPC, said, str(target))
    # Not derived from the target's name, which may already be as long as is allowed.
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    # "x": never through a link that somebody planted; the mode follows the umask.
    with open(temporary, "xb") as stream:
        try:
            yield stream
        except BaseException:
            stream.close()
            temporary.unlink(missing_ok=True)
            raise
    try:
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> Path:
    """Write `data` (text as UTF-8, line ends as they are) to `path` and return it.

    See `atomic_writer` for what is promised and raised.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    with atomic_writer(path, len(content)) as stream:
        stream.write(content)
    return Path(path)


def safe_name(text: str, max_bytes: int = 100) -> str:
    """Make one path component out of any text.

    Letters and digits of every script, `.`, `_` and `-` are kept; all else becomes
    `_`. The result is never empty, never starts with a dot, is not a device name and is
    at most `max_bytes` long in UTF-8, so that a prefix and an extension still fit.
    Different texts may give the same name: see `safe_names`.
    """
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in composed)
    while ".." in kept:
        kept = kept.replace("..", "_")
    kept = kept.strip(".")
    encoded = kept.encode("utf-8")[:max_bytes]
    kept = encoded.decode("utf-8", errors="ignore").rstrip(".")
    if kept.partition(".")[0].upper() in _DEVICE_NAMES:
        kept = f"_{kept}"
    return kept or "_"


def safe_names(texts: Iterable[str]) -> dict[str, str]:
    """Map each text to a safe name of its own, also where letter case is ignored.

    A text that already is a safe name keeps it; later ones that would collide get
    `_2`, `_3`, ... The result depends on the texts and their order alone.
    """
    ordered = list(dict.fromkeys(texts))
    ordered_safe_first = sorted(ordered, key=lambda text: safe_name(text) != text)
    taken: set[str] = set()
    names: dict[str, str] = {}
    for text in ordered_safe_first:
        base = name = safe_name(text)
        number = 2
        while name.casefold() in taken:
            name = f"{base}_{number}"
            number += 1
        taken.add(name.casefold())
        names[text] = name
    return {text: names[text] for text in ordered}
