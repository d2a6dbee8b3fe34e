"""Writes the tables of docs/diagnosis.md: the limits, from the checks themselves.

Run it after a change: python docs/make_diagnosis.py. A test runs `page()` and compares.
The rates on damaged networks are measured by `python -m benchmarks.damaged_models`,
which writes their table.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "diagnosis.md"
sys.path.insert(0, str(ROOT))

from neural_attn.diagnosis.diagnose import CHECKS  # noqa: E402
from neural_attn.diagnosis.faults import Check  # noqa: E402
from neural_attn.files import atomic_write  # noqa: E402


def page() -> str:
    """The page with its part of the checks made anew."""
    return replaced("checks", "\n".join(map(section, CHECKS.values())))


def replaced(part: str, text: str) -> str:
    """The page with another text between the marks of a part."""
    start, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    old = PAGE.read_text("utf-8")
    found = re.search(f"{start}.*?{end}", old, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} has no part {part!r}")
    return old[: found.start()] + f"{start}\n{text}\n{end}" + old[found.end() :]


def section(check: Check) -> str:
    """One kind of fault: what is looked at, why, the limits, what to try."""
    looked, why = check.looks_at, check.why
    lines = [
        f"### {check.kind}\n",
        f"{check.title}.\n",
        f"- **Looked at**: {looked}.",
        f"- **Why**: {why}\n",
        "| cause | limit | of what |",
        "| --- | ---: | --- |",
    ]
    for cause in check.remedies:
        limit = check.thresholds.get(cause)
        value, of = (f"{limit.value:g}", limit.of) if limit else ("", "there is any")
        lines.append(f"| {cause} | {value} | {of} |")
    lines.append("\nWhat to try:\n")
    for cause, remedies in check.remedies.items():
        lines += [f"- {cause}: {remedy}." for remedy in remedies]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    atomic_write(PAGE, page())
