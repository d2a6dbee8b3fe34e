"""Picks from the runtime files the definitions that a generated file uses.

The files are read as text with `ast`; their framework is never imported.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeGuard

from neural_attn.ir import SCAN, SEEN

# the package of what the runtimes of several backends share
COMMON = "neural_attn.backends.emit.runtime"
METHODS = ("attend", "attention_softmax")  # their options choose lines
OPTIONS = frozenset({"window", "bias", "cap", "sink"})  # what needs a class of its own
_ONLY = re.compile(r"\s*# only (with|without) ([\w, ]+):")


@dataclass(frozen=True)
class Definition:
    """A top-level function, class or constant of a runtime file."""

    name: str
    text: str
    uses: frozenset[str]


@dataclass(frozen=True)
class Runtime:
    """A backend's runtime files, cut into their definitions and imports."""

    definitions: dict[str, Definition]
    imports: dict[str, str]  # bound name to import statement


def read(name: str, words: Collection[str] | None = None) -> Runtime:
    """Read the files of a package, `core.py` first.

    What stands below a comment `# only with A, B:`, a statement or else one line (of a
    call, a signature, a docstring), is there for files that use A or B; where `words`
    holds neither, it is left out. `# only without A:` is its opposite.
    What an author may write freely (comments, names of layers) is not among the words.
    """
    whole = Runtime({}, {})
    for text in _texts(name):
        asked = None if words is None else _marked(text).intersection(words)
        part = _part(text, asked, (f"{name}.", f"{COMMON}."))
        whole.definitions.update(part.definitions)
        whole.imports.update(part.imports)
    return whole


@cache
def _part(text: str, words: frozenset[str] | None, own: tuple[str, ...]) -> Runtime:
    """One file, as it is for these of the words that it marks: few are, of many."""
    return _cut(_fitted(text, words), own)


@cache
def _marked(text: str) -> frozenset[str]:
    """The names behind `# only with` in the text of a runtime file."""
    marks = filter(None, map(_ONLY.match, text.splitlines()))
    return frozenset(name for mark in marks for name in mark[2].split(", "))


def _fitted(text: str, words: frozenset[str] | None) -> str:
    """The text without its `# only with` comments, and what they leave out."""
    lines, dropped = text.splitlines(), set()
    ends = {
        node.lineno: node.end_lineno or node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt)
    }
    for number, line in enumerate(lines, 1):
        mark = _ONLY.match(line)
        if mark is None:
            continue
        dropped.add(number)
        there = words is not None and not words.isdisjoint(mark[2].split(", "))
        if words is not None and there is (mark[1] == "without"):
            end = ends.get(number + 1, number + 1)
            dropped |= set(range(number + 1, end + 1))
            before = next(n for n in range(number, 0, -1) if n not in dropped)
            if lines[end : end + 1] == [""] == [lines[before - 1]]:
                dropped.add(end + 1)
    return "\n".join(line for n, line in enumerate(lines, 1) if n not in dropped)


@cache
def _texts(name: str) -> list[str]:
    """The files of a package, and before them those that all backends share."""
    return [*_files(COMMON), *_files(name)]


def _files(name: str) -> list[str]:
    folder = files(name)
    found = {path.name for path in folder.iterdir() if path.name.endswith(".py")}
    ordered = sorted(
        found - {"__init__.py"}, key=lambda file: (file != "core.py", file)
    )
    return [folder.joinpath(file).read_text("utf-8") for file in ordered]


