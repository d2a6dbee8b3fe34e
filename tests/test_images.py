"""Images from the command line: as transformers prepares them, laid where they lie."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.figures.on_picture import draw_item, draw_rollout
from neural_attn.figures.pictures import write_pictures
from neural_attn.inputs.images import ImagePreparation, open_image
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.maps.picture import Picture
from neural_attn.pipeline import explore
from neural_attn.pretrained.conversion.image_settings import image_settings
from tests.small_models import noise, seen_maps

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]
logging.getLogger("transformers").setLevel(logging.ERROR)

SIZES = {
    "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 20, "patch_size": 4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(40, 56)).save("wide.png")
    Image.fromarray(noise(57, 31)).save("high.png")
    Image.fromarray(noise(9, 14)).save("small.png")


# --- numbers --------------------------------------------------------------------------

OLD_CLIP = {
    "feature_extractor_type": "CLIPFeatureExtractor", "size": 24, "crop_size": 20,
    "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip
PROCESSORS = {
    "vit": ("vit", "ViT", {"size": {"height": 16, "width": 24}}),
    "vit, bicubic": ("vit", "ViT", {"size": {"height": 9, "width": 9}, "resample": 3}),
    "vit, as it is": ("vit", "ViT", {"do_resize": False}),
    "vit, not scaled": ("vit", "ViT", {"do_rescale": False, "size": 16}),
    "vit, not normalized": ("vit", "ViT", {"do_normalize": False, "size": 16}),
    "deit": ("deit", "DeiT", {"size": {"height": 20, "width": 20}, "crop_size": 15}),
    "deit, not cropped": ("deit", "DeiT", {"do_center_crop": False}),
    "clip": ("clip", "CLIP", {"size": {"shortest_edge": 20}, "crop_size": 16}),
    "clip, larger crop": ("clip", "CLIP", {"size": {"shortest_edge": 11},
                                           "crop_size": {"height": 15, "width": 20}}),
    "clip, of old": ("clip", "CLIP", OLD_CLIP),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_images_are_prepared_as_transformers_does(name):
    model_type, kind, options = PROCESSORS[name]
    theirs = getattr(transformers, f"{kind}ImageProcessorPil")(**options)
    if name.endswith("of old"):
        Path("preprocessor_config.json").write_text(json.dumps(options))
    else:
        theirs.save_pretrained(".")
    settings = image_settings(Path(), model_type)
    Path("x.json").write_text(settings.text)
    settings = ImagePreparation.read(Path("x.json"))
    for file in ("wide.png", "high.png", "small.png"):
        image = open_image(Path(file), 3)
        ours = settings.numbers(settings.pixels(image)).transpose(2, 0, 1)
        expected = theirs(image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_an_image_without_a_word_on_images_is_said():
    assert image_settings(Path(), "vit") is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"size": {"shortest_edge": 9, "longest_edge": 12}}, "longest_edge"),
        ({"size": "large"}, "size"),
        ({"image_mean": [0.5]}, "3 numbers"),
        ({"do_pad": True}, "do_pad"),
    ],
)
def test_what_is_not_known_of_images_is_refused_by_name(said, words):
    Path("preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(NeuralError, match=words):
        image_settings(Path(), "vit")


def test_newer_models_say_it_in_another_file():
    inner = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 9}}
    Path("processor_config.json").write_text(json.dumps({"image_processor": inner}))
    assert image_settings(Path(), "clip").resize == 9


# --- from the command line ------------------------------------------------------------


def saved(kind, name="tower"):
    """A model of random weights in a folder, and its own image processor."""
    config_class = getattr(transformers, kind).config_class
    config = config_class(**SIZES, image_size=16, attn_implementation="eager")
    torch.manual_seed(0)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(name)
    family = kind.removesuffix("Model").removesuffix("Vision")
    size = {"shortest_edge": 16} if family == "CLIP" else {"height": 16, "width": 16}
    processor = getattr(transformers, f"{family}ImageProcessorPil")
    processor = processor(size=size, crop_size={"height": 16, "width": 16})
    processor.save_pretrained(name)
    return model, processor


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.mark.parametrize("kind", ["ViTModel", "DeiTModel", "CLIPVisionModel"])
def test_maps_of_an_image_file_are_those_of_the_model(kind):
    model, processor = saved(kind)
    maps = explore("tower", Path("wide.png"), backend="numpy").maps
    inputs = processor(Image.open("wide.png"), return_tensors="pt")
    with torch.no_grad():
        theirs = model(**inputs, output_attentions=True).attentions
    for one, expected in zip(maps.maps, theirs, strict=True):
        np.testing.assert_allclose(one.weights, expected, rtol=0, atol=1e-5)
    front = ("[CLS]", "[DIST]") if kind == "DeiTModel" else ("[CLS]",)
    assert maps.maps[0].key_tokens[0][: len(front) + 5] == (
        *front, "r1c1", "r1c2", "r1c3", "r1c4", "r2c1"
    )  # fmt: skip
    picture = maps.picture_of(maps.maps[0].name)
    assert picture.grid == (4, 4)
    # what is shown is what the model saw
    normal = (picture.pixels / 255 - processor.image_mean) / processor.image_std
    seen = inputs["pixel_values"][0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(normal, seen, rtol=0, atol=1e-5)


def test_weights_lie_where_their_patches_do():
    picture = Picture(np.zeros((8, 12, 3), np.uint8), (2, 3), ("[CLS]",))
    assert picture.tokens[4:6] == ("r2c1", "r2c2")
    laid = picture.laid(np.arange(14).reshape(2, 7))
    np.testing.assert_array_equal(laid[1], [[8, 9, 10], [11, 12, 13]])


def test_saved_maps_keep_their_images(tmp_path):
    maps = seen_maps()
    maps.save(tmp_path / "maps.npz")
    picture = AttentionMaps.load(tmp_path / "maps.npz").picture_of("layer_1")
    assert (picture.grid, picture.tokens) == ((2, 3), maps.pictures[0].tokens)
    np.testing.assert_array_equal(picture.pixels, maps.pictures[0].pixels)


NETWORK = """
network Sees {
  input: (40, 12, 1)
  layers:
    PATCHES
    TransformerEncoder(num_heads=2, ff_dim=8)
}
"""


def network(patches):
    Path("sees.neural").write_text(NETWORK.replace("PATCHES", patches))
    done = run("visualize", "sees.neural", "--attention", "-b", "numpy", "--dpi", 20,
               "--image", "wide.png")  # fmt: skip
    assert done.exit_code == 0, done.exception
    return done.stderr


def test_without_settings_the_mean_is_said():
    said = network("PatchEmbedding(d_model=8, patch_size=4)")
    assert "resized to 40 × 12, mean and deviation taken as 0.5" in said
    assert "patches" not in said


def test_patches_of_one_s_own_are_numbered():
    said = network("Conv2D(8, 4, strides=4)\n    Reshape((-1, 8))")
    assert "the places of the patches are not known" in said


FILES = {
    "no.png": b"no image",
    "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "missing.png": None,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_image_is_told(name):
    if FILES[name]:
        Path(name).write_bytes(FILES[name])
    with pytest.raises(NeuralError, match="cannot read the image"):
        open_image(Path(name), 3)


def test_fine_colours_and_turned_photos():
    Image.fromarray(np.zeros((4, 4), np.uint16)).save("fine.png")
    with pytest.raises(NeuralError, match="more than 8 bits"):
        open_image(Path("fine.png"), 3)
    turned = Image.new("RGB", (8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save("turned.jpg", exif=exif)
    assert open_image(Path("turned.jpg"), 1).size == (4, 8)
    seen = Image.new("P", (2, 2))
    seen.save("clear.png", transparency=b"\0")
    assert open_image(Path("clear.png"), 3).mode == "RGB"


def test_images_exclude_what_they_are_not():
    Path("texts.neural").write_text(
        "network T {\n  input: (none,)\n  layers:\n    Embedding(9, 8)\n"
        "    TransformerEncoder(num_heads=2, ff_dim=8)\n}\n"
    )
    image = ("--image", "wide.png")
    np.save("x.npy", np.zeros(1))
    for options, words in [
        (("texts.neural", *image), "does not have exactly one input for images"),
        (
            ("texts.neural", *image, "--text", "a"),
            "does not have exactly one input for images",
        ),
        (("sees.neural", *image, "--text", "a"), "reads no text along with an image"),
        (("sees.neural", *image, "--data", "x.npy"), "together with an image"),
        (("sees.neural", "--text", "a"), "takes an image"),
        (("sees.neural", *image, "--tokens", "a"), "tokens are given"),
    ]:
        Path("sees.neural").write_text(
            NETWORK.replace("PATCHES", "PatchEmbedding(d_model=8, patch_size=4)")
        )
        done = run("visualize", *options, "--attention", "-b", "numpy")
        assert words in done.exception.diagnostics[0].message


# --- over the picture -----------------------------------------------------------------


def drawn(figure):
    """The cells of each panel that lie over the image, by the panel's title."""
    panels = [axes for axes in figure.axes if len(axes.images) == 2]
    titles = [text.get_text() for text in figure.texts]
    return [np.asarray(axes.images[1].get_array()) for axes in panels], titles


