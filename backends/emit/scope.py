"""What is known while the class of one block is written, and what it turns out to need.

The class has the parameters that this network sets; others stand in it as their values.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from neural_attn.backends.emit import runtime_source
from neural_attn.backends.emit.base import VARIES, Backend, Generation, Row
from neural_attn.backends.emit.expressions import (
    BUILT_IN,
    Rule,
    constant,
    dotted,
    fill,
    python,
    slots,
    text,
)
from neural_attn.backends.emit.usage import (
    always_none,
    given_inputs,
    set_parameters,
    sizes,
)
from neural_attn.grammar import tree

from neural_attn.catalogue.base import NativeLayer
from neural_attn.catalogue.decoding import CACHE
from neural_attn.diagnostics.errors import fail
from neural_attn.ir import Block, LayerUse, width_of
from neural_attn.promises import Rows
from neural_attn.shapes.instance import Checked, of_repeats

Signature = dict[str, str | None]
PAST_MASK = "past_mask"  # the layer of a network that keeps which steps are padding


class Scope:
    """The names in the class of a block, and what each is spelled as.

    `stored` and `passed` gather the parameters that the forward and the constructor
    use; `locals` the variables of the forward, of which those in `never_none` always
    have a value, and those in `nothing` never; `before` the loops that must come before
    the statement at hand, which assigns to `target`; `value` is what was assigned last.
    """

    def __init__(
        self,
        checked: Checked,
        block: Block,
        backend: Backend,
        scopes: Mapping[Block, Scope],
        going_on: Generation | None,
    ) -> None:
        self.checked = checked
        self.block = block
        self.backend = backend
        self.scopes = scopes
        self.facts = checked.facts[block]
        self.layers = {
            use.name: use for use in block.uses() if use.name in self.facts.live
        }
        self.static = {p.name: p for p in block.parameters}
        self.locals: set[str] = set(block.inputs)
        self.stored: set[str] = set()
        self.passed: set[str] = set()
        self.hides_future = False
        self.calls_attention = False  # a method of AttentionLayer
        self.observed: Rows | None = None  # what the rows promise that it observes
        self.has_sink = False  # its rows sum to less than 1
        self.has_options = False  # its attention has more than a mask and `causal`
        self.never_none: set[str] = set()
        self.embedded = ""  # the input of the network that may be embedded already
        self.before: list[str] = []
        self.target = ""
        self.declared: set[str] = set()  # the layers that the constructor makes
        # whether layers keep the steps before, and whether this one counts them
        self.keeps_steps = going_on is not None and going_on.keeps_steps
        self.going_on = going_on
        self.counter = ""
        self.keeps_masks = False
        self.idle_masks: set[str] = set()  # those of scans that nobody gives
        self.shares = False  # whether its layers are given what the backend shares
        self.value: ast.expr = ast.Constant(None)
        self.set_somewhere = set_parameters(checked, block)
        self.sizes = sizes(block.forward.body)
        self.nothing = always_none(block.forward.body, self.facts.decisions)
        self.stand_ins = self._stand_ins()
        runtime = runtime_source.read(backend.runtime)
        self.taken = runtime.definitions.keys() | runtime.imports.keys()
        self.taken |= {backend.options.lstrip("*"), backend.shared, *BUILT_IN.values()}
        self.class_name = self._class_name()
        self.signature: Signature = {}
        self.derived: list[str] = []

    @property
    def attends(self) -> bool:
        """Whether the class is an AttentionLayer."""
        plain = self.block.is_attention and not self.block.observes
        return plain or self.calls_attention

    @property
    def observer(self) -> str:
        """The attribute that keeps what the block observes, apart from its own."""
        name = "observed"
        while name in self.layers or name in self.static or name in self.facts.hidden:
            name += "_"
        return name

    def spell(self, name: str) -> str:
        """A variable of the author's, set apart from what the runtime defines."""
        return f"{name}_" if name in self.taken else name

    def _class_name(self) -> str:
        """The name of the class: the block's, set apart likewise."""
        name = self.block.name
        same = [b for b in self.scopes if b is not self.block and b.name == name]
        name = f"{name}{len(same) + 1}" if same else name
        return f"{name}Block" if name in self.taken else name

    def _stand_ins(self) -> dict[str, tree.Name]:
        """Parameters, and inputs of the forward, that are always another one.

        Their default is its name (`key = query`), and nobody gives them.
        """
        given = self.set_somewhere | given_inputs(self.checked, self.block)
        return {
            p.name: p.default
            for p in (*self.block.parameters, *self.block.forward.parameters)
            if isinstance(p.default, tree.Name) and p.name not in given
        }

    def is_parameter(self, name: str) -> bool:
        """Whether the class keeps this parameter of the block."""
        parameter = self.static.get(name)
        if parameter is None:
            return name in self.facts.hidden
        if len(self.facts.values.get(name, ())) == 1:
            kind = self.block.kinds.get(name)
            if kind and kind.name in ("bool", "str", "activation"):
                return False
        fixed = isinstance(parameter.default, tree.Literal)
        return not fixed or name in self.set_somewhere

    def settle_signature(self) -> None:
        """Set the parameters of the constructor, in order, with defaults as text."""
        used = self.stored | self.passed
        pending = list(used)
        while pending:  # defaults use parameters too
            parameter = self.static.get(pending.pop())
            default = parameter.default if parameter else None
            if default is None or (parameter and width_of(parameter)):
                continue
            for node in tree.walk(default):
                if isinstance(node, tree.Name) and node.text not in used:
                    used.add(node.text)
                    pending.append(node.text)
        names = [*self.static, *self.facts.hidden]
        kept = [n for n in names if n in used and self.is_parameter(n)]
        self.derived = [
            n for n in kept if self.is_derived(n) and n not in self.set_somewhere
        ]
        defaults = {n: self.default_text(n) for n in kept if n not in self.derived}
        ordered = sorted(
            defaults, key=lambda n: (defaults[n] is not None, self._rank(n))
        )
        self.signature = {name: defaults[name] for name in ordered}

    def _rank(self, name: str) -> tuple[int, int]:
        """Widths first, then what the block itself lists, in its order."""
        parameter = self.static.get(name)
        if parameter is None:
            return 0, 1
        if width_of(parameter):
            return 0, 0
        return 1, list(self.static).index(name)

    def is_derived(self, name: str) -> bool:
        """Whether the default is computed from other parameters."""
        parameter = self.static.get(name)
        default = parameter.default if parameter else None
        literal_default = default is None or isinstance(default, tree.Literal)
        return not literal_default and not (parameter and width_of(parameter))

    def default_text(self, name: str) -> str | None:
        """The default of a constructor parameter; None where it must be given."""
        parameter = self.static.get(name)
        if parameter is None or parameter.default is None or width_of(parameter):
            return None
        if self.is_derived(name):
            return "None"
        kind, default = self.block.kinds.get(name), parameter.default
        if kind and kind.name == "activation" and isinstance(default, tree.Literal):
            return self.backend.activation(str(default.value))
        return text(python(default, self.in_constructor, whole=True))

    def any_value(self, expr: tree.Expr) -> object:
        """The value of an argument; of a parameter, one of its values."""
        if isinstance(expr, tree.Name):
            return next(iter(self.facts.values.get(expr.text, ())), None)
        return expr.value if isinstance(expr, tree.Literal) else None

    def known_value(self, expr: tree.Expr) -> object:
        """The value of an argument that is the same in the whole network, or None."""
        known = self.known_or_varies(expr)
        return None if known is VARIES else known

    def known_or_varies(self, expr: tree.Expr) -> object:
        """The same, or VARIES: an argument may also be none everywhere."""
        if isinstance(expr, tree.Literal):
            return expr.value
        if isinstance(expr, tree.Name) and not self.is_parameter(expr.text):
            values = self.facts.values.get(expr.text)
            return values[0] if values else None
        return VARIES

    def is_idle(self, use: LayerUse) -> bool:
        """Whether a layer is a Dropout that drops nothing, or a Cache without use."""
        if use.target is CACHE:
            return not self.keeps_steps
        rate = use.arguments.get("rate")
        if use.target.name != "Dropout" or rate is None:
            return False
        return self.known_value(rate) == 0

    def keeps_mask(self, ids: tree.Expr) -> bool:
        """Whether these ids are added to step by step, with all that is masked."""
        found = self.going_on if self.keeps_steps else None
        is_network = self.block is self.checked.network.block
        if found is None or not is_network or not isinstance(ids, tree.Name):
            return False
        return ids.text == (found.mask or found.target).name

    def row(self, use: LayerUse, native: NativeLayer) -> Row:
        """How the backend writes a layer, given the arguments that are known."""
        row = self.backend.layers.get(native.name) or native.rows.get(self.backend.name)
        if row is None:
            fail("E0503", backend=self.backend.name, layer=native.name)
        if isinstance(row, Row):
            return row
        known = {
            p.name: p.default if expr is None else self.known_or_varies(expr)
            for p in native.parameters
            for expr in [use.arguments.get(p.name)]
        }
        return row(known)

    def in_constructor(self, expr: tree.Expr) -> ast.expr | None:
        """How a name is spelled in the constructor; notes what it must be given.

        Whole numbers divide exactly there; others, and in functions, do not.
        """
        if isinstance(expr, tree.Binary) and expr.operator == "/":
            if self._has_fractions(expr.left) or self._has_fractions(expr.right):
                return self._quotient(expr, ast.Div())
        if isinstance(expr, tree.Call) and expr.function.text == "floor":
            given = expr.arguments[0].value
            if isinstance(given, tree.Binary) and given.operator == "/":
                sides = (given.left, given.right)
                if not any(self._has_fractions(side, exact=False) for side in sides):
                    return self._quotient(given, ast.FloorDiv())
        if not isinstance(expr, tree.Name):
            return None
        if expr.text in self.stand_ins:
            other = self.stand_ins[expr.text]
            return python(other, self.in_constructor, whole=True)
        if not self.is_parameter(expr.text) and expr.text in self.static:
            return constant(self.known_value(expr))
        self.passed.add(expr.text)
        return dotted(self.spell(expr.text))

    def _quotient(self, expr: tree.Binary, sign: ast.operator) -> ast.expr:
        sides = (python(side, self.in_constructor) for side in (expr.left, expr.right))
        left, right = sides
        return ast.BinOp(left, sign, right)

    def _has_fractions(self, expr: tree.Expr, *, exact: bool = True) -> bool:
        """Whether a number is a float; `exact`: `/` of whole numbers is whole."""
        if isinstance(expr, tree.Literal):
            return isinstance(expr.value, float)
        if isinstance(expr, tree.Name):
            values = self.facts.values.get(expr.text, ())
            return any(isinstance(value, float) for value in values)
        if isinstance(expr, tree.Call):
            exact, function = False, expr.function.text
            if function not in ("abs", "minimum", "maximum"):
                return function != "floor"
        if isinstance(expr, tree.Binary) and expr.operator == "/" and not exact:
            return True
        inside = tree.children(expr)
        return any(self._has_fractions(part, exact=exact) for part in inside)


