"""Matching the arguments of a call to parameters: one rule for layers and functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neural_attn.diagnostics.errors import Edit, Problems, Span, did_you_mean
from neural_attn.grammar import tree

# Other spellings that authors use for the parameters of blocks.
ALIASES = {
    "dff": "ff_dim",
    "d_ff": "ff_dim",
    "dropout_rate": "dropout",
    "heads": "num_heads",
    "n_heads": "num_heads",
    "embedding_dim": "d_model",
    "embed_dim": "d_model",
    "embedding_size": "d_model",
    "max_length": "max_len",
    "mask": "attention_mask",
    "use_causal_mask": "causal",
    "eps": "epsilon",
}
REPEAT_ALIASES = ("num_layers", "num_blocks")


def match(
    what: str,
    parameters: Sequence[str],
    arguments: Sequence[tree.Argument],
    problems: Problems,
    aliases: Mapping[str, str] | None = None,
) -> dict[str, tree.Expr]:
    """Arguments by parameter name; notes unknown, doubled and surplus ones.

    `what` is how messages call the thing that is called, with backquotes.
    """
    aliases = {**ALIASES, **(aliases or {})}
    given: dict[str, tree.Expr] = {}
    for position, argument in enumerate(arguments):
        name = argument.name
        if name is None:
            if position >= len(parameters):
                most = len(parameters)
                number = (
                    f"at most {most} argument{'s'[: most != 1]}"
                    if most
                    else "no arguments"
                )
                few = ", ".join(parameters) or "none"
                problems.add("E0205", argument.span, what=what, number=number, few=few)
                continue
            name = parameters[position]
            if any(before.name for before in arguments[:position]):
                start = argument.span.start
                problems.add(
                    "W0122",
                    argument.span,
                    edit=Edit(start, start, f"{name}="),
                    what=what,
                    name=name,
                    value=argument.span.text,
                )
        elif name not in parameters:
            name = aliases.get(name, name)
        if name not in parameters:
            hint = did_you_mean(name, parameters)
            few = ", ".join(parameters) or "none"
            problems.add(
                "E0203",
                name_span(argument),
                hint=hint,
                what=what,
                parameter=argument.name,
                few=few,
            )
        elif name in given:
            problems.add("E0206", argument.span, what=what, name=name)
        else:
            given[name] = argument.value
    return given


def name_span(argument: tree.Argument) -> Span:
    """The place of the argument's name."""
    span = argument.span
    return Span(span.source, span.start, span.start + len(argument.name or "x"))
