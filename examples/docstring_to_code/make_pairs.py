"""Writes pairs to learn from: docstrings of the standard library, and their functions.

    python examples/docstring_to_code/make_pairs.py FOLDER

It reads the modules of the Python that runs it, with `ast`, and runs none of them. A
pair is the first line of a docstring and the function without it, as tokens with spaces
between. A tenth of the modules is for validation and a tenth for tests, each whole, as
functions of one module are alike: nothing of a module is on two sides.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

MOST_WORDS, MOST_TOKENS = 20, 40
LEFT_OUT = {"test", "tests", "idlelib", "site-packages", "lib2to3", "__phello__"}
LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}
LAYOUT |= {tokenize.ENDMARKER, tokenize.COMMENT}


def modules(library: Path) -> Iterator[Path]:
    """The files of the library, in the order of their names."""
    for path in sorted(library.rglob("*.py")):
        if not LEFT_OUT & set(path.relative_to(library).parts):
            yield path


def pairs(source: str) -> Iterator[tuple[str, str]]:
    """What the functions of a module say that they do, and what they do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in other people's strings
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and len(node.body) > 1:
            line = " ".join((ast.get_docstring(node) or "").split("\n")[0].split())
            if line and len(line.split()) <= MOST_WORDS and line.isascii():
                code = _tokens(node)
                if len(code) <= MOST_TOKENS:
                    yield line, " ".join(code)


def _tokens(node: ast.FunctionDef) -> list[str]:
    """The tokens of a function without docstring, decorators and annotations."""
    node.body, node.decorator_list, node.returns = node.body[1:], [], None
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    for one in (*every, node.args.vararg, node.args.kwarg):
        if one is not None:
            one.annotation = None
    lines = io.StringIO(ast.unparse(node)).readline
    found = tokenize.generate_tokens(lines)
    return [
        one.string for one in found if one.type not in LAYOUT and one.string.strip()
    ]


def side(path: Path, library: Path) -> str:
    """Which file the pairs of a module go to: by its name alone."""
    name = path.relative_to(library).as_posix()
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(number, "training")


def gather(library: Path) -> dict[str, list[tuple[str, str]]]:
    """All pairs by side; one that stands on one side is left out of the others."""
    found: dict[str, list[tuple[str, str]]] = {
        "training": [], "validation": [], "test": [],
    }  # fmt: skip
    seen: dict[tuple[str, str], str] = {}
    for path in modules(library):
        try:
            own = list(pairs(path.read_text("utf-8")))
        except (SyntaxError, UnicodeDecodeError):
            continue  # made to be wrong, or in another encoding
        for pair in own:
            if seen.setdefault(pair, side(path, library)) == side(path, library):
                found[side(path, library)].append(pair)
    return {name: list(dict.fromkeys(some)) for name, some in found.items()}


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, some in gather(Path(sysconfig.get_path("stdlib"))).items():
        text = "".join(f"{line}\t{code}\n" for line, code in some)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
        print(f"wrote {len(some)} pairs to {folder / name}.tsv")


if __name__ == "__main__":
    main()
