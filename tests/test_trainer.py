"""`neural train`: what is learned, what is kept, how it goes on, what is refused."""

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

import neural_attn.trainer.checkpoint
from neural_attn import load_model
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.tokenizer import Tokenizer, find_tokenizer
from neural_attn.trainer import vocabulary
from neural_attn.trainer.batches import chosen
from neural_attn.trainer.checkpoint import read
from neural_attn.trainer.run import Request, StoppedError, train_file
from tests import warm_python
from tests.every_backend import TRAINING, parameters

ROOT = Path(__file__).resolve().parent.parent
TRAINERS = parameters(TRAINING)
IDS = 'loss: "sparse_categorical_crossentropy"'
TRANSLATOR = f"""network Small {{
  input: {{ source: (none,) target: (none,) }}
  layers:
    source: {{ Embedding(16, 8, mask_zero=true) TransformerEncoder(2, 8) }}
    target: {{
      Embedding(16, 8, mask_zero=true) TransformerDecoder(2, 8) Output(16)
    }}
  {IDS}
  optimizer: Adam(learning_rate=CosineDecay(0.01, 20, warmup_steps=3))
  metrics: ["accuracy"]
  train {{ epochs: 3, batch_size: 8, gradient_clip: 1.0 }}
}}"""
WRITER = f"""network Small {{
  input: (none,)
  layers: Embedding(16, 8) TransformerDecoder(2, 8) Output(16)
  {IDS}
}}"""
DROPPING = f"""network Small {{
  input: (none,)
  layers: Embedding(32, 8, mask_zero=true) Dropout(0.5) Output(32)
  {IDS}
  train {{ epochs: 3, batch_size: 8, gradient_clip: 1.0 }}
}}"""
READER = """network Small {{
  input: (none,)
  layers: Embedding(32, 8, mask_zero=true) {layers}
  loss: "{loss}"
  metrics: ["accuracy"]
}}"""
POOLED = "TransformerEncoder(2, 8) GlobalAveragePooling1D() Output({})"
pytestmark = [pytest.mark.requires_torch]


def pairs(path, count=40):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdef"), 2 + i % 5)) for i in range(count)]
    path.write_text("".join(f"{t}\t{t[::-1]}\n" for t in texts))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.neural").write_text(TRANSLATOR)
    pairs(tmp_path / "pairs.tsv")
    return tmp_path


def run(folder, out="out", watcher=None, **options):
    options.setdefault("backend", "pytorch")
    if not {"texts", "data"} & set(options):
        options.setdefault("pairs", folder / "pairs.tsv")
    if "data" not in options:
        options.setdefault("tokenizer", "char")
    file = folder / "small.neural"
    return train_file(Request(file, output_dir=folder / out, **options), watcher)


def losses(trained):
    return [[row["loss"], row.get("val_loss")] for row in trained.history]


def refused(folder, **options):
    with pytest.raises(NeuralError) as error:
        run(folder, **options)
    return error.value.diagnostics[0]


# --- a run ---------------------------------------------------------------------------


def test_a_run_leaves_what_the_other_commands_take(folder):
    trained = run(folder)
    out = folder / "out"
    assert (trained.task, len(trained.history)) == ("translate", 3)
    assert (trained.learned, trained.held) == (36, 4)
    names = {"loss", "val_loss", "val_accuracy", "learning_rate", "epoch", "seconds"}
    assert set(trained.history[0]) == names
    assert trained.history[0]["learning_rate"] == 0.0  # it warms up
    lines = (out / "history.csv").read_text().splitlines()
    assert len(lines) == 4
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    load_model(folder / "small.neural", "numpy", trained.weights)
    own = vocabulary.read(out / "target.tokenizer.json")
    assert (own.inner.token_to_id(vocabulary.PAD), own.start, own.end) == (0, 1, 2)
    ids = own.inner.encode("abc").ids
    assert (ids[0], ids[-1]) == (1, 2)
    assert own.inner.decode(ids) == "abc"
    assert vocabulary.read(out / "source.tokenizer.json").inner.encode("a").ids[-1] == 2


