"""Tokens as people read them: text, words and sentences.

Knows the three spellings in use: word pieces (`##ing`), SentencePiece (`▁the`, with
`<0xE4>` for single bytes) and byte-level pairs (`Ġthe`, where every byte is a printable
character, so that one Chinese character may be three tokens).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from neural_attn.figures.spaces import spaces_by_rule
from neural_attn.figures.token_labels import readable, shortened

__all__ = ["Reading", "labels", "read_tokens"]

SHOWN_LENGTH = 120
GOES_ON = "·"  # in front of what continues a word

_SPECIAL = re.compile(
    r"\[(?:CLS|SEP|PAD|BOS|EOS|DIST)\]|</?(?:s|pad|bos|eos|cls|sep)>|<\|[^|]{1,40}\|>"
)
_SENTENCE_END = re.compile(r"[.!?…。！？]['\")\]”’»]*$")
# Zero-width joiner and variation selectors.
_JOINERS = "\u200d\ufe0e\ufe0f"
_NO_JOINERS = dict.fromkeys(map(ord, _JOINERS))
_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Reading:
    """How a list of tokens reads; each tuple has one entry per token.

    `words` and `sentences` number the groups from 0, in order. `shown` is safe to show
    anywhere (see `neural_attn.figures.token_labels.readable`). It has no marks of the
    spelling; what continues a word begins with a dot: `token`, `·ization`. `spaces`
    says before which of them a space stands where the text is read.
    """

    scheme: str
    shown: tuple[str, ...]
    words: tuple[int, ...]
    sentences: tuple[int, ...]
    special: tuple[bool, ...]
    spaces: tuple[bool, ...]

    def starts(self, unit: str, first: int, length: int) -> NDArray[np.intp]:
        """Where each "word" or "sentence" starts among `length` tokens from `first`."""
        groups = self.words if unit == "word" else self.sentences
        numbers = np.array(groups[first : first + length])
        return np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))


def read_tokens(tokens: Sequence[str]) -> Reading:
    """Decode `tokens` across their borders, and group them."""
    special = tuple(_SPECIAL.fullmatch(token) is not None for token in tokens)
    scheme = _scheme([t for t, s in zip(tokens, special, strict=True) if not s])
    parts = [""] * len(tokens)
    if scheme == "byte-level":
        whole = [s or not _is_spelled(t) for t, s in zip(tokens, special, strict=True)]
        texts, parts = _decode_bytes(tokens, whole, _byte_level)
    elif scheme == "sentencepiece":
        texts, parts = _decode_bytes(tokens, special, _sentencepiece)
    else:
        texts = list(tokens)
    starts = _word_starts(tokens, texts, parts, special, scheme)
    words = _number(starts)
    sentences = _number(_sentence_starts(texts, words, special))
    plain = _PLAIN.get(scheme, str)
    shown = tuple(
        ("" if begins or part else GOES_ON) + _show(plain(text)) + part
        for text, begins, part in zip(texts, starts, parts, strict=True)
    )
    spaces = _spaces([plain(text) for text in texts], texts, starts, special, scheme)
    return Reading(scheme, shown, words, sentences, special, tuple(spaces))


def labels(tokens: Sequence[str], max_length: int = 24) -> list[str]:
    """`shown` of each token, at most `max_length` characters of it.

    Without joiners, which Matplotlib draws as empty boxes.
    """
    shown = read_tokens(tokens).shown
    return [shortened(text.translate(_NO_JOINERS), max_length) for text in shown]


@cache
def _byte_alphabet() -> dict[str, int]:
    """The printable character for each byte, as GPT-2's tokenizer chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    alphabet.update({chr(0x100 + n): byte for n, byte in enumerate(others)})
    return alphabet


def _scheme(tokens: Sequence[str]) -> str:
    if any(token.startswith("▁") or _FALLBACK.fullmatch(token) for token in tokens):
        return "sentencepiece"
    if _is_byte_level(tokens):
        return "byte-level"
    if any(token.startswith("##") and len(token) > 2 for token in tokens):
        return "wordpiece"
    return "plain"


def _is_byte_level(tokens: Sequence[str]) -> bool:
    """Whether tokens are bytes as printable characters: `Ġhello`, `Ã©`.

    A token that holds any other character was added to the vocabulary as it reads.
    """
    spelled = [token[:1000] for token in tokens if _is_spelled(token[:1000])]
    text = "".join(spelled)
    data = b"".join(map(_byte_level, spelled))
    # Cut at either end, a text may begin or end inside a character.
    plain = data.decode("utf-8", errors="ignore")
    lost = len(data) - len(plain.encode("utf-8"))
    makes_sense = all(c.isprintable() or c in "\n\t\r " for c in plain)
    # Characters that only this alphabet uses for a byte tell it; without any, letters
    # with accents do, where every one is a part of a character in UTF-8.
    if any("\u0100" <= character <= "\u0143" for character in text):
        return makes_sense and lost <= 6
    return makes_sense and lost == 0 and not text.isascii()


def _is_spelled(token: str) -> bool:
    alphabet = _byte_alphabet()
    return all(character in alphabet for character in token)


