"""Writes the `.neural` text of a plan, as a person would."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from neural_attn.diagnostics.errors import fail, printable
from neural_attn.ir import is_mask
from neural_attn.pretrained.conversion.family import Argument, Block, Code, Layer, Plan
from neural_attn.resolve.names import trouble_with_variable

_LINE = 88
_INDENT = "    "


def network_text(plan: Plan, name: str, title: str) -> str:
    """The whole file: a comment that says where it comes from, and the network.

    `title` may come from strangers; it lands in the comment with everything that
    could end the line or steer a terminal made visible.
    """
    lines = [f"# {one_line(title)}: {plan.summary}, imported from config.json"]
    for define in plan.defines:
        lines += [*define.strip().splitlines(), ""]
    layers = plan.layers
    if plan.block:
        lines += [*_block_lines(plan, plan.block), ""]
        layers = [Layer(plan.block.name, plan.block.arguments, name="model")]
    lines += [f"network {name} {{", "  input: {"]
    lines += [f"    {key}: {shape}" for key, shape in plan.inputs]
    lines += ["  }", "  layers:", *_layers_lines(layers)]
    return "\n".join([*lines, "}", ""])


def _block_lines(plan: Plan, block: Block) -> list[str]:
    """The layers of a model in a `define`, and its equations."""
    taken = [f"{n} = none" if is_mask(n) else n for n, _ in plan.inputs]
    lines = [f"define {block.name}({', '.join(block.arguments)}) {{"]
    lines += ["  layers:", *_layers_lines(plan.layers), ""]
    lines += [f"  forward({', '.join(taken)}):"]
    return [*lines, *(f"{_INDENT}{line}" for line in block.equations), "}"]


def _layers_lines(layers: Iterable[Layer]) -> list[str]:
    return [line for layer in layers for line in call_lines(layer)]


def call_lines(layer: Layer, indent: int = 4) -> list[str]:
    """The call on one line, or its arguments on lines of their own, filled."""
    space = " " * indent
    arguments = [f"{key}={_literal(value)}" for key, value in layer.arguments.items()]
    end = f" * {layer.repeat}" if layer.repeat > 1 else ""
    call = f"{layer.name} = {layer.block}" if layer.name else layer.block
    whole = f"{space}{call}({', '.join(arguments)}){end}"
    if len(whole) <= _LINE:
        return [whole]
    lines, line = [f"{space}{call}("], ""
    for position, argument in enumerate(arguments):
        piece = argument if position == len(arguments) - 1 else argument + ","
        if line and indent + 2 + len(line) + 1 + len(piece) > _LINE:
            lines.append(f"{space}  {line}")
            line = piece
        else:
            line = f"{line} {piece}" if line else piece
    return [*lines, f"{space}  {line}", f"{space}){end}"]


def two_kinds(name: str, kinds: Sequence[Layer], parameters: Sequence[str] = ()) -> str:
    """A `define` of layers of which some are local, the first of `kinds`."""
    local, whole = (call_lines(one, 6) for one in kinds)
    lines = [
        f"define {name}({', '.join(['local', *parameters])}) {{",
        "  layers:",
        "    if local {",
        *local,
        "    } else {",
        *whole,
        "    }",
        "",
        "  forward(x, attention_mask = none):",
        f"    return {kinds[0].name}(x, attention_mask=attention_mask)",
        "}",
    ]
    return "\n".join(lines)


def _literal(value: Argument) -> str:
    if isinstance(value, Code):
        return value.text
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Families give names from tables of their own, never text of a config.
        assert re.fullmatch(r"\w+", value), value
        return f'"{value}"'
    return repr(value).replace("e-0", "e-")


def one_line(text: str, limit: int = 80) -> str:
    """`text` on one line, printable, at most `limit` characters long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def checked_name(name: str) -> str:
    """A name that somebody chose for the network. Raises NeuralError (E0632)."""
    trouble = trouble_with_variable(name)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        trouble = f"`{name}` cannot be the name of a network"
    if trouble:
        fail("E0632", why=trouble)
    return name


def model_title(folder: Path) -> str:
    """What people call the model in a folder; "" where the folder does not tell.

    In the cache of huggingface_hub the name stands two folders up
    (`models--org--name/snapshots/<hash>`).
    """
    folder = folder.resolve()
    cached = folder.parent.parent.name
    if folder.parent.name == "snapshots" and cached.startswith("models--"):
        return cached.rpartition("--")[2]
    generic = r"(model|weights|output|checkpoint)s?([-_]?\d+)?"
    return "" if re.fullmatch(generic, folder.name.lower()) else folder.name


def name_for(output: Path, sources: Iterable[str]) -> str:
    """The name of the network in the file `output`.

    It is the file's own name in the spelling of the model where that has it
    (`minilm.neural` from `all-MiniLM-L6-v2`: `MiniLM`), else in capitals
    (`my_model.neural`: `MyModel`).
    """
    stem = output.stem
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", stem):
        for source in sources:
            start = source.lower().find(stem.lower())
            found = source[start : start + len(stem)] if start >= 0 else ""
            if found[:1].isupper() and not trouble_with_variable(found):
                return found
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words)
    if not name or name[0].isdigit() or trouble_with_variable(name):
        name = f"Model{name}"
    return name
