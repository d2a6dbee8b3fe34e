"""Text to token ids: finds a network's tokenizer.json, and encodes batches with it.

The `tokenizers` package is imported only when a tokenizer is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes

__all__ = ["Encoded", "Text", "Tokenizer", "find_tokenizer", "tokenizer_path"]

FILE_NAME = "tokenizer.json"
# The names under which models have their padding token, most usual first.
_PADDING = ("[PAD]", "<pad>", "<|pad|>", "<PAD>", "<|endoftext|>", "</s>")

# Those that stand before a text and behind it, where nothing puts them there.
_STARTS = (
    "<s>", "[BOS]", "<bos>", "<sos>", "<start>", "[START]", "[CLS]", "<|startoftext|>",
)  # fmt: skip
_ENDS = ("</s>", "[EOS]", "<eos>", "<end>", "[END]", "[SEP]", "<|endoftext|>")

Text = str | tuple[str, str]


@dataclass(frozen=True)
class Encoded:
    """A batch of texts as arrays, and the tokens they stand for.

    `inputs` holds input_ids, token_type_ids and attention_mask (1: a token, 0:
    padding), int64 [batch, time], by the names that networks give their inputs.
    `tokens` has as many strings per text, padding included. `notes` says what was
    cut off, for people.
    """

    inputs: Mapping[str, NDArray[np.int64]]
    tokens: list[list[str]]
    notes: list[str]

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each text, without the padding."""
        return [int(n) for n in self.inputs["attention_mask"].sum(axis=1)]


def tokenizer_path(neural_path: Path) -> Path:
    """Where the tokenizer of an imported network lies: `minilm.tokenizer.json`."""
    return neural_path.with_name(f"{neural_path.stem}.{FILE_NAME}")


def find_tokenizer(
    neural_path: str | os.PathLike[str] | None,
    checkpoint_path: str | os.PathLike[str] | None = None,
    explicit: str | os.PathLike[str] | None = None,
) -> Path | None:
    """The tokenizer that belongs to a network, or None if there is none.

    `explicit` (a file, or a folder that holds tokenizer.json) wins. Else the first
    of these that exists: the file named after the network (`minilm.neural`:
    `minilm.tokenizer.json`), the one named after the weights, a `tokenizer.json`
    beside the weights, then one beside the network.

    Raises NeuralError (E0641) where `explicit` names nothing.
    """
    if explicit is not None:
        path = Path(explicit)
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            fail("E0641", path=path)
        return path
    owners = [Path(p) for p in (neural_path, checkpoint_path) if p is not None]
    candidates = [tokenizer_path(owner) for owner in owners]
    candidates += [owner.with_name(FILE_NAME) for owner in reversed(owners)]
    return next((path for path in candidates if path.is_file()), None)