@pytest.mark.requires_tensorflow
def test_both_frameworks_learn_the_same(folder):
    (folder / "small.neural").write_text(
        TRANSLATOR.replace("r(2, 8)", "r(2, 8, dropout=0)")
    )
    first, second = (run(folder, name, backend=name) for name in TRAINING)
    np.testing.assert_allclose(losses(first), losses(second), 1e-4)
    keys = [list(run.history[0]) for run in (first, second)]
    assert keys[0] == keys[1]


def test_the_command_says_where_everything_is(folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = ["train", "small.neural", "--pairs", "pairs.tsv", "--epochs", "1"]
    done = CliRunner().invoke(cli, [*given, "-b", "torch", "--tokenizer", "char"])
    assert done.exit_code == 0, done.output
    assert "small_trained/small.safetensors" in done.output
    again = CliRunner().invoke(cli, [*given, "-b", "torch", "--resume", "--json"])
    report = json.loads(again.output)
    assert report["epochs"] == 1  # it was done already
    assert CliRunner().invoke(cli, ["train", "small.neural"]).exit_code == 2


# --- going on ------------------------------------------------------------------------

# ends itself, as SIGKILL would from outside, at one of the moments of a run
KILLED = """
import os, signal, sys
from pathlib import Path
from neural_attn.trainer import checkpoint, progress
from neural_attn.trainer.run import Request, train_file
folder, backend, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
count = 0
def die(*_):
    global count
    count += 1
    if count == {"inside": 8, "between": 2, "writing": 3}[moment]:
        os.kill(os.getpid(), signal.SIGKILL)
class Watcher(progress.Quiet):
    step = die if moment == "inside" else progress.Quiet.step
    end = die if moment == "between" else progress.Quiet.end
if moment == "writing":
    real = checkpoint.Checkpoint.write
    checkpoint.Checkpoint.write = lambda self, path: (die(), real(self, path))
train_file(Request(folder / "small.neural", **{sys.argv[4]: folder / "pairs.tsv"},
    tokenizer="char", backend=backend, output_dir=folder / "out"), Watcher())
"""


@pytest.mark.parametrize("backend", TRAINERS)
def test_killed_at_any_moment_it_goes_on_to_the_same_losses(folder, backend):
    moments, data = ["inside", "between", "writing"], "pairs"
    if backend == "tensorflow":  # tracing takes long, and what writes is the same code
        moments, data = ["inside"], "texts"
        (folder / "small.neural").write_text(DROPPING)
    given = {"backend": backend, data: folder / "pairs.tsv"}
    whole = run(folder, "whole", **given)
    for moment in moments:
        done = warm_python.run("-c", KILLED, folder, backend, moment, data, cwd=ROOT)
        assert done.returncode == -signal.SIGKILL, done.stderr
        kept = len(read(folder / "out" / "checkpoint" / "last.safetensors").history)
        assert kept == {"inside": 1, "between": 2, "writing": 2}[moment]
        resumed = run(folder, resume=True, **given)
        np.testing.assert_allclose(losses(resumed), losses(whole), 1e-6)
        first, second = (load_file(one.weights) for one in (whole, resumed))
        for name, values in first.items():
            np.testing.assert_allclose(values, second[name], 1e-5, 1e-7)
        shutil.rmtree(folder / "out")


def test_resuming_without_a_checkpoint_begins(folder):
    assert losses(run(folder, resume=True)) == losses(run(folder, "other"))


def test_more_epochs_go_on_from_the_last(folder):
    run(folder, epochs=2)
    assert losses(run(folder, epochs=3, resume=True)) == losses(run(folder, "whole"))


def test_an_interrupted_run_keeps_its_epochs(folder):
    class Impatient:
        def begin(self, epoch, plan, examples):
            if epoch == 3:
                raise KeyboardInterrupt

        def step(self, loss, examples):
            pass

        def end(self, row):
            pass

    with pytest.raises(StoppedError) as stop:
        run(folder, watcher=Impatient())
    assert stop.value.epochs == 2
    assert (folder / "out" / "loss.png").is_file()
    assert losses(run(folder, resume=True)) == losses(run(folder, "whole"))


def test_patience_ends_a_run(folder):
    trained = run(folder, epochs=50, learning_rate=1e-9, patience=2)
    assert len(trained.history) < 50


# --- what is learned -----------------------------------------------------------------


def test_a_language_model_learns_from_texts(folder):
    (folder / "small.neural").write_text(WRITER)
    (folder / "texts.txt").write_text("abcabc\ncab\n" * 10)
    given = {"texts": folder / "texts.txt", "longest_target": 4, "epochs": 1}
    trained = run(folder, **given)
    assert trained.task == "write"
    (note,) = trained.notes
    assert note == "10 texts are longer than 4 tokens: they are cut into pieces"
    found = find_tokenizer(folder / "small.neural", trained.weights)
    assert Tokenizer(found).encode(["ab"]).tokens == [["<s>", "a", "b"]]


@pytest.mark.parametrize(
    ("loss", "units"),
    [
        ("sparse_categorical_crossentropy", "2"),
        ("categorical_crossentropy", "2"),
        ("binary_crossentropy", '1, activation="sigmoid"'),
    ],
)
def test_a_classifier_learns_labels(folder, loss, units):
    text = READER.format(layers=POOLED.format(units), loss=loss)
    (folder / "small.neural").write_text(text)
    (folder / "pairs.tsv").write_text("a fine film\tgood\nsad, dull\tbad\n" * 20)
    trained = run(folder, tokenizer="word", epochs=5, learning_rate=0.03)
    assert trained.task == "classify"
    assert json.loads((folder / "out/labels.json").read_text()) == ["bad", "good"]
    assert trained.history[-1]["val_accuracy"] == 1.0


def test_a_tagger_learns_a_tag_for_each_word(folder):
    text = READER.format(layers="TransformerEncoder(2, 8) Output(2)",
                         loss="sparse_categorical_crossentropy")  # fmt: skip
    (folder / "small.neural").write_text(text)
    (folder / "pairs.tsv").write_text("a b, a\tX Y X\nb, b,\tY Y\n" * 20)
    for tokenizer in (None, "bpe"):
        trained = run(folder, str(tokenizer), tokenizer=tokenizer, epochs=8,
                      learning_rate=0.03)  # fmt: skip
        assert trained.task == "tag"
        assert trained.history[-1]["val_accuracy"] == 1.0


def test_arrays_train_any_network(folder):
    (folder / "small.neural").write_text(
        'network Small { input: (3,) layers: Dense(1) loss: "mse" metrics: ["mae"] }'
    )
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    np.savez(folder / "data.npz", input=x, targets=x.sum(1, keepdims=True))
    trained = run(folder, data=folder / "data.npz", epochs=2, validation=0.0)
    assert trained.held == 0
    assert trained.watched == "loss"
    (folder / "small.neural").write_text(TRANSLATOR)
    ids = np.array([[1, 5, 6, 2], [1, 4, 2, 0]] * 4)
    np.savez(folder / "data.npz", source=ids, target=ids)
    assert len(run(folder, "ids", data=folder / "data.npz").history) == 3


@pytest.mark.parametrize("option", ["tokenizer", "vocabulary_size", "longest_target"])
def test_options_that_arrays_make_idle_are_refused(folder, option):
    np.savez(folder / "data.npz", source=np.ones((2, 3)), target=np.ones((2, 3)))
    value = "word" if option == "tokenizer" else 9
    found = refused(folder, data=folder / "data.npz", **{option: value})
    assert "has no effect on arrays" in found.message


def test_batches_hold_every_example_once_and_depend_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 30, 1000)
    found = chosen(lengths, 16, (3, 1))
    assert sorted(np.concatenate(found)) == list(range(1000))
    again, other = chosen(lengths, 16, (3, 1)), chosen(lengths, 16, (3, 2))
    assert all(map(np.array_equal, found, again))
    assert not all(map(np.array_equal, found, other))
    spread = np.mean([np.ptp(lengths[rows]) for rows in found])
    assert spread < 2  # of like length


