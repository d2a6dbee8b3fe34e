"""A Pygments lexer for .neural files: colours in documentation and terminals.

Pygments finds it by the entry point `pygments.lexers`, under the names `neural` and
`neural-attn`.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

__all__ = ["NeuralLexer"]


class NeuralLexer(RegexLexer):  # type: ignore[misc]  # no types in Pygments
    """Colours the .neural language; what it does not know is an error token."""

    name = "Neural"
    aliases: ClassVar = ["neural", "neural-attn"]
    filenames: ClassVar = ["*.neural", "*.nr", "*.rnr"]
    url = "https://pypi.org/project/neural-attn/"
    version_added = ""
    tokens: ClassVar = {
        "root": [
            (r"[\s\ufeff]+", Whitespace),
            (r"(?:#|//)[^\n]*", Comment.Single),
            (r'"""(?:[^"\\]|\\.|\\\n|"(?!""))*"""', String.Doc),
            (r'"(?:[^"\\\n]|\\.)*"', String.Double),
            (r"'(?:[^'\\\n]|\\.)*'", String.Single),
            (
                r"(network|define|macro|research)(\s+)([A-Za-z_]\w*)",
                bygroups(Keyword.Declaration, Whitespace, Name.Class),
            ),
            (
                words(
                    ("network", "define", "macro", "research", "layers", "forward"),
                    prefix=r"\b",
                    suffix=r"\b",
                ),
                Keyword.Declaration,
            ),
            (r"\b(return|if|else)\b", Keyword),
            (r"\b(and|or|not)\b", Operator.Word),
            (r"(?i:\b(?:true|false|none)\b)", Keyword.Constant),
            (r"\$[A-Za-z_]\w*", Name.Variable),
            (r"[A-Za-z_]\w*(?=\s*\()", Name.Function),
            (r"[A-Za-z_]\w*(?=\s*[:=](?!=))", Name.Attribute),
            (r"[A-Za-z_]\w*", Name),
            (r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", Number),
            (r"\*\*|==|!=|<=|>=|[-+*/%@<>=]", Operator),
            (r"[{}()\[\],:;]", Punctuation),
        ],
    }