class Tokenizer:
    """A tokenizer.json, ready to encode.

    Padding and truncation settings inside the file are not used: they are those of
    somebody's training run. A batch is padded to its longest text, and texts are cut
    only where the network ends.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Load a file.

        Raises NeuralError where the `tokenizers` package is not installed (E0502) or
        the file cannot be read (E0642).
        """
        self.path = Path(path)
        self._inner = _load(self.path)
        self._padding_id, self._padding_token = self._find_padding()
        self._inner.no_padding()
        self._inner.no_truncation()

    @property
    def vocabulary_size(self) -> int:
        """Number of known tokens, those added later included."""
        return int(self._inner.get_vocab_size())

    def __call__(self, ids: Sequence[int]) -> list[str]:
        """The tokens that ids stand for; an id that is not known is its own text."""
        return [self._inner.id_to_token(one) or str(one) for one in ids]

    def encode(self, texts: Sequence[Text], max_length: int | None = None) -> Encoded:
        """Encode texts, or pairs of texts, into one padded batch.

        Special tokens such as [CLS] and [SEP] are added. With `max_length`, a text
        that has more tokens than that (special ones counted) loses its last ones (the
        longer text of a pair first), and `notes` says how many.

        Raises NeuralError (E0643) for no text, or one that gives no token or cannot
        be encoded, or where not even the special tokens fit into `max_length`.
        """
        if isinstance(texts, str) or not texts:
            fail("E0643.list")
        found = [self._encode(text, number) for number, text in enumerate(texts, 1)]
        notes = []
        if max_length is not None:
            for index, one in enumerate(found):
                if len(one.ids) > max_length:
                    found[index] = self._cut(texts[index], max_length)
                    what = "the text" if len(texts) == 1 else f"text {index + 1}"
                    notes.append(
                        f"{what} has {len(one.ids)} tokens; the last "
                        f"{len(one.ids) - max_length} were cut off, as the network "
                        f"takes {max_length}"
                    )
        if any(isinstance(text, tuple) for text in texts) and not self._parts_pairs:
            notes.append("this tokenizer puts nothing between the texts of a pair")
        return self._batch(found, notes)

    @property
    def _parts_pairs(self) -> bool:
        """Whether special tokens stand with a pair that do not stand with a text."""
        special = self._inner.num_special_tokens_to_add
        return bool(special(True) > special(False))

    def tokens_of(self, ids: NDArray[Any]) -> list[list[str]]:
        """The tokens of ids [batch, time]; the number of an id that has none."""
        known = self._inner.id_to_token
        return [[known(one) or str(one) for one in row] for row in ids.tolist()]

    @cached_property
    def borders(self) -> tuple[int | None, int | None]:
        """The ids that start and that end a text; None where there is none.

        They are those that the file puts round a text, else those of a usual name.
        """
        names = self._inner.token_to_id
        start = next((n for n in _STARTS if names(n) is not None), None)
        end = next((n for n in _ENDS if names(n) is not None), None)
        found = [names(start) if start else None, names(end) if end else None]
        around = self._inner.encode("").ids
        if len(around) > 1:
            found = [around[0], around[-1]]
        elif around and around[0] != found[1]:
            found[0] = around[0]
        return found[0], found[1]

    def ids_of(self, text: str, number: int = 1) -> list[int]:
        """The ids of a text, without those that only start or end it.

        Raises NeuralError (E0643) where it cannot be encoded. `number` is that of the
        text, for the message.
        """
        self._check_unicode(text, number)
        try:
            ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        except Exception as error:  # noqa: BLE001 - `tokenizers` raises bare ones
            fail("E0643.fails", path=self.path, number=number, reason=error)
        return ids

    @property
    def padding(self) -> int | None:
        """The id of the padding token; None where there is none."""
        return self.id_of(self._padding_token)

    def id_of(self, token: str) -> int | None:
        """The id of a token; None where it is not known."""
        found: int | None = self._inner.token_to_id(token)
        return found

    def text_of(self, ids: Sequence[int]) -> str:
        """The text that ids stand for, without special tokens."""
        text: str = self._inner.decode(list(ids), skip_special_tokens=True)
        return text

    def _encode(self, text: Text, number: int) -> Any:
        parts = text if isinstance(text, tuple) else (text,)
        for part in parts:
            self._check_unicode(part, number)
        try:
            encoding = self._inner.encode(*parts)
        except Exception as error:  # noqa: BLE001 - `tokenizers` raises bare ones
            fail("E0643.fails", path=self.path, number=number, reason=error)
        if not encoding.ids:
            fail("E0643", number=number)
        return encoding

    @staticmethod
    def _check_unicode(text: str, number: int) -> None:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            fail("E0643.unicode", number=number)

    def _cut(self, text: Text, max_length: int) -> Any:
        pair = isinstance(text, tuple)
        special = self._inner.num_special_tokens_to_add(pair)
        # `tokenizers` would not cut at all in this case.
        if max_length < max(1, special):
            fail("E0643.special", special=special, max_length=max_length)
        self._inner.enable_truncation(max_length)
        try:
            return self._inner.encode(*(text if pair else (text,)))
        finally:
            self._inner.no_truncation()

    def _batch(self, found: Sequence[Any], notes: list[str]) -> Encoded:
        shape = (len(found), max(len(one.ids) for one in found))
        ids = np.full(shape, self._padding_id, np.int64)
        types = np.zeros(shape, np.int64)
        mask = np.zeros(shape, np.int64)
        tokens = []
        for row, one in enumerate(found):
            count = len(one.ids)
            ids[row, :count] = one.ids
            types[row, :count] = one.type_ids
            mask[row, :count] = 1
            padding = [self._padding_token] * (shape[1] - count)
            tokens.append(list(one.tokens) + padding)
        inputs = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
        return Encoded(inputs, tokens, notes)

    def _find_padding(self) -> tuple[int, str]:
        """Id and display of the padding token; id 0 where the file names none.

        Which id it is has no effect on the result, as padding is masked.
        """
        settings = self._inner.padding
        if settings:
            return int(settings["pad_id"]), str(settings["pad_token"])
        for token in _PADDING:
            known = self._inner.token_to_id(token)
            if known is not None:
                return int(known), token
        return 0, "[PAD]"


def _load(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer as Inner
    except ImportError:
        fail("E0502.tokenizers")
    try:
        text = read_text_bytes(path, TEXT_MEGABYTES).decode("utf-8")
    except OSError as error:
        fail("E0642.read", path=path, reason=reason(error))
    except TooLargeError as error:
        fail("E0642", path=path, reason=error)
    except UnicodeDecodeError:
        fail("E0642.text", path=path)
    try:
        return Inner.from_str(text)
    except Exception as error:  # noqa: BLE001 - `tokenizers` raises bare ones
        fail("E0642", path=path, reason=error)
