"""Sound from the command line: as transformers prepares it, labelled by time."""

import json
import logging
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.mel import SoundPreparation
from neural_attn.inputs.sounds import open_sound
from neural_attn.pipeline import Request, capture, explore
from neural_attn.pretrained.conversion.sound_settings import sound_settings

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.requires_torch, pytest.mark.requires_transformers]
logging.getLogger("transformers").setLevel(logging.ERROR)

RATE = 16_000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def chirp(count, rate=RATE):
    """A tone that rises, between -0.8 and 0.8."""
    times = np.arange(count) / rate
    return 0.8 * np.sin(2 * np.pi * (300 + 400 * times) * times)


def wav(raw, tag=1, channels=1, rate=RATE, bits=16, size=None, extra=b"", end=b""):
    """The bytes of a WAV file, as Microsoft describes them."""
    step = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * step, step, bits) + end
    body = b"WAVE" + extra + b"fmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(raw) if size is None else size) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


def shorts(samples):
    return np.round(np.asarray(samples) * 32_767).astype("<i2").tobytes()


def write(name="sound.wav", count=4_000, rate=RATE):
    Path(name).write_bytes(wav(shorts(chirp(count, rate)), rate=rate))
    return Path(name)


# --- samples --------------------------------------------------------------------------


def encoded(samples, kind):
    """Samples as WAV keeps them, and the format's tag and bits."""
    if kind.startswith("f"):
        bits = int(kind[1:])
        return samples.astype(f"<f{bits // 8}").tobytes(), 3, bits
    bits = int(kind[1:])
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i4")
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes(), 1, 8
    raw = whole[:, None].view(np.uint8)[:, : bits // 8]
    return raw.tobytes(), 1, bits


@pytest.mark.parametrize("kind", ["i8", "i16", "i24", "i32", "f32", "f64"])
def test_samples_of_every_kind_are_read(kind):
    raw, tag, bits = encoded(chirp(500), kind)
    Path("x.wav").write_bytes(wav(raw, tag, bits=bits))
    step = 1e-6 if kind.startswith("f") else 2.0 ** (2 - bits)
    np.testing.assert_allclose(open_sound(Path("x.wav"), RATE), chirp(500), atol=step)


def test_channels_are_averaged_and_other_parts_are_passed_over():
    both = np.stack([chirp(99), -chirp(99), 0.3 * np.ones(99)], axis=1)
    subformat = b"\x01\x00" + bytes.fromhex("000000001000800000aa00389b71")
    end = struct.pack("<HHI", 22, 16, 7) + subformat
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    Path("x.wav").write_bytes(
        wav(shorts(both), 0xFFFE, channels=3, extra=odd, end=end) + b"LIST...."
    )
    np.testing.assert_allclose(open_sound(Path("x.wav"), RATE), 0.1, atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_other_rates_become_the_one_that_is_wanted(rate):
    pytest.importorskip("scipy")
    found = open_sound(write(count=rate // 2, rate=rate), RATE)
    assert len(found) == 8_000
    inner = slice(200, -200)  # a filter knows nothing beyond the ends
    np.testing.assert_allclose(found[inner], chirp(8_000)[inner], atol=2e-3)


def test_without_scipy_the_rate_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(NeuralError, match="44100 samples a second, not 16000"):
        open_sound(write(rate=44_100), RATE)


SHORT = shorts(chirp(40))
FLOATS = np.array([0.1, np.nan], "<f4").tobytes()
ENDLESS = np.array([1e308, 1e308], "<f8").tobytes()
HOSTILE = {
    "no sound": (b"no sound", "not a WAV"),
    "another RIFF": (b"RIFF\0\0\0\0AVI LIST", "not a WAV"),
    "empty": (b"", "not a WAV"),
    "no samples": (wav(b""), "has no samples"),
    "no data": (b"RIFF\0\0\0\0WAVE", "has no samples"),
    "many parts": (b"RIFF\0\0\0\0WAVE" + 2_000 * b"LIST\0\0\0\0", "has no samples"),
    "no format": (b"RIFF\0\0\0\0WAVEdata\x02\0\0\0ab", "what its samples are"),
    "short format": (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", "what its samples are"),
    "cut": (wav(SHORT)[:-7], "ends after 73 of 80 bytes"),
    "more than there is": (wav(SHORT, size=2**20), "ends after 80 of 1,048,576"),
    "huge": (wav(SHORT, size=2**32 - 2), "ends after 80 of 4,294,967,294"),
    "half a sample": (wav(SHORT[:-1]), "not hold a whole number of samples"),
    "compressed": (wav(SHORT, tag=85), r"\(85, 16 bits\)"),
    "12 bits": (wav(SHORT, bits=12), r"\(1, 12 bits\)"),
    "no channels": (wav(SHORT, channels=0), "0 channels"),
    "no rate": (wav(SHORT, rate=0), "0 samples a second"),
    "fast": (wav(SHORT, rate=2**32 - 1 >> 1), "2,147,483,647 samples a second"),
    "no numbers": (wav(FLOATS, 3, bits=32), "are not sound"),
    "endless": (wav(ENDLESS, 3, channels=2, bits=64), "are not sound"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_sound_is_told(name):
    raw, words = HOSTILE[name]
    Path("x.wav").write_bytes(raw)
    with pytest.raises(NeuralError, match=words) as caught:
        open_sound(Path("x.wav"), RATE, 30.0)
    assert caught.value.diagnostics[0].code == "E0439"


def test_files_that_end_anywhere_are_no_files_or_too_long():
    whole = wav(SHORT)
    for end in range(len(whole)):
        Path("x.wav").write_bytes(whole[:end])
        with pytest.raises(NeuralError):
            open_sound(Path("x.wav"), RATE)
    with Path("large.wav").open("wb") as stream:  # of zeros that take no place
        stream.write(wav(b"", size=2**29))
        stream.truncate(2**29 + 44)
    told = {"large.wav": "536,870,912 bytes", "none.wav": "none.wav", ".": "regular"}
    for path, words in told.items():
        with pytest.raises(NeuralError, match=words):
            open_sound(Path(path), RATE)
    with pytest.raises(NeuralError, match=r"lasts 0\.25 s, more than 0\.2 s"):
        open_sound(write(), RATE, 0.2)


# --- frames ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bands", "seconds", "count"),
    [(80, 30, 70_000), (128, 2, 32_000), (4, 1, 3_000), (20, 1, 1)],
)
def test_frames_are_those_of_transformers(bands, seconds, count):
    noise = np.random.default_rng(0).normal(size=count)
    samples = chirp(count) * np.exp(-np.arange(count) / 9_000) + 1e-3 * noise
    theirs = transformers.WhisperFeatureExtractor(bands, chunk_length=seconds)
    theirs.save_pretrained(".")
    expected = theirs(samples, sampling_rate=RATE).input_features[0].T
    Path("x.json").write_text(sound_settings(Path()).text)
    settings = SoundPreparation.read(Path("x.json"))
    ours = settings.numbers(samples, 100 * seconds)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)


def test_silence_is_silence():
    np.testing.assert_array_equal(SoundPreparation().numbers(np.zeros(400), 5), -1.5)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"dither": 0.1}, "dither"),
        ({"padding_value": 1.0}, "padding_value"),
        ({"hop_length": 0}, "hop_length"),
        ({"n_fft": 1}, "2 or more"),
        ({"feature_extractor_type": "ClapFeatureExtractor"}, "Clap"),
    ],
)
def test_what_is_not_known_of_sound_is_refused_by_name(said, words):
    Path("preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(NeuralError, match=words):
        sound_settings(Path())


def test_where_it_is_said_how_sound_is_prepared():
    assert sound_settings(Path()) is None
    common = {"feature_extractor": {"feature_size": 128}}
    Path("processor_config.json").write_text(json.dumps(common))
    assert sound_settings(Path()) == SoundPreparation(128)
    Path("x.json").write_text('{"bands": 1e9}')
    with pytest.raises(NeuralError, match="how sound is prepared"):
        SoundPreparation.read(Path("x.json"))


# --- a model --------------------------------------------------------------------------

WORDS = "<|start|> <|plain|> <|end|> <|en|> the cat sat".split()


def save_tokenizer(where):
    """Words as tokens, between those that Whisper's have."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: at for at, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "the"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(WORDS[:4])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|start|> <|plain|> $A <|end|>",
        special_tokens=[(word, words[word]) for word in WORDS[:3]],
    )
    made.save(str(where))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """A random Whisper that takes half a second, in a folder."""
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(WORDS), d_model=12, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=20,
        decoder_ffn_dim=20, num_mel_bins=8, max_source_positions=25,
        max_target_positions=9, pad_token_id=0, bos_token_id=2, eos_token_id=2,
        decoder_start_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    where = tmp_path_factory.mktemp("sound") / "whisper"
    model.save_pretrained(where)
    transformers.WhisperFeatureExtractor(8).save_pretrained(where)
    save_tokenizer(where / "tokenizer.json")
    return where, model


def heard(where, sounds, texts=()):
    request = Request(where, backend="numpy", sounds=sounds, texts=texts)
    return capture(request)


def test_maps_of_a_sound_file_are_those_of_the_model(whisper):
    where, model = whisper
    maps = heard(where, [write()], ["the cat sat"]).captured.maps.maps
    extract = transformers.WhisperFeatureExtractor(8, chunk_length=1)
    sound = open_sound(Path("sound.wav"), RATE)
    # half a second, of which theirs cannot say that it is all
    frames = extract._np_extract_fbank_features([np.pad(sound, (0, 4_000))], "cpu")
    ids = torch.tensor([[0, 1, 4, 5, 6, 2]])
    with torch.no_grad():
        found = model(torch.tensor(frames), decoder_input_ids=ids,
                      output_attentions=True)  # fmt: skip
    pairs = zip(found.decoder_attentions, found.cross_attentions, strict=True)
    theirs = [*found.encoder_attentions, *(one for pair in pairs for one in pair)]
    for one, expected in zip(maps, theirs, strict=True):
        np.testing.assert_allclose(one.weights, expected, rtol=0, atol=1e-5)
    encoder, decoder, cross = maps[:3]
    times = encoder.key_tokens[0]
    assert (times[:3], times[-1]) == (("0.00s", "0.02s", "0.04s"), "0.48s")
    assert cross.key_tokens == encoder.query_tokens == encoder.key_tokens
    words = "<|start|> <|plain|> the cat sat <|end|>".split()
    assert cross.query_tokens == decoder.key_tokens == (tuple(words),)
    assert Path("attention_outputs/whisper.audio.json").is_file()


def test_what_the_decoder_reads(whisper):
    where, _ = whisper
    batch = heard(where, [write()])
    assert [*batch.prepared.inputs["target"][0]] == [0, 1]
    said = " ".join(batch.notes)
    assert "reads only its first 2 tokens" in said
    assert "silence was added after the sound, up to 0.5 s" in said
    # a text with its own start, and two sounds
    sounds = [write(), write("other.wav", 8_000)]
    batch = heard(where, sounds, ["<|start|> <|en|> cat", "<|start|> <|en|> sat"])
    assert batch.prepared.inputs["target"].tolist() == [[0, 3, 5, 2], [0, 3, 6, 2]]
    alone = heard(where, sounds[1:], ["<|start|> <|en|> sat"])
    for both, one in zip(batch.captured.maps.maps, alone.captured.maps.maps,
                         strict=True):  # fmt: skip
        np.testing.assert_allclose(both.weights[1:], one.weights, atol=1e-6)


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_links_are_found_in_sounds(whisper):
    line = {"links": [[2, [0, 1, 2]], [3, [3, 4]]], "candidates": [*range(12)]}
    Path("links.jsonl").write_text(2 * (json.dumps(line) + "\n"))
    two = [one for text in ("the cat", "the cat sat")
           for one in ("--audio", write(), "--text", text)]  # fmt: skip
    done = run("analyze", whisper[0], "-b", "numpy", *two, "--links", "links.jsonl",
               "--json", "--batch-size", 1)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert {one["links"] for one in json.loads(done.stdout)["links"]} == {4}


def test_a_network_of_one_s_own_hears_too():
    Path("hears.neural").write_text(
        "network Hears {\n  input: (none, 12)\n  layers:\n"
        "    TransformerEncoder(num_heads=2, ff_dim=8)\n}\n"
    )
    maps = explore("hears.neural", write(count=800), backend="numpy").maps
    assert maps.maps[0].key_tokens[0][:3] == ("0.00s", "0.01s", "0.02s")
    assert len(maps.maps[0].key_tokens[0]) == 5
    done = run("visualize", "hears.neural", "--attention", "-b", "numpy", "--dpi", 20,
               "--audio", "sound.wav")  # fmt: skip
    assert "done as in Whisper, with 12 mel bands, at 16,000 Hz" in done.stderr


def test_sounds_exclude_what_they_are_not(whisper):
    Path("texts.neural").write_text(
        "network T {\n  input: (none,)\n  layers:\n    Embedding(9, 8)\n"
        "    TransformerEncoder(num_heads=2, ff_dim=8)\n}\n"
    )
    Path("hears.neural").write_text(
        "network Hears {\n  input: (none, 12)\n  layers:\n"
        "    TransformerEncoder(num_heads=2, ff_dim=8)\n}\n"
    )
    np.save("x.npy", np.zeros(1))
    where, audio = whisper[0], ("--audio", write())
    longer = ("--audio", write("longer.wav", 9_000))
    for options, words in [
        (("texts.neural", *audio), "does not have exactly one input for sound"),
        (("texts.neural", *audio, "--image", "a.png"), "images and sounds"),
        (("hears.neural", *audio, "--text", "a"), "reads no text along with a sound"),
        (("hears.neural", *audio, "--data", "x.npy"), "together with a sound"),
        (("hears.neural", *audio, *longer), "of different lengths"),
        ((where, "--text", "a"), "takes numbers along with a text"),
        ((where, *audio, "--tokens", "a"), "tokens are given"),
        ((where, *longer, "--text", "a"), "lasts 0.56 s, more than 0.5 s"),
        ((where, *audio, *audio, "--pair", "the", "cat"), "examples"),
    ]:
        done = run("visualize", *options, "--attention", "-b", "numpy")
        assert words in done.exception.diagnostics[0].message


def test_texts_beside_sounds_are_padded(whisper):
    where, texts = whisper[0], ["the", "the cat"]
    both = heard(where, 2 * [write()], texts).captured.maps
    for number, text in enumerate(texts):
        one = heard(where, [write()], [text]).captured.maps
        for name in one:
            own, alone = both.item(name, number), one.item(name, 0)
            np.testing.assert_allclose(own.weights, alone.weights, rtol=0, atol=1e-6)
            assert own.query_tokens == alone.query_tokens
            assert own.key_tokens == alone.key_tokens
