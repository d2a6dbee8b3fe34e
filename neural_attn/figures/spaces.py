"""Where spaces stood between tokens that do not say it, as a reader would put them.

Word pieces and plain words come without the spaces around them: `don ' t .` stands for
`don't.` Rules cannot tell `a - b` from `a-b`, and take what is usual in prose.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["spaces_by_rule"]

_APOSTROPHES = "'’"
_QUOTES = "'\""  # the same sign opens and closes
_OPENING = frozenset("([{<«„“‘¿¡#$£€")
_CLOSING = frozenset(".,;:!?…)]}>»”’%。，、؟،؛")
_JOINING = frozenset("-/_\\@—")
# What an apostrophe joins to the word before it, and what it joins to the one after.
_ENDINGS = frozenset("s t d m re ve ll em".split())
_BEGINNINGS = frozenset("o l d j c m n s t qu".split())


def spaces_by_rule(texts: Sequence[str], starts: Sequence[bool]) -> list[bool]:
    """Whether a space stands before each text; `starts` says which begin a word."""
    last = {text: index for index, text in enumerate(texts)}
    is_open: set[str] = set()
    spaces = []
    wants = False  # whether the text before wants a space after it
    for index, text in enumerate(texts):
        before, after = _sides(texts, index)
        if text in _QUOTES and before and after:
            opens = text not in is_open and last[text] > index
            is_open ^= {text} if opens or text in is_open else set()
            before, after = opens, not opens
        spaces.append(starts[index] and wants and before)
        wants = after
    return spaces


def _sides(texts: Sequence[str], index: int) -> tuple[bool, bool]:
    """Whether a text wants a space before it, and one after it."""
    text = texts[index]
    previous = texts[index - 1] if index else ""
    following = texts[index + 1] if index + 1 < len(texts) else ""
    signs = set(text)
    if text in _APOSTROPHES and _contracts(previous, following):
        return False, False
    if text in (".", ",", ":") and _is_in_number(text, previous, following):
        return False, False
    if signs <= _JOINING:
        return False, False
    if signs <= _OPENING:
        return True, False
    if signs <= _CLOSING:
        return False, True
    # Chinese and Japanese have no spaces.
    return not (_is_wide(text) and _is_wide(previous)), True


def _contracts(previous: str, following: str) -> bool:
    return (following.lower() in _ENDINGS and previous[-1:].isalnum()) or (
        previous.lower() in _BEGINNINGS and following[:1].isalpha()
    )


def _is_in_number(sign: str, previous: str, following: str) -> bool:
    if not (previous.isdigit() and following.isdigit()):
        return False
    return sign != "," or (len(previous) <= 3 and len(following) == 3)


def _is_wide(text: str) -> bool:
    return text[:1].isalpha() and unicodedata.east_asian_width(text[0]) == "W"
