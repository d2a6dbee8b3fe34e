"""The analysis and its peers: python benchmarks/analysis.py [speed|grid|memory|long].

`speed` needs attnspectra (pip install attnspectra==0.1.3, which needs PyTorch) to be
importable; without it, only our own time is printed.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from neural_attn.analysis import Analyzer, analyze
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.planted import planted_tokens

LAYERS, HEADS = 12, 12
TOKENS = 4_000  # of the long text


def random_maps(length: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Softmax of 2 * normal noise, float32 [1, heads, length, length] by layer."""
    random = np.random.default_rng(seed)
    arrays = {}
    for layer in range(LAYERS):
        scores = random.standard_normal((1, HEADS, length, length), dtype=np.float32)
        weights = np.exp(2 * scores)
        arrays[f"layer_{layer}"] = weights / weights.sum(-1, keepdims=True)
    return arrays


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """The least of some rounds: what the work takes when nothing disturbs it."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def speed() -> None:
    """All metrics of 144 heads at 512 tokens, beside the 14 of attnspectra."""
    arrays = random_maps(512)
    tokens = planted_tokens(512)
    maps = AttentionMaps.from_arrays(arrays, tokens)

    def count() -> None:
        Analyzer().add(maps)

    ours = seconds(count)
    print(f"statistics of 144 heads at 512 tokens, all metrics: {ours:.2f} s")
    whole = seconds(lambda: analyze(maps))
    print(f"with the doctor, types and rollout: {whole:.2f} s")
    try:
        import torch
        from attnspectra.analysis.metrics import compute_head_metrics
    except ImportError:
        print("attnspectra is not installed: no comparison")
        return
    # Ours uses one thread; with more, a busy machine slows theirs many times over.
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(array) for array in arrays.values()]
    # Its own record of a run; scores before the softmax are part of its 14 metrics.
    scores = [one.log() for one in tensors]
    run = SimpleNamespace(
        n_layers=LAYERS, attentions=tensors, scores=scores, seq_len=512
    )
    theirs = seconds(lambda: compute_head_metrics(run, causal=False), rounds=1)
    print(
        f"attnspectra, its 14 metrics: {theirs:.2f} s, {theirs / ours:.1f} times ours"
    )


def grid() -> None:
    """A sheet of 144 heads at 128 tokens, beside 144 panels of Matplotlib."""
    import matplotlib.pyplot as plt  # noqa: TID251 - what people write

    from neural_attn.figures.overview import draw_overview

    arrays = random_maps(128)
    maps = AttentionMaps.from_arrays(arrays)

    def ours() -> None:
        fast = {"compress_level": 1}
        draw_overview(maps).savefig(io.BytesIO(), format="png", pil_kwargs=fast)

    def theirs() -> None:
        figure, axes = plt.subplots(LAYERS, HEADS, figsize=(24, 24), dpi=100)
        for row, array in zip(axes, arrays.values(), strict=True):
            for panel, head in zip(row, array[0], strict=True):
                panel.imshow(head)
        figure.savefig(io.BytesIO(), format="png")
        plt.close(figure)

    one, other = seconds(ours), seconds(theirs)
    print(f"sheet of 144 heads at 128 tokens: {one:.2f} s")
    print(f"144 imshow panels: {other:.2f} s, {other / one:.1f} times ours")


def stream(texts: int) -> Iterator[AttentionMaps]:
    """Texts of 10 to 40 tokens, 2 layers of 4 heads, made as they are asked for."""
    for number in range(texts):
        random = np.random.default_rng(number)
        length = int(random.integers(10, 41))
        tokens = planted_tokens(length, number)
        scores = np.exp(random.standard_normal((2, 4, length, length)))
        weights = (scores / scores.sum(-1, keepdims=True)).astype(np.float32)
        yield AttentionMaps.from_arrays({"a": weights[0], "b": weights[1]}, tokens)


def memory() -> None:
    """Peak memory of 10,000 texts beside that of 1,000, each in a fresh process."""
    peaks = {}
    for texts in (1_000, 10_000):
        command = [sys.executable, __file__, "stream", str(texts)]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[texts] = float(process.stdout)
        print(f"peak of {texts:,} texts: {peaks[texts]:.1f} MiB")
    print(f"ratio {peaks[10_000] / peaks[1_000]:.3f}")


def long() -> None:
    """Peak memory of the analysis of one long text, beside its maps."""
    for layers in (1, 4):
        command = [sys.executable, __file__, "text", str(layers)]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{TOKENS:,} tokens, {layers} × 4 heads: {process.stdout.strip()}")


def long_text(layers: int) -> str:
    """Analyse uniform causal attention; what a fresh process does. Linux only."""
    even = np.tri(TOKENS, dtype=np.float32) / np.arange(1, TOKENS + 1)[:, np.newaxis]
    weights = np.broadcast_to(even, (4, TOKENS, TOKENS)).astype(np.float32)
    maps = AttentionMaps.from_arrays({f"layer_{n}": weights for n in range(layers)})
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = status("VmRSS")
    analyze(maps)
    held = weights.nbytes / 2**20  # the layers are views of one array
    return f"maps of {held:.0f} MiB, {status('VmHWM') - before:.0f} MiB beside them"


def status(name: str) -> float:
    """A line of /proc/self/status, in MiB."""
    text = Path("/proc/self/status").read_text("utf-8")
    return float(text.partition(f"{name}:")[2].split()[0]) / 1024


def main() -> None:
    """Run what is named, or everything."""
    works = {"speed": speed, "grid": grid, "memory": memory, "long": long}
    if sys.argv[1:2] == ["text"]:
        print(long_text(int(sys.argv[2])))
        return
    if sys.argv[1:2] == ["stream"]:
        analyze(stream(int(sys.argv[2])))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    for name in sys.argv[1:] or works:
        works[name]()


if __name__ == "__main__":
    main()
