"""Something that gives attention: all that is asked of a model, whatever made it.

What is drawn, measured or reported goes through this protocol, so a library whose
models are to be looked at is one file that fulfils it (see README.md beside this one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from neural_attn.diagnostics.errors import Diagnostic, fail
from neural_attn.inputs.prepared import Prepared, Tokens
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.findings import UNLABELLED, Finding

__all__ = ["AttentionModel", "Captured", "Vocabulary", "refuse_options"]


@dataclass(frozen=True)
class Captured:
    """What one run gave: the output, and the attention maps.

    `findings` is what is wrong with the weights; a layer whose weights are not
    attention at all (NaN) is not among the maps. `output` is None where nothing was
    run.
    """

    output: Any
    maps: AttentionMaps
    findings: tuple[Finding, ...] = ()

    @property
    def advice(self) -> list[str]:
        """What the findings say that stop no picture."""
        return [one.diagnostic.message for one in self.findings if not one.stops]

    @property
    def unlabelled(self) -> list[str]:
        """What the findings say of labels that do not fit."""
        labels = (one for one in self.findings if one.code == UNLABELLED)
        return [one.diagnostic.message for one in labels]


@dataclass(frozen=True)
class Vocabulary:
    """The token ids 0 to `size` - 1, in texts of at most `longest` (None: any)."""

    size: int
    longest: int | None = None


@runtime_checkable
class AttentionModel(Protocol):
    """A model, or what one has left: it takes inputs and gives attention maps.

    A class that inherits from it must say `outline`, `prepare` and `run`; the rest has
    the answers of a model that knows no more.
    """

    @property
    def outline(self) -> AttentionMaps:
        """Names, kinds and heads of all maps, in layer order: maps of one weight."""
        ...

    @property
    def trained(self) -> bool | None:
        """Whether the weights are trained; None: not known."""
        return None

    @property
    def identity(self) -> str | None:
        """A digest of the network and its weights; None: two cannot be told apart."""
        return None

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The ids that it can be probed with; None where it takes no token ids."""
        return None

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        """What is to be said of the model before it is run."""
        return ()

    @property
    def code(self) -> Mapping[str, str]:
        """Code to be kept beside the pictures: file name to text."""
        return {}

    def prepare(
        self, data: Any = None, tokens: Tokens | None = None, seed: int = 0
    ) -> Prepared:
        """Check arrays [batch, …]; None asks for a sample, drawn with `seed`.

        `tokens` label the positions of the first input, or of several by name.
        Raises NeuralError where the model cannot take them.
        """
        ...

    def encode(self, texts: Sequence[Text]) -> Prepared:
        """Texts or pairs of them as inputs. Raises NeuralError where it takes none."""
        fail("E0415.model")

    def encode_images(
        self, images: Sequence[Path], texts: Sequence[Text] = ()
    ) -> Prepared:
        """Files of images, with a text for each or none, as the model's inputs.

        Raises NeuralError where it takes none.
        """
        fail("E0438.other")

    def encode_sounds(
        self, sounds: Sequence[Path], texts: Sequence[Text] = ()
    ) -> Prepared:
        """Files of sound, with what is said in each or nothing, as the model's inputs.

        Raises NeuralError where it takes none.
        """
        fail("E0439.other")

    def encode_ids(self, ids: NDArray[Any]) -> Prepared:
        """Token ids [batch, time] as texts without padding."""
        return self.prepare(ids, [[str(number) for number in row] for row in ids])

    def run(self, prepared: Prepared) -> Captured:
        """Run it; the attention of all layers. Leaves the model as it was."""
        ...


def refuse_options(options: Mapping[str, Any], what: str) -> None:
    """Raise NeuralError for an option that is set, as it would have no effect."""
    for name, value in options.items():
        if value is not None and not (name == "backend" and value == "auto"):
            fail("E0414", name=name, what=what)
