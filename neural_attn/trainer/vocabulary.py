"""Tokenizers for training: trained on the data, or given; their special tokens.

What is trained here has the padding at id 0, as networks with `mask_zero` want it.
The `tokenizers` package is imported only when one is made.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neural_attn.diagnostics.errors import fail, reason
from neural_attn.weighing import TEXT_MEGABYTES, TooLargeError, read_text_bytes

PAD, START, END, UNKNOWN = SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
PAD_ID = 0

KINDS = ("bpe", "word", "char")
# What begins and ends a text in vocabularies of others, the most usual first.
_STARTS = (START, "[START]", "[CLS]", "<bos>", "[BOS]", "<|endoftext|>")
_ENDS = (END, "[END]", "[SEP]", "<eos>", "[EOS]", "<|endoftext|>")

Role = Literal["source", "target", "read", "write"]
# What a tokenizer adds to a text: a source ends, a target begins and ends; what is only
# read stays as it is; what is to be continued only begins.
_TEMPLATES: dict[Role, str] = {
    "source": f"$A {END}",
    "target": f"{START} $A {END}",
    "read": "$A",
    "write": f"{START} $A",
}


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and the ids that begin and end a text; None where it has none."""

    inner: Any
    start: int | None
    end: int | None

    @property
    def size(self) -> int:
        """The number of ids: the greatest and one."""
        return (
            max(self.inner.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        )

    @property
    def digest(self) -> str:
        """What tells it from others."""
        return hashlib.sha256(self.inner.to_str().encode()).hexdigest()

    def encode(
        self, texts: Sequence[str], longest: int | None = None, *, words: bool = False
    ) -> tuple[list[Any], int]:
        """Encodings of texts, and how many of them were cut to `longest` tokens.

        `words`: texts are split at spaces first, so that each token knows its word.
        """
        self.inner.no_padding()
        if longest is None:
            self.inner.no_truncation()
        else:
            self.inner.enable_truncation(longest)
        given: Any = [text.split() for text in texts] if words else list(texts)
        found = self.inner.encode_batch(given, is_pretokenized=words)
        self.inner.no_truncation()
        return found, sum(bool(one.overflowing) for one in found)


def opened(inner: Any) -> Vocabulary:
    """A tokenizer of `tokenizers` with what begins and ends its texts."""
    return Vocabulary(inner, _first(inner, _STARTS), _first(inner, _ENDS))


def _first(inner: Any, names: Iterable[str]) -> int | None:
    ids = map(inner.token_to_id, names)
    return next((int(one) for one in ids if one is not None), None)


def read(path: Path) -> Vocabulary:
    """That of a tokenizer.json. Raises NeuralError where it cannot be read."""
    tokenizers = _library()
    try:
        text = read_text_bytes(path, TEXT_MEGABYTES).decode("utf-8")
    except OSError as error:
        fail("E0642.read", path=path, reason=reason(error))
    except TooLargeError as error:
        fail("E0642", path=path, reason=error)
    except UnicodeDecodeError:
        fail("E0642.text", path=path)
    try:
        return opened(tokenizers.Tokenizer.from_str(text))
    except Exception as error:  # noqa: BLE001 - `tokenizers` raises bare ones
        fail("E0642", path=path, reason=error)


def trained(texts: Sequence[str], kind: str, size: int, role: Role) -> Vocabulary:
    """A tokenizer of at most `size` ids for texts; the same texts, the same ids.

    kind: "bpe" (byte pair encoding, Sennrich et al., 2016, of words with their space),
    "word" (words and punctuation marks) or "char". Raises NeuralError (E0703.small)
    where not even the special tokens find room.
    """
    if size <= len(SPECIAL):
        fail("E0703.small", size=size, least=len(SPECIAL) + 1)
    made = _bpe(texts, size) if kind == "bpe" else _listed(texts, size, kind)
    processors = _library().processors
    ids = [(token, made.token_to_id(token)) for token in (START, END)]
    made.post_processor = processors.TemplateProcessing(
        single=_TEMPLATES[role], special_tokens=ids
    )
    return opened(made)


def of_words(lines: Sequence[str], size: int) -> Vocabulary:
    """A tokenizer of what stands between spaces, without special tokens around."""
    made = _listed(lines, size, "spaced")
    return opened(made)


def _bpe(texts: Sequence[str], size: int) -> Any:
    tokenizers = _library()
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        limit_alphabet=size - len(SPECIAL),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return made


def _listed(texts: Sequence[str], size: int, kind: str) -> Any:
    """The most frequent tokens, each with an id; among equals the first by code."""
    tokenizers = _library()
    splits, decoders = tokenizers.pre_tokenizers, tokenizers.decoders
    if kind == "char":
        split = splits.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        decoder = decoders.Fuse()
    else:
        split = splits.Whitespace() if kind == "word" else splits.WhitespaceSplit()
        decoder = None
    counts = Counter(t for text in texts for t, _ in split.pre_tokenize_str(text))
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    kept = [token for token in ranked if token not in SPECIAL][: size - len(SPECIAL)]
    ids = {token: number for number, token in enumerate((*SPECIAL, *kept))}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token=UNKNOWN))
    made.pre_tokenizer = split
    if decoder is not None:
        made.decoder = decoder
    made.add_special_tokens(list(SPECIAL))
    return made


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        fail("E0502.tokenizers")
    return tokenizers