def _cut(text: str, own: tuple[str, ...]) -> Runtime:
    module = ast.parse(text)
    lines = text.splitlines()
    definitions: dict[str, Definition] = {}
    imports: dict[str, str] = {}
    end = 0
    for node in module.body:
        source = "\n".join(lines[_start(node, lines, end) - 1 : node.end_lineno])
        end = node.end_lineno or 0
        if isinstance(node, ast.Import | ast.ImportFrom):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(own):
                continue  # from another runtime file: copied like the rest
            for alias in node.names:
                imports[alias.asname or alias.name] = _import(node, alias)
            continue
        used = frozenset(names_in(source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = Definition(node.name, source, used)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            definitions[name] = Definition(name, source, used)
    return Runtime(definitions, imports)


def _start(node: ast.stmt, lines: list[str], end: int) -> int:
    """First line of a definition, with its decorators and the comments above it."""
    decorators = getattr(node, "decorator_list", [])
    start: int = min([node.lineno, *(d.lineno for d in decorators)])
    while start - 1 > end and lines[start - 2].startswith("#"):
        start -= 1
    return start


def _import(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    bound = alias.name + (f" as {alias.asname}" if alias.asname else "")
    if isinstance(node, ast.Import):
        return f"import {bound}"
    return f"from {node.module} import {bound}"


def names_in(source: str) -> set[str]:
    """Every name that a piece of Python source reads and no function of it sets."""
    found: set[str] = set()
    tables = [symtable.symtable(source, "source", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outermost = table.get_type() == "module"
        found |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (outermost or symbol.is_global())
        }
    return found


# what classes call that they inherit: no layer of an author may be called so
_INHERITED = {"add_weight"}


def words_in(source: str) -> set[str]:
    """The names that a piece of Python source reads, also in modules (`layers.GRU`).

    Of calls in METHODS that have options, the method and the options are among them,
    and `capped` where all have a cap, `sometimes_capped` where only some have one; of
    `scan` with a mask, `masked_scan`.
    """
    walked = list(ast.walk(ast.parse(source)))
    nodes = [n for n in walked if isinstance(n, ast.Attribute)]
    found = {n.attr for n in nodes if isinstance(n.value, ast.Name)}
    own = {n.attr for n in nodes if getattr(n.value, "id", "") == "self"}
    words = names_in(source) | (found - (own - _INHERITED))
    attends = []
    for call in walked:
        if not isinstance(call, ast.Call):
            continue
        options = {keyword.arg for keyword in call.keywords if keyword.arg}
        if isinstance(call.func, ast.Name) and call.func.id == SCAN and SEEN in options:
            words.add("masked_scan")
        if not _is_method(call.func):
            continue
        method = call.func.attr
        words |= options | ({method} if options else set())
        if method == "attend" and options & OPTIONS:
            attends.append(options)
    if "cap" in words:
        all_are = all("cap" in options for options in attends)
        words.add("capped" if all_are else "sometimes_capped")
    return words


def _is_method(node: ast.expr) -> TypeGuard[ast.Attribute]:
    """Whether it is `self.attend`, or another of METHODS."""
    if not isinstance(node, ast.Attribute) or node.attr not in METHODS:
        return False
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def needed(runtime: Runtime, names: set[str], own: set[str]) -> list[Definition]:
    """The definitions behind `names`, each behind those that it uses.

    Those in `own` are not among them: the generated file has one of its own.
    """
    ordered: dict[str, Definition] = {}

    def add(name: str, within: frozenset[str]) -> None:
        found = runtime.definitions.get(name)
        if found is None or name in within | own | ordered.keys():
            return
        for used in runtime.definitions:  # in the order of the files
            if used in found.uses:
                add(used, within | {name})
        ordered[name] = found

    for name in runtime.definitions:
        if name in names:
            add(name, frozenset())
    return list(ordered.values())


def inlined(text: str, values: Mapping[str, str]) -> str:
    """A definition with code for the constants that stand in it."""
    if not values:
        return text
    words = "|".join(map(re.escape, values))
    return re.sub(rf"\b({words})\b", lambda found: values[found[1]], text)


def import_lines(imports: Mapping[str, str], names: Collection[str]) -> list[str]:
    """The imports behind `names`, sorted as isort does: standard library first."""
    statements = {imports[name] for name in names if name in imports}
    return _sorted(_merged(statements))


_STANDARD = ("contextlib", "functools", "math", "os")


def _merged(statements: set[str]) -> list[str]:
    """`from a import b` and `from a import c` become one line."""
    groups: dict[str, list[str]] = {}
    plain = []
    for statement in sorted(statements):
        if statement.startswith("from "):
            module, _, bound = statement.removeprefix("from ").partition(" import ")
            groups.setdefault(module, []).append(bound)
        else:
            plain.append(statement)
    froms = [f"from {m} import {', '.join(sorted(b))}" for m, b in groups.items()]
    return plain + froms


def _sorted(statements: list[str]) -> list[str]:
    def module(statement: str) -> str:
        return statement.split()[1]

    def key(statement: str) -> tuple[bool, str]:
        return statement.startswith("from "), module(statement)

    standard = [s for s in statements if module(s).split(".")[0] in _STANDARD]
    others = [s for s in statements if s not in standard]
    lines = sorted(standard, key=key)
    if standard and others:
        lines.append("")
    return lines + sorted(others, key=key)
