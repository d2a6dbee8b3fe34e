"""Rows of the recurrent layers, for every backend.

The classes stand in backends/runtime/*_recurrent.py. PyTorch's own nn.LSTM, nn.GRU
and nn.RNN are written where they can do what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from neural_attn.backends.base import VARIES, Row, RowRule

_GATED = ("LSTM", "GRU")
_OPTIONS = (
    "use_bias={use_bias}, return_sequences={return_sequences}, dropout={dropout}, "
    "recurrent_dropout={recurrent_dropout}"
)
_OMIT = (
    ", use_bias=True",
    ", return_sequences=False",
    ", go_backwards=False",
    ", dropout=0.0",
    ", dropout=0",
    ", recurrent_dropout=0.0",
    ", recurrent_dropout=0",
    ", reset_after=True",
)


def _options(name: str) -> str:
    """The arguments that the class of a layer takes on any backend."""
    options = "activation={activation}, "
    if name in _GATED:
        options += "recurrent_activation={recurrent_activation}, "
    if name == "GRU":
        options += "reset_after={reset_after}, "
    return options + _OPTIONS


def _by_name(
    make: str, tanh: str, sigmoid: str, call: str = "{layer}({x}, {attention_mask})"
) -> dict[str, Row]:
    """Rows whose class is named as the layer; `make` has a place for its options."""
    omit = (*_OMIT, f", activation={tanh}", f", recurrent_activation={sigmoid}")
    rows = {}
    for name in ("SimpleRNN", *_GATED):
        for both in (False, True):
            options = _options(name)
            options += (
                ", merge_mode={merge_mode}"
                if both
                else (", go_backwards={go_backwards}")
            )
            rows[f"Bidirectional{name}" if both else name] = Row(
                f"{name}({make}, {options})",
                call,
                unmasked="{layer}({x})",
                takes_none=True,
                omit=omit,
            )
    return rows


NUMPY = _by_name("{in_features}, {units}", "tanh", "sigmoid")

_TORCH = _by_name("{in_features}, {units}", "torch.tanh", "torch.sigmoid")
_MODULES = {"SimpleRNN": "nn.RNN", "LSTM": "nn.LSTM", "GRU": "nn.GRU"}
_BOTH = "Bidirectional"


def _torch_rule(name: str) -> RowRule:
    """PyTorch's own module where it serves, else the class of the runtime."""
    plain = name.removeprefix(_BOTH)
    module = f"{_MODULES[plain]}({{in_features}}, {{units}}, bias={{use_bias}}, "
    module += "batch_first=True" + (", bidirectional=True)" if plain != name else ")")

    def row(known: Mapping[str, object]) -> Row:
        if not _is_plain(known):
            return _TORCH[name]
        merge, whole = known.get("merge_mode"), known["return_sequences"]
        options = ", return_sequences=True" if whole else ""
        options += f', merge_mode="{merge}"' if merge not in (None, "concat") else ""
        unmasked = "{layer}({x})[0]" + ("" if whole else "[:, -1]")
        if plain != name and not (whole and merge == "concat"):
            unmasked = f"run_recurrence({{layer}}, {{x}}{options})"
        return Row(
            module,
            f"run_recurrence({{layer}}, {{x}}, {{attention_mask}}{options})",
            unmasked=unmasked,
            takes_none=True,
            omit=(", bias=True",),
        )

    return row


def _is_plain(known: Mapping[str, object]) -> bool:
    """Whether the options are those that PyTorch's own modules have."""
    usual = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "dropout": 0,
        "recurrent_dropout": 0,
        "reset_after": True,
        "go_backwards": False,
    }
    settled = VARIES not in (known["return_sequences"], known.get("merge_mode"))
    return settled and all(
        known[name] == value for name, value in usual.items() if name in known
    )


PYTORCH: dict[str, RowRule] = {name: _torch_rule(name) for name in _TORCH}

_MASKED = "{layer}({x}, mask={attention_mask})"
_KERAS = _by_name("{units}", '"tanh"', '"sigmoid"', _MASKED)
_MERGED = ", merge_mode={merge_mode}"
KERAS = {
    name: (
        row
        if not name.startswith(_BOTH)
        else Row(
            f"{_BOTH}({row.make.replace(_MERGED, '')}{_MERGED})",
            _MASKED,
            unmasked=row.unmasked,
            takes_none=True,
            omit=(*row.omit, ', merge_mode="concat"'),
        )
    )
    for name, row in _KERAS.items()
}
