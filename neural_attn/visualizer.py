"""The Python API: attention of a model, in arrays, numbers and pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_attn import pipeline
from neural_attn.diagnostics.choices import check_options, keywords
from neural_attn.diagnostics.errors import fail
from neural_attn.maps.attention_maps import AttentionMaps, SelectionError
from neural_attn.metrics.guide import AttentionPatterns, analyze_attention_patterns
from neural_attn.models.capture import LoadedModel
from neural_attn.promises import SHARES, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Path_ = str | os.PathLike[str]


class Results(dict[str, Any]):
    """`attention_weights` and `visualizations` by key; the whole as attributes.

    `maps` is the AttentionMaps behind the arrays, `notes` what the user should know.
    """

    maps: AttentionMaps
    notes: list[str]


class AttentionVisualizer:
    """Extracts, analyses and draws the attention weights of a model.

    Parameters
    ----------
    model : a PyTorch module, a Keras model, a LoadedModel, a generated model, or None
        Whatever `neural_attn.models.opening.open_model` takes; None if only
        `visualize_from_dsl` is used.
    backend : "tensorflow", "pytorch", "numpy" or "auto"
        What `visualize_from_dsl` compiles for unless told otherwise; auto takes the
        first installed of TensorFlow, PyTorch and NumPy.
    """

    def __init__(self, model: Any = None, backend: str = "auto") -> None:
        self.loaded = model if isinstance(model, LoadedModel) else None
        self.model = self.loaded.model if self.loaded else model
        self.backend = backend

    def extract_attention_weights(
        self, input_data: Any, layer_names: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Run the model and return its attention weights.

        Parameters
        ----------
        input_data : array [batch, …], or mapping of input name to array
        layer_names : names or prefixes of layers; None for all with attention

        Returns
        -------
        dict
            Name to float32 [batch, heads, queries, keys].

        Raises
        ------
        NeuralError
            If the model has no attention, or no layer with such a name.
        """
        maps = self._maps(input_data)
        if layer_names is None:
            return dict(maps)
        chosen: dict[str, NDArray[np.float32]] = {}
        for name in layer_names:
            chosen.update(_selected(maps, name, None))
        return chosen

    def visualize(
        self,
        input_data: Any,
        layer_name: str | int | None = None,
        head_index: int | None = None,
        tokens: Sequence[str] | None = None,
        output_path: Path_ | None = None,
        **look: Any,
    ) -> Results:
        """Draw the attention of the model on one input.

        Parameters
        ----------
        layer_name : a layer's name, prefix or index; None for all
        head_index : one head; None for the average over heads
        tokens : labels of the positions
        output_path : where to save the picture (png, svg or pdf by its ending)
        look : fields of `neural_attn.figures.look.Look`: `hide_special`, `scale`, …

        Returns
        -------
        Results
            `attention_weights`: name to array; `visualizations`: name to Figure.
        """
        from neural_attn.figures.heatmap import save_figure
        from neural_attn.figures.look import look_of
        from neural_attn.figures.of_maps import plot_maps

        drawn = look_of(AttentionVisualizer.visualize, look)
        maps = _selected(self._maps(input_data, tokens), layer_name, head_index)
        figures = {
            name: plot_maps(maps.select(name), mean=True, look=drawn) for name in maps
        }
        if output_path is not None:
            for name, path in _paths(Path(output_path), list(figures)).items():
                save_figure(figures[name], path)
        return _results(maps, figures)

    def visualize_from_dsl(
        self,
        dsl_file: Path_,
        input_data: Any = None,
        backend: str | None = None,
        layer_name: str | int | None = None,
        head_index: int | None = None,
        tokens: Sequence[str] | None = None,
        output_dir: Path_ = "attention_outputs",
        checkpoint: Path_ | None = None,
        seed: int = 0,
        **look: Any,
    ) -> Results:
        """Compile a .neural file, run it and write every picture.

        Parameters
        ----------
        dsl_file : the .neural file, or the folder of a pretrained model, whose
            `.neural` file and weights are kept in `output_dir`
        input_data : array or mapping; None makes a random sample
        backend : as in the constructor, which gives the default
        checkpoint : trained weights; without them they are random, and all pictures
            say so
        look : fields of `neural_attn.figures.look.Look`: `hide_special`, `scale`, …

        Returns
        -------
        Results
            `attention_weights`: name to array of the whole batch; `visualizations`:
            file name to path.

        Raises
        ------
        NeuralError
            With every problem of the file or the data.
        """
        from neural_attn.figures.look import look_of

        drawn = look_of(AttentionVisualizer.visualize_from_dsl, look)
        request = pipeline.Request(
            Path(dsl_file),
            backend=backend or self.backend,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            data=input_data,
            tokens=tokens,
            layer=layer_name,
            head=head_index,
            output_dir=Path(output_dir),
            seed=seed,
            look=drawn if look else None,
        )
        outcome = pipeline.visualize(request)
        maps = _selected(outcome.maps, layer_name, None)
        paths = {name: str(path) for name, path in outcome.files.items()}
        return _results(maps, paths, outcome.notes)

    def plot_attention_heads(
        self,
        attention_weights: NDArray[np.floating],
        tokens: Sequence[str] | None = None,
        output_path: Path_ | None = None,
    ) -> Figure:
        """Draw all heads of one layer in a grid.

        `attention_weights` is [heads, queries, keys], or with a batch in front, of
        which the first example is drawn.
        """
        from neural_attn.figures.heatmap import plot_heads, save_figure

        weights = _array(attention_weights)
        weights = weights[0] if weights.ndim == 4 else weights
        figure = plot_heads(weights, tokens, tokens, trained=self._trained)
        if output_path is not None:
            save_figure(figure, output_path)
        return figure

    def create_interactive_visualization(
        self,
        attention_weights: Mapping[str, NDArray[np.floating]],
        tokens: Sequence[str] | None = None,
        output_path: Path_ = "attention_interactive.html",
        rows: Rows = SHARES,
    ) -> str:
        """Write the interactive page; returns its path.

        `attention_weights` maps names to arrays [batch, heads, queries, keys], as
        `extract_attention_weights` returns them, whose rows promise `rows`; or is the
        `maps` of a result, which also know this, kinds, masks and tokens.
        """
        from neural_attn.figures.dashboard import write_dashboard

        maps = (
            attention_weights
            if isinstance(attention_weights, AttentionMaps)
            else AttentionMaps.from_arrays(
                {name: _array(w) for name, w in attention_weights.items()},
                tokens,
                trained=self._trained,
                rows=rows,
            )
        )
        return str(write_dashboard(maps, output_path))

    def plot_attention_summary(
        self,
        cross_attn: NDArray[np.floating],
        src_tokens: Sequence[str],
        tgt_tokens: Sequence[str],
        layer_idx: int = -1,
        save_path: Path_ | None = None,
    ) -> Figure:
        """Draw the average and all heads of a cross-attention side by side.

        `cross_attn` is [batch, heads, target, source] or [heads, target, source], as
        an array or a tensor of any framework.
        """
        from neural_attn.figures.heatmap import plot_attention_summary

        return plot_attention_summary(
            _array(cross_attn), src_tokens, tgt_tokens, layer_idx, save_path
        )

    def plot_attention(
        self,
        attention: NDArray[np.floating],
        src_tokens: Sequence[str],
        trg_tokens: Sequence[str],
        title: str = "Attention Heatmap",
        save_path: Path_ | None = None,
        max_src: int | None = 30,
        max_trg: int | None = 30,
        **how: Any,
    ) -> Figure:
        """Draw one alignment, [target, source]; see `figures.alignment`."""
        from neural_attn.figures.alignment import plot_attention

        check_options(AttentionVisualizer.plot_attention, how, keywords(plot_attention))
        given = (src_tokens, trg_tokens, title, save_path, max_src, max_trg)
        return plot_attention(attention, *given, **how)

    def analyze_attention_patterns(
        self, attention_weights: NDArray[np.floating]
    ) -> AttentionPatterns:
        """Entropy, maximum weight and diagonality per head (`neural_attn.analysis`)."""
        return analyze_attention_patterns(_array(attention_weights))

    @property
    def _trained(self) -> bool | None:
        """Whether the model's weights are trained, where that is known."""
        return None if self.loaded is None else self.loaded.trained

    def _maps(self, data: Any, tokens: Sequence[str] | None = None) -> AttentionMaps:
        model = self.model if self.loaded is None else self.loaded
        request = pipeline.Request(model, data=data, tokens=tokens)
        return pipeline.capture(request).captured.maps


def _array(weights: Any) -> NDArray[np.floating]:
    """Weights as an array, also from a PyTorch tensor that is part of a graph."""
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu()
    return np.asarray(weights)


def _selected(
    maps: AttentionMaps, layer: str | int | None, head: int | None
) -> AttentionMaps:
    try:
        return maps.select(layer).select(head=head)
    except SelectionError as error:
        fail("E0412", reason=str(error))


def _paths(path: Path, names: list[str]) -> dict[str, Path]:
    """One file per map: the path itself, or with the map's name added."""
    from neural_attn.files import safe_names

    if len(names) == 1:
        return {names[0]: path}
    safe = safe_names(names)
    return {n: path.with_name(f"{path.stem}_{safe[n]}{path.suffix}") for n in names}


def _results(
    maps: AttentionMaps, pictures: Mapping[str, Any], notes: list[str] | None = None
) -> Results:
    results = Results(attention_weights=dict(maps), visualizations=dict(pictures))
    results.maps = maps
    results.notes = notes or []
    return results
