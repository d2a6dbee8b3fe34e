"""Which heads find grammatical relations (Clark et al., 2019), given a parse.

Each relation makes links from a word to its head in the parse, and the other way; the
finder of `links.py` says of every head how many it finds, beside chance and the best
fixed offset. A parse is never guessed: it comes from a parser that the user names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from neural_attn.analysis.links import LinkFinder, LinkScore
from neural_attn.analysis.sentences import NOTHING, TOO_FEW, counted
from neural_attn.analysis.significance import FEWEST_ROWS
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.connections import spacy_pipeline, word_groups
from neural_attn.metrics.geometry import bare

__all__ = ["RELATIONS", "Arc", "Parser", "Relation", "find_relations", "spacy_parser"]

# relation -> the names that treebanks give it: of ClearNLP, as spaCy, and Universal
RELATIONS = {
    "direct object": frozenset({"dobj", "obj"}),
    "determiner": frozenset({"det"}),
    "possessive": frozenset({"poss", "nmod:poss"}),
    "coreference": frozenset({"coref"}),
}


@dataclass(frozen=True)
class Arc:
    """A word, the one that it belongs to, by their numbers in the text, and how."""

    word: int
    head: int
    relation: str


Parser = Callable[[Sequence[str]], Iterable[Arc]]


@dataclass(frozen=True)
class Relation:
    """How heads find one relation, from the word to its head or back; best first."""

    name: str
    to_head: bool
    scores: tuple[LinkScore, ...]

    @property
    def sentence(self) -> str:
        """What was found, with its baselines and what it rests on."""
        best = self.scores[0]
        ends = "word to head" if self.to_head else "head to word"
        rest = f"{best.links:,} links of {counted(best.texts, 'text')}"
        if best.links < FEWEST_ROWS:
            return f"{self.name} ({ends}): {rest}: {TOO_FEW}"
        beside = (
            f"{best.accuracy:.2f}, chance {best.chance:.2f}, best fixed offset "
            f"({best.offset:+d}) {best.baseline:.2f}, {rest}"
        )
        who = f"{best.map} head {best.head}"
        if best.finds:
            return f"{self.name} ({ends}): {who} finds {beside}"
        return f"{self.name} ({ends}): {NOTHING}; the best, {who}: {beside}"


def find_relations(batches: Iterable[AttentionMaps], parser: Parser) -> list[Relation]:
    """Find the relations of `RELATIONS` in the texts of all maps.

    Parameters
    ----------
    batches : maps of self-attention, every example of which is one text
    parser : words of a text to arcs between them; see `spacy_parser`. Coreference is an
        arc "coref" from a mention to an earlier one; a parser of syntax gives none

    Raises
    ------
    ValueError
        If an arc leaves its text.
    """
    finders: dict[tuple[str, bool], LinkFinder] = {}
    for maps in batches:
        for index in range(len(maps.maps[0].weights) if len(maps) else 0):
            tokens = maps.item(maps.maps[0].name, index).key_tokens
            for key, links in _links(tokens, parser).items():
                finder = finders.setdefault(key, LinkFinder())
                finder.add(maps, links, index)
    order = [(name, way) for name in RELATIONS for way in (True, False)]
    return [Relation(*k, tuple(finders[k].scores())) for k in order if k in finders]


def _links(
    tokens: Sequence[str], parser: Parser
) -> dict[tuple[str, bool], list[tuple[int, list[int]]]]:
    """Links of each relation both ways: from the first piece of a word to any piece."""
    groups = word_groups(tokens)
    words = ["".join(bare(tokens[index]) for index in group) for group in groups]
    found: dict[tuple[str, bool], list[tuple[int, list[int]]]] = {}
    for arc in parser(words):
        if not (0 <= arc.word < len(words) and 0 <= arc.head < len(words)):
            raise ValueError(f"{arc} leaves a text of {len(words)} words")
        for name, labels in RELATIONS.items():
            if arc.relation in labels and arc.word != arc.head:
                for way, start, end in (
                    (True, arc.word, arc.head),
                    (False, arc.head, arc.word),
                ):
                    link = groups[start][0], groups[end]
                    found.setdefault((name, way), []).append(link)
    return found


def spacy_parser(model: str = "en_core_web_sm") -> Parser:
    """A parser that is an installed spaCy pipeline, given the words as they are.

    Raises
    ------
    NeuralError
        (E0502) if spaCy or the pipeline is not installed.
    """
    pipeline, document_of = spacy_pipeline(model)

    def parse(words: Sequence[str]) -> list[Arc]:
        document = pipeline(document_of(words))
        return [Arc(token.i, token.head.i, token.dep_) for token in document]

    return parse
