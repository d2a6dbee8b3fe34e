"""Files of strangers are weighed before anything is made of the size that they claim.

What is unpacked takes at most MOST_MEGABYTES, or twice the file if that is more; texts
and headers that become objects have smaller limits of their own. The variable of LIFT
raises each of them to so many megabytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipInfo

__all__ = [
    "LIFT", "TEXT_MEGABYTES", "TooLargeError", "most_bytes", "read_text_bytes", "weigh",
    "weigh_members", "weigh_text",
]  # fmt: skip

LIFT = "NEURAL_MAX_MB"
MEGABYTE = 2**20
MOST_MEGABYTES = 1024

# what JSON of these kinds may have; as objects it is some twenty times as large
SETTINGS_MEGABYTES = 16
TEXT_MEGABYTES = 256


class TooLargeError(ValueError):
    """A file claims more than may be unpacked; says how much, and what lifts it."""


def most_bytes(megabytes: int) -> int:
    """A limit in bytes; what the environment says where that is more."""
    said = os.environ.get(LIFT, "")
    return max(megabytes, int(said) if said.isdecimal() else 0) * MEGABYTE


def weigh(size: int, packed: int, what: str = "arrays") -> None:
    """Refuse `size` bytes of something in `packed` bytes of file, if that is too much.

    Raises TooLargeError.
    """
    most = max(most_bytes(MOST_MEGABYTES), 2 * packed)
    if size > most:
        raise TooLargeError(
            f"claims {size:,} bytes of {what} in {packed:,} bytes of file; at most "
            f"{most // MEGABYTE:,} MB are unpacked ({_lifted(size)})"
        )


def weigh_members(members: Iterable[ZipInfo]) -> None:
    """Refuse an archive whose members claim too much together, as `weigh` does."""
    found = list(members)
    weigh(sum(one.file_size for one in found), sum(one.compress_size for one in found))


def read_text_bytes(path: Path, megabytes: int = SETTINGS_MEGABYTES) -> bytes:
    """The bytes of a file that is to become objects.

    Raises TooLargeError where there are more than the limit, OSError as the system
    gives it.
    """
    most = most_bytes(megabytes)
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        weigh_text(max(os.stat(path).st_size, len(data)), megabytes)
    return data


def weigh_text(size: int, megabytes: int = SETTINGS_MEGABYTES) -> None:
    """Refuse so many bytes of text that is to become objects, if that is too much.

    Raises TooLargeError.
    """
    most = most_bytes(megabytes)
    if size > most:
        raise TooLargeError(
            f"its text has {size:,} bytes; at most {most // MEGABYTE:,} MB are read "
            f"({_lifted(size)})"
        )


def _lifted(size: int) -> str:
    return f"{LIFT}={-(-size // MEGABYTE)} allows it"