def _byte_level(token: str) -> bytes:
    alphabet = _byte_alphabet()
    return bytes(alphabet[c] for c in token)


def _sentencepiece(token: str) -> bytes:
    single = _FALLBACK.fullmatch(token)
    if single:
        return bytes([int(single[1], 16)])
    return token.replace("▁", " ").encode("utf-8", errors="surrogatepass")


def _decode_bytes(
    tokens: Sequence[str], whole: Sequence[bool], to_bytes: Callable[[str], bytes]
) -> tuple[list[str], list[str]]:
    """Decode each token; where it holds a part of a character, say which: " 1/3".

    Those that are `whole` are not part of anything, and stay as they are.
    """
    texts: list[str] = []
    parts: list[str] = []
    start = 0
    while start < len(tokens):
        if whole[start]:
            texts.append(tokens[start])
            parts.append("")
            start += 1
            continue
        stop = start
        while stop < len(tokens) and not whole[stop]:
            stop += 1
        decoded = _decode_run([to_bytes(token) for token in tokens[start:stop]])
        texts.extend(decoded[0])
        parts.extend(decoded[1])
        start = stop
    return texts, parts


def _decode_run(pieces: list[bytes]) -> tuple[list[str], list[str]]:
    data = b"".join(pieces)
    owner = [index for index, piece in enumerate(pieces) for _ in piece]
    texts, parts = [""] * len(pieces), [""] * len(pieces)
    position = 0
    while position < len(data):
        length = _character_length(data, position)
        character = data[position : position + length].decode("utf-8", "replace")
        holders = sorted(set(owner[position : position + length]))
        for number, index in enumerate(holders, 1):
            texts[index] += character
            if len(holders) > 1:
                parts[index] = f" {number}/{len(holders)}"
        position += length
    return texts, parts


def _character_length(data: bytes, position: int) -> int:
    first = data[position]
    length = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    try:
        data[position : position + length].decode("utf-8")
    except UnicodeDecodeError:
        return 1
    return length


def _show(text: str) -> str:
    """The text as `readable` gives it, but emoji that are one sign stay one.

    Browsers draw what joiners join, and joiners do not change the direction of text.
    """
    if len(text) > SHOWN_LENGTH or not any(mark in text for mark in _JOINERS):
        return readable(text, SHOWN_LENGTH)
    if not text.strip(_JOINERS):
        return text.encode("unicode_escape").decode("ascii")
    return "".join(mark if mark in _JOINERS else readable(mark) for mark in text)


def _without_space(text: str) -> str:
    """The word without the space that starts it; spaces alone stay visible."""
    return text[1:] if text.startswith(" ") and text.strip(" ") else text


def _without_mark(text: str) -> str:
    """A word piece without its `##`; these marks alone stay."""
    return text[2:] if text.startswith("##") and len(text) > 2 else text


# by spelling: the text of a token without what only says where words begin
_PLAIN = {
    "byte-level": _without_space,
    "sentencepiece": _without_space,
    "wordpiece": _without_mark,
}


def _word_starts(
    tokens: Sequence[str],
    texts: Sequence[str],
    parts: Sequence[str],
    special: Sequence[bool],
    scheme: str,
) -> list[bool]:
    starts: list[bool] = []
    for index, token in enumerate(tokens):
        after_special = index == 0 or special[index - 1]
        if scheme == "wordpiece":
            starts.append(_without_mark(token) == token)
        elif special[index] or after_special or scheme == "plain":
            starts.append(True)
        else:
            # Punctuation and line ends stand alone, as in the other spellings.
            inside = texts[index][:1].isalnum() or bool(parts[index])
            before = texts[index - 1][-1:].isalnum() or bool(parts[index - 1])
            starts.append(not (inside and before))
    return starts


def _spaces(
    plain: Sequence[str],
    texts: Sequence[str],
    starts: Sequence[bool],
    special: Sequence[bool],
    scheme: str,
) -> list[bool]:
    """Whether a space stands before each token; special ones stand apart."""
    if scheme in ("byte-level", "sentencepiece"):
        found = [
            text[:1].isspace() or before[-1:].isspace()
            for before, text in zip(["", *texts], texts, strict=False)
        ]
    else:
        found = spaces_by_rule(plain, starts)
    apart = [i > 0 and (special[i] or special[i - 1]) for i in range(len(texts))]
    return [
        a or (f and i > 0) for i, (a, f) in enumerate(zip(apart, found, strict=True))
    ]


def _sentence_starts(
    texts: Sequence[str], words: Sequence[int], special: Sequence[bool]
) -> list[bool]:
    starts = []
    for index in range(len(texts)):
        first = index == 0 or special[index] or special[index - 1]
        ended = index > 0 and _SENTENCE_END.search(texts[index - 1].strip()) is not None
        # A mark that closes a sentence belongs to it: `."` and `?!`.
        closing = not any(c.isalnum() for c in texts[index])
        new_word = index > 0 and words[index] != words[index - 1]
        starts.append(first or (ended and new_word and not closing))
    return starts


def _number(starts: Sequence[bool]) -> tuple[int, ...]:
    numbers, current = [], -1
    for start in starts:
        current += bool(start)
        numbers.append(max(current, 0))
    return tuple(numbers)
