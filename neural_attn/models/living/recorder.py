"""Keeps the attention that is wanted of what a model computes, within a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_map import AttentionMap, Kind
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.maps.findings import Finding
from neural_attn.maps.steps import join_steps
from neural_attn.models.living.budget import readable
from neural_attn.models.living.choice import Choice
from neural_attn.models.living.masks import Mask, simplest
from neural_attn.models.living.names import Named, Place, is_called_attention
from neural_attn.models.living.unread import UnreadError
from neural_attn.promises import Rows

__all__ = ["Measurer", "Recorder", "Weighed"]


# What is told of a map instead of keeping it: the maps of its layer so far, of which it
# is the last, without weights; and what makes its rows.
Measurer: TypeAlias = Callable[[AttentionMaps, Any], Any]


@dataclass(frozen=True)
class Weighed:
    """Weights of some heads, and what was hidden from them.

    Where they are measured and not kept, the weights have their shape alone, and are 0.
    With `own`, queries and keys are of one sequence, though there be more keys. `known`
    are weights that need not be looked at: of a softmax, and not NaN.
    """

    weights: NDArray[np.float32]
    heads: Sequence[int]
    mask: Mask
    rows: Rows
    own: bool = False
    known: bool = False

    @classmethod
    def of(
        cls, scores: Any, heads: Sequence[int], weights: NDArray[np.float32]
    ) -> Weighed:
        """Weights of a call, and what it says of them."""
        own = getattr(scores, "own", False)
        are_known = getattr(scores, "are_known", None)
        known = bool(weights.flags.writeable and are_known and are_known(weights))
        return cls(weights, heads, scores.read_mask(heads), scores.rows, own, known)


def require_finite(name: str, weights: NDArray[np.float32]) -> None:
    """Raise NeuralError for weights that are NaN; a sum takes no memory."""
    if not np.isfinite(weights.sum()):
        fail("E0448", name=name)


_NOWHERE = Place("")


@dataclass(slots=True)
class _Call:
    """One call; what it is called is worked out when somebody asks."""

    path: str
    module: Any
    place: Place = _NOWHERE
    number: int = 0  # of the calls of this name
    layer: int = 0
    scores: Callable[[], Any] | None = None
    weighed: Weighed | None = None
    measured: Any = None
    is_seen: bool = True

    @property
    def names(self) -> tuple[str, str]:
        """How it may be called: with and without its number."""
        return self.place.name, f"{self.place.name}_{self.number}"


class Library(Protocol):
    """What is asked of the library whose module runs."""

    @property
    def named(self) -> Named:
        """Names parts of the module."""

    def returned(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """What a part called attention returned of it, where no kernel was seen."""

    def attends(self, module: Any) -> bool:
        """Whether a part called attention must have attended, by what it is."""

    def unpacked(self, module: Any, scores: Any) -> Any:
        """A call in the usual layout, where the library has another."""


class Recorder:
    """A listener that weighs each call as it is made, so that nothing else is kept.

    Raises NeuralError from within the model's call, where the budget is used up or a
    head is not there.
    """

    def __init__(
        self,
        library: Library,
        choice: Choice,
        budget: int,
        labels: Sequence[Any],
        measure: Measurer | None = None,
        *,
        steps: bool = False,
    ) -> None:
        """Take what is wanted, and the most bytes that it may have.

        `labels` are rows of tokens of the first input and of the second, which is the
        decoder's where there is cross attention; None where there are none. With
        `measure` nothing is kept but what it returns. With `steps`, calls of one module
        are the steps of a generation, and make one map.
        """
        self._library, self._choice, self._budget = library, choice, budget
        self._labels, self._measure, self._steps = labels, measure, steps
        self._calls: list[_Call] = []
        self._named = 0  # calls that have their names
        self._of_module: Counter[str] = Counter()
        self._of_name: Counter[str] = Counter()
        self._kept = 0
        self.unseen: list[str] = []

    def attended(self, path: str, module: Any, scores: Callable[[], Any]) -> None:
        """Weigh the call, or put it off until it is known whether it is wanted."""
        call = _Call(path, module)
        self._calls.append(call)
        try:
            if self._choice.counts_back:
                held = _held(self._library.unpacked(module, scores()))
                call.scores = lambda: held
            elif self._is_wanted(call, self._choice):
                self._weigh(call, self._library.unpacked(module, scores()))
        except UnreadError:
            self._miss(call)

    def _is_wanted(self, call: _Call, choice: Choice) -> bool:
        if choice.layers is None:
            return True
        self._name()
        return choice.takes(call.names, call.layer)

    def _miss(self, call: _Call) -> None:
        """Name a call that cannot be weighed among what was not seen."""
        self._name()
        call.is_seen = False
        self.unseen.append(call.place.name)

    def ended(
        self, path: str, module: Any, args: Any, kwargs: Any, output: Any
    ) -> bool:
        """Take the weights that a module returned, if it did."""
        if not is_called_attention(module):
            return False
        given = self._library.returned(module, args, kwargs, output)
        if given is None:
            attends = self._library.attends(module)
            self.unseen += [path] if attends else []
            return attends  # one that holds it shows no more
        self.attended(path, module, lambda: given)
        return True

    def finish(self) -> None:
        """Weigh what was put off."""
        self._name()
        choice = self._choice.counted(self._layers)
        for call in self._calls:
            scores, call.scores = call.scores, None
            if scores is None or not self._is_wanted(call, choice):
                continue
            try:
                self._weigh(call, scores())
            except UnreadError:
                self._miss(call)

    def _name(self) -> None:
        """Give each call that has none its place, number and layer.

        While the model runs this is done for nothing that can wait: its weights take
        the processor's caches, and all that is done between its kernels takes thrice
        the time.
        """
        for at in range(self._named, len(self._calls)):
            self._place(self._calls[at], self._calls[:at])
        self._named = len(self._calls)

    def _place(self, call: _Call, before: Sequence[_Call]) -> None:
        path, name = call.path, self._library.named.place
        if self._steps:
            call.place = name(path, call.module, 0)
            for one in before:
                if one.place == call.place:
                    call.layer = one.layer
                    return
        call.place = name(path, call.module, self._of_module[path])
        call.number = self._of_name[call.place.name]
        self._of_module[path] += 1
        self._of_name[call.place.name] += 1
        last = before[-1].layer if before else -1
        group = [one for one in before if one.layer == last]
        if group and self._continues(call.place, group):
            call.layer = last
        else:  # in a hybrid, some layers do not attend
            call.layer = max(last + 1, call.place.number or 0)

    def _continues(self, place: Place, group: Sequence[_Call]) -> bool:
        """Whether it is of the same layer, as `AttentionMaps.layers` groups maps."""
        last = group[-1]
        parent = place.name.rpartition(".")[0]
        same = parent and last.place.name.rpartition(".")[0] == parent
        return bool(same) and place.cross not in [call.place.cross for call in group]

    def _weigh(self, call: _Call, scores: Any) -> None:
        batch, all_heads, queries, keys = scores.shape
        if self._choice.heads is not None or self._measure is not None:
            self._name()
        heads = self._choice.of_heads(call.place.name, range(all_heads))
        if self._measure is not None:
            self._measure_only(call, scores, heads, self._measure)
            return
        size = 4 * batch * len(heads) * queries * keys
        if self._kept + size > self._budget:
            self._name()
            kept = sum(one.weighed is not None for one in self._calls)
            fail(
                "E0443",
                name=call.place.name,
                shape=[batch, len(heads), queries, keys],
                size=readable(size),
                kept=f"{kept} before it take {readable(self._kept)}",
                budget=readable(self._budget),
            )
        self._kept += size
        weights = scores.weights(heads)
        call.weighed = Weighed.of(scores, heads, weights)

    def _measure_only(
        self, call: _Call, scores: Any, heads: Sequence[int], measure: Measurer
    ) -> None:
        shape = (scores.shape[0], len(heads), *scores.shape[2:])
        none = np.broadcast_to(np.float32(0), shape)
        call.weighed = Weighed.of(scores, heads, none)
        layer = [
            _map(one.place.name, one.place, one.weighed, self._labels)
            for one in self._calls
            if one.layer == call.layer and one.weighed is not None
        ]
        make = scores.rows_of(heads)

        def rows_of(example: int, rows: slice) -> NDArray[np.float32]:
            made: NDArray[np.float32] = make(example, rows)
            require_finite(call.place.name, made)
            return made

        call.measured = measure(AttentionMaps(layer), rows_of)

    # --- afterwards -----------------------------------------------------------------

    @property
    def _layers(self) -> list[int]:
        """The numbers of the layers that attended, in order."""
        return sorted({call.layer for call in self._calls})

    @property
    def saw_any(self) -> bool:
        """Whether any attention was seen, wanted or not."""
        return any(call.is_seen for call in self._calls)

    @property
    def names(self) -> list[str]:
        """Of all calls; a name that stands for more than one is numbered."""
        if self._steps:
            return [call.place.name for call in self._calls]
        twice = Counter(call.place.name for call in self._calls)
        return [
            call.names[1] if twice[call.place.name] > 1 else call.place.name
            for call in self._calls
        ]

    def unmet(self) -> list[str]:
        """Names that a looser reading of what is missing means; none: all is there.

        Raises NeuralError for a layer that there is not.
        """
        if self._choice.layers is None:
            return []
        dot = np.ones((1, 1, 1, 1), np.float32)
        kinds: dict[str, Kind] = {
            name: "cross" if call.place.cross else "encoder_self"
            for name, call in zip(self.names, self._calls, strict=True)
        }
        numbers = self._numbers
        every = AttentionMaps(
            [AttentionMap(n, dot, kinds[n], layer=numbers.get(n)) for n in kinds]
        )
        own = [call.names for call in self._calls]
        missing = self._choice.missing(own, self._layers)
        try:
            return [name for one in missing for name in every.select(one)]
        except SelectionError as error:
            fail("E0442", reason=str(error))

    @property
    def _numbers(self) -> dict[str, int]:
        """The layer of each map by name, where its place does not tell the number."""
        layers = self._layers
        if self._choice.layers is None and layers == list(range(len(layers))):
            return {}
        of_calls = zip(self.names, self._calls, strict=True)
        return {name: call.layer for name, call in of_calls}

    @property
    def unlabelled(self) -> list[Finding]:
        """Tokens that label nothing, as there are more or fewer of them than positions.

        Where layers pool their positions, it is enough that they fit some.
        """
        found = []
        for number, labels in enumerate(self._labels):
            sides = [] if labels is None else self._sides(number)
            if any(_fitting(labels, *side) for side in sides):
                continue
            for batch, length in sides[:1]:
                lengths = sorted({len(row) for row in labels})
                if lengths == [length]:
                    texts = len(labels)
                    found.append(
                        Finding.of("W0807.texts", "", count=texts, batch=batch)
                    )
                else:
                    count = ", ".join(map(str, lengths))
                    found.append(Finding.of("W0807", "", count=count, keys=length))
        return found

    def _sides(self, number: int) -> list[tuple[int, int]]:
        """What the tokens of an input label in each map: examples, positions."""
        return [
            (batch, length)
            for call in self._calls
            if call.weighed is not None
            for batch, _, queries, keys in [call.weighed.weights.shape]
            for input_of, length in (
                (call.place.asked, keys),
                (call.place.asking, queries),
            )
            if input_of == number
        ]

    @property
    def measured(self) -> list[Any]:
        """What was measured of each of the maps, in their order."""
        return [call.measured for call in self._calls if call.weighed is not None]

    def label(self, labels: Sequence[Any]) -> None:
        """Take rows of tokens that are known after the call alone."""
        self._labels = labels

    def maps(self, **about: Any) -> AttentionMaps:
        """Everything that was kept."""
        kept = [
            (name, call.place, call.weighed)
            for name, call in zip(self.names, self._calls, strict=True)
            if call.weighed is not None
        ]
        kept = _of_all_steps(kept) if self._steps else kept
        numbers = self._numbers
        return AttentionMaps(
            [
                _map(name, place, one, self._labels, numbers.get(name))
                for name, place, one in kept
            ],
            **about,
        )


def _held(scores: Any) -> Any:
    """The same with tensors of its own: the model may write over them later."""
    own = {one.name: getattr(scores, one.name) for one in fields(scores)}
    cloned = {n: t.clone() for n, t in own.items() if hasattr(t, "clone")}
    return replace(scores, **cloned)


_Kept: TypeAlias = tuple[str, Place, Weighed]


def _of_all_steps(kept: Sequence[_Kept]) -> list[_Kept]:
    """One of each name: the rows of all its steps."""
    groups: dict[str, list[_Kept]] = {}
    for one in kept:
        groups.setdefault(one[0], []).append(one)
    return [
        (name, steps[0][1], _join([one[2] for one in steps], steps[0][1]))
        for name, steps in groups.items()
    ]


def _join(steps: Sequence[Weighed], place: Place) -> Weighed:
    """The prompt's rows, and that of each new token; a window sees the last keys."""
    own = not place.cross
    weights = join_steps([one.weights for one in steps], own=own)
    allowed = join_steps([_shown(one) for one in steps], own=own)
    mask = simplest(allowed, *weights.shape[2:])
    return Weighed(weights, steps[0].heads, mask, steps[0].rows, steps[0].own)