# --- what layers are given -----------------------------------------------------------

# sizes in which the copies of a repeated layer differ, by variable
Varied = dict[str, list[tree.Expr]]


def size_of(
    scope: Scope,
    use: LayerUse,
    sizes: Mapping[str, tree.Expr],
    name: str,
    varied: Varied,
) -> ast.expr:
    """A size of a layer's input; of copies that differ in it, the loop's variable."""
    several = of_repeats(sizes, name) if use.repeat is not None else []
    if len(several) < 2:
        return python(sizes[name], scope.in_constructor, whole=True)
    while name in scope.static or name in scope.facts.hidden:
        name += "_"
    varied[name] = several
    return dotted(name)


def argument(
    scope: Scope, target: Block | NativeLayer, name: str, expr: tree.Expr, rule: Rule
) -> ast.expr:
    """An argument for a parameter of a layer, as the backend writes it."""
    kind = (
        target.kinds.get(name)
        if isinstance(target, Block)
        else next(p.kind for p in target.parameters if p.name == name)
    )
    if kind and kind.name == "activation":
        value = scope.known_value(expr)
        if value is not None:
            return fill(scope.backend.activation(str(value)), {})
    whole = kind is None or kind.name != "float"
    made = python(expr, rule, whole=whole)
    if kind and kind.name == "shape" and isinstance(scope.any_value(expr), int):
        return ast.Tuple([made], ast.Load())  # Reshape(784)
    if kind and kind.name == "dims" and not isinstance(expr, tree.Sequence):
        return ast.Tuple([made], ast.Load())
    return made


