"""Lays out Python source in the style of `ruff format`, as far as we write it.

Lines that fit stay; a longer one is broken inside its brackets, first by moving
what is inside to a line of its own, then by giving each part its own line.
"""

from __future__ import annotations

from neural_attn.grammar import tree

WIDTH = 88
INDENT = "    "
_OPEN, _CLOSE = "([{", ")]}"


def lay_out(line: str) -> list[str]:
    """One logical line, perhaps indented, as lines of at most 88 characters."""
    if len(line) <= WIDTH:
        return [line]
    if _breaks_at_operators(line):
        return _wrapped(line)
    target = line.find(" = ") if line.lstrip()[:4] not in ("def ", "for ") else -1
    for start, end in reversed(_brackets(line)):
        if start < target:  # the brackets of what is assigned to stay closed
            break
        head, inside, tail = line[: start + 1], line[start + 1 : end], line[end:]
        if not inside.strip() or len(head) > WIDTH:
            continue
        return _broken(head, inside, tail)
    return _wrapped(line)


def lay_out_import(module: str, names: list[str]) -> list[str]:
    """`from module import names`, each on a line of its own where they are many.

    In the order of isort: constants, classes, functions.
    """
    names = sorted(names, key=lambda name: (not name.isupper(), name))
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"{INDENT}{name}," for name in names), ")"]


def _broken(head: str, inside: str, tail: str) -> list[str]:
    indent = head[: len(head) - len(head.lstrip())]
    inner = indent + INDENT
    one_line = inner + inside.strip()
    parts = _split(inside, ",")
    if len(one_line) <= WIDTH and not inside.rstrip().endswith(","):
        return [head, one_line, indent + tail]
    lines = []
    loop = _split(inside, " for ")
    if len(loop) > 1:  # a comprehension
        for part in loop:
            lines += lay_out(inner + part.strip())
    elif len(parts) == 1 and head.rstrip().endswith("("):
        lines = _operators(inner, inside.strip())
    else:
        for part in parts:
            whole = f"{part.strip()},"
            is_sum = len(_split(part, " + ", " - ")) > 1
            lines += _operators(inner, whole) if is_sum else lay_out(inner + whole)
    return [head, *lines, indent + tail]


def _breaks_at_operators(line: str) -> bool:
    """Whether a right-hand side is a sum or product to break before its operators.

    One operator in front of a bracket that ends the line is left alone.
    """
    if line.lstrip().startswith(("def ", "class ", "for ", "if ", "with ")):
        return False
    for sign in (" = ", "return "):
        at = line.find(sign)
        if at >= 0:
            rest = line[at + len(sign) :]
            if len(_split(rest, " if ", " else ")) > 1:
                return True
            for signs in ((" + ", " - "), (" * ", " / ", " @ ")):
                count = len(_split(rest, *signs)) - 1
                if count:
                    return count > 1 or not rest.endswith(tuple(_CLOSE))
            return False
    return False


def _wrapped(line: str) -> list[str]:
    """A long right-hand side without brackets to break in: parenthesize it."""
    indent = line[: len(line) - len(line.lstrip())]
    for sign in (" = ", "return "):
        at = line.find(sign)
        if at >= 0:
            head, rest = line[: at + len(sign)], line[at + len(sign) :]
            inner = indent + INDENT
            return [head + "(", *_operators(inner, rest), indent + ")"]
    return [line]


def _operators(indent: str, text: str) -> list[str]:
    """Break an expression before its loosest binary operators."""
    if len(indent + text) <= WIDTH:
        return [indent + text]
    for signs in ((" if ", " else "), (" + ", " - "), (" * ", " / ", " @ ")):
        pieces = _split(text, *signs)
        if len(pieces) > 1:
            lines = _operators(indent, pieces[0].strip())
            for piece in pieces[1:]:
                lines += _operand(indent, piece.strip())
            return lines
    return lay_out(indent + text)


def _operand(indent: str, piece: str) -> list[str]:
    """An operator with what follows it, which may be broken further."""
    if len(indent + piece) <= WIDTH:
        return [indent + piece]
    sign, _, operand = piece.partition(" ")
    lines = _operators(indent, operand)
    if len(lines) > 1 and not lines[0].rstrip().endswith(tuple(_OPEN)):
        return [f"{indent}{sign} {lines[0].strip()}", *lines[1:]]
    return lay_out(indent + piece)


def _brackets(line: str) -> list[tuple[int, int]]:
    """Pairs of outermost brackets, in order."""
    pairs, depth, start = [], 0, 0
    for i, char in _code(line):
        if char in _OPEN:
            if depth == 0:
                start = i
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if depth == 0:
                pairs.append((start, i))
    return pairs


def _split(text: str, *signs: str) -> list[str]:
    """Split at signs outside of brackets and strings; operators lead their piece."""
    pieces, depth, start = [], 0, 0
    for i, char in _code(text):
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif depth == 0:
            found = next((s for s in signs if text.startswith(s, i)), None)
            if found == "," or found:
                pieces.append(text[start:i])
                start = i + 1
    rest = text[start:]
    return [*pieces, rest] if rest.strip() else pieces


def _code(text: str) -> list[tuple[int, str]]:
    """The characters outside of string literals, with their offsets."""
    found, quote, i = [], "", 0
    while i < len(text):
        char = text[i]
        if quote:
            if char == "\\":
                i += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        else:
            found.append((i, char))
        i += 1
    return found


def string(text: str) -> str:
    """A Python string literal in double quotes, safe whatever the text holds."""
    body = repr(text)[1:-1]
    if repr(text)[0] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    if '"' in text and "'" not in text:  # ruff format keeps the fewer escapes
        return repr(text)
    return f'"{body}"'


def comment(text: str) -> str:
    """A comment that cannot end before its line does."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    return f"# {clean}" if clean else "#"


def docstring(text: str, indent: str) -> list[str]:
    """A docstring, its lines indented, safe whatever the text holds."""
    clean = "\n".join(
        "".join(c if c.isprintable() else " " for c in line).rstrip()
        for line in text.strip().split("\n")
    )
    clean = clean.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if clean.endswith('"'):
        clean = clean[:-1] + '\\"'
    first, *rest = clean.split("\n")
    if not rest:
        return [f'{indent}"""{first}"""']
    lines = [f"{indent}{line}" if line else "" for line in rest]
    return [f'{indent}"""{first}', *lines, f'{indent}"""']


def with_trivia(line: str, trivia: tree.Trivia, may_be_blank: bool) -> list[str]:
    """A line with the comments and the blank line that the author put around it."""
    indent = line[: len(line) - len(line.lstrip())]
    lines = [""] if trivia.blank_before and may_be_blank else []
    lines += [indent + comment(text) for text in trivia.comments]
    if trivia.trailing:
        noted = f"{line}  {comment(trivia.trailing)}"
        if len(noted) <= 88 and "\n" not in noted:
            return [*lines, noted]
        lines.append(indent + comment(trivia.trailing))
    return [*lines, line]
