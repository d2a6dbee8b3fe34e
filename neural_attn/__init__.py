"""Write a network once as a `.neural` file, and see where it attends.

Importing this package loads no framework and no plotting library: each public
name is imported from its module when it is first used (PEP 562).
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from neural_attn.version import __version__

if TYPE_CHECKING:  # for type checkers and editors, which cannot follow _PUBLIC
    from neural_attn.maps.attention_maps import AttentionMaps as AttentionMaps

# public name -> the module that defines it
_PUBLIC = {
    "AttentionMaps": "neural_attn.maps.attention_maps",
    "AttentionVisualizer": "neural_attn.visualizer",
    "analyze": "neural_attn.calls",
    "capture": "neural_attn.calls",
    "compile_file": "neural_attn.compile",
    "diagnose": "neural_attn.calls",
    "explore": "neural_attn.pipeline",
    "generate": "neural_attn.generation",
    "load_model": "neural_attn.models.generated",
    "plot": "neural_attn.calls",
    "plot_distributions": "neural_attn.figures.statistics",
    "plot_head_distances": "neural_attn.figures.statistics",
    "plot_loss": "neural_attn.teaching.plots",
    "plot_masks": "neural_attn.teaching.plots",
    "plot_metrics": "neural_attn.figures.statistics",
    "plot_positions": "neural_attn.teaching.plots",
    "plot_schedule": "neural_attn.teaching.plots",
    "widget": "neural_attn.notebook",
}

__all__ = ["__version__", *_PUBLIC]

# `grammar` and `backends` are top-level folders of a checkout that install as
# subpackages of this one. When Python runs from the checkout's root this very
# folder is imported, in which they are not: look for them beside it too.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "grammar" / "neural.lark").is_file():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
