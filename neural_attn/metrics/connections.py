"""Strong connections between tokens, with the rule that put each in its category.

The categories are those of the visualization notebook, positional, special_token,
syntactic and semantic, and word_classes. A rule sees two tokens, their distance and,
where these were given, their parts of speech and what links them in a parse; the first
rule that applies decides and is named in the result. Only a parse makes a connection
syntactic. What no rule knows is "other": a strong weight alone does not make two words
related.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.inputs.parses import spacy_pipeline
from neural_attn.maps.attention_maps import AttentionItem, AttentionMaps
from neural_attn.metrics.geometry import bare, is_punctuation, is_special, words_of

__all__ = [
    "OTHER",
    "RULES",
    "Connection",
    "Pair",
    "Rule",
    "find_connections",
    "spacy_tagger",
    "tags_of",
    "word_groups",
]

OTHER = "other"
THRESHOLD = 0.1  # of the notebook
_BLOCK_CELLS = 1 << 20  # of rows that are averaged together

DETERMINERS = frozenset("a an the this that these those".split())
_CONTENT = frozenset({"NOUN", "PROPN", "VERB", "ADJ", "ADV"})
_NOUNS = frozenset({"NOUN", "PROPN", "PRON"})
# classes whose words often belong together; whether these two do, a parse knows
_CLASSES: dict[str, tuple[Set[str], Set[str]]] = {
    "determiner and noun": ({"DET"}, _NOUNS),
    "adjective and noun": ({"ADJ"}, _NOUNS),
    "verb and noun": ({"VERB", "AUX"}, _NOUNS),
    "adverb and verb or adjective": ({"ADV"}, {"VERB", "ADJ"}),
    "preposition and noun": ({"ADP"}, _NOUNS),
}

# what links two positions in a parse, by position of query and key
Relations = Mapping[tuple[int, int], str]
Tagger = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Pair:
    """What a rule sees; tags are universal parts of speech, or None without a tagger.

    Tokens are empty where only their places are known: a place's number is not a word.
    `distance` is key position minus query position, None for cross-attention.
    `relation` is what links both in the tree of a parse, "" for nothing, None without.
    """

    query: str
    key: str
    distance: int | None
    query_tag: str | None = None
    key_tag: str | None = None
    relation: str | None = None


@dataclass(frozen=True)
class Rule:
    """One way to tell a category; `says` names it for a pair, where names vary."""

    category: str
    name: str
    applies: Callable[[Pair], bool]
    says: Callable[[Pair], str] | None = None


@dataclass(frozen=True)
class Connection:
    """One weight beyond the threshold; positions count from 0 without padding."""

    map: str
    query: int
    key: int
    query_token: str
    key_token: str
    weight: float
    category: str
    rule: str


def _adjacent(pair: Pair) -> bool:
    return pair.distance is not None and abs(pair.distance) == 1


def _special(pair: Pair) -> bool:
    return is_special(pair.query) or is_special(pair.key)


def _relation(pair: Pair) -> str:
    return pair.relation or ""


def _linked(pair: Pair) -> bool:
    return bool(pair.relation)


def _classes(pair: Pair) -> str:
    """The two word classes, or ""; a parse knows better whether they go together."""
    if pair.relation is not None:
        return ""
    for name, (one, two) in _CLASSES.items():
        for query, key in ((one, two), (two, one)):
            if pair.query_tag in query and pair.key_tag in key:
                return name
    return ""


def _tagged(pair: Pair) -> bool:
    return bool(_classes(pair))


def _determiner(pair: Pair) -> bool:
    # Only without tags, which know better; English, and blind to "that" as pronoun.
    return pair.query_tag is None and _is_determiner(pair.query, pair.key)


def _to_determiner(pair: Pair) -> bool:
    return pair.query_tag is None and _is_determiner(pair.key, pair.query)


def _is_determiner(one: str, other: str) -> bool:
    return bare(one).lower() in DETERMINERS and not is_punctuation(other)


def _same_word(pair: Pair) -> bool:
    word = bare(pair.key).lower()
    same = word == bare(pair.query).lower()
    return bool(word) and same and not is_punctuation(pair.key)


def _content(pair: Pair) -> bool:
    return pair.query_tag in _CONTENT and pair.key_tag in _CONTENT


RULES: tuple[Rule, ...] = (
    # Special tokens first: a neighbour of [CLS] attends to it as all others do.
    Rule("special_token", "one of them is a special token", _special),
    Rule("syntactic", "the relation that links them in a parse", _linked, _relation),
    Rule("positional", "neighbouring tokens", _adjacent),
    Rule("semantic", "the same word", _same_word),
    Rule(
        "word_classes",
        "word classes that often go together, no parse",
        _tagged,
        _classes,
    ),
    # A word list knows no grammar: that a determiner belongs to the word is not said.
    Rule(OTHER, "determiner → any word (word list)", _determiner),
    Rule(OTHER, "any word → determiner (word list)", _to_determiner),
    Rule("semantic", "two content words (parts of speech)", _content),
)


def find_connections(
    maps: AttentionMaps,
    batch_index: int = 0,
    *,
    threshold: float = THRESHOLD,
    top: int | None = None,
    rules: Sequence[Rule] = RULES,
    tagger: Tagger | None = None,
    relations: Mapping[str, Relations] | None = None,
) -> dict[str, list[Connection]]:
    """Find the strong connections of each layer, on the average over its heads.

    `maps.select(head=…)` first gives those of one head. A token's connection to itself
    does not count.

    Parameters
    ----------
    threshold : weights above this are strong; of signed weights, those of such a size
    top : at most so many per layer, the strongest
    rules : tried in this order; add your own before or instead of `RULES`
    tagger : words to universal parts of speech, one each; see `spacy_tagger`
    relations : by map, what links positions (counted as keys) in a parse

    Returns
    -------
    dict
        Map name to connections, the strongest first.

    Raises
    ------
    ValueError
        If the tagger gives another number of tags than it got words.
    """
    parsed = relations or {}
    return {
        name: _of_item(
            maps.item(name, batch_index),
            threshold,
            top,
            rules,
            tagger,
            parsed.get(name),
        )
        for name in maps
    }


def _of_item(
    item: AttentionItem,
    threshold: float,
    top: int | None,
    rules: Sequence[Rule],
    tagger: Tagger | None,
    relations: Relations | None,
) -> list[Connection]:
    own = item.kind != "cross"
    shift = item.weights.shape[2] - item.weights.shape[1] if own else 0
    query_tags = _tags(item.query_tokens, tagger)
    key_tags = _tags(item.key_tokens, tagger)
    queries, keys = words_of(item.query_tokens), words_of(item.key_tokens)
    cells, weights = _strong(item, threshold, own=own)
    # Of signed weights, both ends of the scale are strong.
    order = np.argsort(-np.abs(weights), kind="stable")[:top]
    found = []
    for (query, key), weight in zip(cells[order].tolist(), weights[order], strict=True):
        pair = Pair(
            queries[query],
            keys[key],
            key - query - shift if own else None,
            query_tags[query],
            key_tags[key],
            None if relations is None else relations.get((query + shift, key), ""),
        )
        rule = next((rule for rule in rules if rule.applies(pair)), None)
        found.append(
            Connection(
                item.name,
                query,
                key,
                item.query_tokens[query],
                item.key_tokens[key],
                float(weight),
                rule.category if rule else OTHER,
                _said(rule, pair),
            )
        )
    return found


def _said(rule: Rule | None, pair: Pair) -> str:
    if rule is None:
        return "no rule applies"
    return rule.name if rule.says is None else rule.says(pair)


def _strong(
    item: AttentionItem, threshold: float, *, own: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cells [found, 2] above the threshold in size, row by row, and their weights.

    Rows are averaged over heads in blocks, as a long text has many.
    """
    queries, keys = item.weights.shape[1:]
    step = max(1, _BLOCK_CELLS // keys)
    cells, weights = [], []
    for start in range(0, queries, step):
        rows = slice(start, min(start + step, queries))
        average = item.weights[:, rows].mean(axis=0, dtype=np.float64)
        if own:  # a token's connection to itself does not count
            at = np.arange(len(average))
            average[at, start + at + keys - queries] = 0.0
        found = np.argwhere(np.abs(average) > threshold)
        weights.append(average[tuple(found.T)])
        cells.append(found + np.array([start, 0]))
    return np.concatenate(cells), np.concatenate(weights)


def _tags(tokens: Sequence[str], tagger: Tagger | None) -> Sequence[str | None]:
    return [None] * len(tokens) if tagger is None else tags_of(tokens, tagger)


def word_groups(tokens: Sequence[str]) -> list[list[int]]:
    """The places of the tokens of each word; special tokens are of none.

    Word pieces (`##ing`) belong to the word before them. Where a tokenizer marks the
    beginnings of words (`Ġ`, `▁`), what has no mark belongs to the word before it.
    """
    marked = any(token[:1] in "Ġ▁" for token in tokens if token)
    groups: list[list[int]] = []
    for index, token in enumerate(tokens):
        if is_special(token):
            continue
        inside = token.startswith("##") or (marked and token[:1] not in ("Ġ", "▁"))
        if inside and groups and groups[-1][-1] == index - 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def tags_of(tokens: Sequence[str], tagger: Tagger) -> list[str | None]:
    """Tag tokens by the words that they are parts of; special tokens get None."""
    groups = word_groups(tokens)
    words = ["".join(bare(tokens[index]) for index in group) for group in groups]
    tags = list(tagger(words))
    if len(tags) != len(words):
        raise ValueError(f"the tagger gave {len(tags)} tags for {len(words)} words")
    result: list[str | None] = [None] * len(tokens)
    for group, tag in zip(groups, tags, strict=True):
        for index in group:
            result[index] = tag
    return result


def spacy_tagger(model: str = "en_core_web_sm") -> Tagger:
    """A tagger that is an installed spaCy pipeline, given the words as they are.

    `model` is the name of an installed pipeline or the folder of one. A word that it
    gives no part of speech has the tag "".

    Raises
    ------
    NeuralError
        (E0502) if spaCy or the pipeline is not installed, or the pipeline gives no
        parts of speech.
    """
    pipeline = spacy_pipeline(model)

    def tag(words: Sequence[str]) -> list[str]:
        from spacy.tokens import Doc

        tags = [
            token.pos_ for token in pipeline(Doc(pipeline.vocab, words=list(words)))
        ]
        if words and not any(tags):
            fail(
                "E0502.tagger",
                model=model,
                parts=", ".join(pipeline.pipe_names) or "nothing",
            )
        return tags

    return tag
