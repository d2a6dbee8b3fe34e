"""`neural generate`: what is written, what each token cost, and what it attended to."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import neural_attn
from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.models.generated import load_model
from neural_attn.models.weights import initial
from neural_attn.models.writing import hide_padding
from neural_attn.pipeline import Request, capture

tokenizers = pytest.importorskip("tokenizers")

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
SOURCE = [*SPECIAL, *"안녕 하 세요 저 는 학생 입니다 날씨 가 좋다".split()]
TARGET = [*SPECIAL, *"hello ! I am a student the weather is fine to day".split()]
TRANSLATOR = f"""
network Translator {{
  input: {{ source: (none,) target: (none,) }}
  layers:
    source: {{
      Embedding({len(SOURCE)}, 16, mask_zero=true)
      ENCODER
    }}
    target: {{
      Embedding({len(TARGET)}, 16)
      DECODER
      Output({len(TARGET)})
    }}
}}
"""
NETWORKS = {
    "transformer": TRANSLATOR.replace("ENCODER", "TransformerEncoder(2, 32)").replace(
        "DECODER", "PositionalEncoding() TransformerDecoder(2, 32) * 2"
    ),
    "bahdanau": TRANSLATOR.replace("ENCODER", "LSTM(8, return_sequences=true)").replace(
        "DECODER", "BahdanauDecoder(12, memory=source)"
    ),
    "language": f"""
    network Language {{
      input: (none,)
      layers:
        Embedding({len(TARGET)}, 16)
        PositionalEncoding(12, "learned")
        TransformerDecoder(2, 32)
        Output({len(TARGET)}, activation="softmax")
    }}""",
}
SEEDS = {"transformer": 7, "bahdanau": 9, "language": 9}  # texts that vary
TEXTS = {
    "transformer": ["안녕 하 세요", "저 는 학생 입니다", "날씨 가 좋다"],
    "bahdanau": ["안녕 하 세요", "저 는 학생 입니다", "날씨 가 좋다"],
    "language": ["hello !", "I am a", "the weather"],
}


def save_tokenizer(path, words, special=("<pad>", "<s>", "</s>")):
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(special))
    made.save(str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Networks of both kinds, with tokenizers and weights far from their start."""
    from safetensors.numpy import save_file

    made = tmp_path_factory.mktemp("networks")
    save_tokenizer(made / "source.tokenizer.json", SOURCE)
    save_tokenizer(made / "target.tokenizer.json", TARGET)
    for name, text in NETWORKS.items():
        random = np.random.default_rng(SEEDS[name])
        (made / f"{name}.neural").write_text(text, "utf-8")
        start = initial(check_text(text)[0][0])
        noise = {n: 0.5 * random.normal(size=w.shape) for n, w in start.items()}
        weights = {n: (w + noise[n]).astype("f4") for n, w in start.items()}
        save_file(weights, made / f"{name}.safetensors")
    return made


_loaded = {}


def write(folder, name, backend="numpy", texts=None, **options):
    """`generate` of a network that is loaded once for all tests."""
    key = folder, name, backend
    if key not in _loaded:
        weights = folder / f"{name}.safetensors"
        _loaded[key] = load_model(folder / f"{name}.neural", backend, weights)
    sides = {side: folder / f"{side}.tokenizer.json" for side in ("source", "target")}
    given = sides["target"] if name == "language" else sides
    options = {"max_new_tokens": 7, "tokenizer": given} | options
    return neural_attn.generate(_loaded[key], texts or TEXTS[name], **options)


