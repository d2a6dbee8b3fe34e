"""Syntax tree to IR: finds what each name means, and collects every problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from neural_attn.errors import Problems, Span, did_you_mean, fail
from neural_attn.grammar import prelude, tree
from neural_attn.layers import LAYERS, NativeLayer, find_layer
from neural_attn.layers.refused import refusal
from neural_attn.resolve import training
from neural_attn.resolve.arguments import REPEAT_ALIASES, match
from neural_attn.resolve.chain import Chain
from neural_attn.resolve.equations import Equations, layer_nodes, mentioned
from neural_attn.resolve.flow import Branch
from neural_attn.resolve.habits import as_setting, quoted_name
from neural_attn.resolve.inference import infer_kinds
from neural_attn.resolve.inputs import read_inputs
from neural_attn.resolve.ir import Block, LayerChoice, LayerUse, Network
from neural_attn.resolve.names import (
    trouble_with_attribute,
    trouble_with_class,
    trouble_with_variable,
)
from neural_attn.resolve.search import settle
from neural_attn.resolve.wrappers import (
    WRAPPERS,
    both_directions,
    each_step,
    is_stepwise,
    is_wrapper,
)

MAX_REPEAT = 10_000
MAX_DEPTH = 32  # of defines in defines

# other names of built-in blocks
_SAME_BLOCK = {
    "Transformer": "TransformerEncoder",
    "PositionEmbedding": "PositionalEncoding",
}

_LOOPS = ("for", "while", "repeat")

# parameters that say what holds anyway: accepted, with a warning that says why
_NEEDLESS = {
    "use_attention_mask": "a padding mask reaches every attention by itself",
    "batch_first": "the batch is always the first axis",
}


class Resolver:
    """Resolves the networks of one file, with its defines.

    What the file does not define is looked up in the `library`: the built-in blocks,
    which see each other and never the file's. So a define that is named like a
    built-in one wins in its file, and leaves the built-in blocks as they are.
    """

    def __init__(
        self, file: tree.File, problems: Problems, library: Resolver | None = None
    ) -> None:
        self.file = file
        self.problems = problems
        self.library = library
        self._defines: dict[str, tree.Define] = {}
        for define in file.defines:
            earlier = self._defines.get(define.name.text)
            # by identity: a copy of a built-in block may be equal to it
            if any(earlier is own for own in file.defines):
                self.problems.add(
                    "E0207",
                    f"`{define.name.text}` is defined twice",
                    define.name.span,
                    "give one of the two another name",
                )
            self._defines[define.name.text] = define
        self._blocks: dict[str, Block | None] = {}
        self._open: list[str] = []
        self._parameters: set[str] = set()  # of the define that is being read

    # --- networks ----------------------------------------------------------------

    def networks(self) -> list[Network]:
        """Every network of the file; defines that no network uses are checked too."""
        names: set[str] = set()
        for node in self.file.networks:
            if node.name.text in names:
                self.problems.add(
                    "E0207",
                    f"there is a network `{node.name.text}` already",
                    node.name.span,
                    "give one of the two another name",
                )
            names.add(node.name.text)
        networks = [self.network(node) for node in self.file.networks]
        for define in self.file.defines:
            self.find(define.name.text)
        if not networks:
            self.problems.add(
                "E0201",
                "there is no network in this file",
                None,
                "write `network MyNetwork { input: (…) layers: … }`",
            )
        return networks

    def network(self, node: tree.NetworkNode) -> Network:
        """One network: its inputs, its chain of layers, its training settings."""
        self._check_class(node.name, "network")
        settings: dict[str, tree.Setting] = {}
        layers: list[tree.LayerNode | Branch] = []
        for item in node.items:
            if isinstance(item, tree.LayerNode) and training.is_group(item):
                item = tree.Setting(item.span, item.name, None, item.block)
            elif isinstance(item, tree.LayerNode) and not self._is_defined(item.name):
                item = as_setting(item, self.problems) or item
            if (branch := self._as_branch(item)) is not None:
                layers.append(branch)
                continue
            if isinstance(item, tree.Setting):
                if item.name.text in settings:
                    name = item.name.text
                    self.problems.add("E0208", f"`{name}` is set twice", item.name.span)
                settings[item.name.text] = item
            elif isinstance(item, tree.LayerNode):
                layers.append(item)
            elif isinstance(item, tree.LayerChoice):
                self.problems.add(
                    "E0209",
                    "a network has no parameters to choose by",
                    item.span,
                    "`if` belongs into a `define` with parameters",
                )
        chosen = any(isinstance(item, tree.LayerChoice) for item in node.items)
        if not layers and not chosen:
            self.problems.add(
                "E0202",
                f"network `{node.name.text}` has no layers",
                node.name.span,
                "write them behind `layers:`, such as `Dense(8)`",
            )
        chain = Chain(self, node)
        inputs = read_inputs(settings.pop("input", None), node, chain, layers)
        block = chain.network_block(node, inputs, layers)
        network = Network(node.name.text, node.span.source.name, inputs, block)
        network.pads_with = chain.pads_with
        training.read_settings(network, settings, self.problems)
        return network

    def _is_defined(self, name: tree.Name) -> bool:
        return name.text in self._defines

    def _as_branch(self, item: tree.Item) -> Branch | None:
        """`name: { layers }` as a branch; None where it holds settings."""
        if not isinstance(item, tree.Setting) or item.value is not None:
            return None
        if item.name.text in training.SETTINGS:
            return None
        inside = tuple(i for i in item.block or () if isinstance(i, tree.LayerNode))
        if not inside:
            return None
        for other in item.block or ():
            if not isinstance(other, tree.LayerNode | tree.LayersMarker):
                self.problems.add("E0211", "a branch holds layers only", other.span)
        return Branch(item.span, item.name, inside)

    # --- blocks ------------------------------------------------------------------

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
                fail(
                    "E0105",
                    f"defines are nested more than {MAX_DEPTH} levels deep",
                    self._defines[name].name.span,
                    "a define may use others, but not in so long a row",
                )
            outside, define = self._parameters, self._defines[name]
            self._parameters = {p.name for p in define.parameters}
            self._blocks[name] = self._block(define)
            self._parameters = outside
            self._open.pop()
        return self._blocks[name]

    def _built_in(self, name: str) -> NativeLayer | Block | None:
        if self.library is None:
            return find_layer(name)
        return self.library.find(_SAME_BLOCK.get(name, name))

    def known(self) -> list[str]:
        """Every name that a layer can have here, for hints."""
        return [*self._defines, *(self.library.known() if self.library else LAYERS)]

    def target(self, node: tree.LayerNode) -> NativeLayer | Block | None:
        """What a layer node names; notes a problem where it names nothing."""
        name = node.name.text
        if name in self._open:
            self.problems.add(
                "E0210",
                f"`{name}` contains itself",
                node.name.span,
                " inside ".join(f"`{n}`" for n in [name, *reversed(self._open)]),
            )
            return None
        target = self.find(name)
        if target is None and name not in self._blocks:
            known = [*self.known(), *WRAPPERS]
            hint = did_you_mean(name, known) or f"define it: `define {name}(…) {{ … }}`"
            if name in _LOOPS:
                hint = "there are no loops: `Dense(8) * 3` repeats a layer"
            if refused := refusal(name):
                self.problems.add("E0234", refused[0], node.name.span, refused[1])
            else:
                self.problems.add(
                    "E0204", f"there is no layer `{name}`", node.name.span, hint
                )
        return target

    def _block(self, define: tree.Define) -> Block:
        self._check_class(define.name, "define")
        for parameter in define.parameters:
            if why := trouble_with_variable(parameter.name):
                self._refuse_name(why, "parameter", parameter.span)
        names = [p.name for p in define.parameters]
        for position, parameter in enumerate(define.parameters):
            if parameter.name in names[:position]:
                self.problems.add(
                    "E0207",
                    f"there is a parameter `{parameter.name}` already",
                    parameter.span,
                    "give one of the two another name",
                )
        if define.forward is None:
            block = Chain(self, define).define_block(define)
        else:
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
                    f"`{define.name.text}` never uses its parameter `{parameter.name}`",
                    parameter.span,
                )
        return block

    def _declared(self, items: Iterable[tree.Item]) -> Iterator[LayerUse | LayerChoice]:
        for item in items:
            if isinstance(item, tree.LayerChoice):
                yield LayerChoice(
                    item.condition,
                    tuple(self._declared(item.then)),
                    tuple(self._declared(item.otherwise)),
                    item.trivia,
                )
            elif isinstance(item, tree.Setting):
                name = item.name.text
                self.problems.add(
                    "E0211",
                    f"a define has no setting `{name}`",
                    item.name.span,
                    "settings belong to the network",
                )
            elif isinstance(item, tree.LayerNode):
                if item.label is None:
                    self.problems.add(
                        "E0212",
                        f"this {item.name.text} needs a name for the forward to call",
                        item.span,
                        f"write `my_layer = {item.name.text}(…)`",
                    )
                    continue
                use = self.use(item, item.label.text)
                if use:
                    yield use

    def use(
        self, node: tree.LayerNode, name: str, label: str = "", index: int | None = None
    ) -> LayerUse | None:
        """A layer with its arguments matched to the parameters of its target."""
        if node.label is not None and (why := trouble_with_attribute(node.label.text)):
            self.problems.add(
                "E0213", why, node.label.span, f"call it `my_{node.label.text}`"
            )
        unwrapped = self._unwrapped(node)
        target = self.target(unwrapped) if unwrapped else None
        if unwrapped is None or target is None:
            return None
        node = unwrapped
        if node.block is not None:
            self.problems.add(
                "E0214",
                f"`{target.name}` takes no layers of its own in braces",
                node.span,
                "write a `define` with the layers that you want inside",
            )
        if node.device is not None:
            self.problems.add(
                "W0101",
                f"the device {node.device.value} is not used yet: "
                "the whole network runs on one device",
                node.device.span,
            )
        given, repeat = self._arguments(node, target)
        return LayerUse(
            name, target, given, node.span, repeat, label, index, node.trivia
        )

    def _unwrapped(self, node: tree.LayerNode) -> tree.LayerNode | None:
        """What a wrapper around a layer comes to; other layers as they are."""
        if self.find(node.name.text) is not None:
            return node
        if is_wrapper(node, "Bidirectional"):
            return both_directions(node, self.problems)
        if not is_wrapper(node, "TimeDistributed"):
            return node
        inner = each_step(node, self.problems)
        if inner is None or is_stepwise(inner):
            return inner
        name = node.label.text if node.label else "layer"
        self.problems.add(
            "E0233",
            "TimeDistributed stands in chains; equations say it themselves",
            node.span,
            f"write `{name} = {inner.name.text}(…)`, and call "
            f"`unfold_time({name}(fold_time(x)), x)`",
        )
        return None

    def _arguments(
        self, node: tree.LayerNode, target: NativeLayer | Block
    ) -> tuple[dict[str, tree.Expr], tree.Expr | None]:
        repeat, arguments = node.repeat, list(node.arguments)
        if isinstance(target, Block):
            names = [p.name for p in target.parameters]
            required = [p.name for p in target.parameters if p.default is None]
            aliases: dict[str, str] = {}
            for argument in node.arguments:
                if argument.name in names:
                    continue
                if argument.name in REPEAT_ALIASES:
                    if repeat is not None:
                        self.problems.add(
                            "E0206",
                            f"`{target.name}` is told twice how often it is repeated",
                            argument.span,
                            "keep one of them",
                        )
                    repeat = argument.value
                    arguments.remove(argument)
                elif argument.name in _NEEDLESS:
                    why = _NEEDLESS[argument.name]
                    self.problems.add(
                        "W0105",
                        f"`{argument.name}` changes nothing: {why}",
                        argument.span,
                    )
                    arguments.remove(argument)
        else:
            names = [p.name for p in target.parameters]
            required = [p.name for p in target.parameters if p.required]
            aliases = {a: p.name for p in target.parameters for a in p.aliases}
        given = match(f"`{target.name}`", names, arguments, self.problems, aliases)
        missing = [name for name in required if name not in given]
        if missing and not any(a.name not in names for a in arguments if a.name):
            self.problems.add(
                "E0215",
                f"`{target.name}` needs {' and '.join(f'`{m}`' for m in missing)}",
                node.name.span,
                f"write `{target.name}({', '.join(f'{m}=…' for m in missing)})`",
            )
        for name, expr in given.items():
            if isinstance(expr, tree.Name) and expr.text not in self._parameters:
                expr = given[name] = quoted_name(target, name, expr)
            if isinstance(expr, tree.Literal):
                self.check_value(target, name, expr.value, expr.span)
                self._note_needless(target, name, expr)
        if isinstance(repeat, tree.Literal):
            check_repeat(self.problems, repeat.value, repeat.span)
        return given, repeat

    def _note_needless(
        self, target: NativeLayer | Block, name: str, value: tree.Literal
    ) -> None:
        declared = target.parameter(name) if isinstance(target, NativeLayer) else None
        if declared and declared.needless and value.value != declared.default:
            self.problems.add(
                "W0105", f"`{name}` changes nothing: {declared.needless}", value.span
            )

    def check_value(
        self, target: NativeLayer | Block, name: str, value: object, span: Span
    ) -> bool:
        """Note a value that the parameter cannot have."""
        return check_value(self.problems, target, name, value, span)

    def _check_class(self, name: tree.Name, what: str) -> None:
        if why := trouble_with_class(name.text):
            self._refuse_name(why, what, name.span)

    def _refuse_name(self, why: str, what: str, span: Span) -> None:
        self.problems.add("E0213", f"{why}: no {what} can be called so", span)


def shown(value: object) -> str:
    """A value as it is written in the language."""
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def check_repeat(problems: Problems, count: object, span: Span) -> bool:
    """Note a repeat that is no whole number from 1 to MAX_REPEAT."""
    if type(count) is int and 1 <= count <= MAX_REPEAT:
        return True
    problems.add(
        "E0216",
        f"a layer is repeated 1 to {MAX_REPEAT:,} times, not {shown(count)}",
        span,
    )
    return False


def check_value(
    problems: Problems,
    target: NativeLayer | Block,
    name: str,
    value: object,
    span: Span,
) -> bool:
    """Note a value that a parameter of `target` cannot have; True where it can."""
    if isinstance(target, Block):
        kind = target.kinds.get(name)
        parameter = target.parameter(name)
        default = parameter.default if parameter else None
        if isinstance(default, tree.Literal) and default.value is None is value:
            return True
    else:
        declared = target.parameter(name)
        kind = declared.kind if declared else None
    complaint = kind.complaint(value) if kind else ""
    if not complaint:
        return True
    hint = ""
    if isinstance(value, str) and kind and "one of" in complaint:
        options = complaint.removeprefix("must be one of ").split(", ")
        hint = did_you_mean(value, options, 0.5) or f"it {complaint}"
        complaint = "cannot be"
        message = f"`{name}` of `{target.name}` cannot be {shown(value)}"
    else:
        message = f"`{name}` of `{target.name}` {complaint}, and is {shown(value)}"
    problems.add("E0217", message, span, hint)
    return False


@cache
def library() -> Resolver:
    """The resolver of the built-in blocks; a problem in them is a bug of ours."""
    return Resolver(prelude(), Problems())


def resolve(file: tree.File, problems: Problems) -> list[Network]:
    """The networks of a parsed file; problems are noted, not raised."""
    for research in file.research:
        problems.add(
            "W0104",
            "a research block describes the network for readers: nothing is made of it",
            research.span,
        )
    settled, spaces = settle(file, problems)
    networks = Resolver(settled, problems, library()).networks()
    for network, node in zip(networks, settled.networks, strict=True):
        inside = range(node.span.start, node.span.end)
        network.search_space = tuple(s for s in spaces if s.span.start in inside)
    return networks
