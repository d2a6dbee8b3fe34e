"""Hints of `neural import`, and of weights and texts that are read, followed."""

import json

import pytest
from safetensors.numpy import save_file

from neural_attn.compile import check_file
from neural_attn.models.weights import initial
from tests.following import follow
from tests.laboratory import lay_out
from tests.small_models import bert_tensors, write_bert, write_config

IMPORT = "import {} -o out/tiny.neural"
GOOD = IMPORT.format("model")
CHECKED = "analyze small.neural -b numpy --no-probe --checkpoint w.{}"
READS = "analyze padded.neural -b numpy --no-probe --tokenizer {} --text 'a c'"
# message -> (the command that shows it, the command changed as its hint says)
FOLLOWED = {
    "E0603.form": (CHECKED.format("pt"), CHECKED.format("safetensors")),
    "E0621": (IMPORT.format("no/such/folder"), GOOD),
    "E0621.unreachable": (IMPORT.format("nobody/nothing"), GOOD),
    "E0624": (IMPORT.format("mamba"), GOOD),
    "E0626.activation": (IMPORT.format("fast"), GOOD),
    "E0626.adapter": (IMPORT.format("adapter"), GOOD),
    "E0627.named": (IMPORT.format("nested"), GOOD),
    "E0629.form": (IMPORT.format("sparse"), GOOD),
    "E0632": (f"{GOOD} --name 9lives", f"{GOOD} --name MiniLM"),
    "E0633.model": (
        f"{GOOD} --weights model/model.safetensors",
        f"{GOOD} --weights out/model.safetensors",
    ),
    "E0643.fails": (READS.format("incomplete.json"), READS.format("t.json")),
}


def _adapter(folder):
    folder.mkdir()
    said = {"peft_type": "LORA", "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(said), "utf-8")


def _torch_files(folder):
    """A checkpoint, and a model, with a sparse tensor; the same checkpoint without."""
    import torch

    weights = initial(check_file(folder / "small.neural")[0][0])
    save_file(weights, folder / "w.safetensors")
    for path, arrays in (
        (folder / "w.pt", weights),
        (folder / "sparse" / "pytorch_model.bin", bert_tensors()),
    ):
        state = {name: torch.from_numpy(one) for name, one in arrays.items()}
        name = next(iter(state))
        state[name] = state[name].to_sparse()
        torch.save(state, path)
    around = {"epoch": 3, "state_dict": state}
    torch.save(around, folder / "nested" / "pytorch_model.bin")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    write_bert(folder / "model")
    for name, changes in {
        "mamba": {"model_type": "mamba"},
        "fast": {"hidden_act": "gelu_fast"},
        "sparse": {},
        "nested": {},
    }.items():
        (folder / name).mkdir()
        write_config(folder / name, **changes)
        save_file(bert_tensors(), folder / name / "model.safetensors")
    for name in "sparse", "nested":
        (folder / name / "model.safetensors").unlink()
    _adapter(folder / "adapter")
    _torch_files(folder)
    tokenizer = json.loads((folder / "t.json").read_text("utf-8"))
    del tokenizer["model"]["vocab"]["[UNK]"]
    (folder / "incomplete.json").write_text(json.dumps(tokenizer), "utf-8")
    (folder / "out").mkdir()
    return folder


@pytest.mark.requires_torch
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_command(name, laboratory, monkeypatch):
    monkeypatch.chdir(laboratory)
    follow(name, *FOLLOWED[name])