def test_the_class_token_of_each_head_is_laid_over_the_picture():
    maps = seen_maps()
    item = maps.item("layer_1")
    cells, titles = drawn(draw_item(maps.pictures[0], item))
    mean = item.weights.mean(0)
    np.testing.assert_allclose(cells[0], mean[0, 1:].reshape(2, 3), atol=1e-6)
    np.testing.assert_allclose(cells[2], item.weights[1, 0, 1:].reshape(2, 3))
    assert f"Head 1 ({item.weights[1, 0, 0]:.2f} on [CLS])" in titles


def test_rollout_and_networks_without_a_class_token():
    maps = seen_maps()
    # by hand: (A + I) / 2 of each layer, multiplied (Abnar and Zuidema, 2020)
    first, second = ((w[0].mean(0) + np.eye(7)) / 2 for w in maps.values())
    cells, _ = drawn(draw_rollout(maps.pictures[0], maps))
    np.testing.assert_allclose(cells[1].ravel(), (second @ first)[0, 1:], atol=1e-6)
    plain = seen_maps(before=())
    cells, titles = drawn(draw_item(plain.pictures[0], plain.item("layer_0")))
    mean = plain["layer_0"][0, 0].mean(axis=0)
    np.testing.assert_allclose(cells[1].ravel(), mean, atol=1e-6)
    assert "layer_0: what a patch, on average, attends to" in titles


def test_pictures_are_written_for_what_saw_an_image():
    maps = seen_maps()
    files = set(write_pictures(maps, "out", dpi=20))
    ends = {"layer_0", "layer_1", "rollout"}
    assert {f"attention_image_{end}.png" for end in ends} <= files
    blind = AttentionMaps(maps.maps)
    assert not any("image" in name for name in write_pictures(blind, "no", dpi=20))