def _items(shape: ast.expr) -> list[ast.expr]:
    """The sizes in a shape, as arguments of their own."""
    if isinstance(shape, ast.Tuple):
        return shape.elts
    return [ast.Starred(shape, ast.Load())]


def native_fields(
    scope: Scope,
    use: LayerUse,
    native: NativeLayer,
    template: str,
    rule: Rule,
    varied: Varied,
) -> dict[str, ast.expr | list[ast.expr]]:
    """The parameters that a template names, as the code there spells them."""
    named = slots(template)
    fields: dict[str, ast.expr | list[ast.expr]] = {}
    for parameter in native.parameters:
        expr, name = use.arguments.get(parameter.name), parameter.name
        if f"each_of_{name}" in named and expr is not None:
            fields[f"each_of_{name}"] = _items(
                argument(scope, native, name, expr, rule)
            )
        if name not in named:
            continue
        if expr is not None:
            fields[name] = argument(scope, native, name, expr, rule)
        elif parameter.kind.name == "activation":
            fields[name] = fill(scope.backend.activation(parameter.default), {})
        elif not parameter.required:
            fields[name] = constant(parameter.default)
    sizes = scope.facts.features.get(use.name, {})
    for name in sizes:
        if name in named:
            fields[name] = size_of(scope, use, sizes, name, varied)
    if "name" in named:
        fields["name"] = constant(use.name)
    return fields
