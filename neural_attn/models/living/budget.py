"""How much memory maps may take."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_budget", "readable"]

FALLBACK = 4 << 30  # where a system does not tell what it has


def default_budget() -> int:
    """Half of the memory that is available now, in bytes."""
    return available() // 2


def available() -> int:
    """Memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (OSError, ValueError, AttributeError):
        return FALLBACK


def readable(size: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:,.0f} {unit}"
