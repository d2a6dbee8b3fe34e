"""Grammatical relations that heads find (Clark et al., 2019), and how they are told.

`relation_finder.py` counts them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from neural_attn.analysis.evidence import FEWEST_ROWS
from neural_attn.analysis.link_counts import LinkScore
from neural_attn.analysis.sentences import TOO_FEW, rests_on
from neural_attn.inputs.parses import COREFERENCE

__all__ = [
    "RELATIONS",
    "WAYS",
    "Relation",
    "Relations",
    "relation_name",
    "sentences_of",
]

_MOST_TOLD = 2  # relations in the sentence of one head


class Named(NamedTuple):
    """A relation's labels, of ClearNLP (as spaCy) and Universal, and its two ways."""

    labels: frozenset[str]
    to_head: str
    from_head: str


RELATIONS = {
    "direct object": Named(
        frozenset({"dobj", "obj"}),
        "from direct objects to their verbs",
        "from verbs to their direct objects",
    ),
    "determiner": Named(
        frozenset({"det"}),
        "from determiners to their nouns",
        "from nouns to their determiners",
    ),
    "possessive": Named(
        frozenset({"poss", "nmod:poss"}),
        "from possessives to their nouns",
        "from nouns to their possessives",
    ),
    "coreference": Named(
        frozenset({COREFERENCE}),
        "from mentions to the earlier ones they go back to",
        "from mentions to later ones that go back to them",
    ),
}


def relation_name(label: str) -> str:
    """The name of the relation that a parser gave this label; else the label."""
    return next((n for n, one in RELATIONS.items() if label in one.labels), label)


WAYS = tuple((name, to_head) for name in RELATIONS for to_head in (True, False))


@dataclass(frozen=True)
class Relation:
    """How heads find one relation, from the word to its head or back; best first."""

    name: str
    to_head: bool
    scores: tuple[LinkScore, ...]

    @property
    def words(self) -> str:
        """What leads where."""
        named = RELATIONS[self.name]
        return named.to_head if self.to_head else named.from_head

    def said(self, score: LinkScore) -> str:
        """What a head finds of it, with its baselines and what it rests on."""
        return (
            f"right in {score.accuracy:.2f} ({score.low:.2f} to {score.high:.2f}) of "
            f"{rests_on(score.links, score.texts)}, chance {score.chance:.2f}, best "
            f"fixed offset ({score.offset:+d}) {score.baseline:.2f}"
        )

    @property
    def enough(self) -> bool:
        """Whether it rests on more than a few rows."""
        return self.scores[0].links >= FEWEST_ROWS

    @property
    def finders(self) -> list[LinkScore]:
        """The heads with evidence that they find it, beyond the best fixed offset."""
        return [one for one in self.scores if self.enough and one.finds]

    def verdict(self, score: LinkScore) -> str:
        """What is known of one head, in words."""
        return score.verdict if self.enough else TOO_FEW

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        scores = [{**asdict(s), "verdict": self.verdict(s)} for s in self.scores]
        return {"name": self.name, "to_head": self.to_head, "scores": scores}


@dataclass(frozen=True)
class Relations:
    """What was found of all relations by one parser.

    Of `arcs` that are of these relations, `left_out` lie on words without tokens of
    their own; rows that may not see where they lead are not counted. `unparsed` texts
    have no parse.
    """

    parser: str
    arcs: int
    left_out: int
    unparsed: int
    found: tuple[Relation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give them as plain data; docs/analysis/json.md describes it."""
        return {**vars(self), "found": [one.to_dict() for one in self.found]}


def sentences_of(relations: Relations | None) -> dict[tuple[str, int], str]:
    """What heads, by map and number, are told to find: the clearest first."""
    told: dict[tuple[str, int], list[tuple[float, str]]] = {}
    for relation in () if relations is None else relations.found:
        for one in relation.finders:
            words = f"leads {relation.words}: {relation.said(one)}"
            told.setdefault((one.map, one.head), []).append((one.margin, words))
    return {
        head: "; ".join(words for _, words in sorted(own, reverse=True)[:_MOST_TOLD])
        for head, own in told.items()
    }
