"""Look for known vulnerabilities in what an installation of neural-attn holds.

`pip-audit` is asked where it is installed and its index can be reached. Else, and
the output says so, versions are held against the dated list in `vulnerable.txt`. Exits
with 1 where something is found.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from sbom import installed

LIST = Path(__file__).with_name("vulnerable.txt")
FOUND = "Found "  # how pip-audit begins where it found some


def by_index() -> int | None:
    """What pip-audit says; None where it cannot."""
    if shutil.which("pip-audit") is None:
        return None
    call = ["pip-audit", "--progress-spinner", "off", "--skip-editable"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    if done.returncode and not done.stderr.lstrip().startswith(FOUND):
        return None  # the index cannot be reached
    print(done.stderr + done.stdout)
    return done.returncode


def by_list(text: str, versions: dict[str, str]) -> list[str]:
    """The lines of the list that hold: `package<version  identifier`."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        asked, identifier = line.split()
        bad = Requirement(asked)
        if bad.name in versions and versions[bad.name] in bad.specifier:
            found.append(f"{bad.name} {versions[bad.name]}: {identifier} ({asked})")
    return found


def main() -> int:
    """Ask the index, else the list."""
    said = by_index()
    if said is not None:
        return said
    text = LIST.read_text("utf-8")
    found = by_list(text, {name: one.version for name, one in installed().items()})
    dated = text.partition("\n")[0].removeprefix("# ")
    print(f"pip-audit could not ask its index: {dated}")
    print("\n".join(found) or "nothing of that list is installed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
