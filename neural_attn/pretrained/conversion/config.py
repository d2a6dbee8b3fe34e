"""config.json, read with care: every value has a type and a range."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.weighing import TooLargeError, read_text_bytes

_REQUIRED = object()
_MAX_SIZE = 2**31 - 1


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises NeuralError: E0622 where it cannot be read, E0623 where it is no such file.
    """
    try:
        data = json.loads(read_text_bytes(path))
    except TooLargeError as error:
        fail("E0623.large", path=path, reason=error)
    except OSError as error:
        fail("E0622", path=path, reason=reason(error))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        fail("E0623.place", path=path, reason=error.msg, where=where)
    except (ValueError, RecursionError):  # not UTF-8, a number too long, too deep
        fail("E0623", path=path)
    if not isinstance(data, dict):
        fail("E0623.object", path=path)
    return data


class Config:
    """The values of a config.json.

    Each method raises NeuralError (E0625) where the value is missing and has no
    default, is of another type or out of range.
    """

    def __init__(
        self,
        path: Path,
        values: Mapping[str, Any],
        head: str = "",
        tensors: Collection[str] = (),
    ) -> None:
        """Take values.

        `head` is what stands on top of the model (see `heads.py`), and `tensors` are
        the names of what the files hold, without a prefix.
        """
        self.path = path
        self.head, self._tensors = head, tensors
        self._values = values

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read a file; see `read_json` for what is raised."""
        return cls(path, read_json(path))

    def with_head(self, head: str, tensors: Collection[str]) -> Config:
        """The same of a model with this head and these tensors."""
        return Config(self.path, self._values, head, tensors)

    def stores(self, tensor: str) -> bool:
        """Whether the files hold this tensor."""
        return tensor in self._tensors

    def inner(self, key: str) -> Config:
        """The values of an object within, {} where it is missing."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            self._wrong(key, value, "an object")
        return Config(self.path, value, self.head, self._tensors)

    def has(self, key: str) -> bool:
        """Whether a value is there, and is not null."""
        return self._values.get(key) is not None

    def lacks(self, key: str) -> bool:
        """Whether a value is not there at all, so that a default of the family holds.

        One that is null is there: it says that there is none.
        """
        return key not in self._values

    def size(
        self, key: str, default: object = _REQUIRED, maximum: int = _MAX_SIZE
    ) -> int:
        """A whole number from 1 to `maximum`."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong(key, value, "a whole number")
        if not 1 <= value <= maximum:
            self._wrong(key, value, f"from 1 to {maximum}")
        return int(value)

    def pair(self, key: str, default: int) -> tuple[int, int]:
        """Two sizes, or one for both."""
        value = self._get(key, default)
        both = value if isinstance(value, list) else [value, value]
        if len(both) != 2 or any(type(one) is not int or one < 1 for one in both):
            self._wrong(key, value, "a whole number of 1 or more, or two")
        return both[0], both[1]

    def check(self, holds: bool, key: str, needed: str) -> None:
        """Stop (E0625) where a value is not what is needed."""
        if not holds:
            self._wrong(key, self._values.get(key), needed)

    def whole(self, key: str, default: int) -> int:
        """A whole number of 0 or more."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self._wrong(key, value, "a whole number of 0 or more")
        return int(value)

    def number(
        self, key: str, default: object = _REQUIRED, maximum: float = 1.0
    ) -> float:
        """A number from 0 to `maximum`."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(key, value, "a number")
        if not (math.isfinite(value) and 0 <= value <= maximum):
            self._wrong(key, value, f"from 0 to {maximum:g}")
        return float(value)

    def numbers(self, key: str, default: Sequence[float]) -> tuple[float, ...]:
        """A list of numbers, as many as there are by default."""
        value = self._get(key, list(default))
        listed = value if isinstance(value, list) else [value] * len(default)
        if len(listed) != len(default) or any(
            type(one) not in (int, float) or not math.isfinite(one) for one in listed
        ):
            self._wrong(key, value, f"{len(default)} numbers")
        return tuple(map(float, listed))

    def is_object(self, key: str) -> bool:
        """Whether a value is an object that holds others."""
        return isinstance(self._values.get(key), dict)

    def text(self, key: str, default: object = _REQUIRED) -> str:
        """A string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            self._wrong(key, value, "a string")
        return str(value)

    def flag(self, key: str, default: object = _REQUIRED) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            self._wrong(key, value, "true or false")
        return bool(value)

    def names(self, key: str) -> list[str]:
        """A list of strings, empty where it is missing."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
            self._wrong(key, value, "a list of strings")
        return list(value)

    def labels(self) -> int:
        """How many labels a head tells apart."""
        labels = self._get("id2label", None) or {"0": "", "1": ""}
        if not isinstance(labels, dict):
            self._wrong("id2label", labels, "an object")
        return self.size("num_labels", len(labels))

    def refuse(self, key: str, allowed: Sequence[object], reason: str) -> None:
        """Stop (E0626) where a value is set, and to none of those that are allowed."""
        value = self._values.get(key)
        if value not in (None, [], {}, *allowed):
            shown = _shown(value)
            fail("E0626", path=self.path, key=key, shown=shown, reason=reason)

    def _get(self, key: str, default: object) -> Any:
        value = self._values.get(key)
        if value is None:
            if default is _REQUIRED:
                fail("E0625.missing", path=self.path, key=key)
            return default
        return value

    def _wrong(self, key: str, value: object, needed: str) -> NoReturn:
        shown = _shown(value)
        fail("E0625", path=self.path, key=key, shown=shown, needed=needed)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
