"""Print what an installation of neural-attn holds, as CycloneDX 1.5 in JSON.

`python .ci/sbom.py > sbom.json` reads the distributions that are installed: the
project and all that it requires, directly or not, extras that are there included.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement

ROOT = "neural-attn"


def canonical(name: str) -> str:
    """The name of a distribution as an index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(one: Distribution) -> Iterator[str]:
    """What a distribution requires on this machine, with any of its extras."""
    extras = ["", *one.metadata.get_all("Provides-Extra", [])]
    for text in one.requires or ():
        needed = Requirement(text)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
            yield canonical(needed.name)


def installed(root: str = ROOT) -> dict[str, Distribution]:
    """The project and everything it leads to that is installed, by name."""
    found: dict[str, Distribution] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        waiting += required(found[name])
    return dict(sorted(found.items()))


def reference(name: str, one: Distribution) -> str:
    """The package URL of a distribution."""
    return f"pkg:pypi/{name}@{one.version}"


def component(name: str, one: Distribution) -> dict[str, Any]:
    """A distribution as CycloneDX describes it."""
    said = one.metadata["License-Expression"] or one.metadata["License"] or ""
    licenses = [{"license": {"name": said}}] if said and "\n" not in said else []
    url = reference(name, one)
    return {
        "type": "application" if name == ROOT else "library",
        "bom-ref": url,
        "name": name,
        "version": one.version,
        "purl": url,
        **({"licenses": licenses} if licenses else {}),
    }


def bom() -> dict[str, Any]:
    """The whole; the same installation gives the same text."""
    found = installed()
    if ROOT not in found:
        sys.exit(f"{ROOT} is not installed")
    edges = [
        {
            "ref": reference(name, one),
            "dependsOn": sorted(
                {reference(n, found[n]) for n in required(one) if n in found}
            ),
        }
        for name, one in found.items()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(ROOT, found[ROOT])},
        "components": [component(n, one) for n, one in found.items() if n != ROOT],
        "dependencies": edges,
    }


if __name__ == "__main__":
    print(json.dumps(bom(), indent=1))
