"""A package from outside: modules and entry points on a path of their own."""

import os
from pathlib import Path

from tests import warm_python

ROOT = Path(__file__).resolve().parent.parent


def outside_package(folder, modules, entry_points):
    """Write an installed package.

    modules : {path such as "tiny/__init__.py": text}
    entry_points : {group: {name: "module:attribute"}}
    """
    for path, text in modules.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    info = folder / "outside-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n", encoding="utf-8"
    )
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {to}" for name, to in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def run_with(folder, *arguments, cwd=None, warnings="error"):
    """Run Python with the package on its path; what it printed, if it succeeded.

    Where warnings are no errors: what it printed, and what it said on stderr.
    """
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = warm_python.run(*arguments, cwd=cwd, warnings=warnings, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout if warnings == "error" else (done.stdout, done.stderr)


def neural_with(folder, *arguments, **options):
    """The same for the `neural` command."""
    return run_with(folder, "-m", "neural_attn", *arguments, **options)