def _shown(one: Weighed) -> NDArray[np.bool_]:
    """Where attending was allowed, bool [batch, 1 or heads, queries, keys]."""
    batch, _, queries, keys = one.weights.shape
    allowed = one.mask.allowed
    allowed = np.ones((1, 1, 1, 1), bool) if allowed is None else allowed
    if one.mask.causal:
        allowed = allowed & np.tri(queries, keys, keys - queries, dtype=bool)
    return np.broadcast_to(allowed, (batch, allowed.shape[1], queries, keys))


def _map(
    name: str,
    place: Place,
    kept: Weighed,
    labels: Sequence[Any],
    layer: int | None = None,
) -> AttentionMap:
    batch, _, queries, keys = kept.weights.shape
    kind = _kind(place, kept)
    asking = None if place.asking is None else labels[place.asking]
    asked = None if place.asked is None else labels[place.asked]
    try:
        return AttentionMap(
            name,
            kept.weights,
            kind,
            kept.mask.allowed,
            kept.mask.causal,
            _fitting(asking, batch, queries),
            _fitting(asked, batch, keys),
            kept.heads,
            kept.rows,
            layer,
            known=kept.known,
        )
    except ValueError:  # it looks at each weight: nobody needs to do so before
        require_finite(name, kept.weights)
        raise


def _kind(place: Place, kept: Weighed) -> Kind:
    queries, keys = kept.weights.shape[2:]
    if place.cross:
        return "cross"
    if place.side:
        return "decoder_self" if place.side == "decoder" else "encoder_self"
    own = place.own or kept.own or kept.mask.causal
    if queries != keys and not own:
        return "cross"
    return "decoder_self" if kept.mask.causal else "encoder_self"


def _fitting(labels: Any, batch: int, length: int) -> Any:
    """Rows of tokens where they are as many as positions, and one for each example."""
    if labels is None or any(len(row) != length for row in labels):
        return None
    rows = labels * batch if len(labels) == 1 else labels
    return rows if len(rows) == batch else None
