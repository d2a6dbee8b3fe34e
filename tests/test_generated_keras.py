"""Generated Keras code, used as its users use Keras."""

import io
import re

import numpy as np
import pytest
from neural_attn.backends import get
from neural_attn.backends.emit.emitter import emit

from neural_attn.compile import check_text
from neural_attn.models.generated import load_source
from neural_attn.templates import template
from tests import warm_python
from tests.test_generated_code import EXAMPLES, SOURCES
from tests.test_generated_pytorch import CLASSIFIER, TAGGER

pytestmark = pytest.mark.requires_tensorflow
pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")


def source(text):
    return emit(check_text(text)[0][0], get("tensorflow"))


def module(text):
    return load_source(source(text), "generated")


def ids(*shape, classes=9):
    return np.random.default_rng(0).integers(1, classes, shape)


# Where it is not training that is tested: a graph takes seconds to trace.
PLAIN = {"run_eagerly": True}
NAMES = [path.stem for path in EXAMPLES]


@pytest.mark.thorough(but="basic")
@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_gives_the_same_outputs(name, tmp_path):
    model = module(SOURCES[name]).create_model()
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    x = ids(3, 24)
    np.testing.assert_array_equal(again(x), model(x))
    _, maps = again(x, return_attention=True)
    assert list(maps) == list(model.attention_layers())


@pytest.mark.thorough
def test_several_inputs_are_saved_too(tmp_path):
    model = module(template("encoder-decoder", None)).create_model()
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    x = {"source": ids(2, 7), "target": ids(2, 5)}
    np.testing.assert_array_equal(again(x), model(x))


