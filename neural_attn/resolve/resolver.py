"""Syntax tree to IR: finds what each name means, and collects every problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from neural_attn.catalogue import LAYERS, find_layer
from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.refused import refusal
from neural_attn.diagnostics.errors import Problems, Span, did_you_mean, fail
from neural_attn.grammar import prelude, tree
from neural_attn.ir import Block, LayerChoice, LayerUse, Network, Spaces, width_of
from neural_attn.resolve.chain import Chain
from neural_attn.resolve.equations import Equations, layer_nodes, mentioned
from neural_attn.resolve.inference import infer_kinds
from neural_attn.resolve.labels import check_labels
from neural_attn.resolve.names import trouble_with_class, trouble_with_variable
from neural_attn.resolve.networks import NetworkReader
from neural_attn.resolve.quotient_comments import note_quotients
from neural_attn.resolve.root_causes import first_causes
from neural_attn.resolve.uses import use_layer
from neural_attn.resolve.values import check_static
from neural_attn.resolve.wrappers import WRAPPERS
from neural_attn.training.catalogue import GROUPS
from neural_attn.training.hyperparameter_search import settle

MAX_DEPTH = 32  # of defines in defines

# other names of built-in blocks
_SAME_BLOCK = {
    "Transformer": "TransformerEncoder",
    "PositionEmbedding": "PositionalEncoding",
}

_LOOPS = ("for", "while", "repeat")


class Resolver:
    """Resolves the networks of one file, with its defines.

    What the file does not define is looked up in the `library`: the built-in blocks,
    which see each other and never the file's. So a define that is named like a
    built-in one wins in its file, and leaves the built-in blocks as they are.
    """

    def __init__(
        self,
        file: tree.File,
        problems: Problems,
        library: Resolver | None = None,
        spaces: Spaces | None = None,
    ) -> None:
        self.problems = problems
        self.spaces = spaces or Spaces()
        self.file = file
        self.library = library
        self._defines: dict[str, tree.Define] = {}
        for define in file.defines:
            earlier = self._defines.get(define.name.text)
            # by identity: a copy of a built-in block may be equal to it
            if any(earlier is own for own in file.defines):
                self.problems.add(
                    "E0207.define", define.name.span, define=define.name.text
                )
            self._defines[define.name.text] = define
        self._blocks: dict[str, Block | None] = {}
        self._open: list[str] = []

    def networks(self) -> list[Network]:
        """Every network of the file; defines that no network uses are checked too."""
        names: set[str] = set()
        for node in self.file.networks:
            if node.name.text in names:
                self.problems.add("W0118", node.name.span, layer=node.name.text)
            names.add(node.name.text)
            self._check_class(node.name, "network")
        networks = [NetworkReader(self, node).read() for node in self.file.networks]
        for define in self.file.defines:
            self.find(define.name.text)
        if not networks:
            self.problems.add("E0201")
        return networks

    @property
    def parameters(self) -> frozenset[str]:
        """The parameters of the define at hand; a network has none."""
        if not self._open:
            return frozenset()
        return frozenset(p.name for p in self._defines[self._open[-1]].parameters)

    def find(self, name: str) -> NativeLayer | Block | None:
        """The block or native layer of this name; an author's own come first."""
        if name not in self._defines:
            lowered = {n.lower(): n for n in self._defines}
            found = self._built_in(name)
            if found or name.lower() not in lowered:
                return found
            name = lowered[name.lower()]
        if name not in self._blocks:
            self._open.append(name)
            self._blocks[name] = None
            if len(self._open) > MAX_DEPTH:
                fail("E0105.defines", self._defines[name].name.span, most=MAX_DEPTH)
            self._blocks[name] = self._block(self._defines[name])
            self._open.pop()
        return self._blocks[name]

    def _built_in(self, name: str) -> NativeLayer | Block | None:
        if self.library is None:
            return find_layer(name)
        return self.library.find(_SAME_BLOCK.get(name, name))

    def known(self) -> list[str]:
        """Every name that a layer can have here, for hints."""
        return [*self._defines, *(self.library.known() if self.library else LAYERS)]

    def defines(self, name: str) -> bool:
        """Whether the file has a define of this name."""
        return name in self._defines

    def target(self, node: tree.LayerNode) -> NativeLayer | Block | None:
        """What a layer node names; notes a problem where it names nothing."""
        name = node.name.text
        if name in self._open:
            self.problems.add(
                "E0210",
                node.name.span,
                hint=" inside ".join(f"`{n}`" for n in [name, *reversed(self._open)]),
                name=name,
            )
            return None
        target = self.find(name)
        if target is None and name not in self._blocks:
            known = [
                *self.known(),
                *WRAPPERS,
                *(("else", *GROUPS) if node.block else ()),
            ]
            hint = did_you_mean(name, known) or f"define it: `define {name}(…) {{ … }}`"
            if name in _LOOPS:
                hint = "there are no loops: `Dense(8) * 3` repeats a layer"
            if refused := refusal(name):
                self.problems.add(
                    "E0234", node.name.span, hint=refused[1], why=refused[0]
                )
            else:
                self.problems.add("E0204", node.name.span, hint=hint, name=name)
        return target

    def use(
        self, node: tree.LayerNode, name: str, label: str = "", index: int | None = None
    ) -> LayerUse | None:
        """A layer with its arguments matched to the parameters of its target."""
        return use_layer(self, node, name, label, index)

    def _block(self, define: tree.Define) -> Block:
        self._check_class(define.name, "define")
        self._check_parameters(define)
        if define.forward is None:
            block = Chain(self, define).define_block(define)
        else:
            check_labels(self.problems, define.items)
            block = Block(
                define.name.text,
                define.parameters,
                define.doc,
                tuple(self._declared(define.items)),
                define.forward,
                define.name.span,
                trivia=define.trivia,
            )
            labels = {n.label.text for n in layer_nodes(define.items) if n.label}
            Equations(self.problems, block, labels).check()
        infer_kinds(block, self.problems)
        used = mentioned(define)
        for parameter in define.parameters:
            if parameter.name not in used:
                self.problems.add(
                    "W0106",
                    parameter.span,
                    define=define.name.text,
                    parameter=parameter.name,
                )
        return block

    def _check_parameters(self, define: tree.Define) -> None:
        """Names that are free, and defaults of constants, other parameters, widths."""
        names: list[str] = []
        for parameter in define.parameters:
            if why := trouble_with_variable(parameter.name):
                self._refuse_name(why, "parameter", parameter.span)
            if parameter.name in names:
                self.problems.add(
                    "E0207.parameters", parameter.span, parameter=parameter.name
                )
            names.append(parameter.name)
            if parameter.default is not None and not width_of(parameter):
                check_static(self.problems, parameter.default, self.parameters)

    def _declared(self, items: Iterable[tree.Item]) -> Iterator[LayerUse | LayerChoice]:
        for item in items:
            if isinstance(item, tree.LayerChoice):
                check_static(self.problems, item.condition, self.parameters)
                yield LayerChoice(
                    item.condition,
                    tuple(self._declared(item.then)),
                    tuple(self._declared(item.otherwise)),
                    item.trivia,
                )
            elif isinstance(item, tree.Setting):
                name = item.name.text
                self.problems.add("E0211.setting", item.name.span, name=name)
            elif isinstance(item, tree.LayerNode):
                if item.label is None:
                    known = self.find(item.name.text) or item.name.text in WRAPPERS
                    if not known and not self.target(item):
                        continue  # which was noted
                    self.problems.add("E0212", item.span, name=item.name.text)
                    continue
                use = self.use(item, item.label.text)
                if use:
                    yield use

    def _check_class(self, name: tree.Name, what: str) -> None:
        if why := trouble_with_class(name.text):
            self._refuse_name(why, what, name.span)

    def _refuse_name(self, why: str, what: str, span: Span) -> None:
        self.problems.add("E0213.what", span, why=why, what=what)


@cache
def library() -> Resolver:
    """The resolver of the built-in blocks; a problem in them is a bug of ours."""
    return Resolver(prelude(), Problems())


def resolve(file: tree.File, problems: Problems) -> list[Network]:
    """The networks of a parsed file; problems are noted, not raised."""
    for research in file.research:
        problems.add("W0104", research.span)
    note_quotients(file, problems)
    settled, spaces = settle(file, problems)
    networks = Resolver(settled, problems, library(), spaces).networks()
    problems.diagnostics = first_causes(problems.diagnostics, spaces.broken)
    for network, node in zip(networks, settled.networks, strict=True):
        inside = range(node.span.start, node.span.end)
        network.search_space = tuple(s for s in spaces if s.span.start in inside)
    return networks
