"""The explorer against inspectus, the fastest of its peers that opens at this size.

Both write a page of the same random weights (the worst case for compression), each in
a fresh process, and each page is opened in headless Chromium. inspectus must be
installed in an environment of its own, as it pins other packages:

    python -m venv /tmp/peer && /tmp/peer/bin/pip install inspectus==0.2.0
    python -m benchmarks.explorer --peer /tmp/peer/bin/python [--tokens 512]

The bars: no more time than inspectus to write and at most 1/4 of its extra memory; at
most 1 byte a weight; the first head painted in at most 1/8 and all thumbnails in at
most 1/4 of its time; switching layers and heads and hovering no slower than inspectus
at 32 tokens. A page counts as painted two animation frames after it holds what it
draws.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.timing import report
from tests.browser import CHROMIUM

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ROUNDS = 3
STEPS = 11  # from the first of 12 heads or layers to the last

# Runs in either environment: makes the weights, writes a page, tells time and memory.
WRITER = """
import json, sys, time, types
import numpy as np
tool, path, layers, heads, tokens = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
random = np.random.default_rng(0)
weights = np.empty((layers, heads, tokens, tokens), np.float32)
for layer in weights:
    for head in layer:
        head[:] = np.exp(2 * random.standard_normal(head.shape, dtype=np.float32))
        head /= head.sum(-1, keepdims=True)
words = [f"token{n}" for n in range(tokens)]
def memory(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1]) / 1024
if tool == "inspectus":
    # It shows itself through IPython: what it hands over is the page.
    parts = []
    shown = types.ModuleType("IPython.display")
    shown.HTML, shown.display = lambda html: html, parts.append
    sys.modules["IPython"] = types.ModuleType("IPython")
    sys.modules["IPython.display"] = shown
    import inspectus
    def write():
        inspectus.attention(weights, words)
        with open(path, "w") as file:
            file.write("<!DOCTYPE html><meta charset=utf-8><body>")
            for part in parts:
                file.write(part)
