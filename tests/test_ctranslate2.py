"""A Whisper in CTranslate2's file is the Whisper of transformers; hostile files."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file

from neural_attn.diagnostics.errors import NeuralError
from neural_attn.pretrained import import_model

DTYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
SCALARS = {
    "decoder/activation": 3, "decoder/alibi": 0, "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0, "decoder/start_from_zero_embedding": 0,
}  # fmt: skip


def text(name):
    raw = name.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def variable(name, values, dtype=None, size=None):
    values = np.asarray(values)
    number = DTYPES[str(values.dtype)] if dtype is None else dtype
    head = text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    size = values.nbytes if size is None else size
    return head + struct.pack("<BI", number, size) + values.tobytes()


def file_of(variables, aliases=(), version=6, spec="WhisperSpec", count=None):
    """The bytes of a model.bin, as python/ctranslate2/specs/model_spec.py writes it."""
    parts = [struct.pack("<I", version), text(spec), struct.pack("<I", 3)]
    parts.append(struct.pack("<I", len(variables) if count is None else count))
    parts += [one if isinstance(one, bytes) else variable(*one) for one in variables]
    parts.append(struct.pack("<I", len(aliases)))
    return b"".join([*parts, *(text(one) + text(other) for one, other in aliases)])


def as_ctranslate2(state, layers, heads):
    """Tensors of transformers under the names, and in the order, of CTranslate2."""
    found = {name: np.int8(value) for name, value in SCALARS.items()}
    found |= {f"{side}/num_heads": np.int16(heads) for side in ("encoder", "decoder")}
    found["decoder/alignment_heads"] = np.int16(1)

    def put(target, *names, norm=False):
        for ours, kind in (("gamma", "weight"), ("beta", "bias")) if norm else (
            ("weight", "weight"), ("bias", "bias")
        ):  # fmt: skip
            parts = [state.get(f"model.{name}.{kind}") for name in names]
            known = next(one for one in parts if one is not None)
            parts = [np.zeros_like(known) if one is None else one for one in parts]
            found[f"{target}/{ours}"] = np.concatenate(parts)

    for side in ("encoder", "decoder"):
        for number in range(layers):
            theirs, ours = f"{side}.layers.{number}", f"{side}/layer_{number}"
            own = f"{theirs}.self_attn"
            put(f"{ours}/self_attention/linear_0",
                *(f"{own}.{one}_proj" for one in "qkv"))  # fmt: skip
            put(f"{ours}/self_attention/linear_1", f"{own}.out_proj")
            put(f"{ours}/self_attention/layer_norm", f"{own}_layer_norm", norm=True)
            put(f"{ours}/ffn/linear_0", f"{theirs}.fc1")
            put(f"{ours}/ffn/linear_1", f"{theirs}.fc2")
            put(f"{ours}/ffn/layer_norm", f"{theirs}.final_layer_norm", norm=True)
            if side == "decoder":
                other = f"{theirs}.encoder_attn"
                put(f"{ours}/attention/linear_0", f"{other}.q_proj")
                put(f"{ours}/attention/linear_1", f"{other}.k_proj", f"{other}.v_proj")
                put(f"{ours}/attention/linear_2", f"{other}.out_proj")
                put(f"{ours}/attention/layer_norm", f"{other}_layer_norm", norm=True)
        put(f"{side}/layer_norm", f"{side}.layer_norm", norm=True)
        places = state[f"model.{side}.embed_positions.weight"]
        found[f"{side}/position_encodings/encodings"] = places
    put("encoder/conv1", "encoder.conv1")
    put("encoder/conv2", "encoder.conv2")
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    return sorted(found.items())


def random_whisper():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=37, d_model=12, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=20,
        decoder_ffn_dim=20, num_mel_bins=4, max_source_positions=7,
        max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    return model


def save_ctranslate2(model, folder):
    """A Whisper in a folder as CTranslate2 keeps it; the variables, and those tied."""
    folder.mkdir()
    (folder / "config.json").write_text('{"alignment_heads": [[1, 0]]}')
    state = {name: one.numpy() for name, one in model.state_dict().items()}
    variables = as_ctranslate2(state, 2, 3)
    tied = [("decoder/projection/weight", "decoder/embeddings/weight")]
    (folder / "model.bin").write_bytes(file_of(variables, tied))
    return variables, tied


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One random Whisper, as transformers and as CTranslate2 keep it."""
    folder, model = tmp_path_factory.mktemp("whisper"), random_whisper()
    model.save_pretrained(folder / "theirs")
    return folder, *save_ctranslate2(model, folder / "ours")


