"""Random networks that `check` accepts take a training step on a backend.

    python -m tests.fuzz.trained_networks --count 500 --backend pytorch

Prints the seeds that fail, with the reason; the exit status is 1 where there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import warnings

from neural_attn.compile import check_text
from tests.test_accepted import with_an_ending
from tests.training_step import losses_of_an_epoch


def failure(seed: int, backend: str) -> str:
    """Why the network of a seed cannot be trained; "" where it can."""
    (checked,), _ = check_text(with_an_ending(seed))
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (loss,) = losses_of_an_epoch(checked, backend)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "" if math.isfinite(loss) else f"the loss is {loss}"


def main() -> None:
    """Try them one by one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--backend", default="pytorch")
    given = parser.parse_args()
    failed = 0
    for seed in range(given.first, given.first + given.count):
        if why := failure(seed, given.backend):
            failed += 1
            print(seed, why, flush=True)  # noqa: T201
    print(f"{given.count - failed} of {given.count} networks were trained")  # noqa: T201
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