else:
    from neural_attn.explorer.page import explore
    from neural_attn.maps.attention_maps import AttentionMap, AttentionMaps
    maps = AttentionMaps([
        AttentionMap(f"layer_{n}", one[None], query_tokens=words, key_tokens=words)
        for n, one in enumerate(weights)
    ])
    write = lambda: explore(maps).save(path)
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before, start = memory("VmRSS"), time.perf_counter()
write()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "MiB": memory("VmHWM") - before}))
"""

# Before any script of the page: notes when what is waited for has been painted.
WATCH = """
(() => {
  const times = window.paintTimes = {};
  const parts = %s;
  const look = () => {
    for (const [name, ready] of Object.entries(parts)) {
      if (times[name] === undefined && document.documentElement && ready()) {
        times[name] = null;
        requestAnimationFrame(() => requestAnimationFrame(() => {
          times[name] = performance.now();
        }));
      }
    }
    const missing = Object.keys(parts).some((name) => times[name] == null);
    if (missing) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""
OURS = """{
  first: () => document.documentElement.dataset.head !== undefined,
  all: () => document.documentElement.dataset.thumbnails === "done",
}"""
PEERS = "{ all: () => document.querySelectorAll('svg rect').length >= %d }"
# An event, and what it changes on the screen: done when the next frame begins.
STEP = """async ([selector, share, type, key]) => {
  const root = document.documentElement;
  const cells = document.querySelectorAll(selector);
  const cell = cells[Math.floor(share * cells.length)];
  const box = cell.getBoundingClientRect();
  const place = { bubbles: true, clientX: box.left + box.width * (0.2 + 0.6 * share),
    clientY: box.top + box.height * (0.2 + 0.6 * share) };
  const changed = key && new Promise((done, fail) => {
    new MutationObserver(done).observe(root, { attributeFilter: ["data-head"] });
    setTimeout(() => fail(new Error(`${key} changed nothing`)), 5000);
  });
  const start = performance.now();
  for (const one of type.split(" ").filter(Boolean)) {
    const kinds = { p: PointerEvent, k: KeyboardEvent, m: MouseEvent, c: MouseEvent };
    const Kind = kinds[one[0]];
    cell.dispatchEvent(new Kind(one, { ...place, key }));
  }
  // What is changed before a frame is painted by the end of it: the second begins
  // behind that. Ours answers keys within a frame: the next one begins behind that.
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await (changed ?? frame());
  await frame();
  return performance.now() - start;
}"""
# What is done to each page: where, which events, and which key. inspectus listens to
# clicks alone, on the numbers of layers and heads and on tokens: where ours answers to
# the pointer over a cell, it answers to a click on a token.
ACTIONS = {
    "ours": {
        "layer": ("body", "keydown", "ArrowDown"),
        "head": ("body", "keydown", "ArrowRight"),
        "hover": ("#panel-matrix canvas[role]", "pointermove", None),
    },
    "inspectus": {
        "layer": (".dimension-values:nth-child(4) .value", "click", None),
        "head": (".dimension-values:nth-child(5) .value", "click", None),
        "hover": (".token", "click", None),
    },
}


def write_page(python: str, tool: str, path: Path, shape: list[int]) -> dict[str, Any]:
    """Write a page in a fresh process; give seconds, MiB, and MB of the file."""
    command = [python, "-c", WRITER, tool, str(path), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    weights = shape[0] * shape[1] * shape[2] ** 2
    size = path.stat().st_size
    return {**told, "MB": size / 1e6, "bytes_per_weight": size / weights}


def open_page(browser: Any, path: Path, parts: str) -> tuple[Any, dict[str, float]]:
    """Open a page; give it, and the milliseconds until each part was painted."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(300_000)
    page.add_init_script(WATCH % parts)
    page.goto(path.as_uri(), wait_until="commit", timeout=300_000)
    while True:
        times = page.evaluate("window.paintTimes ?? {}")
        wanted = parts.count("() =>")
        if len(times) == wanted and all(time is not None for time in times.values()):
            return page, times
        page.wait_for_timeout(100)


def act(page: Any, name: str) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of each step of an action: until it is seen, and of work.

    Until it is seen takes a frame or two in any case; work is what the browser counts
    as the duration of the tasks on the page's thread, less that of a step in which
    nothing happens.
    """
    counters = page.context.new_cdp_session(page)
    counters.send("Performance.enable")

    def busy() -> float:
        told = counters.send("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in told if m["name"] == "TaskDuration")

    def steps(selector: str, events: str, key: str | None) -> list[tuple[float, float]]:
        found = []
        for number in range(STEPS):
            before = busy()
            share = (number + 0.5) / STEPS
            seen = page.evaluate(STEP, [selector, share, events, key])
            found.append((seen, busy() - before))
            page.wait_for_timeout(200)  # what is put off must not meet the next step
        return found

    idle = statistics.median(work for _, work in steps("body", "", None))
    return {
        action: [(seen, max(work - idle, 0)) for seen, work in steps(*how)]
        for action, how in ACTIONS[name].items()
    }


def act_in_turns(
    browser: Any, pages: dict[str, tuple[Path, str]]
) -> dict[str, dict[str, float]]:
    """Medians for each page, opened anew and in turns, as the machine has its moods."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {n: {} for n in pages}
    for _ in range(ROUNDS):
        for name, (path, parts) in pages.items():
            page, _ = open_page(browser, path, parts)
            for action, steps in act(page, name).items():
                found[name].setdefault(action, []).extend(steps)
            page.close()
    return {
        name: {
            f"{action}{suffix}": round(statistics.median(s[part] for s in steps), 1)
            for action, steps in actions.items()
            for part, suffix in enumerate(("_ms", "_work_ms"))
        }
        for name, actions in found.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="a Python that has inspectus")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--short", type=int, default=32, help="for their interaction")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    shape = [options.layers, options.heads, options.tokens]
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        pages = {
            name: Path(place) / f"{name}.html"
            for name in ("ours", "inspectus", "short")
        }
        written = {
            "ours": write_page(sys.executable, "ours", pages["ours"], shape),
            "inspectus": write_page(
                options.peer, "inspectus", pages["inspectus"], shape
            ),
        }
        write_page(
            options.peer, "inspectus", pages["short"], [*shape[:2], options.short]
        )
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_FLAGS
        )
        opened = {"ours": OURS, "inspectus": PEERS % options.tokens**2}
        times = {}
        for name, parts in opened.items():
            page, times[name] = open_page(browser, pages[name], parts)
            page.close()
        actions = act_in_turns(
            browser,
            {
                "ours": (pages["ours"], OURS),
                "inspectus": (pages["short"], PEERS % options.short**2),
            },
        )
        browser.close()
    rows = [row(name, written[name], times[name], actions[name]) for name in opened]
    report("explorer", rows, shape=shape, peers_interaction_at=options.short)


def row(
    name: str,
    written: dict[str, Any],
    times: dict[str, float],
    actions: dict[str, float],
) -> dict[str, Any]:
    """One line of the table; all times of the page are milliseconds."""
    return {
        "tool": name,
        **{key: round(value, 3) for key, value in written.items()},
        "first_ms": round(times.get("first", times["all"])),
        "all_ms": round(times["all"]),
        **actions,
    }


if __name__ == "__main__":
    main()
