"""What a call of the program says, and whether it is a message of the pages.

A scenario is a call that shows a message, and the same call changed as its hint says.
A call is a line of `neural`, or a function of no arguments; it runs in a folder of tiny
files (`laboratory`).
"""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from click.testing import CliRunner

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import Diagnostic, NeuralError
from neural_attn.diagnostics.explanations import explanations
from neural_attn.maps.findings import Finding

Call = str | Callable[[], Any]


def said_by(call: Call) -> list[Diagnostic | Finding]:
    """The errors that a call ends with, or the findings that it gives."""
    if isinstance(call, str):
        done = CliRunner().invoke(cli, shlex.split(call))
        if isinstance(done.exception, NeuralError):
            return done.exception.diagnostics
        assert done.exit_code == 0, f"{call}\n{done.output}"
        return []
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            result = call()
    except NeuralError as error:
        return error.diagnostics
    findings = result if isinstance(result, list) else []
    ours = [one for one in told if one.category is UserWarning]
    return [*findings, *(Diagnostic("", str(one.message)) for one in ours)]


def is_among(said: Iterable[Diagnostic | Finding], name: str) -> bool:
    """Whether the message of this name was said, with the hint of its page."""
    code, _, key = name.partition(".")
    page = explanations()[code].messages[key]
    text, hint = _pattern(page.text), _pattern(page.hint)
    for one in said:
        if one.code == code and re.fullmatch(text, one.message, re.DOTALL):
            if re.fullmatch(hint or ".*", one.hint, re.DOTALL):
                return True
        # a warning of Python has no code, and its hint in brackets
        as_warning = rf"{text} \({hint}\)"
        if not one.code and re.fullmatch(as_warning, one.message, re.DOTALL):
            return True
    return False


def follow(name: str, wrong: Call, mended: Call) -> None:
    """Check that the first call shows the message, and the second nothing."""
    before = said_by(wrong)
    assert is_among(before, name), [(one.code, one.message, one.hint) for one in before]
    after = said_by(mended)
    assert after == [], [(one.code, one.message, one.hint) for one in after]


def _pattern(text: str) -> str:
    plain = re.escape(text.replace("{{", "\0").replace("}}", "\1"))
    plain = re.sub(r"\\{.*?\\}", ".*", plain)
    return plain.replace("\0", re.escape("{")).replace("\1", re.escape("}"))
