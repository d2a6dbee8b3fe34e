"""Counts which heads find grammatical relations, text by text, given a parse.

Each relation makes links from a word to its head in the parse, and the other way; the
finder of `links.py` says of every head how many it finds, beside chance and the best
fixed offset, which is counted in words. A parse is never guessed: it comes from a
parser that the user names, and is laid upon the tokens letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from neural_attn.analysis.links import LinkFinder
from neural_attn.analysis.relations import (
    RELATIONS,
    WAYS,
    Relation,
    Relations,
    relation_name,
)
from neural_attn.analysis.word_pieces import pieces_of
from neural_attn.inputs.links import GivenLinks
from neural_attn.inputs.parses import COREFERENCE, Parse, Parser, joined
from neural_attn.inputs.tokenizer import Text
from neural_attn.maps.attention_map import AttentionItem
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.connections import word_groups
from neural_attn.metrics.geometry import bare

__all__ = ["RelationFinder"]

Links = dict[int, tuple[set[int], set[int]]]  # query -> keys, and offsets in words


@dataclass
class RelationFinder:
    """Counts over texts; parts merge. `parser` names what parsed them, in words.

    `first` has the parse of the first text, None if it has none; it is not saved.
    """

    parser: str
    finders: dict[tuple[str, bool], LinkFinder] = field(default_factory=dict)
    arcs: int = 0
    left_out: int = 0
    unparsed: int = 0
    first: tuple[Parse | None, ...] = ()

    def add(
        self, maps: AttentionMaps, parse: Parse | None, batch_index: int = 0
    ) -> None:
        """Count one text of the maps, by its parse; None: it has none.

        Relations are looked for in the self-attention of an encoder, else of a decoder.
        """
        if parse is None:
            self.unparsed += 1
            return
        kind = _kind(maps)
        if kind is None:
            return
        items = [maps.item(m.name, batch_index) for m in maps.maps if m.kind == kind]
        for way, links in self._links(parse, items[0].key_tokens).items():
            seen = {q: link for q, link in links.items() if _seen(items, q, link[0])}
            if seen:
                pairs = tuple((q, tuple(sorted(k))) for q, (k, _) in seen.items())
                finder = self.finders.setdefault(way, LinkFinder(kind=kind))
                offsets = [offset for _, own in seen.values() for offset in own]
                finder.add(maps, GivenLinks(pairs), batch_index, offsets=offsets)

    def add_all(
        self, maps: AttentionMaps, parser: Parser, texts: Sequence[Text] = ()
    ) -> None:
        """Parse and count every text of the maps; none given: they are of the tokens.

        A pair is two texts in a row, unless the network reads one and writes the other.
        """
        for index in range(len(maps.maps[0].weights) if len(maps) else 0):
            text = texts[index] if index < len(texts) else _text_of(maps, index)
            parse = _parsed(parser, maps, text)
            self.first = self.first or (parse,)
            self.add(maps, parse, index)

    def linked(self, maps: AttentionMaps) -> dict[str, dict[tuple[int, int], str]]:
        """What links positions in the tree of the first text, by map that reads it.

        `maps` are those of the first batch. Coreference is no link of the tree.
        """
        parse = self.first[0] if self.first else None
        kind = _kind(maps)
        if parse is None or kind is None:
            return {}
        names = [one.name for one in maps.maps if one.kind == kind]
        pieces = pieces_of(parse.words, maps.item(names[0], 0).key_tokens)
        found = {
            ends: relation_name(arc.relation)
            for arc in parse.arcs
            if arc.word != arc.head and arc.relation != COREFERENCE
            for one in pieces[arc.word]
            for other in pieces[arc.head]
            for ends in ((one, other), (other, one))
        }
        return dict.fromkeys(names, found)

    def _links(
        self, parse: Parse, tokens: Sequence[str]
    ) -> dict[tuple[str, bool], Links]:
        """Links both ways: from the first piece of a word to any piece of the other."""
        pieces = pieces_of(parse.words, tokens)
        found: dict[tuple[str, bool], Links] = {}
        for arc in dict.fromkeys(parse.arcs):
            for name in (
                n for n, one in RELATIONS.items() if arc.relation in one.labels
            ):
                if arc.word == arc.head:
                    continue
                self.arcs += 1
                if not (pieces[arc.word] and pieces[arc.head]):
                    self.left_out += 1
                    continue
                for to_head in (True, False):
                    ends = (arc.word, arc.head)[:: 1 if to_head else -1]
                    own = found.setdefault((name, to_head), {})
                    keys, offsets = own.setdefault(pieces[ends[0]][0], (set(), set()))
                    keys.update(pieces[ends[1]])
                    offsets.add(ends[1] - ends[0])
        return found

    def merge(self, other: RelationFinder) -> RelationFinder:
        """Give the counts over both sets of texts.

        Raises
        ------
        ValueError
            If they were parsed by different parsers.
        """
        if self.parser != other.parser:
            raise ValueError(
                f"the parts were parsed by {self.parser} and by {other.parser}"
            )
        finders = {**other.finders, **self.finders}
        for way in self.finders.keys() & other.finders.keys():
            finders[way] = self.finders[way].merge(other.finders[way])
        return RelationFinder(
            self.parser,
            finders,
            self.arcs + other.arcs,
            self.left_out + other.left_out,
            self.unparsed + other.unparsed,
            self.first or other.first,
        )

    def relations(self) -> Relations:
        """What was found; all intervals of all relations hold together."""
        found = (
            Relation(*way, tuple(self.finders[way].scores(len(self.finders))))
            for way in WAYS
            if way in self.finders
        )
        counts = self.arcs, self.left_out, self.unparsed
        return Relations(self.parser, *counts, tuple(found))


def _kind(maps: AttentionMaps) -> str | None:
    """Whose tokens the parse is of: those of an encoder, else of a decoder."""
    # "encoder_self" stands after "decoder_self"
    return max({one.kind for one in maps.maps} - {"cross"}, default=None)


def _seen(items: Sequence[AttentionItem], query: int, keys: Iterable[int]) -> bool:
    """Whether a head has a row of the token that may see one of the keys."""
    for item in items:
        row = query - len(item.key_tokens) + len(item.query_tokens)
        if row >= 0 and item.allowed[:, row, sorted(keys)].any():
            return True
    return False


def _parsed(parser: Parser, maps: AttentionMaps, text: Text) -> Parse | None:
    texts = [text] if isinstance(text, str) else list(text)
    if any(one.kind == "cross" for one in maps.maps):
        del texts[1:]
    parses = [one for one in map(parser, texts) if one is not None]
    return joined(parses) if len(parses) == len(texts) else None


def _text_of(maps: AttentionMaps, batch_index: int) -> str:
    """A text as its tokens have it: words with spaces between them."""
    own = [one for one in maps.maps if one.kind != "cross"] or maps.maps
    tokens = maps.item(own[0].name, batch_index).key_tokens
    groups = word_groups(tokens)
    return " ".join("".join(bare(tokens[at]) for at in group) for group in groups)
