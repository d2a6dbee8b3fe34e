"""A tour of the Python API: layers, heads, numbers of your own, many networks.

    python visualize_attention_demo.py --backend auto --output-dir demo_outputs

The weights are random, so what is shown says nothing about language: give
`visualize_from_dsl` or `load_model` a `checkpoint` for that.
"""

import argparse
from pathlib import Path

import numpy as np

from neural_attn import AttentionVisualizer, load_model

NETWORKS = Path(__file__).parent
TOKENS = "the cat that I love sat on the mat because it was tired".split()


def main() -> None:
    """Run every part of the tour."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="auto", help="see neural compile --help")
    parser.add_argument("--output-dir", type=Path, default=Path("demo_outputs"))
    options = parser.parse_args()

    one_call(options.backend, options.output_dir / "one_call")
    model = load_model(NETWORKS / "multi_layer_transformer.neural", options.backend)
    visualizer = AttentionVisualizer(model)
    ids = np.random.default_rng(0).integers(1, 2000, (1, len(TOKENS)))
    compare_layers(visualizer, ids)
    compare_heads(visualizer, ids, options.output_dir)
    analyse_in_your_own_way(visualizer, ids)
    process_many_networks(options.backend, options.output_dir)


def one_call(backend: str, folder: Path) -> None:
    """From a .neural file to every picture."""
    print("One call")
    visualizer = AttentionVisualizer(backend=backend)
    results = visualizer.visualize_from_dsl(
        NETWORKS / "basic_transformer.neural",
        np.random.default_rng(0).integers(1, 1000, (1, len(TOKENS))),
        tokens=TOKENS,
        output_dir=folder,
    )
    for name, weights in results["attention_weights"].items():
        print(f"  {name}: {weights.shape}")
    for path in results["visualizations"].values():
        print(f"  wrote {path}")


def compare_layers(visualizer: AttentionVisualizer, ids: np.ndarray) -> None:
    """How far each layer spreads its attention."""
    print("Layers compared")
    for name, weights in visualizer.extract_attention_weights(ids).items():
        found = visualizer.analyze_attention_patterns(weights)
        print(
            f"  {name}: entropy {found['avg_entropy']:.3f} nats, "
            f"diagonal strength {found['avg_diagonal_strength']:.3f}"
        )


def compare_heads(
    visualizer: AttentionVisualizer, ids: np.ndarray, folder: Path
) -> None:
    """The heads of the last layer: the most focused one, and all in a picture."""
    print("Heads compared")
    (weights,) = visualizer.extract_attention_weights(ids, ["-1"]).values()
    entropy = visualizer.analyze_attention_patterns(weights)["attention_entropy"]
    print(f"  the most focused head is head {int(np.argmin(entropy))}")
    path = folder / "last_layer_heads.png"
    visualizer.plot_attention_heads(weights, TOKENS, path)
    print(f"  wrote {path}")


def analyse_in_your_own_way(visualizer: AttentionVisualizer, ids: np.ndarray) -> None:
    """Weights are NumPy arrays [batch, heads, queries, keys]: compute what you like."""
    print("Numbers of your own")
    for name, weights in visualizer.extract_attention_weights(ids).items():
        sparsity = np.mean(weights < 0.01)
        to_first = weights[..., 0].mean()
        print(f"  {name}: {sparsity:.1%} below 0.01; {to_first:.3f} to the first token")


def process_many_networks(backend: str, folder: Path) -> None:
    """One interactive page for each example network."""
    print("Many networks")
    for path in sorted(NETWORKS.glob("*.neural")):
        visualizer = AttentionVisualizer(load_model(path, backend))
        ids = np.random.default_rng(0).integers(1, 1000, (1, len(TOKENS)))
        weights = visualizer.extract_attention_weights(ids)
        page = folder / f"{path.stem}.html"
        visualizer.create_interactive_visualization(weights, TOKENS, page)
        print(f"  wrote {page}")


if __name__ == "__main__":
    main()
