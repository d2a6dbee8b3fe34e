"""Facts of a parse that laying it out needs: what is kept, what stands where."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator, Sequence

from lark import Token, Tree
from neural_attn.grammar.build import docstring_text
from neural_attn.grammar.comments import tokens_of

Node = Tree[Token] | Token
Parts = Sequence[Node]
Placed = tuple[int, list[Node]]  # its level, what stands on it

# blocks of settings, which look like layers but stand beside `layers:`
_SETTINGS = frozenset({"train", "training", "execute", "execution"})
_BRACKETED = frozenset(
    {"arguments", "parameters", "list_", "tuple_", "group", "further_value"}
)
# rules whose own tokens never end a line, but for the last
_RUNNING_ON = frozenset(
    "unary call keyword parameter assign give_back setting named_layer layer".split()
)
_DOCSTRING = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL)


def is_token(node: Node, kind: str) -> bool:
    """Whether a part of a parse is a token of this kind."""
    return isinstance(node, Token) and node.type == kind


def binding(operator: Node) -> str:
    """What operators of one row have in common."""
    assert isinstance(operator, Token)
    kinds = {"MINUS": "PLUS", **dict.fromkeys(("SLASH", "PERCENT", "AT"), "STAR")}
    return kinds.get(operator.type, operator.type)


def without(nodes: Parts, rule: str) -> list[Node]:
    """The parts that a given rule did not make."""
    return [n for n in nodes if not (isinstance(n, Tree) and n.data == rule)]


def dropped_tokens(parsed: Tree[Token]) -> set[int]:
    """Tokens that are not written again, by identity: commas and needless brackets."""
    dropped = {id(t) for t in tokens_of(parsed) if t.type in ("COMMA", "SEMICOLON")}
    for found in parsed.iter_subtrees():
        if found.data == "layers_list":
            dropped |= {id(t) for t in found.children if isinstance(t, Token)} - {
                id(found.children[0]),
                id(found.children[1]),
            }
    return dropped


def glued_tokens(parsed: Tree[Token]) -> Iterator[int]:
    """Tokens, by identity, that a line inside brackets never ends with."""
    for found in parsed.iter_subtrees():
        parts = found.children
        if found.data == "binary":
            yield id(parts[1])
        elif found.data in _RUNNING_ON:
            yield from map(id, parts[:-1])
        elif found.data in ("define", "forward", "choose", "layer_choice"):
            heads = itertools.pairwise(parts)
            yield from (id(p) for p, then in heads if _begins(p, then))
        elif found.data in _BRACKETED and len(parts) == 2:
            yield id(parts[0])


def _begins(part: Node, following: Node) -> bool:
    """Whether a word leads to brackets or to a condition."""
    brackets = isinstance(following, Tree) and following.data in _BRACKETED
    return (
        brackets
        or is_token(part, "IF")
        or is_token(part, "DEFINE")
        or is_token(part, "MACRO")
    )


def body_lines(body: Node) -> list[Placed]:
    """The lines of a body, each with its level: layers stand below `layers:`."""
    assert isinstance(body, Tree)
    lines: list[Placed] = []
    marked = False
    for node in without(body.children, "separator"):
        assert isinstance(node, Tree)
        if node.data == "further_value":
            lines[-1][1].append(node)
            continue
        if node.data == "layers_list":
            lines.append((0, [Tree("layers_marker", node.children[:2])]))
            lines += [(1, nodes) for _, nodes in body_lines(node.children[3])]
            marked = True
            continue
        marked |= node.data == "layers_marker"
        lines.append((int(marked and _is_layer(node)), [node]))
    return lines


def _is_layer(node: Tree[Token]) -> bool:
    """Whether an item belongs below `layers:`; a branch does, a setting does not."""
    if node.data == "setting":
        name, _, value = node.children
        block = value.children[0] if isinstance(value, Tree) else value
        if str(name) == "input" or not isinstance(block, Tree) or block.data != "block":
            return False
        inside = block.children[1].children  # type: ignore[union-attr]  # its body
        return any(isinstance(i, Tree) and i.data.endswith("layer") for i in inside)
    has_block = any(isinstance(p, Tree) and p.data == "block" for p in node.children)
    settings = has_block and str(node.children[0]) in _SETTINGS
    return node.data in ("layer", "named_layer", "layer_choice") and not settings


def quoted(token: Node) -> str:
    """A string in double quotes."""
    text = str(token)[1:-1]

    def written(found: re.Match[str]) -> str:
        pair = found[0]
        return "'" if pair == "\\'" else '\\"' if pair == '"' else pair

    return '"' + re.sub(r'\\.|"', written, text, flags=re.DOTALL) + '"'


def indented_docstring(raw: str) -> str:
    """A docstring at the indentation of a define; as it was where that changed it."""
    lines = [line.rstrip() for line in inspect.cleandoc(raw[3:-3]).split("\n")]
    margin = min((len(x) - len(x.lstrip()) for x in lines[1:] if x), default=0)
    text = "\n".join(
        f"  {line}" if line and (number or margin) else line
        for number, line in enumerate(lines)
    )
    if text.endswith('"'):
        text = text[:-1] + '\\"'
    written = '"""' + ("\n" if margin else "") + text + '"""'
    if not _DOCSTRING.fullmatch(written):
        return raw
    return written if docstring_text(written) == docstring_text(raw) else raw
