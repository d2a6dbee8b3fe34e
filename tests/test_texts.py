"""Texts into a network: padding of a batch never counts as tokens."""

import numpy as np
import pytest

from neural_attn.cli import cli
from neural_attn.compile import check_text
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.encoding import open_tokenizer, prepare_encoded
from neural_attn.maps.attention_maps import AttentionMaps

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
from click.testing import CliRunner

NETWORK = """
network N {{
  input: (none,)
  layers:
    Embedding(input_dim=31000, output_dim=8{mask})
    TransformerEncoder(num_heads=2, ff_dim=8)
}}
"""
TEXTS = ["a cat", "a much longer text about a cat"]


@pytest.fixture
def tokenizer(minilm_dir):
    return open_tokenizer(minilm_dir / "x.neural", None, minilm_dir / "tokenizer.json")


def test_padding_is_id_0_where_the_network_masks_it(tokenizer):
    checked = check_text(NETWORK.format(mask=", mask_zero=true"))[0][0]
    encoded = tokenizer.encode(TEXTS)
    ids = prepare_encoded(checked, encoded).inputs
    real = encoded.inputs["attention_mask"] != 0
    assert not real.all()
    np.testing.assert_array_equal(ids != 0, real)


def test_unequal_texts_need_a_network_that_tells_padding(tokenizer):
    checked = check_text(NETWORK.format(mask=""))[0][0]
    with pytest.raises(NeuralError, match="cannot recognize padding"):
        prepare_encoded(checked, tokenizer.encode(TEXTS))
    assert prepare_encoded(checked, tokenizer.encode(TEXTS[:1])).batch == 1


def test_each_text_of_several_is_drawn(tmp_path, minilm_dir):
    file, maps = tmp_path / "n.neural", tmp_path / "maps.npz"
    file.write_text(NETWORK.format(mask=", mask_zero=true"))
    given = [option for text in TEXTS for option in ("--text", text)]
    given += ["--tokenizer", str(minilm_dir / "tokenizer.json"), "-b", "numpy"]
    where = ["-o", str(tmp_path), "--save-maps", str(maps)]
    result = CliRunner().invoke(
        cli, ["visualize", str(file), "--attention", *given, *where]
    )
    assert result.exit_code == 0, result.output
    (one,) = AttentionMaps.load(maps).maps
    assert ["cat" in tokens for tokens in one.key_tokens] == [True, True]
    assert "much" in one.key_tokens[1]


@pytest.mark.parametrize("command", [["visualize", "--attention"], ["analyze"]])
def test_both_commands_refuse_it_alike(tmp_path, minilm_dir, command):
    file = tmp_path / "n.neural"
    file.write_text(NETWORK.format(mask=""))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    options = ["--file", str(texts), "--tokenizer", str(minilm_dir / "tokenizer.json")]
    result = CliRunner().invoke(
        cli, [*command, str(file), "--backend", "numpy", *options]
    )
    assert isinstance(result.exception, NeuralError)
    assert result.exception.diagnostics[0].code == "E0409"