@pytest.mark.thorough("tensorflow-1", "pytorch-1")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("beams", [1, 3])
def test_all_backends_write_the_same_for_the_same_reasons(name, beams, backend, folder):
    ours = write(folder, name, backend, beams=beams, attention=True)
    referee = write(folder, name, "numpy", beams=beams, attention=True)
    assert [w.ids for w in ours.written] == [w.ids for w in referee.written]
    assert len({tuple(w.ids) for w in ours.written}) > 1  # they say something
    for one, other in zip(ours.written, referee.written, strict=True):
        for step, expected in zip(one.steps, other.steps, strict=True):
            assert step.chosen.probability == pytest.approx(
                expected.chosen.probability, abs=1e-5
            )
            assert [r.probability for r in step.rivals] == pytest.approx(
                [r.probability for r in expected.rivals], abs=1e-5
            )
    for maps, expected in zip(ours.maps, referee.maps, strict=True):
        assert list(maps) == list(expected)
        for key in maps:
            np.testing.assert_allclose(maps[key], expected[key], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_texts_together_are_what_each_is_alone(name, folder):
    together = write(folder, name, beams=2).written
    alone = [write(folder, name, texts=[t], beams=2).written[0] for t in TEXTS[name]]
    assert [w.ids for w in together] == [w.ids for w in alone]
    assert [w.source for w in together] == TEXTS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_greedy_takes_the_likeliest_and_probabilities_are_shares(name, folder):
    for one in write(folder, name).written:
        for step in one.steps:
            assert step.chosen.probability >= step.rivals[0].probability
            shares = [r.probability for r in step.rivals]
            assert shares == sorted(shares, reverse=True)
            assert len(shares) == 5
            assert step.chosen.id not in {r.id for r in step.rivals}
    # what each token costs in the middle of a sampled text adds up over all ids
    steps = write(folder, name, temperature=2.0, seed=3).written[0].steps
    assert all(0 < step.chosen.probability < 1 for step in steps)
    assert all(
        step.chosen.probability + sum(r.probability for r in step.rivals) < 1 + 1e-6
        for step in steps
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_the_whole_are_those_of_each_step(name, folder):
    """Teacher forcing: the row of a token is what it was when it was written."""
    made = write(folder, name, attention=True)
    one, maps = made.written[0], made.maps[0]
    model = _loaded[folder, name, "numpy"]
    for count in range(1, len(one.ids) + 1):
        fed = np.array([[*one.given_ids, *one.ids[: count - 1]]])
        inputs = {"source": np.array([one.source_ids]), "target": fed}
        _, found = model.model.run_with_attention(fed if name == "language" else inputs)
        for key, weights in found.items():
            row = weights[0, :, -1]
            whole = maps[key]
            if maps.get_map(key).kind == "encoder_self":
                continue
            at = one.first + count - 1
            width = row.shape[-1]
            np.testing.assert_allclose(whole[0, :, at, :width], row, atol=1e-5)
            assert (whole[0, :, at, width:] == 0).all()


@pytest.mark.parametrize("name", ["transformer", "language"])
def test_rows_are_told_by_both_tokens(name, folder):
    made = write(folder, name, attention=True)
    one, maps = made.written[0], made.maps[0]
    assert maps.written == [one]
    assert one.predicted[one.first :] == one.tokens
    (decoder,) = [m for m in maps.maps if m.kind == "decoder_self"][:1]
    assert list(decoder.query_tokens[0]) == one.fed
    assert one.fed[: len(one.given_tokens)] == list(one.given_tokens)


def test_a_given_target_is_read_token_by_token(folder):
    pair = ("안녕 하 세요", "hello !")
    (one,) = write(folder, "transformer", texts=[pair], attention=True).written
    assert one.forced
    assert one.tokens == ["hello", "!", "</s>"]
    assert (one.text, one.fed) == ("hello !", ["<s>", "hello", "!"])
    # a network that writes the same by itself finds it as likely
    own = write(folder, "transformer", texts=[pair[0]]).written[0]
    again = write(folder, "transformer", texts=[(pair[0], own.text)]).written[0]
    if own.tokens[-1] == "</s>" and len(again.ids) == len(own.ids):
        assert again.steps == own.steps


def test_the_end_ends_a_text(folder):
    (free,) = write(folder, "language", texts=["hello !"], end="<pad>").written
    third = free.tokens[2]
    (ended,) = write(folder, "language", texts=["hello !"], end=third).written
    assert ended.tokens == free.tokens[: free.tokens.index(third) + 1]
    assert third not in ended.text.split()


@pytest.mark.thorough("tensorflow")
def test_sampling_is_that_of_its_seed_and_of_the_top_k(backend, folder):
    def draw(**options):
        made = write(folder, "language", backend, temperature=3.0, **options)
        return [w.ids for w in made.written]

    assert draw(seed=1) == draw(seed=1)
    assert any(draw(seed=1) != draw(seed=n) for n in (2, 3))
    greedy = [w.ids for w in write(folder, "language", backend).written]
    assert draw(top_k=1, seed=4) == greedy
    for one in write(
        folder, "language", backend, temperature=3.0, top_k=2, seed=6
    ).written:
        for step in one.steps:
            more = [r for r in step.rivals if r.probability > step.chosen.probability]
            assert len(more) < 2


def test_the_network_ends_where_its_positions_do(folder):
    made = write(folder, "language", max_new_tokens=50, end="<pad>")
    assert {len(w.fed) for w in made.written} == {12}
    assert any("the network takes 12 tokens" in note for note in made.notes)
    empty = write(folder, "language", texts=[""]).written[0]
    assert empty.given_tokens == ("<s>",)


def test_rows_behind_the_end_are_hidden(folder):
    made = write(folder, "transformer", attention=True)
    maps = made.maps[0]
    short = made.written[0]
    wide = maps.get_map("transformer_decoder_0.cross_attention")
    both = type(wide)(
        wide.name, np.concatenate([wide.weights] * 2), wide.kind, wide.mask
    )
    cut = replace(short, steps=short.steps[:3])
    hidden = hide_padding(both, [short, cut])
    assert (hidden.weights[0] == wide.weights[0]).all()
    assert (hidden.weights[1, :, 3:] == 0).all()
    np.testing.assert_array_equal(hidden.weights[1, :, :3], wide.weights[0, :, :3])


LETTERS = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]


@pytest.mark.requires_torch
@pytest.mark.parametrize("kind", ["t5", "bart", "gpt2"])
def test_a_folder_writes_what_transformers_writes(kind, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, processors

    size, own = len(LETTERS), {"eos_token_id": 1, "pad_token_id": 0}
    torch.manual_seed(1)
    if kind == "t5":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        config = transformers.T5Config(
            vocab_size=size, decoder_start_token_id=0, **sizes
        )
        model = transformers.T5ForConditionalGeneration(config).eval()
    elif kind == "bart":
        halves = ("encoder", "decoder")
        sizes = {f"{half}_layers": 1 for half in halves}
        sizes |= {f"{half}_attention_heads": 2 for half in halves}
        sizes |= {f"{half}_ffn_dim": 32 for half in halves}
        config = transformers.BartConfig(
            vocab_size=size, d_model=16, max_position_embeddings=32, bos_token_id=3,
            decoder_start_token_id=1, forced_eos_token_id=None, **sizes, **own,
        )  # fmt: skip
        model = transformers.BartForConditionalGeneration(config).eval()
    else:
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
        config = transformers.GPT2Config(
            vocab_size=size, bos_token_id=1, **sizes, **own
        )
        model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(tmp_path / kind)
    save_tokenizer(tmp_path / kind / "tokenizer.json", LETTERS, LETTERS[:2])
    made = Tokenizer.from_file(str(tmp_path / kind / "tokenizer.json"))
    if kind != "gpt2":
        made.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 1)]
        )
        made.save(str(tmp_path / kind / "tokenizer.json"))
    for text, beams in (("a b c", 1), ("x y z w q", 3)):
        ids = torch.tensor([made.encode(text).ids])
        theirs = model.generate(
            ids, max_new_tokens=8, num_beams=beams, do_sample=False, **own
        )
        found = neural_attn.generate(
            tmp_path / kind, text, beams=beams, backend="numpy",
            max_new_tokens=8, output_dir=tmp_path / "out",
        ).written[0]  # fmt: skip
        assert [*found.given_ids, *found.ids] == theirs[0].tolist()
    # the file that was imported knows it too, without the folder
    again = neural_attn.generate(
        tmp_path / "out" / f"{kind}.neural", text, beams=beams, backend="numpy",
        max_new_tokens=8,
    ).written[0]  # fmt: skip
    assert (again.given_ids, again.ids) == (found.given_ids, found.ids)
    if kind != "gpt2":
        # the network knows the padding of a source by the id of its own
        file = tmp_path / "out" / f"{kind}.neural"
        beside = file.with_suffix(".safetensors")
        texts = ["a b c", "x y z w q"]
        assert_a_batch_is_what_each_is_alone(
            Request(file, backend="numpy", checkpoint=beside, texts=texts)
        )