@pytest.mark.parametrize("kind", vocabulary.KINDS)
def test_a_tokenizer_gives_texts_back_and_keeps_to_its_size(kind):
    texts = ["the cat sat", "the mat", "a hat"]
    made = vocabulary.trained(texts, kind, 24, "target")
    ids = made.inner.encode(texts[0]).ids
    assert made.inner.decode(ids) == texts[0]
    assert max(ids) < made.size <= 24
    assert made.digest == vocabulary.trained(texts, kind, 24, "target").digest
    assert vocabulary.trained(texts, kind, 6, "target").size <= 6


# --- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("ab\tba\nab\n", "pairs.tsv:2: this line has no tab"),
        ("ab\tba\n\n \tba\n", "pairs.tsv:3: the source is empty"),
        ("ab\t\n", "pairs.tsv:1: the target is empty"),
        ("\n", "pairs.tsv has no pairs"),
    ],
)
def test_broken_pairs_are_named_by_their_line(folder, lines, message):
    (folder / "pairs.tsv").write_text(lines)
    found = refused(folder)
    assert found.code == "E0701"
    assert message in found.message
    assert not (folder / "out").exists()


def test_long_texts_are_cut_and_counted(folder):
    trained = run(folder, epochs=1, longest_source=4, longest_target=5)
    assert trained.notes == [
        "24 of the sources were cut off at 4 tokens",
        "16 of the targets were cut off at 5 tokens",
    ]


