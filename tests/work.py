"""Work counted in function calls, which no loaded machine changes."""

import cProfile
from collections.abc import Callable
from typing import Any


def counted(function: Callable, *args: Any) -> tuple[Any, int]:
    """What the function returns, and how many Python and C calls it took.

    Where a sentence says "fast", its test counts: seconds of a shared machine, or of a
    process whose garbage collector walks two frameworks, say little of the code.
    """
    profile = cProfile.Profile()
    result = profile.runcall(function, *args)
    return result, sum(entry.callcount for entry in profile.getstats())