def test_it_is_the_whisper_of_transformers(folders, tmp_path):
    """Same network, same weights, to the last bit."""
    folder, *_ = folders
    for name in ("ours", "theirs"):
        import_model(folder / name, tmp_path / name / "net.neural", name="Whisper")
    ours, theirs = (
        (tmp_path / name / "net.neural").read_text("utf-8").partition("\n")[2]
        for name in ("ours", "theirs")
    )
    assert ours == theirs
    ours, theirs = (
        load_file(tmp_path / name / "net.safetensors") for name in ("ours", "theirs")
    )
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def edited(folders, tmp_path, change):
    """A folder whose model.bin is what `change` makes of the variables."""
    _, variables, tied = folders
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "model.bin").write_bytes(change(dict(variables), tied))
    return tmp_path


def refused(folder):
    with pytest.raises(NeuralError) as caught:
        import_model(folder, folder / "out.neural")
    assert not (folder / "out.neural").exists()
    return caught.value.diagnostics[0]


FIRST = "decoder/embeddings/weight"
HUGE = text("x") + struct.pack("<BII", 2, 2**31, 2**31) + struct.pack("<BI", 0, 4)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda v, t: b"", "E0627", "ends too early"),
        (lambda v, t: file_of([*v.items()], t, version=7), "E0624", "version 7, not 6"),
        (lambda v, t: file_of([*v.items()], t, spec="Marian"), "E0624", "holds a Mari"),
        (lambda v, t: file_of([*v.items()], t) + b"x", "E0627", "1 bytes follow"),
        (lambda v, t: file_of([], count=2**31), "E0627", "2147483648 variables"),
        (lambda v, t: file_of([HUGE]), "E0627", "does not take 4 bytes"),
        (lambda v, t: file_of([text("x") + b"\xff"]), "E0627", "has 255 axes"),
        (lambda v, t: file_of([variable("x", np.ones(2), 9)]), "E0627", "of type 9"),
        (lambda v, t: file_of([b"\x01\x00x"]), "E0627", "does not end"),
        (lambda v, t: file_of([b"\x02\x00\xff\x00"]), "E0627", "is not text"),
        (lambda v, t: file_of([b"\x00\x00"]), "E0627", "does not end"),
        (lambda v, t: file_of([*v.items(), (FIRST, v[FIRST])]), "E0627", "twice"),
        (lambda v, t: file_of([*v.items()], [("a", "b")]), "E0627", "is to be `b`"),
        (lambda v, t: file_of([(n, x) for n, x in v.items() if n != FIRST]),
         "E0627", "no valid `decoder.embed_tokens.weight`"),
        (lambda v, t: file_of((v | {"decoder/activation": np.int8(1)}).items()),
         "E0626", "decoder/activation"),
        (lambda v, t: file_of((v | {"decoder/scale": np.float32(1)}).items()),
         "E0626", "decoder/scale"),
        (lambda v, t: file_of((v | {f"{FIRST}_scale": np.ones(37, "f4")}).items()),
         "E0626", "weight_scale"),
        (lambda v, t: file_of((v | {FIRST: v[FIRST].astype("i1")}).items()),
         "E0629", "I8"),
        (lambda v, t: file_of((v | {FIRST: v[FIRST] * np.float32(np.nan)}).items()),
         "E0629", "NaN"),
        (lambda v, t: file_of((v | {"encoder/num_heads": np.int16(5)}).items()),
         "E0625", "cannot be divided"),
        (lambda v, t: file_of((v | {"encoder/num_heads": np.int16(-3)}).items()),
         "E0625", "from 1"),
        (lambda v, t: file_of([(n, x) for n, x in v.items() if "num_heads" not in n]),
         "E0627", "no number `encoder/num_heads`"),
        (lambda v, t: file_of([(n, x) for n, x in v.items() if "layer_1/ffn" not in n]),
         "E0628", "fills"),
        (lambda v, t: file_of((v | {"encoder/conv1/bias": np.ones(5, "f4")}).items()),
         "E0630", "conv1.bias"),
    ],
)  # fmt: skip
def test_what_is_no_sound_whisper_is_refused(folders, tmp_path, change, code, message):
    found = refused(edited(folders, tmp_path, change))
    assert found.code == code
    assert message in f"{found.message} {found.hint}"


def test_a_file_that_ends_early_is_refused_wherever_it_ends(folders, tmp_path):
    whole = file_of(folders[1], folders[2])
    for end in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 40)]:
        folder = edited(folders, tmp_path, lambda v, t, end=end: whole[:end])
        assert refused(folder).code == "E0627"


def test_a_model_is_never_overwritten(folders, tmp_path):
    folder = edited(folders, tmp_path, lambda v, t: file_of([*v.items()], t))
    with pytest.raises(NeuralError) as caught:
        import_model(folder, folder / "out.neural", folder / "model.bin")
    assert caught.value.diagnostics[0].code == "E0633"
