"""Generated PyTorch code, used as its users use PyTorch."""

import os
import shutil

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.models.generated import load_source
from neural_attn.templates import template
from tests.test_generated_code import EXAMPLES, SOURCES

pytestmark = pytest.mark.requires_torch
torch = pytest.importorskip("torch")


def module(text):
    return load_source(emit(check_text(text)[0][0], get("pytorch")), "generated")


def ids(*shape, classes=9):
    return torch.from_numpy(np.random.default_rng(0).integers(1, classes, shape))


NAMES = [path.stem for path in EXAMPLES]


@pytest.mark.thorough("multi_layer", "text_class")
@pytest.mark.parametrize("name", NAMES)
def test_examples_are_captured_whole(name):
    torch.manual_seed(0)
    model = module(SOURCES[name]).create_model()
    x = ids(3, 24)
    with torch.no_grad():
        expected = model(x)
        whole = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(whole(x), expected)
        exported = torch.export.export(
            model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)
        ).module()
        torch.testing.assert_close(exported(ids(5, 24)), model(ids(5, 24)))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_on_another_device(name):
    model = module(SOURCES[name]).create_model().to("meta")
    x = ids(2, 24).to("meta")
    output, attention = model(x, return_attention=True)
    assert {output.device.type, *(w.device.type for w in attention.values())} == {
        "meta"
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_is_all_there_is(name):
    made = module(SOURCES[name])
    model, other = made.create_model(), made.create_model()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(ids(2, 24)), model(ids(2, 24)), rtol=0, atol=0)


CLASSIFIER = """
network Classifier {
  input: (none,)
  layers:
    Embedding(9, 16, mask_zero=true)
    TransformerEncoder(num_heads=2, ff_dim=32, dropout=0.0)
    GlobalAveragePooling1D()
    Output(3, "softmax")
  loss: "sparse_categorical_crossentropy"
  optimizer: Adam(learning_rate=0.01)
}
"""


@pytest.mark.thorough
@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None,
    reason="PyTorch's own compiler needs a C++ compiler, and there is none",
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # within PyTorch
def test_a_network_is_compiled_to_machine_code(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    model = module(CLASSIFIER).create_model()
    with torch.no_grad():
        whole = torch.compile(model, fullgraph=True)
        torch.testing.assert_close(whole(ids(3, 5)), model(ids(3, 5)))


def test_a_loop_of_ones_own_trains_it():
    torch.manual_seed(0)
    made = module(CLASSIFIER)
    model, loss = made.create_model().train(), made.create_loss()
    optimizer = made.create_optimizer(model)
    x = ids(64, 5)
    data = torch.utils.data.TensorDataset(x, x[:, 0] % 3)
    losses = []
    for _ in range(8):
        for inputs, targets in torch.utils.data.DataLoader(data, batch_size=16):
            value = loss(model.forward_logits(inputs), targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]


def test_training_is_on_logits_and_the_output_is_what_the_file_says():
    made = module(CLASSIFIER)
    model = made.create_model()
    x = ids(4, 5)
    logits = model.forward_logits(x)
    torch.testing.assert_close(model(x), torch.softmax(logits, dim=-1))
    extreme = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    value = made.create_loss()(extreme, torch.tensor([2]))
    value.backward()
    assert value.item() == pytest.approx(2e4)
    torch.testing.assert_close(extreme.grad, torch.tensor([[1.0, 0.0, -1.0]]))


TAGGER = """
network Tagger {
  input: (none,)
  layers:
    Embedding(9, 8, mask_zero=true)
    TransformerEncoder(num_heads=2, ff_dim=16, dropout=0.0)
    Output(4, "softmax")
  loss: "sparse_categorical_crossentropy"
  metrics: ["accuracy"]
  optimizer: SGD(learning_rate=0.5)
  train { epochs: 3 batch_size: 8 shuffle: false }
}
"""


def trained_tagger(targets, x):
    torch.manual_seed(0)
    made = module(TAGGER)
    model = made.create_model()
    history = made.train(model, x, targets)
    return model.state_dict(), history


def test_padding_counts_neither_in_the_loss_nor_in_the_metrics():
    x = ids(16, 6)
    x[::2, 4:] = 0
    targets = x % 4
    other = torch.where(x == 0, torch.tensor(3), targets)
    (one, first), (two, second) = trained_tagger(targets, x), trained_tagger(other, x)
    assert first == second
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=0)
    changed = torch.where(x == 1, torch.tensor(3), targets)
    assert trained_tagger(changed, x)[1] != first  # what is no padding does count


def test_a_batch_of_padding_alone_leaves_the_weights_as_they_are():
    x = torch.zeros(8, 6, dtype=torch.long)
    weights, history = trained_tagger(x, x)
    assert history == {"loss": [0.0] * 3, "accuracy": [0.0] * 3}
    torch.manual_seed(0)
    untrained = module(TAGGER).create_model().state_dict()
    for name, value in untrained.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


def test_a_layer_that_applies_its_activation_inside_has_no_logits():
    made = module(
        """network R {
          input: (4, 3)
          layers: LSTM(1, activation="sigmoid")
          loss: "binary_crossentropy"
          optimizer: "adam"
        }"""
    )
    model = made.create_model()
    assert not hasattr(model, "forward_logits")
    outputs = model(torch.randn(5, 4, 3))
    targets = torch.ones(5, 1)
    expected = torch.nn.functional.binary_cross_entropy(
        outputs.clamp(min=1e-7), targets
    )
    torch.testing.assert_close(made.create_loss()(outputs, targets), expected)


def test_a_decoder_without_its_memory_is_an_error():
    model = module(template("encoder-decoder", None)).create_model()
    decoder = model.transformer_decoder_layers[0]
    for memory in ((), (None,)):
        with pytest.raises(TypeError, match="memory"):
            decoder(torch.zeros(1, 3, 128), *memory)


def test_a_decoder_alone_needs_no_memory():
    text = "network G { input: (5, 8) layers: TransformerDecoder(2, 16) }"
    model = module(text).create_model()
    assert model(torch.zeros(1, 5, 8)).shape == (1, 5, 8)


def test_batches_follow_the_model_to_its_device(monkeypatch):
    made = module(CLASSIFIER)
    model = made.create_model()
    moved = []
    plain = torch.Tensor.to

    def noted(self, *arguments, **named):
        moved.append(arguments)
        return plain(self, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "to", noted)
    made.train(model, ids(4, 5), ids(4) % 3, epochs=1)
    device = next(model.parameters()).device
    assert moved.count((device,)) == 2  # inputs and targets of the one batch
