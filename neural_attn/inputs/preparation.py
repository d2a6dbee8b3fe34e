"""How files of a kind become numbers: kept as JSON beside a `.neural` file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.weighing import TooLargeError, read_text_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Preparation"]


@dataclass(frozen=True)
class Preparation:
    """What the kinds have in common; a subclass has its settings as fields."""

    KIND: ClassVar[str]

    @classmethod
    def path_for(cls, neural_path: Path) -> Path:
        """Where it lies beside the `.neural` file of an imported network."""
        return neural_path.with_name(f"{neural_path.stem}.{cls.KIND}.json")

    @classmethod
    def beside(cls, file: Path | None) -> Self | None:
        """What lies beside a `.neural` file; None where nothing does."""
        path = None if file is None else cls.path_for(file)
        return cls.read(path) if path and path.is_file() else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `text` wrote. Raises NeuralError for anything else."""
        try:
            found = json.loads(read_text_bytes(path))
            made = cls(**{key: _plain(value) for key, value in found.items()})
            made.check()
        except OSError as error:
            fail("E0403", path=path, reason=reason(error))
        except TooLargeError as error:
            fail("E0403", path=path, reason=error)
        except (ValueError, TypeError, AttributeError, RecursionError):
            cls.refuse(path)
        return made

    @property
    def text(self) -> str:
        """JSON that `read` takes."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def refuse(cls, path: Path) -> NoReturn:
        """Raise the NeuralError of a file that holds anything else."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise ValueError or TypeError where a setting is none."""
        raise NotImplementedError


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