def test_results_are_not_overwritten(folder):
    weights = run(folder, epochs=1).weights.read_bytes()
    assert refused(folder).code == "E0704"
    assert (folder / "out" / "small.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 4}, "batch size 8, but this run has 4"),
        ({"seed": 1}, "seed 0, but this run has 1"),
        ({"learning_rate": 0.5}, "another network"),
        ({"validation": 0.5}, "another data"),
    ],
)
def test_a_run_that_would_differ_is_not_gone_on_with(folder, change, said):
    run(folder, epochs=1)
    found = refused(folder, resume=True, **change)
    assert found.code == "E0705"
    assert said in found.message


def test_a_checkpoint_or_tokenizer_of_another_network_is_refused(folder):
    run(folder, epochs=1)
    other = vocabulary.trained(["xyz"], "char", 9, "source")
    other.inner.save(str(folder / "other.json"))
    found = refused(folder, resume=True, tokenizer=str(folder / "other.json"))
    assert (found.code, "is not the tokenizer" in found.message) == ("E0703", True)
    (folder / "small.neural").write_text(TRANSLATOR.replace("r(2, 8)", "r(2, 9)"))
    assert refused(folder, resume=True).code == "E0705"
    weights = folder / "out" / "small.safetensors"
    assert refused(folder, out="new", checkpoint=weights).code == "E0602"
    (folder / "out" / "checkpoint" / "last.safetensors").write_bytes(b"no")
    assert refused(folder, resume=True).code == "E0705"


def test_a_state_with_a_damaged_name_is_refused(folder):
    run(folder, epochs=1)
    path = folder / "out" / "checkpoint" / "last.safetensors"
    path.write_bytes(
        path.read_bytes().replace(b"value_projection.b", b"value_projected.bb")
    )
    found = refused(folder, resume=True, epochs=2)
    assert (found.code, "damaged" in found.message) == ("E0705", True)


def test_a_tokenizer_that_does_not_fit_says_which_number_to_write(folder):
    big = vocabulary.trained(["abcdefghijklmnopqrst"], "char", 99, "source")
    big.inner.save(str(folder / "big.json"))
    found = refused(folder, tokenizer=str(folder / "big.json"))
    assert found.code == "E0703"
    assert f"write {big.size} in its Embedding" in found.hint
    assert refused(folder, vocabulary_size=17).code == "E0703"


def test_a_full_disk_names_the_file_and_leaves_what_was_there(folder, monkeypatch):
    before = run(folder, epochs=1)
    state = folder / "out" / "checkpoint" / "last.safetensors"
    kept = [path.read_bytes() for path in (before.weights, state)]
    real = neural_attn.trainer.checkpoint.atomic_write

    def full(path, content):
        if path == state:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    monkeypatch.setattr(neural_attn.trainer.checkpoint, "atomic_write", full)
    found = refused(folder, epochs=2, resume=True)
    assert found.code == "E0706"
    assert str(state) in found.message
    assert state.read_bytes() == kept[1]
    monkeypatch.undo()
    assert losses(run(folder, resume=True)) == losses(run(folder, "whole"))


def test_what_cannot_be_trained_says_why(folder):
    assert refused(folder, backend="numpy").code == "E0707"
    text = folder / "pairs.tsv"
    assert refused(folder, texts=text).code == "E0702"
    (folder / "small.neural").write_text(TRANSLATOR.replace(IDS, ""))
    assert refused(folder).code == "E0702"
    (folder / "small.neural").write_text(TRANSLATOR)
    assert refused(folder, learning_rate=1e30, epochs=9).code == "E0708"