# --- the command ----------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(cli, ["generate", *map(str, arguments)])


def test_the_command_prints_texts_or_json(folder, tmp_path):
    file = folder / "transformer.neural"
    given = [file, "--input", "안녕 하 세요", "-b", "numpy", "--max-new-tokens", 5]
    done = call(*given)
    assert done.exit_code == 0, done.output
    assert f"the weights are those beside the file: {folder}" in done.stderr
    assert done.stdout.startswith("안녕 하 세요 => ")
    assert "the least likely: " in done.stdout
    found = json.loads(call(*given, "--json").stdout)
    (one,) = found["written"]
    assert found["trained"]
    assert found["texts"] == [one["text"]]
    assert len(one["tokens"]) == len(one["ids"]) == len(one["steps"])
    assert len(one["steps"][0]["rivals"]) == 5
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_repeated_is_another_text(folder):
    given = ["--input", "안녕 하", "--text", "저 는", "-b", "numpy", "--json"]
    done = call(folder / "transformer.neural", *given, "--max-new-tokens", 2)
    sources = [one["source"] for one in json.loads(done.stdout)["written"]]
    assert sources == ["안녕 하", "저 는"]


def test_the_command_keeps_attention(folder, tmp_path):
    (tmp_path / "texts.txt").write_text("안녕 하 세요\n\n저 는 학생 입니다\n", "utf-8")
    done = call(
        folder / "transformer.neural",
        "--file",
        tmp_path / "texts.txt",
        *("-b", "numpy", "--attention", "--max-new-tokens", 4, "-o", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    names = {p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*")}
    assert {str(n) for n in names} == {
        "generation.json",
        *(f"example_{k}/attention_explorer.html" for k in (1, 2)),
        *(f"example_{k}/attention_maps.npz" for k in (1, 2)),
    }
    kept = neural_attn.AttentionMaps.load(tmp_path / "out/example_1/attention_maps.npz")
    assert len(kept) == 5


def test_random_weights_are_said_aloud(folder, tmp_path):
    for name in (
        "transformer.neural",
        "source.tokenizer.json",
        "target.tokenizer.json",
    ):
        (tmp_path / name).write_text((folder / name).read_text("utf-8"), "utf-8")
    file = tmp_path / "transformer.neural"
    done = call(file, "--input", "안녕", "-b", "numpy", "--max-new-tokens", 1)
    assert "the weights are random, so what is written means nothing" in done.stderr


ENCODER = """network Encoder {
  input: (none,)
  layers: Embedding(9, 8) TransformerEncoder(2, 8) Output(9)
}"""
WRONG = {
    "an encoder": ({"text": ENCODER}, "does not write text"),
    "no source": ({"texts": [""]}, "text 1 is empty"),
    "blank": ({"texts": ["안녕", "  "]}, "text 2 is empty"),
    "no target": ({"texts": [("안녕", " ")]}, "text 1 is empty"),
    "another tokenizer": (
        {"tokenizer": "target.tokenizer.json"},
        "the source tokenizer has 16 tokens, but the network has 14 ids for `source`",
    ),
    "another checkpoint": ({"checkpoint": "bahdanau.safetensors"}, "has no tensor"),
    "no start": ({"start": "[GO]"}, r"has no token \[GO\]"),
    "no end": ({"end": "99"}, "has no token 99"),
    "both ways": ({"beams": 2, "temperature": 1.0}, "give one"),
    "cold top-k": ({"top_k": 2}, "give a temperature too"),
    "none": ({"texts": []}, "at least one text"),
    "a pair to go on with": (
        {
            "name": "language",
            "texts": [("hello", "!")],
            "tokenizer": "target.tokenizer.json",
        },
        "text 1 is a pair",
    ),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_written_is_said(change, said, folder, tmp_path):
    change = {"name": "transformer", "texts": ["안녕"], **change}
    file = folder / f"{change.pop('name')}.neural"
    if "text" in change:
        file = tmp_path / "n.neural"
        file.write_text(change.pop("text"), "utf-8")
    texts = change.pop("texts")
    for name in ("tokenizer", "checkpoint"):
        if name in change:
            change[name] = folder / change[name]
    with pytest.raises(NeuralError, match=said):
        neural_attn.generate(file, texts, backend="numpy", **change)


def test_a_network_without_its_tokenizer(folder, tmp_path):
    file = tmp_path / "alone.neural"
    file.write_text(NETWORKS["transformer"], "utf-8")
    said = r"no tokenizer for the target of alone.neural(.|\n)*--target-tokenizer"
    with pytest.raises(NeuralError, match=said):
        neural_attn.generate(file, "안녕", backend="numpy")
    assert call(file).exit_code == 2
    with pytest.raises(TypeError, match="has no option 'beam'"):
        neural_attn.generate(file, "안녕", beam=2)


# --- pictures -------------------------------------------------------------------------


def visualize(folder, tmp_path, *arguments):
    """`neural visualize --attention` of the transformer, and its pictures by name."""
    weights = folder / "transformer.safetensors"
    done = CliRunner().invoke(
        cli,
        [
            *("visualize", str(folder / "transformer.neural"), "--attention"),
            *("-b", "numpy", "--checkpoint", str(weights), "-o", str(tmp_path / "out")),
            *("--dpi", "40", "-f", "svg", *arguments),
        ],
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    found = (tmp_path / "out").rglob("*.svg")
    return done, {str(path.relative_to(tmp_path / "out")): path for path in found}


def words_in(svg):
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.parse(svg).getroot()
    return [
        "".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("}text")
    ]


PAIR = ("저 는 학생 입니다", "I am a student !")


def test_a_target_that_is_given_names_both_tokens_of_a_row(folder, tmp_path):
    done, files = visualize(folder, tmp_path, "--pair", *PAIR, "--max-trg", "4")
    assert set(files) == {
        "attention_heatmap.svg",
        "attention_heads_transformer_encoder_0.svg",
        "attention_example_1.svg",
        *(
            f"{name}_layer{n}.svg"
            for n in (0, 1)
            for name in (
                "cross_attention",
                "cross_attention_multihead",
                "self_attention",
            )
        ),
        *(
            f"attention_heads_transformer_decoder_{n}.self_attention.svg"
            for n in (0, 1)
        ),
    }
    words = words_in(files["attention_example_1.svg"])
    assert {"<s>→I", "I→am", "am→a", "a→student"} < set(words)
    assert "student→!" not in words
    assert set(PAIR[0].split()) < set(words)
    assert "Query: token fed→token predicted" in words
    assert "cross-attention; the first 4 of 6 rows" in words
    assert "pictures show 4 of up to 6 target tokens (--max-trg)" in done.stderr


@pytest.mark.parametrize(
    ("row", "first", "title"),
    [
        ("fed", "<s>", "Query: the token that was fed"),
        ("predicted", "</s>", "Query: the token that it predicts"),
    ],
)
def test_a_row_is_named_by_the_token_that_is_asked_for(
    row, first, title, folder, tmp_path
):
    arguments = ("--pair", *PAIR, "--row", row, "--layer", "-1")
    _, files = visualize(folder, tmp_path, *arguments)
    words = words_in(files["cross_attention_layer1.svg"])
    other = {"<s>", "</s>"} - {first}
    assert first in words
    assert not other & set(words)
    assert title in words


def test_a_network_writes_the_target_itself(folder, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS["transformer"]), "utf-8")
    done, files = visualize(
        folder, tmp_path, "--file", str(tmp_path / "texts.txt"), "--layer", "1"
    )
    assert {f"attention_example_{k}.svg" for k in (1, 2, 3)} < set(files)
    assert "example_3/self_attention_layer0.svg" in files
    assert "the network wrote the target: greedily" in done.stderr
    written = write(folder, "transformer", max_new_tokens=50).written
    for number, one in enumerate(written, 1):
        rows = dict.fromkeys(
            f"{f}→{p}" for f, p in zip(one.fed, one.predicted, strict=True)
        )
        words = words_in(files[f"attention_example_{number}.svg"])
        assert set(rows) <= set(words)
        assert sum("→" in word for word in words) == len(one.fed) + 1  # and the title


def test_batches_that_are_padded_show_what_each_text_shows_alone(folder):
    """The explorer and the pictures are of one batch: its padding changes nothing."""
    sides = {side: folder / f"{side}.tokenizer.json" for side in ("source", "target")}
    request = Request(
        folder / "transformer.neural",
        backend="numpy",
        checkpoint=folder / "transformer.safetensors",
        tokenizer=sides,
        texts=[*TEXTS["transformer"], PAIR],
    )
    assert_a_batch_is_what_each_is_alone(request)


def assert_a_batch_is_what_each_is_alone(request):
    together = capture(request).captured.maps
    for at, text in enumerate(request.texts):
        alone = capture(replace(request, texts=[text])).captured.maps
        assert alone.written[0].ids == together.written[at].ids
        for name in together:
            one, other = together.item(name, at), alone.item(name)
            assert one.query_tokens == other.query_tokens
            np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)


def test_values_stand_where_they_fit_and_a_size_is_kept(folder, tmp_path):
    from neural_attn.figures.heatmap import plot_heatmap

    weights = np.random.default_rng(0).dirichlet(np.ones(30), 20)
    small = plot_heatmap(np.tile(weights, (4, 4)), annotate=True)
    assert "no values: the cells have no room for them" in [
        t.get_text() for t in small.texts
    ]
    large = plot_heatmap(weights, annotate=True, figsize=(14, 9))
    assert len(large.axes[0].texts) == weights.size
    assert large.get_size_inches() == pytest.approx((14, 9), abs=0.02)
    assert not plot_heatmap(weights[:3, :3], annotate=False).axes[0].texts
    arguments = ("--pair", *PAIR, "--figsize", "9", "6", "--layer", "1")
    counts = []
    for more in ((), ("--annotate",)):
        _, files = visualize(folder, tmp_path, *arguments, *more)
        words = words_in(files["cross_attention_multihead_layer0.svg"])
        counts.append(sum(len(word) == 4 and word[1] == "." for word in words))
    assert counts[1] - counts[0] == 2 * 6 * 4  # the bar names some weights, too


def test_an_alignment_is_drawn_as_the_notebook_draws_it(tmp_path):
    from neural_attn import AttentionVisualizer

    weights = np.random.default_rng(0).dirichlet(np.ones(40), 35)
    src, trg = [[f"{side}{n}" for n in range(40)] for side in "st"]
    figure = AttentionVisualizer().plot_attention(
        weights, src, trg, title="Example 1", save_path=tmp_path / "one.svg"
    )
    (axes,) = figure.axes[:1]
    assert axes.images[0].get_array().shape == (30, 30)
    words = words_in(tmp_path / "one.svg")
    assert {"s0", "t0", "Example 1", "Target (written)"} < set(words)
    assert "the first 30 of 35 target tokens; the first 30 of 40 source tokens" in words
    with pytest.raises(ValueError, match=r"not \[target, source\]"):
        AttentionVisualizer().plot_attention(weights[None], src, trg)


def test_one_text_has_one_tokenizer_and_notes_are_said_once(folder):
    from neural_attn.models.generated import GeneratedModel

    sides = {side: folder / f"{side}.tokenizer.json" for side in ("source", "target")}
    language = GeneratedModel.open(
        folder / "language.neural", backend="numpy", tokenizer=sides
    )
    with pytest.raises(NeuralError, match="reads no other text"):
        language.encode(["hello"])
    model = GeneratedModel.open(
        folder / "transformer.neural", backend="numpy", tokenizer=sides
    )
    first, second = (model.encode([PAIR, "안녕"]) for _ in range(2))
    assert (first.cut, second.cut) == ([], [])
    assert len(first.notes) == len(second.notes) == 1
    assert model.encode([PAIR]).notes == []
    found = neural_attn.analyze(model, ["안녕", "저 는"], probe=False)
    assert [note for note in found.notes if "wrote the target: greedily" in note]


def test_rows_of_what_was_not_written_have_no_other_name(folder, tmp_path):
    data = tmp_path / "ids.npz"
    np.savez(data, source=np.array([[4, 5]]), target=np.array([[2, 4, 5]]))
    with pytest.raises(NeuralError, match="`row` has no effect"):
        visualize(folder, tmp_path, "--data", str(data), "--row", "fed")