def test_another_process_loads_it_with_the_file_alone(tmp_path):
    (tmp_path / "kept.py").write_text(source(CLASSIFIER), encoding="utf-8")
    program = (
        "import keras, kept, numpy as np\n"
        "model = kept.create_model()\n"
        "model.save('m.keras')\n"
        "x = np.ones((1, 4), 'int64')\n"
        "again = keras.models.load_model('m.keras')\n"
        "assert float(abs(keras.ops.max(again(x) - model(x)))) == 0\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = warm_python.run("program.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_usual_callbacks_work(tmp_path):
    made = module(CLASSIFIER)
    model = made.create_model()
    model.compile(
        made.create_optimizer(), made.create_loss(), metrics=["accuracy"], **PLAIN
    )
    weights = tmp_path / "best.weights.h5"
    callbacks = [
        keras.callbacks.ModelCheckpoint(weights, save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "whole.keras"),
        keras.callbacks.EarlyStopping("loss", patience=5),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    x = ids(16, 5)
    model.fit(x, x[:, 0] % 3, epochs=2, verbose=0, callbacks=callbacks)
    other = made.create_model()
    other.load_weights(weights)
    np.testing.assert_allclose(other(x), model(x), rtol=0, atol=1e-6)
    whole = keras.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(whole(x), model(x), rtol=0, atol=1e-6)


def test_layers_take_a_name_and_a_dtype():
    made = module(CLASSIFIER)
    layer = made.TransformerEncoder(
        8, num_heads=2, ff_dim=16, name="mine", dtype="float64"
    )
    output = layer(np.zeros((1, 3, 8)))
    assert layer.name == "mine"
    assert output.dtype == "float64"
    assert {variable.dtype for variable in layer.weights} == {"float64"}


def test_a_model_takes_a_name_and_a_dtype():
    made = module(CLASSIFIER)
    model = made.Classifier(name="mine", dtype="float64")
    assert model(ids(1, 3)).dtype == "float64"
    assert model.name == "mine"
    assert {variable.dtype for variable in model.weights} == {"float64"}
    assert keras.config.floatx() == "float32"


def summary(model):
    """What `model.summary()` prints."""
    lines = io.StringIO()
    model.summary(print_fn=lambda line: lines.write(line + "\n"))
    return lines.getvalue()


def test_a_summary_counts_every_parameter():
    text = SOURCES["basic_transformer"]
    told = summary(module(text).create_model())
    assert f"{check_text(text)[0][0].root.parameter_count:,}" in told
    assert "TransformerEncoder" in told
    assert "unbuilt" not in told


def output_shapes(model, x):
    """Name of each layer of the model -> the shape of what it gives, in a call on x."""
    found = {}

    def listen(layer):
        call = layer.call

        def heard(*arguments, **options):
            output = call(*arguments, **options)
            found[layer.name] = tuple(output.shape)
            return output

        layer.call = heard

    for layer in model.layers:
        listen(layer)
    model(x)
    return found


def shown_shapes(model):
    """Name of each layer -> the shape that the summary tells; it tells no `?`."""
    told, shapes = summary(model), {}
    assert "?" not in told
    for row in re.split("\n[┡├└].*", told)[1:-1]:
        lines = (line.split("│")[1:3] for line in row.strip().splitlines())
        cells = zip(*lines, strict=True)
        name, shape = (" ".join(x.strip() for x in cell) for cell in cells)
        shapes[name.partition(" (")[0]] = shape.strip()
    assert list(shapes) == [layer.name for layer in model.layers]
    return shapes


SHAPES = dict.fromkeys(NAMES, (3, 24)) | {"vit": (2, 224, 224, 3)}


@pytest.mark.thorough(but=("basic", "encoder-decoder"))
@pytest.mark.parametrize(
    "name", [*NAMES, "bert", "encoder-decoder", "lstm-attention", "vit"]
)
def test_a_summary_shows_the_shapes_of_the_first_call(name):
    made, (checked,) = module(SOURCES[name]), check_text(SOURCES[name])[0]
    given = {
        one.name: ids(*SHAPES.get(name, (2, 5)), classes=2).astype(one.dtype)
        for one in checked.network.inputs
    }
    x = given if len(given) > 1 else next(iter(given.values()))
    model = getattr(made, checked.network.name)()
    model(x)
    real = {name: str(shape) for name, shape in output_shapes(model, x).items()}
    assert shown_shapes(model) == real


@pytest.mark.thorough("multi_layer", "text_class")
@pytest.mark.parametrize("name", NAMES)
def test_a_summary_of_a_new_model_shows_shapes(name):
    shapes = list(shown_shapes(module(SOURCES[name]).create_model()).values())
    width = check_text(SOURCES[name])[0][0].root.output.dims[-1]
    assert shapes[-1] == f"(None, {width})"  # any number of examples


def test_a_summary_after_fit_and_after_loading_shows_shapes(tmp_path):
    made, x = module(CLASSIFIER), ids(6, 5)
    model = made.Classifier()
    model.compile(made.create_optimizer(), made.create_loss(), **PLAIN)
    model.fit(x, x[:, 0] % 3, batch_size=3, verbose=0)
    shapes = shown_shapes(model)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert list(shown_shapes(again).values()) == list(shapes.values())


def test_a_model_is_built_for_any_length():
    made = module(CLASSIFIER)
    model = made.Classifier()
    model.build((None, None))
    assert model.count_params() == made.create_model().count_params()
    shapes = list(shown_shapes(model).values())
    assert shapes[0].startswith("(None, None, ")
    assert shapes[-1] == "(None, 3)"


def test_heads_are_split_by_a_reshape():
    assert "ops.split(" not in source(CLASSIFIER)
    split = module(CLASSIFIER).split_heads
    x = np.arange(24.0).reshape(1, 2, 12)
    expected = x.reshape(1, 2, 3, 4).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(split(x, 3), expected)


def trained_tagger(targets, x):
    keras.utils.set_random_seed(0)
    made = module(TAGGER)
    model = made.create_model()
    history = made.train(model, x, targets)
    return model.get_weights(), history


@pytest.mark.thorough
def test_padding_counts_neither_in_the_loss_nor_in_the_metrics():
    x = ids(16, 6)
    x[::2, 4:] = 0
    targets = x % 4
    (one, first) = trained_tagger(targets, x)
    (two, second) = trained_tagger(np.where(x == 0, 3, targets), x)
    assert first == second
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert trained_tagger(np.where(x == 1, 3, targets), x)[1] != first


def test_backup_and_restore_goes_on_where_fit_was_stopped(tmp_path):
    made, x = module(CLASSIFIER), ids(6, 5)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def fitted(*callbacks):
        model = made.create_model()
        model.compile(made.create_optimizer(), made.create_loss(), **PLAIN)
        return model.fit(x, x[:, 0] % 3, epochs=4, verbose=0, callbacks=[*callbacks])

    with pytest.raises(KeyboardInterrupt):
        fitted(backup, Stop())
    assert fitted(backup).epoch == [2, 3]


def test_weights_are_saved_by_the_names_of_keras(tmp_path):
    model = module(CLASSIFIER).create_model()
    for end in ("weights.h5", "safetensors"):
        file = tmp_path / f"a.{end}"
        model.save_weights(filepath=file)
        before = [np.array(x) for x in model.get_weights()]
        model.set_weights([0 * x for x in before])
        model.load_weights(filepath=file)
        for one, other in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, other)
