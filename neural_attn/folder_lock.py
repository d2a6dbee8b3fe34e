"""Two runs that wrote into one folder at a time would mix files: one is refused."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neural_attn.diagnostics.errors import fail

if sys.platform != "win32":
    import fcntl

__all__ = ["alone_in"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, which need not exist yet, for one run of one user.

    The lock goes with the process, however it ends. Raises NeuralError (E0418) where
    another run holds it.
    """
    if sys.platform == "win32":  # it has no such locks, as docs/safety.md says
        yield
        return
    number = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    place = Path(tempfile.gettempdir(), f"neural-attn-{os.getuid()}-{number}.lock")
    opened = _locked(place)
    if opened is None:
        fail("E0418.busy", path=folder)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        os.close(opened)


def _locked(place: Path) -> int | None:
    """The open lock file; None where it is held by another."""
    while True:
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return None
        # the run that held it may have removed it between the two lines above
        if place.exists() and os.path.samestat(os.fstat(opened), place.stat()):
            return opened
        os.close(opened)
